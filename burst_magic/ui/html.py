"""Static HTML of the same views, for saved notebooks. Self-contained, no scripts, everything escaped.

Colours are Jupyter's CSS variables, with fallbacks for other pages; the live panel uses ``panel.css``, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from itertools import groupby

from burst_magic.ui import model, text
from burst_magic.ui.model import HeatCell, PanelModel
from burst_magic.ui.rows import CapturedRow

STRIP = 100  # height of the heat strip in its own units, scaled by the page
LEAST = 18  # a single failure among thousands stays visible
STATES = ("pending", "running", "completed", "failed")


@cache
def style() -> str:
    """The style sheet of all views."""
    return files("burst_magic.ui").joinpath("panel.css").read_text(encoding="utf-8")


def panel_html(shown: PanelModel) -> str:
    """A job's current state, for the notebook file."""
    parts = [
        f"<style>{style()}</style>",
        f'<section class="burst burst-is-{shown.phase.value}">',
        _head(shown),
        _strip(shown),
        _legend(shown),
        _facts(shown),
        _errors(shown),
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


def _head(shown: PanelModel) -> str:
    title = f' <span class="burst-title">{escape(shown.title)}</span>' if shown.title else ""
    seen = f"{'ended' if shown.over else 'seen'} {text.clock(shown.at)}"  # a saved page becomes outdated
    times = " · ".join(part for part in (model.duration(shown.elapsed), shown.left, seen) if part)
    return (
        f'<header><span class="burst-state">{escape(shown.state)}</span>{title}'
        f' <span class="burst-time">{escape(times)}</span></header>'
    )


def _strip(shown: PanelModel) -> str:
    """One path per state, with equal neighbours merged: a finished job is one rectangle."""
    paths: dict[str, list[str]] = {state: [] for state in STATES}
    column = 0
    for _, group in groupby(shown.cells, key=lambda cell: (cell.stop - cell.start, cell.mix)):
        alike = list(group)
        width = len(alike)
        for state, top, height in layers(alike[0]):
            paths[state].append(f"M{column} {top}h{width}v{height}h-{width}z")
        column += width
    drawn = "".join(f'<path class="burst-{state}" d="{"".join(path)}"/>' for state, path in paths.items() if path)
    label = f"{shown.done} of {shown.total} tasks done, {shown.failed} failed"
    return (
        f'<svg class="burst-strip" viewBox="0 0 {max(1, column)} {STRIP}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}" shape-rendering="crispEdges">{drawn}</svg>'
    )


def layers(cell: HeatCell) -> list[tuple[str, int, int]]:
    """The layers of a cell: (state, top, height). Failures on top, then pending, running, and completed at the bottom.

    The heights add up to ``STRIP``; a failure is always visible.
    """
    rest = cell.stop - cell.start - cell.failed
    if not rest:
        return [("failed", 0, STRIP)]
    failed = max(LEAST, STRIP * cell.failed // (rest + cell.failed)) if cell.failed else 0
    room = STRIP - failed
    running = STRIP - room * (cell.completed + cell.running) // rest
    completed = STRIP - room * cell.completed // rest
    edges = (0, failed, running, completed, STRIP)
    states = ("failed", "pending", "running", "completed")
    return [(state, top, foot - top) for state, top, foot in zip(states, edges, edges[1:], strict=False) if foot > top]


def _legend(shown: PanelModel) -> str:
    counts = (
        ("completed", "completed", shown.completed),
        ("running", "running", shown.running),
        ("pending", shown.idle_word, shown.pending),
        ("failed", "failed", shown.failed),
    )
    items = [
        f'<span class="burst-count{"" if number else " burst-none"}"><i class="burst-key burst-{state}"></i>'
        f"<b>{model.count(number)}</b> {word}</span>"
        for state, word, number in counts
        if number or not shown.over or state in {"completed", "failed"}
    ]
    if shown.reused:
        items.append(f'<span class="burst-count"><b>{model.count(shown.reused)}</b> reused</span>')
    whole = f"<b>{escape(shown.progress)}</b> of {model.count(shown.total)}"
    return f'<div class="burst-legend">{" ".join(items)} <span class="burst-whole">{whole}</span></div>'


def _facts(shown: PanelModel) -> str:
    why = shown.stale or shown.waiting
    waiting = f'<p class="burst-waiting">{escape(why)}</p>' if why else ""
    facts = [
        ("workers", shown.fleet),
        ("cost", shown.cost),
        ("longest", model.longest_line(shown.longest, shown.at)),
        ("reattach", shown.go_on),
    ]
    return waiting + _pairs([(label, fact) for label, fact in facts if fact])


def _pairs(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(label)}</dt><dd>{escape(fact)}</dd>" for label, fact in facts)
    return f'<dl class="burst-facts">{rows}</dl>'


def _errors(shown: PanelModel) -> str:
    if not shown.errors:
        return ""
    rows = "".join(
        f"<tr><td>{model.count(number)} ×</td><td>{escape(message)}</td></tr>" for number, message in shown.errors
    )
    more = f"<tr><td></td><td>and {shown.more_errors} more kinds of failure</td></tr>" if shown.more_errors else ""
    return f'<table class="burst-errors"><tbody>{rows}{more}</tbody></table>'


def _tail(shown: PanelModel) -> str:
    if not shown.tail:
        return ""
    rows = "".join(f"<tr><td>{model.count(task)}</td><td>{escape(line)}</td></tr>" for task, line in shown.tail)
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
