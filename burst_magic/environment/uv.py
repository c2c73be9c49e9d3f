"""Runs uv, which resolves and downloads packages for another platform than this one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence

from burst_magic import config
from burst_magic.dataclass import dataclass
from burst_magic.errors import PlanError

# What workers can run: the stock images are Debian, whose glibc is newer than that of these tags.
PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
_WITHIN = 600.0  # seconds for one run; downloads of large wheels take minutes
_UNREACHABLE = re.compile(
    r"error sending request|dns error|Failed to fetch|connection (?:refused|reset)|timed out", re.IGNORECASE
)
_CREDENTIALS = re.compile(r"(\w+://)[^/@\s]+@")


class UvError(Exception):
    """uv's own words, without anybody's credentials.

    Attributes:
        unreachable: a package index did not answer.
    """

    def __init__(self, said: str) -> None:
        super().__init__(_CREDENTIALS.sub(r"\1", said.strip()))
        self.unreachable = _UNREACHABLE.search(said) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where packages will run: a Linux container.

    Attributes:
        python: minor version, as ``3.12``.
        arch: ``x86_64`` or ``arm64``.
    """

    python: str
    arch: str

    @property
    def options(self) -> tuple[str, ...]:
        """For uv: wheels of this platform and nothing else, since nothing is built for another one."""
        return ("--python-platform", PLATFORMS[self.arch], "--python-version", self.python, "--only-binary", ":all:")


def run(*arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None) -> str:
    """What uv prints.

    Args:
        arguments: of uv.
        stdin: what it reads.
        environ: more variables for it.

    Raises:
        UvError: it failed.
        PlanError: it is not installed.
    """
    from uv import find_uv_bin

    try:
        command = [find_uv_bin(), *arguments, "--color", "never", "--no-progress"]
        # This very interpreter: without one on the PATH, uv would download another.
        mine = {"NO_COLOR": "1", "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
        surroundings = {**config.environment(), **mine, **(environ or {})}
        done = subprocess.run(
            command, input=stdin, env=surroundings, capture_output=True, text=True, check=False, timeout=_WITHIN
        )
    except FileNotFoundError as error:
        raise PlanError("uv is not installed", context=str(error), way_out="pip install uv") from None
    except subprocess.TimeoutExpired:
        raise UvError(f"no answer within {_WITHIN:g} s: timed out") from None
    if done.returncode:
        raise UvError(done.stderr or done.stdout)
    return done.stdout


def refusal(error: UvError, what: str) -> PlanError:
    """The error for users, where nothing more is known about it."""
    if error.unreachable:
        return PlanError(
            f"a package index cannot be reached, so {what} cannot be prepared",
            context=_first_lines(str(error)),
            way_out="check the network, UV_DEFAULT_INDEX and pip's index-url; or --env image, --env image:URI",
        )
    return PlanError(f"{what} cannot be prepared", context=_first_lines(str(error)), way_out="--env image:URI")


def _first_lines(text: str, most: int = 4) -> str:
    lines: Sequence[str] = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:most])
