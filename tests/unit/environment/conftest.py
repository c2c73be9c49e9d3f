"""Environments made of metadata, and package indexes on 127.0.0.1 with wheels made for the test."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import zipfile
from pathlib import Path

import pytest

from burst_magic.environment.indexes import Index
from burst_magic.environment.installed import read
from burst_magic.environment.uv import Target

_POLL = 0.01  # seconds until a server sees that its test has ended
X86 = Target(python="3.11", arch="x86_64")


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder / "site", folder / "cache"
        self.folder.mkdir()

    def add(self, name, *needs, version="1.0", files=None, url=None, installer="uv", extras=()):
        files = {f"{name.replace('-', '_')}.py": "x = 1\n"} if files is None else files
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        lines += [f"Requires-Dist: {need}" for need in needs] + [f"Provides-Extra: {extra}" for extra in extras]
        texts = {f"{info.name}/METADATA": "\n".join(lines), f"{info.name}/INSTALLER": installer, **files}
        if url is not None:
            texts[f"{info.name}/direct_url.json"] = json.dumps(url)
        for path, text in texts.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in [*texts, f"{info.name}/RECORD"]))
        return info

    def read(self, target=X86):
        return read(target, self.cache, path=[str(self.folder)])

    def wanted(self, *imported, target=X86, always=()):
        wanted, needed = self.read(target).wanted(imported, always)
        assert needed <= wanted
        return sorted(wanted), sorted(needed)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


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
        threading.Thread(target=self.server.serve_forever, args=(_POLL,), daemon=True).start()

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
            archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
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
