"""Object stores: ``open_store(url)`` opens one, with a few operations on keys.

A new kind of store is a module here and a line in ``TABLE``. obstore is imported when a store is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from burst_magic.errors import StoreError
from burst_magic.stores.base import Bytes, Entry, Store

__all__ = ["TABLE", "Bytes", "Entry", "Store", "open_store"]

# scheme -> (module, the function that opens it)
TABLE: Mapping[str, tuple[str, str]] = {
    "file": ("burst_magic.stores.folder", "open_folder"),
    "memory": ("burst_magic.stores.memory", "open_memory"),
    "s3": ("burst_magic.stores.s3", "open_s3"),
}


def open_store(url: str, *, credentials: Callable[[], object] | None = None, there: bool = False) -> Store:
    """Opens a store.

    Args:
        url: ``file:///dir`` (its first write creates it), ``memory://name`` (shared in this process) or ``s3://bucket/prefix``.
        credentials: an obstore credential provider for S3; None uses the environment.
        there: it is known to exist: a folder that is missing is away for a while, and is not created.

    Raises:
        StoreError: not a store URL.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in TABLE:
        ways = "file:///dir, memory://name or s3://bucket/prefix"
        raise StoreError("not a store URL", context=repr(url), way_out=ways)
    module, name = TABLE[scheme]
    return cast("Store", getattr(import_module(module), name)(url, credentials=credentials, there=there))
