"""Whatever builds and pushes images on this machine: docker, podman or buildah, by their common commands."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from burst_magic import config
from burst_magic.errors import LaunchError

TOOLS = ("docker", "podman", "buildah")
_PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
# docker would push a statement about the build beside the image, without a tag: no one would ever delete that.
_ALONE = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
_LAST = 8  # lines of output in an error
_REMOTE = "burst image --remote builds it in your AWS account instead"
_UNREACHED = "no such host|server misbehaving|connection refused|i/o timeout|Temporary failure|network is unreachable"
_WAYS_OUT = (  # what tools say, and what to do
    (
        re.compile(rf"dkr\.ecr\.\S+.*({_UNREACHED})", re.DOTALL),
        "check aws.repository and the network; the sandbox has no registry, but burst image --remote builds in it",
    ),
    (
        re.compile(
            rf"(?:pinging|pulling|initializing source|resolve source metadata|load metadata)[^\n]*(?:{_UNREACHED})"
            "|manifest unknown|(?:manifest|image) .*not found|pull access denied"
        ),
        f"check the network, and --base: the image that this one is built on was not pulled; or {_REMOTE}",
    ),
    (
        re.compile(_UNREACHED),
        f"check the tool's daemon, and the network, of containers that are built too; or {_REMOTE}",
    ),
    (
        re.compile(r"no basic auth credentials|authentication required|403 Forbidden|denied: "),
        "burst doctor shows what you may do",
    ),
    (re.compile(r"no space left on device"), f"free some space; or {_REMOTE}"),
    (re.compile(r"exec format error|exec user process"), f"this machine cannot run that architecture; {_REMOTE}"),
    (re.compile(r"newuidmap|operation not permitted|Permission denied"), f"the tool lacks rights here; {_REMOTE}"),
)


class ImageBuilder:
    """One of the tools.

    Args:
        tool: its name.
    """

    def __init__(self, tool: str) -> None:
        self.tool = tool

    def build(self, context: Path, *, name: str, arch: str, arguments: Mapping[str, str]) -> None:
        """Build the ``Dockerfile`` of a folder.

        Args:
            context: the folder.
            name: of the image.
            arch: of the image.
            arguments: of the Dockerfile.

        Raises:
            LaunchError: it cannot be built; shows the end of what the tool said.
        """
        how = [] if self.tool == "docker" else ["--format", "docker"]  # the OCI's own knows no health check
        if arch != _MACHINES.get(platform.machine().lower(), ""):
            how += ["--platform", _PLATFORMS[arch]]
        said = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        command = "bud" if self.tool == "buildah" else "build"
        self._run(command, *how, *said, "--file", str(context / "Dockerfile"), "--tag", name, str(context))

    def login(self, server: str, *, user: str, password: str) -> None:
        """Log in to a registry; the password goes through stdin."""
        self._run("login", "--username", user, "--password-stdin", server, stdin=password)

    def push(self, name: str) -> None:
        """Push an image to the repository that its name begins with."""
        self._run("push", name)

    def _run(self, *words: str, stdin: str = "") -> str:
        surroundings = {**config.environment(), **_ALONE}
        done = subprocess.run(
            [self.tool, *words], input=stdin, env=surroundings, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stderr + done.stdout).strip()
            way_out = next((way for pattern, way in _WAYS_OUT if pattern.search(said)), "")
            context = " | ".join(said.splitlines()[-_LAST:])
            raise LaunchError(f"{self.tool} {words[0]} failed", context=context, way_out=way_out)
        return done.stdout


def find_builder() -> ImageBuilder:
    """The first tool that is installed and works: docker needs its daemon.

    Raises:
        LaunchError: there is none.
    """
    for tool in TOOLS:
        if shutil.which(tool) is not None:
            done = subprocess.run([tool, "version"], capture_output=True, check=False)
            if not done.returncode:
                return ImageBuilder(tool)
    raise LaunchError(
        f"nothing here can build an image: none of {', '.join(TOOLS)} is installed and running",
        way_out="install one; burst image --remote builds in your AWS account; or no image: --env sync needs none",
    )
