"""The death of a slot's process, and the outcome of its task."""

from __future__ import annotations

import signal

from burst_magic.dataclass import dataclass
from burst_magic.protocol.wire.model import Outcome, OutcomeKind

RENEW = 75  # EX_TEMPFAIL: its exit code when it imported modules in advance, and a task must not find them
BROKEN = 70  # EX_SOFTWARE: a slot's exit code when our own code in it can no longer work


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """The process is gone; the slot sends nothing more.

    Attributes:
        exit_code: if it exited by itself.
        signal: the signal that killed it. Both None: unobserved.
        jid: the running task's job, or None.
        task: the running task, or None.
        wall: seconds that the task ran.
        began: when the task began, seconds since the epoch; 0 if none ran.
        peak_mb: MiB.
        output: its output, truncated.
        killed: the supervisor killed it.
        overdue: the time limit in seconds, if this task was killed for exceeding it.
        over_mb: the memory limit in MiB, if this task was killed for exceeding it.
        system: whether the system was killing processes for lack of memory; None if unknown.
        distrusted: it sent what no slot sends, and was killed for it.
        item: the task's item, if its repr doesn't need user code.
    """

    exit_code: int | None
    signal: int | None
    jid: str | None
    task: int | None
    wall: float = 0.0
    began: float = 0.0
    peak_mb: float = 0.0
    output: str = ""
    killed: bool = False
    overdue: float | None = None
    over_mb: float | None = None
    system: bool | None = None
    distrusted: bool = False
    item: str = ""

    @property
    def culprit(self) -> tuple[str, int] | None:
        """The task that this death decides. None: no task was running, or we killed the slot for another reason."""
        if self.jid is None or self.task is None or self.distrusted or (self.killed and not self.exceeded):
            return None
        return self.jid, self.task

    @property
    def exceeded(self) -> bool:
        """True if the supervisor killed this task for exceeding a limit."""
        return self.overdue is not None or self.over_mb is not None


def death_outcome(died: Died) -> Outcome:
    """The outcome of the task that ran when its process ended (``died.culprit`` says whether there is one)."""
    if died.task is None:
        raise ValueError("this slot died between tasks")
    kind, error, message = cause_of(died)
    return Outcome(
        task=died.task,
        kind=kind,
        wall=died.wall,
        began=died.began,
        peak_mb=died.peak_mb,
        error=error,
        message=message,
        item=died.item,
        output=died.output,
    )


def cause_of(died: Died) -> tuple[OutcomeKind, str, str]:
    """The outcome's kind, error and message."""
    if died.overdue is not None:
        return OutcomeKind.TIMEOUT, "TaskTimeout", f"ran longer than {died.overdue:g} s (--timeout)"
    if died.over_mb is not None:
        limit = f"a slot has {died.over_mb:,.0f} MB (fewer --workers have more)"
        text = f"out of memory at {died.peak_mb:,.0f} MB: its worker ended it, since {limit}"
        return OutcomeKind.CRASHED, "OutOfMemory", text
    if died.signal == signal.SIGKILL and died.system:
        text = f"out of memory at {died.peak_mb:,.0f} MB: the system killed its process"
        return OutcomeKind.CRASHED, "OutOfMemory", text
    return OutcomeKind.CRASHED, "WorkerLost", _end(died)


def _end(died: Died) -> str:
    if died.distrusted:
        return "it wrote to a file descriptor that is not its own: into its process's connection to the worker"
    if died.signal is not None:
        text = f"its process was killed by {_signal_name(died.signal)}"
        if died.signal == signal.SIGKILL and died.system is None:
            text += f", most likely out of memory (it had reached {died.peak_mb:,.0f} MB)"
        return text
    if died.exit_code == BROKEN:
        return "it broke the process it ran in; see the end of its output"
    if died.exit_code is not None:
        return f"it ended its process with exit code {died.exit_code} (os._exit, or exit() in C code)"
    return "its process ended, cause unknown"


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({signal.strsignal(number)})"
    except ValueError:
        return f"signal {number}"
