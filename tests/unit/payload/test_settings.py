"""Each kind of setting: read, said in JSON, and made again."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import textwrap
import types
import warnings
from collections import OrderedDict

import pytest

from burst_magic.payload.settings import KINDS, OPAQUE, back, made_filter, plain, read_filter

KIND = {kind.name: kind for kind in KINDS}


PROLOGUE = """
import importlib, json, sys, types, warnings
first = list(warnings.filters)
for name in MODULES:
    importlib.import_module(name)
warnings.filters[:] = first
from burst_magic.payload.settings import KINDS

class Torch(types.ModuleType):  # as much of torch as has a default type
    float32, float64, default = "torch.float32", "torch.float64", "torch.float32"
    def get_default_dtype(self):
        return self.default
    def set_default_dtype(self, dtype):
        self.default = dtype

class Config:  # as jax has it
    jax_enable_x64 = False
    update = object.__setattr__

sys.modules["torch"], sys.modules["jax"] = Torch("torch"), types.ModuleType("jax")
sys.modules["jax"].config = Config()
"""


def fresh(code):
    """What this prints, as JSON, in an interpreter of its own where nobody has set anything."""
    modules = [KIND[name].module for name in OTHER if name not in {"torch", "jax"}]
    program = PROLOGUE.replace("MODULES", repr(modules)) + textwrap.dedent(code)
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert not said.returncode, said.stderr
    return json.loads(said.stdout)


# another state than the default: what it says, by kind; sklearn, slow to import, is tried in tests/kernel
OTHER = {
    "decimal": {"prec": 9, "rounding": "ROUND_DOWN", "traps": ["DivisionByZero", "Inexact"]},
    "sys": {"recursionlimit": 1234, "int_max_str_digits": 5000},
    "logging": {"level": 10, "disable": 20, "level of burst.test": 15, "handlers": [["stderr", 0, "%(message)s", None, "%"]],
                "handlers of burst": [["stdout", 20, "{message}", "%H", "{"]], "propagate of burst": False, "disabled of burst.off": True},
    "warnings": {"filters": [["error", "a.*b", "builtins", "UserWarning", None, 0], ["ignore", None, "builtins", "Warning", "m", 3]]},
    "locale": {"LC_NUMERIC": "C.UTF-8"},
    "socket": {"timeout": 2.5},
    "csv": {"field_size_limit": 99},
    "calendar": {"firstweekday": 6},
    "numpy": {"divide": "raise", "bufsize": 16, "print precision": 2, "print sign": "+"},
    "scipy": {"singular": "raise", "domain": "warn"},
    "pandas": {"display.max_rows": 3, "display.float_format": {"format": "{:.1f}"}, "mode.chained_assignment": "raise"},
    "polars": {"POLARS_FMT_MAX_ROWS": "3", "set_fmt_float": "full", "set_thousands_separator": ","},
    "torch": {"default_dtype": "torch.float64"},
    "jax": {"jax_enable_x64": True},
    "mpmath": {"prec": 200, "pretty": True},
}  # fmt: skip


@pytest.fixture(scope="module")
def found():
    """By kind: the state before, as read whole and in part after it was set, whether it could be taken back, and what
    was otherwise than the default before."""
    return fresh(f"""
        found = {{}}
        def some(state, wanted):
            return json.loads(json.dumps({{key: state.get(key) for key in wanted}}))
        for name, wanted in json.loads({json.dumps(OTHER)!r}).items():
            kind = next(kind for kind in KINDS if kind.name == name)
            module = kind.loaded()
            before = kind.read(module, None)
            other = [key for key, value in before.items() if value != kind.default(module).get(key)]
            kind.write(module, wanted)
            there = [some(kind.read(module, keys), wanted) for keys in (None, wanted.keys())]
            kind.write(module, {{key: before.get(key) for key in wanted}})
            found[name] = [some(before, wanted), *there, kind.read(module, None) == before, other]
        print(json.dumps(found))
    """)


@pytest.mark.parametrize("name", OTHER)
def test_what_is_written_is_read_again_and_taken_back(found, name):
    before, whole, chosen, taken_back, _ = found[name]
    assert before != OTHER[name]
    assert whole == chosen == OTHER[name]
    assert taken_back


@pytest.mark.parametrize("name", OTHER)
def test_what_nobody_has_set_is_the_default(found, name):
    *_, otherwise = found[name]
    assert otherwise == []


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, None), (True, True), (3, 3), (1.5, 1.5), ("a", "a"), ([1, (2, "b")], [1, [2, "b"]]), ("{:.2f}".format, {"format": "{:.2f}"})],
)  # fmt: skip
def test_plain_values_are_said_as_json_has_them(value, said):
    assert plain(value) == said


@pytest.mark.parametrize(
    "value", [object(), len, lambda: 1, {"a": 1}, {1}, [1, object()], OrderedDict(), type("Word", (str,), {})("a")]
)
def test_what_json_would_change_or_cannot_say_is_opaque(value):
    assert plain(value) == OPAQUE


def test_a_format_comes_back_as_the_method_it_was():
    assert back(json.loads(json.dumps(plain("{:.3f}".format))))(1.23456) == "1.235"
    assert back([1]) == [1]


@pytest.mark.parametrize(
    "one",
    [
        ("error", None, UserWarning, None, 0), ("ignore", "a b", DeprecationWarning, "mine", 7), ("default", None, DeprecationWarning, "__main__", 0),
    ],
)  # fmt: skip
def test_a_filter_comes_back_as_warnings_makes_it(one):
    action, message, category, module, line = one
    with warnings.catch_warnings():
        warnings.resetwarnings()
        if module == "__main__":
            warnings.filters.insert(0, one)
        else:
            warnings.filterwarnings(action, message or "", category, module or "", line)
        (there,) = warnings.filters
    assert made_filter(json.loads(json.dumps(read_filter(there)))) == there


def test_a_filter_for_a_category_of_a_library_that_is_not_loaded_waits():
    assert made_filter(["ignore", None, "no.such.library", "ItsWarning", None, 0]) is None


def test_a_handler_that_does_more_than_print_is_opaque(tmp_path):
    root = logging.getLogger()
    handler = logging.FileHandler(tmp_path / "log")
    root.addHandler(handler)
    try:
        assert KIND["logging"].read(logging, None)["handlers"] == OPAQUE
    finally:
        root.removeHandler(handler)
        handler.close()


def test_a_module_that_is_half_loaded_has_no_settings_yet(monkeypatch):
    half = types.ModuleType("torch")
    half.__spec__ = types.SimpleNamespace(_initializing=True)
    monkeypatch.setitem(sys.modules, "torch", half)
    assert KIND["torch"].loaded() is None
    assert KIND["torch"].loaded("torch") is half
