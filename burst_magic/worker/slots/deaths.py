"""The end of a slot's process, and what it means for the task that ran."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from burst_magic.protocol.wire.model import Outcome, OutcomeKind

BROKEN = 70  # EX_SOFTWARE: a slot's exit code when what is ours in it can no longer work


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """The process is gone; nothing more comes from this slot.

    Attributes:
        exit_code: how it ended, if by itself.
        signal: what ended it. Both None: nobody could see how.
        jid: the job of the task that ran, or None.
        task: what ran, or None.
        wall: seconds that it had run.
        began: when it did, seconds since the epoch; 0: nothing ran.
        peak_mb: MiB.
        output: what it had printed, bounded.
        killed: the supervisor wanted it dead.
        overdue: seconds of the time limit, when it was killed because this very task ran longer.
        over_mb: MiB of the memory limit, when it was killed because this very task occupied more.
        system: whether the system ended processes for want of memory then; None: nobody knows.
        item: what the task worked on, where that can be told without running user code.
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
    item: str = ""

    @property
    def culprit(self) -> tuple[str, int] | None:
        """The task whose outcome this death is. None: no task ran, or it ran while we killed for another reason."""
        if self.jid is None or self.task is None or (self.killed and not self.exceeded):
            return None
        return self.jid, self.task

    @property
    def exceeded(self) -> bool:
        """The supervisor ended this very task, for a limit."""
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
    """What an outcome says of it: kind, error, message."""
    if died.overdue is not None:
        return OutcomeKind.TIMEOUT, "TaskTimeout", f"ran longer than {died.overdue:g} s (--timeout)"
    if died.over_mb is not None:
        text = f"out of memory: it used {died.peak_mb:,.0f} MB and a slot has {died.over_mb:,.0f} MB"
        return OutcomeKind.CRASHED, "OutOfMemory", text
    if died.signal == signal.SIGKILL and died.system:
        text = f"out of memory: the system killed its process, which had reached {died.peak_mb:,.0f} MB"
        return OutcomeKind.CRASHED, "OutOfMemory", text
    return OutcomeKind.CRASHED, "WorkerLost", _end(died)


def _end(died: Died) -> str:
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
