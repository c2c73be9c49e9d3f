"""Values of --setenv in what leaves the machine."""

from burst_magic.protocol.model import Outcome, OutcomeKind
from burst_magic.protocol.records import pack_outcome, unpack_outcome
from burst_magic.worker.mask import Mask

SECRET = "s3cr3t-of-mine"


def masked(mask, **fields):
    return unpack_outcome(mask.record(pack_outcome(Outcome(task=3, **fields))))


def test_every_text_of_an_outcome_is_masked_and_the_rest_stays():
    texts = dict.fromkeys(("message", "traceback", "item", "output"), f"<{SECRET}>")
    kept = {"error": "ValueError", "attempts": 2, "wall": 1.5}
    found = masked(Mask([("KEY", SECRET)]), kind=OutcomeKind.ERROR, value=b"pickle", **texts, **kept)
    assert {getattr(found, name) for name in texts} == {"<****>"}
    assert {name: getattr(found, name) for name in kept} == kept
    assert found.task == 3


def test_an_exception_whose_message_holds_a_value_does_not_travel_as_an_object():
    found = masked(Mask([("KEY", SECRET)]), kind=OutcomeKind.ERROR, value=SECRET.encode(), message=SECRET)
    assert found.value == b""


def test_what_a_task_returns_is_its_own_affair():
    found = masked(Mask([("KEY", SECRET)]), kind=OutcomeKind.VALUE, value=SECRET.encode(), output=SECRET)
    assert (found.value, found.output) == (SECRET.encode(), "****")


def test_an_outcome_without_values_is_the_same_bytes():
    record = pack_outcome(Outcome(task=0, kind=OutcomeKind.VALUE, value=b"x", output="harmless"))
    assert Mask([("KEY", SECRET)]).record(record) is record
    assert Mask([]).record(record) is record


def test_a_value_within_a_longer_one_does_not_leave_the_rest_of_it():
    mask = Mask([("A", "abcd"), ("B", "abcd-and-more")])
    assert mask.text("abcd-and-more abcd") == "**** ****"


def test_short_values_are_left_alone():
    assert Mask([("DEBUG", "1"), ("ON", "yes")]).text("1 yes") == "1 yes"


def test_a_mask_does_not_show_its_values():
    assert SECRET not in repr(Mask([("KEY", SECRET)]))
