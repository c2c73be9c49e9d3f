"""Why ECS starts no task, or ended one, in words that a scientist can act on. Pure.

ECS says it in three places: an exception, ``failures[].reason`` of RunTask, and ``stopCode`` with ``stoppedReason`` of
a task that was accepted and then failed. The same words come in all three. The patterns are from the Amazon ECS
developer guide ("Stopped tasks error messages", "API failure reasons") and from reports of users.
"""

from __future__ import annotations

import re
from enum import Enum

from burst_magic.dataclass import dataclass


class StartProblem(Enum):
    """What stands in the way of a task."""

    CAPACITY = "capacity"  # AWS has no room
    QUOTA = "quota"  # the account may not have more
    ADDRESSES = "addresses"  # the subnet has no free address
    NETWORK = "network"  # an interface was not attached in time
    PULLS = "pulls"  # the image's registry limits them
    IMAGE = "image"
    ROUTE = "route"  # the subnet has no way to the registry, to S3 or to CloudWatch
    ROLE = "role"
    SIZE = "size"
    LOGS = "logs"
    SETUP = "setup"  # cluster, task definition, subnet, security group, capacity provider
    BLOCKED = "blocked"  # the account
    OTHER = "other"

    @property
    def passes(self) -> bool:
        """Whether waiting may help."""
        return self.is_room or self in {StartProblem.ADDRESSES, StartProblem.NETWORK, StartProblem.PULLS}

    @property
    def is_room(self) -> bool:
        """Whether it concerns one kind of capacity only: another kind may have room."""
        return self in {StartProblem.CAPACITY, StartProblem.QUOTA}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why there is no task.

    Attributes:
        problem: one line: what is wrong and what to do.
        words: AWS's own.
    """

    trouble: StartProblem
    problem: str
    words: str


_ROUTE = "give workers a public address (aws.public_ip = true), or the subnet a NAT gateway or VPC endpoints"
# The first pattern that matches counts: special ones stand before general ones.
_TABLE: tuple[tuple[str, StartProblem, str], ...] = (
    (
        r"InsufficientFreeAddresses|not enough free addresses|RESOURCE:ENI",
        StartProblem.ADDRESSES,
        "a subnet has no free IP addresses: add subnets to aws.subnets, or stop what uses them",
    ),
    (
        r"reached the limit on the number of|vCPU.*limit|limit.*vCPU|above your limit|(Limit|Quota)Exceeded",
        StartProblem.QUOTA,
        (
            "the account's limit of Fargate vCPUs is reached: workers start as others end; "
            "%burst_quota shows it, %burst_quota request N raises it"
        ),
    ),
    (
        r"Capacity is unavailable|RESOURCE:(CPU|MEMORY|GPU)|insufficient capacity|no capacity",
        StartProblem.CAPACITY,
        "AWS has no capacity for such a worker now: another size, --arch or more zones (aws.subnets) may have",
    ),
    (
        r"[Tt]imeout waiting for network interface|network interface provisioning",
        StartProblem.NETWORK,
        "AWS did not attach a network interface in time",
    ),
    (
        r"CannotPull\w*: .*(timeout|timed out|dial tcp|connection refused|no such host)",
        StartProblem.ROUTE,
        f"the worker's image cannot be reached from its subnet: {_ROUTE}",
    ),
    (
        r"CannotPull\w*: .*(toomanyrequests|rate limit|429 Too Many)",
        StartProblem.PULLS,
        "the image's registry allows no more pulls now: use a copy in ECR (a pull-through cache)",
    ),
    (
        r"CannotPull\w*: .*(denied|[Uu]nauthorized|403|authorization)",
        StartProblem.IMAGE,
        "the execution role may not pull the worker's image, or there is no such image",
    ),
    (
        r"CannotPull\w*: .*(no matching manifest|exec format)|exec format error",
        StartProblem.IMAGE,
        "the worker's image was not built for this --arch",
    ),
    (r"CannotPull|image.*(not found|does not exist)", StartProblem.IMAGE, "the worker's image was not found"),
    (
        r"log group|logging driver|logger args|CreateLogStream|ResourceInitializationError.*awslogs",
        StartProblem.LOGS,
        (
            "the container's log group cannot be used: does the one of the task definition exist, "
            "and may the execution role write to it?"
        ),
    ),
    (
        r"ResourceInitializationError.*(time(d )?out|dial tcp|deadline exceeded|connection issue|resource retrieval)",
        StartProblem.ROUTE,
        f"the worker cannot reach AWS from its subnet: {_ROUTE}",
    ),
    (
        r"unable to assume.*role|[Rr]ole.*(not valid|invalid|does not exist)|PassRole|AssumeRole|execution role",
        StartProblem.ROLE,
        (
            "ECS may not use the workers' roles: check that the roles of the task definition exist and trust "
            "ecs-tasks.amazonaws.com"
        ),
    ),
    (
        r"No Fargate configuration exists|[Ii]nvalid (setting for .*)?(cpu|CPU|memory)",
        StartProblem.SIZE,
        "Fargate does not offer workers of this size",
    ),
    (
        r"[Bb]locked|suspended|being (verified|validated)",
        StartProblem.BLOCKED,
        "AWS has blocked the account: ask AWS Support",
    ),
    (
        r"[Cc]luster.*not found|ClusterNotFound|cluster.*(inactive|INACTIVE)",
        StartProblem.SETUP,
        "the ECS cluster of aws.cluster does not exist in this region",
    ),
    (
        r"(?i:task ?definition)",
        StartProblem.SETUP,
        "the task definition of aws.task_definition does not exist, or is not active, in this region",
    ),
    (
        r"subnet|security group|InvalidGroup|network configuration",
        StartProblem.SETUP,
        "the network of aws.subnets and aws.security_groups cannot be used",
    ),
    (
        r"capacity provider",
        StartProblem.SETUP,
        "the cluster lacks the capacity provider: add FARGATE and FARGATE_SPOT to it",
    ),
)


def read(words: str) -> Reason:
    """The reason behind AWS's words.

    >>> read("Capacity is unavailable at this time. Please try again later").trouble
    <StartProblem.CAPACITY: 'capacity'>
    """
    for pattern, trouble, problem in _TABLE:
        if re.search(pattern, words, re.DOTALL):
            return Reason(trouble=trouble, problem=problem, words=words)
    return Reason(trouble=StartProblem.OTHER, problem=words or "AWS gives no reason", words=words)
