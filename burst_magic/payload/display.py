"""IPython's display functions on a worker, where there is no IPython kernel.

They write the plain text of what is shown to the task's output, and collect all its representations for whoever reads
the task's outcome.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Mapping
from typing import Any

from burst_magic.payload.mimes import bundle_of
from burst_magic.protocol.wire.displays import PLAIN, DisplayList

SHOWN = DisplayList()  # by the task that this process runs


class DisplayHandle:
    """The result of ``display(x, display_id=True)``.

    Args:
        display_id: of what is updated; a new one by default.
    """

    def __init__(self, display_id: str | None = None) -> None:
        self.display_id = display_id or SHOWN.new_id()

    def display(self, obj: object, **options: Any) -> None:
        """Show an object."""
        display(obj, display_id=self.display_id, **options)

    def update(self, obj: object, **options: Any) -> None:
        """Show an object in place of what was shown before; its text is printed below that."""
        update_display(obj, display_id=self.display_id, **options)


def display(
    *objects: object,
    include: Container[str] | None = None,
    exclude: Container[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    display_id: object = None,
    raw: bool = False,
    clear: bool = False,
    update: bool = False,
    **_: object,
) -> DisplayHandle | None:
    """Show objects.

    Args:
        *objects: objects to show.
        include: mime types to show; plain text always is.
        exclude: mime types not to show.
        metadata: of the representations.
        display_id: as in IPython; returns a handle.
        raw: the objects are bundles already: their data by mime type.
        clear: drop what was shown before.
        update: replace what was shown under this id.
    """
    handle = None if display_id is None else DisplayHandle(display_id if isinstance(display_id, str) else None)
    if clear:
        clear_output(wait=True)
    for shown in objects:
        if not raw and _shows_itself(shown):
            continue
        data, told = (shown, {}) if raw and isinstance(shown, Mapping) else bundle_of(shown)
        wanted = {
            mime: value
            for mime, value in data.items()
            if (include is None or mime in include or mime == PLAIN) and (exclude is None or mime not in exclude)
        }
        ident = "" if handle is None else handle.display_id
        publish_display_data(wanted, {**told, **(metadata or {})}, transient={"display_id": ident}, update=update)
    return handle


def update_display(obj: object, *, display_id: str, **options: Any) -> None:
    """Show an object in place of what was shown under this id."""
    display(obj, display_id=display_id, update=True, **options)


def publish_display_data(
    data: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    *,
    transient: Mapping[str, Any] | None = None,
    update: bool = False,
    **_: object,
) -> None:
    """Show a bundle: representations by mime type."""
    text = data.get(PLAIN)
    if isinstance(text, str):
        print(text)  # noqa: T201 - this is what it is for
    ident = str((transient or {}).get("display_id") or "")
    if update:
        SHOWN.update(data, metadata, ident=ident)
    else:
        SHOWN.add(data, metadata, ident=ident)


def clear_output(wait: bool = False) -> None:  # noqa: FBT001, FBT002 - IPython's signature
    """Drop what was shown, now or when the next object is shown. Of what was printed, only an unfinished line goes."""
    SHOWN.clear(wait=wait)
    sys.stdout.write("\x1b[2K\r")


def _shows_itself(shown: object) -> bool:
    try:
        method = None if isinstance(shown, type) else getattr(shown, "_ipython_display_", None)
        if not callable(method) or hasattr(shown, "_ipython_canary_method_should_not_exist_"):
            return False
        method()
    except Exception:  # noqa: BLE001 - user code; as in IPython, it has other representations
        return False
    return True


FUNCTIONS: dict[str, Any] = {
    each.__name__: each for each in (display, update_display, publish_display_data, clear_output, DisplayHandle)
}
