"""``%`` and ``!`` lines: IPython has made calls of ``get_ipython()`` of them, which no worker has.

``!`` lines become shell commands of the task; a few magics have a meaning in a task, a few only concern the display
and are dropped; all others are refused with their line.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard

from burst_magic.errors import CaptureError

_SHELL = 'getattr(__import__("burst_magic.payload.shell", fromlist=["*"]), "{}")({})'
_DISPLAY = frozenset({"matplotlib", "config", "load_ext", "reload_ext", "autoreload", "aimport", "precision", "pdb",
                      "xmode", "colors", "pprint", "autocall", "automagic"})  # fmt: skip
_DOLLAR = re.compile(r"\$(\$?[A-Za-z_][\w.]*)(?=(?:[^']*'[^']*')*[^']*$)")  # IPython's rule: not inside single quotes
_FEATURES = {"system": "run", "getoutput": "lines"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """The cell without ``get_ipython()``, line for line; `notes` say what was dropped."""

    source: str
    notes: tuple[str, ...] = ()


def rewrite(tree: ast.Module, source: str, known: Callable[[str], bool]) -> Rewritten:
    """Replace what IPython made of ``%`` and ``!`` lines.

    Args:
        tree: the parsed source.
        source: after `shell.transform_cell`.
        known: whether a name exists; ``$HOME`` is the shell's unless it does.

    Raises:
        CaptureError: a magic that means nothing on a worker.
    """
    rows = source.split("\n")
    notes: list[str] = []
    statements = {id(node.value): node for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    calls = [node for node in ast.walk(tree) if _is_shell_call(node)]
    for node in sorted(calls, key=lambda call: (call.lineno, call.col_offset), reverse=True):
        text = _replacement(node, known, notes, is_statement=id(node) in statements)
        row = rows[node.lineno - 1].encode()  # columns count bytes
        rows[node.lineno - 1] = (row[: node.col_offset] + text.encode() + row[node.end_col_offset :]).decode()
    return Rewritten(source="\n".join(rows), notes=tuple(reversed(notes)))


def _is_shell_call(node: ast.AST) -> TypeGuard[ast.Call]:
    """``get_ipython().method("text", ...)`` on one line, as `transform_cell` writes it."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Call)
        and isinstance(node.func.value.func, ast.Name)
        and node.func.value.func.id == "get_ipython"
        and all(isinstance(part, ast.Constant) for part in node.args)
    )


def _replacement(node: Any, known: Callable[[str], bool], notes: list[str], *, is_statement: bool) -> str:
    method = node.func.attr
    words = [part.value for part in node.args]
    if method in _FEATURES:
        return _SHELL.format(_FEATURES[method], ", ".join(_parts(words[0], known)))
    if method == "run_line_magic":
        return _magic(words[0], words[1].strip(), node.lineno, notes, is_statement=is_statement)
    if method == "run_cell_magic":
        raise _refused(f"%%{words[0]}", node.lineno, "the rest of a %%burst cell is Python; drop this line")
    raise _refused(f"get_ipython().{method}", node.lineno, "there is no IPython on a worker")


def _magic(name: str, rest: str, line: int, notes: list[str], *, is_statement: bool) -> str:
    if name in _DISPLAY:
        notes.append(f"%{name} in line {line} has no meaning on a worker and is left out")
        return "pass" if is_statement else "None"
    if name == "time" and is_statement and rest:
        return rest
    if name == "cd" and rest and not set(rest) & set("{$~"):
        return f'__import__("os").chdir({rest!r})'
    variable, sign, value = rest.replace(" ", "=", 1).partition("=") if "=" not in rest else rest.partition("=")
    if name in {"env", "set_env"} and sign and not set(value) & set("{$"):
        return f'__import__("os").environ.__setitem__({variable.strip()!r}, {value.strip()!r})'
    if name in {"pip", "conda", "mamba", "uv"}:
        raise _refused(f"%{name}", line, "install it in the notebook; workers get the notebook's environment")
    raise _refused(f"%{name}", line, "put it into a cell of its own, above this one")


def _refused(what: str, line: int, way_out: str) -> CaptureError:
    return CaptureError(f"{what} cannot run on a worker (line {line})", way_out=way_out)


def _parts(command: str, known: Callable[[str], bool]) -> list[str]:
    """The command as expressions to be joined; as in IPython, one unknown ``{name}`` leaves all of it as it is."""
    try:
        fields = list(string.Formatter().parse(command))
        trees = [ast.parse(text.strip(), mode="eval") for _, text, _, _ in fields if text is not None]
    except (ValueError, SyntaxError):
        return [repr(command)]
    mentioned = {part.id for tree in trees for part in ast.walk(tree) if isinstance(part, ast.Name)}
    if not all(known(name) for name in mentioned) or any(spec or conversion for _, _, spec, conversion in fields):
        return [repr(command)]
    parts: list[str] = []
    for literal, text, _, _ in fields:
        parts.extend(_dollars(literal, known))
        if text is not None:
            parts.append(ast.unparse(ast.parse(text.strip(), mode="eval")))
    return parts or ["''"]


def _dollars(text: str, known: Callable[[str], bool]) -> list[str]:
    parts, end = [], 0
    for match in _DOLLAR.finditer(text):
        name = match[1]
        if name.startswith("$"):
            parts.append(repr(text[end : match.start()] + name))
        elif known(name.partition(".")[0]):
            parts.extend((repr(text[end : match.start()]), name.rstrip(".")))
        else:
            continue
        end = match.end()
    return [*parts, repr(text[end:])] if text[end:] else parts
