"""Publish a worker's finished tasks: check, publish, forget.

progress --> look (was my range cut or taken?) --> publish --> ... --> range done

Idle workers take the tasks behind a long one (``stealing.py``). So the slot pauses behind a long task until a check has
shown whose the next task is. Short tasks never pause.
"""

from __future__ import annotations

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import SegmentKey
from burst_magic.protocol.worker.poison import piece
from burst_magic.protocol.worker.state import Hold, State, job_of

MAX_HELD = 32 << 20  # bytes of outcomes that justify their own segment


class Publishing:
    """The part of a worker that publishes.

    Args:
        state: the worker's.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._last_ms = 0

    def progress(self, event: fx.Progress, now: float) -> None:
        """Record finished tasks of a slot."""
        hold = self._state.holds.get((event.job, event.claim))
        if hold is not None:
            self._time(hold, event.upto - hold.done, now)
            hold.failed.extend(task for task in event.failed_at if task >= hold.done)
            hold.told = max(hold.told, event.upto)
            hold.done = min(hold.stop, max(hold.done, event.upto))
            hold.fed = max(hold.fed, hold.done)
            hold.held = event.held
            if hold.stopping and hold.done >= hold.fed:  # the slot has nothing left that could be stopped
                hold.stop = hold.done
            if hold.done >= hold.stop:
                hold.slot = -1

    def _time(self, hold: Hold, finished: int, now: float) -> None:
        """Record whether its tasks take longer than a flush, judged by the last one."""
        if finished > 0:
            hold.slow, hold.since = now - hold.since >= finished * self._every(hold, now), now

    def _every(self, hold: Hold, now: float) -> float:
        return self._state.flush_every(self._state.jobs[hold.job], now)

    def stopped(self, event: fx.Stopped, now: float) -> None:
        """A slot runs no more tasks of its range."""
        hold = self._state.holds.get((event.job, event.claim))
        if hold is not None:
            hold.done = hold.stop = min(hold.stop, max(hold.done, event.upto))
            hold.slot = -1
            self._drop_if_published(hold, now)

    def pause(self, hold: Hold, now: float) -> None:
        """Pause a slot behind a long task, or one that may be long since the previous one was; resume it in time."""
        if hold.stopping or not hold.running:
            return
        if hold.paused:
            self._go_on_unanswered(hold, now)
        elif hold.pause is None and hold.done + 1 < hold.fed:
            at = hold.since if hold.slow else hold.since + self._every(hold, now)
            if now >= at:
                self._pause_at(hold, hold.done + 1)
            else:
                self._state.due(at)

    def _go_on_unanswered(self, hold: Hold, now: float) -> None:
        """A silent or refusing store costs one flush interval, not one per task."""
        at = (hold.busy_since if hold.busy else hold.since) + self._every(hold, now)
        if now >= at or hold.retry_at > now:
            self._go_on(hold, now)
        else:
            self._state.due(at)

    def _go_on(self, hold: Hold, now: float) -> None:
        hold.since = now
        self._pause_at(hold, hold.done + 1 if hold.slow and hold.done + 1 < hold.fed else None)

    def _pause_at(self, hold: Hold, task: int | None) -> None:
        hold.pause = task
        self._state.ask(fx.Pause(hold.slot, hold.job, hold.claim, task))

    def flush(self, hold: Hold, now: float) -> None:
        """Check, then publish when due: the check is the fence against a worker that took or cut the range."""
        job = self._state.jobs[hold.job]
        if hold.busy or hold.orphan or hold.done <= hold.published:
            return
        ended = hold.done >= min(hold.stop, hold.fed)
        due = hold.last_flush + self._every(hold, now)
        at_once = ended or hold.paused or hold.stopping or not job.flushed or hold.held >= MAX_HELD
        if hold.retry_at > now or (not at_once and due > now):
            self._state.due(max(hold.retry_at, 0.0 if at_once else due))
            return
        job.flushed = True
        self.look(hold, now)

    def look(self, hold: Hold, now: float) -> None:
        """Check whether it still owns the whole range."""
        hold.busy, hold.busy_since = True, now
        job = self._state.jobs[hold.job].keys
        self._state.ask(fx.List(job.claims_folder, job.claim(hold.claim).rpartition("/")[2], 1))

    def looked(self, event: fx.Listed, now: float) -> None:
        """The first claim after its own, if there is one."""
        hold = self._state.holds.get((job_of(event.folder), keys.parse_claim(event.after)))
        if hold is None:
            return
        if event.names:
            found = keys.parse_claim(event.names[0][0])
            if found.start == hold.claim.start:
                self.superseded(hold)
                return
            if found.start < hold.stop:
                self._cut_short(hold, found.start)
        if hold.paused and not hold.stopping:
            self._go_on(hold, now)
        if hold.done > hold.published and not hold.orphan:
            self._publish(hold, now)
        else:
            hold.busy = False
            self._drop_if_published(hold, now)

    def _cut_short(self, hold: Hold, stop: int) -> None:
        """Its range was cut; tasks beyond the cut are no longer its own."""
        running = hold.running
        hold.stop, hold.done = stop, min(hold.done, stop)
        if running and hold.done >= stop:
            self._state.stop(hold, kill=True)
        elif running and hold.fed > stop:
            self._state.ask(fx.Truncate(hold.slot, stop))
        elif hold.done >= stop:
            hold.slot = -1
        hold.fed = min(hold.fed, stop)

    def superseded(self, hold: Hold) -> None:
        """Another worker owns the range now, and runs its unpublished tasks again."""
        del self._state.holds[hold.job, hold.claim]
        self._state.ask(fx.Forget(hold.job, hold.claim, max(hold.stop, hold.told)))
        self._state.stop(hold, kill=True)

    def _publish(self, hold: Hold, now: float) -> None:
        failed = sum(1 for task in hold.failed if hold.published <= task < hold.done)
        self._last_ms = max(self._last_ms + 1, int(self._state.wall(now) * 1000))
        segment = SegmentKey(at_ms=self._last_ms, start=hold.published, stop=hold.done, failed=failed, claim=hold.claim)
        hold.last_flush = now
        self._state.ask(fx.Publish(hold.job, segment))

    def published(self, event: fx.Published, now: float) -> None:
        """Handle the store's answer for a segment."""
        state, segment = self._state, event.segment
        hold = state.holds.get((event.job, segment.claim))
        if hold is None:
            return
        hold.busy = False
        if event.wrote is not fx.Wrote.DONE:  # again under a fresh key: readers may have passed this one
            hold.retry_at = now + state.manifest.floor
            return
        hold.published = segment.stop
        hold.failed = [task for task in hold.failed if task >= hold.published]
        state.jobs[hold.job].learn_segments([segment])
        if hold.published < hold.stop:
            state.ask(fx.Forget(hold.job, hold.claim, hold.published))
        self._drop_if_published(hold, now)
        self.feed(hold)

    def feed(self, hold: Hold) -> None:
        """Request the next piece of a recovered range, once the last one is published (``poison.py``)."""
        if hold.slot < 0 or hold.stopping or not hold.published == hold.fed < hold.stop:
            return
        finished = self._state.jobs[hold.job].published(hold.claim)
        hold.fed = min(hold.stop, hold.published + piece(finished))
        hold.pause = None
        self._state.ask(fx.Run(hold.slot, hold.job, hold.claim, hold.published, hold.fed))

    def _drop_if_published(self, hold: Hold, now: float) -> None:
        if hold.published >= hold.stop and not hold.busy:
            self._state.holds.pop((hold.job, hold.claim), None)
            upto = max(hold.published, hold.told)  # outcomes beyond a cut belong to another worker
            self._state.ask(fx.Forget(hold.job, hold.claim, upto))
            self._state.idle_since = now
            job = self._state.jobs[hold.job]
            job.hunt_at, job.hunt_wait = now, self._state.manifest.floor / 4
