"""The key of ``--key``: from a file, a pipe or a question. What is typed on a line stays in notebooks and histories."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from burst_magic.errors import OptionError
from burst_magic.magics.desk import DESK

_ASKED = "-"


def typed_key(text: str) -> str:
    """The key that ``--key`` means.

    Args:
        text: as typed: "-", the path of a file, or the key itself.

    Raises:
        OptionError: nobody can be asked, or the file cannot be read.
    """
    try:
        found = _asked() if text == _ASKED else Path(text).expanduser().read_text() if _is_path(text) else text
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise OptionError(f"--key {text}: {reason}", way_out="--key - asks for the key") from None
    if not found.strip():
        raise OptionError(f"--key {text}: no key was given", way_out="burst key show ID prints it")
    return found.strip()


def _is_path(text: str) -> bool:
    """A key is hexadecimal digits: whatever holds anything else, or is there, is a file."""
    return not all(digit in "0123456789abcdefABCDEF" for digit in text) or Path(text).is_file()


def _asked() -> str:
    if DESK.shell is None and sys.stdin is not None and not sys.stdin.isatty():
        return sys.stdin.readline()
    try:
        return getpass.getpass("The session's key: ")
    except Exception as error:  # noqa: BLE001 - a kernel whose frontend takes no input has an exception of its own
        raise OptionError(f"--key -: nobody can be asked here ({error})", way_out="--key FILE") from None
