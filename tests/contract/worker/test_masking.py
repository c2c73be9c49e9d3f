"""Values of --setenv in the output of real slots, wherever it is cut."""

from __future__ import annotations

import os
import re
import selectors
import string

import pytest

from burst_magic.protocol.wire.model import Outcome, OutcomeKind
from burst_magic.protocol.wire.records import pack_outcome, unpack_outcome
from burst_magic.worker.channel.board import HEAD_BYTES, SHARED_BYTES, TAIL_BYTES, Shared, anonymous_file, nameless_file
from burst_magic.worker.child import output
from burst_magic.worker.slots.mask import Mask
from burst_magic.worker.slots.pool import SlotPool

TOKEN = string.ascii_letters[:40]  # no letter twice, and none in what is printed beside it
LINE = f"{TOKEN} {0:058}\n"  # 100 bytes: by as many places of a cut everything is seen
LEFT_OUT = r"\n… [\d.]+ [kM]B left out …\n"
SETENV = (("TOKEN", TOKEN),)


@pytest.fixture
def slots(template, describe):
    slots = SlotPool(describe(setenv=SETENV), supply=None, selector=selectors.DefaultSelector())
    slots.open(template)
    yield slots
    slots._processes[0].slot.close()


@pytest.fixture
def printed():
    """A slot's file, and the memory that it shares with the supervisor."""
    memory, file = anonymous_file(SHARED_BYTES), nameless_file()
    shared = Shared(memory)
    yield file, shared
    shared.close()
    os.close(memory)
    os.close(file)


def masked(text):
    record = pack_outcome(Outcome(task=0, kind=OutcomeKind.VALUE, output=text))
    return unpack_outcome(Mask(SETENV).record(record)).output


def test_a_task_that_prints_a_value_in_every_line_shows_none_in_its_heartbeats(slots, bench, tmp_path):
    slot = slots._processes[0].slot
    source = (
        "import os, time\n"
        "for line in range(100): print(os.environ['TOKEN'], f'{line:058}')\n"
        "print('.' * item + '|')\n"
        f"while not os.path.exists({str(tmp_path)!r} + f'/{{item}}'): time.sleep(0.005)"
    )
    bench.run(slot, bench.load(slot, source, setenv=SETENV), range(0, 100, 5))
    for item in range(0, 100, 5):
        bench.wait(slot, lambda: slot.tail().endswith(f"\n{'.' * item}|\n"))  # noqa: B023 - called at once
        (view,) = slots.views(lambda now: now)
        assert re.fullmatch(r"[a-zA-Z]{0,3}[^a-zA-Z]*", view.output), item
        assert view.output.endswith(f"**** {99:058}\n{'.' * item}|\n")
        assert len(view.output) <= 4096
        (tmp_path / str(item)).touch()


@pytest.mark.parametrize("place", range(0, 100, 3))
def test_of_long_output_head_and_tail_show_no_part_of_a_value(printed, place):
    file, shared = printed
    os.write(file, b"." * place + LINE.encode() * 1000 + b"." * (2 * place))
    found = masked(output.bounded(file, shared))
    letters = "[a-zA-Z]{0,3}"
    assert re.fullmatch(f"[^a-zA-Z]*{letters}{LEFT_OUT}{letters}[^a-zA-Z]*", found)


@pytest.mark.parametrize("place", range(0, 100, 9))
def test_of_output_that_had_to_be_cut_while_it_grew_no_part_of_a_value_is_seen(printed, place):
    file, shared = printed
    lines = LINE * (output.CUT_ABOVE // len(LINE) + 1)
    os.write(file, f"{'.' * place}{lines}{LINE[:place]}".encode())
    assert output.cut_runaway(file, shared)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, (LINE[place:] + "." * place).encode())  # the line goes on where it was cut
    letters = "[a-zA-Z]{0,3}"
    live = Mask(SETENV).tail(lambda limit: output.tail(file, limit), 4096)
    assert re.fullmatch(f"{letters}[^a-zA-Z]*", live)
    found = masked(output.bounded(file, shared))
    assert re.fullmatch(f"[^a-zA-Z]*{letters}{LEFT_OUT}{letters}[^a-zA-Z]*", found)


def test_a_cut_within_a_character_does_not_keep_what_is_before_and_behind_it(printed):
    file, shared = printed
    value = "".join(chr(ord("😀") + number) for number in range(8))  # of four bytes each
    few = "[😀-😇]{0,3}"
    for place in range(32):
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, f"{'.' * (HEAD_BYTES - place)}{value}{value}{'.' * (TAIL_BYTES - place)}".encode())
        found = Mask([("KEY", value)]).text(output.bounded(file, shared))
        head, gap, tail = re.split(r"(\n… \d+ bytes left out …\n)", found)
        assert gap
        assert re.fullmatch(rf"\.+(\*\*\*\*|{few})\ufffd?", head), place
        assert re.fullmatch(rf"\ufffd{{0,3}}(\*\*\*\*|{few})\.+", tail), place
