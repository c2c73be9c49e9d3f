"""Which names a cell reads before it binds them."""

import ast
import sys

import pytest

from burst_magic.capture.mapping import count, parse_map
from burst_magic.capture.names import cell_names

CASES = {
    "an assigned name is the cell's": ("x = 1\nx", ""),
    "a name read first is captured": ("x = x + 1", "x"),
    "an augmented assignment reads": ("x += 1", "x"),
    "a branch may not bind": ("if c:\n    x = 1\nx", "c x"),
    "both branches bind": ("if c:\n    x = 1\nelse:\n    x = 2\nx", "c"),
    "a branch that leaves does not count": ("if c:\n    raise E\nelse:\n    x = 2\nx", "c E"),
    "a loop may not run": ("for i in xs:\n    y = i\ny", "xs y"),
    "a loop's target is bound inside": ("for i, (j, *k) in xs:\n    i + j + k", "xs"),
    "while": ("while a:\n    b = 1\nb", "a b"),
    "with binds": ("with open(p) as f:\n    f.read()", "open p"),
    "try may not finish": ("try:\n    x = 1\nexcept ValueError:\n    pass\nx", "ValueError x"),
    "try or its handler binds": ("try:\n    x = 1\nexcept E as e:\n    x = e\nx", "E"),
    "finally binds": ("try:\n    f()\nfinally:\n    x = 1\nx", "f"),
    "del reads and unbinds": ("x = 1\ndel x\nx", "x"),
    "imports bind": ("import a.b, c as d\nfrom e import f as g\na, d, g", ""),
    "comprehensions have a scope": ("[i * k for i in xs if i]\ni", "xs k i"),
    "a comprehension's first iterable is outside": ("[x for x in x]", "x"),
    "nested comprehensions": ("[[j for j in i] for i in xs]", "xs"),
    "a walrus binds outside, if there is a round": ("[(y := i) for i in xs]\ny", "xs y"),
    "a walrus in a filter binds what is kept": ("[y for i in xs if (y := f(i))]", "xs f"),
    "an element before its walrus": ("[(y, (y := i)) for i in xs]", "xs y"),
    "a walrus in a lambda is the lambda's": ("f = lambda: (y := 1)\ny", "y"),
    "suppressed": ("with suppress(E):\n    x = t[i]\nx", "suppress E t i x"),
    "a manager's own target": ("with a as x, b as y:\n    pass\nx, y", "a b y"),
    "a target that is taken apart": ("with a as (x, y):\n    x, y\nx", "a x"),
    "async with": ("async with a as x:\n    y = 1\nx, y", "a y"),
    "and": ("a and (x := b)\nx", "a b x"),
    "what follows and is bound where it was true": ("if (x := a) and (y := b):\n    x, y\nelse:\n    x, y", "a b y"),
    "or": ("a or (x := b)\nx", "a b x"),
    "not or": ("if not (a or (x := b)):\n    x\nelse:\n    x", "a b x"),
    "if expressions": ("(x := a) if b else (y := c)\nx, y", "a b c x y"),
    "both arms": ("(x := a) if b else (x := c)\nx", "a b c"),
    "chained comparisons": ("a < (x := b) < (y := c)\nx, y", "a b c y"),
    "a test of while is made at least once": ("while (x := f()):\n    pass\nx", "f"),
    "a loop for ever is left by break": ("while True:\n    x = 1\n    if c: break\nx", "c"),
    "a loop left early": ("for i in xs:\n    if i: break\n    x = 1\nelse:\n    x = 2\nx", "xs x"),
    "a loop's else binds when no break is there": ("for i in xs:\n    pass\nelse:\n    x = 2\nx", "xs"),
    "continue": ("for i in xs:\n    if i: continue\n    x = 1\n    x", "xs"),
    "deleted in the round before": ("x = 1\nfor i in xs:\n    x\n    del x", "xs x"),
    "deleted in the round before, under while": ("x = 1\nwhile c:\n    x\n    del x", "c x"),
    "deleted before a helper runs": ("k = 1\ndef f(): return k\ng = [f]\ndel k\ng[0]()", "k"),
    "finally reads": ("try:\n    x = f()\nfinally:\n    x", "f x"),
    "after finally": ("try:\n    x = f()\nfinally:\n    pass\nx", "f"),
    "a guard that binds": ("match p:\n    case a if (x := a): x\n    case _: x\nx", "p x"),
    "every case binds": ("match p:\n    case 1: x = 1\n    case _: x = 2\nx", "p"),
    "a case may fit or not": ("match p:\n    case [x]: pass\nx", "p x"),
    "assert may be dropped": ("assert (x := f())\nx", "f x"),
    "augmented values come second": ("x += (x := 1)", "x"),
    "annotated without a value": ("x: int\nx", "int x"),
    "import under if": ("if c:\n    import a\na", "c a"),
    "a class's body falls back": ("class A:\n    if c:\n        x = 1\n    x", "c x"),
    "a class's global": ("class A:\n    global x\n    x = 1\nx", ""),
    "a function's global": ("def f():\n    global x\n    x = 1\nf()\nx", "x"),
    "a helper's use in one branch": ("def f(): return k\nif c:\n    k = 1\n    f()\nf()", "c k"),
    "a helper that may not be there": ("with a:\n    def f(): return k\nf()\nk = 1", "a f k"),
    "a class that runs its methods": ("class A:\n    def f(): return k\n    x = f()\nk = 1", "k"),
    "annotations in a class see the class": ("class A:\n    class B: pass\n    def f(self) -> B: pass\nA", ""),
    "keys and values in turn": ("{1: x, (x := 2): 3}", "x"),
    "default values bind outside": ("def f(a=(x := 1)): pass\nx", ""),
    "lambdas": ("f = lambda a, b=d: a + b + c", "d c"),
    "functions": ("def f(a, *b, c=d, **e):\n    g = 1\n    return a, b, c, e, g, h\nf", "d h"),
    "a function sees what is bound before it is mentioned": ("def f(): return k\nk = 1\nf()", ""),
    "a function mentioned too early": ("def f(): return k\nf()\nk = 1", "k"),
    "functions that mention each other": ("def f(): return g()\ndef g(): return k\nf()", "k"),
    "nested functions": ("def f():\n    a = 1\n    def g():\n        return a + b\n    return g\nf", "b"),
    "global": ("def f():\n    global n\n    n = n + 1\nf()", "n"),
    "nonlocal": ("def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += m\n    g()\nf()", "m"),
    "decorators run at once": ("@deco\ndef f(): return k\nk = 1", "deco k"),
    "annotations are read": ("def f(a: T) -> R: pass\nx: S = 1\nf", "T R S"),
    "annotations in functions are not": ("def f():\n    x: S = 1\n    return x\nf", ""),
    "annotations of the future are not": ("from __future__ import annotations\ndef f(a: T): pass\nx: S = 1\nf", ""),
    "class bodies run at once": (
        "class A(B, metaclass=M):\n    x = y\n    z = x\n    def f(self): return w, A\nA",
        "B M y w",
    ),
    "methods do not see class names": ("class A:\n    k = 1\n    def f(self): return k\nA", "k"),
    "super and self": ("class A(B):\n    def f(self): return super().f(), __class__\nA", "B super"),
    "match": ("match p:\n    case [a, *b] if a: a, b\n    case {'k': c, **d}: c, d\n    case K(x=e): e", "p K"),
    "f strings": ("f'{a!r:>{b}} {c=}'", "a b c"),
    "await": ("async def f():\n    async for i in g(): yield i\nawait h(f)", "g h"),
    "attributes and keywords are no names": ("a.b.c(d=e)", "a e"),
    "implicit names": ("__name__, __file__", ""),
    "starred targets": ("a, *b = c\nb", "c"),
    "chained assignment": ("a = b = c\na, b", "c"),
    "except star leaves no name": ("try:\n    pass\nexcept E as e:\n    pass\ne", "E e"),
}


