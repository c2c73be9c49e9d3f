"""What a bare Python container runs first: fetches the worker's bundle, checks it, unpacks it, becomes the watchdog.

Its text is the container's command (``python -I -c …``), so it is one file, uses the standard library only, runs on
Python 3.10 and newer, and stays small: a task definition holds 64 KB. The launcher names the bundle by its sha256 in
``BURST_BIRTH_BUNDLE``; that name comes from the user's own RunTask, so whoever can merely write to the bucket cannot
replace it. The credentials are those of the task's role, by the ways that the container's engine offers.

The bundle becomes a virtual environment of its own. So neither paths nor variables of the worker reach tasks.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO
from urllib.parse import quote, urlsplit

PREFIX = "BURST_BIRTH_"
REFUSED, UNSUPPLIED = 78, 69  # of burst_magic.protocol.exits, which is not here yet
FOLDER = "envs"
AGENT = "http://169.254.170.2"  # of ECS; beside the path that it names
USER = 10001  # in a container of its own nothing needs root: tasks must not change what the worker runs
TRIES, PATIENCE, PAUSE, LONGEST = 6, 30.0, 0.5, 8.0  # of a request: so often, seconds each, between two of them
EFFECTIVE = 60.0  # seconds after which a role's rights count everywhere: AWS documents none, users report a minute
PART = 1 << 20
UNRESERVED = "-_.~"


class Stage0Error(Exception):
    """Why this container cannot become a worker: exit code, and the reason in a line."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def main() -> None:
    """Become the watchdog."""
    environ = dict(os.environ)
    alone = os.getpid() == 1
    base = "/opt" if alone and os.access("/opt", os.W_OK) else tempfile.gettempdir()
    try:
        python = install(environ, os.path.join(base, "burst_magic"))
    except Stage0Error as problem:
        sys.stderr.write(f"burst_magic stage 0: {problem}\n")
        raise SystemExit(problem.code) from None
    if alone and os.getuid() == 0:
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
        environ.update(HOME="/tmp", USER="burst", LOGNAME="burst")  # noqa: S108 - where tasks begin
    os.chdir("/")  # Python imports from where it starts: not a folder that tasks write to
    os.execve(python, [python, "-m", "burst_magic.worker.watchdog"], environ)  # noqa: S606 - our own interpreter


def install(environ: dict[str, str], folder: str) -> str:
    """Fetch, verify and unpack; return the interpreter that has the worker.

    Raises:
        Stage0Error: says why not.
    """
    try:
        scheme, _, place = environ[f"{PREFIX}STORE"].partition("://")
        sha256 = environ[f"{PREFIX}BUNDLE"]
    except KeyError as missing:
        raise Stage0Error(REFUSED, f"a launcher of burst_magic starts this container and sets {missing}") from None
    if scheme != "s3":
        raise Stage0Error(REFUSED, f"only stores on S3 can be read here, not {scheme}://{place}")
    bucket, _, prefix = place.partition("/")
    key = "/".join(filter(None, (prefix.strip("/"), FOLDER, sha256)))
    with tempfile.TemporaryFile() as file:
        patiently(lambda: download(environ, bucket, key, file, sha256), f"s3://{bucket}/{key}")
        return unpack(file, folder)


def patiently(attempt: Callable[[], object], what: str, *, sleep: Callable[[float], object] = time.sleep) -> None:
    """Repeats ``attempt`` while that may help."""
    said, n, waited = "", 0, 0.0
    while True:
        denied = False
        try:
            attempt()
        except urllib.error.HTTPError as error:
            said = f"HTTP {error.code}: {error.read(500).decode(errors='replace')}"
            denied = error.code == 403 and "AccessDenied" in said
            if error.code < 500 and error.code not in {400, 408, 429} and not denied:  # 400: also of a slow body
                break
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            said = f"{type(error).__name__}: {error}"
        else:
            return
        n += 1
        if waited >= EFFECTIVE if denied else n >= TRIES:
            break
        if denied and not waited:
            words = " ".join(said.split())
            sys.stderr.write(f"burst_magic stage 0: {what} may not be read (a new role takes a minute): {words}\n")
        pause = min(LONGEST, PAUSE * 2 ** (n - 1))
        waited += pause
        sleep(pause)
    raise Stage0Error(UNSUPPLIED, f"{what} could not be read: {' '.join(said.split())}")


