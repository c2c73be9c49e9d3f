"""What typing a magic of another version gets: one line. These magics are in no list, help or completion."""

from __future__ import annotations

import re
from typing import Any

from burst_magic.errors import OptionError

_NAMES = ("quota", "setup", "teardown", "retry", "debug")
_CALL = re.compile(rf"%(burst_(?:{'|'.join(_NAMES)}))\b")


def register(shell: Any) -> None:
    """Looks at cells before IPython does: a registered magic would be listed and completed."""
    unregister(shell)
    shell.input_transformers_cleanup.append(refuse)


def unregister(shell: Any) -> None:
    """Looks no longer."""
    shell.input_transformers_cleanup[:] = [each for each in shell.input_transformers_cleanup if each is not refuse]


def refuse(lines: list[str]) -> list[str]:
    """The lines as they are; raises ``OptionError`` when one calls a magic that is not here."""
    for line in lines:
        called = _CALL.match(line)
        if called:
            raise OptionError(f"%{called[1]}: not in this version", way_out="burst --help lists what is")
    return lines
