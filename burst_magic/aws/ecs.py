"""The control plane of ECS in one region: run, describe, list, stop. Its calls may be made from many threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from burst_magic.aws import patience
from burst_magic.aws.clients import Clients
from burst_magic.aws.rates import ECS_READ, LAUNCH, REGISTER, RUN_TASK, STOP_TASK
from burst_magic.stores.retry import Retry

if TYPE_CHECKING:
    from mypy_boto3_ecs.client import ECSClient
    from mypy_boto3_ecs.type_defs import (
        DescribeTasksResponseTypeDef,
        FailureTypeDef,
        RunTaskResponseTypeDef,
        TagTypeDef,
        TaskDefinitionTypeDef,
        TaskTypeDef,
    )

T = TypeVar("T")
AT_ONCE = 100  # tasks of one DescribeTasks or ListTasks


class Ecs:
    """ECS in one region.

    Args:
        region: its name; "" for the configured one.
        clients: makes boto3 clients; the default reads AWS's environment and files.
        starting: how long RunTask is repeated.
    """

    def __init__(
        self, region: str = "", clients: Clients | None = None, *, starting: Retry = patience.STARTING
    ) -> None:
        self._service, self._starting = patience.Service("ecs", region, clients), starting

    @property
    def region(self) -> str:
        """Its name; "" where a server has none."""
        return self._service.region

    def run(self, request: Mapping[str, Any], *, provider: str) -> RunTaskResponseTypeDef:
        """RunTask. The request carries a client token, so it is repeated after a lost reply, too.

        Args:
            request: of RunTask.
            provider: its capacity provider, whose launches are counted apart.

        Raises:
            BurstError: see ``faults.meaning``; ``Unknown`` when no reply came.
        """
        rates = ("RunTask", RUN_TASK), (f"launch {provider}", LAUNCH)

        def call(ecs: ECSClient) -> RunTaskResponseTypeDef:
            return ecs.run_task(**request)

        return self._service.ask(call, "RunTask", self._starting, *rates)

    def describe(
        self, cluster: str, tasks: Sequence[str], *, tags: bool = False
    ) -> tuple[list[TaskTypeDef], list[FailureTypeDef]]:
        """DescribeTasks, in batches.

        Args:
            cluster: name or ARN.
            tasks: ids or ARNs.
            tags: theirs, too; a fifth of the answer, which a fleet's driver reads again and again.

        Returns:
            The tasks that were found, and a failure for each of the others.
        """
        found: list[TaskTypeDef] = []
        failed: list[FailureTypeDef] = []
        for start in range(0, len(tasks), AT_ONCE):
            answer = self._describe(cluster, tasks[start : start + AT_ONCE], tags=tags)
            found += answer["tasks"]
            failed += answer["failures"]
        return found, failed

    def _describe(self, cluster: str, tasks: Sequence[str], *, tags: bool) -> DescribeTasksResponseTypeDef:
        def call(ecs: ECSClient) -> DescribeTasksResponseTypeDef:
            return ecs.describe_tasks(cluster=cluster, tasks=tasks, include=["TAGS"] if tags else [])

        return self._read(call, "DescribeTasks")

    def list_tasks(self, cluster: str, *, started_by: str = "", stopped: bool = False) -> list[str]:
        """ARNs of the tasks of a cluster that run, or that stopped within the last hour.

        Args:
            cluster: name or ARN.
            started_by: only those that were started under this name.
            stopped: those that have stopped instead.
        """
        asked: dict[str, Any] = {"cluster": cluster, "desiredStatus": "STOPPED" if stopped else "RUNNING"}
        if started_by:
            asked["startedBy"] = started_by

        def call(ecs: ECSClient) -> list[str]:
            pages = ecs.get_paginator("list_tasks").paginate(**asked)
            return [arn for page in pages for arn in page["taskArns"]]

        return self._read(call, "ListTasks")

    def list_clusters(self) -> list[str]:
        """ARNs of the clusters of the region."""

        def call(ecs: ECSClient) -> list[str]:
            return [arn for page in ecs.get_paginator("list_clusters").paginate() for arn in page["clusterArns"]]

        return self._read(call, "ListClusters")

    def stop(self, cluster: str, task: str, *, reason: str) -> None:
        """StopTask: SIGTERM, and after the task definition's stopTimeout SIGKILL."""

        def call(ecs: ECSClient) -> None:
            ecs.stop_task(cluster=cluster, task=task, reason=reason)

        self._service.ask(call, "StopTask", patience.READING, ("StopTask", STOP_TASK))

    def definition(self, name: str) -> TaskDefinitionTypeDef:
        """A task definition, by ARN, family, or family:revision."""

        def call(ecs: ECSClient) -> TaskDefinitionTypeDef:
            return ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]

        return self._read(call, "DescribeTaskDefinition")

    def tagged_definition(self, name: str) -> tuple[TaskDefinitionTypeDef, list[TagTypeDef]]:
        """The same with its tags."""

        def call(ecs: ECSClient) -> tuple[TaskDefinitionTypeDef, list[TagTypeDef]]:
            answer = ecs.describe_task_definition(taskDefinition=name, include=["TAGS"])
            return answer["taskDefinition"], answer.get("tags", [])

        return self._read(call, "DescribeTaskDefinition")

    def register(self, request: Mapping[str, Any]) -> TaskDefinitionTypeDef:
        """RegisterTaskDefinition: a new revision of the family it names."""

        def call(ecs: ECSClient) -> TaskDefinitionTypeDef:
            return ecs.register_task_definition(**request)["taskDefinition"]

        return self._service.ask(call, "RegisterTaskDefinition", patience.READING, ("register", REGISTER))

    def _read(self, call: Callable[[ECSClient], T], action: str) -> T:
        return self._service.ask(call, action, patience.READING, ("read", ECS_READ))
