"""The slots of a worker, told by hand what the machine would tell them: real child processes, a store in memory."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile

import pytest

from burst_magic.errors import StoreError
from burst_magic.payload import Envelope
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import keys, sign
from burst_magic.protocol.wire.model import ClaimKey, OutcomeKind

SECRET, SID = bytes(range(32)), "20260101-000000-aaaaaaaa"
CLAIM, HEIR = ClaimKey(start=0, number=1), ClaimKey(start=0, number=2)
PATIENCE = 60.0
_names = itertools.count()


def behind(gate):
    return f"import os, time\nwhile item and not os.path.exists({str(gate)!r}): time.sleep(0.005)\nitem"


# --- tasks that are lost -----------------------------------------------------------------------------------


def test_a_lost_task_is_told_by_its_item_and_not_run(hand, tmp_path):
    hand.add(f"open({str(tmp_path)!r} + '/' + item, 'w')\nitem", ["zero", "one", "two"])
    hand.slots.lose(fx.Lose(0, "0", CLAIM, 1, "it ended 3 workers: exit code 9"))
    assert hand.reach(2) == [1]
    (lost,) = hand.outcomes(1, 2)
    assert (lost.task, lost.kind, lost.error) == (1, OutcomeKind.LOST, "WorkerLost")
    assert (lost.message, lost.item) == ("it ended 3 workers: exit code 9", "'one'")
    assert list(tmp_path.iterdir()) == []


def test_behind_a_lost_task_the_claim_goes_on(hand):
    hand.add("item * 2", [1, 2, 3, 4])
    hand.slots.lose(fx.Lose(0, "0", CLAIM, 1, "why"))
    hand.reach(2)
    hand.slots.forget(fx.Forget("0", CLAIM, 2))
    hand.slots.run(fx.Run(0, "0", CLAIM, 2, 4))
    assert hand.reach(4) == [1]
    assert hand.values(2, 4) == [6, 8]


def test_of_a_lost_task_whose_item_is_not_plain_the_item_stays_untold(hand):
    hand.add("item", [pytest.approx])
    hand.slots.lose(fx.Lose(0, "0", CLAIM, 0, "why"))
    hand.reach(1)
    assert hand.outcomes(0, 1)[0].item == ""


def test_a_lost_task_whose_job_cannot_be_had_is_lost_all_the_same(hand):
    hand.add("item", [1, 2])
    hand.store.delete([keys.SessionKeys(SID).job("0").payload])
    hand.slots.lose(fx.Lose(0, "0", CLAIM, 0, "why"))
    hand.reach(1)
    (lost,) = hand.outcomes(0, 1)
    assert (lost.kind, lost.message) == (OutcomeKind.LOST, "why")


def test_a_slot_that_is_killed_before_a_loss_is_told_has_no_outcome(hand):
    hand.store.closed = "/payload"
    hand.add("item", [1, 2])
    hand.slots.lose(fx.Lose(0, "0", CLAIM, 0, "why"))
    hand.hear(hand.slots.kill(fx.Kill(0)))
    hand.until(lambda: fx.Stopped(0, "0", CLAIM, 0) in hand.told)
    hand.store.open.set()
    hand.slots.run(fx.Run(0, "0", HEIR, 0, 2))
    hand.reach(2, HEIR)
    assert hand.progress(CLAIM) == []


def test_a_kill_that_crosses_the_end_of_a_range_leaves_the_next_range_alone(hand, tmp_path):
    """The slot said that it was ready before it heard of the kill, and nobody had read that yet."""
    ran = tmp_path / "ran"
    hand.add(f"open({str(ran)!r}, 'w').close()\nitem", [1])
    hand.add("item * 2", [5, 6], jid="1")
    hand.until(lambda: fx.SlotReady(0) in hand.told)
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 1))
    hand.until(lambda: ran.exists() and hand.slots.views(lambda now: now)[0].task is None, deaf=True)
    next_range = iter([fx.Run(0, "1", CLAIM, 0, 2)])

    def claim(event):
        if event == fx.SlotReady(0):
            for run in next_range:
                hand.slots.run(run)

    hand.answer = claim
    hand.hear(hand.slots.kill(fx.Kill(0)))
    hand.until(lambda: [e for e in hand.told if isinstance(e, fx.Stopped)] or hand.progress(job="1"))
    assert not [event for event in hand.told if isinstance(event, fx.Stopped)]
    hand.reach(2, job="1")
    assert hand.values(0, 2, job="1") == [10, 12]


# --- slots that pause behind a long task -----------------------------------------------------------------------


def begun(folder):
    return sorted(int(path.name) for path in folder.iterdir())


@pytest.fixture
def paused(hand, tmp_path):
    """A slot that has done the first of four tasks and waits behind it; the folder tells what was begun."""
    (tmp_path / "begun").mkdir()
    gate = tmp_path / "gate"
    hand.add(f"open({str(tmp_path / 'begun')!r} + '/' + str(item), 'w').close()\n{waits(gate)}", [0, 1, 2, 3])
    hand.until(lambda: fx.SlotReady(0) in hand.told)
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 4))
    hand.until(lambda: begun(tmp_path / "begun") == [0])
    hand.slots.pause(fx.Pause(0, "0", CLAIM, 1))
    gate.touch()
    hand.reach(1)
    hand.until(lambda: hand.slots._processes[0].slot.pauses)
    return hand, tmp_path / "begun"


def waits(gate):
    return f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.005)\nitem"


def test_nothing_is_begun_behind_a_pause_until_the_slot_is_told_to_go_on(paused):
    hand, folder = paused
    hand.go_round()
    assert begun(folder) == [0]
    assert hand.slots.views(lambda now: now)[0].task is None
    hand.slots.pause(fx.Pause(0, "0", CLAIM, 3))
    hand.reach(3)
    hand.go_round()
    assert begun(folder) == [0, 1, 2]
    hand.slots.pause(fx.Pause(0, "0", CLAIM, None))
    hand.reach(4)
    assert hand.values(0, 4) == [0, 1, 2, 3]


def test_a_slot_that_pauses_is_stopped_without_a_new_process(paused):
    hand, folder = paused
    process = hand.slots._processes[0].slot.pid
    hand.told.clear()
    hand.hear(hand.slots.kill(fx.Kill(0)))
    assert hand.told == [fx.Stopped(0, "0", CLAIM, 1)]
    hand.until(lambda: fx.SlotReady(0) in hand.told)
    assert hand.slots._processes[0].slot.pid == process
    hand.slots.run(fx.Run(0, "0", HEIR, 2, 4))
    hand.reach(4, HEIR)
    assert begun(folder) == [0, 2, 3]


def test_a_slot_that_was_told_to_go_on_is_killed_if_its_range_is_taken(paused):
    """It may have begun the next task by now."""
    hand, _ = paused
    process = hand.slots._processes[0].slot.pid
    hand.slots.pause(fx.Pause(0, "0", CLAIM, 2))
    hand.hear(hand.slots.kill(fx.Kill(0)))
    hand.until(lambda: fx.SlotReady(0) in hand.told[1:] and hand.slots._processes[0].slot.pid not in {0, process})


def test_a_slot_that_pauses_drains_at_once(paused):
    hand, folder = paused
    hand.hear(hand.slots.drain(fx.Drain(0)))
    hand.until(lambda: fx.Stopped(0, "0", CLAIM, 1) in hand.told)
    hand.slots.run(fx.Run(0, "0", HEIR, 3, 4))
    hand.reach(4, HEIR)
    assert begun(folder) == [0, 3]


def test_a_slot_that_is_lost_while_it_pauses_pauses_again(paused):
    hand, folder = paused
    lost = hand.slots._processes[0].slot
    os.kill(lost.pid, signal.SIGKILL)
    hand.until(lambda: hand.slots._processes[0].slot is not lost and hand.slots._processes[0].slot.pauses)
    assert begun(folder) == [0]
    hand.slots.pause(fx.Pause(0, "0", CLAIM, None))
    hand.reach(4)
    assert hand.values(0, 4) == [0, 1, 2, 3]


def test_a_pause_that_comes_after_the_end_of_its_range_stops_no_other(paused):
    hand, _ = paused
    hand.slots.truncate(fx.Truncate(0, 2))
    hand.slots.pause(fx.Pause(0, "0", CLAIM, None))
    hand.reach(2)
    hand.slots.pause(fx.Pause(0, "0", CLAIM, 1))
    hand.slots.run(fx.Run(0, "0", HEIR, 2, 4))
    hand.reach(4, HEIR)


def test_a_pause_holds_for_items_that_are_still_on_their_way(hand):
    hand.store.closed = "/items"
    hand.add("item", [5, 6])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 2))
    hand.slots.pause(fx.Pause(0, "0", CLAIM, 1))
    hand.store.open.set()
    hand.reach(1)
    hand.until(lambda: hand.slots._processes[0].slot.pauses)
    assert hand.progress()[-1].upto == 1
    hand.slots.pause(fx.Pause(0, "0", CLAIM, None))
    hand.reach(2)


# --- claims that go on under another name --------------------------------------------------------------------


def test_an_heir_has_what_is_not_yet_published_and_what_runs(hand, tmp_path):
    gate = tmp_path / "gate"
    hand.add(behind(gate), [0, 1, 2, 3])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 4))
    hand.reach(1)
    hand.slots.adopt(fx.Adopt("0", CLAIM, HEIR))
    hand.slots.truncate(fx.Truncate(0, 2))
    gate.touch()
    hand.reach(2, HEIR)
    assert hand.values(0, 2, claim=HEIR) == [0, 1]
    assert max(event.upto for event in hand.progress()) == 1
    hand.slots.forget(fx.Forget("0", HEIR, 2))
    hand.slots.run(fx.Run(0, "0", HEIR, 2, 4))
    hand.reach(4, HEIR)
    assert hand.values(2, 4, claim=HEIR) == [2, 3]


def test_an_heir_has_what_is_on_its_way(hand):
    hand.store.closed = "/items"
    hand.add("item", [5, 6])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 2))
    hand.slots.adopt(fx.Adopt("0", CLAIM, HEIR))
    hand.store.open.set()
    hand.reach(2, HEIR)
    assert hand.values(0, 2, claim=HEIR) == [5, 6]
    assert hand.progress(CLAIM) == []


def test_an_heir_of_a_finished_range_has_its_outcomes(hand):
    hand.add("item", [5, 6])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 2))
    hand.reach(2)
    hand.slots.adopt(fx.Adopt("0", CLAIM, HEIR))
    assert hand.values(0, 2, claim=HEIR) == [5, 6]
    hand.slots.forget(fx.Forget("0", HEIR, 2))
    assert not hand.slots._ledger._works


# --- a store that does not take what is finished ---------------------------------------------------------------

MOST = 128 << 20  # bytes that wait for the store before slots do


@pytest.mark.parametrize("hand", [2], indirect=True)
def test_while_the_store_takes_nothing_what_waits_is_bounded_and_then_all_comes_right(hand):
    size, claims = 8 << 20, [ClaimKey(start=0, number=0), ClaimKey(start=24, number=0)]
    hand.add(f"bytes([item]) * {size}", range(48))
    for slot, claim in enumerate(claims):
        hand.slots.run(fx.Run(slot, "0", claim, claim.start, claim.start + 24))
    hand.until(lambda: hand.held() > MOST)
    hand.go_round(100)
    assert hand.held() < MOST + 2 * (48 << 20) + 2 * size

    found, published = {}, {claim: claim.start for claim in claims}

    def publish():
        for claim in claims:
            upto = max((event.upto for event in hand.progress(claim)), default=claim.start)
            for task in range(published[claim], upto):
                (found[task],) = hand.values(task, task + 1, claim=claim)
                hand.slots.forget(fx.Forget("0", claim, task + 1))
            published[claim] = upto
        return len(found) == 48

    hand.until(publish)
    assert all(value == bytes([task]) * size for task, value in found.items())


def test_an_outcome_larger_than_all_that_may_wait_is_taken_when_nothing_else_waits(hand):
    hand.add(f"bytes({MOST} + item)", [1, 2, 3])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 3))
    for task in range(3):
        hand.reach(task + 1)
        hand.go_round()
        assert max(event.upto for event in hand.progress()) == task + 1
        assert len(hand.values(task, task + 1)[0]) == MOST + task + 1
        hand.slots.forget(fx.Forget("0", CLAIM, task + 1))


@pytest.mark.parametrize("hand", [5], indirect=True)
def test_slots_of_which_none_has_enough_for_a_segment_do_not_wait_for_each_other(hand, tmp_path):
    gate = tmp_path / "gate"
    claims = [ClaimKey(start=2 * slot, number=0) for slot in range(5)]
    hand.add(behind(gate).replace("while item", "while item % 2") + f" % 2 or bytes({30 << 20})", range(10))
    for slot, claim in enumerate(claims):
        hand.slots.run(fx.Run(slot, "0", claim, claim.start, claim.start + 2))
    hand.until(lambda: hand.held() > MOST)
    hand.go_round(3)
    gate.touch()
    for claim in claims:
        hand.reach(claim.start + 2, claim)


def test_a_slot_that_waits_to_be_heard_can_be_killed(hand):
    crowd(hand)
    hand.hear(hand.slots.kill(fx.Kill(0)))
    hand.until(lambda: [event for event in hand.told if isinstance(event, fx.Stopped)])
    check_crowd(hand)


def test_a_slot_that_waits_to_be_heard_can_be_drained(hand):
    crowd(hand)
    hand.hear(hand.slots.drain(fx.Drain(0)))
    hand.until(lambda: [event for event in hand.told if isinstance(event, fx.Stopped)])
    check_crowd(hand)


def test_the_death_of_a_slot_that_waits_to_be_heard_is_noticed_and_its_range_goes_on(hand):
    """The outcome that it was about to tell is lost with it."""
    crowd(hand)
    (_, pid), before = hand.values(0, 1)[0], max(event.upto for event in hand.progress())
    os.kill(pid, signal.SIGKILL)
    assert before in hand.reach(before + 1)
    check_crowd(hand, but=before)
    hand.slots.forget(fx.Forget("0", CLAIM, before + 1))
    hand.reach(before + 2)
    assert hand.values(before + 1, before + 2)[0][1] != pid


def crowd(hand):
    """One slot has finished more than may wait, and has more to tell."""
    hand.add(f"import os\nbytes([item]) * {40 << 20}, os.getpid()", range(10))
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 10))
    hand.until(lambda: hand.held() > MOST)
    hand.go_round()


def check_crowd(hand, but=None):
    """What was finished is there to be published."""
    upto = max(event.upto for event in hand.told if isinstance(event, fx.Progress | fx.Stopped))
    assert 4 <= upto < 10
    for task in {*range(upto)} - {but}:
        assert hand.values(task, task + 1)[0][0] == bytes([task]) * (40 << 20)


# --- pieces -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [[1, 2, 3, 6, 40], [20, 40]])
def test_a_claim_that_is_run_in_pieces_has_each_outcome_once(hand, pieces):
    """The next piece is asked for while the last one's progress is told, as a store at hand makes it."""
    found, stops = [], iter(pieces)
    hand.add("item * item", range(40))

    def publish(event):
        if isinstance(event, fx.Progress) and event.upto == stop[0]:
            found.extend(hand.values(begin[0], event.upto))
            hand.slots.forget(fx.Forget("0", CLAIM, event.upto))
            begin[0], stop[0] = event.upto, next(stops, None)
            if stop[0]:
                hand.slots.run(fx.Run(0, "0", CLAIM, begin[0], stop[0]))

    begin, stop = [0], [next(stops)]
    hand.answer = publish
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, stop[0]))
    hand.reach(40)
    assert found == [item * item for item in range(40)]
    assert not hand.slots._ledger._works


