"""Quotas of vCPUs: how many workers they leave room for, and what a larger one should be. Pure.

A quota is never a barrier: workers start as far as there is room, and the others when some end.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from burst_magic.dataclass import dataclass
from burst_magic.errors import QuotaExceeded
from burst_magic.plan.planner import Plan, coarse

_STEPS = (100, 200, 500, 1000, 2000, 5000, 10000)  # what people ask for; AWS grants round numbers sooner
_SPARE = 1.25  # so that a retry or a second notebook has room
OPEN = ("PENDING", "CASE_OPENED")  # states of a request that AWS has not decided
STATES = {  # Service Quotas, "RequestedServiceQuotaChange"
    "PENDING": "AWS has not decided yet",
    "CASE_OPENED": "AWS Support decides; its case may ask you for reasons",
    "APPROVED": "granted",
    "DENIED": "refused",
    "NOT_APPROVED": "refused",
    "CASE_CLOSED": "the case is closed: see AWS Support",
    "INVALID_REQUEST": "AWS could not handle the request",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VcpuQuota:
    """Which quota limits a launcher's workers.

    Attributes:
        service, code: of Service Quotas.
        name: as AWS's console shows it.
        usage: the ``Class`` of its metric ``ResourceCount`` in CloudWatch's ``AWS/Usage``.
    """

    service: str
    code: str
    name: str
    usage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaReading:
    """A quota at one moment, in vCPU.

    Attributes:
        used: None if that could not be read.
        problem: why not.
    """

    quota: VcpuQuota
    limit: float
    used: float | None
    problem: str = ""

    @property
    def free(self) -> float:
        """What may start now; all of it if nobody knows the use."""
        return max(0.0, self.limit - (self.used or 0.0))

    def room(self, cpu: float) -> int:
        """Number of workers of that size that may start now."""
        return int(self.free // cpu)

    def __str__(self) -> str:
        used = "an unknown number" if self.used is None else f"{self.used:g}"
        return f"{self.quota.name} {self.quota.code}: {used} of {self.limit:g} vCPU in use"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaIncrease:
    """A request for a larger quota; times are seconds since the epoch."""

    ident: str
    wanted: float
    state: str
    created: float
    case: str = ""

    @property
    def is_open(self) -> bool:
        """AWS has not decided."""
        return self.state in OPEN


def outlook(made: Plan, readings: Sequence[QuotaReading]) -> str:
    """What the quotas mean for a plan, in one line; "" if all its workers may start now.

    Args:
        made: the plan.
        readings: of each of its launchers.

    Raises:
        QuotaExceeded: not even one worker could ever run.
    """
    cpu = made.shape.cpu
    if all(each.limit < cpu for each in readings):
        raise QuotaExceeded(
            f"a worker has {cpu:g} vCPU, and the account may run {max(each.limit for each in readings):g} at a time",
            context="; ".join(map(str, readings)),
            way_out=f"a smaller --cpu, or %burst_quota request {suggest(made.starting * cpu)}",
        )
    room = sum(each.room(cpu) for each in readings)
    if room >= made.starting:
        return ""
    now = f"{room} of {made.starting} workers can run now ({'; '.join(map(str, readings))})"
    longer = _longer(made, room)
    rest = f"the rest as quota frees{f', about {coarse(longer)} longer' if longer else ''}"
    return f"{now}; {rest}. To raise it: %burst_quota request"


def _longer(made: Plan, room: int) -> float:
    """Seconds that fewer workers take longer; 0 if that is not known."""
    seconds, tasks = made.estimate.seconds, made.tasks
    if seconds is None or not tasks or not made.waves or not room:
        return 0.0
    return seconds / made.waves * ceil(tasks / (room * made.slots)) - seconds


def suggest(need: float) -> int:
    """The quota to ask for when so many vCPU are needed.

    >>> suggest(64), suggest(400), suggest(20_000)
    (100, 500, 25000)
    """
    wanted = need * _SPARE
    return next((step for step in _STEPS if step >= wanted), ceil(wanted / 1000) * 1000)


def describe(increase: QuotaIncrease) -> str:
    """The state of a request in words."""
    case = f" (case {increase.case})" if increase.case else ""
    return f"{increase.state}: {STATES.get(increase.state, 'see the console of Service Quotas')}{case}"
