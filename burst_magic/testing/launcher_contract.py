"""The contract of launchers, as checks that third parties can run on their own launchers.

from burst_magic.testing import check_launcher
check_launcher(MyLauncher)

Each check starts real workers in a folder on this machine, which the launcher's workers must be able to reach.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from burst_magic.launchers.base import Again, Handle, Launcher, WorkerState
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire.model import EndCause
from burst_magic.testing.rehearsal import SID, ContractBroken, Rehearsal, must

Check = Callable[[Rehearsal], None]


def check_launcher(
    launcher: Callable[[Path], Launcher],
    *,
    patience: float = 60.0,
    only: tuple[Check, ...] | None = None,
    options: Mapping[str, str] | None = None,
) -> None:
    """Run all checks, each in its own folder and session.

    Args:
        launcher: creates a launcher; called with a folder for logs, once per simulated client.
        patience: seconds for a worker to start, to exit, and to react.
        only: these instead of ``LAUNCHER_CHECKS``.
        options: what its users configure, ``Start.options``.

    Raises:
        ContractBroken: lists every failed check with its reason.
    """
    failed = []
    for check in LAUNCHER_CHECKS if only is None else only:
        with tempfile.TemporaryDirectory(prefix="burst-check-") as folder:
            rehearsal = Rehearsal(launcher, Path(folder), patience=patience, options=options)
            try:
                check(rehearsal)
            except ContractBroken as broken:
                failed.append(f"{check.__name__}: {broken}")
            finally:
                rehearsal.close()
    must(not failed, "\n".join(failed))


def a_handle_is_plain_data_and_comes_back_the_same(rehearsal: Rehearsal) -> None:
    """Another process may look after the worker."""
    handle = rehearsal.start()
    must(Handle.from_json(handle.to_json()) == handle, f"{handle} changes on its way through JSON")
    newer = json.dumps({**json.loads(handle.to_json()), "field of a newer version": 1})
    must(Handle.from_json(newer) == handle, "an unknown field spoils a handle")
    must(handle.launcher == rehearsal.launcher.name, f"its launcher is {handle.launcher}")
    must(rehearsal.keys.gone(handle.wid), "its id fits into no key")


def each_start_has_its_own_answer_in_order(rehearsal: Rehearsal) -> None:
    """Some may be refused; the others are workers all the same."""
    rehearsal.open_session()
    starts = [rehearsal.words(token=f"0123456789ab{place:04x}", number=place) for place in range(5)]
    answers = rehearsal.launcher.start(starts)
    rehearsal.handles += [answer for answer in answers if isinstance(answer, Handle)]
    must([answer.token for answer in answers] == [start.token for start in starts], f"five starts, {answers}")
    wids = {answer.wid for answer in answers if isinstance(answer, Handle)}
    must(len(wids) == sum(isinstance(answer, Handle) for answer in answers), "two workers have one id")
    must(rehearsal.launcher.start([]) == [], "no start has an answer")


def the_same_token_twice_is_one_worker(rehearsal: Rehearsal) -> None:
    """Whoever lost the answer asks again, as another client too."""
    rehearsal.open_session()
    words = rehearsal.words()
    found: list[Handle] = []
    for launcher in (rehearsal.launcher, rehearsal.launcher, rehearsal.another_client()):
        for _ in range(50):
            (answer,) = launcher.start([words])
            if isinstance(answer, Handle):
                found.append(answer)
                break
            if answer.again in {Again.NO_ROOM, Again.LATER} and not found:
                words = rehearsal.words()
    rehearsal.handles += found[:1]
    must(len(found) == 3, f"a token was answered {len(found)} times of 3")
    must(len({handle.wid for handle in found}) == 1, f"one token, several workers: {found}")
    rehearsal.until(rehearsal.beats, "a heartbeat")
    must(len(rehearsal.beats()) == 1, "one token brought several workers into the session")


def a_worker_says_who_it_is(rehearsal: Rehearsal) -> None:
    """Its heartbeat names the start that it answers and holds its handle."""
    handle = rehearsal.joined()
    (beat,) = rehearsal.beats()
    must((beat.worker, beat.token) == (handle.wid, handle.token), f"{handle} beats as {beat.worker}, {beat.token}")
    must(Handle.from_json(beat.handle) == handle, f"its heartbeat holds {beat.handle}")


def a_worker_whose_session_is_gone_ends_well(rehearsal: Rehearsal) -> None:
    """There is nothing to join."""
    handle = rehearsal.start()
    end = rehearsal.end_of(handle)
    must(end.exit_code in {0, None}, f"it ended with {end.exit_code}: {end.reason}")
    rehearsal.until(lambda: "the session is gone" in rehearsal.launcher.log(handle), "the reason in its log")


def a_worker_that_breaks_says_why(rehearsal: Rehearsal) -> None:
    """In its log, and by its exit code."""
    handle = rehearsal.start(store="file://relative")
    end = rehearsal.end_of(handle)
    must(end.exit_code != 0, f"it ended with {end.exit_code}")
    said = "a folder URL needs an absolute path"
    rehearsal.until(lambda: said in rehearsal.launcher.log(handle), "the reason in its log")


def two_workers_end_apart(rehearsal: Rehearsal) -> None:
    """Stopping one leaves the other."""
    rehearsal.open_session()
    first, second = rehearsal.start(), rehearsal.start(number=1)
    must(first.wid != second.wid, f"both are called {first.wid}")
    rehearsal.until(lambda: len(rehearsal.beats()) == 2, "two heartbeats")
    rehearsal.launcher.stop(first)
    rehearsal.end_of(first)
    other = rehearsal.status(second)
    must(other.state is not WorkerState.ENDED, f"the other is {other}")


def a_living_worker_is_never_called_ended(rehearsal: Rehearsal) -> None:
    """Neither while it is coming nor while it beats, by nobody."""
    rehearsal.open_session()
    handle = rehearsal.start()
    others = rehearsal.another_client()

    def lives_and_beats() -> bool:
        for launcher in (rehearsal.launcher, others):
            status = rehearsal.status(handle, of=launcher)
            must(status.state is not WorkerState.ENDED, f"a living worker is called {status}")
        return any(beat.number > 5 for beat in rehearsal.beats())

    rehearsal.until(lives_and_beats, "a few heartbeats")


def what_is_not_known_has_not_ended(rehearsal: Rehearsal) -> None:
    """Not knowing is no end, and no reason to fail: another machine's, another account's, long forgotten."""
    stranger = Handle(launcher=rehearsal.launcher.name, wid="nobody-1-1", token="none")  # noqa: S106 - of nobody
    must(rehearsal.status(stranger).state is WorkerState.UNKNOWN, f"a stranger is {rehearsal.status(stranger)}")
    rehearsal.launcher.poke(stranger)
    rehearsal.launcher.stop(stranger)
    rehearsal.launcher.stop(stranger, kill=True)
    must(rehearsal.launcher.log(stranger) == "", "a stranger has a log")
    must(rehearsal.launcher.describe([]) == {}, "nobody is described")


def another_client_stops_a_worker_by_its_handle(rehearsal: Rehearsal) -> None:
    """A new kernel finds handles in the heartbeats."""
    handle = rehearsal.joined()
    other = rehearsal.another_client()
    other.stop(Handle.from_json(handle.to_json()))
    rehearsal.end_of(handle, of=other)
    rehearsal.until(lambda: "ended: term" in other.log(handle), "its last words in its log")


def another_client_finds_a_worker_that_was_not_heard_of(rehearsal: Rehearsal) -> None:
    """Whoever started it may be gone. A launcher that cannot tell finds none."""
    rehearsal.open_session()
    handle = rehearsal.start()
    options = rehearsal.words().options
    found = rehearsal.another_client().find(SID, options)
    must(found in ([], [handle]), f"of {handle} it found {found}")
    must(rehearsal.another_client().find("20250101-000000-bbbbbbbb", options) == [], "another session's are found")


def stop_lets_a_worker_finish_its_task(rehearsal: Rehearsal) -> None:
    """It publishes what it has, and says that it is gone."""
    begun, gate = rehearsal.root / "begun", rehearsal.root / "gate"
    rehearsal.open_session()
    rehearsal.add_job(
        f"import os, time\nopen({str(begun)!r}, 'w').close()\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\nitem * 2",
        21,
    )
    handle = rehearsal.start()
    rehearsal.until(begun.exists, "the task to run")
    rehearsal.launcher.stop(handle)
    time.sleep(0.2)  # a launcher that kills would have by now
    gate.touch()
    rehearsal.end_of(handle)
    gone = rehearsal.gone(handle)
    must(gone is not None and gone.cause is EndCause.TERM, f"it says that it ended by {gone}")
    must(rehearsal.published, "the finished task has no outcome")


def kill_ends_a_worker_and_its_tasks(rehearsal: Rehearsal) -> None:
    """However long a task would run. An engine may first ask it to end, as ECS does."""
    sign_of_life = rehearsal.root / "life"
    rehearsal.open_session()
    rehearsal.add_job(
        "import time\nwhile True:\n"
        f"    with open({str(sign_of_life)!r}, 'a') as file: file.write('.')\n    time.sleep(0.02)",
        0,
    )
    handle = rehearsal.start()
    rehearsal.until(sign_of_life.exists, "the task to run")
    rehearsal.launcher.stop(handle, kill=True)
    rehearsal.end_of(handle)

    def quiet() -> bool:
        size = sign_of_life.stat().st_size
        time.sleep(0.2)
        return sign_of_life.stat().st_size == size

    rehearsal.until(quiet, "its task to end with it")


def a_poke_harms_nobody(rehearsal: Rehearsal) -> None:
    """Neither a worker that is starting nor one that has ended."""
    rehearsal.open_session()
    handle = rehearsal.start()
    for _ in range(100):  # from before Python is up until after it listens
        rehearsal.launcher.poke(handle)
        time.sleep(0.004)
    rehearsal.until(rehearsal.beats, "a heartbeat")
    rehearsal.launcher.poke(handle)
    rehearsal.launcher.stop(handle)
    must(rehearsal.end_of(handle).exit_code in {ExitCode.DRAINED, None}, "it was harmed")
    rehearsal.launcher.poke(handle)
    rehearsal.launcher.stop(handle)
    rehearsal.launcher.stop(handle, kill=True)


def a_poke_wakes_a_worker_that_sleeps(rehearsal: Rehearsal) -> None:
    """Where pokes arrive: an idle worker looks every 2 floors, and here that is far too long."""
    if not rehearsal.launcher.traits.can_be_poked:
        return
    rehearsal.open_session(floor=60.0, interval=120.0)
    handle = rehearsal.start()
    rehearsal.until(rehearsal.beats, "a heartbeat")
    rehearsal.add_job("item * 2", 21)

    def published() -> bool:
        rehearsal.launcher.poke(handle)
        return rehearsal.published

    rehearsal.until(published, "the task")


def the_sessions_key_is_in_no_handle_and_in_no_log(rehearsal: Rehearsal) -> None:
    """Handles lie in heartbeats, logs are shown."""
    handle = rehearsal.joined()
    said = handle.to_json() + rehearsal.launcher.log(handle) + repr(rehearsal.words())
    must(rehearsal.secret.hex() not in said, "the key is in plain sight")


LAUNCHER_CHECKS: tuple[Check, ...] = (
    a_handle_is_plain_data_and_comes_back_the_same,
    each_start_has_its_own_answer_in_order,
    the_same_token_twice_is_one_worker,
    a_worker_says_who_it_is,
    a_worker_whose_session_is_gone_ends_well,
    a_worker_that_breaks_says_why,
    two_workers_end_apart,
    a_living_worker_is_never_called_ended,
    another_client_finds_a_worker_that_was_not_heard_of,
    what_is_not_known_has_not_ended,
    another_client_stops_a_worker_by_its_handle,
    stop_lets_a_worker_finish_its_task,
    kill_ends_a_worker_and_its_tasks,
    a_poke_harms_nobody,
    a_poke_wakes_a_worker_that_sleeps,
    the_sessions_key_is_in_no_handle_and_in_no_log,
)
