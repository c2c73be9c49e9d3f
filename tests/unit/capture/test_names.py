"""Which names a cell reads before it binds them."""

import ast
import sys

import pytest

from burst_magic.capture.mapping import parse_map
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
    "a walrus binds outside": ("[(y := i) for i in xs]\ny", "xs"),
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
