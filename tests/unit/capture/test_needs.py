"""What code needs that is captured, code that is an item needs too; and what the kernel has among its builtins."""

import builtins
import contextlib

import pytest

from burst_magic.capture.cell import with_needs
from burst_magic.errors import CaptureError
from burst_magic.payload import pack_value
from burst_magic.payload.notes import Needs

NEEDS = {
    "a submodule of a package": (
        "import xml, xml.dom.minidom", "lambda x: xml.dom.minidom.parseString('<a/>').documentElement.tagName", "a",
    ),
    "a submodule under another name": (
        "import xml.dom.minidom as m, xml as x", "lambda _: x.dom.minidom.Document is not None", True,
    ),
    "a submodule that a helper mentions": (
        "import concurrent, concurrent.futures\ndef helper(): return concurrent.futures.Future.__name__", "lambda x: helper()", "Future",
    ),
    "helpers of helpers": ("k = 2\ndef f(x): return g(x)\ndef g(x): return x * k", "lambda x: f(x)", 2),
    "an import of its own": ("", "lambda x: __import__('json').dumps(x)", "1"),
    "a name that another item brings": ("k = 2\ndef f(x): return [lambda: x * k]", "lambda x: f(x)[0]()", 2),
    "globals of its own": ("import types\nk = 1\nf = types.FunctionType((lambda x: k * x).__code__, {'k': 7})", "f", 7),
}  # fmt: skip


@pytest.mark.parametrize(("setup", "item", "expected"), NEEDS.values(), ids=NEEDS)
@pytest.mark.parametrize("where", ["captured", "item", "part of an item", "a method's"])
def test_code_finds_what_it_needs_wherever_it_is(notebook, setup, item, expected, where):
    notebook.run(f"{setup}\ntask = {item}")
    if where == "captured":
        assert notebook.burst("task(1)") == expected
    elif where == "item":
        assert notebook.burst("item(1)", "[task]") == [expected]
    elif where == "part of an item":
        assert notebook.burst("item['a'][0](1)", "[{'a': [task]}]") == [expected]
    else:
        notebook.run("class Holder:\n    def run(self, x): return task(x)")
        assert notebook.burst("item.run(1)", "[Holder()]") == [expected]


def test_an_item_s_line_shows_in_a_traceback(notebook):
    notebook.run("items = [lambda: 1 / 0  # this very line\n]")
    with pytest.raises(Exception, match="this very line"):
        notebook.burst("item()", "items")


def test_an_item_that_asks_for_ipython_loses_it_with_a_warning_as_a_helper_does(notebook):
    notebook.run("def get_ipython(): return None\ndef f(x):\n    return x or get_ipython()")
    capture, needs = notebook.capture("item(1)", map_expr="[lambda x: x or get_ipython(), f]"), Needs()
    for item in capture.items:
        pack_value(item, home=capture.home, needs=needs)
    warnings = with_needs(capture, needs).warnings
    assert [text for text in warnings if "get_ipython has no effect on a worker and is ignored" in text]
    assert notebook.burst("item(1)", "[lambda x: x or get_ipython(), f]") == [1, 1]


@contextlib.contextmanager
def builtin(**named):
    vars(builtins).update(named)
    try:
        yield
    finally:
        for name in named:
            delattr(builtins, name)


def test_what_others_put_among_the_builtins_travels(notebook):
    notebook.run("k = 3\ndef scaled(x): return x * k\ndef outer(x): return helper(x) + limit")
    with builtin(helper=notebook["scaled"], limit=100, __IPYTHON__=True):
        assert notebook.burst("helper(2), limit, __IPYTHON__") == (6, 100, True)
        assert notebook.burst("outer(2)") == 106
        assert notebook.burst("item(2)", "[lambda x: helper(x) + limit, outer]") == [106, 106]
        notebook.run("called = lambda x: helper(x)")
        assert notebook.call(notebook["called"], [1]) == [3]


def test_a_global_hides_what_is_among_the_builtins(notebook):
    notebook.run("limit = 1")
    with builtin(limit=100):
        assert notebook.burst("limit") == 1


def test_what_cannot_travel_from_the_builtins_is_refused_with_its_line(notebook):
    with (
        builtin(stream=(n for n in [])),
        pytest.raises(CaptureError, match=r"stream: cannot pickle 'generator' object \(used in line 2\)"),
    ):
        notebook.capture("1\nlist(stream)")


def test_names_that_python_has_itself_stay_here(notebook):
    capture = notebook.capture("print, open, exit, quit, help, input, len, ValueError, __name__, copyright, abs")
    assert capture.packed.names == ()
