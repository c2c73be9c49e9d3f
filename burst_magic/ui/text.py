"""Views for terminals, logs and executed notebooks: plain text and a tqdm bar, no widgets."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from burst_magic.errors import visible
from burst_magic.plan.finding import Finding
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.ui import phrases
from burst_magic.ui.drawing import frame_of
from burst_magic.ui.frame import Frame, Phase
from burst_magic.ui.phrases import GAP
from burst_magic.ui.rows import AccountLine, CapturedRow, CostLine, SessionLine
from burst_magic.ui.words import THIN, clean, clock, count, dollars, duration, size_of

if TYPE_CHECKING:
    from tqdm import tqdm

WIDTH = 100  # characters of the widest table that a notebook shows without wrapping
_NAME = 1  # the column of names in the list of sessions
_LEAST_NAME, _LONGEST_STATE, _LONGEST_OWNER = 6, 10, 20  # characters


def one_line(snapshot: Snapshot) -> str:
    """A job's progress for a ``repr``: ``412 of 1 000, ≈ 3 min``."""
    return frame_line(frame_of(snapshot))


def frame_line(shown: Frame) -> str:
    """The same of a frame."""
    parts = [phrases.done_of(shown)]
    if shown.phase is Phase.FINISHED:
        parts.append(f"in {duration(phrases.elapsed(shown))}")
    elif shown.over:
        parts.append(_plain(shown.state))
    else:
        if shown.counts.failed:
            parts.append(f"{_count(shown.counts.failed)} failed")
        if shown.waiting:
            parts.append(f"waiting: {phrases.waiting(shown)}")
        elif phrases.left(shown):
            parts.append(phrases.left(shown))
    return ", ".join(parts)


def frame_text(shown: Frame) -> str:
    """What a reader without HTML sees of a panel in a saved notebook."""
    head = f"{shown.title or shown.session}: {_plain(shown.state)}, {phrases.done_of(shown)}"
    seen = f"as seen {clock(shown.at)}; to go on: {shown.attach}"
    facts = [shown.progress, "" if shown.over else phrases.left(shown), phrases.waiting(shown), _cost(shown)]
    kept = phrases.kept(shown.money)
    lines = [", ".join(filter(None, [head, *facts])), *_failures(shown), *([f"workers: {kept}"] if kept else [])]
    return "\n".join([*lines, f"ended {clock(shown.ended)}" if shown.ended is not None else seen])


def status_text(snapshot: Snapshot) -> str:
    """All facts about a job, on aligned lines."""
    shown = frame_of(snapshot)
    facts = [
        ("tasks", f"{phrases.done_of(shown)} done" + (f" ({shown.progress})" if shown.progress else "")),
        ("", ", ".join(f"{_count(number)} {word}" for word, number in phrases.counts(shown))),
        ("workers", phrases.workers(shown, alive=snapshot.alive)),
        ("", phrases.kept(shown.money)),
        ("time", ", ".join(filter(None, [duration(phrases.elapsed(shown)), phrases.left(shown)]))),
        ("cost", _cost(shown) or phrases.on_fargate(shown.money, shown.at)),
        ("waiting", phrases.waiting(shown)),
        ("try", shown.waiting.way_out if shown.waiting else ""),
        ("stale", phrases.stale(shown)),
        ("longest", phrases.longest(shown)),
    ]
    head = " · ".join(filter(None, [shown.title, f"{shown.session}/{shown.job}", _plain(shown.state)]))
    lines = [head, *(f"  {label:<9}{text}" for label, text in facts if text)]
    if failures := _failures(shown):
        lines += ["", *failures]
    tail = shown.output.lines if shown.output else ()
    if tail:
        width = max(len(_count(line.task)) for line in tail)
        lines += ["", "  output", *(f"  {_count(line.task):>{width}} | {line.text}" for line in tail)]
    if not shown.over:
        lines += ["", f"  in another kernel: {shown.attach}"]
    return "\n".join(lines)


