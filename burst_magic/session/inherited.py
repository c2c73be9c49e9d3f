"""What a local worker inherits for life from the process that starts it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import site
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from burst_magic.config import environment
from burst_magic.dataclass import dataclass

_METADATA = (".dist-info", ".egg-info", ".egg-link", ".pth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What a local worker inherits from the process that starts it.

    Attributes:
        environment: variables and their values.
        folder: the current folder.
        limits: soft and hard resource limits, in the order of their names.
        rank: niceness, usable processors, file mask, and blocked and ignored signals.
        packages: installed packages: (name, time of installation in nanoseconds; 0 without metadata).
    """

    environment: frozenset[tuple[str, str]]
    folder: str
    limits: tuple[tuple[int, int], ...]
    rank: tuple[object, ...]
    packages: frozenset[tuple[str, int]]


def inherited() -> Inherited:
    """What a worker would inherit if this process started it now."""
    return Inherited(
        environment=frozenset(environment().items()),
        folder=_folder(),
        limits=tuple(resource.getrlimit(getattr(resource, name)) for name in sorted(_limits())),
        rank=(os.nice(0), _processors(), _file_mask(), *_signals()),
        packages=frozenset(installed(_folders())),
    )


def _limits() -> list[str]:
    return [name for name in vars(resource) if name.startswith("RLIMIT_")]


def _folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed
        return ""


def _processors() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def _signals() -> tuple[frozenset[int], frozenset[int]]:
    ignored = (number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN)
    return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ())), frozenset(ignored)


def _file_mask() -> str:
    """Read the file mask from the system: ``os.umask`` would change it for a moment, for all threads."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # macOS
        return ""
    return next((line for line in status.splitlines() if line.startswith("Umask:")), "")


def _folders() -> list[str]:
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        folders.add(site.getusersitepackages())
    return sorted(folders)


def installed(folders: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The contents of these package folders, except compiled files, which come and go."""
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as found:  # not every folder exists
            yield from (_package(each) for each in found if each.name != "__pycache__")


def _package(entry: os.DirEntry[str]) -> tuple[str, int]:
    if not entry.name.endswith(_METADATA):
        return entry.path, 0
    try:
        return entry.path, entry.stat().st_mtime_ns
    except OSError:  # a link to nowhere, or an installer at work
        return entry.path, 0
