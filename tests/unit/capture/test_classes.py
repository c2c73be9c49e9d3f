"""Classes of a notebook: on the worker they work, in the notebook their instances are the notebook's own (point 4)."""

import sys

import pytest

SHAPES = """
import abc, enum, typing, dataclasses, collections, functools
from typing import Generic, Protocol, TypeVar, NamedTuple, Any
pi = 3
def area_of(x): return x.area()

class Base:
    kinds = []
    def __init__(self, x): self.x = x
    def name(self): return 'base'
    def __eq__(self, other): return type(self) is type(other) and vars(self) == vars(other)
    __hash__ = None

class Circle(Base):
    unit = Base(1)
    def name(self): return super().name() + ' circle'
    def area(self): return self.x ** 2 * pi
    @property
    def twice(self): return 2 * self.x
    @twice.setter
    def twice(self, value): self.x = value / 2
    @classmethod
    def make(cls, x): return cls(x)
    @staticmethod
    def helper(x): return area_of(Circle(x))
    @functools.cached_property
    def slow(self): return self.x + pi
    class Inner:
        def outer(self): return Circle
"""


@pytest.fixture
def shapes(notebook):
    notebook.run(SHAPES)
    return notebook


def test_super_properties_and_methods_work(shapes):
    cell = "c = Circle.make(item)\nc.twice = 8\nc.name(), c.area(), c.twice, Circle.helper(1), c.slow, Circle.unit.x"
    assert shapes.burst(cell, "[1]") == [("base circle", 48.0, 8.0, 3, 7.0, 1)]


def test_an_instance_comes_back_as_an_instance_of_the_notebook_s_class(shapes):
    result = shapes.burst("Circle(item)", "[1]")[0]
    assert type(result) is shapes["Circle"]


def test_an_instance_of_a_nested_class_comes_back_as_such(shapes):
    assert type(shapes.burst("Circle.Inner()")) is shapes["Circle"].Inner
    assert shapes.burst("Circle.Inner().outer() is Circle") is True


def test_a_class_is_returned_as_itself(shapes):
    assert shapes.burst("[Circle, area_of]") == [shapes["Circle"], shapes["area_of"]]


def test_instances_as_items_bring_their_class_along(shapes):
    shapes.run("items = [Circle(1), Circle(2)]")
    results = shapes.burst("item.area(), item", "items")
    assert [area for area, _ in results] == [3, 12]
    assert all(type(item) is shapes["Circle"] for _, item in results)


def test_items_and_the_cell_mean_the_same_class(shapes):
    shapes.run("items = [Circle(1)]")
    assert shapes.burst("isinstance(item, Circle) and type(item) is Circle", "items") == [True]


def test_a_value_s_class_that_nobody_mentions_comes_back_as_the_notebook_s(shapes):
    shapes.run("c = Circle(5)")
    assert type(shapes.burst("c")) is shapes["Circle"]


def test_a_class_without_a_name_keeps_its_identity(notebook):
    notebook.run("def make():\n    class Local:\n        n = 1\n    return Local\nk = make()\nitems = [k()]\nx = k()")
    result = notebook.burst("isinstance(item, type(x)), type(item) is k, item", "items")[0]
    assert result[:2] == (True, True)
    assert type(result[2]) is notebook["k"]


def test_an_object_of_a_class_that_was_defined_again_keeps_the_old_class(notebook):
    notebook.run("class A:\n    v = 1\nold = A()\nclass A:\n    v = 2")
    back = notebook.burst("assert old.v == 1 and A.v == 2\nold")
    assert type(back) is type(notebook["old"])


def test_a_class_defined_in_the_cell_comes_back_by_value(notebook):
    result = notebook.burst("k = 3\nclass R:\n    def get(self): return k + help_(1)\ndef help_(x): return x\nR()")
    assert result.get() == 4
    assert "R" not in notebook.home
    assert "k" not in notebook.home


def test_a_class_of_the_cell_that_extends_one_of_the_notebook_comes_back_as_its_subclass(notebook):
    notebook.run("class A:\n    def f(self): return 1")
    result = notebook.burst("class B(A):\n    def f(self): return super().f() + 1\nB()")
    assert isinstance(result, notebook["A"])
    assert result.f() == 2


