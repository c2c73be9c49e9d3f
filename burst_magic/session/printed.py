"""What the workers' own processes printed and why they ended, for the logs of a session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError
from burst_magic.protocol.wire import keys
from burst_magic.stores.retry import Retry

if TYPE_CHECKING:
    from burst_magic.protocol.wire.model import Gone
    from burst_magic.session.fleet import Fleet
    from burst_magic.session.followed import Followed

_WINDOWS = (600.0, 3600.0, 6 * 3600.0)  # seconds back; then everything
_LATE = 10.0  # seconds for which a line may arrive after one that is younger
_QUIET = Retry(first=2.0, longest=15.0, factor=1.5)  # pauses between two questions while nothing is printed


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of output.

    Attributes:
        source: a task's number, or a worker's id.
        at: seconds since the epoch; of a task's lines, when it ended.
        printed: by a worker's own process.
    """

    source: str
    text: str
    at: float = 0.0
    printed: bool = False


class WorkersOutput:
    """Lines of the workers of one session, each once.

    Args:
        job: a job of the session.
        fleet: its workers.
        worker: only those whose id begins like this.
        clock: seconds since the epoch.
    """

    def __init__(
        self, job: Followed, fleet: Fleet, *, worker: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._job, self._fleet, self._worker, self._clock = job, fleet, worker, clock
        self._seen: set[tuple[str, float, str]] = set()
        self._newest, self._asked_at, self._in_vain = job.created, 0.0, 0
        self._fault = ""

    @property
    def workers(self) -> set[str]:
        """Their ids, those that ended before a heartbeat included."""
        found = {gone.worker for gone in self._job.ends if gone.worker != gone.token}  # the others are starts
        found |= {view.wid for view in self._job.snapshot().workers} | self._fleet.workers
        return {wid for wid in map(keys.base_of, found) if wid.startswith(self._worker)}

    @property
    def pause(self) -> float:
        """Seconds after which it is worth asking again."""
        return _QUIET.pause(self._in_vain)

    def last(self, n: int) -> list[LogLine]:
        """The last ``n`` lines and all ends, asked for in growing windows of time."""
        now = self._clock()
        found: list[LogLine] = []
        for since in [*(now - back for back in _WINDOWS if now - back > self._job.created), self._job.created]:
            found = self._lines(since)
            if len(found) >= n or self._fault:
                break
        self._remember(found)
        return sorted([*found[-n:], *self._ends()], key=lambda line: line.at)

    def fresh(self) -> Iterator[LogLine]:
        """What was printed since, if it is time to ask."""
        now = self._clock()
        yield from self._ends()
        if now - self._asked_at < self.pause:
            return
        lines = [line for line in self._lines(self._newest - _LATE) if self._key(line) not in self._seen]
        self._in_vain = 0 if lines else self._in_vain + 1
        self._remember(lines)
        yield from lines

    def _remember(self, lines: list[LogLine]) -> None:
        self._seen.update(map(self._key, lines))
        self._newest = max([self._newest, *(line.at for line in lines if line.printed)])

    @staticmethod
    def _key(line: LogLine) -> tuple[str, float, str]:
        return line.source, line.at, line.text

    def _lines(self, since: float) -> list[LogLine]:
        """What the engine tells; that it tells nothing is a line, too, once for each reason."""
        self._asked_at = self._clock()
        try:
            printed = self._fleet.printed(self.workers, since=since)
        except BurstError as fault:
            said, self._fault = self._fault, fault.problem
            problem = "; ".join(filter(None, (fault.problem, fault.way_out)))
            line = LogLine(source="workers", text=f"their output cannot be read: {problem}", at=self._clock())
            return [] if said == self._fault else [line]
        self._fault = ""
        return [LogLine(source=line.worker, text=line.text, at=line.at, printed=True) for line in printed]

    def _ends(self) -> list[LogLine]:
        """Why workers ended that did not end as planned."""
        ends = [gone for gone in self._job.ends if gone.detail and keys.base_of(gone.worker).startswith(self._worker)]
        lines = [_end(gone) for gone in ends]
        new = [line for line in lines if self._key(line) not in self._seen]
        self._seen.update(map(self._key, new))
        return new


def _end(gone: Gone) -> LogLine:
    code = "" if gone.exit_code is None else f" (exit code {gone.exit_code})"
    return LogLine(source=gone.worker, text=f"{gone.cause.value}: {gone.detail}{code}", at=gone.at)
