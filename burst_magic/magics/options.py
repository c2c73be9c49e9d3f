"""The table of options. Parser, ``--help``, reference and completion are derived from it and from ``verb_table``.

Options that this version lacks are not listed; like any unknown name, they get a one-line error.
"""

from __future__ import annotations

from burst_magic import config, launchers
from burst_magic.magics import readers
from burst_magic.magics.option import Option
from burst_magic.magics.verb_table import VERBS
from burst_magic.units import parse_duration, parse_money, whole

WHAT, WHERE, SIZE, LIMITS, REACH = (
    "What to run",
    "Where",
    "Size of a worker",
    "Limits",
    "What is sent, what is repeatable",
)
ERRORS = ("raise", "return", "skip")
PENDINGS = ("keep", "skip")


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
        read=readers.variable,
        help="Bind NAME to the results at once. Accessing a value that isn't ready blocks.",
    ),
    Option(name="--wait", verbs=_CELL, group=WHAT, help="Block until the job finishes; raise the first failure."),
    Option(
        name="--name", verbs=_CELL, metavar="LABEL", group=WHAT, read=readers.label, help="Name this job, to use as ID."
    ),
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
        read=readers.setenv,
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
    Option(
        name="--pending",
        verbs=("collect",),
        metavar="|".join(PENDINGS),
        read=config.one_of(PENDINGS),
        choices=PENDINGS,
        default="keep",
        help="For a missing result: return burst_magic.PENDING in its place, or skip the task.",
    ),
    Option(name="--all", verbs=("sessions", "cost"), help="List all of them, not only the newest 20."),
    Option(name="--csv", verbs=("cost",), metavar="FILE", help="Write the list to this file as CSV, in dollars."),
    Option(name="--json", verbs=("status", "sessions", "cost", "quota", "doctor"), help="Print JSON."),
    Option(
        name="--json",
        verbs=("collect",),
        terminal=True,
        help="Print a JSON array; a value that JSON cannot express is given as its repr.",
    ),
    Option(name="--refresh", verbs=("cost",), help="Ask AWS for today's prices, and show them with source and date."),
    Option(
        name="--account",
        verbs=("sessions",),
        help="List what runs in your AWS account instead, by the tags of its tasks: found without the store.",
    ),
    Option(
        name="--key",
        verbs=("attach",),
        metavar="KEY",
        help="The session's key, from `burst key show`: a file that holds it; - to be asked, or to read a pipe; or the "
        "key itself, which a notebook and the shell's history keep.",
    ),
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
        read=readers.port,
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
        read=readers.stack,
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
        read=readers.subnets,
        help="Subnets of workers, separated by commas, instead of the VPC's public ones.",
    ),
    Option(
        name="--allow-read",
        verbs=("setup",),
        metavar="URL",
        read=readers.bucket,
        many=True,
        help="Let tasks read s3://bucket or s3://bucket/prefix. Can be repeated.",
    ),
    Option(
        name="--allow-write",
        verbs=("setup",),
        metavar="URL",
        read=readers.bucket,
        many=True,
        help="Let tasks read, write and delete there, too. Can be repeated.",
    ),
    Option(
        name="--policy",
        verbs=("setup",),
        metavar="ARN",
        read=readers.arn,
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


def options(name: str, *, terminal: bool = False) -> tuple[Option, ...]:
    """The verb's options, including hidden ones."""
    return tuple(option for option in OPTIONS if name in option.verbs and (terminal or not option.terminal))
