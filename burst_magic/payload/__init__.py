"""The payload: a notebook's values as bytes, and back. Imported by the client and by the worker.

    pack / unpack               a namespace, in one stream with separate large buffers
    pack_value / unpack_value   one item or one result
    pack_error                  an exception of a task, with the exceptions it was raised from
    Envelope                    the content of a job's ``payload`` object: a header and the stream

Design: docs/decisions/0003-capture.md.
"""

from burst_magic.payload.envelope import Envelope
from burst_magic.payload.notes import OUT_OF_BAND
from burst_magic.payload.pack import Packed, pack, pack_error, pack_value
from burst_magic.payload.unpack import unpack, unpack_value

__all__ = ["OUT_OF_BAND", "Envelope", "Packed", "pack", "pack_error", "pack_value", "unpack", "unpack_value"]
