"""RunTask, StopTask, DescribeTasks and ListTasks answer as ECS does."""

from __future__ import annotations

import json

import pytest

SPOT = [{"capacityProvider": "FARGATE_SPOT"}]
SLEEP = "print('ready', flush=True); import time; time.sleep(60)"


def test_the_same_token_gives_the_same_task_even_after_its_end(account, cloud):
    first = account.start(clientToken="same")
    assert account.start(clientToken="same") == first
    account.finished(first)

    again = account.run_task(clientToken="same")["tasks"][0]
    assert again["taskArn"] == first
    assert again["lastStatus"] == "STOPPED"
    assert [task.token for task in cloud.tasks()].count("same") == 1


def test_the_same_token_with_other_parameters_is_a_conflict(account):
    account.start(clientToken="taken")

    assert account.refusal("1", clientToken="taken").startswith("ConflictException")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"launchType": "FARGATE"}, "InvalidParameterException: Specify either Launch Type or Capacity Provider"),
        ({"count": 11}, "InvalidParameterException: Count must be between 1 and 10"),
        ({"networkConfiguration": None}, "InvalidParameterException: Network Configuration must be provided"),
        ({"startedBy": "a b"}, "InvalidParameterException: startedBy contains invalid characters"),
        ({"clientToken": "x" * 65}, "InvalidParameterException: clientToken length must be at most 64"),
        ({"cluster": "none"}, "ClusterNotFoundException: Cluster not found."),
        ({"taskDefinition": "none"}, "ClientException: Unable to describe task definition."),
        ({"overrides": {"cpu": "1024", "memory": "512"}}, "InvalidParameterException: No Fargate configuration exists"),
        ({"overrides": {"ephemeralStorage": {"sizeInGiB": 5}}}, "InvalidParameterException: Ephemeral storage size"),
        (
            {"overrides": {"containerOverrides": [{"name": "other"}]}},
            "InvalidParameterException: Override for container named other is not a container in the TaskDefinition.",
        ),
        (
            {"overrides": {"containerOverrides": [{"name": "worker", "command": ["x" * 8192]}]}},
            "InvalidParameterException: Container Overrides length must be at most 8192",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "mine"}]},
            "InvalidParameterException: The specified capacity provider strategy cannot contain",
        ),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-none"]}}},
            "InvalidParameterException: Error retrieving subnet information for [subnet-none]",
        ),
        (
            {"overrides": {"taskRoleArn": "arn:aws:iam::1:role/none"}},
            "ClientException: ECS was unable to assume the role 'arn:aws:iam::1:role/none'",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_request_is_refused_as_ecs_words_it(account, cloud, change, said):
    before = len(cloud.tasks())

    assert account.refusal(by=cloud.administrator, **change).startswith(said)
    assert len(cloud.tasks()) == before


def test_a_user_who_may_not_pass_the_role_starts_nothing(account, cloud):
    iam = cloud.administrator.clients.of("iam")
    policy = iam.get_role_policy(RoleName="burst-task-us-east-1", PolicyName="worker")["PolicyDocument"]
    trust = iam.get_role(RoleName="burst-task-us-east-1")["Role"]["AssumeRolePolicyDocument"]
    role = iam.create_role(RoleName="another", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="another", PolicyName="same", PolicyDocument=json.dumps(policy))

    assert account.refusal(overrides={"taskRoleArn": role}).startswith("AccessDeniedException: User: arn:aws:iam::")


def test_a_definition_with_tags_needs_the_right_to_tag_it(account, cloud):
    ecs, iam = account.client("ecs"), cloud.administrator.clients.of("iam")
    asked = {"family": "burst-worker-copy", "containerDefinitions": [{"name": "worker", "image": "x", "memory": 512}]}
    tagged = {**asked, "tags": [{"key": "burst", "value": "burst"}]}
    ecs.register_task_definition(**tagged)
    rule = {"Effect": "Deny", "Action": "ecs:TagResource", "Resource": "arn:aws:ecs:*:*:task-definition/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    iam.put_user_policy(UserName=cloud.stack.user_name, PolicyName="untagged", PolicyDocument=document)
    try:
        with pytest.raises(ecs.exceptions.ClientError, match=r"ecs:TagResource on resource: .*burst-worker-copy"):
            ecs.register_task_definition(**tagged)
        ecs.register_task_definition(**asked)
    finally:
        iam.delete_user_policy(UserName=cloud.stack.user_name, PolicyName="untagged")


def test_size_disk_and_tags_of_a_task_are_what_the_overrides_say(account, cloud):
    overrides = {
        "cpu": "2048",
        "memory": "4096",
        "ephemeralStorage": {"sizeInGiB": 40},
        "containerOverrides": [{"name": "worker", "command": ["python", "-c", SLEEP]}],
    }
    arn = account.start(
        overrides=overrides, tags=[{"key": "burst:session", "value": "s"}], propagateTags="TASK_DEFINITION"
    )
    [task] = account.describe(arn, include=["TAGS"])["tasks"]

    assert (task["cpu"], task["memory"], task["ephemeralStorage"]) == ("2048", "4096", {"sizeInGiB": 40})
    assert {tag["key"]: tag["value"] for tag in task["tags"]} == {"burst": "burst", "burst:session": "s"}
    assert account.describe(arn)["tasks"][0].get("tags", []) == []


def test_tasks_are_listed_by_who_started_them_and_what_they_should_be(account, cloud):
    ecs, cluster = account.client("ecs"), cloud.aws["cluster"]
    mine, other = account.start(SLEEP, startedBy="s-1"), account.start(SLEEP, startedBy="s-2")
    over = account.start(startedBy="s-1")
    account.finished(over)

    assert ecs.list_tasks(cluster=cluster, startedBy="s-1")["taskArns"] == [mine]
    assert ecs.list_tasks(cluster=cluster, startedBy="s-2")["taskArns"] == [other]
    assert ecs.list_tasks(cluster=cluster, startedBy="s-1", desiredStatus="STOPPED")["taskArns"] == [over]
    ecs.stop_task(cluster=cluster, task=mine)
    assert ecs.list_tasks(cluster=cluster, startedBy="s-1")["taskArns"] == []


def test_a_long_list_comes_in_pages(account, cloud):
    arns = [account.start(SLEEP, startedBy="pages") for _ in range(3)]
    pages = account.client("ecs").get_paginator("list_tasks")
    found = list(pages.paginate(cluster=cloud.aws["cluster"], startedBy="pages", PaginationConfig={"PageSize": 2}))

    assert [len(page["taskArns"]) for page in found] == [2, 1]
    assert [arn for page in found for arn in page["taskArns"]] == arns


def test_a_task_that_is_not_known_is_missing(account, cloud):
    said = account.describe("0" * 32)

    assert said["tasks"] == []
    assert [(each["arn"].rpartition("/")[2], each["reason"]) for each in said["failures"]] == [("0" * 32, "MISSING")]


def test_more_than_a_hundred_tasks_are_not_described_at_once(account):
    ecs = account.impatient("ecs")
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="more than 100"):
        ecs.describe_tasks(cluster=account.cloud.aws["cluster"], tasks=["0" * 32] * 101)


def test_stopping_a_task_that_is_not_known_is_refused(account, cloud):
    ecs = account.impatient("ecs")
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="The referenced task was not found"):
        ecs.stop_task(cluster=cloud.aws["cluster"], task="0" * 32)


def test_a_task_that_is_stopped_before_it_runs_never_runs(account, cloud):
    from dataclasses import replace

    cloud.weather = replace(cloud.weather, provisioning=60)
    arn = account.start("print('I ran')")
    account.client("ecs").stop_task(cluster=cloud.aws["cluster"], task=arn)
    over = account.finished(arn)

    assert over["stopCode"] == "UserInitiated"
    assert "exitCode" not in over["containers"][0]
    assert "pullStartedAt" not in over
