"""Completion in IPython (8.12 and newer).

The terminal, ``shell.complete`` and a kernel's ``complete_request`` all use this matcher. Importing this is cheap; the
table of options loads at the first Tab.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

IDENTIFIER = "burst_magic"


def register(shell: InteractiveShell) -> None:
    """Add the matcher to the shell's completer, once."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    def propose(context: CompletionContext) -> dict[str, object]:
        from burst_magic.magics.offer import offer

        line, first = context.text_until_cursor, context.cursor_line == 0
        made = offer(line, ids=_user_ids, names=shell.Completer.global_matches, first=first)
        words = made.words if made else ()
        return {
            "completions": [SimpleCompletion(text=word, type="magic") for word in words],
            "suppress": bool(words),
            "ordered": True,
            "matched_fragment": made.fragment if made else context.token,
        }

    unregister(shell)
    shell.Completer.custom_matchers.append(context_matcher(identifier=IDENTIFIER)(propose))


def unregister(shell: InteractiveShell) -> None:
    """Remove the matcher, for ``%unload_ext``."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != IDENTIFIER]


def _user_ids() -> list[str]:
    """Read the list at each Tab: another kernel may have started a session."""
    from burst_magic import config

    _, data = config.directories(config.environment())
    return session_ids(data / config.SESSIONS)


def session_ids(path: Path) -> list[str]:
    """Ids and names in the user's session list, newest first."""
    from burst_magic.session import session_list

    lines = reversed(session_list.read(path))
    return list(dict.fromkeys(word for line in lines for word in (line.id, line.name) if word))
