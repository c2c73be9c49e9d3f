"""Answer magics of other versions, and verbs of the terminal, with one line. They appear in no list or completion."""

from __future__ import annotations

import re
from typing import Any

from burst_magic.errors import OptionError
from burst_magic.magics.verb_table import VERBS

LATER = ("retry", "debug")
_TERMINAL = {spec.name: spec.command for spec in VERBS if spec.place == "terminal"}
_CALL = re.compile(rf"%burst_({'|'.join([*LATER, *_TERMINAL, 'help'])})\b\s*(?:show\b)?(.*)")


def register(shell: Any) -> None:
    """Inspect cells before IPython runs them: a registered magic would be listed and completed."""
    unregister(shell)
    shell.input_transformers_cleanup.append(refuse)


def unregister(shell: Any) -> None:
    """Stop inspecting cells."""
    shell.input_transformers_cleanup[:] = [each for each in shell.input_transformers_cleanup if each is not refuse]


def refuse(lines: list[str]) -> list[str]:
    """Return the lines unchanged; raise ``OptionError`` if one calls a magic that there is not."""
    for line in lines:
        called = _CALL.match(line)
        if called and called[1] in LATER:
            raise OptionError(f"%burst_{called[1]}: not in this version", way_out="see burst --help")
        if called and called[1] == "help":
            raise OptionError("%burst_help: each magic has its own", way_out="%%burst --help, %burst_status --help …")
        if called:
            typed = f"!{_TERMINAL[called[1]]} {called[2].strip()}".strip()
            raise OptionError(f"%burst_{called[1]}: this verb is for a terminal", way_out=typed)
    return lines


# At Return in a terminal, IPython asks such functions whether a cell is complete, and survives only a SyntaxError.
refuse.has_side_effects = True  # type: ignore[attr-defined]
