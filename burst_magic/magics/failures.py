"""How IPython shows errors of tasks, and ours: as they say themselves, also where it would not ask them.

IPython asks an exception how it wants to be shown (``_render_traceback_``), but no SyntaxError, and none that has an
exception group above it: of these it would show our frames.
"""

from __future__ import annotations

from typing import Any

from burst_magic.errors import BurstError

_KINDS = (Exception,)
_OURS = __name__.partition(".")[0]


def register(shell: Any) -> None:
    """Takes IPython's place for custom exceptions, unless somebody else has it."""
    if not shell.custom_exceptions:
        shell.set_custom_exc(_KINDS, _show)


def unregister(shell: Any) -> None:
    """Gives it back."""
    if shell.custom_exceptions is _KINDS:
        shell.set_custom_exc((), None)


def _show(shell: Any, kind: type[Exception], error: Exception, trace: object, *, tb_offset: object = None) -> None:  # noqa: ARG001 - IPython's
    story = _story(error)
    if story is None:
        shell.showtraceback(running_compiled_code=True)
    else:
        shell._showtraceback(kind, error, story)  # noqa: SLF001 - what IPython itself calls then


def _story(error: Exception) -> list[str] | None:
    """What an error of a task or of ours says of itself; None: it is another's."""
    shown: Any = object.__getattribute__(error, "__dict__").get("_render_traceback_")
    if shown is not None and type(shown).__module__.partition(".")[0] == _OURS:
        return list(shown())
    return error._render_traceback_() if isinstance(error, BurstError) else None
