"""Values of --setenv in what leaves the machine.

The properties write values in capitals and all else in small letters: a capital that is seen is a part of a value.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.protocol.wire.displays import Display
from burst_magic.protocol.wire.model import Outcome, OutcomeKind
from burst_magic.protocol.wire.records import pack_outcome, unpack_outcome
from burst_magic.worker.child.failures import MESSAGE_CHARS, short_repr
from burst_magic.worker.slots.mask import Mask

SECRET = "s3cr3t-of-mine"
LEFT_OUT = "\n… 5 bytes left out …\n"

words = st.text("ABÄ€😀", min_size=4, max_size=12)  # characters of one to four bytes: a cut goes through them, too
others = st.text("xyzü \n", max_size=6)


@st.composite
def printed(draw):
    """Values, what was printed with them in it, and two places in its bytes."""
    values = draw(st.lists(words, min_size=1, max_size=3))
    pieces = draw(st.lists(st.sampled_from(values) | others, min_size=1, max_size=8))
    data = "".join(pieces).encode()
    return values, data, *sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))


def mask_of(values):
    return Mask((str(number), value) for number, value in enumerate(values))


def decoded(data):
    return data.decode("utf-8", "replace")


def small(text):
    """All that is of no value."""
    return re.sub("[^xyzü \n]", "", text)


SHORT = "[ABÄ€😀]{0,3}"  # what a cut may leave of a value: as little as is never masked
BROKEN = "\ufffd{0,3}"
CLEAN = "[^ABÄ€😀]*"


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


def test_values_that_overlap_leave_nothing_of_each_other():
    mask = Mask([("A", "abcdef"), ("B", "defghi"), ("C", "xyxyx")])
    assert mask.text("-abcdefghi-xyxyxyx-") == "-****-****-"


def test_values_one_after_the_other_are_masked_one_by_one():
    assert Mask([("KEY", SECRET)]).text(SECRET + SECRET) == "********"


# --- cuts ------------------------------------------------------------------------------------------------------


@given(printed())
def test_a_piece_between_two_cuts_shows_nothing_of_a_value_but_three_characters_at_a_cut(case):
    values, data, start, stop = case
    piece = decoded(data[start:stop])
    found = mask_of(values).text(piece, cut=True)
    assert re.fullmatch(BROKEN + SHORT + CLEAN + SHORT + BROKEN, found)
    assert small(found) == small(piece)  # and nothing else is hidden


@given(printed())
def test_around_a_gap_nothing_of_a_value_is_seen_but_three_characters_at_its_ends(case):
    values, data, start, stop = case
    head, tail = decoded(data[:start]), decoded(data[stop:])
    found = mask_of(values).text(head + LEFT_OUT + tail)
    assert re.fullmatch(CLEAN + SHORT + BROKEN + LEFT_OUT + BROKEN + SHORT + CLEAN, found)
    assert small(found) == small(head + LEFT_OUT + tail)


@given(printed(), st.integers(1, 40))
def test_a_tail_shows_no_part_of_a_value_and_no_more_than_was_asked_for(case, limit):
    values, data, _, stop = case
    data = data[:stop]
    found = mask_of(values).tail(lambda count: decoded(data[-count:]), limit)
    assert re.fullmatch(BROKEN + SHORT + CLEAN + SHORT + BROKEN, found)
    assert len(found) <= limit
    assert small(decoded(data)).endswith(small(found))


@pytest.mark.parametrize("limit", range(1, 120))
@pytest.mark.parametrize("value", [SECRET, "😀😁😂😃😄😅"])
def test_of_a_value_in_which_a_tail_begins_not_one_character_is_seen(limit, value):
    line = f"{'x' * 40}{value}{'y' * 40}".encode()
    found = Mask([("KEY", value)]).tail(lambda count: decoded(line[-count:]), limit)
    assert re.fullmatch(r"x*\*{0,4}y*", found)


def test_of_a_value_longer_than_a_piece_the_piece_is_hidden():
    mask = Mask([("KEY", SECRET)])
    assert [mask.text(SECRET[start : start + 4], cut=True) for start in range(1, 10)] == ["****"] * 9
    assert mask.text(f"x{LEFT_OUT}{SECRET[3:9]}{LEFT_OUT}y") == f"x{LEFT_OUT}****{LEFT_OUT}y"


def test_a_part_of_a_value_is_found_behind_what_only_begins_or_ends_like_it():
    assert Mask([("KEY", "ABABCDEFGH")]).text("ABABABAB", cut=True) == "ABAB****"
    assert Mask([("KEY", "HGFEDCBABA")]).text("BABABABA", cut=True) == "****BABA"


def test_a_tail_is_as_long_as_was_asked_for():
    text = "x" * 50
    assert Mask([("KEY", SECRET)]).tail(lambda count: text[-count:], 20) == "x" * 20
    assert Mask([]).tail(lambda count: text[-count:], 20) == "x" * 20


def test_parts_of_a_value_that_touch_no_cut_stay():
    text = f"{SECRET[:8]}\n{SECRET[6:]}"
    assert Mask([("KEY", SECRET)]).text(text) == text
    assert Mask([("KEY", SECRET)]).text(f"-{text}-", cut=True) == f"-{text}-"


def test_a_value_of_several_lines_is_masked_as_a_terminal_shows_it():
    assert Mask([("KEY", "first\r\nsecond")]).text("<first\nsecond> <first\r\nsecond>") == "<****> <****>"


def test_both_halves_of_a_traceback_are_cut():
    text = f"in line {SECRET[:9]}\n  …\n{SECRET[5:]}: no"
    found = masked(Mask([("KEY", SECRET)]), kind=OutcomeKind.ERROR, value=b"pickle", traceback=text)
    assert (found.traceback, found.value) == ("in line ****\n  …\n****: no", b"")


def test_a_message_that_was_too_long_is_cut_at_its_end():
    full = "x" * (MESSAGE_CHARS - 6) + SECRET[:6]
    mask = Mask([("KEY", SECRET)])
    assert masked(mask, kind=OutcomeKind.ERROR, message=full).message == "x" * (MESSAGE_CHARS - 6) + "****"
    assert masked(mask, kind=OutcomeKind.ERROR, message=SECRET[:6]).message == SECRET[:6]


@pytest.mark.parametrize("before", range(20))
def test_an_item_that_was_shortened_shows_no_part_of_a_value(before):
    value = "".join(f"{number:03}." for number in range(90))
    item = short_repr("x" * before + value + "y")
    found = masked(Mask([("KEY", value)]), kind=OutcomeKind.ERROR, item=item).item
    assert re.fullmatch(r"'x*(\d{0,3}|\*{4})\.+(\d{0,3}|\*{4})y'", found)


def test_an_item_that_is_too_long_is_cut_at_its_end():
    item = short_repr(["x" * 188, SECRET])
    assert item.endswith(SECRET[:6])
    found = masked(Mask([("KEY", SECRET)]), kind=OutcomeKind.ERROR, item=item).item
    assert found == item.removesuffix(SECRET[:6]) + "****"


def test_output_may_begin_and_end_within_a_value():
    text = f"{SECRET[4:]} and {SECRET[:10]}"  # a process that was ended in the middle, one that went on behind its task
    assert masked(Mask([("KEY", SECRET)]), kind=OutcomeKind.CRASHED, output=text).output == "**** and ****"


def test_in_what_a_task_displayed_values_are_masked_however_html_writes_them_and_pictures_stay_whole():
    secret, picture = "a&b<'c\"", "YWJj"
    data = {
        "text/plain": f"is {secret}",
        "text/html": '<i>a&amp;b&lt;&#x27;c&quot;</i><b title="x">a&amp;b&lt;\'c"</b>&amp; a&amp;b&lt;&#39;c&#34;',
        "application/json": {"keys": [secret, 1, None], secret: 2},
        "image/png": picture,
    }
    outcome = Outcome(
        task=0, kind=OutcomeKind.VALUE, value=b"v", displays=(Display(data=data, metadata={"alt": secret}),)
    )

    (masked,) = unpack_outcome(mask_of([secret, picture]).record(pack_outcome(outcome))).displays

    assert masked.data == {
        "text/plain": "is ****",
        "text/html": '<i>****</i><b title="x">****</b>&amp; ****',
        "application/json": {"keys": ["****", 1, None], "****": 2},
        "image/png": picture,
    }
    assert masked.metadata == {"alt": "****"}
