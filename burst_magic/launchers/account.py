"""What runs in the user's account, by the tags of its tasks: found without the store, whoever started it.

ECS itself is asked (ListTasks, DescribeTasks with tags): it knows a task from the moment it is accepted, while the
tagging API lags behind and does not tell which of them run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from burst_magic.aws.ecs import Ecs
from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, Denied
from burst_magic.launchers.ecs import FARGATE, SPOT
from burst_magic.launchers.ecs_task import CPU_UNITS, DEADLINE_FORMAT, TAG
from burst_magic.plan.cost import charge
from burst_magic.plan.prices import PriceList, shipped
from burst_magic.plan.shapes import Shape

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import TaskTypeDef

_KINDS = {kind.provider: kind for kind in (FARGATE, SPOT)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSession:
    """The running tasks of one session. Times are seconds since the epoch, money is micro-dollars at list price.

    Attributes:
        owner: who started it.
        deadline: when it is to end; None if its tasks don't say.
        workers: tasks that have not stopped.
        launchers: their names.
        since: when the oldest of them was created.
        hourly: what they cost an hour; None if a price is not known.
        spend: what they have cost so far; of tasks that have stopped nothing is known here.
    """

    sid: str
    owner: str
    deadline: float | None
    workers: int
    launchers: tuple[str, ...]
    since: float
    hourly: int | None
    spend: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """What was found.

    Attributes:
        region: where it was looked for.
        sessions: oldest first.
        problems: what could not be looked into, and why.
    """

    region: str
    sessions: tuple[AccountSession, ...]
    problems: tuple[str, ...] = ()


def running_sessions(
    options: Mapping[str, str],
    *,
    now: float,
    price_list: PriceList | None = None,
    ecs: Callable[[str], Ecs] = Ecs,
) -> AccountView:
    """Sessions with tasks in the account's region, in all clusters that the user may list.

    Args:
        options: the ``[aws]`` table; without a cluster, only listed clusters are searched.
        now: seconds since the epoch.
        price_list: the prices; by default, those that come with this version.
        ecs: the control plane of a region, by name.

    Raises:
        BurstError: the account, or not one of its clusters, can be asked; see ``aws.faults``.
    """
    region = ecs(options.get("region", ""))
    configured = options.get("cluster", "").rpartition("/")[2]  # a name, or the end of an ARN
    try:
        clusters = {arn.rpartition("/")[2] for arn in region.list_clusters()}
    except Denied:
        if not configured:
            raise
        clusters = set()
    names = sorted({*clusters, *([configured] if configured else [])})
    found: list[TaskTypeDef] = []
    unread: dict[str, BurstError] = {}
    for cluster in names:
        try:
            arns = region.list_tasks(cluster)
            found += region.describe(cluster, arns, tags=True)[0] if arns else []
        except BurstError as error:
            unread[cluster] = error
    if unread and len(unread) == len(names):
        raise next(iter(unread.values()))
    return AccountView(
        region=region.region,
        sessions=tuple(by_session(found, now=now, options=options, price_list=price_list)),
        problems=tuple(f"cluster {cluster} was not searched: {error.problem}" for cluster, error in unread.items()),
    )


def by_session(
    tasks: Iterable[TaskTypeDef], *, now: float, options: Mapping[str, str], price_list: PriceList | None = None
) -> list[AccountSession]:
    """Group tasks by their session's tag, oldest first; those without one are not ours.

    Args:
        tasks: as DescribeTasks returns them.
        now: seconds since the epoch.
        options: the ``[aws]`` table: ECS does not tell whether a task has a public address.
        price_list: the prices; by default, those that come with this version.
    """
    listed = price_list or shipped()
    grouped: dict[str, list[TaskTypeDef]] = {}
    for task in tasks:
        sid = _tags(task).get("session", "")
        if sid and task.get("lastStatus") != "STOPPED":
            grouped.setdefault(sid, []).append(task)
    rows = [_session(mine, [_rate(task, options, listed) for task in mine], now) for mine in grouped.values()]
    return sorted(rows, key=lambda row: (row.since, row.sid))


def _session(tasks: list[TaskTypeDef], rates: list[int | None], now: float) -> AccountSession:
    """One session's tasks, each with its rate."""
    tags = [_tags(task) for task in tasks]
    deadlines = [end for each in tags if (end := _parsed(each.get("deadline", ""))) is not None]
    known = [rate for rate in rates if rate is not None]
    priced = len(known) == len(rates)
    return AccountSession(
        sid=tags[0]["session"],
        owner=next((each["owner"] for each in tags if "owner" in each), ""),
        deadline=max(deadlines, default=None),
        workers=len(tasks),
        launchers=tuple(sorted({_launcher(task) for task in tasks})),
        since=min((task["createdAt"].timestamp() for task in tasks if "createdAt" in task), default=now),
        hourly=sum(known) if priced else None,
        spend=sum(map(charge, known, (_billed(task, now) for task in tasks))) if priced else None,
    )


def _tags(task: TaskTypeDef) -> dict[str, str]:
    pairs = ((tag.get("key", ""), tag.get("value", "")) for tag in task.get("tags", ()))
    return {key.removeprefix(TAG): value for key, value in pairs if key.startswith(TAG)}


def _parsed(deadline: str) -> float | None:
    try:
        return datetime.strptime(deadline, DEADLINE_FORMAT).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


def _launcher(task: TaskTypeDef) -> str:
    provider = task.get("capacityProviderName", "")
    return _KINDS[provider].name if provider in _KINDS else provider.lower() or "unknown"


def _rate(task: TaskTypeDef, options: Mapping[str, str], listed: PriceList) -> int | None:
    """By its own size, at the price of its capacity; on demand if that is not known."""
    shape = Shape(int(task.get("cpu") or 0) / CPU_UNITS, int(task.get("memory") or 0))
    attributes = {each.get("name"): each.get("value") for each in task.get("attributes", ())}
    arch = attributes.get("ecs.cpu-architecture") or "x86_64"
    kind = _KINDS.get(task.get("capacityProviderName", ""), FARGATE)
    rate = kind.traits.rate(shape, listed.market(arch, task["taskArn"].split(":")[3]))
    return None if rate is None else rate + kind.traits.address(options)


def _billed(task: TaskTypeDef, now: float) -> float:
    """Seconds since the pull of its image began."""
    return now - task["pullStartedAt"].timestamp() if "pullStartedAt" in task else 0.0
