"""One table of rights: the doctor checks each action that the user's policy has, on something that the policy allows."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial

import pytest

from burst_magic.aws import rights as policies_of
from burst_magic.aws.setup import expected
from burst_magic.aws.template import StackTemplate, Whereabouts, parse, text
from burst_magic.launchers import health, rights
from burst_magic.plan.finding import Level

WHERE = Whereabouts(account="123456789012", region="eu-central-1")
PLACE = rights.RightsPlace(account=WHERE.account, region=WHERE.region, arn="arn:aws:iam::123456789012:user/me")
REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


def listed(value) -> list[str]:
    return [value] if isinstance(value, str) else value


def checked(template: StackTemplate, options: dict[str, str]) -> list[rights.Right]:
    """What the doctor asks about, with the settings that setup writes for a stack."""
    said = {"stack": "burst", "cluster": "burst", "task_definition": "burst-worker", **options}
    worker = template.properties("TaskDefinition")
    container = worker["ContainerDefinitions"][0]
    logs = {"options": container["LogConfiguration"]["Options"]}
    definition = {
        "taskRoleArn": worker["TaskRoleArn"],
        "executionRoleArn": worker["ExecutionRoleArn"],
        "containerDefinitions": [{"name": container["Name"], "logConfiguration": logs}],
    }
    store = "s3://burst-123456789012-eu-central-1/burst"
    return [
        *rights.needed(said, store, PLACE),
        *rights.of_definition(definition, PLACE, container=container["Name"]),
    ]


@pytest.mark.parametrize("repository", [False, True])
@pytest.mark.parametrize("cache", ["none", "use", "make"])
def test_the_doctor_checks_every_action_of_the_users_policy_and_no_other(repository, cache):
    given = {"VpcId": "", "SubnetIds": "", "MakeRepository": str(repository).lower(), "Cache": cache}
    template = StackTemplate(parse(text()), given, where=WHERE, made=partial(expected, name="burst", where=WHERE))
    image = {} if cache == "none" else {"image": f"{REGISTRY}/burst-public/docker/library/python"}
    own = {"repository": f"{REGISTRY}/burst-worker", "build_project": "burst-image"} if repository else {}
    asked = checked(template, {**image, **own})
    statements = policies_of.policies(template)["user"]["Statement"]
    assert {right.action for right in asked} == {each for one in statements for each in listed(one["Action"])}
    for right in asked:
        resources = [
            each for one in statements if right.action in listed(one["Action"]) for each in listed(one["Resource"])
        ]
        assert [each for each in resources if fnmatchcase(right.resource, each)], right


def test_what_bursts_can_do_without_is_no_fault():
    without, with_it = (
        rights.Right(action="a:A", resource="*", reason="for x", vital=vital) for vital in (False, True)
    )
    found = health.of_rights([without], checked=2, how="simulated")
    assert (found.level, found.detail) == (Level.NOTE, "not allowed: a:A (for x); bursts need none of these")
    found = health.of_rights([without, with_it], checked=2, how="simulated")
    assert (found.level, found.detail) == (
        Level.BAD,
        "not allowed: a:A (for x); nor, which bursts can do without: a:A (for x)",
    )
