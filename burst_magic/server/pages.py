"""Tasks on demand. What a page costs is bounded; the next one goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic.ui.details import TaskDetail, TasksPage, task_detail, tasks_page, worker_names
from burst_magic.ui.timeline import TimelinePage, timeline_page

if TYPE_CHECKING:
    from burst_magic.protocol.snapshot import Snapshot
    from burst_magic.session.onlooker import Onlooker

SEGMENTS = 50  # that one request reads at most


def failed_tasks(onlooker: Onlooker, jid: str, group: str, *, after: int) -> TasksPage:
    """The next tasks of a group of failures."""
    outcomes, read = onlooker.failed(jid, after=after, segments=SEGMENTS)
    page = tasks_page(outcomes, group, after=after)
    return replace(page, next=read) if page.next is None else page


def timeline(onlooker: Onlooker, jid: str, seen: Snapshot) -> TimelinePage:
    """What ran when; where there are very many segments, of some that are spread over all."""
    return timeline_page(seen, onlooker.runs(jid, segments=SEGMENTS), worker_names(seen))


def ended_task(onlooker: Onlooker, jid: str, task: int) -> TaskDetail:
    """One task that has ended, without its value."""
    return task_detail(onlooker.outcome(jid, task))
