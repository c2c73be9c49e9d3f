"""How uv is run."""

from __future__ import annotations

import sys

from burst_magic.environment.uv import run


def test_it_looks_at_this_interpreters_packages_whatever_is_on_the_path_or_in_the_folder(monkeypatch, tmp_path):
    (tmp_path / ".venv").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    (location,) = [line for line in run("pip", "show", "uv").splitlines() if line.startswith("Location: ")]
    assert location.removeprefix("Location: ").startswith(sys.prefix)
