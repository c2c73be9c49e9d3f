"""Numbers, times and texts in words."""

from __future__ import annotations

import pytest

from burst_magic.ui.words import THIN, about, clean, count, dollars, duration, percent, size_of


def test_titles_links_and_other_terminal_escapes_vanish():
    assert clean("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07 \x1b]0;title\x07end") == "link end"


def test_a_file_name_that_is_no_utf_8_can_be_shown():
    assert clean("data\udce9.csv") == "data\\udce9.csv"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1 000"), (1_000_000, "1 000 000"), (-1234, "-1 234")]
)
def test_counts_are_grouped_by_threes(number, text):
    assert count(number, gap=" ") == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 5, "0"), (1, 1_000_000, "<1"), (999_999, 1_000_000, "99"), (5, 5, "100"), (1, 100, "1"), (1, 101, "<1")],
)
def test_percentages_are_rounded_down_and_never_say_nothing_of_something(part, whole, text):
    assert percent(part, whole) == f"{text}{THIN}%"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.42, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (8040, "2 h 14 min"),
        (273_600, "3 d 04 h"),
    ],
)
def test_durations_have_two_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "a few seconds"),
        (42, "≈ 40 s"),
        (58, "≈ 1 min"),
        (170, "≈ 3 min"),
        (5400, "≈ 1.5 h"),
        (7200, "≈ 2 h"),
        (400_000, "≈ 5 d"),
    ],
)
def test_forecasts_have_one_unit(seconds, text):
    assert about(seconds) == text


def test_large_sums_are_grouped_and_small_ones_are_not_nothing():
    assert [dollars(micro, gap=" ") for micro in (0, 3, 4_200, 1_234_567_890)] == [
        "$0.00",
        "<$0.0001",
        "$0.0042",
        "$1 234.57",
    ]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (812, "812 B"), (1_240, "1.2 kB"), (200_000_000, "200 MB"), (10**13, "10.0 TB")]
)
def test_sizes_are_decimal(size, text):
    assert size_of(size) == text