def test_a_function_defined_in_the_cell_comes_back_and_leaves_the_notebook_alone(notebook):
    notebook.run("base = 1")
    f = notebook.burst("more = 5\ndef g(x): return base + more + x\ng")
    assert f(1) == 7
    assert "more" not in notebook.home


def test_slots_travel(notebook):
    notebook.run(
        "class P:\n    __slots__ = ('x', 'y')\n    def __init__(self, x): self.x = x\n"
        "class Q(P):\n    __slots__ = 'z'\nclass R(P): pass\np = P(1)"
    )
    assert notebook.burst("q = Q(2); q.z = 5\nhasattr(q, '__dict__'), q.x, q.z, p.x, R(4).x, hasattr(p, 'y')") == (
        False, 2, 5, 1, 4, False,
    )  # fmt: skip
    assert notebook.burst("p").x == 1


def test_metaclasses_travel(notebook):
    notebook.run(
        "made = []\n"
        "class Meta(type):\n"
        "    def __new__(mcs, name, bases, ns, *, tag=None, **kw):\n"
        "        made.append(name)\n"
        "        cls = super().__new__(mcs, name, bases, ns)\n"
        "        cls.tag = tag\n"
        "        return cls\n"
        "    def __init__(cls, name, bases, ns, **kw): super().__init__(name, bases, ns)\n"
        "    def __call__(cls, *a): return super().__call__(*a)\n"
        "    @property\n"
        "    def kind(cls): return 'kind of ' + cls.__name__\n"
        "class A(metaclass=Meta, tag=7):\n"
        "    def __init__(self, x): self.x = x\n"
    )
    assert notebook.burst("A(1).x, A.tag, A.kind, type(A) is Meta, made") == (1, 7, "kind of A", True, ["A"])


def test_init_subclass_with_keywords_is_not_run_again(notebook):
    notebook.run(
        "class Plugin:\n"
        "    known = {}\n"
        "    def __init_subclass__(cls, *, name, **kw):\n"
        "        super().__init_subclass__(**kw)\n"
        "        Plugin.known[name] = cls\n"
        "class A(Plugin, name='a'): pass\n"
    )
    assert notebook.burst("list(Plugin.known), Plugin.known['a'] is A") == (["a"], True)
    assert notebook.burst("class B(Plugin, name='b'): pass\nsorted(Plugin.known)") == ["a", "b"]


def test_abstract_classes_stay_abstract(notebook):
    notebook.run(
        "from abc import ABC, abstractmethod\n"
        "class Shape(ABC):\n    @abstractmethod\n    def area(self): ...\n"
        "class Square(Shape):\n    def area(self): return 4\n"
        "class Other: pass\nShape.register(Other)\n"
    )
    cell = "try:\n    Shape()\n    made = True\nexcept TypeError:\n    made = False\n"
    cell += "made, Square().area(), isinstance(Square(), Shape), isinstance(Other(), Shape), isinstance(1, Shape)"
    assert notebook.burst(cell) == (False, 4, True, True, False)


def test_generics_travel(notebook):
    notebook.run(
        "from typing import Generic, TypeVar, Optional\n"
        "T = TypeVar('T', bound=int)\n"
        "class Box(Generic[T]):\n    def __init__(self, v: T): self.v = v\n"
        "class IntBox(Box[int]): pass\n"
        "alias = Box[int]\n"
    )
    cell = "Box(1).v, IntBox(2).v, Box.__parameters__ == (T,), alias(3).v, Box[int] == alias, T.__bound__ is int"
    assert notebook.burst(cell) == (1, 2, True, 3, True, True)
    assert notebook.burst("T") is notebook["T"]
    assert type(notebook.burst("IntBox(2)")) is notebook["IntBox"]


def test_protocols_travel(notebook):
    notebook.run(
        "from typing import Protocol, runtime_checkable\n"
        "@runtime_checkable\nclass Named(Protocol):\n    def name(self) -> str: ...\n"
        "class A:\n    def name(self): return 'a'\n"
        "class B(Named):\n    def __init__(self): self.x = 1\n    def name(self): return 'b'\n"
    )
    cell = "try:\n    Named()\n    made = True\nexcept TypeError:\n    made = False\n"
    cell += "made, isinstance(A(), Named), isinstance(1, Named), B().name(), B().x"
    assert notebook.burst(cell) == (False, True, False, "b", 1)


