"""One job as a client sees it, as a pure machine: ``step(event, now) -> effects``. It never touches a value.

Laws, by the numbers of ``wire.model``:

* (6) A finished job costs one read: ``final`` is read first, and nothing else until it is known to be missing.
* (1) ``final`` decides which segment counts; the cover before it only counts tasks. A client that finds every task
  covered writes ``final``, and then reads it, whatever the store answered to the write.
* (7) A reader lists from a minute before the newest name it knows, and lists everything after a minute without news.
  Since few names come out of order by more than a write takes, most listings begin a few seconds before the newest.

States and transitions::

    ASKING ──no final──▶ FOLLOWING ──final──▶ SETTLED
       └──────────────final──────────────────────▲
    FOLLOWING ──the session was deleted──────────┘

While it is FOLLOWING, the session's machine decides whether anything will still run, and may set and clear ``end``.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.clocks import StoreClock
from burst_magic.protocol.client.questions import Questions
from burst_magic.protocol.client.spans import draw
from burst_magic.protocol.log import make_final
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.snapshot import Span
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Final, Job, JobEnd, Manifest
from burst_magic.protocol.worker.known import WINDOW, newest_ms

_SLOWEST = 5.0  # seconds between two listings of results, at most
_NEAR = 3.0  # seconds before the newest name from which most listings begin
WIDE_EVERY = 5.0  # seconds between two listings of the whole window
_SOONEST = 0.1  # seconds between the first listings if the floor is longer, since the first result is published at once


class JobState(Enum):
    """What the machine requests from the store."""

    ASKING = "asking"  # whether it is finished
    FOLLOWING = "following"  # its results; once all are in, final
    SETTLED = "settled"  # nothing: it is finished, or deleted


class JobMachine:
    """A client's view of one job's results.

    Args:
        manifest, job: the two immutable descriptions.
        signed: the client has the key and may write ``final``; without it the machine only reads.
        clock: the store's.
        now: a monotonic clock.

    Attributes:
        end, detail: why nothing of it will run any more, with details in words; None while something may.
        cover: tasks with outcomes, and their segments.
        seen: names of segments.
        newest: when the last result was published, by the store's clock; before the first, the job's start.
        finished_at: when ``final`` was written.
        looked_again: all results have been listed since the last worker was lost.
        wake: when the next step is due without an event.
    """

    def __init__(self, *, manifest: Manifest, job: Job, signed: bool, clock: StoreClock, now: float) -> None:
        self.job, self._manifest, self._signed, self._clock = job, manifest, signed, clock
        self._keys = keys.SessionKeys(manifest.sid).job(job.jid)
        self._questions = Questions()
        self.state = JobState.ASKING
        self.end: JobEnd | None = None
        self.detail = ""
        self.cover, self.seen, self.newest = Cover(job.tasks), set[str](), job.created
        self.final: Final | None = None
        self.finished_at: float | None = None
        self.looked_again = False
        self._after = self._near = ""
        self._drawn: tuple[int, bool, frozenset[int]] | None = None  # of what ``_drawing`` is
        self._drawing: tuple[Span, ...] = ()
        self.resume(now)

    def resume(self, now: float) -> None:
        """Start, or continue after answers were dropped: pending requests are repeated."""
        self._questions.drop()
        self.wake = self._born = self._news_at = now
        self._results_at = self._listed_at = self._wide_at = self._final_at = now
        self.looked_again = False
        if self.end is not None and not self.end.for_good:
            self.conclude(None)
        if self.state is JobState.ASKING:
            self._questions.read(self._keys.final, Final)

    def step(self, event: fx.Event, now: float) -> list[fx.Effect]:
        """Take one event and return effects. Events of others are ignored."""
        self._questions.answered(event)
        if isinstance(event, fx.Listed) and event.folder == self._keys.results_folder:
            self._learn(event.names, now)
            self._results_at = max(self._results_at, 2 * now - self._listed_at)  # listing takes at most half the time
        elif isinstance(event, fx.Got) and event.key == self._keys.final:
            self._on_final(event.record)
        elif isinstance(event, fx.Created) and event.key == self._keys.final:
            self._final_at = max(self._final_at, now + self._manifest.floor)  # the answer may have taken until then
            self._questions.read(event.key, Final)  # done or refused: the stored one counts
        self.wake = now + 3600.0
        if self.state is JobState.FOLLOWING:
            self._settle(now)
            self._look(now)
        return self._questions.take()

    def look_now(self, now: float) -> None:
        """List the results at the next step, because a caller waits."""
        self._results_at = self._wide_at = self.wake = now

    def look_again(self) -> list[fx.Effect]:
        """List everything before an end is concluded: the last results may be outside the usual window."""
        self.looked_again = True
        self._questions.list_folder(self._keys.results_folder)
        return self._questions.take()

    def conclude(self, end: JobEnd | None, detail: str = "") -> None:
        """Record why nothing will run any more; None if something may after all."""
        if self.state is JobState.SETTLED:
            return
        self.end, self.detail = end, detail
        if end is JobEnd.DELETED:
            self.state = JobState.SETTLED

    @property
    def outstanding(self) -> bool:
        """Some answer is pending."""
        return bool(self._questions.outstanding)

    @property
    def lacks_results(self) -> bool:
        """It is known to be unfinished, and some tasks have no outcome."""
        return self.state is JobState.FOLLOWING and not self.cover.whole

    @property
    def finished(self) -> bool:
        """All tasks have outcomes, named by ``final``."""
        return self.final is not None

    def spans(self, running: set[int]) -> tuple[Span, ...]:
        """The tasks' states; computed again only after a change, since views ask often."""
        drawn = (self.cover.covered, self.finished, frozenset(running))
        if drawn != self._drawn:
            self._drawn, self._drawing = drawn, draw(self.cover, running)
        return self._drawing

    def validate(self) -> None:
        """Raise ``AssertionError`` if facts contradict each other."""
        assert (self.final is not None) == (self.end is JobEnd.FINISHED), self  # noqa: S101
        settled = self.end in {JobEnd.FINISHED, JobEnd.DELETED}
        assert (self.state is JobState.SETTLED) == settled, self  # noqa: S101
        assert self.final is None or self.cover.whole, self  # noqa: S101
        assert self.state is not JobState.ASKING or self.end is None, self  # noqa: S101

    def __repr__(self) -> str:
        end = f", {self.end.value}" if self.end else ""
        return f"<job {self.job.jid}: {self.state.value}{end}, {self.cover.covered} of {self.job.tasks}>"

    # --- events -----------------------------------------------------------------------------------------

    def _learn(self, listed: Iterable[tuple[str, float]], now: float) -> None:
        fresh = [each for each in listed if each[0] not in self.seen]  # a long log is fast
        if fresh and not self.finished:
            self.seen.update(name for name, _ in fresh)
            self._news_at = now
            newest = newest_ms(fresh)
            self.newest = max(self.newest, newest / 1000)
            self._after = max(self._after, keys.results_after(newest - int(WINDOW * 1000)))
            self._near = max(self._near, keys.results_after(newest - int(_NEAR * 1000)))
            self.cover.add_all(keys.parse_segment(name) for name, _ in fresh)

    def _on_final(self, record: fx.Record | None) -> None:
        if isinstance(record, Final) and (self._signed or self._is_partition(record)):
            self._adopt(record)
        elif self.state is JobState.ASKING:
            self.state = JobState.FOLLOWING

    def _is_partition(self, final: Final) -> bool:
        """Whether an unverified ``final`` has a segment for each task, once."""
        at = 0
        for start, stop, name in sorted(final.parts):
            if start != at or not keys.is_segment(name):
                return False
            at = stop
        return at == self.job.tasks

    def _adopt(self, final: Final) -> None:
        self.final, self.finished_at = final, final.at
        self.cover = Cover.of(self.job.tasks, final.parts)
        self.seen = {name for _, _, name in final.parts}
        self.state, self.end, self.detail = JobState.SETTLED, JobEnd.FINISHED, ""

    # --- requests -----------------------------------------------------------------------------------------

    def _settle(self, now: float) -> None:
        """Write ``final`` once all tasks are covered, or read it if another process must write it."""
        if not self.cover.whole or self._keys.final in self._questions.outstanding:
            return
        if now >= self._final_at:
            self._final_at = now + max(self._manifest.floor, min(_SLOWEST, now - self._born))
            if self._signed:
                final = make_final(self.job.jid, self.cover, self._clock.wall(now), by="client")
                self._questions.create(self._keys.final, final)
            else:
                self._questions.read(self._keys.final, Final)
        self.wake = min(self.wake, self._final_at)

    def _look(self, now: float) -> None:
        if now >= self._results_at:
            age = now - self._born
            every = max(min(self._manifest.floor / 4, max(_SOONEST, age / 4)), min(_SLOWEST, 0.02 * age))
            self._results_at = now + every
            if self._keys.results_folder not in self._questions.outstanding:
                self._listed_at = now
                self._questions.list_folder(self._keys.results_folder, self._from(now))
        self.wake = min(self.wake, self._results_at)

    def _from(self, now: float) -> str:
        """The name after which the next listing of results begins."""
        if now - self._news_at >= WINDOW:
            self._news_at, self._wide_at = now, now + WIDE_EVERY
            return ""
        if now >= self._wide_at:
            self._wide_at = now + WIDE_EVERY
            return self._after
        return self._near
