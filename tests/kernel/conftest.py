"""Real Jupyter kernels and homes for them: directories of their own, and nothing left running behind them.

Most tests share one kernel, which is emptied after each of them; those that kill, interrupt or need two kernels
start their own. Waiting is always for a condition.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

MARK = "KERNEL_TEST_HOME"  # in the environment of every process that a test starts
ANSI = re.compile(r"\x1b\[[0-9;]*m")
SESSION = re.compile(r"session (\d{8}-\d{6}-[a-z2-7]{8})")
PATIENCE = 200.0  # seconds that a cell may take at most; they take a fraction
NONE_LEFT = 60.0  # seconds for the processes of a test to end


def wait_until(condition, what: str = "it", *, timeout: float = PATIENCE):
    """Waits for a condition; its value."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {timeout:g} s in vain for {what}"
        time.sleep(0.02)
    return value


@dataclass
class Cell:
    """What a cell has shown."""

    stdout: str = ""
    stderr: str = ""
    shown: list[dict] = field(default_factory=list)  # outputs as a notebook keeps them
    result: str = ""
    error: str = ""
    message: str = ""
    traceback: str = ""
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """Everything that a user reads."""
        texts = [output["data"].get("text/plain", "") for output in self.shown]
        return "\n".join([self.stdout, self.stderr, *texts, self.result, self.traceback])

    @property
    def value(self):
        """The cell's value, if it is a literal."""
        assert not self.error, self.text
        return ast.literal_eval(self.result)

    @property
    def session(self) -> str:
        """The id of the session that the cell started."""
        found = SESSION.search(self.text)
        assert found, self.text
        return found[1]


