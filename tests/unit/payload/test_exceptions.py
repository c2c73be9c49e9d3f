"""Exceptions come back whole: attributes, slots, what C keeps, and what they were raised from."""

import sys

import pytest

from burst_magic.errors import TaskFailed
from burst_magic.payload import pack, pack_error, pack_value, unpack, unpack_value
from burst_magic.payload.exceptions import DEEPEST

CLASSES = """
import attrs, dataclasses
class Refuses(Exception):
    def __setattr__(self, name, value): raise RuntimeError('no ' + name)
class Slotted(Exception):
    __slots__ = ('x',)
    def __init__(self, x): self.x = x
class Nothing(Exception):
    __slots__ = ('x',)
    def __init__(self): self.x = None
@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    x: int
@attrs.frozen
class AttrsFrozen(Exception):
    x: int
class Gone(OSError):
    def __init__(self, path, more):
        super().__init__(2, 'gone', path)
        self.more = more
class New(Exception):
    def __new__(cls, a, *, b):
        self = super().__new__(cls, a)
        self.b = b
        return self
    def __init__(self, a, *, b): super().__init__('text')
class Empty(Exception):
    def __len__(self): return 0
class Own(Exception):
    def __init__(self, a): self.a = a
    def __reduce__(self): return Own, (self.a,)
class Restored(Exception):
    def __init__(self, a): self.a = a
    def __setstate__(self, state): self.a = -state['a']
class Stuck(Exception):
    def __init__(self, text='stuck'):
        super().__init__(text)
        self.generator = (i for i in [])
"""


@pytest.fixture
def home():
    home = {"__name__": "__main__"}
    exec(CLASSES, home)
    return home


def raised(error, *, cause=None, context=None):
    try:
        try:
            if context is not None:
                raise context
        finally:
            if cause is None:
                raise error
            raise error from cause
    except BaseException as caught:
        return caught


def name_error():
    try:
        eval("no_such_name")
    except NameError as error:
        return error


MADE = {
    "one that refuses attributes": ("Refuses(1)", "e.args"),
    "slots": ("Slotted(3)", "e.x, e.args"),
    "a slot that holds None": ("Nothing()", "e.x"),
    "a frozen dataclass": ("Frozen(4)", "e.x, e.args"),
    "a frozen attrs class": ("AttrsFrozen(5)", "e.x, e.args, str(e)"),
    "an OSError with an own __init__": ("Gone('/p', 9)", "e.filename, e.errno, e.strerror, e.more, e.args, str(e)"),
    "an OSError with two files": ("OSError(2, 'no', 'a', None, 'b')", "e.filename, e.filename2, e.errno, str(e)"),
    "an OSError with a text": ("PermissionError('x')", "e.errno, e.filename, str(e)"),
    "how much was written": ("BlockingIOError(11, 'x', 5)", "e.characters_written, str(e)"),
    "an own __new__": ("New(1, b=2)", "e.b, e.args"),
    "an own __reduce__": ("Own(7)", "e.a"),
    "a syntax error": ("SyntaxError('bad', ('f.py', 3, 4, 'x =', 3, 5))", "e.filename, e.lineno, e.text, e.end_offset, str(e)"),
    "an import error": ("ImportError('bad', name='m', path='/p')", "e.name, e.path, str(e)"),
    "a Unicode error": ("UnicodeDecodeError('utf-8', b'\\xff', 0, 1, 'bad')", "e.object, e.start, e.reason, str(e)"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "seen"), MADE.values(), ids=MADE)
def test_an_exception_comes_back_as_it_was(home, made, seen):
    error = eval(made, home)
    expected = type(error), eval(seen, {**home, "e": error})
    roads = {
        "raised": unpack_value(pack_error(error, home=home), home=home),
        "returned": unpack_value(pack_value(error, home=home), home=home),
        "captured": captured(error, home),
    }
    for road, back in roads.items():
        kind = type(back) if road != "captured" else type(error)
        assert (kind, eval(seen, {**home, "e": back})) == expected, road


