"""Answer magics of other versions with one line. They appear in no list, help or completion."""

from __future__ import annotations

import re
from typing import Any

from burst_magic.errors import OptionError

_NAMES = ("retry", "debug")
_CALL = re.compile(rf"%(burst_(?:{'|'.join(_NAMES)}))\b")


def register(shell: Any) -> None:
    """Inspect cells before IPython runs them: a registered magic would be listed and completed."""
    unregister(shell)
    shell.input_transformers_cleanup.append(refuse)


def unregister(shell: Any) -> None:
    """Stop inspecting cells."""
    shell.input_transformers_cleanup[:] = [each for each in shell.input_transformers_cleanup if each is not refuse]


def refuse(lines: list[str]) -> list[str]:
    """Return the lines unchanged; raise ``OptionError`` if one calls a magic that this version lacks."""
    for line in lines:
        called = _CALL.match(line)
        if called:
            raise OptionError(f"%{called[1]}: not in this version", way_out="see burst --help")
    return lines