# --- what they need of the store ------------------------------------------------------------------------------


def test_tasks_that_run_when_the_next_items_prove_bad_keep_their_values(hand, tmp_path):
    gate = tmp_path / "gate"
    hand.add(
        f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.005)\nitem[0]",
        [bytes([task]) * 400_000 for task in range(3)],
    )
    job = keys.SessionKeys(SID).job("0")
    data = bytearray(hand.store.get(job.items))
    data[data.index(bytes([2]) * 100)] ^= 1
    hand.store.put(job.items, bytes(data))
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 3))
    hand.until(lambda: hand.slots._ledger.seats[0].work.problem)
    gate.touch()
    assert hand.reach(3) == [2]
    outcomes = hand.outcomes(0, 3)
    assert [outcome.error for outcome in outcomes] == ["", "", "SignatureError"]


@pytest.mark.parametrize("hand", [3], indirect=True)
def test_a_jobs_files_are_fetched_once_for_all_slots(hand):
    hand.store.closed = "/payload"
    hand.add("item", range(6))
    for slot in range(3):
        hand.slots.run(fx.Run(slot, "0", ClaimKey(start=2 * slot, number=0), 2 * slot, 2 * slot + 2))
    hand.store.open.set()
    for slot in range(3):
        hand.reach(2 * slot + 2, ClaimKey(start=2 * slot, number=0))
    assert payloads_read(hand) == 1


