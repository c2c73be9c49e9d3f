"""Our ``dataclass`` against the standard library's: the same class made by both does the same."""

import copy
import dataclasses
import pickle
from dataclasses import field, replace

import pytest

from burst_magic import dataclass as ours


def _classes(decorator):
    """The same classes by one decorator."""

    @decorator(frozen=True, slots=True, kw_only=True)
    class Point:
        """Two numbers and what does not count."""

        x: float
        y: float = 0.0
        names: list = field(default_factory=list, repr=False, compare=False)

    @decorator(frozen=True, slots=True)
    class One:
        """A single field."""

        x: object

    @decorator(frozen=True, slots=True)
    class Nothing:
        """No field."""

    @decorator(slots=True)
    class Mutable:
        """No hash."""

        x: int = 1

    @decorator(slots=True, eq=False)
    class Identity:
        """Equal to itself only."""

        x: int = 1

    @decorator(frozen=True, slots=True)
    class Own:
        """Says for itself what it is equal to."""

        x: int

        def __eq__(self, other):
            return isinstance(other, Own)

        def __hash__(self):
            return 7

        def __repr__(self):
            return "own"

    @decorator(frozen=True, slots=True)
    class Hashed:
        """Has a hash of its own, and is compared by its field."""

        x: int

        def __hash__(self):
            return 7

    @decorator(frozen=True, slots=True)
    class Derived(One):
        """A field more."""

        z: int = 3

    @decorator(frozen=True, slots=True, order=True)
    class Ordered:
        """Has an order."""

        x: int

    return {each.__name__: each for each in (Point, One, Nothing, Mutable, Identity, Own, Hashed, Derived, Ordered)}


THEIRS, OURS = _classes(dataclasses.dataclass), _classes(ours.dataclass)
NAN = float("nan")


def _said(act):
    """Its value, or its error."""
    try:
        return act()
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    "act",
    [
        lambda c: c["Point"](x=1) == c["Point"](x=1.0, names=["a"]),
        lambda c: c["Point"](x=1) == c["Point"](x=2),
        lambda c: c["Point"](x=1) == (1, 0.0),
        lambda c: c["Point"](x=1) != c["One"](1),
        lambda c: hash(c["Point"](x=1)) == hash(c["Point"](x=1, names=["a"])),
        lambda c: len({c["Point"](x=1), c["Point"](x=1), c["Point"](x=2)}),
        lambda c: repr(c["Point"](x=1)),
        lambda c: c["Point"](1),
        lambda c: c["Point"](x=1).names is c["Point"](x=1).names,
        lambda c: replace(c["Point"](x=1), y=5).y,
        lambda c: dataclasses.asdict(c["Point"](x=1)),
        lambda c: [each.name for each in dataclasses.fields(c["Derived"])],
        lambda c: copy.copy(c["Point"](x=1)) == c["Point"](x=1),
        lambda c: copy.deepcopy(c["Derived"]([1])) == c["Derived"]([1]),
        lambda c: c["One"](NAN) == c["One"](float("nan")),
        lambda c: hash(c["One"]([])),
        lambda c: c["Nothing"]() == c["Nothing"](),
        lambda c: len({c["Nothing"](), c["Nothing"]()}),
        lambda c: repr(c["Nothing"]()),
        lambda c: c["Mutable"]() == c["Mutable"](),
        lambda c: hash(c["Mutable"]()),
        lambda c: c["Identity"]() == c["Identity"](),
        lambda c: len({c["Identity"](), c["Identity"]()}),
        lambda c: (c["Own"](1) == c["Own"](2), hash(c["Own"](1)), repr(c["Own"](1))),
        lambda c: (c["Hashed"](1) == c["Hashed"](2), hash(c["Hashed"](1))),
        lambda c: c["Derived"](1) == c["One"](1),
        lambda c: repr(c["Derived"](1)),
        lambda c: c["Ordered"](1) < c["Ordered"](2),
        lambda c: c["Point"].__match_args__ + c["Derived"].__match_args__,
        lambda c: hasattr(c["Derived"](1), "__dict__"),
    ],
)
def test_does_what_the_standard_one_does(act):
    assert repr(_said(lambda: act(OURS))) == repr(_said(lambda: act(THEIRS)))


def test_nan_is_compared_as_in_a_tuple():
    """As the standard one's until 3.13."""
    assert OURS["One"](NAN) == OURS["One"](NAN)


def test_shows_what_holds_itself():
    one = OURS["One"]([])
    one.x.append(one)
    assert repr(one).endswith("One(x=[...])")


@ours.dataclass(frozen=True, slots=True, kw_only=True)
class Travels:
    """Of a module, so that pickle finds it."""

    x: int
    y: str = ""


def test_travels_by_pickle():
    assert pickle.loads(pickle.dumps(Travels(x=1, y="a"))) == Travels(x=1, y="a")
