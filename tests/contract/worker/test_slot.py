"""The process around tasks: order, deaths, limits, clean-up. Real processes; waits are on descriptors."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from burst_magic.launchers.local import process_birth
from burst_magic.protocol.wire.model import OutcomeKind
from burst_magic.protocol.wire.records import pack_value
from burst_magic.worker.channel.board import FAILED, MARK, NOTE, RECORD, TOLD, VALUE, WAKE, JobCode, Shared, Word
from burst_magic.worker.channel.slot_channel import SlotChannel
from burst_magic.worker.channel.wires import connect
from burst_magic.worker.slots.slot import Died, PackedOutcomes, Ready, Slot, death_outcome


def died(bench, slot, *, watch=False):
    messages = []
    bench.wait(slot, lambda: any(isinstance(m, Died) for m in messages), messages, watch=watch)
    return messages, messages[-1]


def test_outcomes_come_in_the_order_of_tasks(bench):
    outcomes = bench.perform("item * 2", range(3000))
    assert [(o.task, pickle.loads(o.value)) for o in outcomes] == [(i, 2 * i) for i in range(3000)]


def test_outcomes_of_all_sizes_keep_their_order_and_their_bytes(bench):
    sizes = [0, 10, 70_000, 300_000, 3, 5_000_000, 1, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000, 7] * 3
    outcomes = bench.perform("bytes([task_byte % 256]) * item if (task_byte := item) or True else 0", sizes)
    assert [pickle.loads(o.value) for o in outcomes] == [bytes([size % 256]) * size for size in sizes]


def test_a_slow_reader_loses_nothing(bench):
    slot = bench.slot()
    bench.run(slot, bench.load(slot, "'x' * 3000 + str(item)"), range(2000))
    bench.wait(slot, lambda: True)
    select.select([slot], [], [], 1)
    found = [pickle.loads(o.value)[3000:] for o in bench.outcomes(slot)]
    assert found[-1] == "1999"
    assert len(set(found)) == len(found)


def test_large_items_reach_the_slot(bench):
    outcomes = bench.perform("len(item)", [b"x" * 3_000_000, b"", b"y" * 20_000])
    assert [pickle.loads(o.value) for o in outcomes] == [3_000_000, 0, 20_000]


def test_more_messages_than_the_socket_holds_wait_for_a_busy_slot(bench, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slot = bench.slot()
    jid = bench.load(slot, f"item or open({str(gate)!r}).read()")
    bench.run(slot, jid, [""])
    bench.wait(slot, slot.now_running)
    for task in range(1, 3001):
        bench.run(slot, jid, [task], first=task)
    gate.write_text("open")
    assert [o.task for o in bench.outcomes(slot)] == list(range(3001))


def test_ready_is_said_only_when_all_that_was_asked_is_done(bench):
    slot = bench.slot()
    jid = bench.load(slot, "item")
    for first in range(0, 100, 10):
        bench.run(slot, jid, range(10), first=first)
    messages = bench.until(slot, Ready)
    assert len(bench.told(messages)) == 100
    assert isinstance(messages[-1], Ready)


@pytest.mark.parametrize(
    ("source", "code", "number"),
    [
        ("import os; os._exit(3)", 3, None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None, signal.SIGKILL),
        ("import faulthandler; faulthandler._sigsegv()", None, signal.SIGSEGV),
    ],
)
def test_a_task_that_ends_its_process_is_named(bench, source, code, number):
    slot = bench.slot()
    jid = bench.load(slot, f"print('last words', flush=True)\nif item == 2:\n    {source}\nitem")
    bench.run(slot, jid, range(5))
    messages, death = died(bench, slot)
    assert [told.task for told in bench.told(messages)] == [0, 1]
    assert death.culprit == (jid, 2)
    assert (death.exit_code, death.signal) == (code, number)
    outcome = death_outcome(death)
    assert (outcome.task, outcome.kind) == (2, OutcomeKind.CRASHED)
    assert "last words" in outcome.output
    assert (f"exit code {code}" if code else signal.Signals(number).name) in outcome.message
    assert outcome.item == "2"


def test_a_segfault_shows_the_line_of_the_cell(bench):
    slot = bench.slot()
    bench.run(slot, bench.load(slot, "import faulthandler\n\nfaulthandler._sigsegv()"), [0])
    assert 'File "<cell 7>", line 3' in died(bench, slot)[1].output


def test_a_death_after_the_last_outcome_blames_nobody(bench):
    slot = bench.slot()
    bench.run(slot, bench.load(slot, "item"), range(3))
    bench.outcomes(slot)
    slot.kill()
    assert died(bench, slot)[1].culprit is None


def test_a_slot_that_is_killed_as_soon_as_it_was_asked_for_ends(bench):
    """It may not have a process group yet."""
    for _ in range(10):
        slot = bench.slot()
        slot.kill()
        assert bench.until(slot, Died)[-1].signal == signal.SIGKILL


def test_a_task_killed_for_its_time_is_a_timeout(bench):
    slot = bench.slot()
    jid = bench.load(slot, "while True: pass", timeout=0.05)
    bench.run(slot, jid, range(2))
    death = died(bench, slot, watch=True)[1]
    assert death.culprit == (jid, 0)
    outcome = death_outcome(death)
    assert outcome.kind is OutcomeKind.TIMEOUT
    assert "0.05 s" in outcome.message
    assert outcome.wall >= 0.05


@pytest.mark.parametrize("source", ["'x' * 3000", "'x' *"])
def test_a_task_that_has_ended_and_waits_to_be_heard_is_not_out_of_time(bench, source):
    """Also where it was not run, since its cell cannot be."""
    slot, timeout = bench.slot(), 1.0
    bench.run(slot, bench.load(slot, source, timeout=timeout), range(60_000))  # more than the way has room for
    bench.wait(slot, slot.now_running)

    def waits():
        running = slot.now_running()
        return running is not None and time.monotonic() - running[2] > 2 * timeout

    end = time.monotonic() + 30
    while not waits():
        assert time.monotonic() < end
        slot.enforce(time.monotonic())
        time.sleep(0.01)
    assert [o.task for o in bench.outcomes(slot)][-1] == 59_999


def test_tasks_from_the_stop_on_are_not_started(bench, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slot = bench.slot()
    jid = bench.load(slot, f"item or open({str(gate)!r}).read()")
    bench.run(slot, jid, ["", *range(1, 100)])
    bench.wait(slot, slot.now_running)
    slot.stop_at(jid, 3)
    gate.write_text("open")
    assert [o.task for o in bench.outcomes(slot)] == [0, 1, 2]
    bench.run(slot, jid, range(1, 6), first=50)
    assert [o.task for o in bench.outcomes(slot)] == [50, 51, 52, 53, 54]


def test_what_runs_and_what_it_prints_are_seen_live(bench):
    slot = bench.slot()
    jid = bench.load(
        slot, "import sys\nfor i in range(90):\n    sys.stdout.write(f'\\r{i} %')\nprint()\nwhile True: pass"
    )
    before = time.monotonic()
    bench.run(slot, jid, [0], first=41)
    bench.wait(slot, lambda: slot.tail().endswith("\n"))
    running = slot.now_running()
    assert running[:2] == (jid, 41)
    assert before <= running[2] <= time.monotonic()
    assert slot.tail() == "89 %\n"
    assert slot.memory_mb() > 3


def test_nothing_runs_when_all_is_done(bench):
    slot = bench.slot()
    bench.run(slot, bench.load(slot, "item"), range(3))
    bench.outcomes(slot)
    assert slot.now_running() is None


def test_a_kill_takes_along_what_the_task_started(bench):
    slot = bench.slot()
    source = "import subprocess\nprint(subprocess.Popen(['sleep', '600']).pid, flush=True)\nwhile True: pass"
    bench.run(slot, bench.load(slot, source), [0])
    bench.wait(slot, lambda: slot.tail().endswith("\n"))
    started = os.pidfd_open(int(slot.tail()))
    slot.kill()
    died(bench, slot)
    assert select.select([started], [], [], 20)[0], "the sleeper lives on"
    os.close(started)


def test_programs_that_a_task_starts_inherit_no_descriptor_of_ours(bench):
    source = "import os\nos.system('ls /proc/self/fd | wc -l')\nitem"
    outcomes = bench.perform(source, [0, "x" * 100_000])
    assert [o.output for o in outcomes] == ["4\n", "4\n"], "0, 1, 2 and the folder that ls reads"


def test_a_fork_that_comes_back_does_not_tell_an_outcome_twice(bench):
    outcomes = bench.perform("import os\nos.fork()\nitem", range(20))
    assert [o.task for o in outcomes] == list(range(20))


def test_a_grandchild_that_left_its_session_and_holds_the_pipe_ends_with_its_slot(bench):
    source = textwrap.dedent("""
        import os, time
        ready, tell = os.pipe()
        if (pid := os.fork()) == 0:
            os.setsid()
            os.write(tell, b"!")
            time.sleep(600)
        os.read(ready, 1)
        print(pid, flush=True)
        os._exit(0)
    """)
    slot = bench.slot()
    bench.run(slot, bench.load(slot, source), [0])
    death = died(bench, slot)[1]
    assert process_birth(int(death.output)) is None
    assert death.exit_code == 0


@pytest.mark.parametrize("fresh", [True, False])
def test_a_user_error_is_tried_again_in_place_and_only_the_last_attempt_is_told(bench, tmp_path, fresh):
    trace = tmp_path / "trace"
    source = textwrap.dedent(f"""
        import random
        with open({str(trace)!r}, "a") as file:
            file.write(f"{{random.random()}} {{len(box)}}\\n")
        box.append(item)
        print("attempt")
        with open({str(trace)!r}) as file:
            tries = len(file.readlines())
        if tries < 3:
            raise ValueError(tries)
        tries
    """)
    (outcome,) = bench.perform(source, captured={"box": []}, retries=5, fresh=fresh)
    assert outcome.kind is OutcomeKind.VALUE
    assert outcome.attempts == 3
    assert outcome.output == "attempt\n"
    lines = trace.read_text().splitlines()
    assert len(lines) == 3
    assert len(set(lines)) == 1, "each attempt starts fresh, with the same seed"


def test_retries_end(bench):
    (outcome,) = bench.perform("1 / item", [0], retries=2)
    assert (outcome.kind, outcome.attempts) == (OutcomeKind.ERROR, 3)


def test_output_without_end_is_cut_while_it_is_written(bench):
    slot = bench.slot()
    source = "print('begin')\nwhile not item: print('x' * 99)"
    bench.run(slot, bench.load(slot, source), [0])
    for _ in range(3):
        bench.wait(slot, slot.bound_output)
    slot.kill()
    text = died(bench, slot)[1].output
    assert text.startswith("begin\n")
    assert "MB left out" in text
    assert len(text) < 70_000


def _script(code, **options):
    """Runs Python that plays the supervisor, with a fixed hash seed, so that its template is a fork."""
    surroundings = {**os.environ, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, text=True, **options)


_START = """
    import select, sys, time
    from burst_magic.payload import Envelope
    from burst_magic.worker.slots.slot import JobCode, PackedOutcomes
    from burst_magic.worker.forkserver import Template
    template = Template.start()
    slot = template.slot(0)
    def run(source):
        envelope = Envelope(source=source, stream=b"", has_value=True)
        slot.load(JobCode(jid="j", envelope=envelope.to_bytes()))
        slot.run("j", 0, None, 1)
        while True:
            select.select([slot], [], [], 0.05)
            if (found := [m for m in slot.read() if isinstance(m, PackedOutcomes)]) or "live" in slot.tail():
                return found
