"""Which failed tasks are one group."""

from __future__ import annotations

import pytest

from burst_magic.protocol.failures import MESSAGES, FailureGroups, key_of, pattern_of
from burst_magic.protocol.wire.model import Outcome, OutcomeKind


def failure(task, message="no", *, line=3, error="KeyError", kind=OutcomeKind.ERROR):
    traceback = f'Traceback:\n  File "<cell 1>", line 1\n  File "<cell 1>", line {line}, in f\n' if line else ""
    return Outcome(task=task, kind=kind, error=error, message=message, traceback=traceback)


def told(failures):
    return [
        (group.count, group.messages, group.first, group.words)
        for group in FailureGroups().add(failures).largest_first()
    ]


def test_messages_that_differ_in_names_and_numbers_only_are_one_group_that_says_how_many_there_are():
    columns = [failure(task, f"'column_{task % 4}'") for task in range(20)]

    assert told(columns) == [(20, 4, 0, "KeyError: 'column_0' at line 3")]


def test_another_line_type_class_or_text_is_another_group():
    failures = [
        failure(7),
        failure(1, line=4),
        failure(2, error="ValueError"),
        failure(3, "yes"),
        failure(4, kind=OutcomeKind.UNPICKLABLE),
        failure(5, line=None),
        failure(6),
    ]

    assert [(count, first) for count, _, first, _ in told(failures)] == [(2, 6), (1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]


def test_the_line_is_not_lost_with_a_long_message():
    ((_, _, _, words),) = told([failure(1, "x" * 10_000)])

    assert words.endswith(" at line 3")
    assert len(words) < 400


def test_the_first_task_speaks_for_its_group_in_whatever_order_they_come():
    late, early = FailureGroups().add([failure(9, "'z'")]), FailureGroups().add([failure(2, "'a'")])

    (group,) = FailureGroups().join([late, early]).largest_first()

    assert (group.first, group.message, group.count, group.messages) == (2, "'a'", 2, 2)


def test_joining_leaves_the_parts_as_they_are():
    part = FailureGroups().add([failure(1, "'a'")])

    FailureGroups().join([part, FailureGroups().add([failure(2, "'b'")])])

    assert [(group.count, group.messages) for group in part.largest_first()] == [(1, 1)]


def test_a_million_messages_take_bounded_room():
    numbered = FailureGroups().add(failure(task, f"case {task}") for task in range(3 * MESSAGES))
    wordy = FailureGroups().add(failure(task, "x" * task) for task in range(MESSAGES + 200))

    (group,) = numbered.largest_first()
    assert (group.count, group.messages) == (3 * MESSAGES, MESSAGES)
    assert len(wordy.largest_first()) <= MESSAGES + 1
    assert wordy.count == sum(group.count for group in wordy.largest_first()) == MESSAGES + 200


def test_the_id_of_a_group_is_the_same_in_every_process():
    assert key_of(failure(1, "'a'")).ident == key_of(failure(2, "'b'")).ident == "2cf5cdc5b1eb"
    assert key_of(failure(1, "\ud800")).ident


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("no column 'a_7' among 12 columns", "no column … among # columns"),
        ("<object at 0x7f3a2c>", "<object at #>"),
        ("took 1.5e-3 s", "took # s"),
        ("id 1f0c77ab-93de-4c", "id #"),
        ("\n\nsecond line 2\nthird", "second line #"),
        ("", ""),
    ],
)
def test_a_pattern_is_what_messages_have_in_common(message, pattern):
    assert pattern_of(message) == pattern
