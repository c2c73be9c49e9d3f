"""Whether plain data from a store has the types and the size of a record's fields. Anyone may have written it.

JSON knows no tuples: they are compared after lists became tuples. Numbers are bounded, so that what is computed from
them stays finite: a date, a sum, a million tasks.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, get_args, get_origin

LARGEST = 1 << 256  # an integer is smaller, whatever seed a user likes
LATEST = 1e11  # a number is smaller: seconds since the epoch until the year 5138

Fits = Callable[[Any], bool]


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
    return _PLAIN.get(hint, lambda value: isinstance(value, hint))  # an enum, or a record within this one


def _any_of(checks: tuple[Fits, ...]) -> Fits:
    return lambda value: any(fits(value) for fits in checks)


def _all_of(fits: Fits) -> Fits:
    return lambda value: isinstance(value, tuple) and all(map(fits, value))


def _each(checks: tuple[Fits, ...]) -> Fits:
    def fits(value: Any) -> bool:
        right = isinstance(value, tuple) and len(value) == len(checks)
        return right and all(check(part) for check, part in zip(checks, value, strict=True))

    return fits


def _is_integer(value: Any) -> bool:
    return type(value) is int and -LARGEST <= value < LARGEST


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and -LATEST < value < LATEST  # nor is it NaN


_PLAIN: dict[Any, Fits] = {
    int: _is_integer,
    float: _is_number,
    bool: lambda value: type(value) is bool,
    str: lambda value: type(value) is str,
    types.NoneType: lambda value: value is None,
}
