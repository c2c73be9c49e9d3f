"""A job in a notebook file: the frame as it is, as HTML for viewers without our view, and as words. Pure."""

from __future__ import annotations

from typing import Any

from burst_magic.errors import visible
from burst_magic.ui import html, text
from burst_magic.ui.frame import MIME, Frame, plain


def bundle(frame: Frame | None) -> dict[str, Any]:
    """What an output holds of a frame, by mime type."""
    if frame is None:
        return {}
    return {MIME: plain(frame), "text/html": html.panel_html(frame), "text/plain": visible(text.frame_text(frame))}
