"""What moto's policies lack: conditions on ``s3:prefix``, who may delete which of many objects, CloudWatch's name."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from moto.core.authorization import enable_iam_authentication
from moto.iam import access_control
from moto.iam.access_control import IAMPolicyStatement, PermissionResult

_NAMES = {"monitoring": "cloudwatch"}  # moto takes a service's name from the signature, policies have another
_request = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What this thread's request is about.

    Attributes:
        prefix: the folder that it lists; None where it lists none.
        deleted: the keys that it deletes in one go.
    """

    prefix: str | None = None
    deleted: Sequence[str] = ()


def about(asked: Asked) -> None:
    """Say what this thread's request is about, before moto judges it."""
    _request.asked = asked


class ConditionalStatement(IAMPolicyStatement):
    """A statement whose condition on ``s3:prefix`` counts; other conditions count as met."""

    def is_action_permitted(
        self, action: str, resource: str = "*", principal: str | None = None, incoming: Any = None
    ) -> PermissionResult:
        """Moto's verdict, for a statement whose conditions are met and on every object that is asked for."""
        service, _, name = action.partition(":")
        action = f"{_NAMES.get(service, service)}:{name}"
        asked: Asked = getattr(_request, "asked", Asked())
        conditions = {} if principal else self._statement.get("Condition") or {}
        if not _met(conditions, asked.prefix):
            return PermissionResult.NEUTRAL
        rest = {name: value for name, value in self._statement.items() if name != "Condition" or principal}
        statement = IAMPolicyStatement(rest)
        if action == "s3:DeleteObject" and asked.deleted and "/" not in resource:  # moto judges the bucket
            places = [f"{resource}/{key}" for key in asked.deleted]
            return _least([statement.is_action_permitted(action, place, principal, incoming) for place in places])
        return statement.is_action_permitted(action, resource, principal, incoming)


def _least(verdicts: Sequence[PermissionResult]) -> PermissionResult:
    for verdict in (PermissionResult.DENIED, PermissionResult.NEUTRAL):
        if verdict in verdicts:
            return verdict
    return PermissionResult.PERMITTED


def _met(conditions: Mapping[str, Mapping[str, Any]], prefix: str | None) -> bool:
    for operator, wanted in conditions.items():
        for key, patterns in wanted.items():
            if key.lower() != "s3:prefix":
                continue
            some = [patterns] if isinstance(patterns, str) else list(patterns)
            like = operator.startswith("StringLike")
            hit = prefix is not None and any(
                fnmatchcase(prefix, pattern) if like else prefix == pattern for pattern in some
            )
            if not hit:
                return False
    return True


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
