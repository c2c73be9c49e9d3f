"""What runs in the user's AWS account: looked for once a minute at most, while somebody asks for the list of sessions.

AWS may take its time or ask for a login; the list of the store's sessions never waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError
from burst_magic.server.listed import AccountList, AccountSessionState

if TYPE_CHECKING:
    from burst_magic.config import Settings

_LOG = logging.getLogger(__name__)
EVERY = 60.0  # seconds between two looks: each lists clusters and tasks, and describes the tasks


def look(settings: Settings) -> AccountList:
    """Ask the account that ``burst setup`` has set up."""
    from burst_magic.aws.prices import PriceFile
    from burst_magic.launchers.account import running_sessions

    now = time.time()
    found = running_sessions(settings.aws, now=now, price_list=PriceFile(settings.data_dir).listed())
    rows = tuple(
        AccountSessionState(
            id=row.sid,
            owner=row.owner,
            workers=row.workers,
            launcher="+".join(row.launchers),
            since=row.since,
            at=now,
            spent=row.spend,
            hourly=row.hourly,
        )
        for row in found.sessions
    )
    return AccountList(region=found.region, sessions=rows, problem="; ".join(found.problems), way_out="")


class AccountLook:
    """The newest look at the account.

    Args:
        looks: takes one.
        every: seconds between two.
    """

    def __init__(self, looks: Callable[[Settings], AccountList] = look, *, every: float = EVERY) -> None:
        self._looks, self._every = looks, every
        self._lock = threading.Lock()
        self._busy, self._began_at = False, -every
        self._last: AccountList | None = None

    def newest(self, settings: Settings) -> AccountList | None:
        """What was seen last; None without an account, or before the first look is done. Waits for nothing."""
        if not settings.aws.get("cluster"):
            return None
        with self._lock:
            now = time.monotonic()
            if not self._busy and now - self._began_at >= self._every:
                self._busy, self._began_at = True, now
                threading.Thread(target=self._look, args=(settings,), name="burst server account", daemon=True).start()
            return self._last

    def _look(self, settings: Settings) -> None:
        try:
            found = self._looks(settings)
        except BurstError as problem:
            found = AccountList(region="", sessions=(), problem=problem.problem, way_out=problem.way_out)
        except Exception:  # noqa: BLE001 - told to all who ask, and logged
            _LOG.exception("the account cannot be looked into")
            found = AccountList(
                region="", sessions=(), problem="the account was not asked", way_out="the server's log says why"
            )
        with self._lock:
            self._last, self._busy = found, False
