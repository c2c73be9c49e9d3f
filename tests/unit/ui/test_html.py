"""The picture that stays in a saved notebook."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burst_magic.protocol.snapshot import Span, WaitCause, WaitReason
from burst_magic.protocol.wire.model import JobEnd
from burst_magic.ui.drawing import frame_of
from burst_magic.ui.html import BAR, LEAST, dry_run_html, panel_html, style, widths
from burst_magic.ui.saved import bundle
from burst_magic.ui.words import clock

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"


class Reader(HTMLParser):
    """Collects tags, attributes and text; notices tags that do not match."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = set(), [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@dataclass(frozen=True)
class Row:
    id: str = EVIL
    name: str = EVIL
    created: float = 1.0e9
    last_activity: float = 1.0e9
    total: int = 1
    pending: int = 1
    running: int = 0
    completed: int = 0
    failed: int = 0
    cost: int = 0
    kind: str = "value"
    type: str = EVIL
    size: int = 1
    lines: tuple[int, ...] = (1,)
    why: str = EVIL
    secret: bool = True


def evil_pages(snapshot, group):
    shown = frame_of(
        snapshot(
            name=EVIL,
            sid=EVIL,
            wait=WaitReason(cause=WaitCause.STARTING, words=EVIL),
            refused=EVIL,
            failures=(group(1, EVIL, error=EVIL),),
            unread=EVIL,
            tail=((1, EVIL),),
            launcher=EVIL,
        )
    )
    return {
        "panel": panel_html(shown),
        "ended": panel_html(frame_of(snapshot(ended=JobEnd.NOBODY, end_detail=EVIL))),
        "dry run": dry_run_html([Row()], facts=[(EVIL, EVIL)], warnings=[EVIL]),
    }


@pytest.mark.parametrize("page", ["panel", "ended", "dry run"])
def test_foreign_text_is_text_and_never_a_tag(snapshot, group, page):
    html = evil_pages(snapshot, group)[page]
    seen = Reader(html)

    assert not seen.tags & {"script", "img", "iframe", "object", "embed", "link", "form"}
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in {"href", "src"}]
    assert any("<script>alert(1)</script>" in word for word in seen.words)


def test_the_picture_asks_for_nothing_from_anywhere(snapshot):
    page = panel_html(frame_of(snapshot()))

    assert not re.search(r"https?:|//|url\(|@import", page)


def test_colours_follow_the_theme_and_have_a_dark_set():
    assert "var(--jp-ui-font-color1" in style()
    assert '[data-jp-theme-light="false"] .burst' in style()


def test_the_picture_says_counts_errors_and_the_way_to_go_on(snapshot):
    words = Reader(panel_html(frame_of(snapshot(name="squares")))).words

    for word in ("running", "squares", "40", "8", "50", "2", "KeyError: 'x' at line 4; first: task 40", "2 ×"):
        assert word in words
    assert "%burst_attach 20261121-091500-abcd2345" in words


def test_a_free_session_says_nothing_of_money(snapshot):
    assert "$" not in " ".join(Reader(panel_html(frame_of(snapshot()))).words).replace(style(), "")


def test_a_picture_of_what_is_over_says_nothing_of_workers_or_how_to_go_on(snapshot):
    page = panel_html(frame_of(snapshot(ended=JobEnd.CANCELLED))).replace(style(), "")

    assert "alive" not in page
    assert "burst_attach" not in page
    assert "not run: cancelled; first: task 50" in page


def test_after_success_the_picture_is_one_line_and_a_bar(finished):
    words = Reader(panel_html(frame_of(finished(name="squares"))).replace(style(), "")).words

    assert [word for word in words if word.strip()] == [
        "finished",
        "squares",
        f"100 of 100 · 100 % · 3 min 20 s · ended {clock(1200.0)}",
    ]


def test_a_wait_is_shown_with_what_to_do(snapshot):
    wait = WaitReason(cause=WaitCause.WRITES, words="the store refuses the workers' writes")
    page = " ".join(Reader(panel_html(frame_of(snapshot(wait=wait)))).words)

    assert "the store refuses the workers' writes: run %burst_doctor" in page


def test_a_picture_says_how_old_it_is(snapshot, finished):
    running = " ".join(Reader(panel_html(frame_of(snapshot(now=1080.0)))).words)
    ended = " ".join(Reader(panel_html(frame_of(finished()))).words)

    assert f"≈ 2 min left · 1 min 20 s · seen {clock(1080.0)}" in running
    assert f"3 min 20 s · ended {clock(1200.0)}" in ended


def test_the_worst_picture_is_a_small_part_of_a_notebook(snapshot, group):
    states = ("pending", "running", "completed", "failed")
    spans = tuple(Span(start=at, stop=at + 333, state=states[at // 333 % 4]) for at in range(0, 999_000, 333))
    failures = tuple(group(9, "m" * 500, error="E" * 90, line=n, first=n) for n in range(30))
    tail = tuple((n, "o" * 500) for n in range(20))
    drawn = frame_of(snapshot(total=1_000_000, spans=spans, failures=failures, tail=tail, name="n" * 500))

    assert len(panel_html(drawn)) < 18_000
    assert len(json.dumps(bundle(drawn))) < 40_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it makes values, and keeps nothing
@given(st.tuples(*[st.integers(0, 10_000)] * 4).filter(any))
def test_the_parts_of_the_bar_fill_it_in_order_and_what_there_is_one_of_is_seen(snapshot, mix):
    pending, running, completed, failed = mix
    facts = {"pending": pending, "running": running, "completed": completed, "failed": failed}

    parts = widths(frame_of(snapshot(total=sum(mix), **facts)))

    assert sum(width for _, width in parts) == BAR
    assert [state for state, _ in parts] == [
        state for state in ("completed", "running", "pending", "failed") if facts[state]
    ]
    assert min(width for _, width in parts) >= LEAST


def test_no_tasks_make_an_empty_bar(finished):
    assert widths(frame_of(finished(total=0, completed=0, spans=()))) == []


def test_no_rows_are_a_sentence():
    assert "nothing but the cell's text would be sent" in Reader(dry_run_html([])).words


def test_what_looks_like_a_secret_is_marked():
    assert 'class="burst-secret"' in dry_run_html([Row()])
