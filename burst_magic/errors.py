"""Every exception of burst_magic, in one tree; imports nothing of the package.

BurstError                      an error for the user: problem, context, way out
├── OptionError                 a wrong option, argument or setting
├── CaptureError                a cell, value or item that cannot be sent
├── PlanError                   refused before anything starts
│   ├── BudgetExceeded
│   └── QuotaExceeded
├── StoreError                  a store request failed
│   ├── Missing                 no such object
│   │   └── NoBucket            nor any other: the bucket itself is not there
│   ├── Exists                  a create-only put was refused (read before you believe it)
│   ├── Denied                  credentials or policy
│   ├── Throttled               too many requests; nothing was done
│   └── Unknown                 the outcome is unknown: the request may have been carried out
├── SignatureError              bytes that are not what the session's key signed
├── RecordError                 an object that this version cannot read
├── LaunchError                 workers could not be started
│   ├── KeyRefused              a worker does not believe, or cannot read, the key of its session
│   └── StackFailed             a resource of the account's stack was not made, changed or deleted
├── AttachError                 no such session, expired, or no key
└── TaskError                   a task has no value
    ├── TaskFailed              user code raised, and its exception cannot be rebuilt here
    ├── TaskTimeout             it ran longer than --timeout
    ├── WorkerLost              its process died (signal, exit, out of memory)
    ├── UnpicklableResult       its result cannot be pickled
    └── NotRun                  the session ended before it ran
"""

from __future__ import annotations

import re

# Control characters but line feed and tab, marks that reorder or end a line, and halves of characters.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""A text for a terminal: what would move its cursor, change its colours or hide is shown as ``\x1b``.

    Names, hosts, output and messages come from a store that others may write to, and from tasks.
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class BurstError(Exception):
    """A problem that the user can act on.

    Args:
        problem: one sentence, what is wrong.
        context: where: the variable, line, key or option.
        way_out: what the user can do about it.
    """

    def __init__(self, problem: str, *, context: str = "", way_out: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.context = context
        self.way_out = way_out

    def __str__(self) -> str:
        """Problem, context and way out on lines of their own."""
        lines = [self.problem]
        if self.context:
            lines.append(f"  where: {self.context}")
        if self.way_out:
            lines.append(f"  try:   {self.way_out}")
        return visible("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickles with all attributes, also those of a subclass. Its constructor is not called: it may ask for more."""
        return (_made, (type(self), self.args), self.__dict__)

    def _render_traceback_(self) -> list[str]:
        """IPython shows this instead of burst_magic's traceback."""
        return [f"{type(self).__name__}: {self}"]


def _made(kind: type[BurstError], args: tuple[object, ...]) -> BurstError:
    return kind.__new__(kind, *args)


class OptionError(BurstError):
    """A wrong option, argument or setting."""


class CaptureError(BurstError):
    """A cell, value or item that cannot be sent to workers."""


class PlanError(BurstError):
    """Refused before anything starts."""


class BudgetExceeded(PlanError):
    """The estimate is above the budget."""


class QuotaExceeded(PlanError):
    """The account does not allow that many workers."""


class StoreError(BurstError):
    """A store request failed."""


class Missing(StoreError):
    """No such object."""


class NoBucket(Missing):
    """The bucket is not there: it was deleted, with all that it held, or its name is wrong."""


class Exists(StoreError):
    """A create-only put was refused. A refusal decides nothing; only a read does."""


class Denied(StoreError):
    """Credentials or a policy forbid it."""


class Throttled(StoreError):
    """Too many requests; nothing was done."""


class Unknown(StoreError):
    """The outcome is unknown: the request may have been carried out."""


class SignatureError(BurstError):
    """Bytes that are not what the session's key signed for this object."""


class RecordError(BurstError):
    """An object that this version cannot read."""


class VersionError(RecordError):
    """Nothing is wrong with it but that another version wrote it."""


class LaunchError(BurstError):
    """Workers could not be started."""


class KeyRefused(LaunchError):
    """The session's key is missing, may not be read, or is not the one that the worker was told of."""


class StackFailed(LaunchError):
    """A resource of the account's stack was not made, changed or deleted.

    Args:
        problem, context, way_out: as ever.
        resource: its logical name.
        reason: AWS's.
    """

    def __init__(
        self, problem: str, *, context: str = "", way_out: str = "", resource: str = "", reason: str = ""
    ) -> None:
        super().__init__(problem, context=context, way_out=way_out)
        self.resource, self.reason = resource, reason


class AttachError(BurstError):
    """The session doesn't exist, has expired, or its key is not on this machine.

    Args:
        problem, context, way_out: as ever.
        missing_from: URL of the store that was searched and has nothing of the session.
    """

    def __init__(self, problem: str, *, context: str = "", way_out: str = "", missing_from: str = "") -> None:
        super().__init__(problem, context=context, way_out=way_out)
        self.missing_from = missing_from


class TaskError(BurstError):
    """A task has no value."""


class TaskFailed(TaskError):
    """User code raised, and its own exception cannot be rebuilt here."""


class TaskTimeout(TaskError):
    """A task ran longer than ``--timeout``."""


class WorkerLost(TaskError):
    """A task's process died while the task ran."""


class UnpicklableResult(TaskError):
    """A task's result cannot be pickled."""


class NotRun(TaskError):
    """The session ended before this task ran."""
