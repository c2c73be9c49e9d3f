"""What is looked up for a plan: prices, the account's quotas. Launchers that cost nothing ask nothing of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError
from burst_magic.plan.prices import PriceList, shipped
from burst_magic.plan.quota import outlook

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.launchers.base import Traits
    from burst_magic.plan.planner import Plan


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


def room(made: Plan, terms: Mapping[str, Traits], settings: Settings) -> tuple[str, ...]:
    """What the account's quotas mean for a plan, for its warnings. A quota that cannot be read stops nothing.

    Args:
        made: the plan.
        terms: its launchers' traits, by name.
        settings: name the region.

    Raises:
        QuotaExceeded: not even one worker could ever run.
    """
    quotas = [each.quota for each in terms.values() if each.quota is not None]
    if not quotas or any(not settings.aws.get(need) for each in terms.values() for need in each.needs):
        return ()
    from burst_magic.aws.quotas import Quotas

    account = Quotas(settings.aws.get("region", ""))
    try:
        with ThreadPoolExecutor(len(quotas)) as pool:  # a user waits: both at the same time
            readings = list(pool.map(account.read, quotas))
    except BurstError as error:
        return _once(
            f"the account's quota of vCPUs cannot be read ({error.problem}); workers start as far as AWS has room"
        )
    unread = [f"{each.quota.code}: its use cannot be read: {each.problem}" for each in readings if each.problem]
    said = outlook(made, readings)
    return (*([said] if said else []), *_once(*unread))


_TOLD: set[str] = set()  # in this process: whoever may not read a quota needs not hear it with every cell


def _once(*texts: str) -> tuple[str, ...]:
    new = tuple(text for text in texts if text not in _TOLD)
    _TOLD.update(new)
    return new
