"""Group failed tasks: by class of failure, exception type, line of the cell and pattern of the message. Pure.

A message's pattern is its first line without what differs from task to task: numbers, quoted texts, addresses. So
"KeyError: 'a'" and "KeyError: 'b'" are one group of two messages, while another line or text is another group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import field
from hashlib import blake2b
from typing import NamedTuple

from burst_magic.dataclass import dataclass
from burst_magic.protocol.snapshot import FailureGroup
from burst_magic.protocol.wire.model import Outcome, OutcomeKind

MESSAGES = 1000  # different messages of a group that are told apart, and as many groups
_CHARS = 300  # of a message that decide

_LINE = re.compile(r'File "<cell[^"]*", line (\d+)')
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|\b[0-9a-f]{8}[0-9a-f-]*\b|\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


class FailureKey(NamedTuple):
    """What the failures of one group have in common."""

    kind: OutcomeKind
    error: str
    line: int | None
    pattern: str

    @property
    def ident(self) -> str:
        """A short id, the same in every process."""
        text = "\0".join((self.kind.value, self.error, str(self.line), self.pattern))
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def key_of(failure: Outcome) -> FailureKey:
    """The group of a failed task."""
    lines = _LINE.findall(failure.traceback)
    line = int(lines[-1]) if lines else None
    return FailureKey(failure.kind, failure.error, line, pattern_of(failure.message))


def pattern_of(message: str) -> str:
    """A message without what differs from task to task.

    >>> pattern_of("no column 'a_7' among 12 columns")
    'no column … among # columns'
    """
    return _NUMBER.sub("#", _QUOTED.sub("…", first_line(message)))


def first_line(message: str) -> str:
    """The beginning of a message: its first line that is not empty."""
    return next((line for line in message.splitlines() if line.strip()), "")[:_CHARS]


@dataclass(slots=True)
class CountedGroup:
    """Failed tasks so far: how many, the first and its message, hashes of different messages."""

    count: int
    first: int
    message: str
    messages: set[int] = field(default_factory=set)


class FailureGroups:
    """Failed tasks by group. Keeps no outcome, and a bounded amount for any number of them.

    Attributes:
        count: failed tasks.
        groups: by what they have in common.
    """

    __slots__ = ("count", "groups")

    def __init__(self) -> None:
        self.groups: dict[FailureKey, CountedGroup] = {}
        self.count = 0

    def add(self, failures: Iterable[Outcome]) -> FailureGroups:
        """Count some failed tasks."""
        for failure in failures:
            key = self._place(key_of(failure))
            message = first_line(failure.message)
            self._merge(key, CountedGroup(1, failure.task, message, {hash(message)}))
        return self

    def join(self, others: Iterable[FailureGroups]) -> FailureGroups:
        """Count what others have counted, of other tasks."""
        for other in others:
            for key, group in other.groups.items():
                self._merge(self._place(key), group)
        return self

    def _place(self, key: FailureKey) -> FailureKey:
        """Messages without any pattern would make a group of each: beyond the limit they share one."""
        full = key not in self.groups and len(self.groups) >= MESSAGES
        return key._replace(pattern="") if full else key

    def _merge(self, key: FailureKey, found: CountedGroup) -> None:
        self.count += found.count
        known = self.groups.get(key)
        if known is None:
            self.groups[key] = CountedGroup(found.count, found.first, found.message, set(found.messages))
            return
        known.count += found.count
        if found.first < known.first:
            known.first, known.message = found.first, found.message
        if len(known.messages) < MESSAGES:
            known.messages |= found.messages

    def largest_first(self) -> tuple[FailureGroup, ...]:
        """The groups, most frequent first, then by their first task."""
        ordered = sorted(self.groups.items(), key=lambda each: (-each[1].count, each[1].first))
        return tuple(
            FailureGroup(
                ident=key.ident,
                kind=key.kind,
                error=key.error,
                line=key.line,
                message=group.message,
                count=group.count,
                messages=min(len(group.messages), MESSAGES),
                first=group.first,
            )
            for key, group in ordered
        )
