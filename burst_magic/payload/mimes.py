"""The representations of an object by mime type, as notebooks ask for them. Without IPython: a worker may lack it."""

from __future__ import annotations

import sys
from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any

_METHODS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "text/latex": "_repr_latex_",
    "application/json": "_repr_json_",
}
_CANARY = "_ipython_canary_method_should_not_exist_"  # as in IPython: an object that has it claims to have everything

Bundle = tuple[dict[str, Any], dict[str, Any]]  # data and metadata, by mime type


def bundle_of(shown: object) -> Bundle:
    """An object's representations, "text/plain" always. One that fails is left out."""
    data: dict[str, Any] = {"text/plain": _plain(shown)}
    metadata: dict[str, Any] = {}
    if isinstance(shown, type) or _has(shown, _CANARY):
        return data, metadata
    whole, more = _pair(_asked(shown, "_repr_mimebundle_", include=None, exclude=None))
    if isinstance(whole, Mapping):
        data.update({mime: _text(value) for mime, value in whole.items()})
        metadata.update(more)
    for mime, name in _METHODS.items():
        if mime not in data:
            value, more = _pair(_asked(shown, name))
            if value is not None:
                data[mime] = _text(value)
                if more:
                    metadata[mime] = more
    picture = _figure(shown)
    if picture is not None:
        data["image/png"] = _text(picture)
    return data, metadata


def _plain(shown: object) -> str:
    try:
        return repr(shown)
    except Exception as error:  # noqa: BLE001 - user code; IPython goes on, too
        return f"<{type(shown).__name__}, whose repr raised {type(error).__name__}>"


def _has(shown: object, name: str) -> bool:
    try:
        return getattr(shown, name, None) is not None
    except Exception:  # noqa: BLE001 - user code
        return True


def _asked(shown: object, name: str, **options: object) -> object:
    try:
        method = getattr(shown, name, None)
        return method(**options) if callable(method) else None
    except Exception:  # noqa: BLE001 - user code; there are other representations
        return None


def _pair(said: object) -> tuple[Any, dict[str, Any]]:
    """A value and its metadata: methods return either the value or both."""
    if isinstance(said, tuple) and len(said) == 2:
        return said[0], said[1] if isinstance(said[1], dict) else {}
    return said, {}


def _text(value: object) -> object:
    return b2a_base64(value, newline=False).decode() if isinstance(value, bytes) else value


def _figure(shown: object) -> bytes | None:
    """A figure of matplotlib as PNG, cut out as a notebook shows it."""
    kind = getattr(sys.modules.get("matplotlib.figure"), "Figure", None)
    if kind is None or not isinstance(shown, kind):
        return None
    import io

    picture = io.BytesIO()
    figure: Any = shown
    try:
        figure.savefig(picture, format="png", bbox_inches="tight", dpi=figure.dpi)
    except Exception:  # noqa: BLE001 - its artists are user code
        return None
    return picture.getvalue()
