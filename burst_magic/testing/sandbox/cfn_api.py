"""CloudFormation, which moto only half has, behind moto's wire format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, TypeVar

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult, EmptyResult

from burst_magic.aws.clients import Clients
from burst_magic.testing.sandbox.cfn_stacks import CfnRefusal, SandboxStackRecord, Stacks

T = TypeVar("T")


class CloudFormationApi(CloudFormationResponse):
    """The actions that a deployment takes."""

    RESPONSE_KEY_PATH_TO_TRANSFORMER: dict[str, Any] = {}  # noqa: RUF012 - as in moto, whose own are for its models
    stacks: Stacks
    clients: Callable[[str, Mapping[str, str]], Clients]

    def create_change_set(self) -> Any:
        """CreateChangeSet."""
        return self._answered(lambda: self.stacks.propose(self._said))

    def describe_change_set(self) -> Any:
        """DescribeChangeSet."""
        return self._answered(lambda: self.stacks.change_set(self._said["ChangeSetName"]))

    def delete_change_set(self) -> Any:
        """DeleteChangeSet."""
        return self._answered(lambda: self.stacks.forget(self._said["ChangeSetName"]))

    def execute_change_set(self) -> Any:
        """ExecuteChangeSet."""
        said = self._said
        return self._answered(lambda: self.stacks.execute(said["StackName"], said["ChangeSetName"], self._callers()))

    def delete_stack(self) -> Any:
        """DeleteStack."""
        return self._answered(lambda: self.stacks.delete(self._said["StackName"], self._callers()))

    def continue_update_rollback(self) -> Any:
        """ContinueUpdateRollback."""

        def again() -> dict[str, Any]:
            self.stacks.undo_again(self._said["StackName"], self._callers())
            return {}

        return self._answered(again)

    def describe_stacks(self) -> Any:
        """DescribeStacks, of one."""
        return self._answered(lambda: {"Stacks": [_described(self.stacks.find(self._said["StackName"]))]})

    def describe_stack_resources(self) -> Any:
        """DescribeStackResources."""
        return self._answered(lambda: {"StackResources": _resources(self.stacks.find(self._said["StackName"]))})

    def describe_stack_events(self) -> Any:
        """DescribeStackEvents."""
        return self._answered(lambda: {"StackEvents": list(self.stacks.find(self._said["StackName"]).events)})

    @property
    def _said(self) -> dict[str, Any]:
        return dict(self.params)

    def _callers(self) -> Callable[[], Clients]:
        """Clients with the keys of whoever asked, made where they are used."""
        access, headers = self.access_key, dict(self.headers)
        return lambda: self.clients(access, headers)

    def _answered(self, call: Callable[[], dict[str, Any] | None]) -> Any:
        try:
            answer = call()
        except CfnRefusal as refused:
            raise ValidationError(message=str(refused)) from refused
        return EmptyResult() if answer is None else ActionResult(answer)


def _described(stack: SandboxStackRecord) -> dict[str, Any]:
    found = {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in stack.parameters.items()],
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in stack.outputs.items()],
        "Tags": stack.tags,
    }
    return {**found, **({"StackStatusReason": stack.reason} if stack.reason else {})}


def _resources(stack: SandboxStackRecord) -> list[dict[str, Any]]:
    return [
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "LogicalResourceId": name,
            "PhysicalResourceId": each.made.id,
            "ResourceType": each.kind,
            "ResourceStatus": each.status,
            "Timestamp": datetime.now(timezone.utc),
        }
        for name, each in stack.resources.items()
    ]
