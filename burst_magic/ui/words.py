"""Numbers, times, sums and user texts in words. Pure: no I/O, clock or randomness."""

from __future__ import annotations

import re
from datetime import datetime

from burst_magic import units
from burst_magic.errors import visible

LINE = 240  # characters shown of an error or output line
THIN = "\u202f"  # narrow no-break space: groups digits without looking like two numbers

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # bidi marks would reorder a line


def count(number: int, *, gap: str = THIN) -> str:
    """Format an integer with digits in groups of three: ``1 000 000``; four digits are grouped, too."""
    return f"{number:,}".replace(",", gap)


def percent(part: int, whole: int, *, gap: str = THIN) -> str:
    """Percentage, rounded down: 100 % means all and 0 % none."""
    if whole <= 0:
        return f"100{gap}%"
    if 0 < part * 100 < whole:
        return f"<1{gap}%"
    return f"{part * 100 // whole}{gap}%"


def duration(seconds: float) -> str:
    """Format seconds in the two largest units: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 14 min``, ``3 d 04 h``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // part:02d} {part_name}"
    raise AssertionError(seconds)


def about(seconds: float) -> str:
    """Format a forecast in one unit, with few digits: ``≈ 40 s``, ``≈ 3 min``, ``≈ 2.5 h``."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 57.5:
        return f"≈ {5 * round(seconds / 5)} s"
    if seconds < 5370:
        return f"≈ {max(1, round(seconds / 60))} min"
    if seconds < 36 * 3600:
        return f"≈ {round(seconds / 1800) / 2:g} h"
    return f"≈ {round(seconds / 86400)} d"


def clock(at: float) -> str:
    """A time in the local time zone, to the minute."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")


def dollars(micro: int, *, gap: str = THIN) -> str:
    """Format micro-dollars: ``$0.00``, ``<$0.0001``, ``$0.0042``, ``$1 234.50``."""
    return units.format_money(micro).replace(",", gap)


def size_of(size: int) -> str:
    """Format bytes in decimal units: ``812 B``, ``1.2 kB``, ``200 MB``."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 9.95 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def clean(text: str, *, limit: int = LINE) -> str:
    """Sanitize one line of user text: no terminal escapes or control characters, truncated at ``limit``.

    Halves of characters, as in file names that are not UTF-8, are escaped: no page, message or notebook takes them.
    """
    line = visible(_CONTROLS.sub("", _ESCAPES.sub("", text)).replace("\n", " ").replace("\t", "    ").rstrip())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
