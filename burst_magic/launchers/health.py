"""What AWS's descriptions mean for workers: healthy, or what is wrong and the way out. Pure.

Arguments are parts of AWS's answers, as boto3 has them; see ``checkup.py`` for who asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from burst_magic.aws import routes
from burst_magic.launchers.rights import Right
from burst_magic.plan.finding import Finding, bad, note, ok
from burst_magic.plan.quota import QuotaReading

_PROVIDERS = ("FARGATE", "FARGATE_SPOT")
_PYTHON = re.compile(r"python:(\d+\.\d+)")
_SETUP = "burst setup repairs what it made"


def of_identity(arn: str, account: str, *, expected: str, server: str) -> Finding:
    """Who the credentials belong to.

    Args:
        arn: of the caller.
        account: the caller's.
        expected: the account that the settings are about, or "".
        server: where AWS was asked if it is not AWS's own, or "".
    """
    where = f"a stand-in for AWS at {server}" if server else "AWS"
    if expected and expected != account:
        return bad(
            "credentials",
            f"{arn} is of account {account}; the settings are about account {expected}",
            "set AWS_PROFILE to a profile of that account, or run burst setup in this one",
        )
    return ok("credentials", f"{arn} on {where}")


def expected_account(options: Mapping[str, str]) -> str:
    """The account that settings are about: as they say, or as the ARNs in them say."""
    said = options.get("account", "")
    arns = (re.match(r"arn:[^:]*:[^:]*:[^:]*:(\d{12}):", value) for value in options.values())
    return said or next((found[1] for found in arns if found), "")


def of_cluster(name: str, described: Sequence[Mapping[str, Any]]) -> Finding:
    """Whether the cluster is there, and has Fargate."""
    found = next(iter(described), None)
    if found is None or found.get("status") != "ACTIVE":
        state = "does not exist" if found is None else f"is {found.get('status', 'unknown')}"
        return bad("cluster", f"{name} {state} in this region", f"burst config aws.cluster=NAME, or {_SETUP}")
    missing = [each for each in _PROVIDERS if each not in found.get("capacityProviders", ())]
    if missing:
        return bad("cluster", f"{name} lacks the capacity provider {' and '.join(missing)}", f"add it; {_SETUP}")
    return ok("cluster", f"{name} is active, with {' and '.join(_PROVIDERS)}")


def of_definition(definition: Mapping[str, Any], *, container: str) -> list[Finding]:
    """Whether workers can run with the task definition.

    Args:
        definition: ``taskDefinition`` of DescribeTaskDefinition.
        container: the name that its worker must have.
    """
    name = str(definition["taskDefinitionArn"]).rpartition("/")[2]
    worker = next((each for each in definition["containerDefinitions"] if each["name"] == container), None)
    wrong = [
        ("it is not active", definition.get("status", "ACTIVE") != "ACTIVE"),
        (f"it has no container called {container}", worker is None),
        ("its network mode is not awsvpc", definition.get("networkMode") != "awsvpc"),
        ("it is not made for FARGATE", "FARGATE" not in definition.get("requiresCompatibilities", ())),
        ("it has no task role, so workers cannot reach the store", not definition.get("taskRoleArn")),
        ("it has no execution role, so ECS cannot pull or log", not definition.get("executionRoleArn")),
    ]
    said = [text for text, is_wrong in wrong if is_wrong]
    if said:
        way_out = f"burst config aws.task_definition=NAME, or {_SETUP}"
        return [bad("task definition", f"{name}: {'; '.join(said)}", way_out)]
    log = (worker or {}).get("logConfiguration", {}).get("logDriver", "")
    quiet = [] if log == "awslogs" else [note("task definition", f"{name} keeps no container logs", "use awslogs")]
    return [ok("task definition", name), *quiet]


def of_image(image: str, arch: str, *, python: str, wanted_arch: str, syncs: bool) -> Finding:
    """Whether the image suits this kernel.

    Args:
        image: of the task definition.
        arch: of it.
        python: of this kernel, ``3.11``.
        wanted_arch: what ``--arch`` asks for, or "".
        syncs: workers begin in a stock Python of the kernel's version instead.
    """
    runs = wanted_arch or arch
    if syncs:
        return ok("image", f"stock Python {python} for {runs}; the kernel's packages are installed into it")
    found = _PYTHON.search(image)
    if found and found[1] != python:
        way_out = f"--env sync, or an image with Python {python}"
        return bad("image", f"{image} has Python {found[1]}, this kernel {python}", way_out)
    if wanted_arch and wanted_arch != arch:
        return note("image", f"the task definition is for {arch}: a copy for {wanted_arch} is registered", "")
    if not found:
        return note("image", f"{image} for {runs}; its name does not tell its Python (this kernel has {python})", "")
    return ok("image", f"{image} for {runs}")


def of_subnet(
    subnet: Mapping[str, Any],
    tables: Iterable[Mapping[str, Any]],
    endpoints: Iterable[Mapping[str, Any]],
    *,
    public: bool,
) -> str:
    """Why workers in a subnet could not reach AWS, or "".

    Args:
        subnet: of DescribeSubnets.
        tables: route tables of its VPC.
        endpoints: of its VPC.
        public: workers get a public address.
    """
    ident = subnet["SubnetId"]
    default = routes.default_route(routes.table_of(ident, list(tables)))
    if routes.have_endpoints(endpoints):
        return ""
    if default is None:
        return f"{ident} has no route to the internet"
    if routes.is_gone(default):
        return f"{ident} routes to a gateway that is gone"
    if routes.is_public(default) and not public:
        return f"{ident} leads to an internet gateway, and workers have no public address"
    return ""


def of_network(closed: Sequence[str], *, subnets: int, public: bool) -> Finding:
    """The ways out of all subnets together.

    Args:
        closed: why there is none, of each subnet without one.
        subnets: how many were looked at.
        public: workers get a public address.
    """
    if closed:
        way_out = "aws.public_ip = true, a NAT gateway, or other subnets in aws.subnets"
        return bad("network", "; ".join(closed), way_out)
    return ok("network", f"{subnets} subnets with a way out, {'with' if public else 'without'} public addresses")


def of_addresses(free: int, *, workers: int) -> Finding:
    """Whether there are as many free addresses as workers."""
    if free < workers:
        said = f"{free} free addresses in the subnets for {workers} workers"
        way_out = "add subnets to aws.subnets, or end what uses them"
        return bad("addresses", said, way_out) if not free else note("addresses", said, way_out)
    return ok("addresses", f"{free} free in the subnets")


def of_groups(groups: Iterable[Mapping[str, Any]]) -> Finding:
    """Whether the security groups let workers out to HTTPS."""
    listed = list(groups)
    for group in listed:
        for rule in group.get("IpPermissionsEgress", ()):
            anywhere = any(each.get("CidrIp") == routes.ANYWHERE for each in rule.get("IpRanges", ()))
            if anywhere and (rule.get("IpProtocol") == "-1" or _holds(rule, 443)):
                return ok("security group", f"{group['GroupId']} lets workers out")
    names = ", ".join(each["GroupId"] for each in listed) or "none"
    return bad("security group", f"{names}: nothing may go out to port 443", "allow outbound traffic to 0.0.0.0/0")


def _holds(rule: Mapping[str, Any], port: int) -> bool:
    return rule.get("IpProtocol") == "tcp" and rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535)


def of_quota(readings: Mapping[str, QuotaReading], *, workers: int, cpu: float) -> Finding:
    """Whether the quotas allow the configured fleet.

    Args:
        readings: of each launcher that may start workers.
        workers: how many the settings ask for.
        cpu: vCPU of each.
    """
    said = "; ".join(map(str, readings.values()))
    room = sum(each.room(cpu) for each in readings.values())
    if all(each.limit < cpu for each in readings.values()):
        way_out = "burst quota request, or a smaller --cpu"
        return bad("quota", f"not one worker of {cpu:g} vCPU may run: {said}", way_out)
    if room < workers:
        return note("quota", f"{room} of {workers} workers can run now: {said}", "burst quota request")
    return ok("quota", f"room for {room} workers of {cpu:g} vCPU: {said}")


def of_stack(name: str, found: Mapping[str, Any] | None) -> Finding:
    """Whether what ``burst setup`` made is still as it was made.

    Args:
        name: of the stack.
        found: of DescribeStacks; None if there is none.
    """
    if found is None:
        return bad("stack", f"{name} does not exist in this region", "burst setup, or burst config aws.stack=NAME")
    status, drift = found["StackStatus"], found.get("DriftInformation", {}).get("StackDriftStatus", "NOT_CHECKED")
    if status.endswith("_IN_PROGRESS"):
        return note("stack", f"{name} is being changed ({status})", "wait until it is done")
    if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        why = f"{name}: {status} {found.get('StackStatusReason', '')}".strip()
        return bad("stack", why, "burst setup takes it up again")
    if drift == "DRIFTED":
        return note("stack", f"{name} was changed by hand since it was made", "burst setup puts it back")
    return ok("stack", f"{name}: {status}")


def of_rights(denied: Sequence[Right], *, checked: int, how: str) -> Finding:
    """What the user may do.

    Args:
        denied: what is not allowed.
        checked: how many actions were.
        how: in which way.
    """
    if not denied:
        return ok("permissions", f"all of {checked} actions ({how})")
    way_out = "attach the user's policy of burst setup --plan, or ask whoever administers the account"
    vital, lesser = (
        ", ".join(f"{right.action} ({right.reason})" for right in denied if right.vital is wanted)
        for wanted in (True, False)
    )
    if vital:
        said = f"not allowed: {vital}" + (f"; nor, which bursts can do without: {lesser}" if lesser else "")
        return bad("permissions", said, way_out)
    return note("permissions", f"not allowed: {lesser}; bursts need none of these", way_out)
