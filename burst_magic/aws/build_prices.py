"""What a minute of CodeBuild's smallest machine costs, by the Pricing API. It is asked before each build."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from burst_magic.aws.prices import listed, on_demand
from burst_magic.errors import Missing

if TYPE_CHECKING:
    from burst_magic.aws.clients import Clients

_USAGE = re.compile(r"(?:[A-Z0-9]+-)?Build-Min:(?P<kind>Linux|ARM):g1\.small")
_KINDS = {"x86_64": "Linux", "arm64": "ARM"}


def minute(region: str, arch: str, clients: Clients | None = None) -> float:
    """Dollars.

    Raises:
        Missing: AWS lists no price.
        BurstError: AWS did not answer; see ``faults.meaning``.
    """
    found = parsed(listed("CodeBuild", region, clients))
    if arch not in found:
        raise Missing(f"AWS lists no price of CodeBuild for {region}, {arch}")
    return found[arch]


def parsed(products: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Dollars a minute in entries of the price list, by architecture."""
    found: dict[str, float] = {}
    for each in products:
        usage = _USAGE.fullmatch(each["product"]["attributes"].get("usagetype", ""))
        price = on_demand(each.get("terms", {}))
        if usage and price:  # the free tier is listed, too, for nothing
            found[next(arch for arch, kind in _KINDS.items() if kind == usage["kind"])] = price
    return found


def billed_minutes(seconds: float) -> int:
    """AWS counts whole minutes from the start to the end of a build.

    >>> [billed_minutes(seconds) for seconds in (1, 60, 61)]
    [1, 1, 2]
    """
    return max(1, math.ceil(seconds / 60))