@pytest.mark.parametrize("hand", [2], indirect=True)
def test_while_one_jobs_files_are_on_their_way_another_job_is_run(hand):
    hand.store.closed = "/jobs/0/payload"
    hand.add("item", [1])
    hand.add("item", [2], jid="1")
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 1))
    hand.slots.run(fx.Run(1, "1", CLAIM, 0, 1))
    hand.reach(1, job="1")
    assert hand.progress(job="0") == []
    hand.store.open.set()
    hand.reach(1)


def test_where_there_is_no_room_for_a_jobs_files_its_tasks_say_so(hand, tmp_path, monkeypatch):
    job = keys.SessionKeys(SID).job("0")
    hand.add("item", [1, 2])
    bundle = "0" * 64
    envelope = Envelope(source="item", stream=b"", target="item", has_value=True, bundle=bundle)
    hand.store.put(job.payload, sign.seal(SECRET, job.payload, envelope.to_bytes()))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))  # where nothing can be written
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 2))
    assert hand.reach(2) == [0, 1]
    for outcome in hand.outcomes(0, 2):
        assert outcome.error == StoreError.__name__
        assert str(tmp_path / "full") in outcome.message
        assert "TMPDIR" in outcome.message


def payloads_read(hand):
    return sum(key.endswith("/payload") for key in hand.store.got)


