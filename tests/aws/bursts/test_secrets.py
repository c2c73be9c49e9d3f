"""Where a session's key and its fingerprint are, and where they are not: searched for in all that a burst leaves."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from burst_magic.protocol.wire import keys, sign

# What code in a task can read: itself, the processes of its container, what its engine tells.
LOOK = """
import json, os, time, urllib.request
while not os.path.exists(gate): time.sleep(0.02)

def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("latin-1")
    except OSError:
        return None

def opened(path):
    try:
        open(path, "rb").close()
        return True
    except OSError:
        return False

def parent(pid):
    return int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])

def told(path):
    try:
        with urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + path, timeout=10) as answer:
            return answer.read().decode()
    except OSError as error:
        return str(error)

own = dict(os.environ)
processes, pid = [], os.getpid()
while pid > 1:
    command = read(f"/proc/{pid}/cmdline")
    processes.append((command, read(f"/proc/{pid}/environ"), opened(f"/proc/{pid}/mem")))
    os.kill(pid, 0)  # it may send signals to each: docs/security.md says so
    if "worker.watchdog" in command:
        break
    pid = parent(pid)
{"own": own, "processes": processes, "metadata": [told(path) for path in ("", "/task", "/taskWithTags", "/stats")]}
"""
HOLDER = "import os, sys; print('ready', flush=True); sys.stdin.read()"


def forms(secret: bytes) -> list[bytes]:
    """The secret in ways that people write bytes: as they are, in hex, in base64 wherever it may begin."""
    said = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for pad in range(3):
        whole = base64.b64encode(bytes(pad) + secret)
        middle = whole[4 if pad else 0 : -4]
        said += [middle, middle.replace(b"+", b"-").replace(b"/", b"_")]
    return said


def has(text: bytes | str, secret: bytes) -> bool:
    data = text.encode("latin-1", "replace") if isinstance(text, str) else text
    return any(form in data for form in forms(secret))


def descendants(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found += [int(folder.name), *descendants(int(folder.name))]
    return found


def in_memory(pid: int, secret: bytes) -> bool:
    """Whether a process holds it, as the root of this machine sees its memory."""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, stop = (int(each, 16) for each in span.split("-"))
                with contextlib.suppress(OSError, ValueError):
                    memory.seek(start)
                    if has(memory.read(stop - start), secret):
                        return True
    return False


def test_a_secret_is_found_by_this_search_in_whatever_way_it_is_written():
    secret = bytes(range(100, 132))
    ways = [secret, secret.hex(), secret.hex().upper(), *(base64.b64encode(b"x" * n + secret) for n in range(3))]
    assert all(has(b"before" + (way.encode() if isinstance(way, str) else way) + b"after", secret) for way in ways)
    assert not has(base64.b64encode(bytes(range(90))), bytes(32))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], env={"HELD": secret.hex()}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"ready\n"
        assert in_memory(holder.pid, secret)
        holder.stdin.close()


@pytest.fixture
def looked(scientist, until):
    """A burst on two workers, while its tasks run: the session, its key and the processes of its containers."""
    session = scientist.burst(LOOK, range(2), workers=2, name="looks")
    until(lambda: session.status().running == 2, "tasks to run")
    return session, bytes.fromhex(session.key)


def test_processes_that_run_tasks_do_not_hold_the_key_and_no_process_was_told_it(scientist, looked):
    _, key = looked
    held = []
    for task in scientist.tasks:
        family = [task.pid, *descendants(task.pid)]
        assert len(family) >= 4  # watchdog, worker, template, slot
        said = {
            pid: Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family
        }
        assert not any(has(each, key) for each in said.values())
        births = [pid for pid, each in said.items() if b"BURST_BIRTH_" in each]
        assert len(births) == 2  # the watchdog and the worker, which conceal it
        held += [family.index(pid) for pid in family if in_memory(pid, key)]
    assert held == [1] * len(scientist.tasks)  # the worker holds it, to sign with; nobody else does


def test_code_in_a_task_reads_neither_the_key_nor_its_fingerprint(scientist, looked):
    session, key = looked
    fingerprint = sign.fingerprint(key)
    scientist.open_gate()
    for seen in session.results():
        text = json.dumps(seen)
        assert not has(text, key)
        assert fingerprint not in text
        assert "BURST_BIRTH_" not in text
        assert seen["own"]["AWS_CONTAINER_CREDENTIALS_FULL_URI"]  # the role is for tasks
        assert session.id in text or "TaskARN" in text  # the metadata was read
        commands, environs, memories = zip(*seen["processes"], strict=True)
        assert "worker.watchdog" in commands[-1]
        assert (None not in environs[:-2], all(memories[:-2])) == (True, True)  # itself, and what forked it
        assert (environs[-2:], memories[-2:]) == ((None, None), (False, False))  # the worker and the watchdog


def test_neither_is_in_what_aws_knows_of_the_session_nor_in_what_it_stores(scientist, looked):
    session, key = looked
    fingerprint = sign.fingerprint(key)
    scientist.open_gate()
    assert len(session.results()) == 2
    session.cleanup()
    clients = scientist.cloud.server.clients
    ecs, cluster = clients.of("ecs"), scientist.cloud.aws["cluster"]
    described = ecs.describe_tasks(cluster=cluster, tasks=[task.arn for task in scientist.tasks], include=["TAGS"])
    definition = ecs.describe_task_definition(taskDefinition=scientist.cloud.aws["task_definition"], include=["TAGS"])
    logs = clients.of("logs").filter_log_events(logGroupName=scientist.cloud.stack.log_group)
    told = {"calls": repr(scientist.tasks), "tasks": described, "definition": definition, "log": logs}
    for where, words in told.items():
        assert not has(json.dumps(words, default=str), key), where
    assert "ended:" in json.dumps(told["log"], default=str)
    assert [where for where, words in told.items() if fingerprint in json.dumps(words, default=str)] == [
        "calls",
        "tasks",
    ]
    objects = {entry.key: session.store.get(entry.key) for entry in session.store.list("")}
    of_key = keys.session_key(session.id, fingerprint)
    assert {name for name in objects if session.id in name} - {of_key}  # manifest, claims, heartbeats, results
    assert [name for name, data in objects.items() if has(data, key)] == [of_key]
    assert [name for name, data in objects.items() if fingerprint in name or fingerprint.encode() in data] == [of_key]
