"""The table of verbs: magics, and subcommands of ``burst``."""

from __future__ import annotations

from burst_magic import config
from burst_magic.magics import calls
from burst_magic.magics.option import Argument, Verb
from burst_magic.units import parse_duration, whole

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
    Verb(
        name="cleanup",
        call=calls.CleanupCall,
        arguments=(Argument(metavar="ID", field="id", more="more"),),
        help="Stop the workers and keep the results, of one session or several.",
    ),
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

_BY_NAME = {each.name: each for each in VERBS}


def verb(name: str) -> Verb:
    """The verb of that name; ``KeyError`` for none."""
    return _BY_NAME[name]
