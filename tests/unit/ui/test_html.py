"""The picture that stays in a saved notebook."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.protocol.wire.model import JobEnd, Span
from burst_magic.ui.html import LEAST, STRIP, dry_run_html, layers, panel_html, style
from burst_magic.ui.model import HeatCell, panel_model
from burst_magic.ui.text import clock

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
    failures = (group(1, EVIL, error=EVIL),)
    shown = panel_model(
        snapshot(name=EVIL, sid=EVIL, waiting=EVIL, failures=failures, tail=((1, EVIL),), launcher=EVIL)
    )
    return {
        "panel": panel_html(shown),
        "ended": panel_html(panel_model(snapshot(ended=JobEnd.NOBODY, end_detail=EVIL))),
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
    page = panel_html(panel_model(snapshot()))

    assert not re.search(r"https?:|//|url\(|@import", page)


def test_colours_follow_the_theme_and_have_a_dark_set():
    assert "var(--jp-ui-font-color1" in style()
    assert '[data-jp-theme-light="false"] .burst' in style()


def test_the_picture_says_counts_errors_cost_and_the_way_to_go_on(snapshot):
    words = Reader(panel_html(panel_model(snapshot(name="squares")))).words

    for word in ("running", "squares", "40", "8", "50", "2", "KeyError: 'x' at line 4", "2 ×"):
        assert word in words
    assert "no charge; on Fargate this would be $0.0042" in words
    assert "%burst_attach 20261121-091500-abcd2345" in words


def test_a_picture_says_how_old_it_is(snapshot, finished):
    running = Reader(panel_html(panel_model(snapshot(now=1000.0 + 80)))).words
    ended = Reader(panel_html(panel_model(finished()))).words

    assert f"1 min 20 s · ≈ 2 min left · seen {clock(1080.0)}" in running
    assert f"3 min 20 s · ended {clock(1200.0)}" in ended


def test_a_finished_job_of_a_million_tasks_is_one_rectangle(finished):
    page = panel_html(panel_model(finished(total=1_000_000, spans=(Span(start=0, stop=1_000_000, state="completed"),))))

    assert re.findall(r'<path class="([^"]*)" d="([^"]*)"', page) == [("burst-completed", "M0 0h400v100h-400z")]


def test_the_worst_picture_is_a_small_part_of_a_notebook(finished):
    states = ("pending", "running", "completed", "failed")
    spans = tuple(Span(start=at, stop=at + 333, state=states[at // 333 % 4]) for at in range(0, 999_000, 333))

    page = panel_html(panel_model(finished(total=1_000_000, spans=spans)))

    assert len(page) < 45_000


@given(st.tuples(*[st.integers(0, 3000)] * 4).filter(any))
def test_the_layers_of_a_cell_fill_it_without_a_gap_and_a_failure_is_always_seen(mix):
    pending, running, completed, failed = mix
    cell = HeatCell(start=0, stop=sum(mix), running=running, completed=completed, failed=failed)

    stacked = layers(cell)

    tops = [top for _, top, _ in stacked]
    assert tops == [sum(height for _, _, height in stacked[:k]) for k in range(len(stacked))]
    assert sum(height for _, _, height in stacked) == STRIP
    heights = {state: height for state, _, height in stacked}
    assert (heights.get("failed", 0) >= LEAST) == bool(failed)
    assert not (heights.get("pending") and not pending)
    assert not (heights.get("running") and not running)
    assert not (heights.get("completed") and not completed)


def test_no_rows_are_a_sentence():
    assert "nothing but the cell's text would be sent" in Reader(dry_run_html([])).words


def test_what_looks_like_a_secret_is_marked():
    assert 'class="burst-secret"' in dry_run_html([Row()])
