"""What RunTask asks for, checked as ECS checks it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.plan.shapes import LEGAL

_MOST_TASKS = 10
_MOST_OVERRIDES = 8192  # characters of JSON
_MOST_STARTED_BY = 128
_MOST_TOKEN = 64
_DISK = 20  # GiB that every Fargate task has
_PROVIDERS = ("FARGATE", "FARGATE_SPOT")
_UNITS = 1024  # CPU units of one vCPU
_STOP_TIMEOUT, _MOST_STOP_TIMEOUT = 30, 120  # seconds, Fargate
_LARGEST: dict[float, tuple[int, ...]] = {32: (60 * 1024, 120 * 1024, 244 * 1024)}  # newer than our table of sizes


class EcsRefusal(Exception):
    """A refused request: an error code of ECS and its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> EcsRefusal:
    """ECS's usual refusal."""
    return EcsRefusal("InvalidParameterException", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One task to run, with defaults and overrides resolved.

    Attributes:
        cluster, definition_arn, task_role, execution_role: ARNs.
        by_strategy: asked for by ``capacityProviderStrategy``, not ``launchType``.
        cpu: CPU units; memory: MiB; disk: GiB.
        overrides: as they came, for DescribeTasks.
        log: options of the awslogs driver, empty without it.
        zone: an availability zone, as the first subnet's.
    """

    cluster: str
    definition_arn: str
    provider: str
    by_strategy: bool
    cpu: int
    memory: int
    disk: int
    subnets: tuple[str, ...]
    groups: tuple[str, ...]
    public: bool
    image: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    container: str
    stop_timeout: float
    task_role: str
    execution_role: str
    group: str
    zone: str
    token: str = ""
    started_by: str = ""
    tags: tuple[Mapping[str, str], ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    log: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What the account has.

    Attributes:
        cluster: its ARN; providers: associated with the cluster.
        definition: the task definition as DescribeTaskDefinition tells it; its tags.
        zones: of each known subnet; groups: known security groups.
    """

    cluster: str
    providers: Sequence[str]
    definition: Mapping[str, Any]
    tags: Sequence[Mapping[str, str]]
    zones: Mapping[str, str]
    groups: frozenset[str]


def read_order(said: Mapping[str, Any], there: AccountFacts) -> tuple[Order, int]:
    """The order in a RunTask request, and for how many tasks; raises ``EcsRefusal``."""
    count = int(said.get("count") or 1)
    if not 1 <= count <= _MOST_TASKS:
        raise invalid(f"Count must be between 1 and {_MOST_TASKS}.")
    _check_names(said)
    overrides = said.get("overrides") or {}
    if len(json.dumps(overrides, separators=(",", ":"))) > _MOST_OVERRIDES:
        raise invalid(f"Container Overrides length must be at most {_MOST_OVERRIDES}")
    provider, by_strategy = _provider(said, there)
    subnets, groups, public = _network(said, there)
    container = there.definition["containerDefinitions"][0]
    own = _override(container["name"], overrides)
    cpu, memory = _size(there.definition, overrides)
    order = Order(
        cluster=there.cluster,
        definition_arn=there.definition["taskDefinitionArn"],
        provider=provider,
        by_strategy=by_strategy,
        cpu=cpu,
        memory=memory,
        disk=_disk(there.definition, overrides),
        subnets=subnets,
        groups=groups,
        public=public,
        image=container["image"],
        command=(*container.get("entryPoint", ()), *(own.get("command") or container.get("command") or ())),
        environ={**_pairs(container.get("environment")), **_pairs(own.get("environment"))},
        container=container["name"],
        stop_timeout=min(container.get("stopTimeout", _STOP_TIMEOUT), _MOST_STOP_TIMEOUT),
        task_role=overrides.get("taskRoleArn") or there.definition.get("taskRoleArn") or "",
        execution_role=overrides.get("executionRoleArn") or there.definition.get("executionRoleArn") or "",
        group=said.get("group") or f"family:{there.definition['family']}",
        zone=there.zones[subnets[0]],
        token=said.get("clientToken") or "",
        started_by=said.get("startedBy") or "",
        tags=_tags(said, there),
        overrides={**overrides, "containerOverrides": overrides.get("containerOverrides", [])},
        log=_log(container),
    )
    return order, count


def _check_names(said: Mapping[str, Any]) -> None:
    started_by, token = said.get("startedBy") or "", said.get("clientToken") or ""
    if len(started_by) > _MOST_STARTED_BY or not re.fullmatch(r"[A-Za-z0-9/_-]*", started_by):
        raise invalid("startedBy contains invalid characters or is too long.")
    if len(token) > _MOST_TOKEN:
        raise invalid(f"clientToken length must be at most {_MOST_TOKEN}")


def _provider(said: Mapping[str, Any], there: AccountFacts) -> tuple[str, bool]:
    strategy, launch_type = said.get("capacityProviderStrategy") or (), said.get("launchType")
    if strategy and launch_type:
        raise invalid("Specify either Launch Type or Capacity Provider Strategy, but not both.")
    if not strategy and launch_type in {None, "EC2"}:
        raise invalid("No Container Instances were found in your cluster.")
    if not strategy:
        return str(launch_type), False
    provider = str(strategy[0]["capacityProvider"])
    if provider not in there.providers or provider not in _PROVIDERS:
        raise invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with "
            "the cluster. Associate the capacity provider with the cluster and try again."
        )
    return provider, True


