"""What moto's policies lack: conditions, and the resources that a request is about."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from moto.core.authorization import enable_iam_authentication
from moto.iam import access_control
from moto.iam.access_control import IAMPolicyStatement, PermissionResult

from burst_magic.errors import BurstError
from burst_magic.testing.sandbox.aws_call import PREFIXES, AskedRight

_request = threading.local()


def about(right: AskedRight) -> None:
    """Say what this thread's request needs, before moto judges it."""
    _request.right = right


class ConditionalStatement(IAMPolicyStatement):
    """A statement whose conditions count, and which is asked about the resources of the request."""

    def is_action_permitted(
        self, action: str, resource: str = "*", principal: str | None = None, incoming: Any = None
    ) -> PermissionResult:
        """Moto's verdict, for a statement whose conditions are met and on every resource that is asked for."""
        service, _, name = action.partition(":")
        action = f"{PREFIXES.get(service, service)}:{name}"
        right: AskedRight = getattr(_request, "right", AskedRight(access="", action=""))
        if action.startswith("s3:") and right.action.startswith("s3:"):
            action = right.action  # moto takes most settings of a bucket for its creation
        if not principal and not met(self._statement.get("Condition") or {}, right.context):
            return PermissionResult.NEUTRAL
        rest = {name: value for name, value in self._statement.items() if name != "Condition" or principal}
        statement = IAMPolicyStatement(rest)
        whole = resource == "*" or (action.startswith("s3:DeleteObject") and "/" not in resource)  # moto: the bucket
        places = right.resources if whole and right.action == action else (resource,)
        return _least([statement.is_action_permitted(action, place, principal, incoming) for place in places])


def _least(verdicts: Sequence[PermissionResult]) -> PermissionResult:
    for verdict in (PermissionResult.DENIED, PermissionResult.NEUTRAL):
        if verdict in verdicts:
            return verdict
    return PermissionResult.PERMITTED


def met(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, Sequence[str]]) -> bool:
    """Whether all conditions of a statement are met.

    Args:
        conditions: operator -> key -> value or values, as in a policy.
        context: the request's keys in lower case. A key that isn't there meets no condition but ``Null``.
    """
    return all(
        _one(operator, [wanted] if isinstance(wanted, str) else list(wanted), context.get(key.lower(), ()))
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _one(operator: str, wanted: Sequence[str], there: Sequence[str]) -> bool:
    if operator == "Null":
        return (not there) == (wanted[0] == "true")
    if operator in {"StringEquals", "Bool"}:
        return any(value in wanted for value in there)
    if operator in {"StringLike", "ArnLike", "ArnEquals"}:
        return any(fnmatchcase(value, pattern) for value in there for pattern in wanted)
    raise BurstError(f"the sandbox knows no condition {operator}")


@contextlib.contextmanager
def enforced() -> Iterator[None]:
    """Signatures and policies count, conditions included, for all of moto in this process."""
    moto = vars(access_control)  # IAMPolicy looks the class up here; moto has no other way in
    before = moto["IAMPolicyStatement"]
    moto["IAMPolicyStatement"] = ConditionalStatement
    try:
        with enable_iam_authentication():
            yield
    finally:
        moto["IAMPolicyStatement"] = before
