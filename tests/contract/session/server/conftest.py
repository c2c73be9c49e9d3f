"""A real Jupyter server, started once for a module; each test's user moves in: config, data and store."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from burst_magic import config
from burst_magic.stores import open_store
from burst_magic.testing.proxy import proxy

TOKEN = "a-token-of-the-tests"
STARTS_WITHIN = 60.0


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: Any
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass
class Jupyter:
    """A server and its user's way to it."""

    url: str
    process: subprocess.Popen[bytes]
    place: Path  # a link to the present user
    log: Path
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"token {TOKEN}"})

    def open(self, path: str, *, data: bytes | None = None, opener: Any = None, **headers: str) -> Answer:
        """Ask; ``path`` is taken as it is."""
        asked = urllib.request.Request(
            f"{self.url}{path}", data=data, headers={**(self.headers if opener is None else {}), **headers}
        )
        try:
            with (opener or urllib.request.build_opener()).open(asked, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, refused.headers, refused.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.open(f"burst/api/{path}", **headers)

    def post(self, path: str, **body: object) -> Answer:
        return self.open(f"burst/api/{path}", data=json.dumps(body).encode(), **{"Content-Type": "application/json"})

    def frame(self, session, **query: str) -> Any:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        answer = self.get(f"sessions/{session.id}/{session.job}/frame?{asked}")
        assert answer.status == 200, answer.said
        return answer.said

    def knows(self, session) -> bool:
        """Whether the store has answered about a session; until then a browser asks again."""
        return self.get(f"sessions/{session.id}/{session.job}/frame").status == 200

    def memory(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def visitor(self) -> Any:
        """A browser that has logged in: it has cookies, and sends no token."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        assert self.open(f"api/status?token={TOKEN}", opener=opener).status == 200
        return opener


@contextlib.contextmanager
def serving(root: Path, **environ_of_aws: str):
    """A server over a folder."""
    place, runtime, log = root / "user", root / "runtime", root / "log"
    clean = {
        name: text for name, text in os.environ.items() if not name.startswith(("BURST_", "AWS_", "JPY_", "JUPYTER"))
    }
    environ = {
        **clean,
        "HOME": str(root),
        "BURST_CONFIG_DIR": str(place / "config"),
        "BURST_DATA_DIR": str(place / "data"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(root / "jupyter"),
        "JUPYTER_DATA_DIR": str(root / "share"),
        "JUPYTER_NO_CONFIG": "1",
        **environ_of_aws,
    }
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"),
        f"--IdentityProvider.token={TOKEN}",
        "--ServerApp.jpserver_extensions={'burst_magic.server': True}",
        f"--ServerApp.root_dir={root}",
    ]
    with (
        log.open("wb") as written,
        subprocess.Popen(command, env=environ, cwd=root, stdout=written, stderr=written) as process,
    ):
        try:
            end = time.monotonic() + STARTS_WITHIN
            while not (said := [text for path in runtime.glob("jpserver-*.json") if (text := path.read_text())]):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.05)  # the file is there, and empty, before it is written
            yield Jupyter(json.loads(said[0])["url"], process, place, log)
        finally:
            process.terminate()
            process.wait(60)


def moved_in(server: Jupyter, world) -> Jupyter:
    """A server, as the user of this test's world has configured it."""
    settings = world.settings()
    config.save({"store": world.store.url}, config_dir=settings.config_dir)
    settings.data_dir.mkdir(exist_ok=True)
    server.place.unlink(missing_ok=True)
    server.place.symlink_to(world.root)
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture
def jupyter(server, world):
    yield moved_in(server, world)
    assert server.process.poll() is None, server.log.read_text()


@pytest.fixture(scope="module")
def road(moto_server):
    """The way of the remote server to its S3; kernels and workers have another."""
    with proxy(moto_server) as running:
        yield running


@pytest.fixture(scope="module")
def remote_server(road, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("remote"), **road.server.environ) as running:
        yield running


@pytest.fixture
def remote(remote_server, world, moto_server, monkeypatch, tmp_path):
    """A server whose user keeps sessions on S3."""
    for name, text in moto_server.environ.items():
        monkeypatch.setenv(name, text)
    world.store = open_store(f"s3://contract/{tmp_path.name}", credentials=moto_server.credentials)
    world.interval = None  # as S3 has it
    yield moved_in(remote_server, world)
    assert remote_server.process.poll() is None, remote_server.log.read_text()
