"""IAM conditions on ``s3:prefix``, which moto doesn't know: who may list which folder of a bucket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from moto.core.authorization import enable_iam_authentication
from moto.iam import access_control
from moto.iam.access_control import IAMPolicyStatement, PermissionResult

_request = threading.local()


def listing(prefix: str | None) -> None:
    """The folder that this thread's request lists; None where it lists none."""
    _request.prefix = prefix


class ConditionalStatement(IAMPolicyStatement):
    """A statement whose condition on ``s3:prefix`` counts; other conditions count as met."""

    def is_action_permitted(
        self, action: str, resource: str = "*", principal: str | None = None, incoming: Any = None
    ) -> PermissionResult:
        """Moto's verdict, for a statement whose conditions are met."""
        conditions = self._statement.get("Condition")
        if principal or not conditions:
            return super().is_action_permitted(action, resource, principal, incoming)
        if not _met(conditions, getattr(_request, "prefix", None)):
            return PermissionResult.NEUTRAL
        rest = {name: value for name, value in self._statement.items() if name != "Condition"}
        return IAMPolicyStatement(rest).is_action_permitted(action, resource, principal, incoming)


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
