"""How uv is run."""

from __future__ import annotations

import sys
from pathlib import Path

from burst_magic.environment.uv import run


def test_it_uses_this_interpreter_whatever_is_on_the_path_and_downloads_none(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert Path(run("python", "find").strip()).resolve() == Path(sys.executable).resolve()
