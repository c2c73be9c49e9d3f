"""Whoever runs `burst setup` and `burst teardown` needs the policy that `--plan` prints, and none of its actions is idle.

A stack is made, changed and taken away with exactly that policy, and each right that was asked for is recorded. In AWS,
CloudFormation asks for more than the stand-in does: what the handlers of the template's types need is in AWS's own
schemas, which cfn-lint brings along.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.resources import files

import pytest

from burst_magic.aws import rights
from burst_magic.aws.codebuild import BuildProject
from burst_magic.aws.template import Whereabouts, parse, text
from burst_magic.cli import main
from burst_magic.testing.sandbox import Sandbox
from burst_magic.testing.sandbox.aws_call import AskedRight

from .test_least_privilege import actions, allows

ALWAYS = {"sts:GetCallerIdentity"}  # AWS allows it to everybody
# What neither is: CodeBuild's type has no such handlers, and the rest is setup's own way through trouble.
ELSEWHERE = {
    "cloudformation:ContinueUpdateRollback": "a change whose undoing failed, too, is taken up",
    "cloudformation:DeleteChangeSet": "a setup that changes nothing leaves no change set",
    "cloudformation:TagResource": "a stack is made with a tag",
    "codebuild:BatchGetProjects": "how CloudFormation makes projects is not published; it may look at them",
    "codebuild:UpdateProject": "a later version's template changes the project",
    "ecs:StopTask": "teardown stops what runs",
    "ecs:DescribeTasks": "the same",
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Rights that were asked for with the user's keys, and the policy."""
    home, seen = tmp_path_factory.mktemp("setup"), list[AskedRight]()
    with Sandbox(home=home, empty=True) as cloud, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "BURST_"))]:
            patch.delenv(name)
        for name, value in cloud.environ().items():
            patch.setenv(name, value)
        iam, where = cloud.administrator.clients.of("iam"), cloud.administrator.clients.of("sts").get_caller_identity()
        policy = rights.setup_policy("burst", Whereabouts(account=where["Account"], region="us-east-1"))
        iam.put_user_policy(UserName=cloud.stack.user_name, PolicyName="setup", PolicyDocument=json.dumps(policy))
        iam.delete_user_policy(UserName=cloud.stack.user_name, PolicyName="user")
        cloud.judged = seen.append
        quiet = ("--yes", "--no-trial")
        assert main(["setup", *quiet, "--repository"]) == 0
        assert main(["setup", *quiet, "--allow-read", "s3://data"]) == 0
        assert main(["setup", *quiet]) == 0
        _use(cloud)
        cloud.weather = replace(cloud.weather, build_queue=600.0)
        project = BuildProject("burst-image", clients=cloud.administrator.clients)
        project.start("nowhere/nothing.zip", arch="x86_64", variables={})
        assert main(["teardown", "--yes"]) == 0
        cloud.judged = lambda _: None
        assert cloud.builds()[-1].stop.is_set()  # it would outlive its project
        yield [right for right in seen if right.access == cloud.stack.user.access], policy


def _use(cloud: Sandbox) -> None:
    """What is left by use: objects, an unfinished upload, and the policy of users on one."""
    administrator = cloud.administrator.clients
    s3, iam = administrator.of("s3"), administrator.of("iam")
    account = administrator.of("sts").get_caller_identity()["Account"]
    bucket = f"burst-{account}-us-east-1"
    s3.put_object(Bucket=bucket, Key="burst/blobs/x", Body=b"x")
    s3.create_multipart_upload(Bucket=bucket, Key="burst/blobs/unfinished")
    policy = f"arn:aws:iam::{account}:policy/burst-user-us-east-1"
    iam.attach_user_policy(UserName=cloud.stack.user_name, PolicyArn=policy)


def test_a_stack_is_made_changed_and_taken_away_with_the_printed_policy(asked):
    seen, policy = asked
    assert [right for right in seen if right.action not in ALWAYS and not permits(policy, right)] == []


def test_no_action_is_in_it_that_neither_setup_nor_cloudformation_needs(asked):
    seen, policy = asked
    needed = {right.action for right in seen} | handlers() | set(ELSEWHERE)
    idle = [action for action in actions(policy) if not any(fnmatchcase(each, action) for each in needed)]
    assert idle == []


def test_without_any_of_the_actions_that_were_asked_for_something_is_refused(asked):
    seen, policy = asked
    for action in sorted(actions(policy) & {right.action for right in seen}):
        assert [right for right in seen if not allows(policy, right, but=action)], action


def permits(policy, right: AskedRight) -> bool:
    """As ``allows``, with patterns in actions."""
    wide = [
        {**each, "Action": [right.action]}
        for each in policy["Statement"]
        if any(fnmatchcase(right.action, action) for action in each["Action"])
    ]
    return allows({"Statement": wide}, right)


def handlers() -> set[str]:
    """What CloudFormation asks for to make, change and delete the template's types."""
    kinds = {resource["Type"] for resource in parse(text())["Resources"].values()}
    found: set[str] = set()
    for path in files("cfnlint.data.schemas.resources").iterdir():
        text_of = path.read_text(encoding="utf-8") if path.name.endswith(".json") else ""
        if not any(f'"{kind}"' in text_of for kind in kinds):  # others are not worth parsing
            continue
        schema = json.loads(text_of)
        for handler in schema.get("handlers", {}).values() if schema.get("typeName") in kinds else ():
            found |= set(handler.get("permissions", ()))
    return found
