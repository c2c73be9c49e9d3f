"""Functions whose globals are not the notebook's, whatever these call themselves: generated and executed code."""

import pytest

from burst_magic.capture import capture_call

ATTRS = """
import attrs, attr, functools
from attrs import define, field, frozen, evolve, asdict, Factory
bias = 3
def double(x): return 2 * x + bias
def positive(instance, attribute, value):
    if value < 0: raise ValueError(attribute.name)
@define
class Base:
    x: int = field(converter=double, validator=positive)
    tags: list = Factory(list)
    y: int = field(factory=lambda: bias)
@define
class Child(Base):
    z: int = 0
    @functools.cached_property
    def slow(self): return self.z + bias
@frozen
class Frozen:
    a: int
    b: int = 2
@define(slots=False)
class Open:
    x: int = field(default=1, converter=float)
    @x.validator
    def _check(self, attribute, value): positive(self, attribute, value)
    def __attrs_post_init__(self): self.more = bias
@attr.s(auto_attribs=True, order=True, hash=True)
class Ordered:
    n: int
    m: int = attr.ib(default=attr.Factory(lambda self: self.n + bias, takes_self=True))
Made = attrs.make_class("Made", ["u", "v"])
"""

EXECUTED = """
space = {'__name__': '__main__', 'k': 40}
exec('def f(x): return g(x) + k\\ndef g(x): return x\\nclass A:\\n    def m(self): return k', space)
f, A, k = space['f'], space['A'], 1
"""

COPIED = """
import types
k = 1
def helper(): return k
def f(): return helper(), k
g = types.FunctionType(f.__code__, dict(globals()))
h = types.FunctionType(f.__code__, {'k': 9, 'helper': helper, '__name__': '__main__'})
k = 2
"""

RUN = """
import pathlib, runpy, tempfile
folder = tempfile.TemporaryDirectory()
script = pathlib.Path(folder.name, 'script.py')
script.write_text('k = 40\\ndef f(): return k\\nclass A:\\n    def g(self): return f()\\na = A()\\n')
space = runpy.run_path(str(script), run_name='__main__')
folder.cleanup()
a, f, k = space['a'], space['f'], 1
"""

PYDANTIC = """
from pydantic import BaseModel, Field, computed_field, field_validator
from pydantic.dataclasses import dataclass
k = 3
class Model(BaseModel):
    a: int = Field(default_factory=lambda: k)
    parts: list['Model'] = []
    @field_validator('a')
    @classmethod
    def more(cls, x): return x + k
    @computed_field
    @property
    def c(self) -> int: return self.a + k
@dataclass
class Checked:
    a: int
    def m(self): return self.a + k
model = Model(a=1)
"""

STANDARD = """
import enum, functools
from dataclasses import dataclass, field, replace
from typing import NamedTuple
k = 3
@dataclass(frozen=True, slots=True, order=True)
class Point:
    a: int = field(default_factory=lambda: k)
    def m(self): return self.a + k
class Pair(NamedTuple):
    a: int = 2
    def m(self): return self.a + k
class Color(enum.Enum):
    RED = 1
    def m(self): return k
@functools.singledispatch
def kind(x): return k
@kind.register
def _(x: str): return k + 1
"""

CASES = {
    "attrs: converters, validators and factories": (
        ATTRS, "b = Base(1)\nb.x, b.tags, b.y, evolve(b, y=9).y, Open(2).x, Open(2).more, Ordered(1).m",
        (5, [], 3, 9, 2.0, 3, 4),
    ),
    "attrs: frozen, eq, order and hash": (
        ATTRS, "evolve(Frozen(1), a=5).a, Frozen(1) == Frozen(1), {Ordered(1): 7}[Ordered(1)], Ordered(1) < Ordered(2)",
        (5, True, 7, True),
    ),
    "attrs: inheritance, slots, cached_property, make_class": (
        ATTRS, "c = Child(1, z=2)\nc.slow, asdict(c), Made(1, 2).v", (5, {"x": 5, "tags": [], "y": 3, "z": 2}, 2),
    ),
    "exec with globals of its own": (EXECUTED, "f(2), A().m(), k", (42, 40, 1)),
    "functions over copies of the globals": (COPIED, "f(), g(), h()", ((2, 2), (2, 1), (2, 9))),
    "a script that was run": (RUN, "a.g(), f(), k", (40, 40, 1)),
    "pydantic": (PYDANTIC, "model.c, Model(a='2').a, Model(parts=[{'a': 1}]).parts[0].a, Checked('4').m()", (7, 5, 4, 7)),
    "dataclasses, named tuples, enums, singledispatch": (
        STANDARD, ("Point().m(), replace(Point(1), a=5).a, Point(1) < Point(2), Pair(1).m(), Pair()._replace(a=5).a, "
        "Color.RED.m(), kind(1), kind('a')"), (6, 5, True, 4, 5, 3, 3, 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("setup", "cell", "expected"), CASES.values(), ids=CASES)
def test_each_function_finds_its_own_globals(notebook, setup, cell, expected):
    notebook.run(setup)
    assert notebook.burst(cell) == expected


@pytest.mark.parametrize(("setup", "cell", "expected"), CASES.values(), ids=CASES)
def test_each_function_finds_its_own_globals_when_it_is_an_item(notebook, setup, cell, expected):
    *first, last = cell.split("\n")
    notebook.run(setup)
    notebook.run("\n    ".join(["def task():", *first, f"return {last}"]))
    assert notebook.burst("item()", "[task]") == [expected]


def test_instances_of_attrs_classes_come_back_as_the_notebook_s_own(notebook):
    notebook.run(f"{ATTRS}\nitems = [Base(1), Frozen(1)]")
    for item, back in zip(notebook["items"], notebook.burst("item", "items"), strict=True):
        assert type(back) is type(item)
        assert back == item


def test_a_function_that_is_called_under_another_name_is_still_of_the_notebook(notebook):
    notebook.run("k = 1\ndef helper(): return k\nf = lambda x: x + helper() + k")
    packed = capture_call(notebook["f"], [1], namespace=notebook.home).packed
    assert {"k", "helper"} <= set(packed.names)
    assert notebook.call(notebook["f"], [1, 2]) == [3, 4]


def test_a_line_of_a_function_with_globals_of_its_own_shows_in_a_traceback(notebook):
    notebook.run("import types\ndef f(): return 1 / zero\ng = types.FunctionType(f.__code__, {'zero': 0})")
    with pytest.raises(Exception, match=r"def f\(\): return 1 / zero"):
        notebook.burst("g()")
