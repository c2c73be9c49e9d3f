"""This machine, as plans for local workers see it."""

from __future__ import annotations

from burst_magic import host
from burst_magic.plan.machine import Machine


def this_machine() -> Machine:
    """Its cores and memory, as far as this process may use them."""
    return Machine(cores=host.cores(), memory_mb=host.memory_mb())