def other_job(snapshot: Snapshot) -> str:
    """One of several jobs of a session: its id, its label or first line, its progress."""
    shown = frame_of(snapshot)
    return "  ".join(filter(None, [f"{shown.session}/{shown.job}", shown.title, frame_line(shown)]))


def errors_text(snapshot: Snapshot) -> str:
    """A job's distinct failures, most frequent first, or one line if there are none."""
    return "\n".join(_failures(frame_of(snapshot))) or "  no failed tasks"


def _failures(shown: Frame) -> list[str]:
    """One line a group, with aligned counts."""
    part = shown.failures
    if part is None:
        return []
    width = max((len(_count(view.count)) for view in part.groups), default=0)
    lines = [f"  {_count(view.count):>{width}} × {phrases.failure(view)}" for view in part.groups]
    if part.more:
        lines.append(f"  and {_count(part.more)} more kinds of failure, {_count(part.more_tasks)} tasks")
    if part.unread:
        lines.append(f"  failures cannot be read: {part.unread}")
    return lines


def _cost(shown: Frame) -> str:
    return phrases.cost(shown.money, at=shown.at, over=shown.over)


def findings_text(found: Iterable[Finding]) -> str:
    """What ``burst doctor`` has found, each with its way out below."""
    lines = []
    for each in found:
        lines.append(f"{each.level.value:<4} {each.what}: {each.detail}")
        lines += [f"     try: {each.way_out}"] if each.way_out else []
    return "\n".join(lines)


def sessions_table(rows: Sequence[SessionLine], *, now: float) -> str:
    """Sessions, one a line of at most ``WIDTH`` characters: a long name is cut.

    Args:
        rows: in the order in which they are shown.
        now: times of this day are shown by the clock, others by their date.
    """
    head = ("id", "name", "state", "since", "last", "total", "pend", "run", "done", "fail", "cost")
    body = [_session_cells(row, now) for row in rows]
    if not body:
        return "no sessions"
    others = sum(max(map(len, column)) for at, column in enumerate(zip(head, *body, strict=True)) if at != _NAME)
    longest, gaps = max(len(row[_NAME]) for row in body), len(head) - 1
    gap = 2 if others + longest + 2 * gaps <= WIDTH else 1
    room = max(_LEAST_NAME, WIDTH - others - gap * gaps)
    named = [(*row[:_NAME], clean(row[_NAME], limit=room), *row[_NAME + 1 :]) for row in body]
    return table(head, named, right=range(5, 11), gap=gap)


def cost_table(rows: Sequence[CostLine], *, now: float) -> str:
    """What sessions were expected to cost and did, one a line, with their sum.

    Args:
        rows: in the order in which they are shown.
        now: times of this day are shown by the clock, others by their date.
    """
    if not rows:
        return "no sessions"
    head = ("id", "name", "state", "since", "launcher", "tasks", "estimate", "cost", "on Fargate")
    body = [
        (
            row.id,
            clean(row.name, limit=_LEAST_NAME),
            clean(row.state, limit=_LONGEST_STATE),
            _short_time(row.created, now),
            row.launcher,
            _short_count(row.total),
            "" if row.estimate is None else _dollars(row.estimate),
            _dollars(None if row.problem else row.cost),
            "" if row.fargate is None else _dollars(row.fargate),
        )
        for row in rows
    ]
    lines = [f"{dollars(sum(row.cost or 0 for row in rows))} at list price, without the store's requests"]
    estimated = [(row.estimate, row.cost) for row in rows if row.estimate is not None and row.cost is not None]
    if estimated:
        expected, real = (dollars(sum(column)) for column in zip(*estimated, strict=True))
        lines.append(f"{len(estimated)} with an estimate: {expected} expected, {real} so far")
    return "\n".join([table(head, body, right=(5, 6, 7, 8)), *lines])


