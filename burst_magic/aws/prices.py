"""Fargate's prices from AWS's Pricing API, kept in the user's data directory.

The API is asked where workers cost money, at most once a month for each region. No answer is no reason not to start:
what was kept, or comes with this version, counts on, and AWS is asked again the next day.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from burst_magic import folders
from burst_magic.aws import patience
from burst_magic.aws.clients import Clients
from burst_magic.errors import BurstError, Missing
from burst_magic.plan.prices import FargatePrice, PriceList, shipped

FILE = "prices.json"
MONTH, DAY = 30 * 86400.0, 86400.0  # seconds until prices are asked for again; after a failure
HOME = "us-east-1"  # the API answers for all regions, in few of them
WITHIN = (2.0, 5.0)  # seconds to connect, and for each reply: a user waits for the cell
# The region is a prefix that no documentation lists; Spot, Windows and storage have other names.
_USAGE = re.compile(r"(?:[A-Z0-9]+-)?Fargate-(?P<arm>ARM-)?(?:(?P<vcpu>vCPU-Hours:perCPU)|GB-Hours)")
_LOG = logging.getLogger(__name__)

Fetch = Callable[[str], "dict[str, FargatePrice]"]


def fetch(region: str, clients: Clients | None = None) -> dict[str, FargatePrice]:
    """Ask AWS for the prices of a region, by architecture.

    Raises:
        Missing: AWS lists none.
        BurstError: AWS did not answer; see ``faults.meaning``.
    """
    found = parsed(listed("AmazonECS", region, clients))
    if not found:
        raise Missing(f"AWS lists no Fargate prices in dollars for {region}")
    return found


def listed(service_code: str, region: str, clients: Clients | None = None) -> list[dict[str, Any]]:
    """Entries of AWS's price list: ``product``, ``terms`` and ``publicationDate`` of each, as the API has them.

    Raises:
        BurstError: AWS did not answer; see ``faults.meaning``.
    """
    service = patience.Service("pricing", clients=clients or Clients(region=HOME, timeout=WITHIN))

    def call(pricing: Any) -> list[str]:
        pages = pricing.get_paginator("get_products").paginate(
            ServiceCode=service_code,
            Filters=[{"Type": "TERM_MATCH", "Field": "regionCode", "Value": region}],
            FormatVersion="aws_v1",
        )
        return [text for page in pages for text in page["PriceList"]]

    return [json.loads(text) for text in service.ask(call, "GetProducts", patience.ONCE)]


def parsed(products: list[dict[str, Any]]) -> dict[str, FargatePrice]:
    """The prices in entries of the price list, by architecture. An architecture without both parts is left out.

    Args:
        products: ``product``, ``terms`` and ``publicationDate`` of each, as the API has them.
    """
    dollars: dict[tuple[str, str], float] = {}
    date = ""
    for each in products:
        usage = _USAGE.fullmatch(each["product"]["attributes"].get("usagetype", ""))
        price = on_demand(each.get("terms", {}))
        if usage and price:
            dollars["arm64" if usage["arm"] else "x86_64", "vcpu" if usage["vcpu"] else "gb"] = price
            date = max(date, str(each.get("publicationDate", ""))[:10])
    whole = [arch for arch in ("x86_64", "arm64") if {(arch, "vcpu"), (arch, "gb")} <= dollars.keys()]
    source = "AWS Pricing API"
    return {
        arch: FargatePrice(vcpu=dollars[arch, "vcpu"], gb=dollars[arch, "gb"], source=source, date=date)
        for arch in whole
    }


def on_demand(terms: Mapping[str, Any]) -> float:
    """The price of the first tier in dollars; 0 if there is none, as in China."""
    for term in terms.get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            return float(dimension["pricePerUnit"].get("USD", 0))
    return 0.0


class PriceFile:
    """The prices that this user's AWS answered, beside those that come with this version.

    Args:
        folder: the user's data directory.
        ask: asks AWS for a region.
        clock: seconds since the epoch.
    """

    def __init__(self, folder: Path, *, ask: Fetch = fetch, clock: Callable[[], float] = time.time) -> None:
        self._path, self._ask, self._clock = folder / FILE, ask, clock

    def listed(self) -> PriceList:
        """What is known without asking."""
        known = shipped()
        for region, said in self._read().items():
            known = known.with_region(region, {arch: FargatePrice(**each) for arch, each in said["found"].items()})
        return known

    def current(self, region: str) -> PriceList:
        """What is known; asks AWS first if it is due, and never raises for want of an answer."""
        due = self._read().get(region, {}).get("due", 0.0)
        if self._clock() >= due:
            try:
                self.refresh(region)
            except BurstError as error:
                _LOG.info("no prices for %s: %s", region, error.problem)
                self._keep(region, {}, again=self._clock() + DAY)
        return self.listed()

    def refresh(self, region: str) -> PriceList:
        """Ask AWS now and keep the answer; raises ``BurstError`` if there is none."""
        self._keep(region, self._ask(region), again=self._clock() + MONTH)
        return self.listed()

    def _keep(self, region: str, found: Mapping[str, FargatePrice], *, again: float) -> None:
        regions = self._read()
        before = regions.get(region, {}).get("found", {})
        said = {arch: asdict(price) for arch, price in found.items()}
        regions[region] = {"due": again, "found": {**before, **said}}
        draft = self._path.with_name(f"{FILE}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({"regions": regions}, indent=1), encoding="utf-8")
            draft.replace(self._path)  # a reader sees the old file or the new one
        except OSError as error:  # a full disk is no reason not to start
            _LOG.warning("prices are not kept: %s", error)

    def _read(self) -> dict[str, dict[str, Any]]:
        """What was kept; {} if nothing, or nothing that this version understands."""
        try:
            regions = json.loads(folders.read(self._path))["regions"]
            for said in regions.values():
                _ = float(said["due"]), [FargatePrice(**each) for each in said["found"].values()]
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}
        return dict(regions)
