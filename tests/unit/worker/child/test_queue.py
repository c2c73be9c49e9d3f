"""What a slot has left to do, and what of it another process takes over."""

from burst_magic.protocol.wire.blocks import join_entries
from burst_magic.worker.channel.board import RunCode
from burst_magic.worker.child.queue import TaskRun

ITEMS = [b"a", b"bb", b"ccc", b"dddd"]


def begun(done):
    """A run of four tasks, of which so many are done."""
    run = TaskRun(RunCode(jid="j", first=10, count=4, items=True), memoryview(join_entries(ITEMS)), 7)
    run.skip_to(10 + done)
    return run


def items_of(run):
    return [bytes(run.next()) for _ in range(run.end - run.task)]


def test_what_is_left_of_a_run_has_its_items_in_their_order():
    for done in range(5):
        again = begun(done).rest().run()
        assert (again.task, again.end, again.serial) == (10 + done, 14, 7)
        assert items_of(again) == ITEMS[done:]


def test_where_a_run_stops_for_now_is_taken_over():
    run = begun(1)
    run.pause(12)
    again = run.rest().run()
    assert (again.stop, again.pauses) == (12, False)
    again.skip_to(12)
    assert again.pauses
    again.pause(None)
    assert items_of(again) == ITEMS[2:]
