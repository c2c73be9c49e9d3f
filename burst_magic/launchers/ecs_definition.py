"""The task definition of a start: the configured one, or a copy of it with another image or architecture. Pure.

RunTask can override size, environment and roles, but neither image nor architecture, so each pair of them has a
definition of its own. It is called by what it holds: whoever needs it finds it, and registers it only once. With
``--env sync`` the image is a stock Python, and its command is stage 0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from burst_magic.config import IMAGE
from burst_magic.errors import PlanError
from burst_magic.launchers.base import Start

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import TagTypeDef, TaskDefinitionTypeDef

STOCK = "public.ecr.aws/docker/library/python"  # for all architectures; no account is needed to pull it
WATCHDOG = ["python", "-m", "burst_magic.worker.watchdog"]  # what a worker's container runs (docs/container.md)
_STOCK = re.compile(r"(?:^|/)(?:docker/library/)?python:[\w.]+-slim$")
_ARCHES = {"x86_64": "X86_64", "arm64": "ARM64"}  # ours -> ECS's
_RESERVED = "aws:"  # how the names of tags begin that only AWS may set, such as CloudFormation's
# What DescribeTaskDefinition says and RegisterTaskDefinition is told again.
_KEPT = (
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "ephemeralStorage",
    "runtimePlatform",
)


def image_of(start: Start) -> str:
    """The image that the start asks for, or "" for the configured one."""
    if start.command:
        return f"{start.options.get('image') or STOCK}:{start.python}-slim"
    return start.env.removeprefix(IMAGE) if start.env.startswith(IMAGE) else ""


def arch_of(definition: TaskDefinitionTypeDef) -> str:
    """Its architecture, in our words; ECS takes one that names none for x86_64."""
    said = definition.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
    return next((ours for ours, theirs in _ARCHES.items() if theirs == said), said)


def fits(definition: TaskDefinitionTypeDef, start: Start, *, container: str) -> bool:
    """Whether a start can use this definition as it is."""
    image = next((each.get("image") for each in definition["containerDefinitions"] if each["name"] == container), "")
    return not start.command and image_of(start) in {"", image} and start.arch in {"", arch_of(definition)}


def check_worker(definition: TaskDefinitionTypeDef, start: Start, *, container: str) -> None:
    """Raise ``PlanError`` if the configured image is a stock Python, which without stage 0 is no worker."""
    image = next(
        (each.get("image", "") for each in definition["containerDefinitions"] if each["name"] == container), ""
    )
    if not start.command and not image_of(start) and _STOCK.search(image):
        raise PlanError(
            f"the image of {definition['family']} is a stock Python, which holds no worker: {image}",
            way_out="--env sync installs it there, and --env image:URI names an image that has it",
        )


def derived(
    definition: TaskDefinitionTypeDef, start: Start, *, container: str, tags: Sequence[TagTypeDef] = ()
) -> dict[str, Any]:
    """What RegisterTaskDefinition is asked for a start that needs a copy.

    Args:
        definition: the configured one.
        start: names image and architecture; without one the copy has the definition's own.
        container: the one whose image it is.
        tags: of the definition; the copy has them, too, but for AWS's own.
    """
    kept: dict[str, Any] = {name: definition[name] for name in _KEPT if name in definition}  # type: ignore[literal-required]
    containers = [dict(each) for each in kept["containerDefinitions"]]
    for each in containers:
        if each["name"] == container and image_of(start):
            each["image"] = image_of(start)
            # The image may have an entry point of its own, which would take the command for its arguments.
            known = [*each.get("entryPoint", ()), *each.pop("command", ())]
            each["entryPoint"] = list(start.command) or known or WATCHDOG
            if start.command:
                _fit_for_stage_0(each)
    arch = start.arch or arch_of(definition)
    platform = {**kept.get("runtimePlatform", {}), "cpuArchitecture": _ARCHES.get(arch, arch)}
    platform.setdefault("operatingSystemFamily", "LINUX")
    made = {**kept, "containerDefinitions": containers, "runtimePlatform": platform}
    made["family"] = f"{definition['family']}-{_digest(definition, start, arch)}"
    own = [tag for tag in tags if not tag.get("key", "").lower().startswith(_RESERVED)]
    return {**made, "tags": own} if own else made


def _fit_for_stage_0(container: dict[str, Any]) -> None:
    """A stock Python has no health check of ours. Stage 0 is PID 1, so that it gives root away, and writes files."""
    container.pop("healthCheck", None)
    if "linuxParameters" in container:
        container["linuxParameters"] = {**container["linuxParameters"], "initProcessEnabled": False}
    if not container.get("mountPoints"):
        container.pop("readonlyRootFilesystem", None)


def _digest(definition: TaskDefinitionTypeDef, start: Start, arch: str) -> str:
    """Another revision of the configured definition has other copies."""
    said = [definition["taskDefinitionArn"], image_of(start), arch, *start.command]
    return hashlib.sha256(" ".join(said).encode()).hexdigest()[:12]
