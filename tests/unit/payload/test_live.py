"""Objects of the process, imported by name, are the task's own: a copy would do nothing, and hold all secrets."""

from __future__ import annotations

import os
import sys
import warnings

import matplotlib as mpl
import pytest

from burst_magic.payload import pack, pack_value, unpack_value
from burst_magic.payload.unpack import unpack


@pytest.fixture
def live():
    return {
        "environ": os.environ,
        "modules": sys.modules,
        "filters": warnings.filters,
        "rc": mpl.rcParams,
        "colormaps": mpl.colormaps,
    }


def loaded_from(packed):
    return unpack(packed.stream, packed.buffers, home={})


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "very-secret-indeed")
    return b"very-secret-indeed"


def test_whatever_the_notebook_calls_them_tasks_have_their_own(live):
    loaded = loaded_from(pack(live, home=live))
    assert [name for name, value in live.items() if loaded[name] is not value] == []


@pytest.mark.parametrize("value", [[os.environ], {"of": os.environ}, lambda of=os.environ: of])
def test_a_part_of_something_is_the_tasks_own_too_and_takes_no_secret_along(token, value):
    home = {"value": value}
    packed = pack(home, home=home)
    assert token not in packed.stream
    (loaded,) = loaded_from(packed).values()
    (inside,) = [loaded()] if callable(loaded) else getattr(loaded, "values", loaded.__iter__)()
    assert inside is os.environ


def test_a_copy_that_the_notebook_made_is_sent():
    home = {"copied": dict(mpl.rcParams), "mine": list(sys.path), "edited": mpl.rcParams.copy()}
    loaded = loaded_from(pack(home, home=home))
    assert loaded["mine"] == home["mine"]
    assert loaded["copied"] == home["copied"]
    assert loaded["edited"] == home["edited"]
    assert loaded["edited"] is not mpl.rcParams


def test_the_command_line_and_the_path_are_sent_as_the_notebook_has_them(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "--n", "5"])
    monkeypatch.setattr(sys, "path", [*sys.path, "/somewhere"])
    home = {"argv": sys.argv, "path": sys.path}
    packed = pack(home, home=home)
    before, sys.argv, sys.path = (sys.argv, sys.path), ["worker"], list(sys.path[:-1])
    loaded = loaded_from(packed)
    assert (loaded["argv"], loaded["path"]) == before


def test_what_a_task_returns_is_what_it_had(token):
    back = unpack_value(pack_value(os.environ, home={}), home={})
    assert back is not os.environ
    assert back["A_TOKEN"] == token.decode()
