"""Which rights a user needs for bursts on ECS, on what, and why. Pure.

The list is checked by ``burst doctor``; the policy that ``burst setup`` makes has the same actions, and a few that only
setup and the doctor need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """An action on a resource (an ARN, or ``*``), and what it is needed for."""

    action: str
    resource: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsPlace:
    """Whose rights, and where: account, region, and the caller's ARN, which names the partition."""

    account: str
    region: str
    arn: str

    def named(self, service: str, rest: str) -> str:
        """The ARN of something of ECS's in this account and region."""
        partition = self.arn.split(":")[1]
        return f"arn:{partition}:{service}:{self.region}:{self.account}:{rest}"

    def bucket(self, rest: str) -> str:
        """The ARN of a bucket, or of objects in it."""
        return f"arn:{self.arn.split(':')[1]}:s3:::{rest}"


def needed(options: Mapping[str, str], store: str, place: RightsPlace) -> list[Right]:
    """What bursts need with these settings; without a cluster only what the store needs.

    Args:
        options: the ``[aws]`` table.
        store: URL.
        place: account and region.
    """
    return [
        *_of_store(store, place),
        *(_of_ecs(options, place) if options.get("cluster") else []),
        *(_of_builds(options, place) if options.get("build_project") else []),
    ]


def _of_builds(options: Mapping[str, str], place: RightsPlace) -> list[Right]:
    project = place.named("codebuild", f"project/{options['build_project']}")
    return [
        Right(action=f"codebuild:{action}", resource=project, reason=f"{reason} burst image --remote")
        for action, reason in (("StartBuild", "for"), ("BatchGetBuilds", "to follow"), ("StopBuild", "to stop"))
    ]


def _of_store(store: str, place: RightsPlace) -> list[Right]:
    url = urlsplit(store)
    if url.scheme != "s3":
        return []
    objects = place.bucket("/".join(filter(None, (url.netloc, url.path.strip("/"), "sessions/x"))))
    return [
        Right(action="s3:GetObject", resource=objects, reason="to read results"),
        Right(action="s3:PutObject", resource=objects, reason="to send work"),
        Right(action="s3:DeleteObject", resource=objects, reason="to clean up"),
        Right(action="s3:ListBucket", resource=place.bucket(url.netloc), reason="to find results"),
    ]


def _of_ecs(options: Mapping[str, str], place: RightsPlace) -> list[Right]:
    cluster = options["cluster"].rpartition("/")[2]
    family = re.sub(r":\d+$", "", options.get("task_definition", "").rpartition("/")[2])
    task = place.named("ecs", f"task/{cluster}/{'0' * 32}")
    definition, copy = (place.named("ecs", f"task-definition/{name}:1") for name in (family, f"{family}-{'0' * 12}"))
    return [
        Right(action="ecs:RunTask", resource=definition, reason="to start workers"),
        Right(action="ecs:RunTask", resource=copy, reason="to start workers with --env sync"),
        Right(action="ecs:TagResource", resource=task, reason="to tag workers"),
        Right(action="ecs:TagResource", resource=copy, reason="to copy the task definition with its tags"),
        Right(action="ecs:StopTask", resource=task, reason="to stop workers"),
        Right(action="ecs:DescribeTasks", resource=task, reason="to see workers"),
        Right(action="ecs:ListTasks", resource="*", reason="to find workers"),
        Right(action="ecs:DescribeTaskDefinition", resource="*", reason="to start workers"),
        Right(action="ecs:RegisterTaskDefinition", resource="*", reason="for --env sync, or another image"),
    ]


def of_definition(definition: Mapping[str, Any], place: RightsPlace, *, container: str) -> list[Right]:
    """What bursts need for the roles and the log group of a task definition.

    Args:
        definition: ``taskDefinition`` of DescribeTaskDefinition.
        place: account and region.
        container: the worker's.
    """
    roles = {definition[name] for name in ("taskRoleArn", "executionRoleArn") if definition.get(name)}
    passed = [
        Right(action="iam:PassRole", resource=role, reason="to give workers their role") for role in sorted(roles)
    ]
    worker: Mapping[str, Any] = next(
        (each for each in definition["containerDefinitions"] if each["name"] == container), {}
    )
    group = worker.get("logConfiguration", {}).get("options", {}).get("awslogs-group", "")
    if not group:
        return passed
    streams = place.named("logs", f"log-group:{group}:*")
    return [*passed, Right(action="logs:FilterLogEvents", resource=streams, reason="to show containers' output")]


def context(options: Mapping[str, str], place: RightsPlace) -> list[dict[str, Any]]:
    """The values of a call's conditions, for a simulation."""
    cluster = options.get("cluster", "")
    arn = cluster if cluster.startswith("arn:") else place.named("ecs", f"cluster/{cluster}")
    said = {"ecs:cluster": arn, "ecs:CreateAction": "RunTask", "iam:PassedToService": "ecs-tasks.amazonaws.com"}
    return [
        {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for name, value in said.items()
    ]


def principal(arn: str) -> str:
    """The user or role behind a caller: a session of a role is the role's.

    >>> principal("arn:aws:sts::1:assumed-role/admin/me")
    'arn:aws:iam::1:role/admin'
    """
    found = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.*", arn)
    return f"arn:{found[1]}:iam::{found[2]}:role/{found[3]}" if found else arn
