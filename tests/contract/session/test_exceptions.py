"""What a task raises is raised where its result is touched, whatever the exception's class has against it."""

from __future__ import annotations

import pytest

from burst_magic.errors import TaskFailed

CLASSES = """
import attrs, dataclasses
class Refuses(Exception):
    def __setattr__(self, name, value): raise RuntimeError('no ' + name)
class Slotted(Exception):
    __slots__ = ()
@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    x: int
@attrs.frozen
class AttrsFrozen(Exception):
    x: int
"""


@pytest.mark.parametrize("kind", ["Refuses", "Slotted", "Frozen", "AttrsFrozen"])
def test_an_exception_that_refuses_attributes_is_raised_returned_and_skipped(world, kind):
    world.home["__name__"] = "__main__"
    exec(CLASSES, world.home)
    session = world.burst(f"print('said')\nif item: raise {kind}(item)\nitem", [0, 7])
    out, error = session.results(), world.home[kind]
    with pytest.raises(error) as caught:
        out[1]
    assert caught.value.args == (7,)
    shown = "\n".join(caught.value._render_traceback_())
    assert "  in task 1 (item 7)" in shown
    assert "said" in shown
    for raising in (out.collect, lambda: list(session.as_completed()), session.wait):
        with pytest.raises(error):
            raising()
    assert out.collect(errors="skip") == [0]
    assert [type(each) for each in out.collect(errors="return")] == [int, error]
    assert dict(session.as_completed(errors="skip")) == {0: 0}


def test_what_a_task_s_exception_was_raised_from_is_had_too(world):
    source = "try:\n    open('/no/such/file')\nexcept OSError as e:\n    raise ValueError('x') from e"
    with pytest.raises(ValueError, match="x") as caught:
        world.burst(source).results()[0]
    cause = caught.value.__cause__
    assert (type(cause), cause.filename) == (FileNotFoundError, "/no/such/file")
    assert "Traceback" in str(cause.__cause__)  # the worker's own, above all others where Python shows it
    assert "burst_magic" not in str(cause.__cause__)


def test_an_exception_that_cannot_be_had_back_says_where_and_what_it_was_raised_from(world):
    source = "try:\n    1 / item\nexcept Exception:\n    raise KeyError((n for n in []))"
    with pytest.raises(TaskFailed, match="KeyError: <generator") as caught:
        world.burst(source, [0]).results()[0]
    assert caught.value.context == "task 0, item 0"
    assert type(caught.value.__context__) is ZeroDivisionError
