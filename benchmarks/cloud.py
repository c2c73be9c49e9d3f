"""What a fleet on ECS costs beyond its tasks, on the stand-in cloud: until it works, in calls, and to look on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.process import Figures, serve
from benchmarks.stand_in import AGENT, Call, stand_in


def same(item: int) -> int:
    """A task that does nothing."""
    return item


def nap(seconds: float) -> float:
    """A task that takes a while."""
    time.sleep(seconds)
    return seconds


def first_claim() -> Figures:
    """From RunTask to the first claim, as the cloud hears them, less what its weather makes a task wait.

    The second session is measured: at the first one the cloud makes clients for itself.
    """
    import burst_magic as burst
    from burst_magic.testing.sandbox.weather import SandboxWeather

    with stand_in() as cloud:
        for _ in range(2):
            cloud.calls()
            session = burst.map(same, range(1), workers=1, launcher="fargate").wait()
            calls, task = cloud.calls(), cloud.tasks()[-1]
            session.cleanup()
    claimed = _at(calls, "s3 PUT claims")
    delay = sum(getattr(SandboxWeather(), phase) for phase in AGENT)
    begun = _at(calls, "ecs RunTask")
    return {
        "wall": claimed - begun - delay,
        "cloud": task["started"] - begun - delay,
        "worker": claimed - task["started"],
        "published": _at(calls, "s3 PUT results") - begun - delay,
    }


def asked(*, workers: int, reply: float) -> Figures:
    """So many workers asked for, from the first RunTask until the last is answered. None starts meanwhile.

    Args:
        workers: how many.
        reply: seconds that each RunTask takes; AWS's takes about one.
    """
    import burst_magic as burst

    with stand_in(reply=reply, provisioning=600.0) as cloud:
        session = burst.map(same, range(workers), workers=workers, launcher="fargate")
        answered = time.time()
        calls = [call for call in cloud.calls() if call.kind == "ecs RunTask"]
        assert len(calls) == workers == len(cloud.tasks())
        session.cleanup(force=True, grace=0)
    return {"wall": answered - calls[0].at, "n": workers}


def counted(*, n: int, workers: int, seconds: float) -> Figures:
    """Requests of a session, by service and action, until it is finished; and those of its cleanup."""
    import burst_magic as burst

    task, items = (nap, [seconds] * n) if seconds else (same, list(range(n)))
    figures: Figures = {"n": n, "workers": workers}
    with stand_in() as cloud:
        began = time.time()
        session = burst.map(task, items, workers=workers, launcher="fargate")
        assert list(session.results()) == items
        figures["wall"] = time.time() - began
        figures |= _counts("session", cloud.calls())
        session.cleanup(force=True)
        figures |= _counts("cleanup", cloud.calls())
    return figures


def first_minutes() -> Figures:
    """From an account in which nothing is set up to a burst with this environment's packages: seconds of each phase."""
    import burst_magic as burst
    from burst_magic import config
    from burst_magic.magics import setup
    from burst_magic.magics.calls import SetupCall
    from burst_magic.session import packs

    told: list[tuple[float, str]] = []

    def tell(line: str) -> None:
        told.append((time.perf_counter(), line))

    def first_result() -> float:
        began = time.perf_counter()
        session = burst.map(largest, range(4), workers=2, launcher="fargate")
        values = list(session.results())
        took = time.perf_counter() - began
        while not packs.known(config.load(), session.store, session.manifest.lock):  # its first worker still packs
            time.sleep(0.2)
        session.cleanup(force=True)
        assert values == [0, 1, 2, 3]
        return took

    with stand_in(empty=True):
        began = time.perf_counter()
        setup.run(SetupCall(name="burst", plan=True), config.load())
        planned = time.perf_counter()
        setup.run(SetupCall(name="burst", yes=True), config.load(), tell=tell)
        ended = time.perf_counter()
        stack = next(at for at, line in told if line.startswith("stack ") and "ready" in line)
        figures: Figures = {"plan": planned - began, "stack": stack - planned, "trial": ended - stack}
        figures["own"] = first_result()
        figures["again"] = first_result()
    return {**figures, "wall": figures["stack"] + figures["trial"] + figures["own"]}


def largest(item: int) -> int:
    """A task that needs a package."""
    import numpy as np

    return int(np.arange(item + 1).max())


def _counts(when: str, calls: Sequence[Call]) -> Figures:
    """Numbers by ``session ecs``, ``session ecs RunTask``, ``session s3 PUT claims``."""
    counts: Counter[str] = Counter()
    for call in calls:
        words = call.kind.split()  # service, action, for S3 the part of the log
        counts.update(" ".join([when, *words[:most]]) for most in range(1, len(words) + 1))
    return {name: float(number) for name, number in counts.items()}


def _at(calls: Sequence[Call], kind: str) -> float:
    return next(call.at for call in calls if call.kind == kind)


if __name__ == "__main__":
    serve({"first_claim": first_claim, "first_minutes": first_minutes, "asked": asked, "counted": counted})