"""


def test_a_task_cannot_read_the_key_that_the_supervisor_gets(tmp_path):
    script = (
        _START
        + """
    packed, = run("import os; os.read(0, 100)")
    print(b"secret" in packed.run.data, sys.stdin.read())
    template.close()
    """
    )
    process = _script(script, stdin=subprocess.PIPE)
    assert process.communicate("secret", timeout=30)[0].split() == ["False", "secret"]


def test_slots_end_when_the_supervisor_is_killed():
    script = (
        _START
        + """
    run("print('live', flush=True)\\nwhile True: pass")
    print(slot.pid, template.pid, flush=True)
    time.sleep(600)
    """
    )
    with _script(script) as process:
        pids = [int(word) for word in process.stdout.readline().split()]
        left = [os.pidfd_open(pid) for pid in pids]
        process.kill()
        for descriptor in left:
            assert select.select([descriptor], [], [], 20)[0], "an orphan lives on"
            os.close(descriptor)


def test_the_loss_of_the_template_is_seen_and_leaves_no_slot():
    script = (
        _START
        + """
    import os, signal
    run("print('live', flush=True)\\nwhile True: pass")
    print(slot.pid, flush=True)
    sys.stdin.readline()
    os.kill(template.pid, signal.SIGKILL)
    select.select([template], [], [], 20)
    print(template.lost(), flush=True)
    template.close()
    """
    )
    with _script(script, stdin=subprocess.PIPE) as process:
        slot = os.pidfd_open(int(process.stdout.readline()))
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == "True"
        assert select.select([slot], [], [], 20)[0]
        os.close(slot)


def test_strings_hash_alike_in_all_templates(bench):
    (outcome,) = bench.perform("hash('burst')")
    process = _script(
        _START
        + """
    from burst_magic.protocol.wire.records import unpack_outcome
    import pickle
    packed, = run("hash('burst')")
    print(pickle.loads(unpack_outcome(packed.run.data).value))
    template.close()
    """
    )
    assert int(process.communicate(timeout=30)[0]) == pickle.loads(outcome.value)


def test_the_outcome_of_a_task_that_took_time_wakes_the_supervisor(bench):
    slot = bench.slot()
    bench.until(slot, Ready)
    bench.run(slot, bench.load(slot, "import time\ntime.sleep(0.01)\nwhile item: pass"), [0, 1])
    while not any(isinstance(message, PackedOutcomes) for message in slot.read()):
        assert select.select([slot], [], [], 10)[0], "nothing woke us"


def test_an_outcome_that_was_told_is_not_blamed_for_a_death_just_after_it():
    wires, (control, notes, memory, printed) = connect()
    slot = Slot(0, kill=lambda: None, wires=wires)
    slot.load(JobCode(jid="j", envelope=b""))
    shared = Shared(memory)
    record = pack_value(5, b"", began=0.0, wall=0.0, cpu=0.0, peak_mb=0.0)
    os.write(notes, NOTE.pack(MARK, RECORD, VALUE, 0, 1, 0, len(record)) + record)
    shared.words[Word.TASK], shared.words[Word.STATUS], shared.words[Word.DEAD] = 6, signal.SIGKILL, 1
    packed, death = slot.read()
    assert packed.run.first == 5
    assert (death.task, death.signal) == (None, signal.SIGKILL)
    slot.close()
    shared.close()
    for descriptor in (control, notes, memory, printed):
        os.close(descriptor)


def test_values_that_are_told_together_come_as_one_and_others_by_themselves_in_order():
    wires, (control, notes, memory, printed) = connect()
    slot = Slot(0, kill=lambda _: None, wires=wires)
    slot.load(JobCode(jid="j", envelope=b""))
    shared = Shared(memory)
    kinds = [VALUE, VALUE, VALUE, TOLD, VALUE, VALUE, FAILED]
    records = [pack_value(task, b"x" * 9, began=0.0, wall=0.0, cpu=0.0, peak_mb=0.0) for task in range(len(kinds))]
    SlotChannel(notes, shared).publish(0, zip(kinds, records, strict=True), ended=0.0)
    told = [(message.run.first, message.run.count, message.plain, message.failed) for message in slot.read()]
    assert told == [(0, 3, True, False), (3, 1, False, False), (4, 2, True, False), (6, 1, False, True)]
    slot.close()
    shared.close()
    for descriptor in (control, notes, memory, printed):
        os.close(descriptor)


def test_values_that_are_told_one_by_one_are_joined_as_far_as_they_follow_each_other():
    wires, (control, notes, memory, printed) = connect()
    slot = Slot(0, kill=lambda _: None, wires=wires)
    for jid in "jk":
        slot.load(JobCode(jid=jid, envelope=b""))
    shared = Shared(memory)
    channel = SlotChannel(notes, shared)
    for job, task in [(0, 3), (0, 4), (0, 7), (1, 8), (1, 9), (0, 10)]:
        record = pack_value(task, bytes([task]), began=0.0, wall=0.0, cpu=0.0, peak_mb=0.0)
        channel.publish(job, [(VALUE, record)], ended=0.0)
    told = [(message.jid, message.run.first, message.run.count) for message in slot.read()]
    assert told == [("j", 3, 2), ("j", 7, 1), ("k", 8, 2), ("j", 10, 1)]
    slot.close()
    shared.close()
    for descriptor in (control, notes, memory, printed):
        os.close(descriptor)


def test_a_record_that_was_cut_short_by_a_death_is_dropped():
    wires, (control, notes, memory, printed) = connect()
    slot = Slot(0, kill=lambda: None, wires=wires)
    slot.load(JobCode(jid="j", envelope=b""))
    shared = Shared(memory)
    os.write(notes, NOTE.pack(MARK, RECORD, VALUE, 0, 1, 0, 1000) + bytes(100))
    assert slot.read() == []
    shared.words[Word.TASK], shared.words[Word.STATUS], shared.words[Word.DEAD] = 6, 3 << 8, 1
    os.write(notes, NOTE.pack(MARK, WAKE, 0, 0, 0, 0, 0))
    (death,) = slot.read()
    assert (death.culprit, death.exit_code) == (("j", 5), 3)
    slot.close()
    shared.close()
    for descriptor in (control, notes, memory, printed):
        os.close(descriptor)


def test_an_outcome_does_not_wait_behind_the_next_task(bench):
    slot = bench.slot()
    jid = bench.load(slot, "while item == 100: pass")
    bench.run(slot, jid, range(101))
    found = []
    bench.wait(slot, lambda: len(bench.told(found)) == 100, found)
    assert bench.told(found)[-1].task == 99


def test_a_very_large_outcome_is_put_aside_while_it_comes(bench):
    """It lies in a file, and those before and after it keep their order."""
    outcomes = bench.perform("b'x' * item", [10, 40_000_000, 20, 17_000_000, 0])
    assert [len(pickle.loads(outcome.value)) for outcome in outcomes] == [10, 40_000_000, 20, 17_000_000, 0]


def test_a_slot_that_dies_within_a_very_large_outcome_has_not_told_it():
    wires, (control, notes, memory, output) = connect()
    slot = Slot(0, kill=lambda _: None, wires=wires)
    slot.load(JobCode(jid="j", envelope=b""))
    os.write(notes, NOTE.pack(MARK, RECORD, VALUE, 0, 1, 0, 1 << 30) + bytes(1000))
    assert slot.read() == []
    Shared(memory).words[Word.DEAD] = 1
    os.write(notes, NOTE.pack(MARK, WAKE, 0, 0, 0, 0, 0))
    (death,) = slot.read()
    assert isinstance(death, Died)
    assert death.culprit is None
    slot.close()
    for descriptor in (control, notes, memory, output):
        os.close(descriptor)
