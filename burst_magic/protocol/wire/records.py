"""Record <-> bytes, with a schema version. Small records are signed JSON; outcomes are packed.

A record of a newer writer does not end its reader: unknown fields are ignored, an unknown cause or kind reads as OTHER,
with its text. Where that is not enough the schema differs, and ``VersionError`` says so.

An outcome is a fixed header, a JSON text (only when there is something to say) and the value's bytes.
The slot packs it once; the supervisor only joins them, behind their origin; the reader cuts them out again.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from array import array
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, cast

from burst_magic.dataclass import dataclass
from burst_magic.errors import RecordError, VersionError
from burst_magic.protocol.wire import displays, fitting, keys, sign
from burst_magic.protocol.wire.lock import InstalledPack
from burst_magic.protocol.wire.model import (
    ClaimBody,
    Control,
    ControlKind,
    EndCause,
    Final,
    Gone,
    Heartbeat,
    Job,
    Manifest,
    Next,
    Outcome,
    OutcomeKind,
    Provenance,
    SlotView,
)

SCHEMA = 2
T = TypeVar("T", bound=Manifest | InstalledPack | Job | ClaimBody | Control | Final | Gone | Heartbeat | Next)
R = TypeVar(
    "R", bound=Manifest | InstalledPack | Job | ClaimBody | Control | Final | Gone | Heartbeat | Next | SlotView
)

_ENUMS: dict[type, tuple[tuple[str, type[Enum]], ...]] = {
    Gone: (("cause", EndCause),),
    Control: (("kind", ControlKind),),
}

_WORKERS = (Heartbeat, Gone, Next)  # they explain a mismatch of versions, so both versions read them

_MOST_TASKS = 10**9
_SENSIBLE: dict[type, Callable[[Any], bool]] = {
    Manifest: lambda it: it.interval > 0 and it.floor >= 0 and it.slots > 0 and it.workers >= 0,
    Job: lambda it: 0 <= it.tasks <= _MOST_TASKS and all(a < b for a, b in pairwise((-1, *it.lanes, it.tasks + 1))),
    Final: lambda it: all(0 <= start < stop <= _MOST_TASKS for start, stop, _ in it.parts),
}
_IDENTITY = {Manifest: "sid", Job: "jid", Final: "job", Gone: "worker", Heartbeat: "worker"}
_MOST_BYTES = {Final: 128 << 20, Manifest: 16 << 20, Job: 16 << 20}  # a part for each task; setenv; lanes
_SMALL = 4 << 20

_ORIGIN = struct.Struct("<HH")  # bytes of the worker's id, which follows; slot
_HEAD = struct.Struct("<QBHdfffII")  # the fields of a Header
_TASK = struct.Struct("<Q")  # the first of them
_SIZES = struct.Struct("<QB22xII")  # of them task, kind, bytes of text and value
_KINDS = tuple(kind for kind in OutcomeKind if kind is not OutcomeKind.OTHER)
_OTHER = 255
UNKNOWN = Provenance()
_VALUE = _KINDS.index(OutcomeKind.VALUE)
_TEXTS = ("error", "message", "traceback", "item", "output")


class Header(NamedTuple):
    """The beginning of a packed outcome.

    Attributes:
        kind: its place among the kinds of outcomes.
        began: seconds since the epoch.
        wall, cpu: seconds; peak_mb: MiB.
        text, value: bytes of either, which follow in this order.
    """

    task: int
    kind: int
    attempts: int
    began: float
    wall: float
    cpu: float
    peak_mb: float
    text: int
    value: int

    @property
    def failed(self) -> bool:
        """There is no value."""
        return self.kind != _VALUE


class TaskSpan(NamedTuple):
    """When and where the last attempt of a task ran.

    Attributes:
        began: seconds since the epoch by its machine's clock; wall: seconds.
    """

    task: int
    began: float
    wall: float
    failed: bool
    worker: str
    slot: int


def encode(record: T, *, secret: bytes, key: str) -> bytes:
    """Encode a record for the store, signed for ``key``."""
    body = {"schema": SCHEMA, "is": type(record).__name__, **dataclasses.asdict(record)}
    return sign.seal(secret, key, json.dumps(body, separators=(",", ":")).encode())


def read(kind: type[T], get: Callable[[int], bytes], *, secret: bytes | None, key: str) -> T:
    """Decode a record without reading more than there can be of it.

    Args:
        kind: the expected type.
        get: the object's first bytes, at most so many.
        secret: the session's key, or None.
        key: the object's.

    Raises:
        BurstError: as ``decode``.
    """
    data, most = get(_SMALL + 1), most_bytes(kind)
    if len(data) > _SMALL < most and sign.is_sealed(data):
        data = get(most + 1)
    return decode(kind, data, secret=secret, key=key)


def most_bytes(kind: Any) -> int:
    """The size of the largest object that is read as a record of this kind."""
    return _MOST_BYTES.get(kind, _SMALL)


def decode(kind: type[T], data: bytes, *, secret: bytes | None, key: str) -> T:
    """Decode a record.

    Args:
        kind: the expected type.
        data: the object's bytes.
        secret: the session's key; None skips verification (for status only).
        key: the object's key, which the signature covers.

    Raises:
        SignatureError: it was changed, moved or replayed.
        VersionError: a version of another schema wrote it.
        RecordError: it is damaged, not a ``kind``, or tells of another session, job or worker than its key.
    """
    if len(data) > most_bytes(kind):
        raise RecordError("an object in the store is larger than such a record can be", context=key)
    body = sign.peek(key, data) if secret is None else sign.unseal(secret, key, data)
    try:
        fields: dict[str, Any] = json.loads(body)
        schema, is_a = fields.pop("schema"), fields.pop("is")
        if is_a == kind.__name__ and (schema == SCHEMA or kind in _WORKERS):
            record = _restored(kind, fields)
            _check(record, key)
            return record
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RecordError("an object in the store is damaged", context=key) from None
    problem = f"written as {is_a} of schema {schema}; this version reads {kind.__name__} of schema {SCHEMA}"
    error = RecordError if schema == SCHEMA else VersionError
    raise error(problem, context=key, way_out="use the burst_magic version that started this session")


def _restored(kind: type[R], fields: dict[str, Any]) -> R:
    """JSON has no tuples, enums or nested records; their fields are few and known."""
    known = {field.name for field in dataclasses.fields(kind)}
    found = {name: _tuples(value) for name, value in fields.items() if name in known}
    if kind is Heartbeat:
        found["slots"] = tuple(_restored(SlotView, slot) for slot in fields.get("slots", ()))
    for name, enum in _ENUMS.get(kind, ()):
        try:
            found[name] = enum(fields[name])
        except ValueError:
            found |= {name: enum("other"), "other": fields[name]}
    checks = fitting.fields_of(cast("Any", kind))
    if not all(checks[name]((value,)) for name, value in found.items()):
        raise ValueError(kind)
    return kind(**found)


def _check(record: Any, key: str) -> None:
    """Raise ``ValueError`` or ``RecordError`` unless it can be what its key says."""
    kind = type(record)
    if not _SENSIBLE.get(kind, lambda _: True)(record):
        raise ValueError(kind)
    said, named = getattr(record, _IDENTITY.get(kind, ""), None), keys.named_in(key)
    if said is not None and named is not None and said != named:
        raise RecordError(f"an object in the store is called {named!r} and says that it is {said!r}", context=key)


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(tuple(part) if isinstance(part, list) else part for part in value)
    return value


def pack_value(  # noqa: PLR0917 - the fields of a header; keywords take time
    task: int, value: bytes, began: float, wall: float, cpu: float, peak_mb: float, attempts: int = 1
) -> bytes:
    """Fast path for a task that returned a value and printed nothing."""
    return _HEAD.pack(task, _VALUE, attempts, began, wall, cpu, peak_mb, 0, len(value)) + value


def pack_outcome(outcome: Outcome) -> bytes:
    """An outcome as bytes."""
    texts: dict[str, Any] = {name: text for name in _TEXTS if (text := getattr(outcome, name))}
    if outcome.displays:
        texts["displays"] = displays.plain(outcome.displays)
    text = json.dumps(texts, separators=(",", ":")).encode() if texts else b""
    head = _HEAD.pack(
        outcome.task,
        _OTHER if outcome.kind is OutcomeKind.OTHER else _KINDS.index(outcome.kind),
        outcome.attempts,
        outcome.began,
        outcome.wall,
        outcome.cpu,
        outcome.peak_mb,
        len(text),
        len(outcome.value),
    )
    return b"".join((head, text, outcome.value))


def pack_origin(origin: Provenance = UNKNOWN) -> bytes:
    """The beginning of each block of a segment, before its outcomes."""
    worker = origin.worker.encode()
    return _ORIGIN.pack(len(worker), origin.slot) + worker


def read_origin(body: memoryview) -> tuple[Provenance, memoryview]:
    """The origin of a segment's block, and its outcomes."""
    try:
        length, slot = _ORIGIN.unpack_from(body)
    except struct.error:
        raise RecordError("a segment is truncated") from None
    end = _ORIGIN.size + length
    return Provenance(str(body[_ORIGIN.size : end], "utf-8"), slot), body[end:]