def test_a_job_that_is_over_is_let_go_and_fetched_again_if_need_be(hand):
    hand.add("item", [1, 2])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 1))
    hand.reach(1)
    hand.supply.let_go("0")
    assert payloads_read(hand) == 1
    hand.slots.run(fx.Run(0, "0", HEIR, 1, 2))
    hand.reach(2, HEIR)
    assert payloads_read(hand) == 2
    assert hand.values(1, 2, claim=HEIR) == [2]


def test_a_job_that_is_let_go_while_its_items_are_on_their_way_is_run(hand):
    hand.add("item", [1, 2])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 1))
    hand.reach(1)
    hand.store.closed = "/items"
    hand.slots.run(fx.Run(0, "0", HEIR, 1, 2))
    hand.supply.let_go("0")
    hand.store.open.set()
    hand.reach(2, HEIR)
    assert hand.values(1, 2, claim=HEIR) == [2]


def test_a_job_that_is_let_go_while_its_files_are_on_their_way_is_not_kept(hand):
    hand.store.closed = "/payload"
    hand.add("item", [1, 2])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 2))
    hand.slots.let_go(fx.LetGo("0"))
    hand.hear(hand.slots.kill(fx.Kill(0)))
    hand.until(lambda: fx.Stopped(0, "0", CLAIM, 0) in hand.told)
    hand.store.open.set()
    hand.until(lambda: sum(key.endswith("/items") for key in hand.store.got) == 2)  # index and block: they were here
    hand.until(lambda: fx.SlotReady(0) in hand.told)
    hand.slots.run(fx.Run(0, "0", HEIR, 0, 2))
    hand.reach(2, HEIR)
    assert payloads_read(hand) == 2


