"""``dataclass`` for what is defined at every start: of a worker, a slot, ``import burst_magic``.

The standard library's compiles up to eight methods a class, a third of a millisecond, and a worker defines a hundred
classes before its first claim: 37 ms of 120. Here ``__init__`` is compiled, and the rest reads the fields. ``frozen``
is what the type checker enforces; at run time it gives a hash. Decision 0060 has the figures.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        cls: Any = None, /, *, frozen: bool = False, eq: bool = True, order: bool = False, **options: bool
    ) -> Any:
        """``dataclasses.dataclass`` with equal results, but that nothing keeps an attribute from being set."""

        def decorated(cls: Any) -> Any:
            if order:
                return dataclasses.dataclass(cls, frozen=frozen, order=True, **options)
            own = set(vars(cls))
            made = dataclasses.dataclass(cls, repr=False, eq=False, **options)
            if "__repr__" not in own:
                made.__repr__ = _represent
            if eq and "__eq__" not in own:
                _compare(made, frozen=frozen, hashed="__hash__" in own)
            return made

        return decorated if cls is None else decorated(cls)


@recursive_repr()
def _represent(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _compare(cls: Any, *, frozen: bool, hashed: bool) -> None:
    """By the values of the fields that count in comparisons."""
    names = [each.name for each in dataclasses.fields(cls) if each.compare]
    values = attrgetter(names[0], *names) if names else type  # a tuple, of one name too: NaN equals itself

    def equal(self: Any, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    cls.__eq__ = equal
    if not hashed:
        cls.__hash__ = (lambda self: hash(values(self))) if frozen else None
