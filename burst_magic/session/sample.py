"""Run a job's first items on this machine, to know what the rest will take and cost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic import launchers
from burst_magic.config import HERE
from burst_magic.errors import PlanError
from burst_magic.plan.planner import plan
from burst_magic.session.machine import this_machine
from burst_magic.session.submit import Labels, submit

if TYPE_CHECKING:
    from burst_magic.capture.cell import Capture
    from burst_magic.config import Settings


def measure(
    capture: Capture, settings: Settings, count: int, *, setenv: tuple[tuple[str, str], ...] = ()
) -> tuple[Capture, tuple[float, ...]]:
    """Run the first items in one local worker, one after the other, in a folder that is then deleted.

    Args:
        capture: the cell and its items.
        settings: of the call; its limits for one task hold here, too.
        count: number of items.
        setenv: environment variables that tasks see.

    Returns:
        The capture, whose items are complete again if they were a generator, and the seconds of each task.

    Raises:
        PlanError: there is nothing to sample.
        BaseException: whatever a sampled task raised.
    """
    if capture.items is None:
        raise PlanError("--sample needs --map: a cell that runs once has no items to try")
    items = iter(capture.items)
    head = list(islice(items, count))
    if not head:
        raise PlanError("--sample: there are no items")
    rest: Iterable[object] = chain(head, items) if items is capture.items else capture.items
    with tempfile.TemporaryDirectory(prefix="burst-sample-") as folder:
        seconds = _run(replace(capture, items=head), _inside(settings, Path(folder)), setenv)
    return replace(capture, items=rest), seconds


def _inside(settings: Settings, folder: Path) -> Settings:
    """The call's settings for one local worker whose traces all lie in a folder."""
    store = (folder / "store").as_uri()
    return replace(
        settings,
        launcher=HERE,
        env="sync",
        workers=1,
        slots=1,
        budget=None,
        store=store,
        config_dir=folder,
        data_dir=folder,
    )


def _run(capture: Capture, settings: Settings, setenv: tuple[tuple[str, str], ...]) -> tuple[float, ...]:
    made = plan(settings, launchers.traits(HERE), tasks=None, machine=this_machine())
    session = submit(capture, made, settings, home=dict(capture.home), labels=Labels(setenv=setenv))
    try:
        session.wait()
        return tuple(outcome.wall for outcome in session.results().outcomes)
    finally:
        session.cleanup(force=True)


__all__ = ["measure"]
