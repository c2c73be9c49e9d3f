"""The worker sizes that Fargate offers, and the nearest ones to any other size. Pure."""

from __future__ import annotations

from math import log2

from burst_magic.dataclass import dataclass
from burst_magic.errors import PlanError
from burst_magic.units import MIB_PER_GB, format_size

GB_PER_VCPU = 2  # the least memory that Fargate allows with 1 … 8 vCPU, legal with all


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """The size of one worker: vCPU and MiB."""

    cpu: float
    memory: int

    def __str__(self) -> str:
        return f"{self.cpu:g} vCPU with {format_size(self.memory)}"


def _sizes(first: int, last: int, step: int = 1) -> tuple[int, ...]:
    return tuple(range(first * MIB_PER_GB, last * MIB_PER_GB + 1, step * MIB_PER_GB))


# Amazon ECS developer guide, "Task CPU and memory" for Fargate (Linux). MiB per vCPU.
LEGAL: dict[float, tuple[int, ...]] = {
    0.25: (512, 1024, 2048),
    0.5: _sizes(1, 4),
    1: _sizes(2, 8),
    2: _sizes(4, 16),
    4: _sizes(8, 30),
    8: _sizes(16, 60, 4),
    16: _sizes(32, 120, 8),
}


def choose(cpu: float | None, memory: int | None, *, slots: int = 1) -> Shape:
    """Choose the worker's size; missing values follow from the others.

    Without ``cpu``, it is the smallest with one vCPU per slot that allows the memory; without ``memory``, it is 2 GB
    per vCPU.

    Args:
        cpu: requested vCPU.
        memory: requested MiB.
        slots: tasks at a time in one worker.

    Raises:
        PlanError: Fargate doesn't offer this pair; names the nearest.
    """
    if cpu is None:
        cpu = _cpu_for(memory, slots)
    if memory is None:
        memory = max(LEGAL[0.25][0], round(cpu * GB_PER_VCPU * MIB_PER_GB))
    asked = Shape(cpu, memory)
    if memory not in LEGAL.get(cpu, ()):
        raise PlanError(f"no worker has {asked}; nearest: {' or '.join(map(str, nearest(asked)))}")
    return asked


def nearest(asked: Shape) -> tuple[Shape, Shape]:
    """Two legal sizes near ``asked`` with different vCPU; the requested vCPU comes first."""

    def distance(shape: Shape) -> tuple[float, Shape]:
        return abs(log2(shape.cpu / asked.cpu)) + abs(log2(shape.memory / asked.memory)), shape

    best = [min((Shape(cpu, memory) for memory in sizes), key=distance) for cpu, sizes in LEGAL.items()]
    first, second, *_ = sorted(best, key=lambda shape: (shape.cpu != asked.cpu, distance(shape)))
    return first, second


def _cpu_for(memory: int | None, slots: int) -> float:
    """The smallest vCPU with one per slot that allows this memory, or the nearest to it."""
    enough = [cpu for cpu in LEGAL if cpu >= slots] or [max(LEGAL)]
    if memory is None:
        return min(enough)
    fitting = [cpu for cpu, sizes in LEGAL.items() if memory in sizes]
    both = [cpu for cpu in enough if cpu in fitting]
    if not fitting:  # about to be refused: choose by the nearest memory
        return min(LEGAL, key=lambda cpu: min(abs(size - memory) for size in LEGAL[cpu]))
    return min(both) if both else max(fitting)
