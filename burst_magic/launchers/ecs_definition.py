"""The task definition of a start: the configured one, or a copy of it with another image or architecture. Pure.

RunTask can override size, environment and roles, but neither image nor architecture, so each pair of them has a
definition of its own. It is called by what it holds: whoever needs it finds it, and registers it only once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from burst_magic.launchers.base import Start

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import TaskDefinitionTypeDef

IMAGE = "image:"  # how ``--env`` begins where it names an image
WATCHDOG = ["python", "-m", "burst_magic.worker.watchdog"]  # what a worker's container runs (docs/container.md)
_ARCHES = {"x86_64": "X86_64", "arm64": "ARM64"}  # ours -> ECS's
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
    return start.env.removeprefix(IMAGE) if start.env.startswith(IMAGE) else ""


def fits(definition: TaskDefinitionTypeDef, start: Start, *, container: str) -> bool:
    """Whether a start can use this definition as it is."""
    image = next((each.get("image") for each in definition["containerDefinitions"] if each["name"] == container), "")
    arch = definition.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
    return image_of(start) in {"", image} and _arch(start) == arch


def derived(definition: TaskDefinitionTypeDef, start: Start, *, container: str) -> dict[str, Any]:
    """What RegisterTaskDefinition is asked for a start that needs a copy.

    Args:
        definition: the configured one.
        start: names image and architecture.
        container: the one whose image it is.
    """
    kept: dict[str, Any] = {name: definition[name] for name in _KEPT if name in definition}  # type: ignore[literal-required]
    containers = [dict(each) for each in kept["containerDefinitions"]]
    for each in containers:
        if each["name"] == container and image_of(start):
            each["image"] = image_of(start)
            # The image may have an entry point of its own, which would take the command for its arguments.
            each["entryPoint"] = [*each.get("entryPoint", ()), *each.pop("command", ())] or WATCHDOG
    platform = {**kept.get("runtimePlatform", {}), "cpuArchitecture": _arch(start)}
    platform.setdefault("operatingSystemFamily", "LINUX")
    made = {**kept, "containerDefinitions": containers, "runtimePlatform": platform}
    return {**made, "family": f"{definition['family']}-{_digest(definition, start)}"}


def _arch(start: Start) -> str:
    return _ARCHES.get(start.arch, "X86_64")


def _digest(definition: TaskDefinitionTypeDef, start: Start) -> str:
    """Another revision of the configured definition has other copies."""
    said = f"{definition['taskDefinitionArn']} {image_of(start)} {_arch(start)}"
    return hashlib.sha256(said.encode()).hexdigest()[:12]
