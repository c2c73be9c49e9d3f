"""One container: a process with nothing but the environment it is given, and its output.

``shim.py`` is its runtime: whatever the container's processes do, they end with it, and it ends with this process.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from burst_magic.config import environment

_SHIM = Path(__file__).with_name("shim.py")
_STOCK = re.compile(r"(?:^|/)python:(\d+\.\d+)-slim$")  # an official image of Python, from whichever registry
_FROM_THE_MACHINE = ("LD_LIBRARY_PATH", "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")  # an image would bring its own


class CannotStart(Exception):
    """The container's command does not exist or may not be executed."""


class NoImage(Exception):
    """The image cannot be pulled."""


def interpreter_of(image: str) -> str:
    """The Python in an image: for a stock one this machine's own, without what is installed here; else this process's.

    Raises:
        NoImage: a stock Python of another minor version than this machine has.
    """
    stock = _STOCK.search(image)
    if stock is None:
        return sys.executable
    if stock[1] != f"{sys.version_info.major}.{sys.version_info.minor}":
        raise NoImage(image)
    return str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]  # noqa: SLF001 - no other name for it


class SandboxContainer:
    """A started container.

    Args:
        command: its first process; ``python`` is the image's interpreter.
        python: that of the image, see ``interpreter_of``.
        environ: all of its environment, but for what finds programs and certificates on this machine.
        folder: its home and temporary files; the working directory.

    Raises:
        CannotStart: the command cannot be executed.

    Attributes:
        pid: of its first process.
    """

    def __init__(self, command: Sequence[str], *, environ: Mapping[str, str], folder: Path, python: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        told, telling = os.pipe()
        words = [python if word == "python" and at == 0 else word for at, word in enumerate(command)]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SHIM), str(telling), *words],
                env={**_machine(), "HOME": str(folder), "TMPDIR": str(folder), **environ},
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(telling,),
                start_new_session=True,
            )
        finally:
            os.close(telling)
        with os.fdopen(told, encoding="utf-8") as line:
            kind, _, rest = line.readline().strip().partition(" ")
        if kind != "pid":
            self.wait()
            self.close()
            raise CannotStart(rest or "the container's runtime ended at once")
        self.pid = int(rest)

    @property
    def output(self) -> IO[bytes]:
        """Standard output and error of all its processes, to the end."""
        return cast("IO[bytes]", self._process.stdout)

    def terminate(self) -> None:
        """SIGTERM to the first process."""
        self._tell(b"TERM\n")

    def kill(self) -> None:
        """SIGKILL to all of its processes."""
        self._tell(b"KILL\n")

    def _tell(self, word: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):
            stdin = cast("IO[bytes]", self._process.stdin)
            stdin.write(word)
            stdin.flush()

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code (128 + signal), or None if it still runs after ``timeout`` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Close our ends of its pipes: a container that still runs is killed."""
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                with contextlib.suppress(BrokenPipeError):
                    end.close()


def _machine() -> dict[str, str]:
    here = environment()
    return {name: here[name] for name in _FROM_THE_MACHINE if name in here}