@dataclass
class Home:
    """A user on a machine: config, data, a working directory, and a store that may be shared with others."""

    root: Path
    store: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def folder(self) -> Path:
        """The default store."""
        return self.root / "data" / "store"

    @property
    def environ(self) -> dict[str, str]:
        """For kernels and commands of this user. Nothing of whoever runs the tests is seen."""
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("BURST_", "AWS_", "JPY_"))}
        own = {
            "HOME": str(self.root),
            "BURST_CONFIG_DIR": str(self.config),
            "BURST_DATA_DIR": str(self.root / "data"),
            "IPYTHONDIR": str(self.root / "ipython"),
            "PYTHONDONTWRITEBYTECODE": "1",  # tests change modules of the user's within a second: bytecode would be stale
            MARK: str(self.root),
        }
        store = {"BURST_STORE": self.store} if self.store else {}
        return {**inherited, **own, **store, **self.extra}

    def processes(self) -> dict[int, str]:
        """Living processes of this home, by their id: kernels, workers, slots, helpers."""
        return {pid: command for pid, command in all_processes() if marked(pid, self.root)}

    def workers(self) -> list[int]:
        """The workers' supervisors; their templates and slots are forks with the same command."""
        found = [pid for pid, command in self.processes().items() if "burst_magic.worker --cwd" in command]
        return [pid for pid in found if parent(pid) not in {0, *found}]  # 0: it has ended since

    def objects(self, sid: str) -> list[str]:
        """Keys of a session in the default store."""
        root = self.folder / "sessions" / sid
        return sorted(path.relative_to(self.folder).as_posix() for path in root.rglob("*") if path.is_file())

    def burst(self, *words: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """The ``burst`` command."""
        command = [sys.executable, "-m", "burst_magic", *words]
        return subprocess.run(
            command, env=self.environ, cwd=self.work, capture_output=True, text=True, check=False, timeout=timeout
        )

    def wait_for_workers_to_end(self) -> None:
        wait_until(lambda: not self.workers(), "the workers to end", timeout=NONE_LEFT)

    def none_left(self) -> None:
        """Asserts that every process of this home has ended; ends those that have not."""
        try:
            wait_until(lambda: not self.processes(), "the processes to end", timeout=NONE_LEFT)
        except AssertionError:
            raise AssertionError(f"still running: {self.end_all()}") from None

    def end_all(self) -> dict[int, str]:
        """Kills what still runs; says what that was."""
        left = self.processes()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left


def all_processes():
    """(id, command) of what is visible and alive."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                if path.joinpath("stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                    command = path.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    yield int(path.name), command


def parent(pid: int) -> int:
    """The process that started another; 0 when that has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def marked(pid: int, root: Path) -> bool:
    """Whether a home, or one below it, is in the environment that a process was started with.

    A supervisor hides its own; that of its fork server is the same.
    """
    with contextlib.suppress(OSError):
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
        except PermissionError:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return any(marked(int(child), root) for child in children)
        return f"\0{MARK}={root}".encode() in b"\0" + environ
    return False


class Kernel:
    """One IPython kernel with the extension loaded."""

    def __init__(self, home: Home, *, load: bool = True, **environ: str) -> None:
        self.home = home
        number = time.monotonic_ns()
        # Sockets in a folder: a free port may be taken by another test before the kernel has it.
        self.manager = KernelManager(
            kernel_name="python3",
            connection_file=str(home.root / f"kernel-{number}.json"),
            transport="ipc",
            ip=str(home.root / f"k{number % 10**9}"),
        )
        self.manager.start_kernel(
            env={**home.environ, **environ}, cwd=str(home.work), extra_arguments=["--log-level=ERROR"]
        )
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.dead = False
        if load:
            self.run("%load_ext burst_magic")

    @property
    def pid(self) -> int:
        return self.manager.provisioner.process.pid

    def run(self, code: str, *, timeout: float = PATIENCE, ok: bool = True) -> Cell:
        """Executes a cell; fails when it does, unless ``ok`` is False."""
        cell = self.finish(self.start(code), timeout=timeout)
        assert not (ok and cell.error), cell.traceback
        return cell

    def fails(self, code: str) -> Cell:
        """Executes a cell that must end in an error."""
        cell = self.run(code, ok=False)
        assert cell.error, f"no error: {cell.text}"
        return cell

    def value(self, expression: str, *, timeout: float = PATIENCE):
        """The value of an expression, by way of its ``repr``."""
        return self.run(expression, timeout=timeout).value

    def start(self, code: str) -> str:
        """Sends a cell and does not wait."""
        return self.client.execute(code)

    def finish(self, message: str, *, timeout: float = PATIENCE) -> Cell:
        """What a cell has shown, when it is over."""
        cell, began = Cell(), time.monotonic()
        while True:
            said = self.client.get_iopub_msg(timeout=max(0.1, timeout - (time.monotonic() - began)))
            if said["parent_header"].get("msg_id") != message:
                continue
            content = said["content"]
            if said["msg_type"] == "status" and content["execution_state"] == "idle":
                cell.seconds = time.monotonic() - began
                return cell
            _add(cell, said["msg_type"], content)

    def wait_output(self, message: str, words: str) -> None:
        """Waits until a running cell has shown these words; they are not given to ``finish`` any more."""
        seen = Cell()
        while words not in seen.text:
            said = self.client.get_iopub_msg(timeout=PATIENCE)
            if said["parent_header"].get("msg_id") == message:
                _add(seen, said["msg_type"], said["content"])

    def interrupt(self) -> None:
        """Jupyter's stop button."""
        self.manager.interrupt_kernel()

    def kill(self) -> None:
        """SIGKILL: it has no chance to say anything."""
        os.kill(self.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        if not self.dead:
            self.dead = True
            self.client.stop_channels()
            self.manager.shutdown_kernel(now=True)
            self.manager.cleanup_resources()


def _add(cell: Cell, kind: str, content: dict) -> None:
    if kind == "stream":
        vars(cell)[content["name"]] += ANSI.sub("", content["text"])
    elif kind in {"display_data", "execute_result"}:
        output = {"output_type": kind, "data": content["data"], "metadata": content["metadata"]}
        cell.shown.append(output)
        if kind == "execute_result":
            cell.result = content["data"]["text/plain"]
    elif kind == "error":
        cell.error, cell.message = content["ename"], content["evalue"]
        cell.traceback = ANSI.sub("", "\n".join(content["traceback"]))


@pytest.fixture
def until():
    """Waits for a condition."""
    return wait_until


@pytest.fixture
def home(tmp_path):
    """A user of this test's own; all their processes must have ended when it is over."""
    home = Home(tmp_path / "home")
    yield home
    home.none_left()


@pytest.fixture
def make_home(home):
    """More users, below this test's home."""

    def make(name: str, **options) -> Home:
        return Home(home.root / name, **options)

    return make


@pytest.fixture
def start_kernel(home):
    """Starts kernels that end with the test; the workers are told to end first."""
    kernels = []

    def start(of: Home = home, **environ: str) -> Kernel:
        kernels.append(Kernel(of, **environ))
        return kernels[-1]

    yield start
    for kernel in kernels:
        if not kernel.dead:
            kernel.run(CLEAN)
        kernel.close()


CLEAN = """
import burst_magic as _burst
for _row in _burst.sessions():
    get_ipython().run_line_magic("burst_cleanup", f"{_row.id} --force --yes")
"""


@pytest.fixture(scope="module")
def module_kernel(tmp_path_factory):
    """A kernel for all tests of a module, with the sessions that the first of them starts."""
    home = Home(tmp_path_factory.mktemp("module") / "home")
    kernel = Kernel(home)
    yield kernel
    kernel.run(CLEAN)
    kernel.close()
    home.none_left()


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("shared") / "home")
    yield home
    home.none_left()


@pytest.fixture(scope="session")
def shared_kernels(shared_home):
    """The shared kernel, alone in a list; a test that leaves it stuck takes it out."""
    kernels: list[Kernel] = []
    yield kernels
    for kernel in kernels:
        kernel.close()


@pytest.fixture
def kernel(shared_home, shared_kernels):
    """The shared kernel. After each test its sessions are deleted and its names forgotten."""
    if not shared_kernels:
        shared_kernels.append(Kernel(shared_home))
    (kernel,) = shared_kernels
    yield kernel
    try:
        kernel.run(CLEAN)
        kernel.run("%reset -f")
        shared_home.wait_for_workers_to_end()  # a process outlives its ``.gone`` by a moment
    except BaseException:
        shared_kernels.remove(kernel)
        kernel.close()
        shared_home.end_all()
        raise
