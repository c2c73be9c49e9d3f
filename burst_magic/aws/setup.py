"""From an account to a place where bursts run: what there is already, what is missing, and the stack that makes it.

``prepare`` only looks; ``Prepared.deploy`` makes. Both may be done again at any time: what is there stays.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Any

from burst_magic.aws import network, patience, template
from burst_magic.aws.clients import DEFAULT_REGION, Clients
from burst_magic.aws.ecr import ROOT
from burst_magic.aws.network import Ec2, WorkerNetwork
from burst_magic.aws.stack import Stack, StackFacts
from burst_magic.aws.template import StackTemplate, Whereabouts
from burst_magic.dataclass import dataclass
from burst_magic.errors import Denied, Exists, LaunchError, Missing, OptionError, StackFailed

if TYPE_CHECKING:
    from mypy_boto3_ecr.client import ECRClient
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_sts.client import STSClient

NAME = "burst"
PUBLIC = "public.ecr.aws"  # Amazon's public registry, which has Docker's official images
_IMAGE = "docker/library/python:{python}-slim"
_ECS_ROLE, _ECS = "AWSServiceRoleForECS", "ecs.amazonaws.com"
# output of the stack -> key of config.toml
_SETTINGS = {
    "Store": "store",
    "Region": "aws.region",
    "Cluster": "aws.cluster",
    "TaskDefinition": "aws.task_definition",
    "Subnets": "aws.subnets",
    "SecurityGroups": "aws.security_groups",
    "PublicIp": "aws.public_ip",
}
_WITH_REPOSITORY = {"Repository": "aws.repository", "BuildProject": "aws.build_project"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupWishes:
    """What the user asks for.

    Attributes:
        name: of the stack, ``burst`` or ``burst-…``.
        vpc, subnets: instead of the default VPC and its public subnets.
        reads, writes: ``s3://bucket/prefix`` that tasks may read, or read and write, in addition to earlier ones.
        policies: ARNs of managed policies that tasks get, in addition to earlier ones.
        revoke: forget the earlier ones first.
        repository: make a repository for images of one's own.
        python: minor version of the kernel, such as ``3.12``.
    """

    name: str = NAME
    vpc: str = ""
    subnets: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    revoke: bool = False
    repository: bool = False
    python: str = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks, and where."""

    arn: str
    where: Whereabouts


