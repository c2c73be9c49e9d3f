"""Modules that a cell needs: installed ones that a worker must have, and local sources, which are sent as a zip.

A module is local if it is neither in the standard library nor in site-packages; editable installs count as local.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import site
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic import folders
from burst_magic.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIMIT = 50 << 20  # bytes of local sources; more is probably data, which belongs in a file
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can store: same files, same bytes
_OURS = frozenset({"burst_magic", "dill", "obstore", "__main__", "__mp_main__", "builtins"})  # on every worker
_imported: dict[bytes, frozenset[str]] = {}  # by the source's digest: parsing takes a millisecond per file
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})


def split(modules: Iterable[str]) -> tuple[tuple[tuple[str, str], ...], tuple[Path, ...]]:
    """Split modules into those that the worker must have installed, with versions, and the roots of local ones.

    Args:
        modules: dotted names; names that cannot be found here are omitted.
    """
    installed: dict[str, str] = {}
    roots: dict[str, tuple[Path, ...]] = {}
    queue = sorted({name.partition(".")[0] for name in modules})
    for top in queue:  # grows during the loop: local sources import others
        if top in installed or top in roots or top in _OURS or top in sys.stdlib_module_names:
            continue
        files = _files_of(top)
        if files is None:
            continue
        if all(_is_local(path) for path in files) and files:
            roots[top] = files
            queue.extend(sorted(_imports(files)))
        else:
            installed[top] = _version(top)
    return tuple(sorted(installed.items())), tuple(path for paths in roots.values() for path in paths)


def build(roots: Iterable[Path], include: Iterable[Path] = ()) -> bytes:
    """Zip these modules, packages and files: the same contents give the same bytes; b"" for none.

    Raises:
        CaptureError: more than `LIMIT` bytes, or a file to include doesn't exist.
    """
    files: dict[str, Path] = {}
    for root in (*roots, *include):
        if not root.exists():
            raise CaptureError(f"no such file or folder: {str(root)!r}")
        with _readable():
            files.update((path.relative_to(root.parent).as_posix(), path) for path in _below(root))
    if not files:
        return b""
    with _readable():
        total = sum(path.stat().st_size for path in files.values())
    if total > LIMIT:
        largest = max(files, key=lambda name: files[name].stat().st_size)
        raise CaptureError(
            f"the local modules that the cell needs are {total >> 20} MB",
            context=f"the largest is {largest}",
            way_out="move data out of the package, or install the package in the kernel's environment",
        )
    out = io.BytesIO()
    with _readable(), zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), files[name].read_bytes())
    return out.getvalue()


def included(path: str | Path) -> Path:
    """A file or folder of ``--include``.

    Raises:
        CaptureError: it is neither, or does not exist.
    """
    found = Path(path) if Path(path).is_absolute() else folders.current() / path
    with _readable():
        if not os.path.lexists(found):
            raise CaptureError(f"no such file or folder: {str(path)!r}")
        found = found.resolve(strict=True)
    if not (found.is_file() or found.is_dir()):
        raise CaptureError("--include takes files and folders only", context=str(found))
    return found


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Say which file of the user's cannot be read, and why."""
    try:
        yield
    except OSError as error:
        said = f"a file to send cannot be read: {error.strerror or error}"
        raise CaptureError(said, context=str(error.filename or "")) from None
    except (ValueError, RuntimeError) as error:  # a null byte; links in a circle
        raise CaptureError(f"a file to send cannot be read: {error}") from None


def _below(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    found = []
    for folder, below, names in os.walk(root, onerror=_raised):
        below[:] = [name for name in below if not (name in _LEFT_OUT or name.startswith("."))]
        files = [Path(folder, name) for name in names if not name.startswith(".")]
        found += [path for path in files if path.is_file() and path.suffix != ".pyc"]
    return found


def _raised(error: OSError) -> None:
    """A folder that cannot be listed would be sent without its files."""
    raise error


def _files_of(top: str) -> tuple[Path, ...] | None:
    """A module's file, a package's folders, () without a file, None if not found."""
    try:
        spec = getattr(sys.modules.get(top), "__spec__", None) or importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        return tuple(Path(place).resolve() for place in spec.submodule_search_locations)
    return (Path(spec.origin).resolve(),) if spec.has_location and spec.origin else ()


def _is_local(path: Path) -> bool:
    return not any(path.is_relative_to(place) for place in _installed_places()) and path.suffix in {"", ".py"}


def _installed_places() -> list[Path]:
    paths = sysconfig.get_paths()
    places = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()]
    return [Path(place).resolve() for place in (*places, site.getusersitepackages())]


def _imports(roots: Iterable[Path]) -> set[str]:
    names: set[str] = set()
    with _readable():
        for root in roots:
            for path in _below(root):
                if path.suffix == ".py":
                    names |= _imports_of(path)
    return names


def _imports_of(path: Path) -> frozenset[str]:
    source = path.read_bytes()
    digest = hashlib.blake2b(source, digest_size=16).digest()
    if digest not in _imported:
        _imported[digest] = _imports_in(source)
    return _imported[digest]


def _imports_in(source: bytes) -> frozenset[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a template or another Python: sent, but not analysed
        return frozenset()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return frozenset(names)


def _version(top: str) -> str:
    # Not by getattr: some packages compute it, with a warning that it is deprecated.
    version = getattr(sys.modules.get(top), "__dict__", {}).get("__version__")
    if isinstance(version, str):
        return version
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        return ""
