"""A worker as ECS knows it: the request that starts it, its handle, its status. Pure.

Only STOPPED is an end. An end by Spot, by a stop or by the host has the exit code of a killed process, so the stop code
and the reason are read first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from burst_magic.aws.reasons import StartProblem, read
from burst_magic.dataclass import dataclass
from burst_magic.errors import LaunchError
from burst_magic.launchers.base import Cause, Handle, Start, Status, WorkerState, cause_of
from burst_magic.protocol.wire import sign
from burst_magic.protocol.wire.summons import PREFIX, Summons

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import ContainerTypeDef, TaskTypeDef

CONTAINER = "worker"  # of the task definition
TAG = "burst:"  # session, owner, deadline: who looks at the account finds what runs without the store
DEADLINE_FORMAT = "%Y-%m-%dT%H:%M:%SZ"  # of that tag
CPU_UNITS = 1024  # of one vCPU
_OVERRIDES = 8192  # characters of RunTask's overrides, by its API reference
_TAG_VALUE = re.compile(r"[^\w +\-=.:/@]")  # what AWS allows in a tag's value, inverted
_TAG_LENGTH = 256

_COMING = {"PROVISIONING": "provisioning", "PENDING": "pending", "ACTIVATING": "starting"}
_STOP_CODES = {
    "SpotInterruption": Cause.SPOT,
    "TerminationNotice": Cause.HOST,
    "InfrastructureHealth": Cause.HOST,
    "UserInitiated": Cause.STOPPED,
    "ServiceSchedulerInitiated": Cause.STOPPED,
}
# Where the stop code is missing or says less: some ends are told by their reason alone.
_STOP_REASONS = (
    (re.compile(r"Spot Task was interrupted|SpotInterruption"), Cause.SPOT),
    (re.compile(r"Host EC2 .*terminated|maintenance on the underlying|infrastructure hosting the task"), Cause.HOST),
    (re.compile(r"Task stopped by user|^burst_magic: "), Cause.STOPPED),
)
_MEMORY = re.compile(r"OutOfMemory|killed due to memory usage")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceInEcs:
    """Where a task is: all that ECS must be told beside its id."""

    region: str
    cluster: str

    @classmethod
    def of(cls, handle: Handle) -> PlaceInEcs | None:
        """None for the handle of something else."""
        parts = str(handle.data.get("arn", "")).split(":")  # arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID
        if len(parts) != 6 or parts[5].count("/") != 2:
            return None
        return cls(region=parts[3], cluster=parts[5].split("/")[1])

    @classmethod
    def of_options(cls, options: Mapping[str, str]) -> PlaceInEcs:
        """Where the session's settings say."""
        return cls(region=options.get("region", ""), cluster=options.get("cluster", ""))


def request(start: Start, *, launcher: str, provider: str, definition: str) -> dict[str, Any]:
    """What RunTask is asked.

    Args:
        start: the worker.
        launcher: its name.
        provider: where it gets its capacity.
        definition: of its task, a family or an ARN.

    Raises:
        LaunchError: it does not fit into what ECS accepts.
    """
    options = start.options
    overrides = {
        "cpu": str(round(start.cpu * CPU_UNITS)),
        "memory": str(start.memory_mb),
        "containerOverrides": [{"name": CONTAINER, "environment": _environment(start, launcher)}],
    }
    if len(json.dumps(overrides)) > _OVERRIDES:
        raise LaunchError(f"the store's URL is too long for ECS ({_OVERRIDES} characters in all)", context=start.store)
    return {
        "cluster": options.get("cluster", ""),
        "taskDefinition": definition,
        "count": 1,
        "clientToken": start.token,
        "startedBy": start.sid,
        "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
        "networkConfiguration": {"awsvpcConfiguration": _network(options)},
        "overrides": overrides,
        "propagateTags": "TASK_DEFINITION",
        "tags": _tags(start),
    }


def _environment(start: Start, launcher: str) -> list[dict[str, str]]:
    summons = Summons(
        store=start.store,
        sid=start.sid,
        token=start.token,
        fingerprint=sign.fingerprint(bytes.fromhex(start.secret)),
        launcher=launcher,
        number=start.number,
        bundle=start.bundle,
        deadline=start.deadline,
    )
    return [{"name": name, "value": value} for name, value in summons.variables().items()]


