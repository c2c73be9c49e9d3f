"""What AWS's descriptions mean for workers, each with its way out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from burst_magic.launchers import health, rights
from burst_magic.launchers.ecs import FARGATE
from burst_magic.plan.finding import Level
from burst_magic.plan.quota import QuotaReading

USER = "arn:aws:iam::111122223333:user/me"
DEFINITION = {
    "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/burst-worker:3",
    "status": "ACTIVE",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "taskRoleArn": "arn:aws:iam::111122223333:role/task",
    "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
    "containerDefinitions": [
        {
            "name": "worker",
            "image": "public.ecr.aws/docker/library/python:3.11-slim",
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/burst/workers"}},
        }
    ],
}
SUBNET = {"SubnetId": "subnet-1", "VpcId": "vpc-1", "AvailableIpAddressCount": 5}
IGW = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}
NAT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}
ENDPOINTS = [
    {"ServiceName": f"com.amazonaws.eu-west-1.{name}", "VpcEndpointType": "Interface"}
    for name in ("ecr.api", "ecr.dkr", "logs")
]


def table(*routes, subnet="subnet-1"):
    return {"Routes": routes, "Associations": [{"SubnetId": subnet}]}


@pytest.mark.parametrize(
    ("expected", "level"), [("", Level.OK), ("111122223333", Level.OK), ("999900001111", Level.BAD)]
)
def test_credentials_of_another_account_than_the_settings_are_wrong(expected, level):
    found = health.of_identity(USER, "111122223333", expected=expected, server="")
    assert found.level is level
    assert ("AWS_PROFILE" in found.way_out) is (level is Level.BAD)


def test_a_stand_in_is_not_taken_for_aws():
    assert (
        "a stand-in for AWS at http://127.0.0.1:1"
        in health.of_identity(USER, "1", expected="", server="http://127.0.0.1:1").detail
    )


@pytest.mark.parametrize(
    ("options", "account"),
    [
        ({"account": "111122223333", "cluster": "arn:aws:ecs:eu-west-1:999900001111:cluster/burst"}, "111122223333"),
        ({"cluster": "arn:aws:ecs:eu-west-1:999900001111:cluster/burst"}, "999900001111"),
        ({"cluster": "burst", "subnets": "subnet-1"}, ""),
    ],
)
def test_the_account_of_the_settings_is_the_one_that_they_or_their_arns_say(options, account):
    assert health.expected_account(options) == account


@pytest.mark.parametrize(
    ("described", "level", "says"),
    [
        ([{"status": "ACTIVE", "capacityProviders": ["FARGATE", "FARGATE_SPOT"]}], Level.OK, "is active"),
        (
            [{"status": "ACTIVE", "capacityProviders": ["FARGATE"]}],
            Level.BAD,
            "lacks the capacity provider FARGATE_SPOT",
        ),
        ([{"status": "INACTIVE"}], Level.BAD, "is INACTIVE"),
        ([], Level.BAD, "does not exist"),
    ],
)
def test_a_cluster_is_there_with_both_kinds_of_capacity(described, level, says):
    found = health.of_cluster("burst", described)
    assert (found.level, says in found.detail, bool(found.way_out)) == (level, True, level is Level.BAD)


def test_a_task_definition_for_workers_is_fine():
    assert [each.level for each in health.of_definition(DEFINITION, container="worker")] == [Level.OK]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": "INACTIVE"}, "not active"),
        ({"networkMode": "bridge"}, "awsvpc"),
        ({"requiresCompatibilities": ["EC2"]}, "FARGATE"),
        ({"taskRoleArn": ""}, "no task role"),
        ({"executionRoleArn": ""}, "no execution role"),
        ({"containerDefinitions": [{"name": "web", "image": "nginx"}]}, "no container called worker"),
    ],
)
def test_one_that_cannot_start_workers_says_why(change, says):
    (found,) = health.of_definition({**DEFINITION, **change}, container="worker")
    assert (found.level, says in found.detail) == (Level.BAD, True)


def test_one_without_logs_is_noted():
    quiet = {**DEFINITION, "containerDefinitions": [{"name": "worker", "image": "x"}]}
    assert [each.level for each in health.of_definition(quiet, container="worker")] == [Level.OK, Level.NOTE]


@pytest.mark.parametrize(
    ("image", "wanted", "syncs", "level", "says"),
    [
        ("python:3.11-slim", "", False, Level.OK, "for x86_64"),
        ("python:3.9-slim", "", False, Level.BAD, "has Python 3.9, this kernel 3.11"),
        ("python:3.9-slim", "", True, Level.OK, "stock Python 3.11 for x86_64"),
        ("python:3.9-slim", "arm64", True, Level.OK, "stock Python 3.11 for arm64"),
        ("python:3.11-slim", "arm64", False, Level.NOTE, "a copy for arm64"),
        ("mine:latest", "", False, Level.NOTE, "does not tell its Python"),
    ],
)
def test_an_image_suits_the_kernel_s_python_and_architecture(image, wanted, syncs, level, says):
    found = health.of_image(image, "x86_64", python="3.11", wanted_arch=wanted, syncs=syncs)
    assert (found.level, says in found.detail) == (level, True)


@pytest.mark.parametrize(
    ("routes", "public", "endpoints", "says"),
    [
        ([IGW], True, [], ""),
        ([NAT], False, [], ""),
        ([NAT], True, [], ""),
        ([IGW], False, [], "no public address"),
        ([], True, [], "no route"),
        ([{**NAT, "State": "blackhole"}], False, [], "gone"),
        ([], False, ENDPOINTS, ""),
        ([], False, ENDPOINTS[:2], "no route"),
        ([IGW], False, ENDPOINTS, ""),
    ],
)
def test_workers_in_a_subnet_reach_aws_or_it_says_why_not(routes, public, endpoints, says):
    found = health.of_subnet(SUBNET, [table(*routes)], endpoints, public=public)
    assert says in found
    assert bool(says) is bool(found)


def test_a_subnet_without_a_table_of_its_own_has_the_main_one():
    main = {"Routes": [IGW], "Associations": [{"Main": True}]}
    assert health.of_subnet(SUBNET, [table(subnet="subnet-2"), main], [], public=True) == ""


@pytest.mark.parametrize(("free", "level"), [(4, Level.OK), (3, Level.NOTE), (0, Level.BAD)])
def test_fewer_free_addresses_than_workers_are_noted_and_none_is_wrong(free, level):
    assert health.of_addresses(free, workers=4).level is level


@pytest.mark.parametrize(
    ("rules", "good"),
    [
        ([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}], True),
        ([{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}], True),
        ([{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}], False),
        ([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}], False),
        ([], False),
    ],
)
def test_a_security_group_lets_workers_out_to_https(rules, good):
    assert health.of_groups([{"GroupId": "sg-1", "IpPermissionsEgress": rules}]).good is good


@pytest.mark.parametrize(("limit", "cpu", "level"), [(8, 1, Level.OK), (3, 1, Level.NOTE), (3, 4, Level.BAD)])
def test_a_quota_that_is_too_small_for_all_is_noted_and_for_one_is_wrong(limit, cpu, level):
    reading = QuotaReading(quota=FARGATE.traits.quota, limit=limit, used=0.0)
    assert health.of_quota({"fargate": reading}, workers=4, cpu=cpu).level is level


@pytest.mark.parametrize(
    ("found", "level", "says"),
    [
        (None, Level.BAD, "does not exist"),
        ({"StackStatus": "CREATE_COMPLETE"}, Level.OK, "CREATE_COMPLETE"),
        ({"StackStatus": "UPDATE_IN_PROGRESS"}, Level.NOTE, "being changed"),
        ({"StackStatus": "ROLLBACK_COMPLETE", "StackStatusReason": "no quota"}, Level.BAD, "no quota"),
        (
            {"StackStatus": "UPDATE_COMPLETE", "DriftInformation": {"StackDriftStatus": "DRIFTED"}},
            Level.NOTE,
            "by hand",
        ),
    ],
)
def test_a_stack_is_as_it_was_made_or_setup_repairs_it(found, level, says):
    said = health.of_stack("burst", found)
    assert (said.level, says in said.detail) == (level, True)
    assert bool(said.way_out) is (level is not Level.OK)


def test_rights_are_asked_on_the_very_things_that_bursts_use():
    place = rights.RightsPlace(account="111122223333", region="eu-west-1", arn=USER)
    options = {"cluster": "arn:aws:ecs:eu-west-1:111122223333:cluster/burst", "task_definition": "burst-worker:3"}
    wanted = rights.needed(options, "s3://lab/burst", place)
    asked = {each.action: each.resource for each in wanted}
    assert asked["s3:PutObject"] == "arn:aws:s3:::lab/burst/sessions/x"
    assert asked["s3:ListBucket"] == "arn:aws:s3:::lab"
    definition = "arn:aws:ecs:eu-west-1:111122223333:task-definition/burst-worker"
    started = {each.resource for each in wanted if each.action == "ecs:RunTask"}
    assert started == {f"{definition}:1", f"{definition}-000000000000:1"}  # and its copies
    assert f"{definition}-000000000000:1" in {each.resource for each in wanted if each.action == "ecs:TagResource"}
    assert asked["ecs:StopTask"].startswith("arn:aws:ecs:eu-west-1:111122223333:task/burst/")
    more = {each.resource for each in rights.of_definition(DEFINITION, place, container="worker")}
    assert more == {
        DEFINITION["taskRoleArn"],
        DEFINITION["executionRoleArn"],
        "arn:aws:logs:eu-west-1:111122223333:log-group:/burst/workers:*",
    }


def test_a_store_in_a_folder_needs_no_right_and_another_partition_keeps_its_name():
    china = rights.RightsPlace(account="1", region="cn-north-1", arn="arn:aws-cn:iam::1:user/me")
    assert rights.needed({}, "file:///tmp/x", china) == []
    assert rights.needed({}, "s3://b", china)[0].resource == "arn:aws-cn:s3:::b/sessions/x"
    assert replace(china, region="x").named("ecs", "y") == "arn:aws-cn:ecs:x:1:y"


@pytest.mark.parametrize(
    ("arn", "principal"),
    [
        (USER, USER),
        ("arn:aws:sts::1:assumed-role/admin/me@x", "arn:aws:iam::1:role/admin"),
        ("arn:aws:sts::1:federated-user/me", "arn:aws:sts::1:federated-user/me"),
    ],
)
def test_a_session_of_a_role_is_the_role_s(arn, principal):
    assert rights.principal(arn) == principal
