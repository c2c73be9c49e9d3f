"""`burst setup` and `burst teardown` by their command, in an account where nothing is set up: the stand-in cloud's."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import tomlkit

from burst_magic.aws.setup import Account as SetupAccount
from burst_magic.aws.setup import SetupWishes, prepare
from burst_magic.testing.sandbox import Sandbox

STACK = {
    "Bucket", "BucketPolicy", "CacheRule", "Cluster", "Endpoint", "ExecutionRole", "LogGroup", "SecurityGroup",
    "TaskDefinition", "TaskRole", "UserPolicy",
}  # fmt: skip


class Account:
    """Somebody with an account, a terminal and no stack."""

    def __init__(self, cloud: Sandbox, home) -> None:
        self.cloud = cloud
        self.config = home / "config" / "config.toml"
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BURST_"))}
        self.environ = {**plain, **cloud.environ(), "BURST_ENV": "image:burst-sandbox/python"}

    def burst(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "burst_magic", *words]
        return subprocess.run(
            command, env={**self.environ, **environ}, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def done(self, *words: str, **environ: str) -> str:
        done = self.burst(*words, **environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *words: str) -> str:
        done = self.burst(*words)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def client(self, service: str):
        return self.cloud.administrator.clients.of(service)

    def resources(self, name="burst") -> dict[str, str]:
        found = self.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}

    def settings(self) -> dict:
        return tomlkit.parse(self.config.read_text()).unwrap()

    @property
    def running(self) -> list[str]:
        return [task.id for task in self.cloud.tasks() if not task.is_over]


@pytest.fixture
def account(tmp_path):
    with Sandbox(home=tmp_path, empty=True, stop_timeout=5) as cloud:
        cloud.weather = replace(cloud.weather, full_images=True)  # test_synced.py tries the default
        yield Account(cloud, tmp_path)


def test_an_account_becomes_a_fleet_and_an_account_again(account):
    number = account.client("sts").get_caller_identity()["Account"]
    assert f"makes the stack burst in account {number}, us-east-1 (--plan shows it)" in account.refused("setup")
    plan = account.done("setup", "--plan")
    assert all(name in plan for name in STACK)
    assert "standing still: nothing is billed by the hour" in plan
    with pytest.raises(account.client("cloudformation").exceptions.ClientError):
        account.resources()  # the plan has made nothing

    account.cloud.weather = replace(account.cloud.weather, lost_replies=1)  # of the request that makes the stack
    said = account.done("setup", "--yes")
    assert set(account.resources()) == STACK
    assert "trial: 4 tasks on 2 workers" in said
    assert "at list price" in said  # its bill
    assert account.running == []
    settings = account.settings()
    assert settings["launcher"] == "fargate"
    assert settings["store"] == f"s3://{account.resources()['Bucket']}/burst"
    assert settings["aws"]["stack"] == settings["aws"]["cluster"] == "burst"
    keys = [
        each["Key"]
        for each in account.client("s3").list_objects_v2(Bucket=account.resources()["Bucket"]).get("Contents", [])
    ]
    assert [key for key in keys if "/sessions/" in key or "/keys/" in key] == []  # nothing of the trial stays

    assert "nothing changed" in account.done("setup", "--yes")  # and it may be said again

    assert f"deletes the stack burst in account {number}, us-east-1" in account.refused("teardown")
    account.config.write_text(account.config.read_text() + "\n", encoding="utf-8")
    said = account.done("teardown", "--yes")
    assert "0 resources tagged burst=burst are left" in said
    assert account.settings() == {"aws": {}}
    assert "there is no stack burst in" in account.done("teardown", "--yes")  # nothing is left to be done


def test_the_users_other_settings_and_comments_stay(account):
    account.config.parent.mkdir(parents=True, exist_ok=True)
    account.config.write_text('# mine\nworkers = 3\nstore = "file:///elsewhere"\n', encoding="utf-8")
    account.done("setup", "--yes", "--no-trial")
    assert "# mine\nworkers = 3\n" in account.config.read_text()
    account.done("teardown", "--yes")
    assert "# mine\nworkers = 3\n" in account.config.read_text()
    assert "store" not in account.settings()


def test_what_tasks_may_touch_is_widened_kept_and_taken_back(account):
    account.client("s3").create_bucket(Bucket="data")
    account.client("s3").put_object(Bucket="data", Key="in/x", Body=b"42")
    account.done("setup", "--yes", "--no-trial", "--allow-read", "s3://data/in")
    account.done("setup", "--yes", "--no-trial", "--allow-write", "s3://data/out/", "--policy", _policy(account))
    documents = _task_policies(account)
    assert documents["reads"] == ["arn:aws:s3:::data/in", "arn:aws:s3:::data/in/*"]
    assert documents["writes"] == ["arn:aws:s3:::data/out", "arn:aws:s3:::data/out/*"]
    assert documents["lists"] == ["arn:aws:s3:::data"]
    attached = account.client("iam").list_attached_role_policies(RoleName="burst-task-us-east-1")["AttachedPolicies"]
    assert [each["PolicyName"] for each in attached] == ["extra"]

    account.done("setup", "--yes", "--no-trial", "--revoke")
    assert set(_task_policies(account)) == {"worker"}


def _policy(account) -> str:
    nothing = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::x"}]}'
    )
    return account.client("iam").create_policy(PolicyName="extra", PolicyDocument=nothing)["Policy"]["Arn"]


def _task_policies(account) -> dict[str, list[str]]:
    iam, role = account.client("iam"), "burst-task-us-east-1"
    return {
        name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"][0]["Resource"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    }


def test_settings_of_another_account_stay_when_a_stack_of_the_same_name_goes(account):
    account.done("setup", "--yes", "--no-trial")
    account.done("config", "aws.account=999999999999")
    before = account.config.read_text()
    assert "account = 999999999999" in before
    assert "removed from" not in account.done("teardown", "--yes")
    assert account.config.read_text() == before


def test_several_people_set_up_in_one_account(account):
    account.done("setup", "--yes", "--no-trial", "--name", "ada")
    account.done(
        "setup", "--yes", "--no-trial", "--name", "bob", BURST_CONFIG_DIR=str(account.config.parent.parent / "bob")
    )
    ada, bob = account.resources("burst-ada"), account.resources("burst-bob")
    assert not {*ada.values()} & {*bob.values()}
    assert "Endpoint" not in bob  # ada's serves the network that both use
    assert "the stack burst-ada" in account.refused("setup")
    assert "the stack burst-ada" in account.refused("teardown")
    account.done("teardown", "--yes")
    assert set(account.resources("burst-bob")) == set(bob)
    assert "is there" in account.done("setup", "--plan", "--name", "bob")


def test_a_resource_that_fails_is_named_with_its_reason_and_the_next_setup_goes_on(account):
    settings = account.cloud.administrator.clients.of("sts").get_caller_identity()
    bucket = f"burst-{settings['Account']}-us-east-1"
    account.client("logs").create_log_group(logGroupName="/burst/workers")

    said = account.refused("setup", "--yes", "--no-trial")
    assert "LogGroup (AWS::Logs::LogGroup) failed" in said
    assert "already exists" in said
    assert "delete it if nothing needs it" in said
    status = account.client("cloudformation").describe_stacks(StackName="burst")["Stacks"][0]["StackStatus"]
    assert status == "ROLLBACK_COMPLETE"
    assert bucket not in {each["Name"] for each in account.client("s3").list_buckets()["Buckets"]}
    assert not account.config.exists()

    account.client("logs").delete_log_group(logGroupName="/burst/workers")
    assert "removing what an earlier attempt left (ROLLBACK_COMPLETE)" in account.done("setup", "--yes", "--no-trial")


def test_a_change_that_fails_leaves_the_fleet_as_it_was(account):
    account.done("setup", "--yes", "--no-trial")
    said = account.refused("setup", "--yes", "--no-trial", "--policy", "arn:aws:iam::123456789012:policy/none")
    assert "was not changed: TaskRole (AWS::IAM::Role) failed" in said
    assert set(_task_policies(account)) == {"worker"}
    account.done("setup", "--yes", "--no-trial")


def test_without_the_right_to_make_a_cache_workers_pull_the_public_image(account):
    _deny(account, "ecr:CreatePullThroughCacheRule")
    said = account.done("setup", "--yes", "--no-trial")
    assert "no pull-through cache" in said
    assert _image(account).startswith("public.ecr.aws/docker/library/python:")


def test_a_cache_that_is_there_is_used(account):
    ecr, public = account.client("ecr"), {"upstreamRegistryUrl": "public.ecr.aws"}
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="lab", upstreamRepositoryPrefix="lab", **public)  # no Python
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="mirror", **public)
    account.done("setup", "--yes", "--no-trial")
    assert "CacheRule" not in account.resources()
    assert ".amazonaws.com/mirror/docker/library/python:" in _image(account)
    ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="mirror")
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="ROOT", **public)
    found = prepare(SetupWishes(), SetupAccount("us-east-1", account.cloud.administrator.clients)).parameters
    assert ".amazonaws.com/docker/library/python:" in found["Image"]  # that of all other repositories has no prefix
    assert (found["Cache"], found["CachePrefix"]) == ("use", "docker")


def _image(account) -> str:
    definition = account.client("ecs").describe_task_definition(taskDefinition="burst-worker")["taskDefinition"]
    return definition["containerDefinitions"][0]["image"]


def _deny(account, action: str) -> None:
    document = (
        f'{{"Version": "2012-10-17", "Statement": [{{"Effect": "Deny", "Action": "{action}", "Resource": "*"}}]}}'
    )
    account.client("iam").put_user_policy(UserName="scientist", PolicyName="deny", PolicyDocument=document)


def test_a_right_that_is_missing_is_named(account):
    _deny(account, "iam:CreateRole")
    said = account.refused("setup", "--yes", "--no-trial")
    assert "(AWS::IAM::Role) failed" in said
    assert "burst setup --plan` prints the policy" in said


def test_somebody_who_may_set_up_and_not_burst_is_told_which_policy_to_attach(account):
    _deny(account, "ecs:RunTask")
    said = account.refused("setup", "--yes")
    assert "everything is set up, but" in said
    assert "ecs:RunTask" in said
    assert "policy/burst-user-us-east-1" in said


def test_new_roles_that_are_not_effective_yet_are_waited_for(account):
    account.cloud.weather = replace(account.cloud.weather, role_lag=25.0)
    assert "not effective yet" in account.done("setup", "--yes")


def test_a_network_without_a_way_out_is_refused_before_anything_is_made(account):
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24")["Subnet"]["SubnetId"]
    said = account.refused("setup", "--yes", "--subnets", subnet)
    assert f"workers in {subnet} could not reach AWS" in said
    assert "has no route to 0.0.0.0/0" in said
    with pytest.raises(account.client("cloudformation").exceptions.ClientError):
        account.resources()


def test_teardown_stops_what_runs_and_spares_what_is_not_its_own(account):
    account.done("setup", "--yes", "--no-trial")
    environ = dict(account.environ)
    account.client("ecs").run_task(**_foreign(account))
    said = account.refused("teardown", "--yes")
    assert "not burst_magic's; nothing was deleted" in said
    assert set(account.resources()) == STACK
    for task in account.running:
        account.cloud.out_of_memory(task)
        account.cloud.wait_for(task, _stopped())

    code = (
        "import burst_magic as burst, time\n"
        "session = burst.map(lambda _: time.sleep(600), range(2), workers=2)\n"
        "while session.status().alive < 2: time.sleep(0.1)\n"
        "import os; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=100)
    assert len(account.running) == 2
    listing = account.config.parents[1] / "data" / "sessions.jsonl"
    assert "s3://burst-" in listing.read_text()
    said = account.done("teardown", "--yes")
    assert "stopping 2 workers" in said
    assert account.running == []
    assert listing.read_text() == ""  # what was in the bucket is gone


def test_a_stack_that_setup_did_not_make_is_neither_changed_nor_deleted(account):
    cloudformation = account.client("cloudformation")
    rule = "{EcrRepositoryPrefix: of-a-pipeline, UpstreamRegistryUrl: public.ecr.aws}"
    template = f"Resources: {{Rule: {{Type: AWS::ECR::PullThroughCacheRule, Properties: {rule}}}}}"
    asked = {"StackName": "burst-pipeline", "ChangeSetName": "c", "ChangeSetType": "CREATE", "TemplateBody": template}
    asked["Capabilities"] = ["CAPABILITY_NAMED_IAM"]
    made = cloudformation.create_change_set(**asked)["Id"]
    cloudformation.execute_change_set(StackName="burst-pipeline", ChangeSetName=made)
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="burst-pipeline", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    for verb in ("setup", "teardown"):
        assert "burst-pipeline was not made by burst setup" in account.refused(verb, "--name", "pipeline", "--yes")
    assert account.resources("burst-pipeline") == {"Rule": "of-a-pipeline"}


def _stopped():
    from burst_magic.testing.sandbox import TaskState

    return TaskState.STOPPED


def _foreign(account) -> dict:
    aws = account.settings()["aws"]
    network = {"subnets": aws["subnets"].split(","), "securityGroups": [aws["security_groups"]]}
    command = {"name": "worker", "command": ["python", "-c", "import time; time.sleep(600)"]}
    return {
        "cluster": "burst", "taskDefinition": "burst-worker", "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": network}, "overrides": {"containerOverrides": [command]},
    }  # fmt: skip


def test_teardown_deletes_copies_of_the_task_definition_old_versions_and_the_policy_of_users(account):
    account.done("setup", "--yes", "--no-trial")
    made, s3, ecs = account.resources(), account.client("s3"), account.client("ecs")
    s3.put_bucket_versioning(Bucket=made["Bucket"], VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=made["Bucket"], Key="burst/blobs/x", Body=body)
    s3.delete_object(Bucket=made["Bucket"], Key="burst/blobs/x")
    s3.create_multipart_upload(Bucket=made["Bucket"], Key="burst/blobs/unfinished")
    definition = ecs.describe_task_definition(taskDefinition="burst-worker")["taskDefinition"]
    for family in ("burst-worker-0123456789ab", "burst-worker-of-others"):
        ecs.register_task_definition(
            family=family, containerDefinitions=definition["containerDefinitions"], cpu="256", memory="512",
            networkMode="awsvpc", requiresCompatibilities=["FARGATE"],
        )  # fmt: skip
    account.client("iam").attach_user_policy(UserName="scientist", PolicyArn=made["UserPolicy"])

    account.done("teardown", "--yes")
    (left,) = ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
    assert "/burst-worker-of-others:" in left
    with contextlib.suppress(KeyError):
        assert made["Bucket"] not in {each["Name"] for each in s3.list_buckets()["Buckets"]}


def test_teardown_empties_the_bucket_again_if_a_kernel_writes_into_it_meanwhile(account):
    account.done("setup", "--yes", "--no-trial")
    bucket, s3 = account.resources()["Bucket"], account.client("s3")
    written = []

    def write_once(right):
        if right.action == "s3:ListBucketMultipartUploads" and not written:  # it has just been emptied
            written.append(s3.put_object(Bucket=bucket, Key="burst/sessions/s/workers/w.late", Body=b"{}"))

    account.cloud.judged = write_once
    assert "0 resources tagged burst=burst are left" in account.done("teardown", "--yes")
    assert written


def test_setup_in_a_kernels_magic_is_the_same(account):
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'burst_magic')\n"
        "shell.run_line_magic('burst_setup', '--plan')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=account.environ, capture_output=True, text=True, check=False
    )
    assert "setup would make:" in done.stdout, done.stderr
