"""Names that stand in texts: they travel where something looks names up in texts, and nowhere else."""

import ast

import pytest

from burst_magic.capture import unseen
from burst_magic.errors import CaptureError
from burst_magic.payload.texts import Looks, imports_in, names_in

SETUP = """
import builtins, importlib, inspect, sys, timeit
import pandas as pd
scale, limit, where = 3, 4, "tables"
expr = "scale * 2"
many = {"a": ["scale + 1"]}
frame = pd.DataFrame({"x": [1, 5, 6]})
def helper(text): return eval(text)
def written(): return eval("scale * 2")
def nested(): return (lambda: eval("eval('scale') * 2"))()
def stored(): text = "scale * 2"; return eval(text)
def asked(df): return int(df.query("x > @limit").shape[0])
def of_main(): return getattr(sys.modules["__main__"], "scale")
import __main__ as me
mine = sys.modules[__name__]
def of_me(): return me.scale
def of_mine(): return getattr(mine, "limit") + mine.written()
def made(text):
    return lambda: eval(text)
kept = made("scale * 2")
import collections, functools
part, code = functools.partial(eval, "scale * 2"), compile("scale * 2", "<text>", "eval")
rule = collections.namedtuple("Rule", "text")("scale * 2")
texts = {"a": "scale * 2"}
class Box:
    shared = "limit"
    def __init__(self): self.text = "scale * 2"
    def run(self): return eval(self.text)
    @classmethod
    def by_class(cls): return eval(cls.shared)
box = Box()
"""
CASES = {
    "eval": ('eval("scale * 2")', 6),
    "exec": ('exec("result = scale * 2")\nresult', 6),
    "compile": ('eval(compile("scale * 2", "<text>", "eval"))', 6),
    "eval by another road": ('builtins.eval("scale * 2")', 6),
    "eval within eval": ("eval(\"eval('scale') * 2\")", 6),
    "a function that a text calls": ('eval("written()")', 6),
    "a module that a text mentions": ('eval("pd.Series([scale]).sum()")', 3),
    "a captured text": ("eval(expr)", 6),
    "a text in a container": ('eval(many["a"][0])', 4),
    "a text of a variable of the cell": ('text = "scale * 2"\neval(text)', 6),
    "an f-string": ('eval(f"{2} * scale")', 6),
    "a comprehension": ('[eval(t) for t in ("scale", "limit")]', [3, 4]),
    "query": ('int(frame.query("x > @limit").shape[0])', 2),
    "a query in a helper": ("asked(frame)", 2),
    "df.eval": ('int(frame.eval("x * @scale").sum())', 36),
    "pd.eval": ('int(pd.eval("scale * limit"))', 12),
    "globals": ('globals()["scale"]', 3),
    "globals().get": ('globals().get("scale")', 3),
    "vars": ('vars()["scale"]', 3),
    "locals": ('locals()["scale"]', 3),
    "getattr of the main module": ('getattr(sys.modules["__main__"], "scale")', 3),
    "the main module's attribute": ("import __main__\n__main__.scale", 3),
    "from the main module": ("from __main__ import scale as s\ns", 3),
    "importlib": ('importlib.import_module("__main__").scale', 3),
    "format": ('"{scale}".format(**globals())', "3"),
    "format_map": ('"{scale}".format_map(globals())', "3"),
    "percent": ('"%(scale)s" % globals()', "3"),
    "a frame": ('inspect.currentframe().f_globals["scale"]', 3),
    "timeit": ('timeit.timeit("scale * 2", globals=globals(), number=1) > 0', True),
    "a helper that evaluates what it is given": ('helper("scale * 2")', 6),
    "a helper and a captured text": ("helper(expr)", 6),
    "a helper with a text of its own": ("written()", 6),
    "a helper within a helper": ("nested()", 6),
    "a helper that stores its text": ("stored()", 6),
    "a helper that asks the main module": ("of_main()", 3),
    "a closure that holds a text": ("kept()", 6),
    "a partial of eval": ("import functools\np = functools.partial(eval, 'scale * 2')\np()", 6),
    "a captured partial of eval": ("part()", 6),
    "compiled code": ("eval(code)", 6),
    "a named tuple": ("eval(rule.text)", 6),
    "an object": ("eval(box.text)", 6),
    "a method that evaluates what its object keeps": ("box.run()", 6),
    "a class attribute": ("Box.by_class()", 4),
    "eval by its name": ("getattr(builtins, 'eval')('scale')", 3),
    "the module by its own name": ("sys.modules[__name__].scale", 3),
    "the notebook under another name": ("me.scale + mine.limit", 7),
    "an attribute of it in a text": ('getattr(me, "scale")', 3),
    "a function of it": ("mine.written()", 6),
    "a helper that asks it": ("of_me()", 3),
    "a helper that asks it in a text": ("of_mine()", 10),
    "it is itself": ("me is mine is sys.modules['__main__']", True),
    "items of a dictionary": ("[eval(text) for key, text in texts.items()]", [6]),
    "map": ('list(map(eval, ["scale", "limit"]))', [3, 4]),
    "a cell's function": ('def f():\n    return eval("scale * 2")\nf()', 6),
}


