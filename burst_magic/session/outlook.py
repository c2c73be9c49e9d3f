"""What is looked up before a plan is made: today's prices. Nothing of AWS is asked for launchers that cost nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from burst_magic.plan.prices import PriceList, shipped

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.launchers.base import Traits


def price_list(settings: Settings, terms: Mapping[str, Traits]) -> PriceList:
    """The prices for a plan: AWS is asked if that is due, and no answer is no reason not to start.

    Args:
        settings: name the region.
        terms: the launchers' traits, by name.
    """
    region = settings.aws.get("region", "")
    if not region or not any(each.needs for each in terms.values()):
        return known_prices(settings)
    from burst_magic.aws.prices import PriceFile

    return PriceFile(settings.data_dir).current(region)


def known_prices(settings: Settings) -> PriceList:
    """The prices that are known without asking anybody."""
    if not settings.aws.get("region"):
        return shipped()
    from burst_magic.aws.prices import PriceFile

    return PriceFile(settings.data_dir).listed()