def _network(said: Mapping[str, Any], there: AccountFacts) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    network = (said.get("networkConfiguration") or {}).get("awsvpcConfiguration")
    if not network or not network.get("subnets"):
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    for subnet in network["subnets"]:
        if subnet not in there.zones:
            raise invalid(
                f"Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does not exist "
                "(ErrorCode: InvalidSubnetID.NotFound)"
            )
    for group in network.get("securityGroups") or ():
        if group not in there.groups:
            raise invalid(
                f"Error retrieving security group information for [{group}]: The security group '{group}' does not "
                "exist (ErrorCode: InvalidGroup.NotFound)"
            )
    public = network.get("assignPublicIp") == "ENABLED"
    return tuple(network["subnets"]), tuple(network.get("securityGroups") or ()), public


def _override(name: str, overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    for own in overrides.get("containerOverrides") or ():
        if own.get("name") != name:
            raise invalid(f"Override for container named {own.get('name')} is not a container in the TaskDefinition.")
        return dict(own)
    return {}


def _size(definition: Mapping[str, Any], overrides: Mapping[str, Any]) -> tuple[int, int]:
    cpu = int(overrides.get("cpu") or definition.get("cpu") or 0)
    memory = int(overrides.get("memory") or definition.get("memory") or 0)
    if memory not in (*LEGAL.get(cpu / _UNITS, ()), *_LARGEST.get(cpu / _UNITS, ())):
        raise invalid(f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.")
    return cpu, memory


def _disk(definition: Mapping[str, Any], overrides: Mapping[str, Any]) -> int:
    asked = overrides.get("ephemeralStorage") or definition.get("ephemeralStorage") or {}
    size = int(asked.get("sizeInGiB") or _DISK)
    if asked and not _DISK < size <= 200:
        raise invalid("Ephemeral storage size must be between 21 and 200 GiB.")
    return size


def _tags(said: Mapping[str, Any], there: AccountFacts) -> tuple[Mapping[str, str], ...]:
    inherited = there.tags if said.get("propagateTags") == "TASK_DEFINITION" else ()
    tags = {tag["key"]: tag.get("value", "") for tag in (*inherited, *(said.get("tags") or ()))}
    return tuple({"key": key, "value": value} for key, value in tags.items())


def _log(container: Mapping[str, Any]) -> Mapping[str, str]:
    log = container.get("logConfiguration") or {}
    return dict(log.get("options") or {}) if log.get("logDriver") == "awslogs" else {}


def _pairs(environment: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    return {pair["name"]: pair["value"] for pair in environment or ()}