@pytest.mark.parametrize(("cell", "expected"), CASES.values(), ids=CASES.keys())
def test_what_a_text_names_travels(notebook, cell, expected):
    notebook.run(SETUP)
    assert notebook.burst(cell) == expected


def test_items_that_are_texts_bring_what_they_name(notebook):
    notebook.run(SETUP)
    assert notebook.burst("eval(item)", map_expr='["scale", "limit * 2"]') == [3, 8]
    assert notebook.burst("eval(t) + n", map_expr='n, t in [(1, "scale"), (2, "limit * 2")]') == [4, 10]
    assert notebook.burst("helper(item)", map_expr='["scale"]') == [3]
    assert notebook.call(eval, ["scale", "limit"]) == [3, 4]
    assert notebook.call(notebook["helper"], ["scale"]) == [3]


def test_items_that_are_functions_bring_what_their_texts_name(notebook):
    notebook.run(SETUP)
    assert notebook.burst("item()", map_expr="[kept, written, lambda: eval('limit'), made('limit')]") == [6, 6, 4, 4]
    notebook.run("fs = [lambda: eval('scale'), lambda t='scale + 1': eval(t)]")
    assert notebook.burst("[f() for f in fs]") == [3, 4]


@pytest.mark.parametrize(
    "cell",
    [
        '"scale"', "print('scale')\n{'scale': 1}", "import re\nre.compile('scale').pattern", "'scale'.format(1)",
        "class Model:\n    def eval(self): return 'scale'\nModel().eval()", "vars(str)['upper']('scale')",
        "frame.query('x > 1 and scale == 2') if 0 else 1", "'{scale}'.format(scale=1)",
    ],
)  # fmt: skip
def test_plain_texts_capture_nothing(notebook, cell):
    notebook.run(SETUP)
    assert "scale" not in notebook.capture(cell).packed.sizes


def test_plain_texts_of_helpers_capture_nothing(notebook):
    notebook.run("scale = 3\ndef f(x): 'scale'; return vars(x), 'scale', x.eval()")
    assert set(notebook.capture("f").packed.sizes) == {"f"}


def test_names_that_the_cell_binds_before_are_its_own(notebook):
    notebook.run(SETUP)
    assert "scale" not in notebook.capture('scale = 1\neval("scale * 2")').packed.sizes
    assert "limit" not in notebook.capture('limit = 1\nframe.query("x > @limit")').packed.sizes


def test_what_only_a_text_names_and_cannot_travel_is_left_out_with_a_note(notebook):
    notebook.run("import threading\ntape = (n for n in ())\ndef f(): return eval('tape or 1')\ndef g(): return tape")
    capture = notebook.capture('eval("tape or 1")')
    assert "tape" not in capture.packed.sizes
    assert any("tape: cannot pickle 'generator' object" in text and "not sent" in text for text in capture.warnings)
    assert any("not sent" in text for text in notebook.capture("f()").warnings)
    with pytest.raises(CaptureError, match="tape: cannot pickle"):
        notebook.capture('eval("tape"), g()')


