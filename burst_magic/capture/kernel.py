"""What a kernel has and a worker doesn't: names that IPython and others add to the builtins, or replace."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from types import FunctionType

from burst_magic.payload.notes import OMITTED, Changed

# Python's own builtins that don't identify themselves; the last are from `site`.
_PYTHONS = frozenset({
    "__name__", "__doc__", "__package__", "__loader__", "__spec__", "None", "Ellipsis", "NotImplemented", "False",
    "True", "__debug__", "open", "input", "quit", "exit", "copyright", "credits", "license", "help",
})  # fmt: skip


def as_on_a_worker(namespace: Mapping[str, object]) -> Mapping[str, object]:
    """The notebook's names, as far as they mean the same on a worker.

    IPython's replacements of builtins are omitted (its ``open`` protects its own files): a worker has the builtins, and
    its own ``display``. Names that others added to the builtins count as the notebook's.
    """
    theirs = {name for name in vars(builtins).keys() & namespace.keys() if _is_ipythons(namespace[name])}
    added = {name: value for name, value in vars(builtins).items() if _is_added(name, value) and name not in namespace}
    if not theirs and not added:
        return namespace
    return Changed(namespace, {name: value for name, value in {**namespace, **added}.items() if name not in theirs})


def _is_ipythons(value: object) -> bool:
    return isinstance(value, FunctionType) and value.__globals__.get("__name__", "").partition(".")[0] == "IPython"


def _is_added(name: str, value: object) -> bool:
    own = name in _PYTHONS or getattr(value, "__module__", None) == "builtins"
    return not own and name not in OMITTED and not _is_ipythons(value)