def read_task(data: bytes | memoryview, at: int = 0) -> int:
    """The task of the packed outcome that begins at ``at``."""
    task: int = _TASK.unpack_from(data, at)[0]
    return task


def read_header(data: bytes | memoryview, at: int = 0) -> Header:
    """The header of the packed outcome that begins at ``at``."""
    try:
        return Header._make(_HEAD.unpack_from(data, at))
    except struct.error:
        raise RecordError("a segment is truncated") from None


def run_in(record: memoryview, origin: Provenance) -> TaskSpan:
    """When and where the task of a packed outcome ran; looks at its header only."""
    head = read_header(record)
    return TaskSpan(head.task, head.began, head.wall, head.failed, origin.worker, origin.slot)


def places_of(data: bytes | memoryview, first: int, count: int) -> array[int]:
    """Where each of the packed outcomes in ``data`` begins, and where the last one ends. Opens none.

    Raises:
        RecordError: they are not those of the tasks ``first`` … ``first + count`` − 1.
    """
    places = array("Q", (0,))
    add = places.append
    for _, _, end in _walk(data, first, count):
        add(end)
    return places


def values_of(data: memoryview, first: int, count: int) -> list[memoryview | None]:
    """The values' bytes of the packed outcomes in ``data``; None for failed tasks.

    Raises:
        RecordError: they are not those of the tasks ``first`` … ``first + count`` − 1.
    """
    return [data[end - value : end] if kind == _VALUE else None for kind, value, end in _walk(data, first, count)]


