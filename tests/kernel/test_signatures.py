"""What lies in the store is believed only if the session's key signed it, there; the key itself goes nowhere."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
from pathlib import Path

import pytest

from burst_magic.payload import Envelope
from burst_magic.protocol.wire import blocks, records, sign

ATTACKER = bytes(32)
WAIT = """
import os, time
def behind(gate, value):
    while not os.path.exists(gate):
        time.sleep(0.01)
    return value
"""


class Marker:
    """A pickle of this leaves a file behind where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "somebody-unpickled-me"


@pytest.fixture
def store(shared_home):
    return shared_home.folder


@pytest.fixture
def gate(tmp_path):
    """A file that tasks wait for."""
    return tmp_path / "gate"


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def key_of(store: Path, path: Path) -> str:
    return path.relative_to(store).as_posix()


def overwrite(path: Path, data: bytes) -> None:
    """As another user of the bucket would: the object is there at once, whole."""
    draft = path.with_name("draft")
    draft.write_bytes(data)
    draft.replace(path)


# --- the same five tricks on everything that is unpickled --------------------------------------------------------


def forged_segment(key: str, marker: Path, _data: bytes, _other: bytes) -> bytes:
    record = records.pack_value(0, pickle.dumps(Marker(marker)), began=0.0, wall=0.0, cpu=0.0, peak_mb=0.0)
    return b"".join(blocks.write_blocks(ATTACKER, key, [(0, record)], lengths=False, head=records.pack_origin()))


def forged_items(key: str, marker: Path, _data: bytes, _other: bytes) -> bytes:
    return b"".join(blocks.write_blocks(ATTACKER, key, [(0, pickle.dumps(Marker(marker)))], lengths=True))


def forged_payload(key: str, marker: Path, _data: bytes, _other: bytes) -> bytes:
    body = Envelope(source="1\n", stream=pickle.dumps({"x": Marker(marker)}), names=("x",), has_value=True).to_bytes()
    return sign.seal(ATTACKER, key, body)


