"""The one table of verbs and options: parser, ``--help``, reference and completion are derived from it.

What this version does not have is not here; whatever is not here gets the one line that any unknown name gets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from keyword import iskeyword
from typing import Literal

from burst_magic import config, launchers
from burst_magic.magics import calls
from burst_magic.units import parse_duration, parse_money, whole

Reader = Callable[[str], object]
Place = Literal["cell", "line", "terminal"]

WHAT, WHERE, SIZE, LIMITS, REACH = (
    "What to run",
    "Where",
    "Size of a worker",
    "Limits",
    "What travels, what is repeated",
)
ENVS = ("sync",)
ERRORS = ("raise", "return", "skip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of some verbs.

    Attributes:
        name: as typed, with its dashes.
        verbs: who takes it.
        help: one sentence.
        metavar: what follows; empty: a flag.
        default: for people; empty where "not given" says it all.
        group: its heading in the help of ``%%burst``.
        setting: a key of ``config.Settings``: then that layer reads, checks and defaults it.
        read: text -> value for the others; raises ValueError.
        choices: the values there are, for completion.
        field: of the call; the name without dashes unless said.
        many: may be given again.
        rest: takes blanks without quotes, up to the next option.
        shown: in help, reference and completion; the others are known only to be refused with their reason.
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
        """The field of the call that it fills."""
        return self.field or self.name.strip("-").replace("-", "_")

    @property
    def flag(self) -> bool:
        """True when nothing follows it."""
        return not self.metavar

    @property
    def usage(self) -> str:
        """The option with what follows it."""
        return f"{self.name} {self.metavar}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One word without dashes."""

    metavar: str
    field: str
    read: Reader = str
    required: bool = False
    skip: bool = False  # a word it cannot read belongs to the next argument


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One magic, one subcommand of ``burst``, or both.

    Attributes:
        name: the subcommand; the magic is ``burst_<name>``.
        call: what it is parsed to.
        place: a cell magic, a line magic that is a subcommand too, or a subcommand only.
        words: of the subcommand, where it is more than its name.
    """

    name: str
    call: type[calls.Call]
    help: str
    arguments: tuple[Argument, ...] = ()
    place: Place = "line"
    words: str = ""

    @property
    def magic(self) -> str:
        """With its percent signs; empty where there is none."""
        return {"cell": "%%burst", "line": f"%burst_{self.name}", "terminal": ""}[self.place]

    @property
    def command(self) -> str:
        """As typed in a terminal; empty where it cannot be."""
        return "" if self.place == "cell" else f"burst {self.words or self.name}"


def _variable(text: str) -> str:
    if not text.isidentifier() or iskeyword(text):
        raise ValueError(f"{text!r} is not a variable's name")
    return text


def _label(text: str) -> str:
    if not text.strip() or "/" in text or text != text.strip():
        raise ValueError(f"{text!r} is not a label (no slash, no blank at its ends)")
    return text


def _env(text: str) -> object:
    return text if text.startswith("image:") else config.one_of(ENVS)(text)  # images have a refusal with a reason


def _setenv(text: str) -> tuple[str, str | None]:
    name, mark, value = text.partition("=")
    if not name.isidentifier():
        raise ValueError(f"{text!r} is not NAME or NAME=VALUE")
    return name, value if mark else None


ID = Argument(metavar="ID", field="id")
THIS = Argument(metavar="ID", field="id", required=True)

VERBS: tuple[Verb, ...] = (
    Verb(
        name="burst",
        call=calls.BurstCall,
        place="cell",
        help="Run this cell on workers: once, or once for each item of --map.",
    ),
    Verb(name="status", call=calls.StatusCall, arguments=(ID,), help="Counts, workers, cost, and why it waits."),
    Verb(name="collect", call=calls.CollectCall, arguments=(ID,), help="The results as a list, in order of items."),
    Verb(name="attach", call=calls.AttachCall, arguments=(ID,), help="Take up the sessions this notebook started."),
    Verb(name="sessions", call=calls.SessionsCall, help="Your sessions with their counts and cost."),
    Verb(name="logs", call=calls.LogsCall, arguments=(ID,), help="What tasks and workers printed, in one order."),
    Verb(
        name="scale",
        call=calls.ScaleCall,
        arguments=(Argument(metavar="N", field="workers", read=whole(0), required=True), ID),
        help="More or fewer workers.",
    ),
    Verb(
        name="extend",
        call=calls.ExtendCall,
        arguments=(Argument(metavar="D", field="duration", read=parse_duration, skip=True), ID),
        help="A deadline that is D later, or a larger budget.",
    ),
    Verb(
        name="cancel",
        call=calls.CancelCall,
        arguments=(ID,),
        help="Stop a session, or one session/job of it; what is done is kept.",
    ),
    Verb(name="cleanup", call=calls.CleanupCall, arguments=(ID,), help="Stop the workers; results are kept."),
    Verb(name="cost", call=calls.CostCall, arguments=(ID,), help="What it cost so far, and what it will."),
    Verb(
        name="config",
        call=calls.ConfigCall,
        help="Write settings, key=value; key= removes one; without any: show them.",
    ),
    Verb(name="doctor", call=calls.DoctorCall, help="Check that everything a burst needs is there."),
    Verb(
        name="inspect", call=calls.InspectCall, arguments=(THIS,), place="terminal", help="Every object of a session."
    ),
    Verb(name="watch", call=calls.WatchCall, arguments=(ID,), place="terminal", help="Follow a session's progress."),
    Verb(
        name="key",
        words="key show",
        call=calls.KeyCall,
        arguments=(THIS,),
        place="terminal",
        help="The session's key, to attach from another machine.",
    ),
)

_CELL = ("burst",)

OPTIONS: tuple[Option, ...] = (
    Option(
        name="--map",
        verbs=_CELL,
        metavar="EXPR",
        group=WHAT,
        rest=True,
        default="the cell runs once",
        help="Run once for each element, bound to `item`; `x in xs` and `i, row in rows` name it. May hold blanks.",
    ),
    Option(
        name="--out",
        verbs=_CELL,
        metavar="NAME",
        group=WHAT,
        read=_variable,
        help="Bind NAME to the results at once; what is not there yet is waited for when touched.",
    ),
    Option(name="--wait", verbs=_CELL, group=WHAT, help="Wait for the end, and raise the first failure."),
    Option(name="--name", verbs=_CELL, metavar="LABEL", group=WHAT, read=_label, help="A name to use as ID."),
    Option(
        name="--session",
        verbs=_CELL,
        metavar="ID",
        group=WHAT,
        help="Add this work to a living session and its warm workers.",
    ),
    Option(
        name="--dry-run",
        verbs=_CELL,
        group=WHAT,
        help="Say what would travel and what it would cost; start nothing.",
    ),
    Option(name="--workers", verbs=_CELL, metavar="N", group=WHERE, setting="workers", help="How many workers."),
    Option(
        name="--launcher",
        verbs=_CELL,
        metavar="|".join(launchers.TABLE),
        group=WHERE,
        setting="launcher",
        choices=tuple(launchers.TABLE),
        help="Where workers start.",
    ),
    Option(
        name="--store",
        verbs=_CELL,
        metavar="URL",
        group=WHERE,
        setting="store",
        help="Where the session lies: file:///dir or s3://bucket/prefix.",
    ),
    Option(name="--cpu", verbs=_CELL, metavar="N", group=SIZE, setting="cpu", help="vCPU of a worker: 0.25 to 16."),
    Option(
        name="--memory",
        verbs=_CELL,
        metavar="SIZE",
        group=SIZE,
        setting="memory",
        help="8GB, 512MB or a number of GB; only pairs with --cpu that Fargate has.",
    ),
    Option(
        name="--arch",
        verbs=_CELL,
        metavar="|".join(config.ARCHES),
        group=SIZE,
        setting="arch",
        choices=config.ARCHES,
        help="The worker's processor.",
    ),
    Option(name="--gpus", verbs=_CELL, metavar="N", group=SIZE, read=whole(1), shown=False, help="GPUs of a worker."),
    Option(
        name="--instance-type", verbs=_CELL, metavar="TYPE", group=SIZE, shown=False, help="The machine of a worker."
    ),
    Option(name="--slots", verbs=_CELL, metavar="N", group=SIZE, setting="slots", help="Tasks at a time in a worker."),
    Option(
        name="--threads",
        verbs=_CELL,
        metavar="N",
        group=SIZE,
        setting="threads",
        default="its share of the cores",
        help="Threads of BLAS, OpenMP and the like in each slot.",
    ),
    Option(
        name="--timeout",
        verbs=_CELL,
        metavar="D",
        group=LIMITS,
        setting="timeout",
        help="The longest one task may run.",
    ),
    Option(
        name="--retries",
        verbs=_CELL,
        metavar="N",
        group=LIMITS,
        setting="retries",
        help="Tries again after an error of the task's own.",
    ),
    Option(
        name="--deadline",
        verbs=_CELL,
        metavar="D",
        group=LIMITS,
        setting="deadline",
        help="The session's end, at most 21d.",
    ),
    Option(
        name="--idle",
        verbs=_CELL,
        metavar="D",
        group=LIMITS,
        setting="idle",
        help="A worker ends when it had nothing to do for so long.",
    ),
    Option(
        name="--budget",
        verbs=_CELL,
        metavar="DOLLARS",
        group=LIMITS,
        setting="budget",
        help="The most that the session may cost.",
    ),
    Option(
        name="--env",
        verbs=_CELL,
        metavar="|".join(ENVS),
        group=REACH,
        read=_env,
        choices=ENVS,
        default="sync",
        help="The environment of workers: the kernel's own.",
    ),
    Option(name="--include", verbs=_CELL, metavar="PATH", group=REACH, many=True, help="A file that tasks find too."),
    Option(
        name="--setenv",
        verbs=_CELL,
        metavar="NAME[=VALUE]",
        group=REACH,
        read=_setenv,
        many=True,
        help="An environment variable that tasks see, with the kernel's value unless given; masked in logs.",
    ),
    Option(
        name="--seed",
        verbs=_CELL,
        metavar="N",
        group=REACH,
        setting="seed",
        default="random",
        help="Seeds every task; the same seed gives the same results.",
    ),
    Option(name="--nowait", verbs=("collect",), help="What is there; missing ones are burst_magic.PENDING."),
    Option(
        name="--timeout",
        verbs=("collect",),
        metavar="D",
        read=parse_duration,
        default="none",
        help="Wait no longer than that.",
    ),
    Option(
        name="--errors",
        verbs=("collect",),
        metavar="|".join(ERRORS),
        read=config.one_of(ERRORS),
        choices=ERRORS,
        default="raise",
        help="What a failed task is: the exception raised, the exception as a value, or left out.",
    ),
    Option(name="--key", verbs=("attach",), metavar="KEY", help="The session's key, from `burst key show`."),
    Option(name="--task", verbs=("logs",), metavar="I", read=whole(0), help="Only of this task."),
    Option(name="--worker", verbs=("logs",), metavar="W", help="Only of this worker."),
    Option(name="--follow", verbs=("logs",), help="Go on until the session ends or you stop it."),
    Option(
        name="-n", verbs=("logs",), metavar="N", read=whole(1), field="lines", default="100", help="The last N lines."
    ),
    Option(
        name="--budget", verbs=("extend",), metavar="DOLLARS", read=parse_money, help="The session's larger budget."
    ),
    Option(name="--force", verbs=("cleanup",), help="Delete every object of the session too, results included."),
    Option(
        name="--blobs",
        verbs=("cleanup",),
        terminal=True,
        help="Delete stored values that no session needs any more.",
    ),
    Option(name="--yes", verbs=("cleanup",), help="Do not ask."),
    Option(name="--help", verbs=tuple(verb.name for verb in VERBS), help="Show this."),
)

_BY_NAME = {each.name: each for each in VERBS}


def verb(name: str) -> Verb:
    """The verb of that name; ``KeyError`` for none."""
    return _BY_NAME[name]


def options(name: str, *, terminal: bool = False) -> tuple[Option, ...]:
    """What the verb takes, hidden ones too."""
    return tuple(option for option in OPTIONS if name in option.verbs and (terminal or not option.terminal))
