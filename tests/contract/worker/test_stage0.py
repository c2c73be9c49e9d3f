"""Stage 0 against a server that checks signatures: it becomes the worker, or says in a line why it cannot."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import subprocess
import sys
import tarfile
import threading
import urllib.error
from pathlib import Path

import pytest

from burst_magic.environment.bundle import stage0_command
from burst_magic.protocol.exits import ExitCode
from burst_magic.stores import open_store
from burst_magic.worker import stage0

# As stage 0 finds it; it says who it is instead of watching a worker.
WATCHDOG = """\
import json, os, sys
print(json.dumps([sys.prefix, sys.path, os.getcwd(), os.environ["BURST_BIRTH_STORE"]]))
"""
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
PREFIXES = ["", "burst", "a b/ü+ß", "~x/per%20cent/plus+and&/q=x", "star*/[set]/'quoted'/back:colon"]


def archived(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
    return gzip.compress(out.getvalue())


BUNDLE = archived(
    {
        f"{SITE}/burst_magic/__init__.py": b"",
        f"{SITE}/burst_magic/worker/__init__.py": b"",
        f"{SITE}/burst_magic/worker/watchdog.py": WATCHDOG.encode(),
    }
)


class Container:
    """A bare Python with nothing but its environment, as an engine starts it."""

    def __init__(self, server, home: Path) -> None:
        self.home, self.server = home, server
        keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL")
        self.environ = {"TMPDIR": str(home), **{name: server.environ[name] for name in keys}}

    def holds(self, prefix, bundle=BUNDLE, *, named="") -> None:
        """The store has a bundle, and the container is told of it."""
        url = f"s3://contract/{prefix}".rstrip("/")
        sha256 = named or hashlib.sha256(bundle).hexdigest()
        open_store(url, credentials=self.server.credentials).put(f"envs/{sha256}", bundle)
        self.environ |= {"BURST_BIRTH_STORE": url, "BURST_BIRTH_BUNDLE": sha256}

    def run(self, *, python=""):
        """Its exit code, and what it printed."""
        command = list(stage0_command())
        command[0] = python or str(Path(sys._base_executable).resolve())
        done = subprocess.run(
            command, env=self.environ, cwd=self.home, capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def container(seaweedfs_server, tmp_path):
    return Container(seaweedfs_server, tmp_path)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_it_becomes_the_watchdog_of_a_bundle_below_any_prefix(container, prefix):
    container.holds(prefix)
    code, said = container.run()
    assert code == 0, said
    place, path, cwd, store = json.loads(said)
    assert place == str(container.home / "burst_magic")
    assert str(container.home / "burst_magic" / SITE) in path
    assert (cwd, store) == ("/", container.environ["BURST_BIRTH_STORE"])


def test_a_wrong_key_is_refused_by_the_server_and_said_at_once(container):
    container.holds("burst")
    container.environ["AWS_SECRET_ACCESS_KEY"] = "another"
    code, said = container.run()
    assert code == ExitCode.UNSUPPLIED
    assert "burst_magic stage 0: s3://contract/burst/envs/" in said
    assert "HTTP 403" in said
    assert said.count("\n") == 1


def test_a_bundle_that_is_not_there_is_said(container):
    container.holds("burst")
    container.environ["BURST_BIRTH_BUNDLE"] = "0" * 64
    code, said = container.run()
    assert (code, "HTTP 404" in said) == (ExitCode.UNSUPPLIED, True)


def refusal(code, words):
    return urllib.error.HTTPError("https://b.s3/k", code, "no", {}, io.BytesIO(words.encode()))


def attempts(*refusals):
    """Reads until one is not refused; (the seconds waited between them, why it gave up)."""
    answers, waits = iter(refusals), []

    def attempt():
        if (answer := next(answers, None)) is not None:
            raise answer

    try:
        stage0.patiently(attempt, "s3://b/k", sleep=waits.append)
    except stage0.Stage0Error as problem:
        return waits, str(problem)
    return waits, ""


def test_a_role_that_is_not_effective_yet_is_waited_for(capsys):
    """IAM says nothing of how long that takes; whoever waits a minute more pays less than for another worker."""
    new = [refusal(403, "<Code>AccessDenied</Code>") for _ in range(8)]
    waits, problem = attempts(*new)
    assert (len(waits), problem) == (8, "")
    assert capsys.readouterr().err.count("may not be read (a new role takes a minute)") == 1


def test_a_right_that_is_missing_is_said_after_a_minute():
    waits, problem = attempts(*(refusal(403, "<Code>AccessDenied</Code>") for _ in range(99)))
    assert 60 <= sum(waits) < 70
    assert "HTTP 403" in problem


@pytest.mark.parametrize(("code", "words"), [(403, "SignatureDoesNotMatch"), (403, "InvalidAccessKeyId"), (404, "")])
def test_what_time_does_not_heal_is_not_waited_for(code, words):
    assert attempts(*(refusal(code, words) for _ in range(9)))[0] == []


def test_a_server_in_trouble_is_asked_some_times():
    waits, problem = attempts(*(refusal(503, "SlowDown") for _ in range(9)))
    assert (len(waits), "HTTP 503" in problem) == (5, True)


def test_bytes_that_the_launcher_has_not_named_are_not_unpacked(container):
    container.holds("burst", BUNDLE, named="0" * 64)
    code, said = container.run()
    assert code == ExitCode.UNSUPPLIED
    assert "its bytes are not those that the launcher has named" in said
    assert not (container.home / "burst_magic").exists()


@pytest.mark.parametrize(
    "files",
    [{"../outside": b"x"}, {"/outside": b"x"}, {"a/../../outside": b"x"}, {"link": "/etc"}, {"link": "../.."}],
    ids=str,
)
def test_an_archive_with_anything_but_files_of_its_own_is_refused(container, files):
    container.holds("burst", archived(files))
    code, said = container.run()
    assert (code, "which is no plain file of its own" in said) == (ExitCode.UNSUPPLIED, True)
    assert [path.name for path in container.home.iterdir()] == ["burst_magic"]


def test_half_an_archive_is_refused(container):
    container.holds("burst", BUNDLE[: len(BUNDLE) // 2])
    code, said = container.run()
    assert (code, "could not be unpacked" in said) == (ExitCode.UNSUPPLIED, True)


@pytest.mark.parametrize("missing", ["BURST_BIRTH_STORE", "BURST_BIRTH_BUNDLE"])
def test_a_container_that_no_launcher_started_says_so(container, missing):
    container.holds("burst")
    del container.environ[missing]
    code, said = container.run()
    assert (code, missing in said) == (ExitCode.REFUSED, True)


def test_a_store_that_is_no_bucket_is_refused(container):
    container.holds("burst")
    container.environ["BURST_BIRTH_STORE"] = "file:///somewhere"
    assert container.run()[0] == ExitCode.REFUSED


class Engine(http.server.BaseHTTPRequestHandler):
    """Tells the credentials of a role; fails at first, as an agent does that is starting."""

    keys, asked, failures = None, [], 2

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("Authorization")))
        if len(self.asked) <= self.failures:
            self.send_error(500)
            return
        self.send_response(200)
        self.end_headers()
        document = {"AccessKeyId": self.keys.access, "SecretAccessKey": self.keys.secret, "Token": ""}
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_):
        pass


def test_it_uses_the_credentials_of_its_role_with_the_token_of_its_file_and_tries_again(container):
    class Ours(Engine):
        keys, asked = container.server.keys, []

    container.holds("burst")
    (container.home / "token").write_text("secret-token\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ours) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        container.environ |= {
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/role",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(container.home / "token"),
            "http_proxy": "http://127.0.0.1:1",
            "no_proxy": container.server.endpoint.removeprefix("http://"),
        }
        code, said = container.run()
        server.shutdown()
    assert code == 0, said
    assert Ours.asked == [("/role", "secret-token")] * 3


def others():
    """Other minor versions that we support, on this machine."""
    found = Path(sys.base_prefix).parent.glob("3.*/bin/python3.1[0-9]")
    mine = f"python3.{sys.version_info.minor}"
    return sorted(str(path) for path in found if path.name != mine)


@pytest.mark.parametrize("python", others(), ids=lambda path: Path(path).name)
def test_it_runs_on_the_other_pythons_of_this_machine(container, python):
    minor = Path(python).name
    site = SITE.replace(f"python{sys.version_info.major}.{sys.version_info.minor}", minor)
    names = ("__init__", "worker/__init__", "worker/watchdog")
    files = {f"{site}/burst_magic/{name}.py": WATCHDOG.encode() * (name[-3:] == "dog") for name in names}
    container.holds("burst", archived(files))
    code, said = container.run(python=python)
    assert (code, json.loads(said)[0]) == (0, str(container.home / "burst_magic")), said


def test_it_fits_into_a_task_definition():
    assert len(json.dumps(stage0_command())) < 16 << 10
