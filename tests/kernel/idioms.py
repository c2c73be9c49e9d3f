"""The table of idioms: loops as people write them, each beside its ``%%burst`` form.

The table is the Markdown files in ``idioms/``. An idiom is a heading with blocks of Python: ``setup`` (each a cell), ``loop``
(the sequential run, which fills ``results``), ``burst`` (the cell) and, where chance is meant to differ or arithmetic to
round, ``right``: the condition in ``results`` and ``two``, the results of two workers. Elsewhere both have to be the
same. One worker has to give exactly what two give, for the seed is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_suffix("")
SEED = 20_240_229
WARM = {"one": 1, "two": 2}  # name of a session, and how many workers it has
_BLOCK = re.compile(r"^```python (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What the conditions may use.
JUDGE = """
import dataclasses as _dataclasses
from statistics import fmean as mean, pstdev as deviation

def near(a, b, tolerance):
    return abs(a - b) <= tolerance

def distinct(values):
    return len({repr(value) for value in values}) == len(values)

def same(a, b):
    "Equal in kind and value, bit for bit, at any depth."
    if a is b or type(a) is not type(b):
        return a is b
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if (type(a).__eq__ is object.__eq__ and hasattr(a, "__dict__")) or _dataclasses.is_dataclass(a):
        return same(vars(a), vars(b))
    if hasattr(a, "equals"):
        return a.equals(b)
    if hasattr(a, "tobytes"):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, (float, complex)):
        return repr(a) == repr(b)
    return a == b
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idiom:
    """A loop and its ``%%burst`` form.

    Attributes:
        setup: cells before both.
        loop: fills ``results``.
        burst: the cell without options of its own but ``--map``.
        right: whether ``two`` is right.
    """

    name: str
    setup: tuple[str, ...]
    loop: str
    burst: str
    right: str = "same(list(two), results)"


def read(text: str) -> Iterator[Idiom]:
    """The idioms of a file."""
    for section in text.split("\n## ")[1:]:
        name, _, body = section.partition("\n")
        blocks = [(kind, code) for kind, code in _BLOCK.findall(body)]
        parts: dict[str, Any] = {kind: code for kind, code in blocks if kind != "setup"}
        yield Idiom(name=name, setup=tuple(code for kind, code in blocks if kind == "setup"), **parts)


IDIOMS = tuple(idiom for path in sorted(FOLDER.glob("*.md")) for idiom in read(path.read_text(encoding="utf-8")))


def start(run: Callable[[str], object]) -> None:
    """Starts the sessions that all idioms use.

    Args:
        run: executes a cell in a kernel that has the extension.
    """
    for name, workers in WARM.items():
        run(f"%%burst --workers {workers} --name {name} --idle 10m --map range({workers})\nitem")


def faults(idiom: Idiom, run: Callable[[str], object], ask: Callable[[str], object]) -> list[str]:
    """What is wrong with the numbers of an idiom. The names of the kernel are forgotten first.

    Args:
        idiom: one of the table.
        run: executes a cell.
        ask: the value of an expression in the kernel.
    """
    run("%reset -f")
    for cell in idiom.setup:
        run(cell)
    mapping, _, cell = idiom.burst.partition("\n")
    for name in WARM:
        run(f"{mapping} --session {name} --seed {SEED} --out {name}\n{cell}")
    run(f"results = []\n{idiom.loop}")
    run(JUDGE)
    found = []
    if ask("len(two) == len(results) > 1") is not True:
        found.append("not as many results as the loop has")
    if ask(f"bool({idiom.right.strip()})") is not True:
        found.append(f"not as the loop: {ask('repr(list(two))[:500]')} instead of {ask('repr(results)[:500]')}")
    if ask("same(list(one), list(two))") is not True:
        found.append(f"one worker gave {ask('repr(list(one))[:500]')}, two {ask('repr(list(two))[:500]')}")
    return found
