"""Static HTML of the same views, for saved notebooks. Self-contained, no scripts, everything escaped.

Colours are Jupyter's CSS variables, with fallbacks for other pages; the live panel uses ``panel.css``, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files

from burst_magic.ui import phrases, text
from burst_magic.ui.frame import Frame, Phase
from burst_magic.ui.rows import CapturedRow
from burst_magic.ui.words import clock, count, duration

BAR = 1000  # width of the bar in its own units, scaled by the page
LEAST = 8  # a single failure among thousands stays visible


@cache
def style() -> str:
    """The style sheet of all views."""
    return files("burst_magic.ui").joinpath("panel.css").read_text(encoding="utf-8")


def panel_html(shown: Frame) -> str:
    """A job's state in a frame, for the notebook file. After success, it is one line and a bar, and kept workers."""
    calm = shown.phase is Phase.FINISHED
    parts = [
        f"<style>{style()}</style>",
        f'<section class="burst burst-is-{shown.phase.value}">',
        _head(shown),
        _bar(shown),
        *([_facts(shown)] if calm else [_legend(shown), _waiting(shown), _facts(shown), _errors(shown)]),
        _tail(shown),
        "</section>",
    ]
    return "".join(parts)


def dry_run_html(
    rows: Iterable[CapturedRow], *, facts: Sequence[tuple[str, str]] = (), warnings: Sequence[str] = ()
) -> str:
    """The report of ``--dry-run`` (see ``text.dry_run_text``)."""
    rows = list(rows)
    body = [text.captured_cells(row) for row in rows]
    marks = ["burst-secret" if row.secret else "" for row in rows]
    head = ("name", "kind", "type", "size", "lines", "why")
    parts = [
        _table(head, body, right=(3,), marks=marks) if body else "<p>nothing but the cell's text would be sent</p>"
    ]
    if facts:
        parts.append(_pairs(facts))
    parts += [f'<p class="burst-waiting">{escape(warning)}</p>' for warning in warnings]
    return _page("".join(parts))


def _page(body: str) -> str:
    return f'<style>{style()}</style><section class="burst burst-plain">{body}</section>'


def _head(shown: Frame) -> str:
    title = f' <span class="burst-title">{escape(shown.title)}</span>' if shown.title else ""
    # A saved page becomes outdated, so it says when that was so.
    seen = f"seen {clock(shown.at)}" if shown.ended is None else f"ended {clock(shown.ended)}"
    took = duration(phrases.elapsed(shown))
    whole = f"{count(phrases.done(shown))} of {count(shown.counts.total)}"
    times = [whole, shown.progress, phrases.left(shown), took, _cost(shown), seen]
    return (
        f'<header><span class="burst-state">{escape(shown.state)}</span>{title}'
        f' <span class="burst-time">{escape(" · ".join(filter(None, times)))}</span></header>'
    )


def _bar(shown: Frame) -> str:
    """One bar, ordered by state; failures stand at the right."""
    drawn, left = [], 0
    for state, width in widths(shown):
        drawn.append(f'<rect class="burst-{state}" x="{left}" y="0" width="{width}" height="10"/>')
        left += width
    label = f"{phrases.done(shown)} of {shown.counts.total} tasks done, {shown.counts.failed} failed"
    return (
        f'<svg class="burst-strip" viewBox="0 0 {BAR} 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}" shape-rendering="crispEdges">{"".join(drawn)}</svg>'
    )


def widths(shown: Frame) -> list[tuple[str, int]]:
    """The parts of the bar: (state, width), together ``BAR`` wide. What there is one of is visible."""
    numbers = shown.counts
    rest = numbers.pending + numbers.not_run
    states = (
        ("completed", numbers.completed),
        ("running", numbers.running),
        ("pending", rest),
        ("failed", numbers.failed),
    )
    found = {state: max(LEAST, BAR * number // numbers.total) for state, number in states if number}
    if found:  # the widest gives or takes what rounding leaves
        widest = max(found, key=lambda state: found[state])
        found[widest] += BAR - sum(found.values())
    return list(found.items())


def _legend(shown: Frame) -> str:
    colours = {"not run": "pending"}
    items = [
        f'<span class="burst-count{"" if number else " burst-none"}">'
        f'<i class="burst-key burst-{colours.get(word, word)}"></i><b>{count(number)}</b> {word}</span>'
        for word, number in phrases.counts(shown)
    ]
    return f'<div class="burst-legend">{" ".join(items)}</div>'


def _waiting(shown: Frame) -> str:
    way_out = shown.waiting.way_out if shown.waiting else ""
    lines = [phrases.stale(shown), ": ".join(filter(None, [phrases.waiting(shown), way_out]))]
    return "".join(f'<p class="burst-waiting">{escape(line)}</p>' for line in lines if line)


def _facts(shown: Frame) -> str:
    facts = [
        ("workers", phrases.kept(shown.money) if shown.over else phrases.workers(shown)),
        ("longest", phrases.longest(shown)),
        ("reattach", "" if shown.over else shown.attach),
    ]
    return _pairs([(label, fact) for label, fact in facts if fact])


def _cost(shown: Frame) -> str:
    return phrases.cost(shown.money, at=shown.at, over=shown.over)


def _pairs(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(label)}</dt><dd>{escape(fact)}</dd>" for label, fact in facts)
    return f'<dl class="burst-facts">{rows}</dl>' if rows else ""


def _errors(shown: Frame) -> str:
    part = shown.failures
    if part is None or not (part.groups or part.unread):
        return ""
    rows = [(f"{count(view.count)} ×", phrases.failure(view)) for view in part.groups]
    if part.more:
        rows.append(("", f"and {part.more} more kinds of failure, {count(part.more_tasks)} tasks"))
    if part.unread:
        rows.append(("", f"failures cannot be read: {part.unread}"))
    cells = "".join(f"<tr><td>{number}</td><td>{escape(message)}</td></tr>" for number, message in rows)
    return f'<table class="burst-errors"><tbody>{cells}</tbody></table>'


def _tail(shown: Frame) -> str:
    lines = shown.output.lines if shown.output else ()
    if not lines:
        return ""
    rows = "".join(f"<tr><td>{count(line.task)}</td><td>{escape(line.text)}</td></tr>" for line in lines)
    return f'<details class="burst-tail"><summary>output</summary><table><tbody>{rows}</tbody></table></details>'


def _table(
    head: Sequence[str], body: Sequence[Sequence[str]], *, right: Iterable[int] = (), marks: Sequence[str] = ()
) -> str:
    rights = set(right)
    sides = [' class="burst-right"' if column in rights else "" for column in range(len(head))]
    heads = "".join(f"<th{side}>{escape(word)}</th>" for word, side in zip(head, sides, strict=True))
    rows = "".join(
        f'<tr class="{mark}">'
        + "".join(f"<td{side}>{escape(cell)}</td>" for cell, side in zip(row, sides, strict=True))
        + "</tr>"
        for row, mark in zip(body, marks or [""] * len(body), strict=True)
    )
    return f'<table class="burst-table"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
