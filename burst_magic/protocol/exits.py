"""The exit codes of a worker: what its launcher, and the engine behind it, hear of its end.

The numbers are those of sysexits.h and of ``timeout``, where these have one. Imports nothing that costs time or memory:
the watchdog stays small.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a worker's process ended. A process that was killed by signal N counts as ``128 + N``, as in a shell."""

    FINISHED = 0  # idle, scale, cancel, close, budget, deadline, or the session is gone
    BROKEN = 1  # the worker itself failed, with a traceback in its log: Python's own code
    UNSUPPLIED = 69  # stage 0 could not fetch or unpack what makes a bare Python the worker (EX_UNAVAILABLE)
    DRAINED = 75  # SIGTERM came from outside; what was done is published, and another worker is welcome (EX_TEMPFAIL)
    UNTRUSTED = 77  # the session's key is missing, unreadable, or not the one that was named (EX_NOPERM)
    REFUSED = 78  # it cannot work here: its birth, its store or the session's version (EX_CONFIG)
    OVERDUE = 124  # the watchdog killed it after the deadline, as ``timeout`` does
    UNRUNNABLE = 127  # the watchdog could not start it

    @property
    def meaning(self) -> str:
        """For people."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.FINISHED: "it had nothing more to do",
    ExitCode.BROKEN: "it failed; its log has the traceback",
    ExitCode.UNSUPPLIED: "it could not fetch or unpack the worker's own packages; its log says why",
    ExitCode.DRAINED: "it was terminated from outside, and published what it had done",
    ExitCode.UNTRUSTED: "it could not read this session's key, or found another one; its log says which",
    ExitCode.REFUSED: "it could not work there; its log says why",
    ExitCode.OVERDUE: "it was killed because it had not ended at its deadline",
    ExitCode.UNRUNNABLE: "its image could not run it",
}
