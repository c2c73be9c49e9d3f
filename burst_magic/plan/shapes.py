"""The sizes of a worker that Fargate knows, and the nearest ones to a size that it does not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from burst_magic.errors import PlanError
from burst_magic.units import MIB_PER_GB, format_size

GB_PER_VCPU = 2  # the least memory that Fargate gives with 1 … 8 vCPU, and legal with all


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """The size of one worker: vCPU and MiB."""

    cpu: float
    memory: int

    def __str__(self) -> str:
        return f"{self.cpu:g} vCPU with {format_size(self.memory)}"


def _sizes(first: int, last: int, step: int = 1) -> tuple[int, ...]:
    return tuple(range(first * MIB_PER_GB, last * MIB_PER_GB + 1, step * MIB_PER_GB))


# Amazon ECS developer guide, "Task CPU and memory" for Fargate (Linux). MiB for each vCPU.
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
    """The worker's size; what was not asked for follows from the rest.

    Without ``cpu`` it is the smallest with a vCPU for each slot that takes the memory; without ``memory`` it is
    2 GB for each vCPU.

    Args:
        cpu: vCPU, as asked.
        memory: MiB, as asked.
        slots: tasks at a time in one worker.

    Raises:
        PlanError: not a pair that Fargate has; names the nearest.
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
    """Two legal sizes near to ``asked``, of different vCPU; the one with the vCPU asked for comes first."""

    def distance(shape: Shape) -> tuple[float, Shape]:
        return abs(log2(shape.cpu / asked.cpu)) + abs(log2(shape.memory / asked.memory)), shape

    best = [min((Shape(cpu, memory) for memory in sizes), key=distance) for cpu, sizes in LEGAL.items()]
    first, second, *_ = sorted(best, key=lambda shape: (shape.cpu != asked.cpu, distance(shape)))
    return first, second


def _cpu_for(memory: int | None, slots: int) -> float:
    """The smallest vCPU with one per slot that has this memory, or whatever comes nearest to that."""
    enough = [cpu for cpu in LEGAL if cpu >= slots] or [max(LEGAL)]
    if memory is None:
        return min(enough)
    fitting = [cpu for cpu, sizes in LEGAL.items() if memory in sizes]
    both = [cpu for cpu in enough if cpu in fitting]
    if not fitting:  # refused in a moment: by the memory that comes nearest
        return min(LEGAL, key=lambda cpu: min(abs(size - memory) for size in LEGAL[cpu]))
    return min(both) if both else max(fitting)