def download(environ: dict[str, str], bucket: str, key: str, file: IO[bytes], sha256: str) -> None:
    """The object's bytes, if they are what the launcher has named."""
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    url = address(environ, bucket, key, region)
    request = urllib.request.Request(url, headers=signed(url, region, credentials(environ), time.time()))
    file.seek(0)
    file.truncate()
    seen = hashlib.sha256()
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        while part := answer.read(PART):
            file.write(part)
            seen.update(part)
    if seen.hexdigest() != sha256:
        raise Stage0Error(UNSUPPLIED, f"{url}: its bytes are not those that the launcher has named")


def address(environ: dict[str, str], bucket: str, key: str, region: str) -> str:
    """Of an object: below an endpoint that the environment names, or AWS's own."""
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    path = quote(key, safe="/" + UNRESERVED)
    if endpoint:
        return f"{endpoint.rstrip('/')}/{bucket}/{path}"
    domain = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    return f"https://{domain}/{bucket}/{path}" if "." in bucket else f"https://{bucket}.{domain}/{path}"


def credentials(environ: dict[str, str]) -> tuple[str, str, str]:
    """(access key, secret key, session token or "") of the container's role, or of the environment."""
    where = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in environ:
        where = AGENT + environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    if not where:
        return environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ.get("AWS_SESSION_TOKEN", "")
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" in environ:
        with open(environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], encoding="utf-8") as file:
            token = file.read().strip()
    request = urllib.request.Request(where, headers={"Authorization": token} if token else {})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the agent is no one else's to reach
    with direct.open(request, timeout=PATIENCE) as answer:
        found = json.load(answer)
    return found["AccessKeyId"], found["SecretAccessKey"], found["Token"]


def signed(url: str, region: str, keys: tuple[str, str, str], now: float) -> dict[str, str]:
    """The headers of a GET: AWS Signature Version 4 for S3."""
    access, secret, token = keys
    parts = urlsplit(url)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    nothing = hashlib.sha256(b"").hexdigest()
    headers = {"host": parts.netloc, "x-amz-content-sha256": nothing, "x-amz-date": moment}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"GET\n{parts.path}\n\n{lines}\n{names}\n{nothing}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    proof = f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": proof}


def unpack(file: IO[bytes], folder: str) -> str:
    """The bundle as a virtual environment of this Python; return its interpreter."""
    python, there = os.path.realpath(sys.executable), os.path.join(folder, "bin", "python")
    try:
        os.makedirs(os.path.dirname(there), mode=0o755)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            extract(archive, folder)
        os.symlink(python, there)
        with open(os.path.join(folder, "pyvenv.cfg"), "w", encoding="utf-8") as config:
            config.write(f"home = {os.path.dirname(python)}\ninclude-system-site-packages = false\n")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise Stage0Error(UNSUPPLIED, f"the bundle could not be unpacked: {error}") from None
    return there


def extract(archive: tarfile.TarFile, folder: str) -> None:
    """Files and folders below ``folder``, and nothing else."""
    if hasattr(tarfile, "data_filter"):  # older releases of 3.10 and 3.11 have none
        archive.extraction_filter = tarfile.data_filter
    for member in archive:
        inside = not member.name.startswith("/") and ".." not in member.name.split("/")
        if not inside or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"it holds {member.name}, which is no plain file of its own")
        archive.extract(member, folder)


if __name__ == "__main__":
    main()
