"""Workers on ECS: one Fargate task each, on demand (``fargate``) or on spare capacity (``spot``).

A start is one RunTask under its own client token. The same token gives the same task, so a start whose reply was lost
is repeated. The session's key is in no request: a worker is told its fingerprint and reads the key in the store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic.aws import reasons
from burst_magic.aws.ecs import Ecs
from burst_magic.aws.logs import Logs
from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, Exists, LaunchError, Missing, Throttled, Unknown
from burst_magic.launchers.base import Again, Handle, PrintedLine, Refusal, Start, Status, Traits, WorkerState
from burst_magic.launchers.ecs_definition import arch_of, check_worker, derived, fits, image_of
from burst_magic.launchers.ecs_logs import ContainerLogs
from burst_magic.launchers.ecs_task import (
    CONTAINER,
    PlaceInEcs,
    by_place,
    handle_of,
    request,
    status_of,
    token_of,
    wid_of,
)
from burst_magic.plan.cost import MINIMUM, on_fargate, on_fargate_spot, public_address
from burst_magic.plan.quota import VcpuQuota

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import TaskTypeDef

_AT_ONCE = 32  # calls under way: 100 workers take three rounds of AWS's reply, about a second each
_SPARSELY = 0.5  # seconds for which a worker is described as before: whoever waits in a loop asks AWS twice a second
_FRESH = 120.0  # seconds for which DescribeTasks may not yet know a task (the API is eventually consistent)
_LOG = logging.getLogger(__name__)
_NOT_ASKED = "not asked for"
_STOPPED, _KILLED = "burst_magic: stopped", "burst_magic: killed"
_USUALLY = 45.0  # seconds from RunTask to RUNNING of a small image, as users report
_REFUSES = {"gpus": "has no GPUs", "instance_type": "chooses its machines by itself; --cpu and --memory set the size"}
_NEVER = float("-inf"), Status(state=WorkerState.UNKNOWN)  # described
_NEEDS = ("region", "cluster", "task_definition", "subnets")


class EcsLauncher:
    """Starts, describes and stops tasks of one capacity provider.

    Args:
        kind: which one.
        ecs: the control plane of a region, by name.
        logs: CloudWatch Logs of a region, by name.
        clock: seconds.
    """

    def __init__(
        self,
        kind: EcsKind,
        *,
        ecs: Callable[[str], Ecs] = Ecs,
        logs: Callable[[str], Logs] = Logs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.traits = kind.name, kind.traits
        self._provider, self._ecs, self._clock = kind.provider, ecs, clock
        self._regions: dict[str, Ecs] = {}
        self._lock = threading.Lock()
        self._started: dict[str, float] = {}  # wid -> when this client started it
        self._described: dict[str, tuple[float, Status]] = {}
        self._faults: set[str] = set()  # told already
        self._logs = ContainerLogs(self._in, logs=logs)

    def _in(self, region: str) -> Ecs:
        with self._lock:
            if region not in self._regions:
                self._regions[region] = self._ecs(region)
            return self._regions[region]

    # --- starting ----------------------------------------------------------------------------------------------

    def start(self, starts: Sequence[Start]) -> list[Handle | Refusal]:
        """One task each, many calls at a time. If interrupted, stops what it started."""
        if not starts:
            return []
        try:
            definitions = self._definitions(starts)
        except BurstError as error:
            return [self._refusal(start, error) for start in starts]
        enough = threading.Event()  # one start could not be made, and the others would fail or wait in the same way
        pool = ThreadPoolExecutor(min(_AT_ONCE, len(starts)), thread_name_prefix="burst-ecs")
        answers: list[Future[Handle | Refusal]] = []
        try:
            for start in starts:
                definition = definitions[_likeness(start)]
                answers.append(pool.submit(self._answer, start, definition, enough))
            found = [answer.result() for answer in answers]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            self._take_back(answers)
            raise
        pool.shutdown()
        return _explained(found)

    def _take_back(self, answers: Sequence[Future[Handle | Refusal]]) -> None:
        """Stop what was started before the interruption, many at a time."""
        done = [each.result() for each in answers if each.done() and not each.cancelled() and each.exception() is None]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(
                pool.map(
                    lambda handle: self.stop(handle, kill=True), (each for each in done if isinstance(each, Handle))
                )
            )

    def _answer(self, start: Start, definition: str, enough: threading.Event) -> Handle | Refusal:
        if enough.is_set():
            return Refusal(token=start.token, problem=_NOT_ASKED, again=Again.LATER)
        answer = self._run(start, definition)
        if isinstance(answer, Handle):
            self._started[answer.wid] = self._clock()
        elif answer.again is not Again.NO_ROOM:  # each may find room of its own
            enough.set()
        return answer

    def _run(self, start: Start, definition: str) -> Handle | Refusal:
        try:
            ecs = self._in(start.options.get("region", ""))
            asked = request(start, launcher=self.name, provider=self._provider, definition=definition)
            answer = ecs.run(asked, provider=self._provider)
        except Exists:
            return self._found(start)
        except BurstError as error:
            return self._refusal(start, error)
        for task in answer["tasks"]:
            return handle_of(task, launcher=self.name)
        failures = (part for each in answer["failures"] for part in (each.get("reason"), each.get("detail")) if part)
        return _no_task(start, " ".join(failures))

    def _definitions(self, starts: Sequence[Start]) -> dict[tuple[str, ...], str]:
        """The task definition of each image, command and architecture; asked for anew each time, since the configured
        one may have a new revision."""
        return {key: self._choose(start) for key, start in {_likeness(start): start for start in starts}.items()}

    def _choose(self, start: Start) -> str:
        """The configured definition, or a copy, which is registered by whoever needs it first."""
        ecs, name = self._in(start.options.get("region", "")), start.options.get("task_definition", "")
        configured, tags = ecs.tagged_definition(name)
        check_worker(configured, start, container=CONTAINER)
        if fits(configured, start, container=CONTAINER):
            return name
        wanted = derived(configured, start, container=CONTAINER, tags=tags)
        try:
            return ecs.definition(wanted["family"])["taskDefinitionArn"]
        except (Missing, LaunchError):  # AWS has no error of its own for a family that isn't there
            return ecs.register(wanted)["taskDefinitionArn"]

    def _found(self, start: Start) -> Handle | Refusal:
        """The task that this token has started with other parameters, such as a deadline that was extended since."""
        try:
            for stopped in (False, True):
                for task in self._tasks(start.sid, start.options, stopped=stopped):
                    if token_of(task) == start.token:
                        return handle_of(task, launcher=self.name)
        except BurstError as error:
            return self._refusal(start, error)
        problem = "AWS has seen this start before and doesn't list its task yet"
        return Refusal(token=start.token, problem=problem, again=Again.SAME_TOKEN)

    def _tasks(self, sid: str, options: Mapping[str, str], *, stopped: bool = False) -> list[TaskTypeDef]:
        """The session's tasks on this launcher's capacity."""
        place = PlaceInEcs.of_options(options)
        ecs = self._in(place.region)
        arns = ecs.list_tasks(place.cluster, started_by=sid, stopped=stopped)
        found = ecs.describe(place.cluster, arns)[0] if arns else []
        return [task for task in found if task.get("capacityProviderName", self._provider) == self._provider]

    def _refusal(self, start: Start, error: BurstError) -> Refusal:
        """What the session makes of an error."""
        said = error.context or error.problem
        if isinstance(error, Unknown):
            return Refusal(token=start.token, problem=error.problem, context=said, again=Again.SAME_TOKEN)
        if isinstance(error, Throttled):
            problem = "AWS takes no more starts at the moment (request limit of the account)"
            return Refusal(token=start.token, problem=problem, context=said, again=Again.LATER)
        if isinstance(error, (LaunchError, Missing)):
            return _no_task(start, error.problem, context=said)
        problem = "; ".join(filter(None, (error.problem, error.way_out)))
        return Refusal(token=start.token, problem=problem, context=said)

    # --- looking after them ------------------------------------------------------------------------------------

    def find(self, sid: str, options: Mapping[str, str]) -> list[Handle]:
        """The session's tasks that have not stopped: they name it in ``startedBy``."""
        try:
            found, now = self._tasks(sid, options), self._clock()
            self._described.update({wid_of(task): (now, status_of(task)) for task in found})
            return [handle_of(task, launcher=self.name) for task in found]
        except BurstError as error:
            self._tell_once(f"cannot list the workers in {options.get('cluster', '')}: {error.problem}")
            return []

    def describe(self, handles: Sequence[Handle]) -> dict[str, Status]:
        """What ECS says of each, at most twice a second; an end that was seen once stays."""
        now = self._clock()
        known = {each.wid: self._described[each.wid] for each in handles if each.wid in self._described}
        stale = [each for each in handles if not self._holds(known.get(each.wid), now)]
        for place, some in by_place(stale).items():
            fresh = self._ask(place, some)
            self._described.update({wid: (now, status) for wid, status in fresh.items()})
        return {each.wid: self._described.get(each.wid, _NEVER)[1] for each in handles}

    def _holds(self, known: tuple[float, Status] | None, now: float) -> bool:
        return known is not None and (known[1].state is WorkerState.ENDED or now - known[0] < _SPARSELY)

    def _ask(self, place: PlaceInEcs, handles: Sequence[Handle]) -> dict[str, Status]:
        """No answer is no end: those workers are unknown."""
        wids = {each.wid for each in handles}
        try:
            found, _ = self._in(place.region).describe(place.cluster, sorted(wids))
        except BurstError as error:
            self._tell_once(f"cannot see the workers in {place.cluster}: {error.problem}")
            return {wid: self._unseen(wid, error.problem) for wid in wids}
        said = {wid_of(task): status_of(task) for task in found}
        return {wid: said.get(wid) or self._unseen(wid, "ECS does not list this task", missing=True) for wid in wids}

    def _unseen(self, wid: str, reason: str, *, missing: bool = False) -> Status:
        """A task that ECS accepted a moment ago is coming, though DescribeTasks may not know it yet."""
        fresh = self._clock() - self._started.get(wid, float("-inf")) < _FRESH
        if fresh:
            return Status(state=WorkerState.COMING, reason=reason)
        return Status(state=WorkerState.UNKNOWN, reason=reason, missing=missing)

    def _tell_once(self, fault: str) -> None:
        if fault not in self._faults:
            self._faults.add(fault)
            _LOG.warning("%s", fault)

    def stop(self, handle: Handle, *, kill: bool = False) -> bool:
        """StopTask: the worker gets SIGTERM, finishes its tasks if it can, and is killed after its stopTimeout.

        ECS has no other way to end a task, so ``kill`` is the same.
        """
        place = PlaceInEcs.of(handle)
        if place is None:
            return False
        if self._described.get(handle.wid, _NEVER)[1].state is not WorkerState.ENDED:
            self._described.pop(handle.wid, None)  # what was said of it is old now
        try:
            self._in(place.region).stop(place.cluster, handle.wid, reason=_KILLED if kill else _STOPPED)
        except BurstError as error:
            level = logging.DEBUG if isinstance(error, (LaunchError, Missing)) else logging.WARNING
            _LOG.log(level, "worker %s was not stopped: %s", handle.wid, error.problem)
            return False
        return True

    def poke(self, handle: Handle) -> None:
        """Nothing reaches a task: it looks by itself."""

    def log(self, handle: Handle) -> str:
        """The end of what its container printed, from CloudWatch; why there is nothing, where that is known."""
        place = PlaceInEcs.of(handle)
        definition = str(handle.data.get("definition", ""))
        return "" if place is None else self._logs.tail(place.region, definition, handle.wid)

    def printed(self, workers: Collection[str], options: Mapping[str, str], *, since: float) -> list[PrintedLine]:
        """What containers printed, in order of time; raises ``BurstError`` if CloudWatch cannot be read."""
        return self._logs.lines(workers, options, since=since)