SAID = {
    "eval of a call": ("eval(make())", "line 1: eval() of a string built at run time"),
    "eval of an attribute": ("x = 1\neval(config.expr)", "line 2: eval() of a string"),
    "exec of a file": ("exec(open('a.py').read())", "line 1: exec() of a string"),
    "query": ("frame.query(make())", "line 1: query() of a string"),
    "query after an @": ("frame.query(f'x > @{name}')", "line 1: query() of a string"),
    "globals": ("globals()[make()]", "line 1: globals()[…] of a string"),
    "concatenation": ("eval(make() + ' * 2')", "line 1: eval() of a string"),
    "a part of a name": ("globals()[f'model_{item}']", "line 1: globals()[…] of a string"),
    "a whole name": ("globals()[f'{item}']", "line 1: globals()[…] of a string"),
    "a part of a name by %": ("globals()['model_%d' % item]", "line 1: globals()[…] of a string"),
    "a part of a name by format": ("eval('model_{}(1)'.format(item))", "line 1: eval() of a string"),
    "a part of a name in an expression": ("eval(f'2 * model_{item}')", "line 1: eval() of a string"),
    "a part of a name of a table": ("duckdb.sql(f'select * from sales_{item}')", "line 1: sql() of a string"),
    "names of two parts": ("duckdb.sql(f'select * from {a}_{b}')", "line 1: sql() of a string"),
    "names of two parts in code": ("eval(f'{a}_{b}')", "line 1: eval() of a string"),
    "a name that is read and bound": ("globals()[f'r_{item}'] += 1", "line 1: globals()[…] of a string"),
    "a name that is read first": ("exec(f'r_{item} += model_{item}')", "line 1: exec() of a string"),
    "a part after a string": ("eval(f'\"a\" + model_{item}')", "line 1: eval() of a string"),
    "a part of no known names": ("eval(f'model{op}one')", "line 1: eval() of a string"),
    "a part of code that cannot be parsed": ("eval(f'model_{item} {op} 1')", "line 1: eval() of a string"),
    "a part of a name after an @": ("frame.query(f'x > @limit_{item}')", "line 1: query() of a string"),
}
SEEN = (
    "eval('a')", "eval(expr)", "eval(many[0])", "text = 'a'\neval(text)", "frame.query(f'year == {item}')",
    "[eval(t) for t in ('a', 'b')]", "eval(make(), {'a': 1})", "globals()['a']", "eval(compile('a', 'b', 'eval'))",
    "model.eval()", "'{}'.format(1)", "eval('{} * a'.format(2))", "frame.query(f'x{item} > 1')", "frame.eval(f'x{item}')",
    "tree.query([0.1 * item, 0.2])", "eval(f'model.layer_{item}')", "eval('%d * a' % item)", "globals().get('a')",
    "'a' in globals()", "'{a}'.format(**globals())", "eval('a', globals())", "dict(vars(a))", "sorted(dir(a))",
    "def f():\n    b = 1\n    return list(locals())",
    "duckdb.sql(f\"SELECT avg(x) FROM 'part_{item}.csv'\")", "con.sql(f\"select * from t where city = 'x{item}'\")",
    "eval(f\"'abc{item}'\")", "eval(f'\"it\\'s x{item}\"')", "eval(f'\"x{item}\" {op} 1')", "exec(f'result_{item} = 1')",
    "exec(f'a_{item}, b_{item} = 1, 2\\nprint(a_{item})')", "exec(f'def f_{item}(x): return x')", "eval(f'a {op} b')",
    "exec('result_%d = 1' % item)", "globals()[f'r_{item}'] = 3", "del globals()[f'r_{item}']", "globals()[make()] = 3",
)  # fmt: skip


@pytest.mark.parametrize(("cell", "expected"), SAID.values(), ids=SAID.keys())
def test_a_text_that_is_made_at_run_time_is_told(cell, expected):
    (told,) = unseen.in_cell(ast.parse(cell), lambda name: name in {"expr", "many"})
    assert told.startswith(expected)
    assert "refer in the cell to every name it uses" in told


ALL = (
    "[v for k, v in globals().items() if k.startswith('model_')]", "for name in dir():\n    print(name)",
    "sorted(globals())", "list(vars().values())", "def f():\n    return [name for name in globals()]",
)  # fmt: skip


@pytest.mark.parametrize("cell", ALL)
def test_code_that_goes_through_all_names_is_told_that_few_are_there(cell):
    (told,) = unseen.in_cell(ast.parse(cell), lambda _: False)
    assert "() has only the names that the cell and its functions refer to" in told


def test_a_helper_that_goes_through_all_names_is_told_of(notebook):
    notebook.run("def one(x): return x\ndef models():\n    return [v for k, v in globals().items() if k == 'one']")
    assert any("models: globals() has only the names" in text for text in notebook.capture("models()").warnings)
    notebook.run("def held():\n    return globals()['one']")
    assert not any("globals()" in text for text in notebook.capture("held()").warnings)


