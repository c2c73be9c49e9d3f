"""Items that are parts of captured values: each is sent as a number and resolves to that part on the other side.

The C pickler calls `persistent_id` for every object, including numbers and strings. So an item is first packed without
it, at C speed, and packed again only if it shares an object with the captured values.
"""

from __future__ import annotations

import io
import types
from typing import TYPE_CHECKING, Any

from burst_magic.payload import nans
from burst_magic.payload.notes import Mode, Needs
from burst_magic.payload.pack import ATOMS, Packer, Packing, pack_atom

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from burst_magic.payload.pack import Packed

# Types where equality suffices, and types that are sent by name or filled by their first owner.
_INTERCHANGEABLE = frozenset({
    *ATOMS, range, slice, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType,
    types.CodeType, types.CellType,
})  # fmt: skip


class Parts:
    """The values that items may be parts of.

    Args:
        packed: the captured values.
        home: the notebook's globals.
        needs: collects what items refer to, `parts` among it.
    """

    def __init__(self, packed: Packed, *, home: Mapping[str, object], needs: Needs) -> None:
        self.home, self._needs = home, needs
        self._known: dict[int, tuple[int, object]] = {}
        self._captured = set(packed.names)
        self._packer = packed.packer  # its memo is copied for the first item that is not a number or string
        self._numbers: dict[int, int] = {}
        self._likely = False
        captured = (home.get(name) for name in packed.names)
        self._asks = nans.asks(packed.words, captured)  # for a NaN (`nans`)
        packer: object = packed.packer
        self._nans = packer.nans if isinstance(packer, nans.ByIdentity) else nans.NanKeys()  # captured ones

    def pack(self, item: object) -> bytes:
        """Pack an item."""
        if type(item) in ATOMS and not (self._asks and nans.is_nan(item)):
            return pack_atom(item)
        if self._packer is not None:
            self._known.update(self._packer.memo.copy())
            self._packer = None
        if not self._likely:
            packer, data = self._packed(item)
            self._likely = self._shares(packer) or (self._asks and nans.is_in(data))
            if not self._likely:
                return data
        before = len(self._numbers)
        packer, data = self._packed(item, referring=self)
        self._likely = len(self._numbers) > before or before > 0
        return data

    def number(self, obj: Any) -> int | None:
        """The number of a part; None if the object isn't one."""
        known = self._numbers.get(id(obj))
        is_nan = self._asks and nans.is_nan(obj)
        if is_nan:
            is_part = obj in self._nans or bool(nans.home_of(obj))
        else:
            is_part = id(obj) in self._known and _has_identity(obj)
        if known is None and is_part:
            known = self._numbers[id(obj)] = len(self._needs.parts)
            self._needs.parts.append(obj)
        return known

    def _packed(self, item: object, *, referring: Parts | None = None) -> tuple[Packer, bytes]:
        file = io.BytesIO()
        packer = Packer(file, home=self.home, mode=Mode.ITEM) if referring is None else _ReferringPacker(file, self)
        packer.dump(item)
        if "notes" in vars(packer):
            self._needs.add(packer.notes)
            self._learn(packer.notes.sent)
        return packer, file.getvalue()

    def _learn(self, names: Iterable[str]) -> None:
        """Values that only the items' code uses are captured, too: their parts count from this item on."""
        new = {name for name in names if name in self.home} - self._captured
        if not new:
            return
        packing = Packing(self.home, hold=False)
        packing.packer.notes.sent |= self._captured
        self._captured |= new
        try:
            for name, value in packing.packer.claim(dict.fromkeys(new, "")).items():
                packing.add(name, value)
        except Exception:  # noqa: BLE001 - said, with its path, when it is captured
            return
        self._captured |= packing.packer.notes.sent
        self._known.update(packing.packer.memo.copy())

    def _shares(self, packer: Packer) -> bool:
        known = self._known
        return any(_has_identity(known[key][1]) for key in known.keys() & packer.memo.copy().keys()) if known else False


class _ReferringPacker(Packer):
    """Checks for each object whether it is a part."""

    def __init__(self, file: io.BytesIO, parts: Parts) -> None:
        super().__init__(file, home=parts.home, mode=Mode.ITEM)
        self._parts = parts

    def persistent_id(self, obj: object) -> int | None:
        return self._parts.number(obj)


def _has_identity(obj: object) -> bool:
    kind = type(obj)
    if kind in _INTERCHANGEABLE or issubclass(kind, type):
        return False
    return not (kind.__module__ in {"numpy", "numpy.dtypes"} and "dtype" in kind.__name__.lower())
