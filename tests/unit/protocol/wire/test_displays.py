"""Bundles of what a task displays: what is kept, what is left out, what is read back."""

from __future__ import annotations

import json

import pytest

from burst_magic.protocol.wire.displays import MOST, ROOM, Display, DisplayList, plain, restored
from burst_magic.protocol.wire.model import Outcome, OutcomeKind
from burst_magic.protocol.wire.records import displays_in, pack_outcome, read_header, unpack_outcome


def texts(displays):
    return [display.text for display in displays]


def listed(*bundles, **bounds):
    found = DisplayList(**bounds)
    for bundle in bundles:
        found.add(bundle)
    return found


def test_taking_empties_the_list():
    found = listed({"text/plain": "a"})
    assert found.filled
    assert texts(found.take()) == ["a"]
    assert (found.filled, found.take()) == (False, ())


def test_an_update_replaces_every_bundle_of_its_id_and_no_other():
    found = DisplayList()
    ident, other = found.new_id(), found.new_id()
    for name in (ident, other, ident, ""):
        found.add({"text/plain": "old"}, ident=name)
    found.update({"text/plain": "new"}, ident=ident)
    found.update({"text/plain": "nobody's"}, ident="unknown")
    assert texts(found.take()) == ["new", "old", "new", "old"]


def test_clearing_waits_for_the_next_bundle_if_asked():
    found = listed({"text/plain": "a"})
    found.clear(wait=True)
    assert found.filled
    found.add({"text/plain": "b"})
    assert texts(found.take()) == ["b"]
    found.add({"text/plain": "c"})
    found.clear()
    assert not found.filled


def test_bundles_beyond_the_number_are_counted_and_said():
    found = listed(*[{"text/plain": str(number)} for number in range(MOST + 7)]).take()
    assert texts(found[:-1]) == [str(number) for number in range(MOST)]
    assert "7 more" in found[-1].text
    assert f"{MOST} displays" in found[-1].text


def test_a_representation_without_room_is_left_out_and_the_words_stay():
    large = {"text/html": "x" * (ROOM + 1), "text/plain": "a table", "image/png": "aaaa"}
    kept, said = listed(large).take()
    assert kept.data == {"text/plain": "a table", "image/png": "aaaa"}
    assert "text/html of 1.0 MB" in said.text


def test_the_room_is_of_all_together_and_an_update_gives_its_own_back():
    found = DisplayList(room=100)
    ident = found.new_id()
    found.add({"text/html": "x" * 90}, ident=ident)
    found.add({"text/html": "y" * 90})
    found.update({"text/html": "z" * 90}, ident=ident)
    kept, said = found.take()
    assert kept.data == {"text/html": "z" * 90}
    assert "text/html" in said.text


@pytest.mark.parametrize(
    "bundle",
    [
        {"application/javascript": "alert(1)"},
        {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}},
        {"image/png": '"><script>'},
        {"text/html": ["not", "text"]},
        {7: "no type"},
    ],
)
def test_what_no_reader_could_show_is_not_kept(bundle):
    assert texts(listed({**bundle, "text/plain": "words"}).take()) == ["words"]
    assert listed(bundle).take() == ()


def test_they_travel_in_the_texts_of_an_outcome_and_come_back():
    sent = (
        Display(data={"text/plain": "é", "application/vnd.x.v1+json": {"a": [1, None]}}, metadata={"b": 2}),
        Display(data={"text/html": "<b>"}),
    )
    outcome = Outcome(task=3, kind=OutcomeKind.VALUE, value=b"value", displays=sent)
    packed = pack_outcome(outcome)
    assert unpack_outcome(packed) == outcome
    assert read_header(packed).value == len(b"value")


def test_all_that_is_kept_and_what_is_said_of_the_rest_survives_the_way():
    found = listed(*[{"text/plain": "x" * (ROOM // MOST - 2)}] * (MOST + 1)).take()
    assert len(found) == MOST + 1
    assert restored(json.loads(json.dumps(plain(found)))) == found


@pytest.mark.parametrize(
    "said", [None, 7, "text", {}, [None], [{}], [{"data": 3}], [{"data": {"text/plain": 3}}], [{"data": {}, "x": 1}]]
)
def test_what_is_no_list_of_bundles_reads_as_none(said):
    assert restored(said) == ()


def test_more_than_a_task_may_send_is_not_read():
    found = restored([{"data": {"text/plain": "x" * 100_000}, "metadata": 3}] * 100)
    assert sum(len(display.text) for display in found) < ROOM + 10_000
    assert len(found) < MOST + 3


def test_json_is_kept_as_it_was_when_it_was_displayed():
    told, said = {"a": 1}, {"isolated": True}
    found = DisplayList()
    found.add({"application/json": told}, said)
    told["b"] = said["b"] = object()  # no JSON any more: the outcome could not be written

    (display,) = unpack_outcome(pack_outcome(Outcome(task=0, kind=OutcomeKind.VALUE, displays=found.take()))).displays

    assert (display.data, display.metadata) == ({"application/json": {"a": 1}}, {"isolated": True})


def test_displays_are_unpacked_and_counted_only_where_that_is_asked_for():
    shown = (Display(data={"text/plain": "a"}), Display(data={"text/plain": "b"}))
    packed = pack_outcome(Outcome(task=0, kind=OutcomeKind.VALUE, output="said", displays=shown))
    told = unpack_outcome(packed, shown=False)
    assert (told.output, told.displays, displays_in(packed)) == ("said", (), 2)
    assert displays_in(pack_outcome(Outcome(task=0, kind=OutcomeKind.VALUE))) == 0


def test_json_that_is_too_deep_for_some_readers_is_left_out():
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    display, said = listed({"text/plain": "deep", "application/json": deep}).take()
    assert display.data == {"text/plain": "deep"}
    assert said.text == "… left out: application/json, which is nested more than 50 levels deep"
    for _ in range(100_000):
        deep = [deep]
    assert listed({"application/json": deep}).take()[0].text == said.text


def test_what_is_no_json_is_left_out_with_a_word_beside_what_is_too_large():
    bundle = {"text/plain": "x", "application/json": {1, 2}, "text/html": "x" * 2_000_000}
    display, said = listed(bundle).take()
    assert display.data == {"text/plain": "x"}
    kept = "of a task, 20 displays and 1 MB of them are kept"
    assert said.text == f"… left out: text/html of 2.0 MB ({kept}), application/json, which is not JSON"
    assert listed({"text/plain": "x", "application/json": None, "application/pdf": b"%"}).take() == (display,)
