"""What was set in a local module since its import is told; what the module does itself is not."""

import ast
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from burst_magic.capture.drift import about_modules
from burst_magic.capture.literal import FileScope, NotLiteral, evaluate, same

SHAPES = """
import abc, collections, enum, functools, math, types
from dataclasses import dataclass, field
from typing import NamedTuple, TYPE_CHECKING

import numpy as np
from math import sqrt
from {other} import RATE

if TYPE_CHECKING:
    import nothing_at_all

BASE = 2
SCALE = BASE * 3 + 1
LEFT, RIGHT = 1, -1
LIMITS = {{"max": 10, "min": [1, 2], **{{"deep": {{"er": (1, [2])}}}}}}
NAMES = ["a", "b"]
KINDS = {{"x", "y"}}
SQUARES = [i * i for i in range(5) if i != 3]
TABLE = {{name: len(name) for name in NAMES}}
COUNTS = collections.Counter(a=1)
QUEUE = collections.deque([1, 2])
GROUPS = collections.defaultdict(list, a=[1])
OPTIONS = types.SimpleNamespace(depth=3, names=[1])
WEIGHTS = np.array([1.0, 2.0, np.nan])
ZEROS = np.zeros((2, 2), dtype=int)
HALF_TURN = math.pi
LABEL = f"v{{BASE}}"
NOTHING = None
model = None
place = None
_cache = {{}}
REGISTRY = {{}}
STARTED = {{}}
STARTED["at"] = 3
SIZE = len(STARTED)
FIRST = SECOND = {{}}
SECOND["a"] = 1
HANDED = []
calls = collections.Counter()


@dataclass
class Config:
    depth: int = 3
    rates: dict = field(default_factory=dict)
    names: list = field(default_factory=lambda: ["n"])


CONFIG = Config(4, rates={{"a": 1}})


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


class Shape:
    sides = 4
    colours = {{"red": 1}}
    made = []

    def area(self):
        return self.sides

    @staticmethod
    def unit():
        return 1

    @property
    def size(self):
        return 2

    def __hidden(self):
        return 1

    def keep(self):
        self.last = 1
        self.made.append(1)
        Shape.counted = 1


class Slotted:
    __slots__ = ("one", "two")


class Root:
    def __init_subclass__(cls):
        cls.run = functools.wraps(cls.run)(lambda self: 1)


class Leaf(Root):
    def run(self):
        return 1


class Base(abc.ABC):
    order = 1

    @abc.abstractmethod
    def run(self): ...


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    a: int = 1
    b: int = 2


Other = collections.namedtuple("Other", "a b")


def register(function):
    REGISTRY[function.__name__] = function
    return function


def fill(target):
    target.append(1)


fill(HANDED)


@register
def area(x):
    calls["area"] += 1
    return x * SCALE


def plain(x):
    return x


def twin(x):
    return x


@functools.lru_cache
def slow(x):
    return x


def remembered(x):
    if x not in _cache:
        _cache[x] = x
    return _cache[x]


def load():
    global model, place
    model, place = object(), "here"
    return model


def wrap(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)
    return inner


@wrap
def wrapped(x):
    return x


double = functools.partial(plain, BASE)
later = wrap(plain)


def __getattr__(name):
    raise AttributeError(name)
"""
OTHER = "RATE = 0.5\n"
TOLD = {
    "a constant": ("m.SCALE = 9", "SCALE was set here after the import"),
    "one of two constants": ("m.RIGHT = 9", "RIGHT was set here after the import"),
    "an entry": ("m.LIMITS['max'] = 100", "LIMITS was set here after the import"),
    "a nested entry": ("m.LIMITS['deep']['er'][1].append(3)", "LIMITS was set here after the import"),
    "an entry more": ("m.LIMITS['new'] = 1", "LIMITS was set here after the import"),
    "an entry less": ("del m.LIMITS['min']", "LIMITS was set here after the import"),
    "a list": ("m.NAMES.append('c')", "NAMES was set here after the import"),
    "a set": ("m.KINDS.add('z')", "KINDS was set here after the import"),
    "a comprehension": ("m.SQUARES[0] = 5", "SQUARES was set here after the import"),
    "a dictionary by comprehension": ("m.TABLE['a'] = 5", "TABLE was set here after the import"),
    "a counter": ("m.COUNTS['a'] += 5", "COUNTS was set here after the import"),
    "a deque": ("m.QUEUE.append(5)", "QUEUE was set here after the import"),
    "a defaultdict": ("m.GROUPS['b'].append(5)", "GROUPS was set here after the import"),
    "a namespace": ("m.OPTIONS.depth = 5", "OPTIONS was set here after the import"),
    "an array": ("m.WEIGHTS[0] = 5", "WEIGHTS was set here after the import"),
    "an array of zeros": ("m.ZEROS += 1", "ZEROS was set here after the import"),
    "a constant of a library": ("m.HALF_TURN = 3", "HALF_TURN was set here after the import"),
    "a text": ("m.LABEL = 'v3'", "LABEL was set here after the import"),
    "None that became a number": ("m.NOTHING = 3", "NOTHING was set here after the import"),
    "another type": ("m.NAMES = ('a', 'b')", "NAMES was set here after the import"),
    "a dataclass's field": ("m.CONFIG.depth = 5", "CONFIG was set here after the import"),
    "a dataclass's container": ("m.CONFIG.rates['b'] = 5", "CONFIG was set here after the import"),
    "a dataclass's default": ("m.CONFIG.names.append(5)", "CONFIG was set here after the import"),
    "a class attribute": ("m.Shape.sides = 5", "Shape.sides was set here after the import"),
    "a class's container": ("m.Shape.colours['blue'] = 5", "Shape.colours was set here after the import"),
    "a method": ("m.Shape.area = lambda self: 5", "Shape.area was set here after the import"),
    "a static method": ("m.Shape.unit = staticmethod(lambda: 5)", "Shape.unit was set here after the import"),
    "a property": ("m.Shape.size = property(lambda self: 5)", "Shape.size was set here after the import"),
    "a method that is gone": ("del m.Shape.area", "Shape.area was set here after the import"),
    "a new method": ("m.Shape.more = lambda self: 5", "Shape.more exists here only"),
    "an abstract class's attribute": ("m.Base.order = 5", "Base.order was set here after the import"),
    "a class": ("class Shape: pass\nm.Shape = Shape", "Shape was set here after the import"),
    "a function": ("m.plain = lambda x: 5", "plain was set here after the import"),
    "a function that is no function": ("m.plain = print", "plain was set here after the import"),
    "a function in another's place": ("m.plain = m.twin", "plain was set here after the import"),
    "a decorated function": ("def slow(x): return 5\nm.slow = slow", "slow was set here after the import"),
    "an imported function": ("m.sqrt = lambda x: 5", "sqrt was set here after the import"),
    "an imported constant": ("m.RATE = 5", "RATE was set here after the import"),
    "a constant that was handed on": ("m.BASE = 9", "BASE was set here after the import"),
    "a method of a class that its base had a say in": (
        "m.Leaf.run = lambda self: 5",
        "Leaf.run was set here after the import",
    ),
    "a new name": ("m.extra = 1", "extra exists here only"),
    "a new function": ("m.extra = lambda: 1", "extra exists here only"),
    "a name that is gone": ("del m.BASE", "BASE was deleted here"),
    "a function that is gone": ("del m.plain", "plain was deleted here"),
    "two at once": ("m.SCALE = 1\nm.plain = len", "SCALE, plain was set here after the import"),
}
SILENT = {
    "nothing": "pass",
    "a cache": "m.remembered(3), m.slow(3)",
    "a registry": "m.register(len)",
    "a counter of its own": "m.area(3)",
    "a model that is loaded": "m.load()",
    "what it filled at import": "m.STARTED, m.HANDED",
    "None that became an object": "m.NOTHING = [1]",
    "instances": "m.Shape().keep(), m.Config(), m.Point(1)",
    "the same again": "m.LIMITS = dict(m.LIMITS)",
    "a probe": "hasattr(m, 'absent')",
}


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [f"shapes_{tmp_path.name.replace('-', '_')}", f"other_{tmp_path.name.replace('-', '_')}"]
    (tmp_path / f"{names[0]}.py").write_text(SHAPES.format(other=names[1]))
    (tmp_path / f"{names[1]}.py").write_text(OTHER)
    importlib.invalidate_caches()
    yield importlib.import_module(names[0])
    for name in names:
        del sys.modules[name]


