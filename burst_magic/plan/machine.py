"""What workers of this machine share: its cores and its memory. Pure: what there is comes in as an argument."""

from __future__ import annotations

from burst_magic.dataclass import dataclass

_FREE = 0.2  # part of the memory that slots leave to the kernel, the workers' own processes and everybody else
_CROWD = 8  # slots for a core, above which more of them only cost memory
_WORKER_MB = 40  # what a worker takes before it has work: its three processes, without what they share


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """This machine, or the container that we are in.

    Attributes:
        cores: usable ones.
        memory_mb: MiB.
    """

    cores: int
    memory_mb: float


def slot_limit_mb(machine: Machine, *, workers: int, slots: int) -> float:
    """MiB that one slot of a local fleet may occupy: its share, as if there were no more slots than cores.

    A larger fleet shares more finely only if all its tasks are large at once; the system then ends slots first.

    >>> slot_limit_mb(Machine(cores=4, memory_mb=16000), workers=4, slots=1)
    3200.0
    >>> slot_limit_mb(Machine(cores=4, memory_mb=16000), workers=100, slots=1)
    3200.0
    """
    return machine.memory_mb * (1 - _FREE) / max(1, min(machine.cores, workers * slots))


def crowding(machine: Machine, *, workers: int, slots: int) -> str:
    """A warning about a local fleet that is far too large for the machine, or "".

    Args:
        machine: where it starts.
        workers: number that would start.
        slots: of each.
    """
    if workers * slots <= _CROWD * machine.cores:
        return ""
    here = f"{machine.cores} core{'s' * (machine.cores != 1)}"
    needed = workers * _WORKER_MB
    room = f" and need about {needed / 1024:,.0f} GB before they begin" if needed > machine.memory_mb / 8 else ""
    return (
        f"{workers * slots:,} tasks at a time share {here} of this machine{room}; --workers {machine.cores} is as fast"
    )