def test_a_job_that_is_let_go_while_it_runs_is_read_once_for_all_that_is_left_of_it(hand, tmp_path):
    gate = tmp_path / "gate"
    hand.add(behind(gate).replace("while item and", "while") + "[0]", [bytes([task]) * 400_000 for task in range(12)])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 12))
    hand.until(lambda: hand.slots.views(lambda now: now)[0].task == 0)
    hand.slots.let_go(fx.LetGo("0"))
    gate.touch()
    hand.reach(12)
    assert hand.values(0, 12) == [*range(12)]
    assert payloads_read(hand) == 1


MEGABYTES = "int(open('/proc/self/statm').read().split()[1]) * 4096 >> 20"


@pytest.mark.parametrize("when", ["idle", "running", "before it has it"])
def test_a_slot_keeps_nothing_of_a_job_that_is_let_go(hand, tmp_path, when):
    gate = tmp_path / "gate"
    if when == "before it has it":
        hand.store.closed = "/payload"
    hand.add(behind(gate), [0, 1], captured={"big": "x" * (100 << 20)})
    hand.add(MEGABYTES, [0], jid="1")
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 2))
    if when == "running":
        hand.reach(1)
    if when != "idle":
        hand.slots.let_go(fx.LetGo("0"))
    gate.touch()
    hand.store.open.set()
    hand.until(lambda: hand.progress() and fx.SlotReady(0) in hand.told[hand.told.index(hand.progress()[-1]) :])
    if when == "idle":
        hand.slots.let_go(fx.LetGo("0"))
    hand.slots.run(fx.Run(0, "1", CLAIM, 0, 1))
    hand.reach(1, job="1")
    assert hand.values(0, 1, job="1")[0] < 100
    hand.slots.run(fx.Run(0, "0", HEIR, 0, 2))  # somebody needs it all the same
    hand.reach(2, HEIR)
    assert hand.values(0, 2, claim=HEIR) == [0, 1]


