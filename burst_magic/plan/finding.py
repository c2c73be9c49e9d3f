"""What ``burst doctor`` has found: one line a check, with the way out. Pure."""

from __future__ import annotations

from enum import Enum

from burst_magic.dataclass import dataclass


class Level(str, Enum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"  # worth knowing, or could not be checked; bursts may work all the same
    BAD = "BAD"  # bursts fail, or something costs more than it should


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    Attributes:
        what: was checked, in a word or two.
        detail: one line; way_out: what to do, unless all is well.
    """

    what: str
    level: Level
    detail: str
    way_out: str = ""

    @property
    def good(self) -> bool:
        """Nothing is known to be wrong."""
        return self.level is not Level.BAD


def ok(what: str, detail: str) -> Finding:
    """All is well."""
    return Finding(what=what, level=Level.OK, detail=detail)


def note(what: str, detail: str, way_out: str = "") -> Finding:
    """Worth knowing."""
    return Finding(what=what, level=Level.NOTE, detail=detail, way_out=way_out)


def bad(what: str, detail: str, way_out: str) -> Finding:
    """Something must be done."""
    return Finding(what=what, level=Level.BAD, detail=detail, way_out=way_out)
