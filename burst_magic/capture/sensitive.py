"""Find captured values that look like secrets. Reports where they are, never their content."""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Iterator
from itertools import islice
from typing import Any

from burst_magic.payload.culprit import attributes_of

_NAME = re.compile(
    r"(?:^|_|\b)(?:password|passwd|passphrase|secret|token|api_?key|apikey|access_?key|private_?key|authorization|"
    r"credential)s?(?:$|_(?:key|id|value|str|text)\b|\b)",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS access keys
    r"|\b(?:ghp|gho|ghs|ghu)_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}|\bglpat-[\w-]{18,}"  # GitHub, GitLab
    r"|\bxox[abprs]-[\w-]{10,}|\bsk-[\w-]{20,}|\bAIza[\w-]{30,}|\bhf_[A-Za-z0-9]{30,}"  # Slack, model APIs, Google
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"  # JSON web tokens
    r"|://[^\s/:@]+:[^\s/:@]{3,}@"  # user:password@host
)
_SHORTEST = 8  # a shorter named secret is a placeholder
_NODES = 2000
_DEPTH = 5


def find_secret(name: str, value: object) -> str:
    """The path of the first thing that looks like a secret under this name, or ""."""
    budget = _NODES
    queue: list[tuple[str, str, Any, int]] = [(name, name, value, 0)]
    for path, key, part, depth in queue:  # grows during the loop
        budget -= 1
        if budget < 0:
            break
        if _is_secret(key, part):
            return path
        if depth < _DEPTH and not isinstance(part, (str, bytes)):
            queue.extend((path + step, word, child, depth + 1) for step, word, child in _parts(part))
            del queue[_NODES:]
    return ""


def secret_lines(tree: ast.AST) -> list[int]:
    """Lines of the cell's text that contain what looks like a secret."""
    lines = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.Constant) and _is_secret("", node.value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [getattr(target, "id", getattr(target, "attr", "")) for target in node.targets]
            if any(_is_secret(name, node.value.value) for name in names):
                lines.add(node.lineno)
    return sorted(lines)


def _is_secret(key: str, value: Any) -> bool:
    kind = type(value)  # a wrapper may impersonate the wrapped object
    if issubclass(kind, bytes):
        value = bytes.__getitem__(value, slice(10_000)).decode("latin-1")
    elif issubclass(kind, str):
        value = str.__str__(value)
    if type(value) is not str:
        return False
    if _VALUE.search(value[:10_000]):
        return True
    return len(value) >= _SHORTEST and not re.search(r"\s", value.strip()) and bool(_NAME.search(key))


def _parts(value: Any) -> Iterator[tuple[str, str, object]]:
    if isinstance(value, dict):
        for key, part in islice(value.items(), _NODES):
            yield f"[{key!r}]" if isinstance(key, str) else "[...]", key if isinstance(key, str) else "", part
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{index}]", "", part) for index, part in enumerate(islice(value, _NODES)))
    elif isinstance(value, types.FunctionType):
        yield from ((" (a constant in it)", "", part) for part in value.__code__.co_consts)
    elif not isinstance(value, (type, types.ModuleType)):
        yield from ((f".{name}", name, part) for name, part in islice(attributes_of(value).items(), _NODES))
