"""AWS's words, from its documentation and from users' reports, and what a scientist reads."""

from __future__ import annotations

import pytest

from burst_magic.aws.reasons import StartProblem, read

WORDS = [
    (
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        StartProblem.CAPACITY,
        "--arch",
    ),
    ("RESOURCE:CPU", StartProblem.CAPACITY, "capacity"),
    (
        "You've reached the limit on the number of vCPUs you can run concurrently",
        StartProblem.QUOTA,
        "%burst_quota request",
    ),
    ("You've reached the limit on the number of tasks you can run concurrently", StartProblem.QUOTA, "limit"),
    ("The requested CPU configuration is above your limit", StartProblem.QUOTA, "limit"),
    ("RESOURCE:ENI", StartProblem.ADDRESSES, "aws.subnets"),
    (
        (
            "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in subnet "
            "'subnet-1': InsufficientFreeAddressesInSubnet"
        ),
        StartProblem.ADDRESSES,
        "addresses",
    ),
    ("Timeout waiting for network interface provisioning to complete.", StartProblem.NETWORK, "in time"),
    (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref x: not found",
        StartProblem.IMAGE,
        "not found",
    ),
    (
        "CannotPullContainerError: pull access denied for x, repository does not exist or may require authorization",
        StartProblem.IMAGE,
        "execution role",
    ),
    ("CannotPullContainerError: inspect image: toomanyrequests: Rate exceeded", StartProblem.PULLS, "pull-through"),
    (
        "CannotPullContainerError: failed to copy: unexpected status from GET request: 429 Too Many Requests",
        StartProblem.PULLS,
        "pull-through",
    ),
    (
        "CannotPullContainerError: failed to resolve ref 104290000000.dkr.ecr.eu-west-1.amazonaws.com/x: not found",
        StartProblem.IMAGE,
        "not found",
    ),
    (
        "CannotPullContainerError: ref pull has been retried 5 time(s): failed to do request: dial tcp 1.2.3.4:443: i/o timeout",
        StartProblem.ROUTE,
        "aws.public_ip",
    ),
    (
        "CannotPullContainerError: image Manifest does not contain descriptor: no matching manifest for linux/arm64",
        StartProblem.IMAGE,
        "--arch",
    ),
    (
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from "
            "Amazon ECR: There is a connection issue between the task and Amazon ECR."
        ),
        StartProblem.ROUTE,
        "public address",
    ),
    (
        (
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to "
            "create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist."
        ),
        StartProblem.LOGS,
        "task definition",
    ),
    (
        "ECS was unable to assume the role 'arn:aws:iam::1:role/x' that was provided for this task.",
        StartProblem.ROLE,
        "trust",
    ),
    (
        "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        StartProblem.ROLE,
        "role",
    ),
    ("No Fargate configuration exists for given values: 3000 CPU, 1024 memory.", StartProblem.SIZE, "size"),
    ("Cluster not found.", StartProblem.SETUP, "aws.cluster"),
    ("Unable to describe task definition.", StartProblem.SETUP, "aws.task_definition"),
    ("TaskDefinition is inactive", StartProblem.SETUP, "aws.task_definition"),
    (
        "Error retrieving subnet information for [subnet-9]: The subnet ID 'subnet-9' does not exist",
        StartProblem.SETUP,
        "aws.subnets",
    ),
    ("The specified capacity provider 'FARGATE_SPOT' was not found.", StartProblem.SETUP, "FARGATE_SPOT"),
    ("Your account is currently blocked. If you have questions, contact AWS Support.", StartProblem.BLOCKED, "Support"),
    ("Something that nobody has seen", StartProblem.OTHER, "Something that nobody has seen"),
    ("", StartProblem.OTHER, "no reason"),
]


@pytest.mark.parametrize(("words", "problem", "advice"), WORDS, ids=[words[:40] or "nothing" for words, *_ in WORDS])
def test_each_reason_is_told_apart_and_says_what_to_do(words, problem, advice):
    reason = read(words)
    assert reason.trouble is problem
    assert advice in reason.problem
    assert "\n" not in reason.problem
    assert reason.words == words


def test_only_what_time_may_heal_passes():
    passing = {StartProblem.CAPACITY, StartProblem.QUOTA, StartProblem.ADDRESSES, StartProblem.NETWORK}
    passing |= {StartProblem.PULLS}
    assert {each for each in StartProblem if each.passes} == passing
