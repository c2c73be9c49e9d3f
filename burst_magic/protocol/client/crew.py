"""The workers of a session as one client knows them: which are alive, which were lost, and why."""

from __future__ import annotations

from dataclasses import field, replace

from burst_magic.dataclass import dataclass
from burst_magic.protocol.log import DEAD_AFTER, WorkersLog
from burst_magic.protocol.money import Life
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import EndCause, Gone, Heartbeat

NOT_LOST = {
    EndCause.IDLE,
    EndCause.SCALE,
    EndCause.CANCEL,
    EndCause.CLOSE,
    EndCause.DEADLINE,
    EndCause.BUDGET,
    EndCause.VERSION,  # its successor would have the same version
    EndCause.UNTRUSTED,  # its successor would find the same key
}


_STILLBORN = {EndCause.CRASH, EndCause.BROKEN, EndCause.MEMORY}  # where no heartbeat was ever heard


@dataclass(slots=True)
class Crew:
    """Workers, from listings, heartbeats and ends.

    Attributes:
        log: the listings, folded.
        beats: the last heartbeat read, by worker; its time is the store's.
        gone: the ends read.
    """

    log: WorkersLog
    beats: dict[str, Heartbeat] = field(default_factory=dict)
    gone: dict[str, Gone] = field(default_factory=dict)

    def heard(self, beat: Heartbeat) -> None:
        """Record a heartbeat."""
        modified = self.log.beats.get(beat.worker, (beat.at, 0.0))[0]
        self.beats[beat.worker] = replace(beat, at=modified)

    @property
    def patience(self) -> float:
        """Seconds of watching after which a silent worker counts as dead."""
        return DEAD_AFTER * self.log.most

    def living(self) -> list[str]:
        """Workers with a current heartbeat."""
        return [wid for wid in self.log.living() if not self.log.dead(wid, self.patience)]

    @property
    def named(self) -> set[str]:
        """Tokens in heartbeats and ends, of starts that produced a worker."""
        return {beat.token for beat in self.beats.values()} | {gone.token for gone in self.gone.values()}

    @property
    def tokens(self) -> dict[str, str]:
        """The token of each process that was heard of, by its launcher's name; the name itself where none is known."""
        names = {name: name for name in map(keys.base_of, (*self.log.born, *self.gone))}
        said: list[Heartbeat | Gone] = [*self.beats.values(), *self.gone.values()]
        return names | {keys.base_of(each.worker): each.token for each in said if each.token}

    def lost(self, kept: set[EndCause], *, since: float = 0.0) -> set[str]:
        """Processes that are silent, or ended for a cause not among these; by their launcher's names.

        Processes whose end, or last heartbeat, is older than ``since`` are left out.
        """
        living = {keys.base_of(wid) for wid in self.living()}
        silent = {keys.base_of(wid) for wid in self.log.living() if self.log.beats[wid][0] >= since}
        ends: dict[str, Gone] = {}
        for gone in sorted(self.gone.values(), key=lambda gone: gone.at):
            ends[keys.base_of(gone.worker)] = gone
        ended = {base for base, gone in ends.items() if gone.cause not in kept and gone.at >= since}
        return (ended | silent) - living

    def lives(self, wall: float) -> list[Life]:
        """What is billed of each process until now (the store's clock)."""
        return [*self.log.lives(wall), *self.unheard_lives(wall)]

    def unheard_lives(self, wall: float) -> list[Life]:
        """The same of those that ended before their first heartbeat, such as a container that could not start."""
        heard = {keys.base_of(wid) for wid in self.log.born}
        ends = {keys.base_of(gone.worker): gone for gone in self.gone.values() if gone.billed_from}
        return [
            Life(since=gone.billed_from, until=min(gone.at, wall), rate=gone.rate)
            for name, gone in sorted(ends.items())
            if name not in heard
        ]

    def failed_in_a_row(self) -> list[Gone]:
        """Starts that came to nothing since the last sign of life of any worker, oldest first, by the store's clock.

        Whatever passes by itself, or came from outside, is left out: neither a failure of this kind nor a sign of life.
        A heartbeat is no sign of life if its worker then could not be brought up, such as one that installed in vain.
        """
        heard = {keys.base_of(wid) for wid in self.log.born}
        failed = {wid: gone for wid, gone in self.gone.items() if _came_to_nothing(gone, heard)}
        lived = max((at for wid, (at, _) in self.log.beats.items() if wid not in failed), default=0.0)
        ends = sorted((self.log.gone.get(wid, gone.at), wid) for wid, gone in failed.items())
        return [failed[wid] for at, wid in ends if at > lived]

    def last_end(self) -> tuple[EndCause | None, float]:
        """Cause and time of the latest end, by the store's clock."""
        wid = max(self.gone, key=lambda wid: self.log.gone.get(wid, 0.0), default="")
        return (self.gone[wid].cause, self.log.gone.get(wid, 0.0)) if wid else (None, 0.0)

    def last_words(self) -> str:
        """The detail of the last lost worker's end."""
        silent = NOT_LOST - {EndCause.VERSION, EndCause.UNTRUSTED}
        lost = [gone for gone in self.gone.values() if gone.detail and gone.cause not in silent]
        newest = max(lost, key=lambda gone: gone.at, default=None)
        return newest.detail if newest else ""


def _came_to_nothing(gone: Gone, heard: set[str]) -> bool:
    """Whether this start never brought a worker that could run tasks, for a reason that stays."""
    silent = keys.base_of(gone.worker) not in heard
    return gone.cause is EndCause.UNSTARTED or (gone.cause in _STILLBORN and silent)
