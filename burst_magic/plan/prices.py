"""List prices from ``prices.json``, next to this module; no price is in code."""

from __future__ import annotations

import json
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FargatePrice:
    """Dollars per hour in one region for one architecture.

    Attributes:
        region: of these prices: the requested one, or the table's default if it lacks that region.
        vcpu: per vCPU.
        gb: per GB of memory.
    """

    region: str
    vcpu: float
    gb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPrice:
    """Dollars per S3 request: writes are PUT and LIST, reads are GET."""

    write: float
    read: float


def fargate(arch: str, *, region: str = "") -> FargatePrice:
    """On-demand Linux price; of the table's default region if ``region`` is unknown."""
    table = _table()
    known = region if region in table["fargate"] else table["default"]
    return FargatePrice(region=known, **table["fargate"][known][arch])


def fargate_spot_share() -> float:
    """Price of Fargate Spot as a share of the on-demand price: an upper bound; no API tells today's price."""
    return float(_table()["fargate_spot_share"])


def address() -> float:
    """Dollars an hour of a public IPv4 address, in any region (aws.amazon.com/vpc/pricing)."""
    return float(_table()["public_ipv4"])


def requests() -> RequestPrice:
    """S3 Standard in the table's default region; other regions cost a little more."""
    table = _table()["s3"]
    return RequestPrice(write=table["writes_per_1000"] / 1000, read=table["reads_per_1000"] / 1000)


@cache
def _table() -> dict[str, Any]:
    data = pkgutil.get_data(__package__, "prices.json")
    return dict(json.loads(data or b"{}"))
