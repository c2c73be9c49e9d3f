"""What is left on a terminal."""

from __future__ import annotations

import io

import pytest
from tqdm import tqdm

from burst_magic.protocol.terminal import as_seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", ""),
        ("plain\n", "plain\n"),
        ("start\n10%\r 20%\r100%\nend\r\n", "start\n100%\nend\n"),
        ("two\r", "two"),
        ("\x1b[31mred\x1b[0m\r\n", "\x1b[31mred\x1b[0m\n"),
        ("outer 1\ninner 1\x1b[A\router 2\n\rinner 2\x1b[1A\n\nend", "outer 2\ninner 2\nend"),
        ("top\x1b[9A\rfirst", "first"),
        ("half a line\x1b[2K\rwhole", "whole"),
        ("a long line\r\x1b[Kshort", "short"),
        ("kept\x1b[K on", "kept on"),
    ],
)
def test_the_last_state_of_each_line_is_seen(text, seen):
    assert as_seen(text) == seen
    assert as_seen(seen) == seen


def test_nested_progress_bars_are_a_line_each():
    file = io.StringIO()
    for _ in tqdm(range(30), desc="outer", file=file, mininterval=0, ascii=True):
        for _ in tqdm(range(20), desc="inner", file=file, mininterval=0, position=1, leave=False, ascii=True):
            pass
    lines = [line for line in as_seen(file.getvalue()).splitlines() if line.strip()]
    assert len(file.getvalue()) > 10_000
    assert [line.split()[:2] for line in lines] == [["outer:", "100%|##########|"]]


def test_a_long_line_that_is_written_in_many_parts_is_put_together_once():
    assert as_seen("x\x1b[K" * 500_000) == "x" * 500_000
