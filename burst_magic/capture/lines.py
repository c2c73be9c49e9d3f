"""Rewrite ``%`` and ``!`` lines: IPython turns them into calls of ``get_ipython()``, which workers don't have.

``!`` lines become shell commands of the task. A few magics work in a task, display magics are dropped, and all others
are refused with their line.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Callable
from typing import Any, TypeGuard

from burst_magic.dataclass import dataclass
from burst_magic.errors import CaptureError

_SHELL = 'getattr(__import__("burst_magic.payload.shell", fromlist=["*"]), "{}")({})'
_DISPLAY = frozenset({"matplotlib", "config", "load_ext", "reload_ext", "autoreload", "aimport", "precision", "pdb",
                      "xmode", "colors", "pprint", "autocall", "automagic"})  # fmt: skip
_DOLLAR = re.compile(r"\$(\$?[A-Za-z_][\w.]*)(?=(?:[^']*'[^']*')*[^']*$)")  # IPython's rule: not inside single quotes
_FEATURES = {"system": "run", "getoutput": "lines"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """The cell without ``get_ipython()``, line by line; `notes` report dropped magics."""

    source: str
    notes: tuple[str, ...] = ()


def rewrite(tree: ast.Module, source: str, known: Callable[[str], bool]) -> Rewritten:
    """Replace the calls that IPython generated for ``%`` and ``!`` lines.

    Args:
        tree: the parsed source.
        source: after `shell.transform_cell`.
        known: tells whether a name exists; otherwise ``$HOME`` is left to the shell.

    Raises:
        CaptureError: a magic that cannot run on a worker.
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
        raise _refused(f"%%{words[0]}", node.lineno, "the rest of a %%burst cell must be Python; remove this line")
    raise _refused(f"get_ipython().{method}", node.lineno, "workers don't run IPython")


def _magic(name: str, rest: str, line: int, notes: list[str], *, is_statement: bool) -> str:
    if name in _DISPLAY:
        notes.append(f"%{name} in line {line} has no effect on a worker and is ignored")
        return "pass" if is_statement else "None"
    if name == "time" and is_statement and rest:
        return rest
    if name == "cd" and rest and not set(rest) & set("{$~"):
        return f'__import__("os").chdir({rest!r})'
    variable, sign, value = rest.replace(" ", "=", 1).partition("=") if "=" not in rest else rest.partition("=")
    if name in {"env", "set_env"} and sign and not set(value) & set("{$"):
        return f'__import__("os").environ.__setitem__({variable.strip()!r}, {value.strip()!r})'
    if name in {"pip", "conda", "mamba", "uv"}:
        raise _refused(f"%{name}", line, "install it in the notebook; workers use the notebook's environment")
    raise _refused(f"%{name}", line, "move it to a cell above this one")


def _refused(what: str, line: int, way_out: str) -> CaptureError:
    return CaptureError(f"{what} cannot run on a worker (line {line})", way_out=way_out)


def _parts(command: str, known: Callable[[str], bool]) -> list[str]:
    """The command as expressions to join; as in IPython, one unknown ``{name}`` leaves all of it unchanged."""
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
