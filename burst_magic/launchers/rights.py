"""Which rights a user needs for bursts on ECS, on what, and why. Pure.

The list is checked by ``burst doctor``. The policy that ``burst setup`` makes for users has these actions, and no
others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from burst_magic.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """An action on a resource (an ARN, or ``*``), and what it is needed for.

    Attributes:
        vital: bursts fail without it; without another one, some other verb does.
    """

    action: str
    resource: str
    reason: str
    vital: bool = True


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
        *([*_of_ecs(options, place), *_of_account(options, place)] if options.get("cluster") else []),
        *(_of_images(options, place) if options.get("repository") else []),
        *(_of_builds(options, place) if options.get("build_project") else []),
    ]


def _lesser(service: str, actions: str, resource: str, reason: str) -> list[Right]:
    """Rights that bursts can do without."""
    return [
        Right(action=f"{service}:{action}", resource=resource, reason=reason, vital=False) for action in actions.split()
    ]


def _of_account(options: Mapping[str, str], place: RightsPlace) -> list[Right]:
    """What shows more than one's own sessions, or is asked before a start and may remain unanswered."""
    stack = place.named("cloudformation", f"stack/{options.get('stack', 'burst')}/{'0' * 32}")
    network = "DescribeRouteTables DescribeSecurityGroups DescribeSubnets DescribeVpcEndpoints"
    increases = "ListRequestedServiceQuotaChangeHistoryByQuota RequestServiceQuotaIncrease"
    return [
        *_lesser("ecs", "ListClusters", "*", "for burst sessions --account"),
        *_lesser("pricing", "GetProducts", "*", "to read today's prices"),
        *_lesser("servicequotas", "GetAWSDefaultServiceQuota GetServiceQuota", "*", "to read quotas"),
        *_lesser("cloudwatch", "GetMetricStatistics", "*", "to see how much of a quota is in use"),
        *_lesser("servicequotas", increases, "*", "for burst quota request"),
        *_lesser("ecr", "DescribeImages DescribePullThroughCacheRules", "*", "to find images"),
        *_lesser("cloudformation", "DescribeStacks", stack, "for burst doctor"),
        *_lesser("ecs", "DescribeClusters", _cluster(options, place), "for burst doctor"),
        *_lesser("ec2", network, "*", "for burst doctor"),
        *_lesser("iam", "SimulatePrincipalPolicy", "*", "for burst doctor"),
    ]


def _of_images(options: Mapping[str, str], place: RightsPlace) -> list[Right]:
    """To push images to the user's repository, and to build on what a pull-through cache holds if there is one."""
    pulls = "BatchCheckLayerAvailability BatchGetImage GetDownloadUrlForLayer"
    pushes = "BatchDeleteImage CompleteLayerUpload InitiateLayerUpload PutImage UploadLayerPart"
    own = place.named("ecr", f"repository/{options['repository'].partition('/')[2]}")
    cached = options.get("image", "").partition(".amazonaws.com")[2].partition("/")[2]
    base = place.named("ecr", f"repository/{cached}")
    filling = "BatchImportUpstreamImage CreateRepository"
    return [
        *_lesser("ecr", f"{pulls} {pushes}", own, "for burst image"),
        *_lesser("ecr", "GetAuthorizationToken", "*", "for burst image"),
        *(_lesser("ecr", f"{pulls} {filling}", base, "for burst image, to pull what it builds on") if cached else []),
    ]


def _of_builds(options: Mapping[str, str], place: RightsPlace) -> list[Right]:
    project = place.named("codebuild", f"project/{options['build_project']}")
    return [
        right
        for action, reason in (("StartBuild", "for"), ("BatchGetBuilds", "to follow"), ("StopBuild", "to stop"))
        for right in _lesser("codebuild", action, project, f"{reason} burst image --remote")
    ]


def _of_store(store: str, place: RightsPlace) -> list[Right]:
    url = urlsplit(store)
    if url.scheme != "s3":
        return []
    objects = place.bucket("/".join(filter(None, (url.netloc, url.path.strip("/"), "sessions/x"))))
    return [
        Right(action="s3:GetObject", resource=objects, reason="to read results"),
        Right(action="s3:PutObject", resource=objects, reason="to send work"),
        *_lesser("s3", "AbortMultipartUpload", objects, "to give up an upload"),
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
    return [
        *passed,
        *_lesser("logs", "FilterLogEvents", streams, "to show containers' output"),
        *_lesser("logs", "GetLogEvents", streams, "to show the last lines of a container or a build"),
    ]


def context(options: Mapping[str, str], place: RightsPlace) -> list[dict[str, Any]]:
    """The values of a call's conditions, for a simulation."""
    said = {
        "ecs:cluster": _cluster(options, place),
        "ecs:CreateAction": "RunTask",
        "iam:PassedToService": "ecs-tasks.amazonaws.com",
    }
    return [
        {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for name, value in said.items()
    ]


def _cluster(options: Mapping[str, str], place: RightsPlace) -> str:
    """The ARN of the cluster, which the settings name so or by its name."""
    cluster = options.get("cluster", "")
    return cluster if cluster.startswith("arn:") else place.named("ecs", f"cluster/{cluster}")


def principal(arn: str) -> str:
    """The user or role behind a caller: a session of a role is the role's.

    >>> principal("arn:aws:sts::1:assumed-role/admin/me")
    'arn:aws:iam::1:role/admin'
    """
    found = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.*", arn)
    return f"arn:{found[1]}:iam::{found[2]}:role/{found[3]}" if found else arn