@pytest.mark.parametrize(("cell", "expected"), CASES.values(), ids=CASES.keys())
def test_reads(cell, expected):
    assert set(cell_names(ast.parse(cell)).reads) == set(expected.split())


if sys.version_info >= (3, 12):

    def test_reads_in_the_new_syntax():
        assert set(cell_names(ast.parse("def f[T: B](x: T): return y\ntype A[V] = list[V]\nclass C[W](D[W]): z: W\nf, A")).reads) == {
            "B", "y", "list", "D",
        }  # fmt: skip


def test_a_name_that_nothing_could_have_bound_is_surely_read():
    found = cell_names(ast.parse("x = x + 1\nwith a:\n    y = 1\ny"))
    assert found.surely == {"x", "a"}
    assert set(found.reads) == {"x", "a", "y"}


def test_names_that_functions_bind_as_globals_are_known():
    assert cell_names(ast.parse("def f():\n    global n\n    n = 1\nf()\nn")).bound == {"f", "n"}


def test_a_manager_that_lets_exceptions_through_hides_nothing():
    tree = ast.parse("with a as f, b:\n    x = 1\nx")
    assert set(cell_names(tree, steady=lambda *_: True).reads) == {"a", "b"}
    assert set(cell_names(tree, steady=lambda node, _: node.id == "a").reads) == {"a", "b", "x"}


def test_lines_of_every_read_are_kept():
    assert cell_names(ast.parse("a\n\na + b\na")).reads == {"a": (1, 3, 4), "b": (3,)}


def test_names_bound_by_map_are_bound_from_the_start():
    assert cell_names(ast.parse("item + x"), bound=frozenset({"item"})).reads == {"x": (1,)}


def test_a_star_import_may_bind_anything():
    assert cell_names(ast.parse("from math import *\nsqrt(4)")).star


@pytest.mark.parametrize(
    ("text", "target", "expression"),
    [
        ("items", "item", "items"),
        ("range(10)", "item", "range(10)"),
        ("x in xs", "x", "xs"),
        ("i, row in df.iterrows()", "i, row", "df.iterrows()"),
        ("(a, b), c in z", "(a, b), c", "z"),
        ("a, *b in z", "a, *b", "z"),
        ("[x for x in xs if x in ys]", "item", "[x for x in xs if x in ys]"),
        ("(x for x in xs)", "item", "(x for x in xs)"),
        ("x in xs if xs else ys", "x", "xs if xs else ys"),
        ("  [1, 2] ", "item", "[1, 2]"),
        ("product(a, b)", "item", "product(a, b)"),
        ("lambda_list", "item", "lambda_list"),
    ],
)
def test_map_reads_like_a_for_loop(text, target, expression):
    assert parse_map(text) == (target, expression)


class _Unsized:
    def __len__(self):
        raise TypeError("len() of unsized object")

    def __iter__(self):
        return iter([1, 2])


@pytest.mark.parametrize(("items", "number"), [([1, 2], 2), (range(0), 0), (iter([1]), None), (_Unsized(), None)])
def test_items_that_do_not_tell_their_number_are_items(items, number):
    assert count(items) == number
