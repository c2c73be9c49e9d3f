"""What `burst setup` makes of its options, and what setup itself may do."""

from __future__ import annotations

import pytest

from burst_magic.aws import rights
from burst_magic.aws.ecr import RepositoryPlace
from burst_magic.aws.network import WorkerNetwork
from burst_magic.aws.setup import Identity, Prepared, buckets, objects, registry_of, settings
from burst_magic.aws.stack import StackFacts
from burst_magic.aws.template import Whereabouts
from burst_magic.errors import OptionError
from burst_magic.magics.readers import stack
from burst_magic.magics.setup import heading

WHERE = Whereabouts(account="012345678901", region="cn-north-1", partition="aws-cn")


def test_every_stack_begins_with_the_same_word():
    assert [stack(name) for name in ("burst", "ada", "burst-ada")] == ["burst", "burst-ada", "burst-ada"]


@pytest.mark.parametrize(
    ("url", "arns"),
    [
        ("s3://data", ["arn:aws-cn:s3:::data/*"]),
        ("s3://data/", ["arn:aws-cn:s3:::data/*"]),
        ("s3://data/in", ["arn:aws-cn:s3:::data/in", "arn:aws-cn:s3:::data/in/*"]),
        ("s3://data/in/2026/", ["arn:aws-cn:s3:::data/in/2026", "arn:aws-cn:s3:::data/in/2026/*"]),
    ],
)
def test_a_url_means_an_object_and_all_below_it(url, arns):
    assert list(objects([url], WHERE)) == arns
    assert buckets([url], WHERE) == ("arn:aws-cn:s3:::data",)


@pytest.mark.parametrize("url", ["data", "file:///data", "s3://", "s3://a,b"])
def test_what_is_no_bucket_is_refused(url):
    with pytest.raises(OptionError, match="is not s3://bucket"):
        objects([url], WHERE)


def test_registries_have_the_names_of_their_partition():
    assert registry_of(WHERE) == "012345678901.dkr.ecr.cn-north-1.amazonaws.com.cn"
    elsewhere = Whereabouts(account="012345678901", region="us-gov-west-1", partition="aws-us-gov")
    assert registry_of(elsewhere) == "012345678901.dkr.ecr.us-gov-west-1.amazonaws.com"
    assert RepositoryPlace.of(f"{registry_of(WHERE)}/burst").region == "cn-north-1"


def test_the_heading_counts_in_the_users_language():
    network = WorkerNetwork(vpc="vpc-1", subnets=("subnet-1",), zones=("a, b",), public=True, tables=(), free=12_345)
    prepared = Prepared(
        account=None, identity=Identity(arn="arn:x", where=WHERE), name="burst", network=network, before=None,
        parameters={}, notes=("a note,  of 1,000",),
    )  # fmt: skip
    assert heading(prepared).splitlines()[1:] == [
        "workers run in vpc-1: 1 public subnet in a, b, 12\u202f345 free addresses",
        "a note,  of 1,000",
    ]


def facts(image: str) -> StackFacts:
    outputs = {
        "Store": "s3://b/burst", "Region": "cn-north-1", "Cluster": "burst-ada", "TaskDefinition": "burst-ada-worker",
        "Subnets": "subnet-1", "SecurityGroups": "sg-1", "PublicIp": "true",
    }  # fmt: skip
    arn = "arn:aws-cn:cloudformation:cn-north-1:012345678901:stack/burst-ada/1"
    return StackFacts(
        id=arn, status="CREATE_COMPLETE", parameters={"Name": "burst-ada", "Image": image}, outputs=outputs
    )


def test_the_settings_are_the_stacks_outputs():
    found = settings(facts("public.ecr.aws/docker/library/python:3.12-slim"))
    assert found["store"] == "s3://b/burst"
    assert (found["aws.stack"], found["aws.account"]) == ("burst-ada", "012345678901")
    assert "aws.image" not in found
    cached = settings(facts("1.dkr.ecr.cn-north-1.amazonaws.com/burst-public/docker/library/python:3.12-slim"))
    assert cached["aws.image"] == "1.dkr.ecr.cn-north-1.amazonaws.com/burst-public/docker/library/python"


def test_setup_makes_no_role_and_no_policy_but_its_own():
    for statement in rights.setup_policy("burst-ada", WHERE)["Statement"]:
        for action in statement["Action"]:
            if action.startswith("iam:") and not action.startswith(("iam:Get", "iam:List")):
                narrow = all("burst-ada-" in each or "aws-service-role" in each for each in statement["Resource"])
                assert narrow or "burst-ada-user" in str(statement["Condition"]), action


def test_it_may_make_the_roles_that_aws_services_make_once_in_an_account():
    made = [
        resource
        for statement in rights.setup_policy("burst-ada", WHERE)["Statement"]
        for resource in statement["Resource"]
        if "iam:CreateServiceLinkedRole" in statement["Action"]
    ]
    assert [each.split("/")[2] for each in made] == ["ecs.amazonaws.com", "pullthroughcache.ecr.amazonaws.com"]
