"""What a module registers with the interpreter when it is imported, where Python keeps that.

Reducers of ``copyreg`` are in a table, so they can be taken out and put back. Codecs and their error handlers are in
tables of the interpreter that have no names: it can only be seen that something was added.
"""

from __future__ import annotations

import codecs
import copyreg
import encodings
import functools
import gc
from collections.abc import Callable, Mapping
from typing import Any

Reducers = Mapping[type, Callable[[Any], Any]]


def reducers() -> dict[type, Callable[[Any], Any]]:
    """Those of ``copyreg`` now."""
    return dict(copyreg.dispatch_table)


def put(some: Reducers) -> None:
    """Register these, as ``copyreg.pickle`` does."""
    copyreg.dispatch_table.update(some)


def take_out(some: Reducers) -> None:
    """Undo that."""
    for kind in some:
        copyreg.dispatch_table.pop(kind, None)


def lasting() -> tuple[object, ...]:
    """What cannot be taken out again; equal as long as nothing was added."""
    searches, handlers = _tables()
    return (*map(len, searches), *(frozenset(each) for each in handlers), dict(vars(copyreg)["_extension_registry"]))


@functools.cache
def _tables() -> tuple[list[list[Any]], list[dict[Any, Any]]]:
    """The interpreter's list of codec searches, and its table of error handlers: whoever refers to what is in them."""
    search, strict = encodings.search_function, codecs.lookup_error("strict")
    searches = [each for each in gc.get_referrers(search) if type(each) is list]
    tables = [each for each in gc.get_referrers(strict) if type(each) is dict]
    return searches, [each for each in tables if each.get("strict") is strict and "xmlcharrefreplace" in each]