def test_dataclasses_travel(notebook):
    notebook.run(
        "from dataclasses import dataclass, field, fields, replace, asdict, KW_ONLY, MISSING\n"
        "start = 5\n"
        "@dataclass(order=True)\nclass P:\n    x: int\n    y: list = field(default_factory=list)\n    z: int = start\n"
        "@dataclass(frozen=True, slots=True)\nclass Q:\n    _: KW_ONLY\n    p: P\n"
        "q = Q(p=P(1))"
    )
    cell = "a = P(1)\nb = replace(a, y=[2])\nb, asdict(q), [f.name for f in fields(P)], P(1) < P(2), fields(P)[0].default is MISSING"
    b, q, names, less, missing = notebook.burst(cell)
    assert b == notebook["P"](1, [2], 5)
    assert (q, names, less, missing) == ({"p": {"x": 1, "y": [], "z": 5}}, ["x", "y", "z"], True, True)
    assert notebook.burst("q") == notebook["q"]


def test_enums_keep_their_identity(notebook):
    notebook.run(
        "from enum import Enum, IntEnum, Flag, IntFlag, auto, unique\n"
        "class Color(Enum):\n    RED = 1\n    GREEN = 'g'\n    ROT = 1\n    def shout(self): return self.name + '!'\n"
        "    @classmethod\n    def first(cls): return cls.RED\n"
        "class N(IntEnum):\n    A = auto()\n    B = auto()\n"
        "class S(str, Enum):\n    X = 'x'\n"
        "class F(Flag):\n    R = auto()\n    W = auto()\n    RW = R | W\n"
        "class G(IntFlag):\n    A = 1\n    B = 2\n"
        "red = Color.RED\nrw = F.R | F.W\n"
    )
    cell = "red is Color.RED, Color('g').shout(), Color.ROT is Color.RED, Color.first() is red, N.B + 1, S.X + 'y', "
    cell += "rw is F.RW, F.R in rw, (G.A | G.B) == 3, list(Color) == [Color.RED, Color.GREEN], Color['RED'] is red"
    assert notebook.burst(cell) == (True, "GREEN!", True, True, 3, "xy", True, True, True, True, True)
    back = notebook.burst("[red, Color.GREEN, N.B, S.X, F.RW, F.R | F.W, G.B]")
    color, number, flag = notebook["Color"], notebook["N"], notebook["F"]
    assert back[0] is color.RED
    assert back[1] is color.GREEN
    assert back[2] is number.B
    assert back[3] is notebook["S"].X
    assert back[4] is back[5] is flag.RW
    assert back[6] is notebook["G"].B


def test_enums_with_an_own_init_or_new_keep_their_members_attributes(notebook):
    notebook.run(
        "from enum import Enum\n"
        "class Planet(Enum):\n"
        "    EARTH = (6, 3)\n    MARS = (4, 2)\n"
        "    def __init__(self, mass, radius):\n        self.mass = mass\n        self.radius = radius\n"
        "    @property\n    def density(self): return self.mass / self.radius\n"
        "class Coord(bytes, Enum):\n"
        "    def __new__(cls, value, label):\n"
        "        obj = bytes.__new__(cls, [value])\n        obj._value_ = value\n        obj.label = label\n        return obj\n"
        "    PX = (7, 'P.X')\n    PY = (8, 'P.Y')\n"
        "class Auto(Enum):\n"
        "    def _generate_next_value_(name, start, count, last): return name.lower()\n"
        "    @classmethod\n    def _missing_(cls, value): return cls.ONE\n"
        "    ONE = __import__('enum').auto()\n"
    )
    cell = "Planet.MARS.density, Planet((6, 3)).mass, Coord.PX.label, Coord(8) is Coord.PY, bytes(Coord.PX), Auto.ONE.value, Auto('?') is Auto.ONE"
    assert notebook.burst(cell) == (2.0, 6, "P.X", True, b"\x07", "one", True)


def test_an_enum_whose_methods_mention_itself_travels(notebook):
    notebook.run(
        "from enum import Enum\nclass E(Enum):\n    A = 1\n    B = 2\n    def other(self): return E.B if self is E.A else E.A"
    )
    assert notebook.burst("E.A.other().name, E.B.other() is E.A") == ("B", True)


