"""The life of one ECS task: its states, its times, and what DescribeTasks says of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.testing.sandbox.orders import Order


class TaskState(str, Enum):
    """ECS's task states, in order (Amazon ECS developer guide, "Task lifecycle")."""

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"


class EcsStopCode(str, Enum):
    """Why a task stopped, in ECS's words."""

    FAILED_TO_START = "TaskFailedToStart"
    EXITED = "EssentialContainerExited"
    USER = "UserInitiated"
    SPOT = "SpotInterruption"
    RETIRED = "TerminationNotice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A reason to stop a task.

    Attributes:
        at_once: without SIGTERM and without time to react, as when memory runs out.
        of_container: the container's own reason, if it has one.
    """

    code: EcsStopCode
    reason: str
    at_once: bool = False
    of_container: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When things happened, in seconds since the epoch; None if they haven't."""

    created: float
    pull_started: float | None = None
    pull_stopped: float | None = None
    started: float | None = None
    stopping: float | None = None
    execution_stopped: float | None = None
    stopped: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A task's elastic network interface."""

    eni: str
    subnet: str
    address: str
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxTask:
    """A task as it is now, for tests.

    Attributes:
        id: the last part of the ARN.
        pid: of the container's first process, once it has started.
        image: of its container.
        provider: ``FARGATE`` or ``FARGATE_SPOT``.
        token: RunTask's client token.
        environ: of the container: the definition's with the overrides.
        credentials: access keys that its role has handed to it.
    """

    arn: str
    id: str
    state: TaskState
    image: str
    provider: str
    token: str
    started_by: str
    role: str
    times: Times
    pid: int | None = None
    exit_code: int | None = None
    ending: Ending | None = None
    interface: Interface | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    credentials: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether it has stopped."""
        return self.state is TaskState.STOPPED


class TaskLife:
    """One task, shared by its agent, the ECS API and tests; thread-safe.

    Args:
        order: what RunTask asked for.
        arn: of the task.
        now: seconds since the epoch.
    """

    def __init__(self, order: Order, *, arn: str, now: float) -> None:
        self.order = order
        self.arn = arn
        self.id = arn.rpartition("/")[2]
        self.news = threading.Event()  # something has asked to stop it, or its container has ended
        self._changed = threading.Condition()
        self._task = SandboxTask(
            arn=arn,
            id=self.id,
            state=TaskState.PROVISIONING,
            image=order.image,
            provider=order.provider,
            token=order.token,
            started_by=order.started_by,
            role=order.task_role,
            times=Times(created=now),
            environ=order.environ,
        )

    @property
    def task(self) -> SandboxTask:
        """As it is now."""
        return self._task

    def change(self, **changes: Any) -> None:
        """Replace fields of the view."""
        with self._changed:
            self._task = replace(self._task, **changes)
            self._changed.notify_all()

    def stamp(self, **times: float) -> None:
        """Note times that have not been noted yet."""
        with self._changed:
            known = self._task.times
            new = {name: value for name, value in times.items() if getattr(known, name) is None}
            self._task = replace(self._task, times=replace(known, **new))

    def enter(self, state: TaskState) -> None:
        """The next state."""
        self.change(state=state)

    def end(self, ending: Ending) -> bool:
        """Ask the agent to stop the task; false if something else has asked before."""
        with self._changed:
            if self._task.ending is not None or self._task.is_over:
                return False
            self._task = replace(self._task, ending=ending)
            self._changed.notify_all()
        self.news.set()
        return True

    def wait_for(self, state: TaskState, *, within: float = 60.0) -> SandboxTask:
        """The task once it has reached a state or a later one; raises ``TimeoutError``."""
        order = list(TaskState)
        end = time.monotonic() + within
        with self._changed:
            while order.index(self._task.state) < order.index(state):
                if not self._changed.wait(end - time.monotonic()):
                    raise TimeoutError(f"task {self.id} is {self._task.state.value}, not {state.value}")
            return self._task

    def described(self, *, told: Clockwork, tags: bool, container: str) -> dict[str, Any]:
        """The task in DescribeTasks' words.

        Args:
            told: turns a time into the one that ECS tells.
            tags: include them.
            container: name of the only container.
        """
        task, order = self.task, self.order
        over = task.ending is not None or task.state.value in _LEAVING
        times = {_TIMES[name]: told(getattr(task.times, name)) for name in _TIMES if getattr(task.times, name)}
        said: dict[str, Any] = {
            "taskArn": self.arn,
            "clusterArn": order.cluster,
            "taskDefinitionArn": order.definition_arn,
            "lastStatus": task.state.value,
            "desiredStatus": "STOPPED" if over else "RUNNING",
            "capacityProviderName": order.provider if order.by_strategy else None,
            "launchType": "FARGATE",
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "cpu": str(order.cpu),
            "memory": str(order.memory),
            "group": order.group,
            "startedBy": order.started_by or None,
            "availabilityZone": order.zone,
            "overrides": order.overrides,
            "connectivity": "CONNECTED" if task.times.pull_started else None,
            "containers": [self._container(container)],
            "attachments": [self._attachment()],
            "version": list(TaskState).index(task.state) + 1,
            "ephemeralStorage": {"sizeInGiB": order.disk},
            "tags": [dict(tag) for tag in order.tags] if tags else [],
            **times,
        }
        if task.ending is not None:
            said |= {"stopCode": task.ending.code.value, "stoppedReason": task.ending.reason}
        return {name: value for name, value in said.items() if value is not None}

    def _container(self, name: str) -> dict[str, Any]:
        task = self.task
        state = "STOPPED" if task.times.execution_stopped or task.is_over else "RUNNING" if task.pid else "PENDING"
        said: dict[str, Any] = {
            "containerArn": f"{self.arn.replace(':task/', ':container/')}/{name}",
            "taskArn": self.arn,
            "name": name,
            "image": self.order.image,
            "runtimeId": f"{self.id}-{name}",
            "lastStatus": state,
            "exitCode": task.exit_code,
            "reason": (task.ending.of_container or None) if task.ending else None,
            "healthStatus": "UNKNOWN",
            "cpu": "0",
            "networkInterfaces": [],
        }
        if task.interface:
            said["networkInterfaces"] = [
                {"attachmentId": f"{self.id}-eni", "privateIpv4Address": task.interface.address}
            ]
        return {key: value for key, value in said.items() if value is not None}

    def _attachment(self) -> dict[str, Any]:
        eni, status = self.task.interface, "PRECREATED"
        details = [{"name": "subnetId", "value": self.order.subnets[0]}]
        if eni is not None:
            status = "DELETED" if self.task.is_over else "ATTACHED"
            details = [
                {"name": "subnetId", "value": eni.subnet},
                {"name": "networkInterfaceId", "value": eni.eni},
                {"name": "macAddress", "value": eni.mac},
                {"name": "privateIPv4Address", "value": eni.address},
            ]
        return {"id": f"{self.id}-eni", "type": "ElasticNetworkInterface", "status": status, "details": details}


class Clockwork:
    """Time as ECS tells it: ``rate`` times as fast since ``epoch``."""

    def __init__(self, *, epoch: float, rate: float = 1.0) -> None:
        self._epoch = epoch
        self._rate = rate

    def __call__(self, at: float) -> datetime:
        """A time as told."""
        return datetime.fromtimestamp(self._epoch + (at - self._epoch) * self._rate, timezone.utc)


_LEAVING = {state.value for state in list(TaskState)[list(TaskState).index(TaskState.DEACTIVATING) :]}
_TIMES = {
    "created": "createdAt",
    "pull_started": "pullStartedAt",
    "pull_stopped": "pullStoppedAt",
    "started": "startedAt",
    "stopping": "stoppingAt",
    "execution_stopped": "executionStoppedAt",
    "stopped": "stoppedAt",
}
