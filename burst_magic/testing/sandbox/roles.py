"""Credentials of roles, as ECS gives them to containers, and who may pass a role on."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow
from moto.iam.access_control import IAMPolicy, PermissionResult, create_access_key
from moto.iam.models import SERVICE_NAME_CONVERSION, iam_backends
from moto.sts.models import sts_backends

from burst_magic.dataclass import dataclass
from burst_magic.testing.sandbox.aws_call import AskedRight
from burst_magic.testing.sandbox.orders import EcsRefusal
from burst_magic.testing.servers import Keys

_LIFETIME = 6 * 3600  # seconds, as of Fargate's task credentials
_PARTITION = "aws"
SERVICE_NAME_CONVERSION.setdefault("ecs", "ECS")  # AWSServiceRoleForECS, which moto spells otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCredentials:
    """What the credentials' endpoint tells a container.

    Attributes:
        ident: names them in the endpoint's path; secret: what a container must show to get them.
    """

    ident: str
    secret: str = field(repr=False)
    task: str
    keys: Keys
    document: Mapping[str, str] = field(repr=False)

    def variables(self, endpoint: str, home: Path) -> dict[str, str]:
        """What tells a container of them: where they are, and the file with what it must show."""
        home.mkdir(parents=True, exist_ok=True)
        token = home / ".credentials-token"
        token.write_text(self.secret)
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint}/v2/credentials/{self.ident}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }


class Roles:
    """The roles of one account."""

    def __init__(self, account: str, region: str, *, judged: Callable[[AskedRight], object]) -> None:
        self._account = account
        self._judged = judged
        self._region = region
        self._lock = threading.Lock()
        self._given: dict[str, TaskCredentials] = {}
        self._task_of: dict[str, str] = {}
        self._made: dict[str, datetime] = {}  # access key -> when its role was created

    @property
    def _iam(self) -> Any:
        return iam_backends[self._account][_PARTITION]

    def administrator(self) -> Keys:
        """A user who may do everything: makes it."""
        self._iam.create_user(self._region, "sandbox-administrator")
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
        self._iam.put_user_policy("sandbox-administrator", "everything", policy)
        key = self._iam.create_access_key("sandbox-administrator")
        return Keys(access=key.access_key_id, secret=key.secret_access_key)

    def has(self, name: str) -> bool:
        """Whether there is a role of that name."""
        return any(role.name == name for role in self._iam.roles.values())

    def trusts(self, arn: str, service: str) -> bool:
        """Whether there is such a role, and the service may assume it."""
        from moto.iam.exceptions import NotFoundException

        try:
            return f"{service}.amazonaws.com" in self._iam.get_role_by_arn(arn).assume_role_policy_document
        except NotFoundException:
            return False

    def check(self, arn: str) -> None:
        """Raises what RunTask answers if ECS cannot assume the role."""
        if not self.trusts(arn, "ecs-tasks"):
            raise EcsRefusal(
                "ClientException",
                f"ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the "
                "role being passed has the proper trust relationship and permissions and that your IAM user has "
                "permissions to pass this role.",
            )

    def check_right(self, right: AskedRight, headers: Mapping[str, str]) -> None:
        """Raises what ECS answers if a caller lacks a right that a call implies, such as to pass a role on."""
        self._judged(right)
        caller = create_access_key(self._account, _PARTITION, right.access, dict(headers))
        (resource,) = right.resources
        verdicts = [IAMPolicy(each).is_action_permitted(right.action, resource) for each in caller.collect_policies()]
        if PermissionResult.DENIED in verdicts or PermissionResult.PERMITTED not in verdicts:
            raise EcsRefusal(
                "AccessDeniedException",
                f"User: {caller.arn} is not authorized to perform: {right.action} on resource: {resource} because no "
                f"identity-based policy allows the {right.action} action",
            )

    def keys_of(self, access_key: str, headers: Mapping[str, str]) -> Keys:
        """All of the keys with which a request was signed."""
        found = create_access_key(self._account, _PARTITION, access_key, dict(headers)).create_credentials()
        return Keys(access=found.access_key, secret=found.secret_key, token=found.token)

    def assume(self, arn: str, *, task: str) -> Keys:
        """New credentials of a role for a task's use."""
        role = sts_backends[self._account][_PARTITION].assume_role(
            region_name=self._region,
            role_session_name=task,
            role_arn=arn,
            policy="",
            duration=_LIFETIME,
            external_id="",
        )
        with self._lock:
            self._task_of[role.access_key_id] = task
            self._made[role.access_key_id] = self._iam.get_role_by_arn(arn).create_date
        return Keys(access=role.access_key_id, secret=role.secret_access_key, token=role.session_token)

    def give(self, arn: str, *, task: str) -> TaskCredentials:
        """Credentials for the endpoint of a container."""
        keys = self.assume(arn, task=task)
        role: Any = sts_backends[self._account][_PARTITION].get_assumed_role_from_access_key(keys.access)
        document = {
            "RoleArn": arn,
            "AccessKeyId": keys.access,
            "SecretAccessKey": keys.secret,
            "Token": keys.token or "",
            "Expiration": role.expiration.replace(tzinfo=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        given = TaskCredentials(
            ident=secrets.token_hex(16), secret=secrets.token_urlsafe(32), task=task, keys=keys, document=document
        )
        with self._lock:
            self._given[given.ident] = given
        return given

    def told(self, ident: str, secret: str) -> Mapping[str, str] | None:
        """The document for whoever names it and shows its secret."""
        given = self._given.get(ident)
        if given is None or not secrets.compare_digest(given.secret, secret):
            return None
        return given.document

    def age(self, access_key: str) -> float:
        """Seconds since the key's role was created; infinite for keys of no role."""
        made = self._made.get(access_key)
        return float("inf") if made is None else (utcnow() - made).total_seconds()

    def task_of(self, access_key: str) -> str:
        """The id of the task that the key was made for, or ""."""
        return self._task_of.get(access_key, "")
