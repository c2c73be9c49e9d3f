"""What code sets in objects of installed modules is put back, and local modules are read once."""

import importlib
import json
import os
import sys
import warnings
from contextlib import contextmanager

import pytest

from burst_magic.worker.child.isolation.held import HeldObjects, learn_local

PATCH = "import json\ndef patch():\n    json.JSONEncoder.default = len\n"


@contextmanager
def bundled(tmp_path, monkeypatch, name, source):
    """A local module that is loaded."""
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(name)
    finally:
        del sys.modules[name]


def is_put_back(held):
    before = json.JSONEncoder.default
    json.JSONEncoder.default = len
    held.restore()
    found = json.JSONEncoder.default is before
    json.JSONEncoder.default = before
    return found


def test_a_local_module_is_read_once_for_all_processes(tmp_path, monkeypatch):
    with bundled(tmp_path, monkeypatch, "held_once", PATCH):
        learn_local(str(tmp_path))
        (tmp_path / "held_once.py").write_text("")  # who reads it again finds nothing
        assert is_put_back(HeldObjects([], {}, str(tmp_path)))


def test_another_module_of_that_name_is_read(tmp_path, monkeypatch):
    for source, expected in (("x = 1\n", False), (PATCH, True)):
        with bundled(tmp_path, monkeypatch, "held_twice", source):
            learn_local(str(tmp_path))
            assert is_put_back(HeldObjects([], {}, str(tmp_path))) is expected


def test_a_class_without_a_module_is_the_notebooks():
    namespace = {}
    exec("class Made: pass", {"__builtins__": {"__build_class__": __build_class__, "__name__": 3}}, namespace)
    made = namespace["Made"]
    assert not isinstance(getattr(made, "__module__", None), str)
    assert not HeldObjects([compile("Made.x = 1", "<cell>", "exec")], namespace, "").any


@pytest.mark.parametrize("value", [os.environ, sys.path, warnings.filters], ids=["environ", "path", "filters"])
def test_what_is_restored_elsewhere_is_left_alone_when_it_is_imported_by_name(value):
    change = compile("environ['A'] = path['A'] = filters['A'] = '1'", "<cell>", "exec")
    assert not HeldObjects([change], {"environ": value, "path": value, "filters": value}, "").any


class Library:
    """Like those of cffi."""

    __class__ = type(os)


def test_what_only_says_that_it_is_a_module_is_not_asked_for_its_names(monkeypatch):
    monkeypatch.setitem(sys.modules, "held_library", Library())
    change = compile("mine.append(1)", "<cell>", "exec")
    assert not HeldObjects([change], {"mine": []}, "").any


def test_a_method_counts_where_its_object_is_a_container():
    read = compile("import json\njson.JSONEncoder.x.fit(1)\njson.x.sort()", "<cell>", "exec")
    assert not HeldObjects([read], {}, "").irreversible
    filled = compile("import sys\nsys.modules.pop('x', None)", "<cell>", "exec")
    assert HeldObjects([filled], {}, "").irreversible
