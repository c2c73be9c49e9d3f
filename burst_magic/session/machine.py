"""This machine, as plans for local workers see it."""

from __future__ import annotations

from burst_magic import config
from burst_magic.plan.machine import Machine


def this_machine() -> Machine:
    """Its cores and memory, as far as this process may use them."""
    return Machine(cores=config.cores(), memory_mb=config.memory_mb())
