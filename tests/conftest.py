"""S3 servers and package indexes for whoever asks. S3 servers start once for the whole run, if a test asks for them."""

from __future__ import annotations

import atexit
import base64
import http.server
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from burst_magic.environment.indexes import Index
from burst_magic.testing.servers import Keys, moto, seaweedfs

# How long an example takes is the neighbours' doing: no deadline. `quick` is for what is run at every commit, and on
# other Pythons; `make test` runs all examples on this one.
settings.register_profile("whole", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=10)
settings.load_profile("whole")
READER = Keys(access="reader", secret="may-read-only")


@pytest.fixture(autouse=True)
def _same_main():
    """A test that leaves another ``__main__`` behind breaks whichever test spawns processes next."""
    before = sys.modules["__main__"]
    yield
    assert sys.modules["__main__"] is before
    assert hasattr(before, "__spec__")


@pytest.fixture
def make_shell(tmp_path):
    """Makes IPython shells without history; nothing is left for the process's exit, where each would search all garbage."""
    made = []

    def make(create: Callable[..., InteractiveShell] = InteractiveShell, **traits: object) -> InteractiveShell:
        config = Config({"HistoryManager": {"enabled": False}})
        shell = create(ipython_dir=str(tmp_path), config=config, **traits)
        atexit.unregister(shell.atexit_operations)
        made.append(shell)
        return shell

    yield make
    for shell in reversed(made):
        shell.restore_sys_module_state()


@pytest.fixture(scope="session")
def moto_server():
    with moto() as server:
        server.bucket("contract")
        yield server


@pytest.fixture(scope="session")
def seaweedfs_server():
    with seaweedfs((READER, ["Read", "List"])) as server:
        server.bucket("contract")
        yield server


class PackageIndex:
    """A package index that may ask for a password."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self.folder, self.password = folder, password
        index = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_GET(self):
                said = self.headers.get("Authorization", "")
                if index.password and said != "Basic " + base64.b64encode(f"me:{index.password}".encode()).decode():
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", "Basic")
                    self.end_headers()
                else:
                    super().do_GET()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def wheel(self, name: str, *needs: str, tag: str = "py3-none-any", version: str = "1.0") -> None:
        place = self.folder / "simple" / name.replace("_", "-")
        place.mkdir(parents=True, exist_ok=True)
        info = f"{name}-{version}.dist-info"
        lines = [
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
            *(f"Requires-Dist: {need}" for need in needs),
        ]
        with zipfile.ZipFile(place / f"{name}-{version}-{tag}.whl", "w") as archive:
            archive.writestr(f"{name}.py", "x = 1\n")
            archive.writestr(f"{info}/METADATA", "\n".join(lines))
            pure = str(tag.endswith("-any")).lower()
            archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure}\nTag: {tag}\n")
            archive.writestr(f"{info}/RECORD", "")

    @property
    def index(self) -> Index:
        address = f"127.0.0.1:{self.server.server_port}/simple"
        private = f"http://me:{self.password}@{address}" if self.password else f"http://{address}"
        return Index(url=f"http://{address}", private=private, is_open=not self.password)


@pytest.fixture
def serve(tmp_path):
    """Starts an index."""
    started = []

    def start(password: str = "") -> PackageIndex:
        folder = tmp_path / f"index{len(started)}"
        (folder / "simple").mkdir(parents=True)
        started.append(PackageIndex(folder, password))
        return started[-1]

    yield start
    for each in started:
        each.server.shutdown()
        each.server.server_close()
