"""The way out of a subnet, in the words of EC2's descriptions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ANYWHERE = "0.0.0.0/0"
NEEDED = ("ecr.api", "ecr.dkr", "logs")  # endpoints that replace a way out, beside the gateway for S3


def table_of(subnet: str, tables: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The route table that counts for a subnet: its own, or the VPC's main one; empty if there is none."""
    for table in tables:
        if any(each.get("SubnetId") == subnet for each in table.get("Associations", ())):
            return table
    return next((each for each in tables if any(a.get("Main") for a in each.get("Associations", ()))), {})


def default_route(table: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Where a table sends what is for nobody it knows."""
    return next((each for each in table.get("Routes", ()) if each.get("DestinationCidrBlock") == ANYWHERE), None)


def is_gone(route: Mapping[str, Any]) -> bool:
    """Whether it leads to something that was deleted."""
    return bool(route.get("State", "active") != "active")


def is_public(route: Mapping[str, Any]) -> bool:
    """Whether it leads to an internet gateway, for which a worker needs a public address."""
    return str(route.get("GatewayId", "")).startswith("igw-")


def have_endpoints(endpoints: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a VPC's own endpoints replace a way out."""
    names = [each["ServiceName"] for each in endpoints if each.get("VpcEndpointType") == "Interface"]
    return all(any(name.endswith(f".{needed}") for name in names) for needed in NEEDED)
