"""Whether plain data from a store has the types and the size of a record's fields. Anyone may have written it.

JSON knows no tuples: they are compared after lists became tuples. Numbers are bounded, so that what is computed from
them stays finite: a date, a sum, a million tasks. A check is of many values at once: a ``final`` has a part for each
segment, and a call for each number in it would take longer than all else that reads it.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Collection
from functools import cache
from itertools import chain
from typing import Any, get_args, get_origin

LARGEST = 1 << 256  # an integer is smaller, whatever seed a user likes
LATEST = 1e11  # a number is smaller: seconds since the epoch until the year 5138

Fits = Callable[[Collection[Any]], bool]  # whether all of these values fit


@cache
def fields_of(kind: Any) -> dict[str, Fits]:
    """The fields of a record, each with the check of its values."""
    hints = typing.get_type_hints(kind)
    return {field.name: _check_of(hints[field.name]) for field in dataclasses.fields(kind)}


def _check_of(hint: Any) -> Fits:
    arguments = get_args(hint)
    if get_origin(hint) in {typing.Union, types.UnionType}:
        return _any_of(tuple(map(_check_of, arguments)))
    if get_origin(hint) is tuple:
        return _all_of(_check_of(arguments[0])) if arguments[-1] is ... else _each(tuple(map(_check_of, arguments)))
    return _PLAIN.get(hint, lambda values: all(isinstance(value, hint) for value in values))  # an enum, or a record


def _any_of(checks: tuple[Fits, ...]) -> Fits:
    return lambda values: all(any(fit((value,)) for fit in checks) for value in values)


def _all_of(fit: Fits) -> Fits:
    return lambda values: _are({tuple}, values) and fit([*chain.from_iterable(values)])


def _each(checks: tuple[Fits, ...]) -> Fits:
    def fits(values: Collection[Any]) -> bool:
        if not _are({tuple}, values) or not set(map(len, values)) <= {len(checks)}:
            return False
        return all(fit(column) for fit, column in zip(checks, zip(*values, strict=True), strict=bool(values)))

    return fits


def _are(kinds: set[type], values: Collection[Any]) -> bool:
    return set(map(type, values)) <= kinds


def _integers(values: Collection[Any]) -> bool:
    return _are({int}, values) and min(values, default=0) >= -LARGEST and max(values, default=0) < LARGEST


def _numbers(values: Collection[Any]) -> bool:
    return _are({int, float}, values) and all(-LATEST < value < LATEST for value in values)  # nor is one NaN


_PLAIN: dict[Any, Fits] = {
    int: _integers,
    float: _numbers,
    bool: lambda values: _are({bool}, values),
    str: lambda values: _are({str}, values),
    types.NoneType: lambda values: _are({types.NoneType}, values),
}
