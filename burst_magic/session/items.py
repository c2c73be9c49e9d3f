"""Read the items of a job back from the store, as far as they can be loaded here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from burst_magic.payload import unpack_value
from burst_magic.protocol.wire import blocks

if TYPE_CHECKING:
    from burst_magic.stores.store_driver import Carrier


def read_items(
    carrier: Carrier, key: str, index: tuple[int, int], secret: bytes, home: dict[str, object]
) -> Iterator[object]:
    """Each item in order, one block of them at a time; None for one that cannot be loaded here.

    An item that is a part of a captured value was sent as its number: only workers have the value that it counts in.

    Args:
        carrier: reads the store.
        key: of the job's items.
        index: (offset, length) of their index, from the job's record.
        secret: the session's key.
        home: the notebook's namespace, whose classes items are instances of.

    Raises:
        StoreError: they cannot be read.
        SignatureError: they are not what was sent.
    """
    offset, length = index
    for block in blocks.read_index(secret, key, carrier.fetch(key, start=offset, end=offset + length)):
        data = carrier.fetch(key, start=block.offset, end=block.offset + block.length)
        entries = blocks.read_entries(block, blocks.open_block(secret, key, block, data))
        at = 0
        for size in entries.lengths:
            yield _loaded(entries.data[at : at + size], home)
            at += size


def _loaded(data: memoryview, home: dict[str, object]) -> object:
    try:
        return unpack_value(data, home=home)
    except Exception:  # noqa: BLE001 - loading runs the classes' own code, and theirs may be missing here
        return None