def test_named_tuples_travel(notebook):
    notebook.run(
        "from collections import namedtuple\nfrom typing import NamedTuple\n"
        "P = namedtuple('P', 'x y', defaults=[3])\n"
        "class Q(NamedTuple):\n    a: int\n    b: str = 'b'\n    def both(self): return self.a, self.b\n"
        "p = P(1)"
    )
    assert notebook.burst("p.y, P(1, 2)._replace(x=5), Q(1).both(), Q._fields, P._make([1, 2])") == (
        3, (5, 2), (1, "b"), ("a", "b"), (1, 2),
    )  # fmt: skip
    back = notebook.burst("[p, Q(7)]")
    assert [type(part) for part in back] == [notebook["P"], notebook["Q"]]


def test_a_typed_dict_and_a_new_type_travel(notebook):
    notebook.run("from typing import TypedDict, NewType\nclass D(TypedDict):\n    a: int\nId = NewType('Id', int)")
    assert notebook.burst("D(a=1), Id(4), D.__annotations__") == ({"a": 1}, 4, {"a": int})


def test_descriptors_travel_with_their_names(notebook):
    notebook.run(
        "class Field:\n    def __set_name__(self, owner, name): self.name = name\n"
        "    def __get__(self, obj, kind): return self.name if obj is None else obj.__dict__.get(self.name, 'none')\n"
        "class A:\n    f = Field()\n"
    )
    assert notebook.burst("A.f, A().f") == ("f", "none")


def test_exceptions_with_an_own_init_travel_both_ways(notebook):
    notebook.run(
        "class Bad(ValueError):\n    def __init__(self, code, *, why):\n"
        "        super().__init__(f'{code}: {why}')\n        self.code = code\n"
        "e = Bad(3, why='x')"
    )
    back = notebook.burst("assert e.code == 3 and str(e) == '3: x'\nBad(item, why='y')", "[4]")[0]
    assert type(back) is notebook["Bad"]
    assert (back.code, str(back), back.args) == (4, "4: y", ("4: y",))


def test_the_cell_s_own_exception_class_comes_back(notebook):
    back = notebook.burst("class Oops(OSError):\n    def __init__(self, *, n): self.n = n\nOops(n=2)")
    assert (type(back).__name__, back.n, isinstance(back, OSError)) == ("Oops", 2, True)


def test_instances_with_own_pickling_may_use_helpers_of_the_notebook(notebook):
    notebook.run(
        "def double(x): return 2 * x\n"
        "class A:\n    def __getstate__(self): return 1\n    def __setstate__(self, s): self.x = double(s)\n"
        "class Key:\n    def __hash__(self): return double(4)\n    def __eq__(self, o): return True\n"
        "a = A()\nd = {Key(): 1}\nkeys = {Key()}"
    )
    assert notebook.burst("a.x, len(d), len(keys)") == (2, 1, 1)


def test_a_class_with_a_cycle_through_its_attributes_travels(notebook):
    notebook.run("class A: pass\nA.me = A\nA.inst = A()\nclass B(A):\n    pass\nA.child = B")
    assert notebook.burst("A.me is A and type(A.inst) is A and A.child is B and issubclass(B, A)") is True


def test_a_class_decorator_travels(notebook):
    notebook.run("import functools\n@functools.total_ordering\nclass V:\n    def __init__(self, x): self.x = x\n"
                 "    def __eq__(self, o): return self.x == o.x\n    def __lt__(self, o): return self.x < o.x")  # fmt: skip
    assert notebook.burst("V(1) >= V(0), max([V(1), V(3)], key=lambda v: v.x).x") == (True, 3)


def test_subclasses_of_builtins_travel(notebook):
    notebook.run("class L(list):\n    def total(self): return sum(self)\nclass D(dict):\n    def __missing__(self, k): return k\n"
                 "l = L([1, 2]); l.tag = 1\nd = D(a=1)")  # fmt: skip
    assert notebook.burst("l.total(), l.tag, d['q']") == (3, 1, "q")
    assert type(notebook.burst("l")) is notebook["L"]


if sys.version_info >= (3, 12):  # the syntax is younger

    def test_the_new_generic_syntax_travels(notebook):
        notebook.run(
            "class Box[T]:\n    def __init__(self, v: T): self.v = v\n"
            "type Pair = tuple[int, int]\ndef f[U](x: U) -> U: return x"
        )
        cell = "Box(3).v + f(1), len(Box.__type_params__), Pair.__value__"
        assert notebook.burst(cell) == (4, 1, tuple[int, int])
