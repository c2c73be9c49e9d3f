"""Set the number of threads for BLAS, OpenMP and similar libraries: concurrent slots share the machine's cores.

Libraries read environment variables when they are loaded, so these are part of a job's environment. Libraries that a
slot has already loaded (for an earlier job, or by ``sitecustomize``) are set through threadpoolctl.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

_ALL = "OMP_NUM_THREADS"
_AS_OPENMP = {  # these libraries fall back to OMP_NUM_THREADS
    "openblas": "OPENBLAS_NUM_THREADS",
    "mkl": "MKL_NUM_THREADS",
    "blis": "BLIS_NUM_THREADS",
    "numexpr": "NUMEXPR_NUM_THREADS",
}
_NUMBA = "NUMBA_NUM_THREADS"
_OWN = ("VECLIB_MAXIMUM_THREADS", _NUMBA, "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")
VARIABLES = (_ALL, *_AS_OPENMP.values(), *_OWN)
_LIBRARIES = re.compile(rb"/[^/\n]*(?:blas|mkl_rt|blis|gomp|iomp|libomp)[^/\n]*$", re.MULTILINE)
_MODULES = ("numpy", "scipy", "torch", "numexpr", "numba")

Variables = tuple[tuple[str, str], ...]


def variables(threads: int, environment: Mapping[str, str], *, asked: bool) -> Variables:
    """Environment variables that set the number of threads.

    Args:
        threads: number per slot; 0 leaves the choice to the libraries.
        environment: the worker's; variables set there are kept.
        asked: the user chose the number for this job, which overrides the environment.
    """
    if not threads:
        return ()
    if asked:
        return tuple((name, str(threads)) for name in VARIABLES)
    kept = {name for name in VARIABLES if environment.get(name)}
    if _ALL in kept:
        kept.update(_AS_OPENMP.values())
    return tuple((name, str(threads)) for name in VARIABLES if name not in kept)


def settled(setenv: Variables) -> Variables:
    """The same variables, except that Numba's keeps its value: Numba rejects a change once it is loaded."""
    numba: Any = sys.modules.get("numba")
    if numba is None or not hasattr(numba, "config"):
        return setenv
    return (*(pair for pair in setenv if pair[0] != _NUMBA), (_NUMBA, str(numba.config.NUMBA_NUM_THREADS)))


class LoadedLibraries:
    """The numeric libraries of a slot's process, which follow the environment from job to job."""

    def __init__(self) -> None:
        self._said: dict[str, str | None] | None = None

    def follow(self, environment: Mapping[str, str], setenv: Iterable[tuple[str, str]]) -> None:
        """Apply the active job's environment to the loaded libraries.

        Args:
            environment: this process's variables.
            setenv: the job's variables; they include values that Numba no longer accepts in its environment.
        """
        said = {name: environment.get(name) for name in VARIABLES} | {f"={_NUMBA}": dict(setenv).get(_NUMBA)}
        if said != self._said and _any_loaded():
            _tell(said)
        self._said = said


def _any_loaded() -> bool:
    """Whether a library with threads of its own is loaded; asking threadpoolctl takes a hundred times as long."""
    if any(name in sys.modules for name in _MODULES):
        return True
    try:
        with open("/proc/self/maps", "rb") as file:
            return _LIBRARIES.search(file.read()) is not None
    except OSError:  # macOS
        return False


def _tell(said: Mapping[str, str | None]) -> None:
    _tell_native(said)
    for name, module in (("torch", sys.modules.get("torch")), ("numexpr", sys.modules.get("numexpr"))):
        threads = _number(said, "NUMEXPR_NUM_THREADS" if name == "numexpr" else "MKL_NUM_THREADS", _ALL)
        if threads and module is not None and hasattr(module, "set_num_threads"):
            module.set_num_threads(threads)
    numba: Any = sys.modules.get("numba")
    threads = _number(said, f"={_NUMBA}", _NUMBA)
    if threads and numba is not None and hasattr(numba, "set_num_threads"):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def _tell_native(said: Mapping[str, str | None]) -> None:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # not installed here: only libraries loaded from now on follow
        return
    from burst_magic.host import cores  # few need it

    found = ThreadpoolController()
    for api in {library["internal_api"] for library in found.info()}:
        threads = _number(said, _AS_OPENMP.get(api, _ALL), _ALL) or cores()
        found.select(internal_api=api).limit(limits=threads)


def _number(said: Mapping[str, str | None], *names: str) -> int:
    """The number in the first of these variables that is set; 0 if none is, or its value is no number."""
    for name in names:
        text = (said[name] or "").partition(",")[0].strip()  # OpenMP takes one number for each level
        if text:
            return int(text) if text.isdecimal() else 0
    return 0