def _walk(data: bytes | memoryview, first: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Kind, bytes of the value and end of each packed outcome. Builds no Header: this runs a million times."""
    unpack, size, last, at = _SIZES.unpack_from, _SIZES.size, len(data) - _SIZES.size, 0
    for expected in range(first, first + count):
        if at > last:
            raise RecordError("a segment is truncated")
        task, kind, text, value = unpack(data, at)
        if task != expected:
            raise RecordError(f"a segment holds task {task} in the place of task {expected}")
        at += size + text + value
        yield kind, value, at
    if at != len(data):
        raise RecordError("a segment is truncated")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRun:
    """Packed outcomes of consecutive tasks, concatenated as in a segment."""

    first: int
    count: int
    data: bytes | memoryview

    def __len__(self) -> int:
        """Its size in bytes."""
        return len(self.data)

    def part(self, start: int, stop: int) -> PackedRun:
        """The outcomes of the tasks ``start`` … ``stop`` − 1."""
        if (start, stop) == (self.first, self.first + self.count):
            return self
        places = places_of(self.data, self.first, self.count)
        begin, end = places[start - self.first], places[stop - self.first]
        return PackedRun(first=start, count=stop - start, data=self.data[begin:end])


def value_in(record: memoryview) -> memoryview | None:
    """The value's bytes of a packed outcome without building an ``Outcome``; None when the task failed."""
    _, kind, _, _, _, _, _, text, _ = _HEAD.unpack_from(record)
    return record[_HEAD.size + text :] if kind == _VALUE else None


def without_value(data: bytes | memoryview) -> bytes:
    """The beginning of a packed outcome: all of it but the value, which may be large."""
    return bytes(data[: _HEAD.size + read_header(data).text])


def displays_in(record: bytes | memoryview) -> int:
    """How many displays there are in a packed outcome."""
    shown = _said(record, read_header(record)).get("displays")
    return len(shown) if isinstance(shown, list) else 0


def _said(data: bytes | memoryview, header: Header) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(bytes(data[_HEAD.size : _HEAD.size + header.text])) if header.text else {}
    return said


def unpack_outcome(data: bytes | memoryview, origin: Provenance = UNKNOWN, *, shown: bool = True) -> Outcome:
    """One packed outcome, of a block with this origin; its displays only if what it has ``shown`` is asked for."""
    header = read_header(data)
    begin, said = _HEAD.size + header.text, _said(data, header)
    texts = {name: said[name] for name in _TEXTS if name in said}
    if header.kind >= len(_KINDS) and not texts.get("message"):
        texts["message"] = f"it ended in a way that this version does not know ({header.kind})"
    return Outcome(
        task=header.task,
        kind=_KINDS[header.kind] if header.kind < len(_KINDS) else OutcomeKind.OTHER,
        attempts=header.attempts,
        began=header.began,
        worker=origin.worker,
        slot=origin.slot,
        wall=header.wall,
        cpu=header.cpu,
        peak_mb=header.peak_mb,
        value=bytes(data[begin : begin + header.value]),
        displays=displays.restored(said["displays"]) if shown and "displays" in said else (),
        **texts,
    )
