"""Context managers that let every exception through: names bound in their ``with`` are bound after it."""

from __future__ import annotations

import ast
import builtins
import types
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

_STEADY = frozenset({
    "_io.open", "io.open", "bz2.open", "gzip.open", "lzma.open", "tarfile.TarFile", "zipfile.ZipFile",
    "tempfile.TemporaryDirectory", "tempfile.TemporaryFile", "tempfile.NamedTemporaryFile",
    "contextlib.closing", "contextlib.nullcontext", "contextlib.redirect_stdout", "contextlib.redirect_stderr",
    "contextlib.chdir", "_decimal.localcontext", "decimal.localcontext", "warnings.catch_warnings",
    "_thread.lock", "_thread.RLock", "_thread.allocate_lock", "threading.RLock",
    "concurrent.futures.thread.ThreadPoolExecutor", "concurrent.futures.process.ProcessPoolExecutor",
    "numpy.errstate", "numpy.printoptions", "pandas.option_context", "torch.no_grad", "torch.enable_grad",
    "torch.inference_mode",
})  # fmt: skip


def is_steady(manager: ast.expr, namespace: Mapping[str, object], local: AbstractSet[str]) -> bool:
    """Whether an expression of the cell surely creates such a context manager.

    Args:
        manager: the expression after ``with``.
        namespace: the notebook's globals.
        local: names that the cell binds, which may refer to anything.
    """
    called = isinstance(manager, ast.Call)
    found = _resolve(manager.func if isinstance(manager, ast.Call) else manager, namespace, local)
    kind = found if called else type(found)
    return _path(kind) in _STEADY


def _resolve(node: ast.expr, namespace: Mapping[str, object], local: AbstractSet[str]) -> object:
    if isinstance(node, ast.Name) and node.id not in local:
        return namespace.get(node.id, vars(builtins).get(node.id))
    if isinstance(node, ast.Attribute):
        module = _resolve(node.value, namespace, local)
        return vars(module).get(node.attr) if isinstance(module, types.ModuleType) else None
    return None


def _path(found: object) -> str:
    module, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    return f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else ""
