"""List prices: those of ``prices.json`` next to this module, each with its source and date. Pure; no price is in code.

What the list lacks is not known, and no other region's price stands in for it: a budget then refuses to start.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import Any

from burst_magic.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FargatePrice:
    """Dollars per hour on demand, Linux, in one region for one architecture.

    Attributes:
        vcpu: per vCPU.
        gb: per GB of memory.
        source: where the price is from.
        date: ISO date on which it was so, or "" if the source doesn't say.
    """

    vcpu: float
    gb: float
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPrice:
    """Dollars per S3 request: writes are PUT and LIST, reads are GET."""

    write: float
    read: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What is known of the prices of one region and architecture; a launcher's rate is computed from it.

    Attributes:
        fargate: None if its price is not known.
    """

    region: str
    arch: str
    fargate: FargatePrice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """Fargate's prices by region and architecture.

    Attributes:
        default: the region whose prices count where none is configured.
    """

    default: str
    fargate: Mapping[str, Mapping[str, FargatePrice]] = field(default_factory=dict)

    def market(self, arch: str, region: str = "") -> Market:
        """The prices of a region; without one, of the default region."""
        place = region or self.default
        return Market(region=place, arch=arch, fargate=self.fargate.get(place, {}).get(arch))

    def example(self, arch: str, region: str = "") -> Market:
        """The prices of a region to compare with: those of the default region where they are not known."""
        asked = self.market(arch, region)
        return asked if asked.fargate is not None else self.market(arch)

    def with_region(self, region: str, found: Mapping[str, FargatePrice]) -> PriceList:
        """A list with one region's prices by architecture replaced, as far as they were found."""
        merged = {**self.fargate.get(region, {}), **found}
        return PriceList(default=self.default, fargate={**self.fargate, region: merged})


@cache
def shipped() -> PriceList:
    """The list that comes with this version."""
    table = _table()
    sources = table["sources"]
    regions = {
        region: {
            arch: FargatePrice(
                vcpu=said["vcpu"],
                gb=said["gb"],
                source=sources[said["source"]]["what"],
                date=sources[said["source"]]["date"],
            )
            for arch, said in arches.items()
        }
        for region, arches in table["fargate"].items()
    }
    return PriceList(default=table["default"], fargate=regions)


def fargate_spot_share() -> float:
    """Price of Fargate Spot as a share of the on-demand price: an upper bound; no API tells today's price."""
    return float(_table()["fargate_spot_share"])


def address() -> float:
    """Dollars an hour of a public IPv4 address, in any region (aws.amazon.com/vpc/pricing)."""
    return float(_table()["public_ipv4"])


def requests() -> RequestPrice:
    """S3 Standard in the list's default region; other regions cost a little more."""
    table = _table()["s3"]
    return RequestPrice(write=table["writes_per_1000"] / 1000, read=table["reads_per_1000"] / 1000)


@cache
def _table() -> dict[str, Any]:
    data = pkgutil.get_data(__package__, "prices.json")
    return dict(json.loads(data or b"{}"))
