"""Run seeds. One seed always gives the same world; a failing one reports its history.

from burst_magic.testing.simulator import play
report = play(17)
assert report.broken is None, report.story
"""

from __future__ import annotations

import hashlib
from dataclasses import fields

from burst_magic.dataclass import dataclass
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.keys import segment_name
from burst_magic.testing.laws import LawBroken
from burst_magic.testing.scenario import Scenario, draw
from burst_magic.testing.world import TraceEntry, World

_LINES = 400  # of a story


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a world.

    Attributes:
        broken: the violated law and how; None if all held.
        story: the events of the job in question, in order; "" if all laws held.
        seconds: virtual time.
    """

    seed: int
    broken: str | None
    story: str
    seconds: float
    steps: int
    requests: int


def play(seed: int) -> Report:
    """Run the world of a seed."""
    return play_world(draw(seed))


def play_world(plan: Scenario) -> Report:
    """Run a drawn or recorded world."""
    world = World(plan)
    broken, story = None, ""
    try:
        world.play()
    except LawBroken as law:
        broken, story = str(law), tell(world, law)
    except Exception as problem:  # noqa: BLE001 - any failure of a machine is reported
        failure = LawBroken(3, f"a machine failed: {problem!r}", "")
        broken, story = str(failure), tell(world, failure)
    return Report(
        seed=plan.seed,
        broken=broken,
        story=story,
        seconds=world.clock.now,
        steps=len(world.trace),
        requests=world.store.requests,
    )


def trace(seed: int) -> str:
    """A digest of everything that happens in a world without violations."""
    world = World(draw(seed))
    world.play()
    sha = hashlib.sha256()
    for entry in world.trace:
        sha.update(f"{entry.at!r} {entry.who} {entry.what!r}\n".encode())
    return sha.hexdigest()


def tell(world: World, law: LawBroken) -> str:
    """The story of a broken law: the scenario, then the events of its job."""
    plan = world.plan
    settings = [f"{f.name}={getattr(plan, f.name)}" for f in fields(plan) if f.name not in {"acts", "weather"}]
    lines = [_line(entry) for entry in world.trace if _concerns(entry, law.job)]
    left_out = max(0, len(lines) - _LINES)
    holds = [f"  {w.wid} {'alive' if w.alive else 'ended'} holds {w.machine.holds}" for w in world.workers.values()]
    return "\n".join(
        [
            f"seed {plan.seed} broke {law}",
            "  " + " ".join(settings),
            f"  {plan.weather}",
            *(f"  … {left_out} earlier lines" for _ in range(left_out > 0)),
            *lines[-_LINES:],
            *holds,
        ]
    )


def _concerns(entry: TraceEntry, job: str) -> bool:
    """Whether a line belongs to the story of a job; routine looks are left out."""
    what = entry.what
    if isinstance(what, fx.Tick | fx.Beat | fx.Beaten | fx.SlotReady | fx.List | fx.Forget):
        return False
    if isinstance(what, fx.Listed):
        return job in {"", *what.folder.split("/")} and bool(what.names)
    if isinstance(what, fx.Read | fx.Got | fx.Create | fx.Created):
        return "/jobs/" not in what.key or f"/jobs/{job}/" in what.key or not job
    other = getattr(what, "job", job)
    return other in {"", job} or not job


def _line(entry: TraceEntry) -> str:
    return f"{entry.at:10.3f}  {entry.who:6} {_text(entry.what)}"


def _text(what: object) -> str:
    if isinstance(what, fx.Listed):
        names = " ".join(name for name, _ in what.names[-6:])
        return f"sees {_short(what.folder)} after {what.after!r}: {names}"
    if isinstance(what, fx.Created):
        return f"gets {what.wrote.value} for {_short(what.key)}"
    if isinstance(what, fx.Got | fx.Create):
        verb = "reads" if isinstance(what, fx.Got) else "creates"
        return f"{verb} {_short(what.key)}: {what.record}"
    if isinstance(what, fx.Publish | fx.Published):
        verb = "publishes" if isinstance(what, fx.Publish) else f"gets {what.wrote.value} for"
        return f"{verb} {what.job}/[{what.segment.start}, {what.segment.stop}) as {segment_name(what.segment)}"
    return str(what)


def _short(key: str) -> str:
    return key.partition("/")[2].partition("/")[2]
