"""Warnings about starts that were refused, without repetition: status shows all the time what is still refused."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from burst_magic.launchers.base import Refusal

_LOG = logging.getLogger(__name__)


class StartWarnings:
    """Warns once of each problem of a launcher, and again only after it has started a worker."""

    def __init__(self) -> None:
        self._told: dict[str, set[str]] = {}  # launcher -> problems

    def warn(self, launcher: str, refused: Sequence[Refusal], *, of: int) -> None:
        """Log what is new.

        Args:
            launcher: its name.
            refused: the starts of one call that it refused.
            of: number of starts of that call.
        """
        told = self._told.setdefault(launcher, set())
        if len(refused) < of:
            told.clear()
        for problem, many in Counter(each.problem for each in refused).items():
            if problem not in told:
                _LOG.warning("%d of %d %s workers were not started: %s", many, of, launcher, problem)
        told.update(each.problem for each in refused)
