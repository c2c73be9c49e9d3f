"""The agent of one task: a thread that takes it from PROVISIONING to STOPPED and runs its container in between."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.testing.sandbox.awslogs import LogDriver, NoStream, discard
from burst_magic.testing.sandbox.container import CannotStart, NoImage, SandboxContainer, interpreter_of
from burst_magic.testing.sandbox.lives import EcsStopCode, Ending, TaskLife, TaskState
from burst_magic.testing.sandbox.network import Network, NoAddresses
from burst_magic.testing.sandbox.roles import Roles
from burst_magic.testing.sandbox.weather import SandboxWeather, StartFailure

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTools:
    """What agents work with.

    Attributes:
        logs: a client of CloudWatch Logs with the credentials of a role, by its ARN.
        endpoint: of the stand-in cloud.
        folder: below which each container has its home.
        now: seconds since the epoch.
    """

    roles: Roles
    network: Network
    logs: Callable[[str], Any]
    weather: Callable[[], SandboxWeather]
    endpoint: str
    region: str
    folder: Path
    now: Callable[[], float]


class NotStarted(Exception):
    """The task fails to start; the argument is ECS's reason."""


class Agent:
    """Takes one task through its life. ``start`` returns at once; ``join`` waits for STOPPED."""

    def __init__(self, life: TaskLife, tools: AgentTools) -> None:
        self._life = life
        self._tools = tools
        self._container: SandboxContainer | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"task {life.id}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait until the task has stopped."""
        self._thread.join(timeout)

    def _live(self) -> None:
        life = self._life
        try:
            self._bring_up()
            if self._container is not None:
                self._see_through(self._container)
        except NotStarted as why:
            life.end(Ending(code=EcsStopCode.FAILED_TO_START, reason=str(why)))
        except Exception as error:  # noqa: BLE001 - a fault of the sandbox must not look like a task that never ends
            life.end(Ending(code=EcsStopCode.FAILED_TO_START, reason=f"InternalError: the sandbox failed: {error!r}"))
            _LOG.exception("task %s", life.id)
        self._clear_away()

    def _clear_away(self) -> None:
        life, tools = self._life, self._tools
        if self._container is not None:
            self._container.close()
        life.stamp(stopping=tools.now(), execution_stopped=tools.now())
        life.enter(TaskState.DEPROVISIONING)
        threading.Event().wait(tools.weather().deprovisioning)
        if life.task.interface is not None:
            tools.network.detach(life.task.interface)
        shutil.rmtree(self._home, ignore_errors=True)
        life.stamp(stopped=tools.now())
        life.enter(TaskState.STOPPED)

    @property
    def _home(self) -> Path:
        return self._tools.folder / self._life.id

    def _pause(self, seconds: float) -> bool:
        """A phase of the start; true if the task has been told to stop meanwhile."""
        return self._life.news.wait(seconds)

    def _bring_up(self) -> None:
        life, tools = self._life, self._tools
        trouble = tools.weather().trouble
        if self._pause(tools.weather().provisioning) or self._hold_up(trouble):
            return
        try:
            life.change(interface=tools.network.attach(life.order.subnets, life.order.groups))
        except NoAddresses as full:
            raise NotStarted(StartFailure.ADDRESSES.value.format(subnet=full)) from full
        life.stamp(pull_started=tools.now())
        life.enter(TaskState.PENDING)
        stopped = self._pause(tools.weather().pulling)
        life.stamp(pull_stopped=tools.now())
        if trouble in {StartFailure.IMAGE, StartFailure.REGISTRY}:
            raise NotStarted(trouble.value.format(image=life.order.image))
        try:
            python = interpreter_of("" if tools.weather().full_images else life.order.image)
        except NoImage as error:
            raise NotStarted(StartFailure.IMAGE.value.format(image=life.order.image)) from error
        if stopped:
            return
        driver = self._driver()
        life.enter(TaskState.ACTIVATING)
        if not self._pause(tools.weather().activating):
            self._run(driver, python)

    def _hold_up(self, trouble: StartFailure | None) -> bool:
        """Troubles with the network, before anything is pulled."""
        if trouble is StartFailure.STUCK:
            return self._life.news.wait()
        if trouble in {StartFailure.ADDRESSES, StartFailure.ENI_TIMEOUT}:
            raise NotStarted(trouble.value.format(subnet=self._life.order.subnets[-1]))
        return False

    def _driver(self) -> LogDriver | None:
        order, tools = self._life.order, self._tools
        if not order.log:
            return None
        stream = f"{order.log['awslogs-stream-prefix']}/{order.container}/{self._life.id}"
        group = order.log["awslogs-group"]
        driver = LogDriver(tools.logs(order.execution_role), group=group, stream=stream, now=tools.now)
        try:
            driver.open()
        except NoStream as error:
            raise NotStarted(str(error)) from error
        return driver

    def _run(self, driver: LogDriver | None, python: str) -> None:
        life = self._life
        try:
            container = SandboxContainer(life.order.command, environ=self._environ(), folder=self._home, python=python)
        except CannotStart as error:
            raise NotStarted(f"CannotStartContainerError: {error}") from error
        self._container = container
        life.change(pid=container.pid)
        life.stamp(started=self._tools.now())
        life.enter(TaskState.RUNNING)
        reader = threading.Thread(target=self._read, args=(container, driver), name=f"output of {life.id}", daemon=True)
        reader.start()

    def _read(self, container: SandboxContainer, driver: LogDriver | None) -> None:
        """All of the container's output; its end is the container's."""
        try:
            if driver is not None:
                driver.ship(container.output)
        except Exception:  # noqa: BLE001 - the driver is non-blocking: a container doesn't wait for its logs
            _LOG.exception("logs of task %s", self._life.id)
        discard(container.output)
        container.wait()
        self._ended.set()
        self._life.news.set()

    def _environ(self) -> dict[str, str]:
        """The container's environment: its own, and what Fargate's agent adds."""
        life, tools = self._life, self._tools
        given = {
            "AWS_REGION": tools.region,
            "AWS_DEFAULT_REGION": tools.region,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_ENDPOINT_URL": tools.endpoint,
            "ECS_CONTAINER_METADATA_URI_V4": f"{tools.endpoint}/v4/{life.id}",
        }
        if life.order.task_role:
            credentials = tools.roles.give(life.order.task_role, task=life.id)
            life.change(credentials=(*life.task.credentials, credentials.keys.access))
            given |= credentials.variables(tools.endpoint, self._home)
        return {**life.order.environ, **given}

    def _see_through(self, container: SandboxContainer) -> None:
        """From RUNNING to the end of the container."""
        life, now = self._life, self._tools.now
        life.news.wait()
        if self._ended.is_set() and life.task.ending is None:
            life.end(Ending(code=EcsStopCode.EXITED, reason="Essential container in task exited"))
        life.stamp(stopping=now())
        if not self._ended.is_set():
            life.enter(TaskState.DEACTIVATING)
            life.enter(TaskState.STOPPING)
            ending = life.task.ending
            if ending is None or not ending.at_once:
                container.terminate()
                self._ended.wait(life.order.stop_timeout)
            container.kill()
            self._ended.wait()
        life.stamp(execution_stopped=now())
        life.change(exit_code=container.wait())