def changed(_key: str, _marker: Path, data: bytes, _other: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def shortened(_key: str, _marker: Path, data: bytes, _other: bytes) -> bytes:
    return data[: len(data) // 2]


def from_elsewhere(_key: str, _marker: Path, _data: bytes, other: bytes) -> bytes:
    return other


def refused(cell, key: str) -> None:
    """One clear message that names the object, and no traceback of ours."""
    assert key in cell.traceback, cell.traceback
    assert re.search("not what this session signed|damaged|not a signed record", cell.traceback), cell.traceback
    assert "site-packages" not in cell.traceback
    assert "burst_magic/" not in cell.traceback


@pytest.mark.parametrize("trick", [forged_segment, changed, shortened, from_elsewhere])
def test_a_result_that_was_tampered_with_is_not_read(kernel, store, marker, trick):
    other = kernel.run('%%burst --workers 1 --map "[10]" --out other\nitem').session
    mine = kernel.run('%%burst --workers 1 --map "[10]" --out out\nitem').session
    kernel.run("other.wait(), out.wait()")
    segment = only(store, f"sessions/{mine}/jobs/0/results/*")
    stranger = only(store, f"sessions/{other}/jobs/0/results/*").read_bytes()
    key = key_of(store, segment)
    overwrite(segment, trick(key, marker, segment.read_bytes(), stranger))

    refused(kernel.fails("out[0]"), key)
    refused(kernel.fails("%burst_collect"), key)
    assert kernel.value("other[0]") == 10
    assert not marker.exists()


def test_a_result_is_not_taken_for_that_of_another_task(kernel, store):
    session = kernel.run('%%burst --workers 2 --map "[10, 20]" --out out\nitem').session
    kernel.run("out.wait()")
    first, second = sorted((store / f"sessions/{session}/jobs/0/results").iterdir(), key=lambda path: path.name[16:])
    overwrite(second, first.read_bytes())
    refused(kernel.fails("out[1]"), key_of(store, second))
    assert kernel.value("out[0]") == 10


@pytest.mark.parametrize(
    ("what", "trick"),
    [
        ("payload", forged_payload), ("payload", changed), ("payload", shortened), ("payload", from_elsewhere),
        ("items", forged_items), ("items", changed), ("items", from_elsewhere),
    ],
)  # fmt: skip
def test_a_job_that_was_tampered_with_is_not_run(kernel, gate, marker, what, trick):
    store = kernel.home.folder
    kernel.run(WAIT)
    session = kernel.run(f'%%burst --workers 1 --map "[10]" --out busy\nbehind({str(gate)!r}, item)').session
    kernel.run(f'%%burst --map "[10]" --out out --session {session}\nbehind({str(gate)!r}, item)')
    target = only(store, f"sessions/{session}/jobs/[!0]*/{what}")
    stranger = store / f"sessions/{session}/jobs/0/{what}"
    key = key_of(store, target)
    overwrite(target, trick(key, marker, target.read_bytes(), stranger.read_bytes()))
    gate.touch()

    assert kernel.value("busy[0]") == 10
    refused(kernel.fails("out[0]"), key)
    assert not marker.exists()


def test_a_stored_value_that_was_changed_is_not_used(kernel, store, gate):
    before = set(store.glob("blobs/*"))  # other files' tests share this store
    kernel.run(WAIT + "import numpy as np\nbig = np.full(300_000, 0.154)")
    session = kernel.run(f'%%burst --workers 1 --map "[1]" --out busy\nbehind({str(gate)!r}, item)').session
    kernel.run(f'%%burst --map "[1]" --out out --session {session}\nfloat(big.sum()) * item')
    (blob,) = set(store.glob("blobs/*")) - before
    overwrite(blob, changed("", blob, blob.read_bytes(), b""))
    gate.touch()
    cell = kernel.fails("out[0]")
    assert key_of(store, blob) in cell.traceback
    assert "does not match its name" in cell.traceback
    blob.unlink()


@pytest.mark.parametrize("what", ["manifest.json", "jobs/0/job.json"])
def test_a_description_that_was_changed_is_not_believed(start_kernel, home, what):
    first = start_kernel()
    session = first.run('%%burst --workers 1 --map "[10]" --out out\nitem').session
    first.run("out.wait()")
    target = home.folder / "sessions" / session / what
    good = target.read_bytes()
    overwrite(target, good.replace(b'"seed":', b'"seed":1'))
    second = start_kernel()
    refused(second.fails(f"%burst_attach {session}"), key_of(home.folder, target))
    overwrite(target, good)
    second.run(f"%burst_attach {session}")
    assert second.value("out[0]") == 10


def test_a_final_that_was_changed_is_passed_over(start_kernel, home, until):
    first = start_kernel()
    session = first.run('%%burst --workers 1 --map "[10, 20]" --out out\nitem').session
    first.run("list(out)")
    final = home.folder / "sessions" / session / "jobs/0/final"
    until(final.exists, "somebody to write it, after the last result")
    overwrite(final, final.read_bytes().replace(b'"at":', b'"at":1'))
    second = start_kernel()
    second.run(f"%burst_attach {session}")
    assert second.value("list(out)") == [10, 20]


# --- the key -------------------------------------------------------------------------------------------------------


def memory_holds(pid: int, words: tuple[bytes, ...]) -> bool:
    """Whether a process has these bytes in any page that it can read."""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("r") and not line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                start, stop = (int(part, 16) for part in span.split("-"))
                memory.seek(start)
                try:
                    page = memory.read(stop - start)
                except OSError:
                    continue
                if any(word in page for word in words):
                    return True
    return False


def test_the_key_is_nowhere_but_where_it_belongs(start_kernel, home, tmp_path, until):
    gate = tmp_path / "gate"
    kernel = start_kernel()
    kernel.run(WAIT + "from pathlib import Path")
    cell = kernel.run(
        f'%%burst --workers 2 --slots 2 --map "n in range(4)" --out out\n'
        f"here = Path({str(tmp_path)!r}, f'task-{{os.getpid()}}')\nhere.touch()\nprint(dict(os.environ))\n"
        f"behind({str(gate)!r}, os.getpid())"
    )
    file = home.config / "keys" / cell.session
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    text = file.read_text().strip()
    words = (text.encode(), bytes.fromhex(text), text[:32].encode(), bytes.fromhex(text)[:16])

    until(lambda: len(list(tmp_path.glob("task-*"))) == 4, "all slots to run a task")
    from_tasks = [int(path.name.partition("-")[2]) for path in tmp_path.glob("task-*")]
    supervisors = home.workers()
    assert len(supervisors) == 2
    assert memory_holds(kernel.pid, words)  # the search finds what is there
    templates = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in from_tasks}
    assert not templates & set(supervisors)
    for pid in (*from_tasks, *templates):
        assert not memory_holds(pid, words)

    for pid in home.processes():
        for place in ("cmdline", "environ"):
            with contextlib.suppress(PermissionError):  # a supervisor shows its environment to root only
                assert not holds(Path(f"/proc/{pid}/{place}"), words)
    gate.touch()
    shown = kernel.run("print(list(out))\n%burst_status")
    logs = kernel.run("%burst_logs")
    notebook = json.dumps([cell.shown, cell.stdout, shown.shown, shown.stdout, logs.stdout, repr(logs.shown)])
    assert text not in notebook
    names = [Path(folder, name) for folder, _, names in os.walk(home.root) for name in names]
    assert [path for path in names if path.is_file() and holds(path, words)] == [file]


def holds(path: Path, words: tuple[bytes, ...]) -> bool:
    """What is gone when it is looked at (a process that ended, a file that was renamed) holds nothing."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(word in data for word in words)


def test_a_task_inherits_nothing_that_leads_to_the_key(kernel, shared_home):
    """Its open files, as it finds them itself; its session's key is looked for in what they hold."""
    kernel.run("import os")
    session = kernel.run(
        '%%burst --workers 1 --map "[1]" --out out\n'
        "found = []\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try:\n"
        "        target = os.readlink(f'/proc/self/fd/{name}')\n"
        "        text = os.pread(int(name), 1_000_000, 0) if not target.startswith(('pipe', 'socket', 'anon')) else b''\n"
        "    except OSError:\n"
        "        continue\n"
        "    found.append((target, text.hex()))\n"
        "found"
    ).session
    text = (shared_home.config / "keys" / session).read_text().strip()
    opened = kernel.value("out[0]")
    assert opened
    assert not [target for target, held in opened if text in held or text.encode().hex() in held]
    assert not [target for target, _ in opened if str(shared_home.config) in target]


def test_the_key_is_shown_only_when_it_is_asked_for(kernel, shared_home):
    session = kernel.run('%%burst --workers 1 --map "[1]" --out out\nitem').session
    text = (shared_home.config / "keys" / session).read_text().strip()
    assert shared_home.burst("key", "show", session).stdout.strip() == text
    for verb in ("sessions", f"status {session}", f"inspect {session}", f"logs {session}", "config"):
        done = shared_home.burst(*verb.split())
        assert text not in done.stdout + done.stderr
    assert text not in kernel.run("repr(out), repr(vars(out))").text
    assert [path.name for path in (shared_home.config / "keys").iterdir()] == [session]
