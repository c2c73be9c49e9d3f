"""IAM's SimulatePrincipalPolicy, which moto lacks: the same verdict that the sandbox's enforcement gives."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.exceptions import InvalidInput
from moto.iam.responses import IamResponse

_DECISIONS = {PermissionResult.PERMITTED: "allowed", PermissionResult.DENIED: "explicitDeny"}


class IamApi(IamResponse):
    """The one action."""

    def simulate_principal_policy(self) -> Any:
        """SimulatePrincipalPolicy, without further policies and conditions."""
        policies = [IAMPolicy(each) for each in self._policies(self._get_param("PolicySourceArn"))]
        resources = self._get_param("ResourceArns", None) or ["*"]
        results = [
            {"EvalActionName": action, "EvalResourceName": place, "EvalDecision": _verdict(policies, action, place)}
            for action in self._get_param("ActionNames", [])
            for place in resources
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})

    def _policies(self, arn: str) -> list[Any]:
        kind, _, name = arn.rpartition(":")[2].partition("/")
        name = name.rpartition("/")[2]
        iam = self.backend
        if kind == "user":
            inline = [iam.get_user_policy(name, each) for each in iam.list_user_policies(name)]
            return [*inline, *iam.list_attached_user_policies(name)[0]]
        if kind == "role":
            documents = [iam.get_role_policy(name, each)[1] for each in iam.list_role_policies(name)]
            return [*documents, *iam.list_attached_role_policies(name)[0]]
        raise InvalidInput(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")


def _verdict(policies: list[IAMPolicy], action: str, resource: str) -> str:
    verdicts = [policy.is_action_permitted(action, resource) for policy in policies]
    for verdict in (PermissionResult.DENIED, PermissionResult.PERMITTED):
        if verdict in verdicts:
            return _DECISIONS[verdict]
    return "implicitDeny"
