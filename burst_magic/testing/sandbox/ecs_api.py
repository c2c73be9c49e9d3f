"""moto's ECS with four of its actions replaced by the engine's. The rest (clusters, definitions, tags) is moto's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.responses import EC2ContainerServiceResponse

from burst_magic.testing.sandbox.engine import Engine
from burst_magic.testing.sandbox.network import Network
from burst_magic.testing.sandbox.orders import AccountFacts, EcsRefusal
from burst_magic.testing.sandbox.roles import Roles


class EcsApi(EC2ContainerServiceResponse):
    """The four actions."""

    engine: Engine
    roles: Roles
    network: Network

    def run_task(self) -> Any:
        """RunTask."""

        def may_pass(role: str) -> None:
            self.roles.check_pass(self.access_key, dict(self.headers), role)

        return self._answered(lambda: self.engine.run(self._said, self._facts(), may_pass=may_pass))

    def stop_task(self) -> Any:
        """StopTask."""
        return self._answered(lambda: self.engine.stop(self._said))

    def describe_tasks(self) -> Any:
        """DescribeTasks."""
        return self._answered(lambda: self.engine.describe(self._said, cluster=self._cluster().arn))

    def list_tasks(self) -> Any:
        """ListTasks."""
        return self._answered(lambda: self.engine.list(self._said, cluster=self._cluster().arn))

    def _answered(self, call: Callable[[], dict[str, Any]]) -> Any:
        try:
            return ActionResult(call())
        except EcsRefusal as refused:
            # Not moto's exception: it knows the codes of ECS's own model only, and ThrottlingException is not one.
            body = json.dumps({"__type": refused.code, "message": refused.message})
            return 400, {"status": 400}, body

    @property
    def _said(self) -> dict[str, Any]:
        return dict(self.params)

    def _cluster(self) -> Any:
        return self.ecs_backend._get_cluster(self._said.get("cluster") or "default")  # noqa: SLF001 - moto has no other

    def _facts(self) -> AccountFacts:
        cluster = self._cluster()
        definition = self.ecs_backend.describe_task_definition(self._said["taskDefinition"])
        told = {
            "taskDefinitionArn": definition.arn,
            "family": definition.family,
            "containerDefinitions": definition.container_definitions,
            "cpu": definition.cpu,
            "memory": definition.memory,
            "ephemeralStorage": definition.ephemeral_storage,
            "taskRoleArn": getattr(definition, "task_role_arn", ""),
            "executionRoleArn": getattr(definition, "execution_role_arn", ""),
        }
        return AccountFacts(
            cluster=cluster.arn,
            providers=cluster.capacity_providers or (),
            definition=told,
            tags=definition.tags,
            zones=self.network.zones(),
            groups=self.network.groups(),
        )
