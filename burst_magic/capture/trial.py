"""Load captured values once here, as a worker will, and refuse what a worker cannot load before anything starts.

A value whose loading needs another captured value (a ``__reduce__`` or a ``__hash__`` that reads globals) must come
after it. Where the code doesn't reveal this, the first load does: values that fail are packed again after the others.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic.capture.closure import pack_names, refusal, used_by
from burst_magic.dataclass import dataclass
from burst_magic.payload import unpack_value
from burst_magic.payload.culprit import find_culprit, first_line
from burst_magic.payload.pack import pack_part
from burst_magic.payload.unpack import Namespace, load_into

if TYPE_CHECKING:
    from burst_magic.capture.cell import Capture
    from burst_magic.errors import CaptureError
    from burst_magic.payload import Packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The outcome of a load.

    Attributes:
        seconds: how long it took.
        found: the loaded names.
        error: the exception that ended it.
    """

    seconds: float
    found: Namespace
    error: Exception | None = None


def load(packed: Packed) -> Loaded:
    """Loads captured values into a throwaway namespace."""
    found = Namespace()
    error: Exception | None = None
    # Buffers are views of the notebook's arrays, and a ``__setstate__`` may change them in place.
    buffers = [bytearray(view) for view in packed.buffers] if packed.runs_code else packed.buffers
    start = time.perf_counter()
    try:
        load_into(found, packed.stream, buffers, home={"__name__": "__main__"})
    except Exception as raised:  # noqa: BLE001 - loading runs the user's code
        error = raised
    return Loaded(seconds=time.perf_counter() - start, found=found, error=error)


def settle(capture: Capture) -> tuple[Capture, float]:
    """Reorder the capture so that it can be loaded; also return the seconds that loading takes.

    Raises:
        CaptureError: a value cannot be loaded; names it, the path inside it, and its user.
    """
    tried: set[tuple[str, ...]] = set()
    last: tuple[str, ...] = ()
    while (loaded := load(capture.packed)).error is not None:
        names = capture.packed.names
        failed = names[len(loaded.found) :][:1]
        last = (*(name for name in last if name not in failed), *failed)
        if failed == names[len(names) - 1 :] or not failed or last in tried:
            raise _refusal(capture, loaded, *failed) from loaded.error
        tried.add(last)
        packed, _ = pack_names(
            capture.reads,
            capture.home,
            words=capture.packed.words,
            unsure=capture.unsure,
            last=last,
            parts=capture.needs.parts,
        )
        capture = replace(capture, packed=packed)
    return capture, loaded.seconds


def _refusal(capture: Capture, loaded: Loaded, name: str = "") -> CaptureError:
    def fails(part: object) -> Exception | None:
        data = pack_part(part, capture.home)
        try:
            unpack_value(data, home=dict(loaded.found))
        except Exception as error:  # noqa: BLE001 - the user's code
            return error
        return None

    if not name:  # all values exist, but a state still cannot be set
        name = next((one for one in capture.packed.names if fails(capture.home[one])), capture.packed.names[-1])
    assert loaded.error is not None, "it was refused for that"  # noqa: S101
    path, error = find_culprit(name, capture.home[name], loaded.error, fails)
    reason = f"cannot be loaded on a worker: {type(error).__name__}: {first_line(error)}"
    return refusal(path, reason, used_by(name, capture.reads, capture.packed.why))
