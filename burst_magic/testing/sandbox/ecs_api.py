"""moto's ECS with four of its actions replaced by the engine's, and with checks of ECS on clusters and definitions."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.responses import EC2ContainerServiceResponse

from burst_magic.testing.sandbox.aws_call import AskedRight
from burst_magic.testing.sandbox.engine import Engine
from burst_magic.testing.sandbox.network import Network
from burst_magic.testing.sandbox.orders import AccountFacts, EcsRefusal, invalid
from burst_magic.testing.sandbox.roles import Roles

_OWN_ROLE = "AWSServiceRoleForECS"


class EcsApi(EC2ContainerServiceResponse):
    """What differs."""

    engine: Engine
    roles: Roles
    network: Network

    def run_task(self) -> Any:
        """RunTask."""

        def run() -> dict[str, Any]:
            if self._said.get("tags") or self._said.get("propagateTags"):
                self._check("ecs:TagResource", f"{self._cluster().arn.replace(':cluster/', ':task/')}/*")
            return self.engine.run(self._said, self._facts(), may_pass=partial(self._check, "iam:PassRole"))

        return self._answered(run)

    def register_task_definition(self) -> Any:
        """RegisterTaskDefinition."""

        def register() -> Any:
            for role in filter(None, (self._said.get("taskRoleArn"), self._said.get("executionRoleArn"))):
                self._check("iam:PassRole", role)
            if self._said.get("tags"):
                place = f"{self.region}:{self.current_account}"
                definition = f"arn:{self.partition}:ecs:{place}:task-definition/{self._said['family']}:*"
                self._check("ecs:TagResource", definition, creates="RegisterTaskDefinition")
            return super(EcsApi, self).register_task_definition().result

        return self._answered(register)

    def create_cluster(self) -> Any:
        """CreateCluster. Capacity providers need ECS's own role in the account."""

        def create() -> Any:
            if self._said.get("capacityProviders") and not self.roles.has(_OWN_ROLE):
                raise invalid(
                    "Unable to assume the service linked role. Please verify that the ECS service linked role exists."
                )
            return super(EcsApi, self).create_cluster().result

        return self._answered(create)

    def delete_cluster(self) -> Any:
        """DeleteCluster."""

        def delete() -> Any:
            cluster = self._cluster().arn
            if any(life.order.cluster == cluster and not life.task.is_over for life in self.engine.lives):
                raise EcsRefusal(
                    "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
                )
            return super(EcsApi, self).delete_cluster().result

        return self._answered(delete)

    def _check(self, action: str, resource: str, *, creates: str = "RunTask") -> None:
        context = {"ecs:createaction": [creates], "iam:passedtoservice": ["ecs-tasks.amazonaws.com"]}
        right = AskedRight(access=self.access_key, action=action, resources=(resource,), context=context)
        self.roles.check_right(right, dict(self.headers))

    def stop_task(self) -> Any:
        """StopTask."""
        return self._answered(lambda: self.engine.stop(self._said))

    def describe_tasks(self) -> Any:
        """DescribeTasks."""
        return self._answered(lambda: self.engine.describe(self._said, cluster=self._cluster().arn))

    def list_tasks(self) -> Any:
        """ListTasks."""
        return self._answered(lambda: self.engine.list(self._said, cluster=self._cluster().arn))

    def _answered(self, call: Callable[[], Any]) -> Any:
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
