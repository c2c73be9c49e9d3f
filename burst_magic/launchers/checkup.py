"""The account as ``burst doctor`` looks at it: each check asks AWS a little, and changes nothing.

A check that may not ask says so, and counts as a note: bursts need fewer rights than a check-up.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar, cast

from burst_magic.aws import patience
from burst_magic.aws.clients import Clients
from burst_magic.aws.quotas import Quotas
from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, Denied, LaunchError, Missing, PlanError
from burst_magic.launchers import health, rights
from burst_magic.launchers.ecs_definition import arch_of
from burst_magic.launchers.ecs_task import CONTAINER
from burst_magic.plan.finding import Finding, Level, bad, note
from burst_magic.plan.quota import VcpuQuota

T = TypeVar("T")
_WITHIN = (3.0, 8.0)  # seconds to connect, and for each reply
_NO_REVISION = 2147483647


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFleet:
    """What the settings would start.

    Attributes:
        options: the ``[aws]`` table.
        store: URL.
        workers, cpu: how many, and vCPU of each.
        arch: what ``--arch`` asks for, or "".
        image: what ``--env image:URI`` asks for, or "".
        python: of this kernel, ``3.11``.
        syncs: workers begin in a stock Python and install the kernel's packages.
        quotas: by launcher.
    """

    options: Mapping[str, str]
    store: str
    workers: int
    cpu: float
    arch: str
    image: str
    python: str
    syncs: bool
    quotas: Mapping[str, VcpuQuota]


Check = Callable[[], "list[Finding]"]


class Checkup:
    """Checks of one account and region.

    Args:
        fleet: what is to start.
        about_image: says of an image and an architecture what could not be checked; raises ``PlanError`` if workers
            cannot run in it.
        clients: makes boto3 clients; the default reads AWS's environment and files.
    """

    def __init__(
        self,
        fleet: CheckedFleet,
        *,
        about_image: Callable[[str, str], tuple[str, ...]],
        clients: Clients | None = None,
    ) -> None:
        self._fleet, self._about_image = fleet, about_image
        self._clients = clients or Clients(region=fleet.options.get("region", ""), timeout=_WITHIN)

    def checks(self) -> dict[str, Check]:
        """Each check by what it is about; they may run at the same time."""
        known: dict[str, tuple[Check, str]] = {
            "credentials": (self._credentials, ""),
            "permissions": (self._permissions, ""),
            "stack": (self._stack, "stack"),
            "cluster": (self._cluster, "cluster"),
            "task definition": (self._definition, "task_definition"),
            "image": (self._image, "task_definition"),
            "network": (self._network, "subnets"),
            "addresses": (self._addresses, "subnets"),
            "security group": (self._groups, "security_groups"),
            "quota": (self._quota, "cluster"),
        }
        due = {what: check for what, (check, need) in known.items() if not need or self._fleet.options.get(need)}
        return {what: self._careful(what, check) for what, check in due.items()}

    def _careful(self, what: str, check: Check) -> Check:
        def checked() -> list[Finding]:
            try:
                return check()
            except BurstError as error:
                return [] if what != "credentials" and self._is_of_credentials(error) else [_of_error(what, error)]

        return checked

    def _is_of_credentials(self, error: BurstError) -> bool:
        """Whether there are no credentials, or none that AWS takes: that is said once, of the credentials."""
        if not isinstance(error, Denied) or _lacks_right(error):
            return False
        try:
            self._ask("sts", "GetCallerIdentity", lambda sts: sts.get_caller_identity())
        except BurstError as said:
            return said.problem == error.problem
        return False

    def _ask(self, service: str, action: str, call: Callable[[Any], T]) -> T:
        return patience.Service(service, clients=self._clients).ask(call, action, patience.ONCE)

    @cached_property
    def _caller(self) -> dict[str, str]:
        """Who asks; no right is needed for it."""
        return dict(self._ask("sts", "GetCallerIdentity", lambda sts: sts.get_caller_identity()))

    def _credentials(self) -> list[Finding]:
        expected = health.expected_account(self._fleet.options)
        server = self._clients.endpoint("sts")
        return [health.of_identity(self._caller["Arn"], self._caller["Account"], expected=expected, server=server)]

    def _stack(self) -> list[Finding]:
        name = self._fleet.options["stack"]
        try:
            found = self._ask(
                "cloudformation", "DescribeStacks", lambda api: api.describe_stacks(StackName=name)["Stacks"]
            )
        except (LaunchError, Missing) as error:
            if "does not exist" not in str(error):
                raise
            found = []
        return [health.of_stack(name, next(iter(found), None))]

    def _cluster(self) -> list[Finding]:
        name = self._fleet.options["cluster"]
        found = self._ask("ecs", "DescribeClusters", lambda ecs: ecs.describe_clusters(clusters=[name])["clusters"])
        return [health.of_cluster(name, found)]

    @cached_property
    def _described(self) -> dict[str, Any]:
        name = self._fleet.options["task_definition"]
        return dict(
            self._ask(
                "ecs",
                "DescribeTaskDefinition",
                lambda ecs: ecs.describe_task_definition(taskDefinition=name)["taskDefinition"],
            )
        )

    def _definition(self) -> list[Finding]:
        fleet = self._fleet
        try:
            said: Any = self._described
        except (LaunchError, Missing) as error:  # AWS has no error of its own for a family that isn't there
            problem = f"{fleet.options['task_definition']}: {error.problem}"
            return [bad("task definition", problem, "burst config aws.task_definition=NAME, or burst setup")]
        return health.of_definition(said, container=CONTAINER)

    def _image(self) -> list[Finding]:
        fleet, said = self._fleet, cast("Any", self._described)
        images = [each.get("image", "") for each in said["containerDefinitions"] if each["name"] == CONTAINER]
        image = fleet.image or next(iter(images), "")
        found = health.of_image(image, arch_of(said), python=fleet.python, wanted_arch=fleet.arch, syncs=fleet.syncs)
        if fleet.syncs or not found.good:
            return [found]
        try:
            said = self._about_image(image, fleet.arch or arch_of(said))
        except PlanError as error:
            return [bad("image", error.problem, error.way_out)]
        return [note("image", "; ".join(said)) if said and found.level is Level.OK else found]

    @cached_property
    def _subnets(self) -> list[dict[str, Any]]:
        idents = [each.strip() for each in self._fleet.options["subnets"].split(",")]
        return list(self._ask("ec2", "DescribeSubnets", lambda ec2: ec2.describe_subnets(SubnetIds=idents)["Subnets"]))

    def _addresses(self) -> list[Finding]:
        free = sum(int(each["AvailableIpAddressCount"]) for each in self._subnets)
        return [health.of_addresses(free, workers=self._fleet.workers)]

    def _network(self) -> list[Finding]:
        subnets, public = self._subnets, self._fleet.options.get("public_ip", "true").lower() != "false"
        mine = [{"Name": "vpc-id", "Values": sorted({each["VpcId"] for each in subnets})}]
        tables = self._ask(
            "ec2", "DescribeRouteTables", lambda ec2: ec2.describe_route_tables(Filters=mine)["RouteTables"]
        )
        endpoints = self._ask(
            "ec2", "DescribeVpcEndpoints", lambda ec2: ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]
        )
        ways = [health.of_subnet(each, tables, endpoints, public=public) for each in subnets]
        return [health.of_network([way for way in ways if way], subnets=len(subnets), public=public)]

    def _groups(self) -> list[Finding]:
        idents = [each.strip() for each in self._fleet.options["security_groups"].split(",")]
        found = self._ask(
            "ec2", "DescribeSecurityGroups", lambda ec2: ec2.describe_security_groups(GroupIds=idents)["SecurityGroups"]
        )
        return [health.of_groups(found)]

    def _quota(self) -> list[Finding]:
        account = Quotas(clients=self._clients)
        readings = {name: account.read(quota) for name, quota in self._fleet.quotas.items()}
        if not readings:
            return []
        return [health.of_quota(readings, workers=self._fleet.workers, cpu=self._fleet.cpu)]

    # --- what the user may do ------------------------------------------------------------------------------------

    def _permissions(self) -> list[Finding]:
        """By simulation, and where that is not possible, by calls that change nothing."""
        arn, region = self._caller["Arn"], self._fleet.options.get("region", "") or self._clients.region
        place = rights.RightsPlace(account=self._caller["Account"], region=region, arn=arn)
        wanted = rights.needed(self._fleet.options, self._fleet.store, place)
        if arn.endswith(":root"):
            return [note("permissions", "these are the keys of the account's root user", "use those of a user or role")]
        with contextlib.suppress(BurstError):  # said by its own check
            wanted += rights.of_definition(self._described, place, container=CONTAINER)
        try:
            denied = self._denied(rights.principal(arn), wanted, rights.context(self._fleet.options, place))
            checked = len({right.action for right in wanted})
            return [health.of_rights(denied, checked=checked, how="simulated")]
        except (Denied, LaunchError, Missing):
            tried = self._tries()
            denied = [right for right, call in tried if _is_denied(call)]
            return [health.of_rights(denied, checked=len(tried), how="tried; the others cannot be without effect")]

    def _denied(
        self, principal: str, wanted: Sequence[rights.Right], context: list[dict[str, Any]]
    ) -> list[rights.Right]:
        """The rights that a principal lacks; all that are about one resource are asked about at once."""
        allowed = set()
        for resource in dict.fromkeys(right.resource for right in wanted):
            actions = [right.action for right in wanted if right.resource == resource]
            said = {"PolicySourceArn": principal, "ActionNames": actions, "ResourceArns": [resource]}

            def call(iam: Any, said: Mapping[str, Any] = said) -> list[dict[str, Any]]:
                pages = iam.get_paginator("simulate_principal_policy").paginate(**said, ContextEntries=context)
                return [result for page in pages for result in page["EvaluationResults"]]

            for result in self._ask("iam", "SimulatePrincipalPolicy", call):
                if result["EvalDecision"] == "allowed":
                    allowed.add((result["EvalActionName"].lower(), resource))
        return [right for right in wanted if (right.action.lower(), right.resource) not in allowed]

    def _tries(self) -> list[tuple[rights.Right, Callable[[], object]]]:
        """Calls about things that do not exist: AWS checks the right before it looks for them."""
        options = self._fleet.options
        cluster, nothing = options.get("cluster", ""), "0" * 32
        family = re.sub(r":\d+$", "", options.get("task_definition", "").rpartition("/")[2])
        network = {"awsvpcConfiguration": {"subnets": options.get("subnets", "").split(",")}}
        strategy = [{"capacityProvider": "FARGATE"}]

        def run(ecs: Any) -> object:
            return ecs.run_task(
                cluster=cluster,
                taskDefinition=f"{family}:{_NO_REVISION}",
                capacityProviderStrategy=strategy,
                networkConfiguration=network,
            )

        calls: tuple[tuple[str, str, Callable[[Any], object]], ...] = (
            ("RunTask", "to start workers", run),
            ("StopTask", "to stop workers", lambda ecs: ecs.stop_task(cluster=cluster, task=nothing)),
            ("ListTasks", "to find workers", lambda ecs: ecs.list_tasks(cluster=cluster, maxResults=1)),
            ("DescribeTasks", "to see workers", lambda ecs: ecs.describe_tasks(cluster=cluster, tasks=[nothing])),
        )
        return [
            (rights.Right(action=f"ecs:{action}", resource="*", reason=reason), partial(self._ask, "ecs", action, call))
            for action, reason, call in calls
        ]


def _is_denied(call: Callable[[], object]) -> bool:
    try:
        call()
    except Denied:
        return True
    except BurstError:
        pass  # nothing of that name: the right was there
    return False


def _of_error(what: str, error: BurstError) -> Finding:
    """A check that could not be made."""
    if _lacks_right(error) and what != "credentials":
        return note(what, f"not checked: {error.problem}", "")
    return bad(what, error.problem, error.way_out or "see burst doctor's other lines, then try again")


def _lacks_right(error: BurstError) -> bool:
    return isinstance(error, Denied) and error.problem.startswith("you are not allowed")
