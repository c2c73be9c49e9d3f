"""Values that are there and cannot be read here: their class is not defined, or their session is gone."""

from __future__ import annotations

import pytest

from burst_magic.errors import BurstError, Missing

CLASS = "class P:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return self.x == other.x"
NEEDS_P = "task 1's value needs P, which is not defined here"


@pytest.fixture
def restarted(world):
    """Four tasks, the second of which gives an instance of the notebook's class; then a kernel without that class."""
    world.home["__name__"] = "__main__"
    exec(CLASS, world.home)
    session = world.burst("P(item) if item == 1 else item * 10", range(4)).wait()
    session.detach()
    world.home = {"__name__": "__main__"}
    return world.attach(session.id)


def test_a_value_whose_class_is_not_defined_says_which_cell_to_run(restarted):
    out = restarted.results()
    for touch in (lambda: out[1], lambda: list(out), out.collect, lambda: list(out.as_completed())):
        with pytest.raises(BurstError) as caught:
            touch()
        assert caught.value.problem == NEEDS_P
        assert "run the cell that defines P" in caught.value.way_out
        shown = "\n".join(caught.value._render_traceback_())
        assert shown.startswith(f"BurstError: {NEEDS_P}\n  try:")
        assert "Traceback" not in shown


def test_a_value_that_cannot_be_opened_keeps_nobody_from_the_others(restarted):
    out = restarted.results()
    arriving = iter(out)
    assert next(arriving) == 0
    with pytest.raises(BurstError, match="needs P"):
        next(arriving)
    assert (out[0], out[2:]) == (0, [20, 30])
    assert out.collect(errors="skip") == [0, 20, 30]
    assert dict(out.as_completed(errors="skip")) == {0: 0, 2: 20, 3: 30}
    for returned in (out.collect(errors="return"), [each for _, each in sorted(out.as_completed(errors="return"))]):
        assert [type(each) for each in returned] == [int, BurstError, int, int]
        assert returned[1].problem == NEEDS_P
    assert out.errors == ()  # the task did not fail


def test_once_its_class_is_defined_again_the_value_is_there(restarted, world):
    out = restarted.results()
    assert len(out.collect(errors="skip")) == 3
    exec(CLASS, world.home)
    assert type(out[1]) is world.home["P"]
    assert out.collect() == [0, world.home["P"](1), 20, 30]


def test_a_value_that_its_own_class_refuses_to_load_says_why(world):
    world.home["__name__"] = "__main__"
    exec(CLASS, world.home)
    session = world.burst("P(item) if item == 1 else item * 10", range(3)).wait()

    def refuse(self, state):
        raise ValueError("an older one")

    world.home["P"].__setstate__ = refuse
    out = session.results()
    with pytest.raises(BurstError, match="task 1's value cannot be unpickled here: ValueError: an older one") as caught:
        out[1]
    assert isinstance(caught.value.__cause__, ValueError)
    assert out.collect(errors="skip") == [0, 20]
    del world.home["P"].__setstate__
    assert out[1].x == 1


def test_reading_after_the_session_was_deleted_says_that_it_was(world):
    session = world.burst("item", range(2), name="night").wait()
    nameless = world.burst("item", range(2)).wait()
    for each, called in ((session, "night"), (nameless, nameless.id)):
        world.attach(each.id, user="-other", key=each.key).cleanup(force=True)
        with pytest.raises(Missing, match=f"^session {called} was deleted before this result was read"):
            each.results()[0]


def test_a_segment_that_is_gone_from_a_session_that_is_there_is_named(world):
    session = world.burst("item", range(2)).wait()
    session.store.delete(world.objects(f"sessions/{session.id}/jobs/{session.job}/results"))
    with pytest.raises(Missing, match="no such object"):
        session.results()[0]


def test_the_note_of_several_failures_names_what_the_user_has(world):
    for out, where in (("out", "out.errors"), ("", ".errors of the results")):
        session = world.burst("1 // item", [0, 0], out=out)
        with pytest.raises(ZeroDivisionError) as caught:
            session.wait()
        assert caught.value.__notes__ == [f"2 tasks failed; see {where}"]