def test_methods_of_other_objects_look_nothing_up(notebook):
    notebook.run(
        "from scipy.spatial import cKDTree\nimport numpy as np, pandas as pd\nt, at = cKDTree(np.eye(2)), 'x > 1'"
    )
    notebook.run("def made(): return at\nframe = pd.DataFrame({'x': [1, 2]})")
    assert not any("of a string" in text for text in notebook.capture("t.query(np.zeros(2))").warnings)
    assert any("of a string" in text for text in notebook.capture("frame.query(made())").warnings)


def test_between_two_names_that_exist_stands_an_operator(notebook):
    notebook.run("a, b = 1, 2\nmodel_1_b = 3")
    assert notebook.burst("eval(f'a{item}b')", map_expr="'+-'") == [3, -1]
    assert not any("of a string" in text for text in notebook.capture("eval(f'a{item}b')", map_expr="'+-'").warnings)
    assert any("of a string" in text for text in notebook.capture("eval(f'model_{item}_b')", map_expr="[1]").warnings)


def test_an_object_whose_class_has_no_module_is_no_table(notebook):
    made = {}
    exec("Own = type('Own', (), {'query': lambda self, text: text})", made)
    notebook.home["own"] = made["Own"]()
    assert notebook.capture("own.query(own.query('x'))").warnings == ()


@pytest.mark.parametrize("cell", SEEN)
def test_a_text_before_our_eyes_is_not(cell):
    assert list(unseen.in_cell(ast.parse(cell), lambda name: name in {"expr", "many"})) == []


def test_it_is_told_of_cells_and_helpers_before_they_run(notebook):
    notebook.run(SETUP)
    assert any("helper: eval() of a string" in text for text in notebook.capture("helper(str(pd))").warnings)
    assert any("helper: eval() of a string" in text for text in notebook.capture("[f(1) for f in (helper,)]").warnings)
    assert not any("of a string" in text for text in notebook.capture("helper('scale'), helper(expr)").warnings)
    assert not any("of a string" in text for text in notebook.capture("written(), stored()").warnings)
    assert not any("of a string" in text for text in notebook.capture("eval(item)", map_expr="['scale']").warnings)
    assert any("of a string" in text for text in notebook.capture("eval(item)", map_expr="iter(['scale'])").warnings)


def test_names_that_texts_may_bind_are_not_refused(notebook):
    assert notebook.burst("exec('made = 2')\nmade") == 2
    assert notebook.burst("globals()['made'] = 3\nmade") == 3
    assert notebook.burst("globals().update(made=4)\nmade") == 4
    with pytest.raises(CaptureError, match="'made' is not defined"):
        notebook.capture("eval('1')\nmade")


def test_names_that_functions_of_the_notebook_may_bind_are_not_refused(notebook):
    notebook.run("total = 1\ndef add(x):\n    global total, made\n    total += x\n    made = x\n    return total")
    assert notebook.burst("add(4), total, made") == (5, 5, 4)
    notebook.run(
        "class Adder:\n    def add(self, x):\n        def inner():\n            global late\n            late = x\n        inner()"
    )
    assert notebook.burst("Adder().add(3)\nlate") == 3
    with pytest.raises(CaptureError, match="'laet' is not defined"):
        notebook.capture("Adder().add(3)\nlaet")


def test_what_only_a_function_binds_that_the_cell_does_not_reach_is_refused(notebook):
    notebook.run("def init():\n    global model\n    model = 3\ndef start():\n    init()\ndef other(): pass")
    for cell in ("model + 1", "other()\nmodel"):
        with pytest.raises(CaptureError, match="'model' is not defined"):
            notebook.capture(cell)
    assert notebook.burst("start()\nmodel") == 3
    assert notebook.burst("[f() for f in (init,)]\nmodel") == 3
    assert notebook.burst("eval('init()')\nmodel") == 3


def test_names_in_texts():
    assert names_in("a.b + c1(d)['e'] _ _1 __name__", Looks.ALL) == {"a", "c1", "d", "e"}
    assert names_in("x > @a and y < @ b", Looks.MARKED) == {"a", "b"}
    assert names_in("select x from t", Looks.MARKED) == {"select", "x", "from", "t"}
    assert names_in("a", Looks.NOT) == set()
    assert imports_in("import a.b\nfrom c import d") == {"a.b", "c"}
    assert imports_in("important stuff") == set()
