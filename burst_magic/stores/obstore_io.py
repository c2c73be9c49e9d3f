"""Writing and listing over obstore: what memory, folder and S3 have in common. Opens nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from burst_magic.stores.base import Bytes, Entry, folder_of
from burst_magic.stores.faults import fault

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

PART = 8 << 20  # bytes of one part of an upload: S3 allows 10 000 parts, so one object may have 80 GB
PARTS_AT_A_TIME = 4
_PAGE = 1000


def plain(data: Bytes) -> Bytes:
    """The same bytes in a shape that obstore takes without a copy: flat, of unsigned bytes.

    Anything else is a TypeError: obstore would take a text for the path of a file and upload that.
    """
    if isinstance(data, (bytes, bytearray)):
        return data
    view = memoryview(data)
    return view.cast("B") if view.nbytes else b""


def write(store: ObjectStore, key: str, data: Bytes, *, create: bool) -> None:
    """Writes one object with one request; raises obstore's own errors."""
    store.put(key, plain(data), mode="create" if create else "overwrite", use_multipart=False)


def write_parts(store: ObjectStore, key: str, data: Bytes) -> None:
    """Writes one large object in parts, some at a time."""
    store.put(key, plain(data), use_multipart=True, chunk_size=PART, max_concurrency=PARTS_AT_A_TIME)


def listed(store: ObjectStore, prefix: str, after: str, limit: int | None) -> list[Entry]:
    """Objects of a store that lists in order, page by page and no page more than asked for."""
    folder = folder_of(prefix)
    size = _PAGE if limit is None else max(1, min(limit, _PAGE))
    entries: list[Entry] = []
    try:
        for page in store.list(folder.rstrip("/") or None, offset=after or None, chunk_size=size):
            entries += [_entry(meta) for meta in page if meta["path"] > after and meta["path"].startswith(folder)]
            if limit is not None and len(entries) >= limit:
                break
    except Exception as error:
        raise fault(error, prefix) from None
    entries.sort(key=lambda entry: entry.key)
    return entries[:limit]


def folders(store: ObjectStore, prefix: str) -> list[str]:
    """Names of the folders directly below another; all pages are read."""
    folder = folder_of(prefix)
    try:
        found = store.list_with_delimiter(folder.rstrip("/") or None)["common_prefixes"]
    except Exception as error:
        raise fault(error, prefix) from None
    return sorted(each.rstrip("/").rpartition("/")[2] for each in found)


def _entry(meta: ObjectMeta) -> Entry:
    return Entry(key=meta["path"], size=meta["size"], modified=meta["last_modified"].timestamp())


def read(store: ObjectStore, key: str, start: int, end: int | None) -> bytes:
    """A range of one object with one request; raises obstore's own errors."""
    if not start and end is None:
        return store.get(key).bytes().to_bytes()
    if end is None:
        return store.get(key, options={"range": {"offset": start}}).bytes().to_bytes()
    if end <= start:
        return b""
    return store.get_range(key, start=start, end=end).to_bytes()


def read_large(store: ObjectStore, key: str, start: int, *, large: int) -> bytes:
    """All bytes from ``start`` on; a large object in parts, some at a time.

    The parts of an object that is replaced meanwhile may not fit together: what is large is never replaced.
    """
    found = store.get(key, options={"range": {"offset": start}} if start else None)
    first, stop = found.range
    if stop - first < large:
        return found.bytes().to_bytes()
    del found
    from concurrent.futures import ThreadPoolExecutor  # obstore's own get_ranges joins neighbours to one request

    def part(at: int) -> memoryview:
        return memoryview(store.get_range(key, start=at, end=min(at + PART, stop)))

    with ThreadPoolExecutor(PARTS_AT_A_TIME) as pool:
        return b"".join(pool.map(part, range(first, stop, PART)))