def captured(error, home):
    packed = pack({"error": error}, home=home)
    return unpack(packed.stream, packed.buffers, home={"__name__": "__main__"})["error"]


def test_an_own_setstate_is_called(home):
    assert unpack_value(pack_error(home["Restored"](7), home=home), home=home).a == -7


def test_the_name_that_was_not_defined_comes_back(home):
    assert unpack_value(pack_error(name_error(), home=home), home=home).name == "no_such_name"


@pytest.mark.parametrize("suppressed", [True, False])
def test_what_an_exception_was_raised_from_comes_back(home, suppressed):
    error = raised(ValueError(1), cause=home["Frozen"](2) if suppressed else None, context=OSError(2, "no", "/f"))
    back = unpack_value(pack_error(error, home=home), home=home)
    assert back.__suppress_context__ is suppressed
    assert (type(back.__context__), back.__context__.filename) == (FileNotFoundError, "/f")
    assert getattr(back.__cause__, "x", None) == (2 if suppressed else None)


def test_raised_from_none_stays_so(home):
    try:
        try:
            {}[1]
        except KeyError:
            raise ValueError(2) from None
    except ValueError as error:
        back = unpack_value(pack_error(error, home=home), home=home)
    assert (back.__cause__, back.__suppress_context__, type(back.__context__)) == (None, True, KeyError)


def test_what_a_returned_or_captured_exception_was_raised_from_comes_along_too(home):
    error = raised(ValueError(1), cause=KeyError(2))
    assert unpack_value(pack_value(error, home=home), home=home).__cause__.args == (2,)
    assert captured(error, home).__cause__.args == (2,)


def test_a_link_that_cannot_be_had_back_is_stood_for_and_the_others_are_not(home):
    error = raised(home["Own"](1), cause=raised(home["Stuck"](), context=KeyError("k")))
    back = unpack_value(pack_error(error, home=home), home=home)
    assert (type(back), back.a) == (home["Own"], 1)
    assert (type(back.__cause__), str(back.__cause__)) == (TaskFailed, "Stuck: stuck")
    assert back.__cause__.__context__.args == ("k",)


def test_what_cannot_be_had_back_keeps_what_it_was_raised_from(home):
    for error in (home["Stuck"](), SystemExit(3)):
        back = unpack_value(pack_error(raised(error, context=KeyError("k")), home=home), home=home)
        assert type(back) is TaskFailed
        assert back.__context__.args == ("k",)


def test_an_exception_that_is_false_is_a_cause_too(home):
    back = unpack_value(pack_error(raised(ValueError(1), cause=home["Empty"]()), home=home), home=home)
    assert type(back.__cause__) is home["Empty"]


def test_a_cycle_and_a_long_chain_come_back(home):
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    back = unpack_value(pack_error(first, home=home), home=home)
    assert back.__cause__.__cause__ is back
    error = ValueError(0)
    for number in range(1, 500):
        error = raised(ValueError(number), cause=error)
    back = unpack_value(pack_error(error, home=home), home=home)
    for _ in range(DEEPEST):
        back = back.__cause__
        assert type(back) is ValueError
    assert str(back.__cause__) == f"ValueError: {498 - DEEPEST}"


if sys.version_info >= (3, 11):
    from builtins import ExceptionGroup

    def test_notes_come_back(home):
        error = ValueError(1)
        error.add_note("the third")
        assert unpack_value(pack_error(error, home=home), home=home).__notes__ == ["the third"]

    def test_members_of_a_group_come_back_each_by_itself(home):
        inner = ExceptionGroup("h", [raised(KeyError(1), cause=OSError(2, "no", "/f")), home["Frozen"](3)])
        error = ExceptionGroup("g", [ValueError(1), home["Stuck"](), inner])
        back = unpack_value(pack_error(error, home=home), home=home)
        assert repr(back.exceptions[:2]) == "(ValueError(1), TaskFailed('Stuck: stuck'))"
        assert back.exceptions[2].exceptions[0].__cause__.filename == "/f"
        assert back.exceptions[2].exceptions[1].x == 3
