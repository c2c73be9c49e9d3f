"""Writes the pictures of docs/protocol.md from the code's own tables: `make docs`.

The tree is what ``protocol/wire/keys.py`` builds, the partition what ``ranges.py`` and ``stealing.py`` decide, the
timeline a session of the simulator, the ends of a worker those of ``wire/model.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

from svg import COLOURS, Page

from burst_magic.protocol import effects as fx
from burst_magic.protocol.ranges import Cover, cut_lanes, lane_end, partition
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import (
    ClaimBody,
    ClaimKey,
    ControlKind,
    EndCause,
    Final,
    Gone,
    SegmentKey,
)
from burst_magic.protocol.worker import leaving
from burst_magic.protocol.worker.stealing import Prey, cut
from burst_magic.testing.scenario import Act, Deed, Scenario
from burst_magic.testing.weather import Weather
from burst_magic.testing.world import World

FOLDER = Path(__file__).with_name("images")
ROW = 22


# --- the tree of keys ---------------------------------------------------------------------------------------------

SESSION = keys.SessionKeys("20261121-093000-abcdefgh")
JOB = SESSION.job("0")
CLAIM = ClaimKey(start=250, number=0)
SAMPLES: dict[str, tuple[object, ...]] = {
    "control": ("0", ControlKind.ADD_JOB),
    "heartbeat": ("laptop-4711-8", 1_795_253_400_000, 0),
    "gone": ("laptop-4711-8",),
    "next": ("6f2a",),
    "claim": (CLAIM,),
    "segment": (SegmentKey(at_ms=1_795_253_401_500, start=250, stop=300, failed=2, claim=CLAIM),),
}


BODIES = {"claim": ClaimKey, "segment": SegmentKey, "gone": Gone}  # what is in them tells more


def named() -> Iterator[tuple[str, str]]:
    """Every key that there is, as an example, and what its builder says of it."""
    yield keys.blob("9f86d081884c…"), _said(keys.blob)
    for builder in (SESSION, JOB):
        for name, member in vars(type(builder)).items():
            if name.startswith("_") or name in {"job", "root", "sid", "jid"} or name.endswith("_folder"):
                continue
            made = getattr(builder, name)
            yield (made(*SAMPLES[name]) if callable(made) else made), _said(BODIES.get(name, member))


def _said(member: object) -> str:
    return str(member.__doc__).split("\n")[0].removesuffix(".").replace("``", "")


def tree() -> Page:
    """All keys of a session as a tree, each with what it is for."""
    lines: list[tuple[int, str, str]] = []
    before: list[str] = []
    for key, what in sorted(named(), key=lambda row: (row[0].startswith(keys.SESSIONS), row[0])):
        *folders, name = key.split("/")
        for depth, folder in enumerate(folders):
            if before[: depth + 1] != folders[: depth + 1]:
                lines.append((depth, f"{folder}/", ""))
        lines.append((len(folders), name, what))
        before = folders
    page = Page(1150, 24 + ROW * len(lines), "Every object of a session in the store, and what it is for")
    for number, (depth, name, what) in enumerate(lines):
        y = 24 + ROW * number
        page.text(12 + 22 * depth, y, name, kind="" if what else "strong")
        if what:
            page.text(520, y, what, kind="small")
            page.line(20 + 22 * depth + 8 * len(name), y - 4, 512, y - 4, dashed=True)
    return page


# --- the partition --------------------------------------------------------------------------------------------------

TASKS, LANES = 32, 4
_UNIT, _LEFT, _HIGH = 26, 12, 30


class Scene:
    """A job of a few tasks: claims with their owners, and what is published."""

    def __init__(self) -> None:
        self.lanes = cut_lanes(TASKS, LANES)
        self.owners: dict[ClaimKey, int] = {}
        self.cover = Cover(TASKS)

    def claims(self, worker: int, start: int, number: int = 0) -> None:
        """A worker creates a claim."""
        self.owners[ClaimKey(start=start, number=number)] = worker

    def publishes(self, start: int, stop: int, number: int = 0) -> None:
        """Whoever holds these tasks publishes them."""
        claim = max(claim for claim in self.owners if claim.start <= start and claim.number <= number)
        self.cover.add(SegmentKey(at_ms=0, start=start, stop=stop, failed=0, claim=claim))

    def steals(self, worker: int) -> int:
        """Where the policy cuts: tasks of 0.9 s each and flushes of one, seen soon after a flush."""
        preys = []
        for piece in partition(TASKS, self.lanes, self.owners):
            gaps = self.cover.gaps(piece.range.start, piece.range.stop)
            if piece.claim is not None and gaps:
                done = gaps[0].start - piece.range.start
                rest = gaps[0]
                preys.append(Prey(claim=piece.claim, rest=rest, since=0.0, last=0.9 * done, published=done))
        found = cut(preys, now=2.0, flush=1.0, mean=1.0, dice=Random(1))  # noqa: S311 - chance that can be had again
        if found is None:
            raise ValueError("nothing is worth stealing: there is no picture to draw")
        self.claims(worker, found.start)
        return found.start


def division() -> Page:
    """How the sorted claims divide the tasks: lanes, claims, a theft, a recovery."""
    page = Page(_LEFT * 2 + _UNIT * TASKS, 560, "Lanes, claims, stealing and recovery over 32 tasks")
    scene, y = Scene(), 20
    y = _stage(page, y, f"submit: {TASKS} tasks, cut into {LANES} lanes; nobody has claimed one", scene)
    for worker, start in enumerate(scene.lanes[:3]):
        scene.claims(worker, start)
    y = _stage(page, y, "three workers have claimed a lane each: claims/0.0, claims/8.0, claims/16.0", scene)
    scene.claims(2, scene.lanes[3])
    for start, stop in ((0, 2), (8, 10), (16, 24)):
        scene.publishes(start, stop)
    y = _stage(page, y, "w3 was quick: its lane is published, and it has claimed the last free one", scene)
    scene.publishes(24, 32)
    start = scene.steals(2)
    y = _stage(page, y, f"nothing is free: w3 steals, and cuts at {start} what a victim will not have reached", scene)
    victim = max(lane for lane in scene.lanes if lane < start)
    scene.publishes(victim + 2, victim + 4)
    other = next(claim.start for claim in sorted(scene.owners) if claim.start in (0, 8) and claim.start != victim)
    scene.publishes(start, lane_end(TASKS, scene.lanes, start))
    scene.claims(2, other, 1)
    dead = scene.owners[ClaimKey(start=other, number=0)] + 1
    y = _stage(
        page, y, f"w{dead} is dead: w3 takes its range from the first unpublished task on: claims/{other}.1", scene
    )
    for worker in range(3):
        page.box(_LEFT + 150 * worker, y + 8, 14, 14, fill=COLOURS[worker], solid=0.25)
        page.text(_LEFT + 150 * worker + 22, y + 20, f"w{worker + 1}'s")
    page.box(_LEFT + 450, y + 8, 14, 14, fill=COLOURS[0], solid=0.9)
    page.text(_LEFT + 472, y + 20, "published")
    page.box(_LEFT + 600, y + 8, 14, 14)
    page.text(_LEFT + 622, y + 20, "free")
    return page


def _stage(page: Page, y: float, words: str, scene: Scene) -> float:
    page.text(_LEFT, y, words)
    top = y + 12
    for piece in partition(TASKS, scene.lanes, scene.owners):
        holder = piece.claim
        for task in range(piece.range.start, piece.range.stop):
            segment = scene.cover.find(task)
            place = (_LEFT + _UNIT * task + 1, top, _UNIT - 2, _HIGH)
            if segment is not None:
                page.box(*place, fill=COLOURS[scene.owners[segment.claim]], solid=0.9)
            elif holder is not None:
                page.box(*place, fill=COLOURS[scene.owners[holder]], solid=0.25)
            else:
                page.box(*place)
        name = f"{piece.range.start}.{holder.number}" if holder else str(piece.range.start)
        page.line(_LEFT + _UNIT * piece.range.start, top - 4, _LEFT + _UNIT * piece.range.start, top + _HIGH + 18)
        page.text(_LEFT + _UNIT * piece.range.start + 4, top + _HIGH + 16, name, kind="small")
    return y + 100


# --- a session of the simulator --------------------------------------------------------------------------------------

PLAN = Scenario(
    seed=5, workers=3, slots=1, tasks=40, interval=1.0, floor=0.2, idle=3.0, lifetime=500.0, short=False, work="exp",
    task=0.35, failing=0.0, boot=0.2, skew=0.0, reaps=False, weather=Weather(latency=0.01), calm=30.0,
    acts=(Act(at=2.2, deed=Deed.CRASH, target=1),),
)  # fmt: skip
_SECOND, _SIDE, _LANE = 88, 60, 118


def timeline() -> Page:
    """What each worker of a simulated session does: claims, tasks, flushes, a death, a recovery, thefts, ``final``."""
    world = World(PLAN)
    world.play()
    final = world.store.get(keys.SessionKeys(world.manifest.sid).job("0").final)
    if not isinstance(final, Final):
        raise TypeError("the simulated session of the timeline was not finished")
    end = final.at - world.manifest.created + 0.4
    workers = sorted({entry.who for entry in world.trace if entry.who in world.workers and entry.at < end})
    page = Page(_SIDE + _SECOND * end + 20, 60 + _LANE * len(workers), "A simulated session of 40 tasks and 3 workers")
    for second in range(int(end) + 1):
        x = _SIDE + _SECOND * second
        page.line(x, 26, x, 32 + _LANE * len(workers), dashed=True)
        page.text(x + 3, 20, f"{second} s", kind="small")
    for number, wid in enumerate(workers):
        _life(page, world, wid, number, end)
    y = 54 + _LANE * len(workers)
    page.text(
        8, y, "bar: a task   dot: a flush, what is done is published   ×: it dies, unseen   |: a claim", kind="small"
    )
    x, row = _SIDE + _SECOND * (final.at - world.manifest.created), workers.index(final.by)
    page.path(f"M{x:.1f} {40 + _LANE * row} v{_LANE - 40}", COLOURS[row % len(COLOURS)])
    page.text(x - 4, 40 + _LANE * row + 12, "final", kind="strong small", anchor="end")
    return page


def _life(page: Page, world: World, wid: str, number: int, end: float) -> None:
    y, colour, begun, said = 40 + _LANE * number, COLOURS[number], 0.0, 0
    page.text(8, y + 50, wid, kind="strong")
    for entry in world.trace:
        if entry.who != wid or entry.at > end:
            continue
        x, what = _SIDE + _SECOND * entry.at, entry.what
        if isinstance(what, fx.Run):
            begun = entry.at
        elif isinstance(what, fx.Create) and isinstance(what.record, ClaimBody):
            page.path(f"M{x:.1f} {y + 20} v46", colour)
            page.text(x + 4, y + 2 + 13 * (said % 3), _claimed(world, what.key), kind="small")
            said += 1
        elif isinstance(what, fx.Publish):
            page.dot(x, y + 74, 3.5, colour)
        elif what == "crashed":
            page.path(f"M{x - 7:.1f} {y + 41} l14 14 m0 -14 l-14 14", "#d1383d")
            page.text(x + 12, y + 52, "dies", kind="strong small")
        elif isinstance(what, str) and what.startswith("ran "):
            left = _SIDE + _SECOND * begun
            page.box(left + 0.5, y + 40, max(1.0, x - left - 1), 26, fill=colour, solid=0.3)
            task = what.partition("/")[2]
            if x - left > 9 * len(task):
                page.text((left + x) / 2, y + 57, task, kind="small", anchor="middle")
            begun = entry.at


def _claimed(world: World, key: str) -> str:
    claim, lanes = keys.parse_claim(key), world.jobs["0"].lanes
    if claim.number:
        return f"recovers {claim.start}.{claim.number}"
    return f"claims {claim.start}.0" if claim.start in lanes else f"steals {claim.start}.0"


# --- the life of a worker ------------------------------------------------------------------------------------------

STEPS = (
    ("starts", "reads its key from a pipe, verifies manifest.json, beats"),
    ("looks", "control/ names the jobs, job.json commits each"),
    ("claims", "a free lane, a dead owner's range, the end of a busy one's"),
    ("runs", "its slots run the range, task after task, as if each were the only one"),
    ("flushes", "looks whether its range was cut or taken, then publishes what is done"),
    ("hunts", "nothing to take: all covered? then it writes final; else it tries again, ever later"),
    ("ends", "because of one of the causes below"),
    (".gone", "its end and the cause, when all that it had is published"),
    ("last look", "new work came meanwhile? then it joins again under a new id (…~1)"),
)
CAUSES = {
    EndCause.IDLE: "nothing to do for --idle",
    EndCause.DEADLINE: "the session's deadline",
    EndCause.BUDGET: "the fleet would cost more than the session may",
    EndCause.CANCEL: "the session was cancelled",
    EndCause.CLOSE: "the session was closed",
    EndCause.SCALE: "fewer workers are wanted",
    EndCause.TERM: "SIGTERM: Spot, stop, host",
    EndCause.CRASH: "it was killed, or failed: written by whoever saw it end",
    EndCause.MEMORY: "its container ran out of memory",
    EndCause.SPOT: "the cloud took its machine back: no task is blamed",
    EndCause.STOPPED: "someone stopped it: no task is blamed",
    EndCause.HOST: "its machine failed or was retired: no task is blamed",
    EndCause.UNSTARTED: "its launcher could not bring it up",
    EndCause.REFUSED: "its launcher has no room now: the fallback starts it, or this one later",
    EndCause.DELAYED: "no launcher could start it now (a limit on requests): started again later",
    EndCause.BROKEN: "it could not go on, through no task's fault",
    EndCause.EXPIRED: "its manifest is gone: it writes nothing",
    EndCause.VERSION: "it cannot read what this session wrote",
    EndCause.UNTRUSTED: "it could not read the session's key, or found another one",
}
# Written by whoever saw the end, or asked for the start.
BY_OTHERS = {EndCause.CRASH, EndCause.MEMORY, EndCause.SPOT, EndCause.STOPPED, EndCause.HOST}
BY_OTHERS |= {EndCause.UNSTARTED, EndCause.UNTRUSTED, EndCause.REFUSED, EndCause.DELAYED}


def life() -> Page:
    """From a worker's start to its ``.gone``, and the causes."""
    page = Page(900, 96 + 40 * len(STEPS) + ROW * len(CAUSES), "What a worker does from its start to its end")
    for number, (name, what) in enumerate(STEPS):
        y = 12 + 40 * number
        page.box(60, y, 104, 26)
        page.text(112, y + 18, name, kind="strong", anchor="middle")
        page.text(182, y + 18, what)
        if number:
            page.line(112, y - 14, 112, y - 1, arrow=True)
    _back(page, 5, 2, 34)
    _back(page, 8, 1, 12)
    top = 44 + 40 * len(STEPS)
    for number, cause in enumerate(CAUSES):
        y = top + ROW * number
        page.text(60, y, cause.value, kind="strong")
        page.text(182, y, f"{CAUSES[cause]}{_fate(cause)}")
    return page


def _back(page: Page, origin: int, target: int, x: float) -> None:
    start, end = 25 + 40 * origin, 25 + 40 * target
    page.line(60, start, x, start)
    page.line(x, start, x, end)
    page.line(x, end, 59, end, arrow=True)


def _fate(cause: EndCause) -> str:
    if cause in BY_OTHERS | {EndCause.BROKEN, EndCause.EXPIRED, EndCause.VERSION, EndCause.IDLE}:
        return ""
    return "; what runs is killed" if cause in leaving.AT_ONCE else "; what runs is finished"


PICTURES = {"keys": tree, "partition": division, "timeline": timeline, "worker": life}


def draw() -> dict[str, str]:
    """All pictures: file name -> text."""
    return {f"{name}.svg": str(picture()) for name, picture in PICTURES.items()}


if __name__ == "__main__":
    for name, text in draw().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
