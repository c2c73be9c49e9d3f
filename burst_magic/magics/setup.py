"""``burst setup`` and ``burst teardown``: from an AWS account to a fleet, and back to an account."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from burst_magic import config, launchers
from burst_magic.errors import BurstError, Denied, KeyRefused, LaunchError, NotRun
from burst_magic.magics import calls
from burst_magic.protocol.exits import ExitCode

if TYPE_CHECKING:
    from burst_magic.aws.setup import Prepared
    from burst_magic.aws.template import Whereabouts
    from burst_magic.config import Settings

_TASKS = 4
_TRIAL = "import platform\nprint('hello from', platform.machine())\nitem ** 2"
_EFFECTIVE = (
    120.0  # seconds until a new role's rights count everywhere; AWS documents none, users report up to a minute
)
_PAUSE = 5.0
_OURS = ("store", "launcher", *(f"{config.TABLE}.{key}" for key in config.IN_TABLE))
_NAMES = (  # properties that say what a resource is called
    *("BucketName", "ClusterName", "LogGroupName", "RoleName", "ManagedPolicyName", "GroupName", "Family"),
    *("RepositoryName", "EcrRepositoryPrefix", "ServiceName", "Bucket", "Name"),
)
_FREE = (
    "nothing is billed by the hour. What is stored is billed by AWS: the bucket, where sessions expire after 30 days; "
    "logs, after {days} days; the cached image of workers, about 50 MB"
)


def run(call: calls.SetupCall, settings: Settings, *, tell: Callable[[str], None] = print) -> str:
    """Make the stack, write the settings, and try it.

    Args:
        call: what the user asks for.
        settings: of before.
        tell: shows one line of progress.
    """
    from burst_magic.aws.setup import Account, SetupWishes, prepare
    from burst_magic.aws.setup import settings as settings_of

    wishes = SetupWishes(
        name=call.name,
        vpc=call.vpc,
        subnets=call.subnets,
        reads=call.allow_read,
        writes=call.allow_write,
        policies=call.policy,
        revoke=call.revoke,
        repository=call.repository,
    )
    prepared = prepare(wishes, Account(call.region or settings.aws.get("region", "")))
    if call.plan:
        return plan_text(prepared)
    began = time.monotonic()
    tell(heading(prepared))
    facts, changed = prepared.deploy(tell)
    done = "is as it should be; nothing changed" if not changed else f"ready after {_seconds(began)}"
    tell(f"stack {prepared.name}: {done}")
    values = {**settings_of(facts), "launcher": launchers.IN_AN_ACCOUNT}
    path = config.save(values, config_dir=settings.config_dir)
    tell(f"settings written to {path}: store, launcher, [aws]")
    try:
        if not call.no_trial:
            tell(_tried(values, settings, patient=changed, tell=tell))
    except (Denied, KeyRefused, LaunchError, NotRun) as error:
        policy = f"attach the policy {facts.outputs['UserPolicy']} to whoever bursts"
        forbidden = isinstance(error, Denied) or "AccessDenied" in error.context
        raise BurstError(
            f"everything is set up, but the trial burst failed: {error.problem}",
            context=error.context,
            way_out=policy if forbidden else error.way_out or "run burst setup again; burst doctor checks the account",
        ) from error
    return (
        f"Set up in {_seconds(began)}. %%burst now runs on Fargate; --launcher spot is cheaper.\n"
        f"policy for other users: {facts.outputs['UserPolicy']}\n"
        f"burst teardown{'' if prepared.name == 'burst' else f' --name {prepared.name}'} removes everything"
    )


def heading(prepared: Prepared) -> str:
    """Where and as whom, before anything is made."""
    from burst_magic.ui.words import count

    where, network = prepared.identity.where, prepared.network
    kind = "public" if network.public else "private"
    many = f"{len(network.subnets)} {kind} subnet{'s' * (len(network.subnets) != 1)}"
    lines = [
        f"stack {prepared.name} in account {where.account}, {where.region}, as {prepared.identity.arn}",
        f"workers run in {network.vpc}: {many} in {', '.join(network.zones)}, {count(network.free)} free addresses",
        *prepared.notes,
    ]
    return "\n".join(lines)


def _seconds(began: float) -> str:
    from burst_magic.ui import words

    return words.duration(time.monotonic() - began)


# --- the plan --------------------------------------------------------------------------------------------------------


def plan_text(prepared: Prepared) -> str:
    """What setup would make: each resource, each policy, and what it costs standing still."""
    from burst_magic.aws import rights

    resolved = prepared.template
    there = prepared.before is not None and prepared.before.usable
    rows = [
        (name, resource["Type"].removeprefix("AWS::").replace("::", " "), _called(resolved.properties(name)))
        for name, resource in resolved.resources.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    table = [f"  {name:{widths[0]}}  {kind:{widths[1]}}  {called}".rstrip() for name, kind, called in rows]
    documents = rights.policies(resolved)
    name, region, builds = prepared.name, prepared.identity.where.region, "build" in documents
    parts = [
        heading(prepared),
        "\n".join(["the stack is there; setup would bring it to:" if there else "setup would make:", *table]),
        f"standing still: {_FREE.format(days=prepared.parameters['LogDays'])}",
        _document(f"your tasks run with ({name}-task-{region})", documents["task"]),
        _managed(prepared.parameters["PolicyArns"]),
        _document("ECS pulls images and writes logs with", documents["execution"]),
        _document(f"CodeBuild builds images with ({name}-build-{region})", documents["build"]) if builds else "",
        _document(f"whoever bursts needs ({name}-user-{region})", documents["user"]),
        _document(
            "whoever runs burst setup and burst teardown needs, beside that",
            rights.setup_policy(name, prepared.identity.where),
        ),
    ]
    return "\n\n".join(filter(None, parts))


def _called(properties: Mapping[str, Any]) -> str:
    """The name of a resource among its properties."""
    return next((str(properties[name]) for name in _NAMES if name in properties), "")


def _document(title: str, document: Mapping[str, Any]) -> str:
    return f"{title}:\n{json.dumps(document, indent=2)}"


def _managed(arns: str) -> str:
    return "and with the policies\n" + "\n".join(f"  {arn}" for arn in arns.split(",")) if arns else ""


# --- the trial -------------------------------------------------------------------------------------------------------


def _tried(values: Mapping[str, str], settings: Settings, *, patient: bool, tell: Callable[[str], None]) -> str:
    """The bill of a burst of four tasks, from start to end on the new fleet; nothing of it stays.

    A new role is not effective everywhere at once, and a worker that may not read its session's key ends for good. So
    a trial that fails in such a way soon after a change is made again.
    """
    end = time.monotonic() + (_EFFECTIVE if patient else 0.0)
    told = False
    while True:
        try:
            return _trial(values, settings)
        except (KeyRefused, LaunchError, NotRun) as error:
            if not _passes(error) or time.monotonic() > end:
                raise
        if not told:
            tell("the new roles are not effective yet; trying again")
            told = True
        time.sleep(_PAUSE)


def _passes(error: BurstError) -> bool:
    """Whether it may be due to a role that is not effective yet."""
    from burst_magic.aws.reasons import StartProblem, read

    if isinstance(error, NotRun):
        return ExitCode.UNTRUSTED.meaning in str(error)
    return isinstance(error, KeyRefused) or read(error.context or error.problem).trouble is StartProblem.ROLE


def _trial(values: Mapping[str, str], settings: Settings) -> str:
    from burst_magic.capture.cell import capture_cell
    from burst_magic.plan.planner import plan
    from burst_magic.session.submit import submit
    from burst_magic.ui.bill import bill_text

    asked = {key: value for key, value in values.items() if key in config.keys()}
    mine = config.load({**asked, "workers": "2"}, config_dir=settings.config_dir, data_dir=settings.data_dir)
    capture = capture_cell(_TRIAL, {}, map_expr=f"range({_TASKS})")
    made = plan(mine, launchers.traits(mine.launcher), tasks=_TASKS)
    began = time.monotonic()
    session = submit(capture, made, mine, home={})
    try:
        squares = list(session.results())
        took = _seconds(began)
        bill = bill_text(session.status(), session.manifest)
    finally:
        session.cleanup(force=True)
    if squares != [number**2 for number in range(_TASKS)]:
        raise BurstError(f"the trial burst returned {squares}")
    return f"trial: {_TASKS} tasks on 2 workers, results after {took}\n{bill}"


# --- the end ---------------------------------------------------------------------------------------------------------


def tear_down(call: calls.TeardownCall, settings: Settings, *, tell: Callable[[str], None] = print) -> str:
    """Stop what runs, delete everything, and show that nothing is left."""
    from burst_magic.aws.setup import Account, expected
    from burst_magic.aws.teardown import Teardown

    account = Account(call.region or settings.aws.get("region", ""))
    where = account.identity().where
    teardown = Teardown(call.name, region=where.region, clients=account.clients, tell=tell)
    was_there = teardown.run()
    left = teardown.left()
    forgotten = _forget(call.name, where, settings)
    if left:
        raise BurstError(
            f"{len(left)} resources tagged burst={call.name} are left",
            context=", ".join(left),
            way_out="run burst teardown again in some minutes",
        )
    # Only now: the bucket may be what is left, and what is in it cannot be read without the keys.
    _forget_sessions(f"s3://{expected('Bucket', '', name=call.name, where=where)}", settings)
    kept = f"\nremoved from {settings.config_file}: {', '.join(forgotten)}" if forgotten else ""
    gone = f"stack {call.name} is gone from" if was_there else f"there is no stack {call.name} in"
    return f"{gone} {where.region}: 0 resources tagged burst={call.name} are left{kept}"


def _forget(name: str, where: Whereabouts, settings: Settings) -> list[str]:
    """Take what setup wrote out of the user's settings, if it is still this stack's."""
    mine = config.load(environ={}, config_dir=settings.config_dir, data_dir=settings.data_dir)
    if [mine.aws.get(key) for key in ("stack", "account", "region")] != [name, where.account, where.region]:
        return []  # it may have the same name in another account
    gone = [key for key in _OURS if key.startswith(f"{config.TABLE}.") and key.partition(".")[2] in mine.aws]
    gone += ["store"] if mine.store.startswith(f"s3://{name}-") else []
    gone += ["launcher"] if mine.launcher == launchers.IN_AN_ACCOUNT else []
    config.save(dict.fromkeys(gone, ""), config_dir=settings.config_dir)
    return gone


def _forget_sessions(bucket: str, settings: Settings) -> None:
    """Take the sessions that were in a bucket out of the user's list, and their keys off this machine."""
    from burst_magic.session import session_list
    from burst_magic.session.deletion import forget

    lines = session_list.read(settings.sessions_file)
    for sid in dict.fromkeys(line.id for line in lines if f"{line.store}/".startswith(f"{bucket}/")):
        forget(settings, sid)