class Account:
    """What setup asks of an account beside its stack.

    Args:
        region: "" for the configured one.
        clients: makes boto3 clients; the default reads AWS's environment and files.
    """

    def __init__(self, region: str = "", clients: Clients | None = None) -> None:
        self.clients = clients or Clients(region=region)
        self.ec2 = Ec2(region, self.clients)
        self._services = {name: patience.Service(name, region, self.clients) for name in ("sts", "iam", "ecr")}

    def identity(self) -> Identity:
        """Whose keys these are; raises ``Denied`` without any."""

        def call(sts: STSClient) -> str:
            return sts.get_caller_identity()["Arn"]

        arn = self._services["sts"].ask(call, "GetCallerIdentity", patience.READING)
        _, partition, _, _, account, _ = arn.split(":", 5)
        region = self.clients.region or (DEFAULT_REGION if self.clients.endpoint("sts") else "")
        if not region:
            raise OptionError("no region is configured", way_out="--region, or aws configure")
        return Identity(arn=arn, where=Whereabouts(account=account, region=region, partition=partition))

    def make_ecs_role(self) -> bool:
        """Make the role with which ECS attaches network interfaces, once an account; False if it was there."""

        def look(iam: IAMClient) -> object:
            return iam.get_role(RoleName=_ECS_ROLE)

        def make(iam: IAMClient) -> object:
            return iam.create_service_linked_role(AWSServiceName=_ECS)

        try:
            self._services["iam"].ask(look, "GetRole", patience.READING)
        except Missing:
            pass
        else:
            return False
        try:
            self._services["iam"].ask(make, "CreateServiceLinkedRole", patience.READING)
        except (Exists, LaunchError) as error:
            if any(words in str(error) for words in ("taken", "already exists")):  # somebody else has made it meanwhile
                return False
            raise
        return True

    def cache_rules(self) -> dict[str, str]:
        """Pull-through caches of the registry, of those that keep the names of repositories: prefix -> upstream."""

        def call(ecr: ECRClient) -> dict[str, str]:
            pages = ecr.get_paginator("describe_pull_through_cache_rules").paginate()
            rules = [rule for page in pages for rule in page["pullThroughCacheRules"]]
            whole = [rule for rule in rules if rule.get("upstreamRepositoryPrefix", ROOT) == ROOT]
            return {rule["ecrRepositoryPrefix"]: rule["upstreamRegistryUrl"] for rule in whole}

        return self._services["ecr"].ask(call, "DescribePullThroughCacheRules", patience.READING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What will be made, before anything is.

    Attributes:
        network: where workers run.
        before: the stack as it is.
        parameters: of the template.
        notes: what the user should know.
    """

    account: Account = field(repr=False)
    identity: Identity
    name: str
    network: WorkerNetwork
    before: StackFacts | None
    parameters: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def template(self) -> StackTemplate:
        """With its functions carried out; what only AWS knows is named in angle brackets."""
        return StackTemplate(
            template.parse(template.text()),
            self.parameters,
            where=self.identity.where,
            made=partial(expected, name=self.name, where=self.identity.where),
        )

    def deploy(self, tell: Callable[[str], None], **clock: Any) -> tuple[StackFacts, bool]:
        """Make the stack, or change it.

        Args:
            tell: shows one line of progress.
            **clock: ``sleep`` and ``clock`` of ``Stack``.

        Returns:
            The stack, and whether anything was changed.

        Raises:
            StackFailed: a resource of the stack failed.
            Denied: a right is missing.
        """
        if self.account.make_ecs_role():
            tell(f"  {_ECS_ROLE}: made; ECS needs it once in an account")
        stack = Stack(self.name, region=self.identity.where.region, clients=self.account.clients, tell=tell, **clock)
        try:
            return stack.deploy(self.parameters)
        except StackFailed as failed:
            if failed.resource != "CacheRule":
                raise
            tell(f"  no pull-through cache ({failed.reason}): workers pull the public image directly")
        python = self.parameters["Image"].rpartition(":")[2].partition("-")[0]
        return stack.deploy({**self.parameters, **_image(python, "none", "")})


def prepare(wishes: SetupWishes, account: Account) -> Prepared:
    """Look at the account and decide what to make.

    Raises:
        LaunchError: no network in which workers could run.
        Denied: no credentials, or a right is missing.
    """
    identity = account.identity()
    where = identity.where
    stack = Stack(wishes.name, region=where.region, clients=account.clients)
    before = stack.facts()
    old = before.parameters if before is not None and before.usable else {}
    subnets, vpc = wishes.subnets, wishes.vpc
    if not subnets and not vpc and old:
        subnets, vpc = tuple(old["SubnetIds"].split(",")), old["VpcId"]
    found = network.find(account.ec2, vpc=vpc, subnets=subnets)
    cache, notes = _cache(account, wishes, old, where)
    kept = {} if wishes.revoke else old
    parameters = {
        "Name": wishes.name,
        "VpcId": found.vpc,
        "SubnetIds": ",".join(found.subnets),
        "PublicIp": str(found.public).lower(),
        "RouteTableIds": ",".join(_tables(found, old)),
        "MakeRepository": "true" if wishes.repository else old.get("MakeRepository", "false"),
        "ReadArns": _more(kept.get("ReadArns", ""), objects(wishes.reads, where)),
        "WriteArns": _more(kept.get("WriteArns", ""), objects(wishes.writes, where)),
        "ListArns": _more(kept.get("ListArns", ""), buckets((*wishes.reads, *wishes.writes), where)),
        "PolicyArns": _more(kept.get("PolicyArns", ""), wishes.policies),
        "LogDays": old.get("LogDays", "30"),
        **cache,
    }
    return Prepared(
        account=account,
        identity=identity,
        name=wishes.name,
        network=found,
        before=before,
        parameters=parameters,
        notes=notes,
    )


def _tables(found: WorkerNetwork, old: Mapping[str, str]) -> list[str]:
    """Route tables for the stack's own endpoint: those that it has, and those that lack one."""
    own = old.get("RouteTableIds", "").split(",") if old.get("VpcId") == found.vpc else []
    return sorted({*found.tables, *filter(None, own)})


def _cache(
    account: Account, wishes: SetupWishes, old: Mapping[str, str], where: Whereabouts
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Where the image comes from: a cache that is there, a new one; where AWS says nothing of caches, the public."""
    registry = registry_of(where)
    if old.get("Cache") == "make":
        return _image(wishes.python, "make", old["CachePrefix"], registry), ()
    try:
        rules = account.cache_rules()
    except (Denied, LaunchError) as fault:  # no right to look, or a partition without such caches
        return _image(wishes.python, "none", ""), (f"workers pull the public image directly: {fault.problem}",)
    others = [prefix for prefix, upstream in rules.items() if upstream == PUBLIC and not prefix.startswith(NAME)]
    if others:
        return _image(wishes.python, "use", others[0], registry), ()
    return _image(wishes.python, "make", f"{wishes.name}-public", registry), ()


def registry_of(where: Whereabouts) -> str:
    """The account's own registry of images."""
    return f"{where.account}.dkr.ecr.{where.region}.{where.domain}"


def _image(python: str, cache: str, prefix: str, registry: str = "") -> dict[str, str]:
    base = f"{registry}/{prefix}" if registry else PUBLIC
    if prefix == ROOT:  # such a cache adds nothing to the names of repositories
        base, prefix = registry, _IMAGE.partition("/")[0]
    said = {"Image": f"{base}/{_IMAGE.format(python=python)}", "Cache": cache}
    return {**said, "CachePrefix": prefix} if prefix else said


def objects(urls: Sequence[str], where: Whereabouts) -> tuple[str, ...]:
    """ARNs of the objects that ``s3://bucket/prefix`` means: one of that name, and all below it.

    Raises:
        OptionError: not such a URL.
    """
    found: list[str] = []
    for bucket, prefix in map(_parsed, urls):
        base = f"arn:{where.partition}:s3:::{bucket}"
        found += [f"{base}/{prefix}", f"{base}/{prefix}/*"] if prefix else [f"{base}/*"]
    return tuple(found)


def buckets(urls: Sequence[str], where: Whereabouts) -> tuple[str, ...]:
    """ARNs of the buckets of some URLs."""
    return tuple(f"arn:{where.partition}:s3:::{bucket}" for bucket, _ in map(_parsed, urls))


def _parsed(url: str) -> tuple[str, str]:
    scheme, mark, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not mark or not bucket or "," in url:
        raise OptionError(f"{url!r} is not s3://bucket or s3://bucket/prefix")
    return bucket, prefix.strip("/")


def _more(old: str, new: Sequence[str]) -> str:
    return ",".join(dict.fromkeys([*filter(None, old.split(",")), *new]))


def expected(logical: str, attribute: str, *, name: str, where: Whereabouts) -> str:
    """What a resource of the stack will be called; what only AWS knows is named in angle brackets."""
    account, region, partition = where.account, where.region, where.partition
    bucket = f"{name}-{account}-{region}"
    known = {
        ("Bucket", ""): bucket,
        ("Bucket", "Arn"): f"arn:{partition}:s3:::{bucket}",
        ("Cluster", ""): name,
        ("Cluster", "Arn"): f"arn:{partition}:ecs:{region}:{account}:cluster/{name}",
        ("LogGroup", ""): f"/{name}/workers",
        ("TaskRole", "Arn"): f"arn:{partition}:iam::{account}:role/{name}-task-{region}",
        ("ExecutionRole", "Arn"): f"arn:{partition}:iam::{account}:role/{name}-execution-{region}",
        ("UserPolicy", ""): f"arn:{partition}:iam::{account}:policy/{name}-user-{region}",
        ("Repository", ""): f"{name}-worker",
        ("Repository", "Arn"): f"arn:{partition}:ecr:{region}:{account}:repository/{name}-worker",
        ("BuildRole", "Arn"): f"arn:{partition}:iam::{account}:role/{name}-build-{region}",
        ("BuildProject", ""): f"{name}-image",
        ("BuildProject", "Arn"): f"arn:{partition}:codebuild:{region}:{account}:project/{name}-image",
    }
    return known.get((logical, attribute), f"<{'.'.join(filter(None, (logical, attribute)))}>")


def settings(facts: StackFacts) -> dict[str, str]:
    """What ``config.toml`` says of a stack: key -> value."""
    found = {key: facts.outputs[output] for output, key in _SETTINGS.items()}
    stack, account = facts.parameters["Name"], facts.id.split(":")[4]
    python = facts.parameters["Image"].rpartition(":")[0]
    image = {} if python.startswith(PUBLIC) else {"aws.image": python}
    own = {key: facts.outputs[output] for output, key in _WITH_REPOSITORY.items() if output in facts.outputs}
    return {**found, **image, **own, "aws.stack": stack, "aws.account": account}