def _network(options: Mapping[str, str]) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "subnets": _listed(options.get("subnets", "")),
        "assignPublicIp": "DISABLED" if options.get("public_ip", "true").lower() == "false" else "ENABLED",
    }
    if groups := _listed(options.get("security_groups", "")):
        asked["securityGroups"] = groups
    return asked


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _tags(start: Start) -> list[dict[str, str]]:
    end = datetime.fromtimestamp(start.deadline, timezone.utc).strftime(DEADLINE_FORMAT) if start.deadline else ""
    said = {"session": start.sid, "owner": start.owner, "deadline": end}
    return [
        {"key": f"{TAG}{name}", "value": _TAG_VALUE.sub("_", value)[:_TAG_LENGTH]}
        for name, value in said.items()
        if value
    ]


# --- what ECS says of it ---------------------------------------------------------------------------------------------


def wid_of(task: TaskTypeDef) -> str:
    """A worker is called by its task's id, the last part of the ARN."""
    return task["taskArn"].rpartition("/")[2]


def token_of(task: TaskTypeDef) -> str:
    """The start that a task answers."""
    found = (
        pair.get("value", "")
        for container in task.get("overrides", {}).get("containerOverrides", ())
        for pair in container.get("environment", ())
        if pair.get("name") == f"{PREFIX}TOKEN"
    )
    return next(found, "")


def handle_of(task: TaskTypeDef, *, launcher: str) -> Handle:
    """Any client can look after the worker with it: the ARN names region and cluster, the definition tells the log.

    The worker makes the same of its metadata (``worker/birth.py``).
    """
    definition = task.get("taskDefinitionArn", "").rpartition("/")[2]
    data = {"arn": task["taskArn"], "definition": definition}
    return Handle(launcher=launcher, wid=wid_of(task), token=token_of(task), data=data)


def status_of(task: TaskTypeDef) -> Status:
    """Its state, and of an end why."""
    last = task.get("lastStatus", "")
    seen = Status(
        state=WorkerState.RUNNING if last else WorkerState.UNKNOWN,
        created=_seconds(task.get("createdAt")),
        billed_from=_seconds(task.get("pullStartedAt")),
        ended=_seconds(task.get("stoppedAt")),
    )
    if last == "STOPPED":
        cause, reason = _end(task)
        code = _container(task).get("exitCode")
        return replace(seen, state=WorkerState.ENDED, cause=cause, reason=reason, exit_code=code)
    if last in _COMING and task.get("desiredStatus") != "STOPPED":
        return replace(seen, state=WorkerState.COMING, phase=_phase(task, last))
    return seen


def _phase(task: TaskTypeDef, last: str) -> str:
    """How far it is."""
    pulls = last == "PENDING" and "pullStartedAt" in task and "pullStoppedAt" not in task
    return "pulling the image" if pulls else _COMING[last]


def _end(task: TaskTypeDef) -> tuple[Cause, str]:
    """Why it ended. Who ended it is asked before how its process ended."""
    code, words = task.get("stopCode", ""), task.get("stoppedReason", "")
    container = _container(task)
    detail, exit_code = container.get("reason", ""), container.get("exitCode")
    outside = next((cause for pattern, cause in _STOP_REASONS if pattern.search(words)), _STOP_CODES.get(code))
    both = " ".join(filter(None, (words, detail)))
    if outside is not None:
        return outside, words or code
    if _MEMORY.search(both):
        return Cause.MEMORY, detail or words
    if code == "TaskFailedToStart" or (exit_code is None and read(both).trouble is not StartProblem.OTHER):
        return _failed_to_start(both)
    if exit_code is not None:
        cause, reason = cause_of(exit_code)
        return cause, detail or reason
    return (Cause.OTHER, both) if both else (Cause.UNKNOWN, code)


def _failed_to_start(words: str) -> tuple[Cause, str]:
    reason = read(words)
    text = reason.problem if reason.problem == words else f"{reason.problem} (AWS: {words})"
    if reason.trouble.is_room:
        return Cause.NO_ROOM, text
    return Cause.DELAYED if reason.trouble.passes else Cause.NEVER_STARTED, text


def _container(task: TaskTypeDef) -> ContainerTypeDef:
    containers = task.get("containers") or [{}]
    return next((each for each in containers if each.get("name") == CONTAINER), containers[0])


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def by_place(handles: Iterable[Handle]) -> dict[PlaceInEcs, list[Handle]]:
    """Handles by where their tasks are; those of no task of ECS are left out."""
    found: dict[PlaceInEcs, list[Handle]] = {}
    for handle in handles:
        place = PlaceInEcs.of(handle)
        if place is not None:
            found.setdefault(place, []).append(handle)
    return found
