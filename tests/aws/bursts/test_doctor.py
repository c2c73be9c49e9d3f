"""The doctor looks at an account and says what is wrong with it, and the way out."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from burst_magic import config
from burst_magic.plan.finding import Level
from burst_magic.session.doctor import examine


@pytest.fixture
def look(as_user, monkeypatch):
    """The findings by what they are about."""
    monkeypatch.setenv("BURST_LAUNCHER", "spot")
    monkeypatch.setenv("BURST_WORKERS", "4")

    def found(**environ: str):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return {each.what: each for each in examine(config.load())}

    return found


@pytest.fixture
def forbid(as_user):
    """Denies the user some actions until the end of the test."""
    iam, name = as_user.administrator.clients.of("iam"), as_user.stack.user_name

    def deny(*actions: str) -> None:
        statement = {"Effect": "Deny", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="sick", PolicyDocument=policy)

    yield deny
    with contextlib.suppress(iam.exceptions.NoSuchEntityException):
        iam.delete_user_policy(UserName=name, PolicyName="sick")


def test_a_healthy_account_is_found_healthy_and_the_stand_in_is_told_from_aws(look, as_user):
    found = look()
    assert [each for each in found.values() if each.level is Level.BAD] == []
    assert list(found)[:2] == ["python", "directories"]
    assert {"credentials", "permissions", "cluster", "network", "addresses", "security group", "quota"} <= found.keys()
    assert as_user.endpoint in found["credentials"].detail
    assert found["permissions"].detail == "all of 31 actions (simulated)"
    assert "a second create is refused" in found["store"].detail
    assert "workers" not in found  # none was started
    assert as_user.tasks() == [] or all(task.is_over for task in as_user.tasks())


def test_expired_credentials_are_said_where_they_are_and_the_rest_is_still_looked_at(look, as_user):
    as_user.expire()
    found = look()
    as_user.renew()
    assert (found["credentials"].level, found["credentials"].detail) == (Level.BAD, "your AWS credentials have expired")
    assert "aws sso login" in found["credentials"].way_out
    assert found["python"].level is Level.OK


def test_without_credentials_it_says_so(look, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    found = look()
    assert (found["credentials"].level, found["credentials"].detail) == (Level.BAD, "no AWS credentials found")


def test_the_settings_of_another_account_are_said(look):
    found = look(BURST_AWS_ACCOUNT="999900001111")["credentials"]
    assert (found.level, "account 999900001111" in found.detail) == (Level.BAD, True)


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("action", ["ecs:RunTask", "ecs:StopTask", "ecs:ListTasks"])
def test_a_missing_right_is_named_with_what_needs_it_also_where_it_cannot_be_simulated(look, forbid, action, simulated):
    forbid(action, *([] if simulated else ["iam:SimulatePrincipalPolicy"]))
    found = look()["permissions"]
    assert (found.level, found.detail) == (Level.BAD, found.detail)
    assert found.detail.startswith(f"not allowed: {action} (to ")
    assert "policy" in found.way_out


def test_without_a_simulation_what_is_allowed_is_found_by_calls_that_change_nothing(look, forbid, as_user):
    forbid("iam:SimulatePrincipalPolicy")
    before = len(as_user.tasks())
    assert look()["permissions"].detail == "all of 4 actions (tried; the others cannot be without effect)"
    assert len(as_user.tasks()) == before


def test_a_role_that_may_not_be_passed_on_is_found(look, forbid):
    forbid("iam:PassRole")
    assert "iam:PassRole (to give workers their role)" in look()["permissions"].detail


@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("ec2:DescribeRouteTables", "network"),
        ("ec2:DescribeSecurityGroups", "security group"),
        ("ecs:DescribeClusters", "cluster"),
        ("servicequotas:GetServiceQuota", "quota"),
    ],
)
def test_what_may_not_be_looked_at_is_noted_and_no_fault(look, forbid, action, what):
    forbid(action)
    found = look()[what]
    assert (found.level, found.detail) == (Level.NOTE, f"not checked: you are not allowed to call {action}")


@pytest.mark.parametrize(
    ("environ", "what", "says"),
    [
        ({"BURST_AWS_CLUSTER": "none"}, "cluster", "none does not exist"),
        ({"BURST_AWS_TASK_DEFINITION": "none"}, "task definition", "none: "),
        ({"BURST_AWS_SUBNETS": "subnet-none"}, "network", "subnet-none"),
        ({"BURST_AWS_SECURITY_GROUPS": "sg-none"}, "security group", "sg-none"),
        ({"BURST_AWS_PUBLIC_IP": "false"}, "network", "no public address"),
        ({"BURST_AWS_STACK": "burst-none"}, "stack", "burst-none does not exist"),
        ({"BURST_STORE": "s3://burst-no-such-bucket/x"}, "store", "burst-no-such-bucket"),
    ],
)
def test_settings_that_name_nothing_are_found_one_by_one(look, environ, what, says):
    found = look(**environ)
    assert (found[what].level, says in found[what].detail) == (Level.BAD, True)
    assert found[what].way_out
    assert found["credentials"].level is Level.OK


def test_a_subnet_that_leads_nowhere_is_found(look, as_user):
    ec2 = as_user.administrator.clients.of("ec2")
    subnet = ec2.describe_subnets(SubnetIds=[as_user.aws["subnets"].split(",")[0]])["Subnets"][0]
    made = ec2.create_subnet(VpcId=subnet["VpcId"], CidrBlock="172.31.200.0/24")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=subnet["VpcId"])["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=made)
    found = look(BURST_AWS_SUBNETS=made)["network"]
    assert (found.level, found.detail) == (Level.BAD, f"{made} has no route to the internet")


def test_an_image_that_was_never_pushed_is_found_before_workers_wait_for_it(look, as_user):
    ecr = as_user.administrator.clients.of("ecr")
    ecr.create_repository(repositoryName="mine")
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": f"sha256:{'0' * 64}"}, "layers": []}
    ecr.put_image(repositoryName="mine", imageManifest=json.dumps(manifest), imageTag="there")
    account = as_user.server.clients.of("sts").get_caller_identity()["Account"]
    image = f"image:{account}.dkr.ecr.us-east-1.amazonaws.com/mine"

    assert look(BURST_ENV=f"{image}:there")["image"].level is Level.NOTE  # its name does not tell its Python
    found = look(BURST_ENV=f"{image}:missing")["image"]
    assert (found.level, found.detail[:17], "mine:missing" in found.detail) == (Level.BAD, "there is no image", True)
    assert "there is no ECR repository mines" in look(BURST_ENV=f"{image}s:there")["image"].detail


def test_a_quota_for_fewer_workers_than_asked_is_noted(look, as_user):
    as_user.weather = replace(as_user.weather, vcpus=1.0, spot_vcpus=2.0)
    found = look()["quota"]
    assert (found.level, found.detail[:22]) == (Level.NOTE, "3 of 4 workers can run")


def test_what_is_not_set_up_is_said(look, tmp_path):
    found = look(BURST_CONFIG_DIR=str(tmp_path))
    assert (found["settings"].level, "no aws.cluster, aws.region" in found["settings"].detail) == (Level.BAD, True)


def test_a_script_sees_it_by_exit_code_and_json(look, as_user, tmp_path):
    import os

    def doctor(*args: str, **more: str):
        command = [sys.executable, "-m", "burst_magic", "doctor", *args]
        environ = {**os.environ, "BURST_LAUNCHER": "spot", **more}
        return subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)

    well, ill = doctor("--json"), doctor("--json", BURST_AWS_CLUSTER="none")
    assert (well.returncode, json.loads(well.stdout)["ok"], well.stderr) == (0, True, "")
    said = json.loads(ill.stdout)
    assert (ill.returncode, said["ok"]) == (1, False)
    assert [each["what"] for each in said["findings"] if each["level"] == "BAD"] == ["permissions", "cluster"]
    assert "2 of " in ill.stderr
