"""Environments made of metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from burst_magic.environment.installed import read
from burst_magic.environment.uv import Target

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
