"""What a slot was asked for: the text of an item, without running anything of the user's."""

from burst_magic.capture import capture_cell
from burst_magic.payload import pack_value
from burst_magic.payload.notes import Needs
from burst_magic.payload.parts import Parts
from burst_magic.protocol.wire.blocks import join_entries
from burst_magic.worker.slots.items import AskedTasks


def text(*entries, task=0):
    return AskedTasks("j", 0, len(entries), join_entries(list(entries))).text("j", task)


def test_a_plain_item_is_told_by_its_repr():
    entries = [pack_value(item, home={}) for item in (3, ("a", [1]), {"k": None})]
    assert [text(*entries, task=task) for task in range(3)] == ["3", "('a', [1])", "{'k': None}"]


def test_of_an_item_with_parts_of_captured_values_the_rest_is_told():
    home = {"__name__": "__main__", "teams": [["a"], ["b"]]}
    capture = capture_cell("teams, item", home, map_expr="enumerate(teams)")
    parts = Parts(capture.packed, home=capture.home, needs=Needs())
    assert text(*[parts.pack(item) for item in capture.items], task=1) == "(1, …)"


def test_an_item_that_names_a_class_is_not_looked_into():
    assert text(pack_value(ValueError(1), home={})) == ""
