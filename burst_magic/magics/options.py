"""The single table of verbs and options. Parser, ``--help``, reference and completion are derived from it.

Options that this version lacks are not listed; like any unknown name, they get a one-line error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from keyword import iskeyword
from typing import Literal

from burst_magic import config, launchers
from burst_magic.magics import calls
from burst_magic.protocol.wire.keys import is_label
from burst_magic.units import parse_duration, parse_money, whole

Reader = Callable[[str], object]
Place = Literal["cell", "line", "terminal"]

WHAT, WHERE, SIZE, LIMITS, REACH = (
    "What to run",
    "Where",
    "Size of a worker",
    "Limits",
    "What is sent, what is repeatable",
)
ERRORS = ("raise", "return", "skip")


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


def _variable(text: str) -> str:
    if not text.isidentifier() or iskeyword(text):
        raise ValueError(f"{text!r} is not a variable name")
    return text


def _label(text: str) -> str:
    if not is_label(text):
        raise ValueError(f"{text!r} is not a valid label (no slashes, no spaces at its ends, no session id, no option)")
    return text


def _stack(text: str) -> str:
    name = text if text == "burst" or text.startswith("burst-") else f"burst-{text}"
    if not re.fullmatch(r"burst(-[a-z0-9]+)*", name) or len(name) > 24:
        raise ValueError(f"{text!r} is not a name for a stack (lower-case letters, digits and dashes; 18 at most)")
    return name


def _subnets(text: str) -> tuple[str, ...]:
    found = tuple(each.strip() for each in text.split(",") if each.strip())
    if not found or not all(each.startswith("subnet-") for each in found):
        raise ValueError(f"{text!r} is not a list of subnets (subnet-1a2b,subnet-3c4d)")
    return found


def _bucket(text: str) -> str:
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/[^,\s]*)?", text):
        raise ValueError(f"{text!r} is not s3://bucket or s3://bucket/prefix")
    return text


def _arn(text: str) -> str:
    if not re.fullmatch(r"arn:[\w-]+:iam::(\d+|aws):policy/\S+", text) or "," in text:
        raise ValueError(f"{text!r} is not the ARN of a policy (arn:aws:iam::…:policy/…)")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise ValueError(f"{text!r} is not a port (1 to 65535)")
    return int(text)


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
        help="Run this cell on workers: once, or once per item with --map.",
    ),
    Verb(
        name="status",
        call=calls.StatusCall,
        arguments=(ID,),
        help="Show progress, workers, cost, and what it is waiting for.",
    ),
    Verb(name="collect", call=calls.CollectCall, arguments=(ID,), help="Return the results as a list, in item order."),
    Verb(name="attach", call=calls.AttachCall, arguments=(ID,), help="Reattach to the sessions this notebook started."),
    Verb(name="sessions", call=calls.SessionsCall, help="List your newest sessions with state, progress and cost."),
    Verb(
        name="logs", call=calls.LogsCall, arguments=(ID,), help="Show what tasks and workers printed, merged by time."
    ),
    Verb(
        name="scale",
        call=calls.ScaleCall,
        arguments=(Argument(metavar="N", field="workers", read=whole(0), required=True), ID),
        help="Change the number of workers.",
    ),
    Verb(
        name="extend",
        call=calls.ExtendCall,
        arguments=(Argument(metavar="D", field="duration", read=parse_duration, skip=True), ID),
        help="Move the deadline back by D, or raise the budget.",
    ),
    Verb(
        name="cancel",
        call=calls.CancelCall,
        arguments=(ID,),
        help="Cancel a session, or one job (a name or session/job). Finished results are kept.",
    ),
    Verb(name="cleanup", call=calls.CleanupCall, arguments=(ID,), help="Stop the workers and keep the results."),
    Verb(
        name="cost",
        call=calls.CostCall,
        arguments=(ID,),
        help="Show a session's bill; --all, or a terminal without ID: what each session cost.",
    ),
    Verb(
        name="quota",
        call=calls.QuotaCall,
        arguments=(
            Argument(metavar="request", field="request", read=config.one_of(("request",))),
            Argument(metavar="N", field="wanted", read=whole(1)),
        ),
        help="Show how many workers the AWS account may run, or request more: N is a number of vCPU.",
    ),
    Verb(
        name="config",
        call=calls.ConfigCall,
        help="Show settings, or write them: key=value sets one, key= removes it.",
    ),
    Verb(
        name="setup",
        call=calls.SetupCall,
        help="Make what bursts need in your AWS account, write it to config.toml, and try it.",
    ),
    Verb(
        name="teardown",
        call=calls.TeardownCall,
        help="Stop what runs and delete all that setup made in your AWS account, stored results included.",
    ),
    Verb(
        name="doctor",
        call=calls.DoctorCall,
        help="Check what bursts need: this machine, the store and, if configured, the AWS account.",
    ),
    Verb(
        name="inspect",
        call=calls.InspectCall,
        arguments=(THIS,),
        place="terminal",
        help="Show every object of a session.",
    ),
    Verb(name="watch", call=calls.WatchCall, arguments=(ID,), place="terminal", help="Follow a session's progress."),
    Verb(
        name="sandbox",
        call=calls.SandboxCall,
        place="terminal",
        help="Start a stand-in for AWS on this machine, and print what to export to use it.",
    ),
    Verb(
        name="image",
        call=calls.ImageCall,
        place="terminal",
        help="Build an image of the workers with this kernel's packages, and push it to aws.repository.",
    ),
    Verb(
        name="key",
        words="key show",
        call=calls.KeyCall,
        arguments=(THIS,),
        place="terminal",
        help="Print the session's key, to attach from another machine.",
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
        help="Run once per element, bound to `item`. To name it, write `x in xs` or `i, row in rows`.",
    ),
    Option(
        name="--out",
        verbs=_CELL,
        metavar="NAME",
        group=WHAT,
        read=_variable,
        help="Bind NAME to the results at once. Accessing a value that isn't ready blocks.",
    ),
    Option(name="--wait", verbs=_CELL, group=WHAT, help="Block until the job finishes; raise the first failure."),
    Option(name="--name", verbs=_CELL, metavar="LABEL", group=WHAT, read=_label, help="Name this job, to use as ID."),
    Option(
        name="--session",
        verbs=_CELL,
        metavar="ID",
        group=WHAT,
        help="Run on the warm workers of a running session.",
    ),
    Option(
        name="--fresh",
        verbs=_CELL,
        group=WHAT,
        help="Start new workers, even if an idle session of this kernel has the same ones.",
    ),
    Option(
        name="--dry-run",
        verbs=_CELL,
        group=WHAT,
        help="Show what would be sent and what it would cost; start nothing.",
    ),
    Option(
        name="--sample",
        verbs=_CELL,
        metavar="N",
        group=WHAT,
        read=whole(1),
        help="Run N items here first and compare: time here, time and cost on the fleet.",
    ),
    Option(name="--workers", verbs=_CELL, metavar="N", group=WHERE, setting="workers", help="Number of workers."),
    Option(
        name="--launcher",
        verbs=(*_CELL, "quota"),
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
        help="Where the session is stored: file:///dir or s3://bucket/prefix.",
    ),
    Option(name="--cpu", verbs=_CELL, metavar="N", group=SIZE, setting="cpu", help="vCPUs per worker, 0.25 to 16."),
    Option(
        name="--memory",
        verbs=_CELL,
        metavar="SIZE",
        group=SIZE,
        setting="memory",
        help="Memory per worker: 8GB, 512MB or a number of GB. Fargate must offer it with --cpu.",
    ),
    Option(
        name="--arch",
        verbs=(*_CELL, "image"),
        metavar="|".join(config.ARCHES),
        group=SIZE,
        setting="arch",
        choices=config.ARCHES,
        help="Processor architecture of the workers; without it, that of the task definition.",
    ),
    Option(name="--gpus", verbs=_CELL, metavar="N", group=SIZE, read=whole(1), shown=False, help="GPUs per worker."),
    Option(
        name="--instance-type",
        verbs=_CELL,
        metavar="TYPE",
        group=SIZE,
        shown=False,
        help="EC2 instance type of the workers.",
    ),
    Option(
        name="--slots",
        verbs=_CELL,
        metavar="N",
        group=SIZE,
        setting="slots",
        help="Tasks that run at a time in each worker.",
    ),
    Option(
        name="--threads",
        verbs=_CELL,
        metavar="N",
        group=SIZE,
        setting="threads",
        default="the slot's share of the cores",
        help="Threads per slot for BLAS, OpenMP and similar libraries.",
    ),
    Option(
        name="--timeout",
        verbs=_CELL,
        metavar="D",
        group=LIMITS,
        setting="timeout",
        help="Time limit for one task.",
    ),
    Option(
        name="--retries",
        verbs=_CELL,
        metavar="N",
        group=LIMITS,
        setting="retries",
        help="How often to retry a task that raised an error.",
    ),
    Option(
        name="--deadline",
        verbs=_CELL,
        metavar="D",
        group=LIMITS,
        setting="deadline",
        help="When the session ends, counted from its start; at most 21d.",
    ),
    Option(
        name="--idle",
        verbs=_CELL,
        metavar="D",
        group=LIMITS,
        setting="idle",
        help="How long a worker stays without work.",
    ),
    Option(
        name="--budget",
        verbs=_CELL,
        metavar="DOLLARS",
        group=LIMITS,
        setting="budget",
        help="Cost limit for the session.",
    ),
    Option(
        name="--env",
        verbs=_CELL,
        metavar="sync|image|image:URI",
        group=REACH,
        setting="env",
        choices=config.ENVS,
        help="What workers have installed: the kernel's packages (sync), what is in the image of the configured task "
        "definition, or what is in another image.",
    ),
    Option(
        name="--include",
        verbs=_CELL,
        metavar="PATH",
        group=REACH,
        many=True,
        help="File or folder to send along. Can be repeated.",
    ),
    Option(
        name="--setenv",
        verbs=_CELL,
        metavar="NAME[=VALUE]",
        group=REACH,
        read=_setenv,
        many=True,
        help="Set an environment variable for tasks, by default to the kernel's value. Masked in logs.",
    ),
    Option(
        name="--seed",
        verbs=_CELL,
        metavar="N",
        group=REACH,
        setting="seed",
        default="random",
        help="Seed for the tasks' random generators. The same seed gives the same results.",
    ),
    Option(name="--nowait", verbs=("collect",), help="Don't wait; return burst_magic.PENDING for missing results."),
    Option(
        name="--timeout",
        verbs=("collect",),
        metavar="D",
        read=parse_duration,
        default="none",
        help="Wait at most this long.",
    ),
    Option(
        name="--errors",
        verbs=("collect",),
        metavar="|".join(ERRORS),
        read=config.one_of(ERRORS),
        choices=ERRORS,
        default="raise",
        help="For a failed task: raise its exception, return it as a value, or skip the task.",
    ),
    Option(name="--all", verbs=("sessions", "cost"), help="List all of them, not only the newest 20."),
    Option(name="--csv", verbs=("cost",), metavar="FILE", help="Write the list to this file as CSV, in dollars."),
    Option(name="--json", verbs=("cost", "quota", "doctor"), help="Print JSON."),
    Option(name="--refresh", verbs=("cost",), help="Ask AWS for today's prices, and show them with source and date."),
    Option(
        name="--account",
        verbs=("sessions",),
        help="List what runs in your AWS account instead, by the tags of its tasks: found without the store.",
    ),
    Option(name="--key", verbs=("attach",), metavar="KEY", help="The session's key, from `burst key show`."),
    Option(name="--task", verbs=("logs",), metavar="I", read=whole(0), help="Show this task only."),
    Option(name="--worker", verbs=("logs",), metavar="W", help="Show this worker only."),
    Option(name="--follow", verbs=("logs",), help="Keep printing until the job ends or you interrupt."),
    Option(
        name="-n",
        verbs=("logs",),
        metavar="N",
        read=whole(1),
        field="lines",
        default="100",
        help="Show the last N lines.",
    ),
    Option(
        name="--budget",
        verbs=("extend",),
        metavar="DOLLARS",
        read=parse_money,
        help="New, larger budget of the session.",
    ),
    Option(name="--force", verbs=("cleanup",), help="Also delete the session with its results."),
    Option(
        name="--blobs",
        verbs=("cleanup",),
        terminal=True,
        help="Delete stored values that no session uses any more.",
    ),
    Option(
        name="--port",
        verbs=("sandbox",),
        metavar="N",
        read=_port,
        help="Port on 127.0.0.1 to listen on; by default any free one.",
    ),
    Option(
        name="--demo",
        verbs=("sandbox",),
        help="Run a notebook with 32 Spot workers on it, write it to cloud-demo.ipynb, and end.",
    ),
    Option(
        name="--base",
        verbs=("image",),
        metavar="IMAGE",
        help="Image below it, with this minor version of Python and anything of yours; by default the stock Python.",
    ),
    Option(name="--prune", verbs=("image",), help="List the images in aws.repository, and delete old ones."),
    Option(
        name="--older-than",
        verbs=("image",),
        metavar="D",
        read=parse_duration,
        help="With --prune: delete images that were pushed longer ago than this, by default 30d.",
    ),
    Option(name="--all", verbs=("image",), help="With --prune: delete all of them."),
    Option(
        name="--empty",
        verbs=("sandbox",),
        help="Start it as an account in which nothing is set up, to try burst setup.",
    ),
    Option(
        name="--plan",
        verbs=("setup",),
        help="Show each resource, each policy and what it costs; make nothing.",
    ),
    Option(
        name="--name",
        verbs=("setup", "teardown"),
        metavar="NAME",
        read=_stack,
        help="The stack, instead of the configured one or `burst`; everything in it is called burst-NAME.",
    ),
    Option(
        name="--region",
        verbs=("setup", "teardown"),
        metavar="REGION",
        help="Region of AWS, instead of the configured one.",
    ),
    Option(
        name="--vpc",
        verbs=("setup",),
        metavar="ID",
        help="VPC of workers, instead of the account's default.",
    ),
    Option(
        name="--subnets",
        verbs=("setup",),
        metavar="IDS",
        read=_subnets,
        help="Subnets of workers, separated by commas, instead of the VPC's public ones.",
    ),
    Option(
        name="--allow-read",
        verbs=("setup",),
        metavar="URL",
        read=_bucket,
        many=True,
        help="Let tasks read s3://bucket or s3://bucket/prefix. Can be repeated.",
    ),
    Option(
        name="--allow-write",
        verbs=("setup",),
        metavar="URL",
        read=_bucket,
        many=True,
        help="Let tasks read, write and delete there, too. Can be repeated.",
    ),
    Option(
        name="--policy",
        verbs=("setup",),
        metavar="ARN",
        read=_arn,
        many=True,
        help="Give tasks a managed policy of your account, too. Can be repeated.",
    ),
    Option(
        name="--revoke",
        verbs=("setup",),
        help="Take back what earlier calls allowed tasks.",
    ),
    Option(
        name="--repository",
        verbs=("setup",),
        help="Make an ECR repository for images of your own, too.",
    ),
    Option(name="--no-trial", verbs=("setup",), help="Don't run the trial burst."),
    Option(name="--yes", verbs=("cleanup", "image", "setup", "teardown"), help="Don't ask for confirmation."),
    Option(name="--help", verbs=tuple(verb.name for verb in VERBS), help="Show this help."),
)

_BY_NAME = {each.name: each for each in VERBS}


def verb(name: str) -> Verb:
    """The verb of that name; ``KeyError`` for none."""
    return _BY_NAME[name]


def options(name: str, *, terminal: bool = False) -> tuple[Option, ...]:
    """The verb's options, including hidden ones."""
    return tuple(option for option in OPTIONS if name in option.verbs and (terminal or not option.terminal))
