"""The signed content of a job's ``payload`` object: a JSON header and the pickled stream."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.errors import RecordError

_MAGIC = b"BURST-P1"
_LENGTH = struct.Struct(">I")


def running_python() -> str:
    """Major and minor version: code objects are not portable between versions."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A cell with its dependencies.

    Attributes:
        source: Python, compiled on the worker under `filename`.
        target: what ``--map`` binds: "item", "x", "i, row"; "" when the cell runs once.
        has_value: the last statement is an expression, whose value is the task's.
        names: names that the stream loads.
        modules: (name, version) of modules that must be importable; version "" when unknown.
        bundle: sha256 of the zip of local sources, or "".
        blobs: (sha256, bytes) of each out-of-band buffer, in order.
        sources: (file name, text) of other cells whose functions are sent, for tracebacks.
        settings: process-wide settings of the notebook (``payload.settings``), as plain data.
        folder: where its tasks run, if the machine has it; "": where the worker was started.
    """

    source: str
    stream: bytes
    filename: str = "<cell>"
    target: str = ""
    has_value: bool = False
    names: tuple[str, ...] = ()
    modules: tuple[tuple[str, str], ...] = ()
    bundle: str = ""
    blobs: tuple[tuple[str, int], ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    python: str = ""
    folder: str = ""

    def to_bytes(self) -> bytes:
        """Serialize header and stream; the caller signs them."""
        header = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "stream"}
        header["python"] = self.python or running_python()
        text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
        return b"".join((_MAGIC, _LENGTH.pack(len(text)), text, self.stream))

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """The inverse of `to_bytes`.

        Raises:
            RecordError: this version cannot read the envelope.
        """
        start = len(_MAGIC) + _LENGTH.size
        if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
            raise RecordError(
                "this version cannot read the payload", way_out="use the same burst_magic version on both sides"
            )
        end = start + _LENGTH.unpack_from(data, len(_MAGIC))[0]
        try:
            header = json.loads(data[start:end])
            for name in ("modules", "blobs", "sources"):
                header[name] = tuple(tuple(pair) for pair in header[name])
            header["names"] = tuple(header["names"])
            return cls(stream=bytes(data[end:]), **header)
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError("the header of the payload cannot be read", context=str(error)) from error
