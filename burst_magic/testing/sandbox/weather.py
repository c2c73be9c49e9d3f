"""What the stand-in cloud is like at the moment: delays, limits and troubles, exchanged while it runs."""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from burst_magic.dataclass import dataclass


class StartFailure(Enum):
    """Why new tasks don't start, with what ECS says of it."""

    IMAGE = (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: "
        "{image}: not found"
    )
    REGISTRY = (
        "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth "
        "from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task network "
        "configuration."
    )
    ADDRESSES = (
        "Unexpected EC2 error while attempting to Create Network Interface in subnet '{subnet}': "
        "InsufficientFreeAddressesInSubnet"
    )
    ENI_TIMEOUT = "Timeout waiting for network interface provisioning to complete."
    STUCK = ""  # it stays in PROVISIONING until it is stopped


class QuotaAnswer(Enum):
    """How ECS says that the quota of vCPUs is used up."""

    FAILURE = "failures[]"
    EXCEPTION = "LimitExceededException"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxWeather:
    """Exchange it at any time: ``cloud.weather = replace(cloud.weather, describe_errors=3)``.

    Counts ("the next so many") start again with every exchange.

    Attributes:
        provisioning, pulling, activating, deprovisioning: seconds of each phase.
        launches: (tasks a second, bucket) for each provider.
        run_calls, stop_calls, read_calls: (calls a second, bucket) of the ECS API.
        vcpus, spot_vcpus: quotas of vCPUs that run at a time; None without a limit.
        quota_answer: how reaching them is told.
        capacity, spot_capacity: tasks for which there is room; None without a limit.
        trouble: of all tasks that start now.
        lost_replies: the next so many calls of RunTask or CreateChangeSet are carried out, and their connections end
            without a reply.
        describe_lag: seconds in which DescribeTasks and ListTasks don't know a new task: ``MISSING``.
        throttled_runs, throttled_describes, describe_errors: the next so many calls are answered with
            ThrottlingException, or with 500.
        wrapped_throttling: EC2's limit, as ECS hands it on, for the next so many RunTask calls.
        build_queue: seconds in which a build waits for a machine.
        build_within: seconds after which a build is too late; None: its own limits.
        full_images: stock images of Python have all that this process has, so that nothing need be installed.
        role_lag: seconds in which the rights of a new role don't count in S3.
        cut_off: ids of tasks that cannot reach S3.
        expired: access keys whose credentials are over.
        rate: how much faster time passes in what ECS tells; agents and delays keep to the real time.
    """

    provisioning: float = 0.05
    pulling: float = 0.05
    activating: float = 0.02
    deprovisioning: float = 0.05
    launches: tuple[float, int] = (20.0, 100)
    run_calls: tuple[float, int] = (40.0, 100)
    stop_calls: tuple[float, int] = (40.0, 100)
    read_calls: tuple[float, int] = (20.0, 100)
    vcpus: float | None = None
    spot_vcpus: float | None = None
    quota_answer: QuotaAnswer = QuotaAnswer.FAILURE
    capacity: int | None = None
    spot_capacity: int | None = None
    trouble: StartFailure | None = None
    lost_replies: int = 0
    describe_lag: float = 0.0
    throttled_runs: int = 0
    wrapped_throttling: int = 0
    throttled_describes: int = 0
    describe_errors: int = 0
    build_queue: float = 0.05
    build_within: float | None = None
    full_images: bool = False
    role_lag: float = 0.0
    cut_off: frozenset[str] = frozenset()
    expired: frozenset[str] = field(default=frozenset(), repr=False)
    rate: float = 1.0
