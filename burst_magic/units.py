"""Parse and format durations, sizes and money. Pure; below config, so that every layer may use it.

A duration is ``300``, ``300s``, ``5m``, ``24h`` or ``2d``; a size is ``8GB``, ``512MB`` or a number of GB;
money is dollars. Internally, they are seconds, MiB and micro-dollars. All parsers raise ``ValueError`` with a text
that completes ``--deadline: …``: the caller knows the option or key.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MICRO = 1_000_000
MIB_PER_GB = 1024  # Fargate's GB is 1024 MiB
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([smhd]?)", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(?:([mg])(?:i?b)?)?", re.ASCII | re.IGNORECASE)
_MONEY = re.compile(r"\$?\s*(\d+(?:\.\d+)?|\.\d+)", re.ASCII)


def whole(least: int) -> Callable[[str], int]:
    """Return a parser for integers of at least ``least``.

    >>> whole(1)("100_000")
    100000
    """

    def read(text: str) -> int:
        digits = text.strip().replace("_", "")
        if not (digits.isascii() and digits.isdigit()) or int(digits) < least:
            raise ValueError(f"{text!r} is not an integer of at least {least}")
        return int(digits)

    return read


def parse_duration(text: str) -> float:
    """Parse ``300``, ``300s``, ``5m``, ``24h`` or ``2d`` as seconds, more than 0.

    >>> parse_duration("5m")
    300.0
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * SECONDS[match[2] or "s"] if match else 0.0
    if seconds <= 0:
        raise ValueError(f"{text!r} is not a duration (300, 300s, 5m, 24h or 2d)")
    return seconds


def format_duration(seconds: float) -> str:
    """Format seconds as the shortest text that ``parse_duration`` reads back exactly.

    >>> format_duration(86400), format_duration(172800), format_duration(90)
    ('24h', '2d', '90s')
    """
    for unit, least in (("d", 2), ("h", 1), ("m", 1)):
        size = SECONDS[unit]
        if seconds >= least * size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.15g}s"


def parse_size(text: str) -> int:
    """Parse ``8GB``, ``512MB`` or a number of GB as MiB, at least 1.

    >>> parse_size("0.5GB")
    512
    """
    match = _SIZE.fullmatch(text.strip())
    scale = 1 if match and (match[2] or "g").lower() == "m" else MIB_PER_GB
    mib = round(float(match[1]) * scale) if match else 0
    if mib < 1:
        raise ValueError(f"{text!r} is not a size (8GB, 512MB or a number of GB)")
    return mib


def format_size(mib: int) -> str:
    """Format MiB as text that ``parse_size`` reads back.

    >>> format_size(512), format_size(8192)
    ('512MB', '8GB')
    """
    if mib >= MIB_PER_GB and mib % (MIB_PER_GB // 2) == 0:
        return f"{mib / MIB_PER_GB:g}GB"
    return f"{mib}MB"


def parse_money(text: str) -> int:
    """Parse ``5``, ``5.00`` or ``$5`` as micro-dollars, more than 0.

    >>> parse_money("$0.25")
    250000
    """
    match = _MONEY.fullmatch(text.strip())
    micros = round(float(match[1]) * MICRO) if match else 0
    if micros <= 0:
        raise ValueError(f"{text!r} is not a dollar amount (5 or 5.00)")
    return micros


def format_money(micros: int) -> str:
    """Format micro-dollars for display: in cents, or with four decimals below a cent.

    >>> format_money(5_000_000), format_money(1_234), format_money(3), format_money(0)
    ('$5.00', '$0.0012', '<$0.0001', '$0.00')
    """
    if micros == 0 or micros >= MICRO // 100:
        return f"${micros / MICRO:,.2f}"
    return f"${micros / MICRO:.4f}" if micros >= MICRO // 10_000 else "<$0.0001"