def account_table(rows: Sequence[AccountLine], *, region: str, now: float) -> str:
    """Running sessions of the account, one a line, with what they cost together.

    Args:
        rows: in the order in which they are shown.
        region: where they were looked for.
        now: times of this day are shown by the clock, others by their date.
    """
    where = f" in {region} (no other region was searched)" if region else ""
    if not rows:
        return f"nothing of burst_magic runs in the account{where}"
    head = ("id", "owner", "workers", "launcher", "since", "deadline", "an hour", "so far")
    body = [
        (
            row.sid,
            clean(row.owner, limit=_LONGEST_OWNER),
            str(row.workers),
            "+".join(row.launchers),
            _short_time(row.since, now),
            "none" if row.deadline is None else _short_time(row.deadline, now),
            _dollars(row.hourly),
            _dollars(row.spend),
        )
        for row in rows
    ]
    known = [row.hourly for row in rows if row.hourly is not None]
    more = "" if len(known) == len(rows) else f", and those of {len(rows) - len(known)} without a known price"
    workers = sum(row.workers for row in rows)
    hourly = dollars(sum(known))
    total = f"{workers} worker{'s' * (workers != 1)}{where}, {hourly} an hour at list price{more}"
    return f"{table(head, body, right=(2, 6, 7))}\n{total}"


def _dollars(micros: int | None) -> str:
    return "?" if micros is None else dollars(micros, gap=GAP)


def _session_cells(row: SessionLine, now: float) -> tuple[str, ...]:
    counts = (row.total, row.pending, row.running, row.completed, row.failed)
    return (
        row.id,
        clean(row.name),
        clean(row.state, limit=_LONGEST_STATE),
        _short_time(row.created, now),
        _short_time(row.last_activity, now),
        *map(_short_count, counts),
        _dollars(row.cost),
    )


def dry_run_text(
    rows: Iterable[CapturedRow], *, facts: Sequence[tuple[str, str]] = (), warnings: Sequence[str] = ()
) -> str:
    """The report of ``--dry-run``: what would be sent and why, then facts (workers, estimate …), then warnings."""
    body = [captured_cells(row) for row in rows]
    head = ("name", "kind", "type", "size", "lines", "why")
    parts = [table(head, body, right=(3,)) if body else "nothing but the cell's text would be sent"]
    if facts:
        width = max(len(label) for label, _ in facts)
        parts.append("\n".join(f"{label:<{width}}  {text}" for label, text in facts))
    if warnings:
        parts.append("\n".join(f"! {warning}" for warning in warnings))
    return "\n\n".join(parts)


def captured_cells(row: CapturedRow) -> tuple[str, ...]:
    """The columns of one captured value, as text."""
    why = f"looks like a secret; {row.why}" if row.secret and row.why else row.why
    return (
        clean(row.name, limit=40),
        row.kind,
        clean(row.type, limit=40),
        size_of(row.size),
        ", ".join(map(str, row.lines)),
        clean(why or ("looks like a secret" if row.secret else ""), limit=100),
    )


def _short_count(number: int) -> str:
    """A count in at most five characters: 99999, 123k, 1.2M, 12M."""
    if number < 100_000:
        return str(number)
    if number < 1_000_000:
        return f"{number // 1000}k"
    return f"{number / 1e6:.1f}M" if number < 10_000_000 else f"{number // 1_000_000}M"


def _short_time(at: float, now: float) -> str:
    """A local time in at most seven characters: 10:14, Nov 27, 2025-11."""
    then, today = datetime.fromtimestamp(at).astimezone(), datetime.fromtimestamp(now).astimezone()
    if then.date() == today.date():
        return then.strftime("%H:%M")
    return then.strftime("%b %d" if then.year == today.year else "%Y-%m")


