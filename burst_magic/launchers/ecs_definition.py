"""The task definition of a start: the configured one, or a copy of it with another image or architecture. Pure.

RunTask can override size, environment and roles, but neither image nor architecture, so each pair of them has a
definition of its own. It is called by what it holds: whoever needs it finds it, and registers it only once. With
``--env sync`` the image is a stock Python, and its command is stage 0.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from burst_magic.config import IMAGE
from burst_magic.launchers.base import Start

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import TaskDefinitionTypeDef

STOCK = "public.ecr.aws/docker/library/python"  # for all architectures; no account is needed to pull it
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
    if start.command:
        return f"{start.options.get('image') or STOCK}:{start.python}-slim"
    return start.env.removeprefix(IMAGE) if start.env.startswith(IMAGE) else ""


def fits(definition: TaskDefinitionTypeDef, start: Start, *, container: str) -> bool:
    """Whether a start can use this definition as it is."""
    image = next((each.get("image") for each in definition["containerDefinitions"] if each["name"] == container), "")
    arch = definition.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
    return not start.command and image_of(start) in {"", image} and _arch(start) == arch


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
            known = [*each.get("entryPoint", ()), *each.pop("command", ())]
            each["entryPoint"] = list(start.command) or known or WATCHDOG
    platform = {**kept.get("runtimePlatform", {}), "cpuArchitecture": _arch(start)}
    platform.setdefault("operatingSystemFamily", "LINUX")
    made = {**kept, "containerDefinitions": containers, "runtimePlatform": platform}
    return {**made, "family": f"{definition['family']}-{_digest(definition, start)}"}


def _arch(start: Start) -> str:
    return _ARCHES.get(start.arch, "X86_64")


def _digest(definition: TaskDefinitionTypeDef, start: Start) -> str:
    """Another revision of the configured definition has other copies."""
    said = [definition["taskDefinitionArn"], image_of(start), _arch(start), *start.command]
    return hashlib.sha256(" ".join(said).encode()).hexdigest()[:12]
