"""Users and workers have the rights that they use, and no others.

All of this runs under enforcement with exactly the stack's policies. Every right that a request needed is recorded: each
action of a policy allows a recorded request that nothing else in the policy allows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from burst_magic.aws import rights
from burst_magic.aws.codebuild import BuildProject
from burst_magic.aws.faults import meaning
from burst_magic.aws.setup import expected
from burst_magic.aws.template import StackTemplate, Whereabouts, parse, text
from burst_magic.cli import main
from burst_magic.errors import Denied
from burst_magic.testing.sandbox import Sandbox
from burst_magic.testing.sandbox.aws_call import AskedRight
from burst_magic.testing.sandbox.policies import met

from .builder import Builder, with_repository

REGION = "us-east-1"
_ALWAYS = {"sts:GetCallerIdentity"}  # AWS allows it to everybody
USE = """
import time
import burst_magic as burst
from burst_magic.errors import CaptureError

def work(item):
    print("at", item)
    time.sleep(0.2)
    return item ** 2

session = burst.map(work, range(6), workers=2, launcher="fargate", name="one")
assert list(session.results()) == [item ** 2 for item in range(6)]
session.scale(3)
session.extend("1h")
assert list(session.logs())
assert session.fleet.logs()

def items():
    for number in range(3):
        yield bytes(6 << 20)  # what is uploaded in parts
    raise LookupError

try:
    burst.map(len, items(), workers=1, launcher="fargate")
except CaptureError:
    pass
arm = burst.map(work, range(1), workers=1, launcher="spot", arch="arm64")
assert list(arm.results()) == [0]
arm.cleanup(force=True)
"""
COMMANDS = (
    ["sessions", "--account"],
    ["attach", "one"],
    ["logs", "one"],
    ["quota"],
    ["quota", "request", "40"],
    ["doctor"],
    ["cleanup", "one", "--force", "--yes"],
)


class Recorded:
    """What was asked for, by the user and by tasks, and the policies of the stack."""

    def __init__(self, cloud: Sandbox, seen: Sequence[AskedRight]) -> None:
        workers = {key for task in cloud.tasks() for key in task.credentials}
        builds = {key for build in cloud.builds() for key in build.credentials}
        self.by = {
            "user": [right for right in seen if right.access == cloud.stack.user.access],
            "task": [right for right in seen if right.access in workers],
            "build": [right for right in seen if right.access in builds or _of_a_builds_log(right)],
        }
        account = cloud.administrator.clients.of("sts").get_caller_identity()["Account"]
        where = Whereabouts(account=account, region=REGION)
        given = {"VpcId": "", "SubnetIds": "", "MakeRepository": "true", "Cache": "make"}
        template = StackTemplate(parse(text()), given, where=where, made=partial(expected, name="burst", where=where))
        self.policies = rights.policies(template)


def _of_a_builds_log(right: AskedRight) -> bool:
    return ":log-stream:image/" in right.resources[0] and right.action in {"logs:CreateLogStream", "logs:PutLogEvents"}


def allows(document: Mapping[str, Any], right: AskedRight, *, but: str = "") -> bool:
    """Whether a policy allows a request on all that it is about, also without one of its actions."""
    return all(
        any(_states(statement, right, resource, but) for statement in document["Statement"])
        for resource in right.resources
    )


def _states(statement: Mapping[str, Any], right: AskedRight, resource: str, but: str) -> bool:
    return (
        right.action in set(listed(statement["Action"])) - {but}
        and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        and met(statement.get("Condition", {}), right.context)
    )


def listed(value) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions(document: Mapping[str, Any]) -> set[str]:
    return {action for statement in document["Statement"] for action in listed(statement["Action"])}


def build_images(cloud: Sandbox, folder: Path, environ: Mapping[str, str], builder: Builder) -> None:
    """Two in CodeBuild, one of them stopped; one here, with a stand-in for docker; then all are deleted."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        made = builder.recipe()
        builder.build(made)
        stopped = BuildProject(environ["BURST_AWS_BUILD_PROJECT"])
        stopped.stop(stopped.start("nowhere/nothing.zip", arch="x86_64", variables={}).id)
        made.lay_out(folder)
        for pulled in cloud.administrator.clients.of("ecr").describe_repositories()["repositories"]:
            if "/python" in pulled["repositoryName"]:  # whoever builds first in an account fills the cache
                cloud.administrator.clients.of("ecr").delete_repository(
                    repositoryName=pulled["repositoryName"], force=True
                )
        with_docker = [sys.executable, "-m", "burst_magic.testing.sandbox.image_tools", "docker"]
        login = builder.repository.login()
        tag = ["--build-arg", f"BASE_IMAGE={builder.base}", "--tag", builder.name(made)]
        for words in (["login", login.server], ["build", *tag, str(folder)], ["push", builder.name(made)]):
            told = {**environ, "HOME": str(folder)}
            subprocess.run([*with_docker, *words], env=told, check=True, input=login.password, text=True)
        assert main(["image", "--prune", "--all", "--yes"]) == 0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    seen: list[AskedRight] = []
    folder = tmp_path_factory.mktemp("privilege")
    with Sandbox(home=folder / "cloud", stop_timeout=5) as cloud:
        found = Builder(cloud, folder, with_repository(cloud))
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BURST_"))}
        environ = {**plain, **cloud.environ()}
        cloud.weather = replace(cloud.weather, vcpus=8.0)
        cloud.judged = seen.append
        subprocess.run([sys.executable, "-c", USE], env=environ, check=True, timeout=200)
        for words in COMMANDS:
            done = subprocess.run(
                [sys.executable, "-m", "burst_magic", *words], env=environ, capture_output=True, text=True, check=False
            )
            assert "not allowed" not in done.stdout + done.stderr, (words, done.stdout, done.stderr)
        account = cloud.administrator.clients.of("sts").get_caller_identity()["Account"]
        own = f"image:{account}.dkr.ecr.us-east-1.amazonaws.com/mine:1"
        subprocess.run([sys.executable, "-m", "burst_magic", "doctor"], env={**environ, "BURST_ENV": own}, check=False)
        build_images(cloud, folder, {**environ, **found.environ}, found)
        cloud.judged = lambda _: None
        yield Recorded(cloud, seen)


@pytest.mark.parametrize("who", ["user", "task", "build"])
def test_everything_that_a_whole_burst_asks_for_is_allowed(recorded, who):
    assert recorded.by[who]
    asked = [right for right in recorded.by[who] if right.action not in _ALWAYS]
    assert [right for right in asked if not allows(recorded.policies[who], right)] == []


@pytest.mark.parametrize("who", ["user", "task", "build"])
def test_nothing_is_allowed_that_was_not_used(recorded, who):
    assert actions(recorded.policies[who]) - {right.action for right in recorded.by[who]} == set()


@pytest.mark.parametrize("who", ["user", "task", "build"])
def test_without_any_one_of_its_actions_something_fails_and_is_named(recorded, who):
    from botocore.exceptions import ClientError

    document = recorded.policies[who]
    for action in sorted(actions(document)):
        refused = [right for right in recorded.by[who] if not allows(document, right, but=action)]
        assert refused, action
        said = (
            f"User: arn:aws:iam::1:user/x is not authorized to perform: {action} on resource: {refused[0].resources[0]}"
        )
        error = ClientError({"Error": {"Code": "AccessDeniedException", "Message": said}}, action)
        named = meaning(error, "sts:Other")
        assert isinstance(named, Denied)
        assert action in named.problem