def table(head: Sequence[str], body: Sequence[Sequence[str]], *, right: Iterable[int] = (), gap: int = 2) -> str:
    """Columns separated by ``gap`` spaces; those in ``right`` are right-aligned."""
    rights = set(right)
    widths = [max(len(row[column]) for row in (head, *body)) for column in range(len(head))]
    lines = (
        (" " * gap)
        .join(
            text.rjust(width) if column in rights else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in (head, *body)
    )
    return "\n".join(lines)


_PATIENCE = 0.5  # seconds before an upload gets a bar


class Bar:
    """A tqdm bar that draws Snapshots: for terminals, and for notebooks that are executed without a browser.

    If the stream is not a terminal, it writes less and less often (at most one line per second, then after 2 % of the
    elapsed time), so that a long run leaves a short log.

    Args:
        stream: where to draw; stderr by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._bar: tqdm[Any] | None = None
        self._blanks = ""  # over what the terminal echoes of ^C, beside the bar
        self._next = float("-inf")  # elapsed seconds when the next line is due, if the stream is not a terminal

    def draw(self, snapshot: Snapshot) -> None:
        """Draw a snapshot if it is due."""
        shown = frame_of(snapshot)
        if not self._stream.isatty() and not shown.over:
            elapsed = phrases.elapsed(shown)
            if elapsed < self._next:
                return
            self._next = elapsed + max(1.0, 0.02 * elapsed)
        self._set(shown).refresh()

    def release(self) -> bool:
        """A bar that went on would be drawn over the next prompt."""
        self._blanks = " " * len("^C")
        return False

    def close(self, snapshot: Snapshot | None) -> bool:
        """Leave the last state visible, with its failures below."""
        if snapshot is not None:
            self._set(frame_of(snapshot))
        if self._bar is not None:
            self._bar.close()  # draws a last time
            self._bar = None
            if snapshot is not None and snapshot.errors:
                print(visible(errors_text(snapshot)), file=self._stream)
        return False

    def _set(self, shown: Frame) -> tqdm[Any]:
        bar = self._bar = self._bar or _new_bar(shown.counts.total, self._stream)
        bar.n = phrases.done(shown)
        bar.bar_format = f"{shown.progress:>5} |{{bar:24}}| {_braces(visible(bar_text(shown)))}{self._blanks}"
        return bar


class Upload:
    """A progress bar for uploading items; a short upload shows none.

    Args:
        total: number of items, None for a generator.
        stream: where to draw; stderr by default.
    """

    def __init__(self, total: int | None, stream: TextIO | None = None) -> None:
        self._total, self._stream = total, sys.stderr if stream is None else stream
        self._bar: tqdm[Any] | None = None

    def __call__(self, count: int) -> None:
        """Report the number of items uploaded so far."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, desc="uploading items", file=self._stream, leave=False, delay=_PATIENCE)
        self._bar.update(count - self._bar.n)

    def close(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


def bar_text(shown: Frame) -> str:
    """The text to the right of the bar."""
    over = shown.over
    parts = [
        phrases.done_of(shown),
        f"{_count(shown.counts.failed)} failed" if shown.counts.failed else "",
        _plain(shown.state) if shown.phase is Phase.ENDED or not shown.counts.total else "",
        f"{shown.workers.alive} of {shown.workers.wanted} workers" if not over else "",
        duration(phrases.elapsed(shown)),
        phrases.waiting(shown) or phrases.left(shown),
        _cost(shown),
    ]
    return " · ".join(filter(None, parts))


def _new_bar(total: int, stream: TextIO) -> tqdm[Any]:
    from tqdm import tqdm

    class Quiet(tqdm):  # type: ignore[type-arg]
        monitor_interval = 0  # its owner redraws the bar: no monitor thread of tqdm

    # The tiny delay avoids an empty bar at the start.
    return Quiet(total=total, file=stream, leave=True, dynamic_ncols=stream.isatty(), delay=1e-9)


def _count(number: int) -> str:
    return count(number, gap=GAP)


def _plain(text: str) -> str:
    return text.replace(THIN, GAP)


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
