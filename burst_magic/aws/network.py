"""The network that workers run in, found or proved: subnets with a way out, and free addresses.

What is missing is said before anything is made: a worker without a way out waits for minutes and then fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from burst_magic.aws import patience, routes
from burst_magic.aws.clients import Clients
from burst_magic.dataclass import dataclass
from burst_magic.errors import LaunchError

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import RouteTableTypeDef, SubnetTypeDef, VpcEndpointTypeDef

T = TypeVar("T")
_WAYS = ("NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "InstanceId", "VpcPeeringConnectionId", "GatewayId")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerNetwork:
    """Where workers can run.

    Attributes:
        vpc: its id; subnets: theirs.
        zones: of the subnets; free: addresses in all of them.
        public: whether workers need a public address.
        tables: route tables of the subnets without an endpoint for S3.
    """

    vpc: str
    subnets: tuple[str, ...]
    zones: tuple[str, ...]
    free: int
    public: bool
    tables: tuple[str, ...]


class Ec2:
    """EC2's view of networks in one region.

    Args:
        region: "" for the configured one.
        clients: makes boto3 clients.
    """

    def __init__(self, region: str = "", clients: Clients | None = None) -> None:
        self._service = patience.Service("ec2", region, clients)

    def _ask(self, call: Callable[[EC2Client], T], action: str) -> T:
        return self._service.ask(call, action, patience.READING)

    def default_vpc(self) -> str:
        """The id of the account's default VPC, or ""."""
        asked: list[Any] = [{"Name": "is-default", "Values": ["true"]}]
        found = self._ask(lambda ec2: ec2.describe_vpcs(Filters=asked)["Vpcs"], "DescribeVpcs")
        return next((vpc["VpcId"] for vpc in found), "")

    def subnets(self, *, vpc: str = "", ids: Sequence[str] = ()) -> list[SubnetTypeDef]:
        """Those of a VPC, or those of these ids; by zone."""
        asked: dict[str, Any] = {"SubnetIds": list(ids)} if ids else {"Filters": [{"Name": "vpc-id", "Values": [vpc]}]}
        found = self._ask(lambda ec2: ec2.describe_subnets(**asked)["Subnets"], "DescribeSubnets")
        return sorted(found, key=lambda each: (each["AvailabilityZone"], each["SubnetId"]))

    def tables(self, vpc: str) -> list[RouteTableTypeDef]:
        """The route tables of a VPC."""
        asked: list[Any] = [{"Name": "vpc-id", "Values": [vpc]}]
        return self._ask(lambda ec2: ec2.describe_route_tables(Filters=asked)["RouteTables"], "DescribeRouteTables")

    def endpoints(self, vpc: str) -> list[VpcEndpointTypeDef]:
        """The endpoints of a VPC for services of AWS."""
        asked: list[Any] = [{"Name": "vpc-id", "Values": [vpc]}]
        return self._ask(lambda ec2: ec2.describe_vpc_endpoints(Filters=asked)["VpcEndpoints"], "DescribeVpcEndpoints")


def find(ec2: Ec2, *, vpc: str = "", subnets: Sequence[str] = ()) -> WorkerNetwork:
    """The default VPC's public subnets, or the given network if workers can run in it.

    Args:
        ec2: the region.
        vpc: instead of the default one.
        subnets: instead of those with a way out.

    Raises:
        LaunchError: no such network, or workers in it could not reach AWS.
    """
    if not subnets and not vpc:
        vpc = ec2.default_vpc()
        if not vpc:
            raise LaunchError(
                "this account has no default VPC in this region",
                way_out="aws ec2 create-default-vpc, or give --subnets of another VPC",
            )
    there = ec2.subnets(vpc=vpc, ids=subnets)
    homes = {each["VpcId"] for each in there}
    if len(homes) > 1 or (vpc and homes - {vpc}):
        raise LaunchError(
            f"the subnets are in several VPCs: {', '.join(sorted({*homes, *filter(None, [vpc])}))}",
            way_out="give subnets of one VPC",
        )
    if not there:
        raise LaunchError(f"{vpc} has no subnets", way_out="give --subnets of another VPC")
    (vpc,) = homes
    tables, endpoints = ec2.tables(vpc), ec2.endpoints(vpc)
    ways = {each["SubnetId"]: _way(each["SubnetId"], tables, endpoints) for each in there}
    chosen = there if subnets else _with_a_way(there, ways)
    _prove(vpc, chosen, ways)
    served = {table for each in endpoints if _is_for_s3(each) for table in each.get("RouteTableIds", ())}
    used = {routes.table_of(each["SubnetId"], tables).get("RouteTableId", "") for each in chosen} - {""}
    return WorkerNetwork(
        vpc=vpc,
        subnets=tuple(each["SubnetId"] for each in chosen),
        zones=tuple(sorted({each["AvailabilityZone"] for each in chosen})),
        free=sum(each["AvailableIpAddressCount"] for each in chosen),
        public=any(ways[each["SubnetId"]] == "public" for each in chosen),
        tables=tuple(sorted(used - served)),
    )


def _with_a_way(there: list[SubnetTypeDef], ways: Mapping[str, str]) -> list[SubnetTypeDef]:
    """The public ones; without any, the others that have a way out; else all, to be told what is wrong."""
    public = [each for each in there if ways[each["SubnetId"]] == "public"]
    return public or [each for each in there if ways[each["SubnetId"]] == "private"] or there


def _prove(vpc: str, chosen: Sequence[SubnetTypeDef], ways: Mapping[str, str]) -> None:
    closed = [each["SubnetId"] for each in chosen if ways[each["SubnetId"]] not in {"public", "private"}]
    if closed:
        raise LaunchError(
            f"workers in {', '.join(closed)} could not reach AWS: {ways[closed[0]]}",
            context=vpc,
            way_out=(
                "give --subnets with a route to an internet gateway or a NAT gateway, or make interface endpoints for "
                f"{', '.join(routes.NEEDED)} in the VPC"
            ),
        )
    if not sum(each["AvailableIpAddressCount"] for each in chosen):
        names = ", ".join(each["SubnetId"] for each in chosen)
        raise LaunchError(
            f"no free addresses in {names}", context=vpc, way_out="give --subnets that have some, or end what uses them"
        )


def _way(subnet: str, tables: Sequence[RouteTableTypeDef], endpoints: Sequence[VpcEndpointTypeDef]) -> str:
    """``public``, ``private``, or why there is no way out."""
    table = routes.table_of(subnet, tables)
    default = routes.default_route(table)
    if default is not None and not routes.is_gone(default):
        return "public" if routes.is_public(default) else "private"
    if routes.have_endpoints(endpoints):
        return "private"
    ident = table.get("RouteTableId", "")
    if default is not None:
        through = next((str(default[key]) for key in _WAYS if default.get(key)), "something")
        return f"{ident} routes {routes.ANYWHERE} through {through}, which is gone (blackhole)"
    return f"{ident or 'no route table'} has no route to {routes.ANYWHERE}"


def _is_for_s3(endpoint: VpcEndpointTypeDef) -> bool:
    return endpoint.get("VpcEndpointType") == "Gateway" and endpoint.get("ServiceName", "").endswith(".s3")
