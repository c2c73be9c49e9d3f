"""The sandbox's own stack: made by ``burst setup``'s code and template, and a user with the policy that comes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from burst_magic.aws import rights
from burst_magic.aws.setup import Account, SetupWishes, expected, prepare, settings
from burst_magic.aws.template import StackTemplate, Whereabouts, parse, text
from burst_magic.dataclass import dataclass
from burst_magic.testing.servers import Keys, Server

_IMAGE = "burst-sandbox/python"  # not pulled: the image is this process's interpreter, with all that it has
_USER = "scientist"
_KEPT = (
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "requiresCompatibilities",
    "runtimePlatform",
    "cpu",
    "memory",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxStack:
    """What was made.

    Attributes:
        store: URL; "" where nothing was made.
        user, user_name: keys and name of a user with the rights that burst_magic needs, and no others.
        aws: the ``[aws]`` table of config.toml.
        log_group: where containers log.
    """

    user: Keys
    user_name: str = _USER
    store: str = ""
    bucket: str = ""
    aws: dict[str, str]
    log_group: str = ""


def furnish(server: Server) -> None:
    """A new account's default VPC as AWS makes it: its subnets are public."""
    ec2 = server.clients.of("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)


def empty(server: Server, *, account: str) -> SandboxStack:
    """An account without a stack, whose user may set one up and use it."""
    where = Whereabouts(account=account, region=server.region)
    iam = server.clients.of("iam")
    user = _user(iam)
    any_stack = StackTemplate(
        parse(text()),
        {"Name": "burst*", "VpcId": "", "SubnetIds": ""},
        where=where,
        made=partial(expected, name="burst*", where=where),
    )
    documents = {"setup": rights.setup_policy("burst*", where), "user": rights.policies(any_stack)["user"]}
    for name, document in documents.items():
        iam.put_user_policy(UserName=_USER, PolicyName=name, PolicyDocument=json.dumps(document))
    return SandboxStack(user=user, aws={"region": server.region})


def build(server: Server, *, command: Sequence[str], stop_timeout: int) -> SandboxStack:
    """Everything a session on ECS needs.

    Args:
        server: with an administrator's keys.
        command: of the worker's container.
        stop_timeout: seconds from SIGTERM to SIGKILL.
    """
    facts, _ = prepare(SetupWishes(), Account(server.region, server.clients)).deploy(lambda _: None)
    found = settings(facts)
    iam = server.clients.of("iam")
    user = _user(iam)
    iam.attach_user_policy(UserName=_USER, PolicyArn=facts.outputs["UserPolicy"])
    _shorten(server.clients.of("ecs"), found["aws.task_definition"], command, stop_timeout)
    return SandboxStack(
        store=found["store"],
        bucket=found["store"].removeprefix("s3://").partition("/")[0],
        user=user,
        aws={key.removeprefix("aws."): value for key, value in found.items() if key.startswith("aws.")},
        log_group=facts.outputs["LogGroup"],
    )


def _shorten(ecs: Any, family: str, command: Sequence[str], stop_timeout: int) -> None:
    """A revision that stops sooner than after the two minutes that Spot gives, with this process's own packages."""
    there = ecs.describe_task_definition(taskDefinition=family, include=["TAGS"])
    definition = there["taskDefinition"]
    (container,) = definition["containerDefinitions"]
    grace = [{"name": "BURST_BIRTH_GRACE", "value": str(stop_timeout)}]
    changed = {
        **container,
        "image": _IMAGE,
        "command": list(command),
        "stopTimeout": stop_timeout,
        "environment": grace,
    }
    kept = {name: definition[name] for name in _KEPT}
    ecs.register_task_definition(family=family, containerDefinitions=[changed], tags=there.get("tags", []), **kept)


def _user(iam: Any) -> Keys:
    iam.create_user(UserName=_USER)
    key = iam.create_access_key(UserName=_USER)["AccessKey"]
    return Keys(access=key["AccessKeyId"], secret=key["SecretAccessKey"])