def told(module):
    tops = {module.__name__.partition(".")[0]}
    return about_modules([Path(f"{top}.py") for top in tops])


@pytest.mark.parametrize(("change", "expected"), TOLD.values(), ids=TOLD.keys())
def test_what_was_set_is_told(shapes, change, expected):
    exec(change, {"m": shapes, "__name__": "__main__"})
    file = f"{shapes.__name__}.py"
    assert told(shapes) == [f"{shapes.__name__}: {expected}: workers load {file} as it is on disk"]


@pytest.mark.parametrize("change", SILENT.values(), ids=SILENT.keys())
def test_what_the_module_does_itself_is_not(shapes, change):
    exec(change, {"m": shapes, "__name__": "__main__"})
    assert told(shapes) == []


def test_what_was_set_where_a_constant_comes_from_is_told_there(shapes):
    other = sys.modules[shapes.__name__.replace("shapes", "other")]
    other.RATE = 7
    assert told(shapes) == []
    assert [text.partition(":")[0] for text in told(other)] == [other.__name__]


def test_submodules_of_packages_are_compared_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "__init__.py").write_text("from boxes import lids\nfrom .lids import SIZES, WIDTH\n")
    (tmp_path / "boxes" / "lids.py").write_text("SIZES = {'a': 1}\nWIDTH = 3\n")
    importlib.invalidate_caches()
    boxes = importlib.import_module("boxes")
    importlib.import_module("boxes.lids")
    try:
        assert told(boxes) == []
        boxes.lids.SIZES["a"] = 2
        boxes.WIDTH = 4
        assert told(boxes) == [
            "boxes: WIDTH was set here after the import: workers load __init__.py as it is on disk",
            "boxes.lids: SIZES was set here after the import: workers load lids.py as it is on disk",
        ]
    finally:
        del sys.modules["boxes"], sys.modules["boxes.lids"]


