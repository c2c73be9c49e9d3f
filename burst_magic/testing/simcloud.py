"""The clouds of a simulated world, which boot its workers."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING

from burst_magic.launchers.base import Again, Handle, Refusal, Start
from burst_magic.protocol.wire.model import EndCause
from burst_magic.protocol.worker.leaving import exit_code
from burst_magic.testing.cloud import CloudTask, SimulatedCloud
from burst_magic.testing.weather import EPOCH

if TYPE_CHECKING:
    from burst_magic.testing.world import World

AT_ONCE = "at once"  # the launcher's name in a world without a cloud
CLOUD, SPARE = "spot", "spare"
_ASKED = 3  # attempts when answers are lost


class Clouds:
    """The launchers that a world's clients share; none in a world without a cloud.

    This object also serves as the machines of all clouds.

    Args:
        world: the world whose workers they start.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._planned: set[str] = set()  # tokens whose boot is scheduled
        self.unanswered = 0
        weathers = {CLOUD: world.plan.cloud, SPARE: world.plan.spare}
        self.by_name: Mapping[str, SimulatedCloud] = {
            name: SimulatedCloud(
                self,
                name=name,
                weather=weather,
                rng=Random(f"{world.plan.seed} {name}"),  # noqa: S311 - reproducible randomness
                now=lambda: EPOCH + world.clock.now,
            )
            for name, weather in weathers.items()
            if weather is not None
        }

    def __bool__(self) -> bool:
        return bool(self.by_name)

    @property
    def patience(self) -> dict[str, float]:
        """Seconds to wait for a start, by launcher; as from ``session.fleet``."""
        return {name: cloud.traits.starting_within for name, cloud in self.by_name.items()}

    @property
    def coming(self) -> bool:
        """Some worker has yet to boot."""
        return any(cloud.coming for cloud in self.by_name.values())

    @property
    def never_came(self) -> int:
        """Number of starts that brought no worker, or whose answer was lost."""
        stillborn = sum(1 for task in self._tasks if task.ended is not None and not task.begun)
        return stillborn + self.unanswered + sum(cloud.refused for cloud in self.by_name.values())

    @property
    def _tasks(self) -> list[CloudTask]:
        return [task for cloud in self.by_name.values() for task in cloud.tasks.values()]

    def knows(self, token: str) -> bool:
        """Some cloud has accepted this start."""
        return any(token in cloud.tasks for cloud in self.by_name.values())

    def start(self, name: str, token: str, number: int | None) -> Handle | Refusal:
        """Start a worker like ``session.fleet``: retry with the same token if the answer is lost."""
        cloud, sid = self.by_name[name], self._world.manifest.sid
        start = Start(store="memory://", sid=sid, secret="", token=token, number=number)
        for _ in range(_ASKED):
            (answer,) = cloud.start([start])
            self._plan_boot(cloud)
            if isinstance(answer, Handle) or answer.again is not Again.SAME_TOKEN:
                return answer
        self.unanswered += 1
        return answer

    def _plan_boot(self, cloud: SimulatedCloud) -> None:
        for token, task in cloud.tasks.items():
            if token not in self._planned:
                self._planned.add(token)
                self._world.clock.at(task.up_at - EPOCH + 1e-6, cloud.advance)

    def take_back(self, wid: str) -> None:
        """Let the worker's cloud reclaim its machine."""
        for cloud in self.by_name.values():
            cloud.take_back(wid)
            cloud.advance()

    # --- its machines ------------------------------------------------------------------------------------------

    def boot(self, start: Start, handle: Handle) -> None:
        """Start the worker of a booted machine."""
        self._world.boot(handle, start.number)

    def exit_code(self, wid: str) -> int | None:
        """The exit code of the worker's container; None while it runs."""
        worker = self._world.workers[wid]
        if worker.alive or worker.cause is None:
            return None
        return 137 if worker.cause is EndCause.CRASH else exit_code(worker.cause)

    def signal(self, wid: str, *, kill: bool) -> None:
        """Send SIGTERM, or SIGKILL when the machine is reclaimed."""
        worker = self._world.workers[wid]
        if worker.alive and kill:
            worker.taken_back = True
            worker.crash()
        elif worker.alive:
            worker.terminate()

    def log(self, wid: str) -> str:  # noqa: ARG002 - same signature as all machines
        """Always empty."""
        return ""