@pytest.mark.parametrize("when", ["idle", "running", "draining"])
def test_a_slots_process_is_renewed_when_its_job_is_over_not_when_the_next_comes(hand, tmp_path, when):
    gate = tmp_path / "gate"
    hand.add(f"import os\n{behind(gate)}\nos.getppid()", [0, 1])
    hand.add("import os\nos.getppid()", [0], jid="1")
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 2))
    hand.reach(1)
    if when == "draining":
        hand.hear(hand.slots.drain(fx.Drain(0)))
    if when != "idle":
        hand.slots.let_go(fx.LetGo("0"))
    gate.touch()
    hand.reach(2)
    if when == "idle":
        hand.slots.let_go(fx.LetGo("0"))
    used = {0, *hand.values(0, 2)}
    renewed = hand.until(lambda: {hand.slots._processes[0].slot.pid} - used).pop()
    hand.slots.run(fx.Run(0, "1", CLAIM, 0, 1))
    hand.reach(1, job="1")
    assert hand.values(0, 1, job="1") == [renewed]


def test_a_job_that_ends_every_process_that_loads_it_is_given_up(hand):
    hand.store.closed = "/payload"
    hand.add("item", [1, 2])
    hand.slots.run(fx.Run(0, "0", CLAIM, 0, 2))
    for _ in range(3):
        slot = hand.slots._processes[0].slot
        os.kill(hand.until(lambda slot=slot: slot.pid), signal.SIGKILL)
        hand.until(lambda slot=slot: hand.slots._processes[0].slot is not slot)
    assert hand.reach(2) == [0, 1]
    for outcome in hand.outcomes(0, 2):
        assert outcome.error == "LaunchError"
        assert "no slot could load this job: its process was killed by SIGKILL" in outcome.message
    hand.store.open.set()