def test_a_module_that_binds_names_by_other_means_may_have_any(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "loose.py").write_text("for i in '12':\n    globals()['made' + i] = i\nX = 1\n")
    importlib.invalidate_caches()
    loose = importlib.import_module("loose")
    try:
        assert told(loose) == []
        loose.X = 2
        assert len(told(loose)) == 1
    finally:
        del sys.modules["loose"]


@pytest.mark.parametrize(
    "text",
    [
        "1 + 2 * 3 ** 2", "-1, +2, ~3, not 4", "[*range(3)], {**{'a': 1}, 'b': 2}", "'a' * 3 + f'{1:03d}{\"b\"}'",
        "{x: y for x, y in zip('ab', [1, 2])}", "{x for x in (1, 2, 3) if x > 1}", "[(a, b) for a in '12' for b in range(int(a))]",
        "sorted({3, 1, 2})[1:]", "1 < 2 < 3 and 'x' or None", "3 if [] else 4", "dict(a=1)['a']", "1 in [1, 2]", "max(1, 2)",
    ],
)  # fmt: skip
def test_an_expression_is_worth_what_python_says(text):
    assert same(evaluate(ast.parse(text, mode="eval").body, FileScope()), eval(text))


@pytest.mark.parametrize(
    "text",
    [
        "open('x')", "name", "print(1)", "(1).bit_length()", "lambda: 1", "10 ** 10 ** 10", "'a' * 10 ** 9", "1 << 10 ** 9",
        "[0] * 10 ** 8", "[x for x in range(10 ** 9)]", "1 / 0", "__import__('os')", "[].append(1)", "{}['a']", "(yield)",
        "f'{1!r}'", "list(range(10 ** 8))", "dict(**x)", "math.pi",
    ],
)  # fmt: skip
def test_anything_else_is_unknown(text):
    with pytest.raises(NotLiteral):
        evaluate(ast.parse(text, mode="eval").body, FileScope())


def test_arrays_are_made_only_when_they_are_small():
    scope = FileScope(modules={"np": "numpy"})
    assert same(evaluate(ast.parse("np.ones((3, 4))", mode="eval").body, scope), np.ones((3, 4)))
    for text in ("np.ones(10**9)", "np.ones((10_000, 10_000))", "np.arange(0, 10**9)", "np.linspace(0, 1, num=10**9)"):
        with pytest.raises(NotLiteral):
            evaluate(ast.parse(text, mode="eval").body, scope)


def test_arrays_are_the_same_by_type_shape_and_contents():
    assert same(np.array([1.0, np.nan]), np.array([1.0, np.nan]))
    assert not same(np.array([1.0]), np.array([1]))
    assert not same(np.array([1.0]), np.array([[1.0]]))
    assert not same([1.0], np.array([1.0]))
    assert same(float("nan"), float("nan"))
    assert not same(True, 1)
