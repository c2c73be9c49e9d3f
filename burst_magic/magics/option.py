"""What a verb, an option and an argument are. The tables of them are in ``verb_table`` and ``options``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from burst_magic.dataclass import dataclass
from burst_magic.magics import calls

Reader = Callable[[str], object]
Place = Literal["cell", "line", "terminal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of one or more verbs.

    Attributes:
        name: as typed, with its dashes.
        verbs: names of the verbs that accept it.
        help: one sentence.
        metavar: name of its value; empty for a flag.
        default: for display; empty if there is nothing to say.
        group: heading in the help of ``%%burst``.
        setting: a key of ``config.Settings``, which then parses, checks and defaults it.
        read: parser for options that are not settings; raises ValueError.
        choices: allowed values, for completion.
        field: of the call; by default the name without dashes.
        many: may be repeated.
        rest: takes spaces without quotes, up to the next option.
        shown: appears in help, reference and completion; a hidden option exists only to be refused with a reason.
        terminal: for the ``burst`` command only.
    """

    name: str
    verbs: tuple[str, ...]
    help: str
    metavar: str = ""
    default: str = ""
    group: str = ""
    setting: str = ""
    read: Reader = str
    choices: tuple[str, ...] = ()
    field: str = ""
    many: bool = False
    rest: bool = False
    shown: bool = True
    terminal: bool = False

    @property
    def target(self) -> str:
        """The field of the call that it sets."""
        return self.field or self.name.strip("-").replace("-", "_")

    @property
    def flag(self) -> bool:
        """True if it takes no value."""
        return not self.metavar

    @property
    def usage(self) -> str:
        """The option with its metavar."""
        return f"{self.name} {self.metavar}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A positional argument."""

    metavar: str
    field: str
    read: Reader = str
    required: bool = False
    skip: bool = False  # if it cannot parse the word, the next argument gets it
    more: str = ""  # the field that gets all further words


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One magic, one subcommand of ``burst``, or both.

    Attributes:
        name: the subcommand; the magic is ``burst_<name>``.
        call: the class it is parsed to.
        place: a cell magic, a line magic that is a subcommand too, or a subcommand only.
        words: of the subcommand, if it differs from its name.
    """

    name: str
    call: type[calls.Call]
    help: str
    arguments: tuple[Argument, ...] = ()
    place: Place = "line"
    words: str = ""

    @property
    def magic(self) -> str:
        """The magic with its percent signs; empty if there is none."""
        return {"cell": "%%burst", "line": f"%burst_{self.name}", "terminal": ""}[self.place]

    @property
    def command(self) -> str:
        """The command as typed in a terminal; empty if there is none."""
        return "" if self.place == "cell" else f"burst {self.words or self.name}"
