"""What an idle slot imports in advance: the modules that the last job's tasks imported, for a job like that one."""

from __future__ import annotations

from burst_magic.dataclass import dataclass
from burst_magic.worker.channel.board import JobCode, PrepareCode
from burst_magic.worker.slots.deaths import RENEW, Died


@dataclass(frozen=True, slots=True)
class Ground:
    """What a job's tasks find when they import modules.

    Attributes:
        job: the job without its cell: its environment, folder and settings.
        mentioned: installed packages that it mentions.
    """

    job: JobCode
    mentioned: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Preparation:
    """Modules that a slot's process is to import in advance.

    Attributes:
        ground: of the job whose tasks imported them.
        wanted: all that they imported, each after those that it needs.
        count: the first so many of them are to be imported.
        ordered: the process was told.
        ready: it has imported them.
    """

    ground: Ground
    wanted: tuple[str, ...]
    count: int
    ordered: bool = False
    ready: bool = False

    @property
    def code(self) -> PrepareCode:
        """The order."""
        return PrepareCode(ground=self.ground.job, modules=self.wanted[: self.count])

    def serves(self, ground: Ground) -> bool:
        """Whether a job may have the process.

        If it is still importing, the job waits for the current module only, which it probably imports itself.
        """
        return not self.ordered or (self.ground.job == ground.job and self.ground.mentioned <= ground.mentioned)


class Plans:
    """What the slots of a worker import in advance; remembers what could not be."""

    def __init__(self) -> None:
        self._fit: dict[tuple[str, ...], int] = {}  # how many of these modules can be imported in advance

    def of(self, ground: Ground | None, wanted: tuple[str, ...]) -> Preparation | None:
        """What to import in advance, if anything."""
        count = self._fit.get(wanted, len(wanted))
        return Preparation(ground=ground, wanted=wanted, count=count) if ground is not None and count else None

    def again(self, made: Preparation | None) -> Preparation | None:
        """What to import instead of what was not fit."""
        return None if made is None else self.of(made.ground, made.wanted)

    def is_unfit(self, made: Preparation | None, died: Died, done: int) -> bool:
        """Whether a process made way for one that imports less in advance.

        Args:
            made: what it was to import.
            died: its death.
            done: the number of modules that it has imported; 0 if a task must not find them.
        """
        if made is None or not made.ordered or died.culprit is not None:
            return False
        if not made.ready or died.exit_code == RENEW:
            self._fit[made.wanted] = min(done, made.count - 1)
        return died.exit_code == RENEW
