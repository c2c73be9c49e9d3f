"""Make IPython show errors of tasks and of burst_magic in their own words, even where it wouldn't ask them.

IPython lets exceptions render themselves (``_render_traceback_``), except SyntaxErrors and exceptions below an
exception group: for these it would show burst_magic's frames.
"""

from __future__ import annotations

from typing import Any

from burst_magic.errors import BurstError

_KINDS = (Exception,)
_OURS = __name__.partition(".")[0]


def register(shell: Any) -> None:
    """Set IPython's handler for custom exceptions, unless another extension did."""
    if not shell.custom_exceptions:
        shell.set_custom_exc(_KINDS, _show)


def unregister(shell: Any) -> None:
    """Remove the handler."""
    if shell.custom_exceptions is _KINDS:
        shell.set_custom_exc((), None)


def _show(shell: Any, kind: type[Exception], error: Exception, trace: object, *, tb_offset: object = None) -> None:  # noqa: ARG001 - IPython's
    story = _story(error)
    if story is None:
        shell.showtraceback(running_compiled_code=True)
    else:
        shell._showtraceback(kind, error, story)  # noqa: SLF001 - what IPython itself calls then


def _story(error: Exception) -> list[str] | None:
    """The text of an error of a task or of burst_magic; None for any other error."""
    shown: Any = object.__getattribute__(error, "__dict__").get("_render_traceback_")
    if shown is not None and type(shown).__module__.partition(".")[0] == _OURS:
        return list(shown())
    return error._render_traceback_() if isinstance(error, BurstError) else None
