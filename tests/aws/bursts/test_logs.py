"""What tasks and containers print, in one order of time; and what a worker says that died before its first heartbeat."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from burst_magic.protocol.wire import keys, sign

TALKS = "print(f'task {item} speaks')\nitem"
GATED = "import os, time\nprint(f'task {item} waits')\nwhile not os.path.exists(gate): time.sleep(0.02)\nitem"


def test_tasks_and_containers_speak_in_one_order_of_time(scientist, until):
    session = scientist.burst(TALKS, range(6), workers=2)
    assert list(session.results()) == list(range(6))
    session.cleanup()
    until(lambda: not scientist.living, "the workers to end")
    lines = until(lambda: with_an_end(list(session.logs(n=50))), "a container's last line")
    assert {line.text for line in lines} >= {f"task {n} speaks" for n in range(6)}
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert all(time.time() - 600 < line.at <= time.time() for line in lines)
    assert len(list(session.logs(n=3))) == 3


def with_an_end(lines):
    """One is enough: a worker that was still coming when the tasks were done has nothing to say."""
    return lines if any("ended:" in line.text for line in lines) else None


def test_one_worker_speaks_alone(scientist, until):
    session = scientist.burst(TALKS, range(6), workers=2)
    assert list(session.results()) == list(range(6))
    session.cleanup()
    until(lambda: not scientist.living, "the workers to end")
    wid = scientist.tasks[0].id
    lines = until(lambda: list(session.logs(worker=wid[:8])), "its lines")
    assert {line.source for line in lines} == {wid}


def test_a_worker_that_died_before_its_first_heartbeat_says_why(scientist, until):
    scientist.cloud.weather = replace(scientist.cloud.weather, provisioning=2.0)
    session = scientist.burst(TALKS, range(2), workers=1)
    session.store.delete([keys.session_key(session.id, sign.fingerprint(session.secret))])
    dead = until(lambda: [task for task in scientist.tasks if task.is_over], "its end")[0]

    def both():
        texts = [line.text for line in session.logs() if line.source == dead.id]
        return texts if any("key" in text for text in texts) and any("exit code 77" in text for text in texts) else None

    until(both, "its last lines and its exit code")


def test_followed_lines_come_once_while_the_job_runs(scientist, until):
    session = scientist.burst(GATED, range(2), workers=2)
    found = []
    reader = threading.Thread(target=lambda: found.extend(session.logs(follow=True)))
    reader.start()
    until(lambda: session.status().running == 2, "both to run")
    scientist.open_gate()
    reader.join(40)
    assert not reader.is_alive()
    texts = [line.text for line in found]
    assert sorted(text for text in texts if "waits" in text) == ["task 0 waits", "task 1 waits"]
