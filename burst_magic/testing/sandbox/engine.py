"""The control plane of the stand-in ECS: RunTask, StopTask, DescribeTasks and ListTasks over tasks that run."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from burst_magic.testing.sandbox.agent import Agent, AgentTools
from burst_magic.testing.sandbox.limits import Limits
from burst_magic.testing.sandbox.lives import Clockwork, EcsStopCode, Ending, TaskLife
from burst_magic.testing.sandbox.orders import AccountFacts, EcsRefusal, Order, invalid, read_order

_VISIBLE = 3600.0  # seconds for which ECS tells of a stopped task
_MOST = 100  # tasks in one DescribeTasks or ListTasks


class Engine:
    """The tasks of one account.

    Args:
        tools: of the agents.
        limits: what is answered and what there is room for.
    """

    def __init__(self, *, tools: AgentTools, limits: Limits) -> None:
        self._tools = tools
        self._limits = limits
        self._lock = threading.RLock()
        self._lives: dict[str, TaskLife] = {}
        self._agents: list[Agent] = []
        self._tokens: dict[tuple[str, str], tuple[str, list[TaskLife]]] = {}
        self._epoch = tools.now()

    @property
    def lives(self) -> list[TaskLife]:
        """Every task so far, oldest first."""
        with self._lock:
            return list(self._lives.values())

    def life(self, ident: str) -> TaskLife:
        """A task by ARN or id; raises ``KeyError``."""
        with self._lock:
            return self._lives[ident.rpartition("/")[2]]

    def run(self, said: Mapping[str, Any], there: AccountFacts, *, may_pass: Callable[[str], None]) -> dict[str, Any]:
        """RunTask.

        Args:
            said: its parameters.
            there: what the account has.
            may_pass: raises ``EcsRefusal`` unless the caller may pass a role on.
        """
        self._limits.check_call("RunTask")
        order, count = read_order(said, there)
        for role in {order.task_role, order.execution_role} - {""}:
            self._tools.roles.check(role)
            may_pass(role)
        with self._lock:
            known = self._known(order, said)
            if known is not None:
                return self._answer(known, [])
            room, reason = self._limits.room(order, count, [(life.order, life.task) for life in self._lives.values()])
            if room:
                self._limits.check_launches(order.provider, room)
            made = [self._make(order) for _ in range(room)]
            if order.token and made:
                self._tokens[order.cluster, order.token] = _fingerprint(said), made
        return self._answer(made, [{"reason": reason} for _ in range(count - room)])

    def _known(self, order: Order, said: Mapping[str, Any]) -> list[TaskLife] | None:
        found = self._tokens.get((order.cluster, order.token)) if order.token else None
        if found is None:
            return None
        fingerprint, lives = found
        if fingerprint != _fingerprint(said):
            raise EcsRefusal(
                "ConflictException", "The clientToken has been used in a request with different parameters."
            )
        return lives

    def _make(self, order: Order) -> TaskLife:
        arn = f"{order.cluster.replace(':cluster/', ':task/')}/{secrets.token_hex(16)}"
        life = TaskLife(order, arn=arn, now=self._tools.now())
        self._lives[life.id] = life
        agent = Agent(life, self._tools)
        self._agents.append(agent)
        agent.start()
        return life

    def _answer(self, lives: Sequence[TaskLife], failures: list[dict[str, str]]) -> dict[str, Any]:
        return {"tasks": [self._described(life, tags=True) for life in lives], "failures": failures}

    def stop(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """StopTask."""
        self._limits.check_call("StopTask")
        life = self._visible(str(said.get("task") or ""))
        if life is None:
            raise invalid("The referenced task was not found.")
        life.end(Ending(code=EcsStopCode.USER, reason=str(said.get("reason") or "Task stopped by user")))
        return {"task": self._described(life, tags=False)}

    def describe(self, said: Mapping[str, Any], *, cluster: str) -> dict[str, Any]:
        """DescribeTasks."""
        self._limits.check_call("DescribeTasks")
        asked = list(said.get("tasks") or ())
        if not asked:
            raise invalid("Tasks cannot be empty.")
        if len(asked) > _MOST:
            raise invalid(f"Tasks cannot have more than {_MOST} elements.")
        found, failures = [], []
        for ident in asked:
            life = self._visible(ident)
            if life is None:
                arn = ident if ident.startswith("arn:") else f"{cluster.replace(':cluster/', ':task/')}/{ident}"
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(self._described(life, tags="TAGS" in (said.get("include") or ())))
        return {"tasks": found, "failures": failures}

    def list(self, said: Mapping[str, Any], *, cluster: str) -> dict[str, Any]:
        """ListTasks."""
        self._limits.check_call("ListTasks")
        other = [name for name in ("family", "serviceName", "containerInstance", "launchType") if said.get(name)]
        if said.get("startedBy") and other:
            raise invalid(f"startedBy cannot be combined with {', '.join(other)}.")
        most = int(said.get("maxResults") or _MOST)
        if not 1 <= most <= _MOST:
            raise invalid(f"maxResults must be between 1 and {_MOST}.")
        arns = [life.arn for life in self.lives if self._matches(life, said, cluster)]
        first = int(said.get("nextToken") or 0)
        more = {"nextToken": str(first + most)} if len(arns) > first + most else {}
        return {"taskArns": arns[first : first + most], **more}

    def _matches(self, life: TaskLife, said: Mapping[str, Any], cluster: str) -> bool:
        wanted = said.get("desiredStatus") or "RUNNING"
        over = life.task.ending is not None or life.task.is_over
        return (
            self._visible(life.id) is not None
            and life.order.cluster == cluster
            and over == (wanted == "STOPPED")
            and said.get("startedBy") in {None, "", life.order.started_by}
            and said.get("family") in {None, "", life.order.group.removeprefix("family:")}
            and said.get("launchType") in {None, "", "FARGATE"}
            and not said.get("serviceName")
            and not said.get("containerInstance")
        )

    def _visible(self, ident: str) -> TaskLife | None:
        """A task that ECS tells of: not too new for its reads, not stopped for too long."""
        now, weather = self._tools.now(), self._limits.weather
        try:
            life = self.life(ident)
        except KeyError:
            return None
        times = life.task.times
        if now - times.created < weather.describe_lag:
            return None
        gone = times.stopped is not None and (now - times.stopped) * weather.rate > _VISIBLE
        return None if gone else life

    def _described(self, life: TaskLife, *, tags: bool) -> dict[str, Any]:
        told = Clockwork(epoch=self._epoch, rate=self._limits.weather.rate)
        return life.described(told=told, tags=tags, container=life.order.container)

    def metadata(self, ident: str, *, whole: bool) -> dict[str, Any]:
        """What the metadata endpoint (v4) says of a container, or of its whole task; raises ``KeyError``."""
        life = self.life(ident)
        said = self._described(life, tags=False)
        container = {
            "DockerId": f"{life.id}-{life.order.container}",
            "Name": life.order.container,
            "DockerName": life.order.container,
            "Image": life.order.image,
            "DesiredStatus": said["desiredStatus"],
            "KnownStatus": said["containers"][0]["lastStatus"],
            "Limits": {"CPU": 0},
            "CreatedAt": said["createdAt"].isoformat(),
            "Type": "NORMAL",
            "ContainerARN": said["containers"][0]["containerArn"],
            "Labels": {"com.amazonaws.ecs.cluster": life.order.cluster, "com.amazonaws.ecs.task-arn": life.arn},
        }
        if not whole:
            return container
        _, _, definition = life.order.definition_arn.rpartition("/")
        family, _, revision = definition.partition(":")
        times = {
            name: said[key].isoformat()
            for name, key in (("PullStartedAt", "pullStartedAt"), ("PullStoppedAt", "pullStoppedAt"))
            if key in said
        }
        return {
            "Cluster": life.order.cluster,
            "TaskARN": life.arn,
            "Family": family,
            "Revision": revision,
            "DesiredStatus": said["desiredStatus"],
            "KnownStatus": said["lastStatus"],
            "Limits": {"CPU": life.order.cpu / 1024, "Memory": life.order.memory},
            "AvailabilityZone": life.order.zone,
            "LaunchType": "FARGATE",
            "Containers": [container],
            **times,
        }

    def used(self, provider: str) -> float:
        """The vCPUs of a provider's tasks that are not over."""
        living = [life.order for life in self.lives if not life.task.is_over]
        return sum(order.cpu for order in living if order.provider == provider) / 1024

    def close(self, *, within: float) -> None:
        """Kill what still runs and wait for the agents."""
        for life in self.lives:
            life.end(Ending(code=EcsStopCode.USER, reason="the sandbox is closing", at_once=True))
        for agent in self._agents:
            agent.join(within)


def _fingerprint(said: Mapping[str, Any]) -> str:
    """The parameters of a RunTask call, to be compared with another's."""
    return json.dumps(said, sort_keys=True, default=str)