def _likeness(start: Start) -> tuple[str, ...]:
    """Starts that are equal in this share a task definition."""
    return image_of(start), start.arch, *start.command


def _no_task(start: Start, words: str, *, context: str = "") -> Refusal:
    """AWS answered, and there is no task."""
    reason = reasons.read(words)
    again = Again.NO_ROOM if reason.trouble.is_room else Again.LATER if reason.trouble.passes else Again.NEVER
    return Refusal(token=start.token, problem=reason.problem, context=context or words, again=again)


def _explained(answers: Sequence[Handle | Refusal]) -> list[Handle | Refusal]:
    """Starts that were not asked for share the reason of the one that failed."""
    refused = [each for each in answers if isinstance(each, Refusal)]
    why = next((each for each in refused if each.problem != _NOT_ASKED and each.again is not Again.NO_ROOM), None)
    if why is None:
        return list(answers)
    # After a lost reply they are asked for again like that start: AWS did not refuse them, so no fallback is due.
    same = {each.token: replace(why, token=each.token) for each in refused if each.problem == _NOT_ASKED}
    return [each if isinstance(each, Handle) else same.get(each.token, each) for each in answers]


def _own_arch(options: Mapping[str, str]) -> str:
    """The architecture of the configured task definition."""
    try:
        return arch_of(Ecs(options.get("region", "")).definition(options.get("task_definition", "")))
    except BurstError:  # whoever starts a worker is told why
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EcsKind:
    """A line of the table: a name, a capacity provider, and what differs with it. Called, it makes the launcher."""

    name: str
    provider: str
    traits: Traits

    def __call__(self, logs: Path) -> EcsLauncher:  # noqa: ARG002 - workers of ECS log to CloudWatch
        """A launcher; nothing of AWS is imported or asked until it is used."""
        return EcsLauncher(self)


_QUOTA = VcpuQuota(
    service="fargate",
    code="L-3032A538",
    name="Fargate On-Demand vCPU resource count",
    usage="Standard/OnDemand",
)
_SPOT_QUOTA = VcpuQuota(
    service="fargate", code="L-36FBB829", name="Fargate Spot vCPU resource count", usage="Standard/Spot"
)
_ON_DEMAND = Traits(
    starting_within=600.0,
    usually_within=_USUALLY,
    syncs=True,
    inherits=False,
    stores=("s3",),
    needs=_NEEDS,
    refuses=_REFUSES,
    rate=on_fargate,
    own_arch=_own_arch,
    address=public_address,
    minimum=MINIMUM,
    quota=_QUOTA,
)
FARGATE = EcsKind(name="fargate", provider="FARGATE", traits=_ON_DEMAND)
SPOT = EcsKind(
    name="spot",
    provider="FARGATE_SPOT",
    traits=replace(_ON_DEMAND, fallback="fargate", rate=on_fargate_spot, ceiling=on_fargate, quota=_SPOT_QUOTA),
)
