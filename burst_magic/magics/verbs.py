"""The implementation of each verb, for magics and terminal: call and settings in, text out."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from functools import partial
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from burst_magic import config as configuration
from burst_magic import host, launchers
from burst_magic.errors import AttachError, BurstError, OptionError, visible
from burst_magic.magics import calls, listing
from burst_magic.magics.desk import DESK, Known, pass_over, typed
from burst_magic.magics.typed_key import typed_key
from burst_magic.units import format_money

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.magics.desk import Known
    from burst_magic.protocol.snapshot import Snapshot
    from burst_magic.session.session import Session

_NEWEST = 20  # sessions that are listed unless all are asked for
_OTHERS = 10  # other jobs of a session that its status tells


def status(call: calls.StatusCall, settings: Settings) -> str:
    """Show progress, workers, cost, what it is waiting for, distinct errors, and the session's other jobs."""
    from burst_magic.session import attach as attaching
    from burst_magic.ui import text

    session = DESK.find(call.id, settings)
    if call.json:
        return listing.status_json(session.status())
    idents = attaching.siblings(session)
    others, older = _beside(session, idents[-_OTHERS:]), len(idents[:-_OTHERS])
    try:
        lines = [text.status_text(session.status())]  # one look at them all
        lines += ["", "  other jobs of this session"] if others else []
        lines += [f"  and {older} older"] if older else []
        return "\n".join([*lines, *(f"  {text.other_job(job.facts())}" for job in others)])
    finally:
        for job in others:
            if (job.id, job.job) not in DESK.open:
                job.detach()


def _beside(session: Session, idents: list[str]) -> list[Session]:
    """Other jobs of a session, as far as they were committed; those that are open as they are."""
    from burst_magic.session import attach as attaching

    found = []
    for ident in idents:
        with contextlib.suppress(AttachError):  # announced, and never committed
            held = DESK.open.get((session.id, ident.rpartition("/")[2]))
            found.append(held or attaching.sibling(session, ident))
    return found


def collected(call: calls.CollectCall, settings: Settings) -> list[Any]:
    """Return a plain list in item order."""
    session = DESK.find(call.id, settings, waits=not call.nowait)
    collect = partial(session.results().collect, errors=call.errors, pending=call.pending)
    if call.nowait:
        return collect(wait=False)
    from burst_magic.session.results import stopped
    from burst_magic.ui.panel import show, waited

    try:
        showing = show(session, blocking=True, shell=DESK.shell)
        return waited(showing, partial(collect, timeout=call.timeout))
    except KeyboardInterrupt:  # at any point: while showing, waiting or reading
        raise stopped(session.id) from None


def collect(call: calls.CollectCall, settings: Settings) -> str:
    """Return one value per line, or a JSON array of them, for a terminal."""
    try:
        values = collected(call, settings)
        return listing.values_json(values) if call.json else "\n".join(map(repr, values))
    except BurstError:
        raise
    except Exception as error:
        story = getattr(error, "_render_traceback_", None)
        if story is None:
            raise
        raise BurstError("\n".join(story()), way_out="to get the others: burst collect ID --errors return") from None


def attach_here(call: calls.AttachCall, settings: Settings) -> None:
    """Bind the results of this notebook's jobs again and show the latest."""
    from burst_magic.session.results import Results
    from burst_magic.ui.panel import show

    sessions = _attached(call, settings)
    for session in sessions:
        out = session.description.out
        held = DESK.home.get(out)
        if out and not _may_bind(session, out):
            print(visible(f"{out} was not bound: {_why_not(session)}"))
        elif held is not None and not isinstance(held, Results) and not call.id:
            results = f"burst.attach('{session.id}/{session.job}').results()"
            print(f"{out} is bound to something else here and was not overwritten; use {results}")
        elif out:
            DESK.home[out] = session.results()
            session.status()  # refreshes, so that the line shows the current state
            print(f"{out} = {session.results()!r} of session {session.id}")
    others = {} if call.id else DESK.of_others(settings)
    for sid, name in others.items():
        called = f" ({name})" if name else ""
        print(visible(f"session {sid}{called} is of another kernel that is running: %burst_attach {sid}"))
    latest = sessions[-1]
    show(latest, out=latest.description.out, shell=DESK.shell)


def _may_bind(session: Session, out: str) -> bool:
    """Whether the user chose this name: its record is verified, and it is a name."""
    return session.secret is not None and out.isidentifier() and not iskeyword(out)


def _why_not(session: Session) -> str:
    if session.secret is None:
        return f"the key of session {session.id} is not on this machine: %burst_attach {session.id} --key KEY"
    return f"it is no name that session {session.id} can bind"


def attach(call: calls.AttachCall, settings: Settings) -> str:
    """Attach to a session from a terminal; save its key."""
    from burst_magic.ui import text

    return text.status_text(_attached(call, settings)[-1].status())


def _with_siblings(session: Session, call: calls.AttachCall) -> list[Session]:
    """Expand a session's id or name to all its jobs, each with the name of its results; the requested job is last."""
    from burst_magic.session import attach as attaching

    found = [] if "/" in call.id else _beside(session, attaching.siblings(session))
    return [DESK.keep(each) for each in [*found, session]]


def _taken(ident: str, settings: Settings, *, key: str | None = None) -> Session:
    """Attach to jobs. A kernel replaces their lost workers; a terminal only looks."""
    from burst_magic.session import attach as attaching

    return attaching.attach(
        ident, settings=settings, home=DESK.home, key=key, replaces_lost_workers=DESK.shell is not None
    )


def _attached(call: calls.AttachCall, settings: Settings) -> list[Session]:
    if call.id:
        session = _taken(call.id, settings, key=typed_key(call.key) if call.key else None)
        return _with_siblings(session, call)
    found: list[Session] = []
    problems: dict[str, BurstError] = {}
    for each in reversed(DESK.known(settings)):
        if found and not _belongs(each.session, found[-1]):
            break
        try:
            found.append(_taken_up(each, found, settings))
        except BurstError as problem:  # the others may exist
            problems[each.session] = problem
    if not found:
        raise next(iter(problems.values()), DESK.nothing_known(settings))
    for sid, why in reversed(problems.items()):
        if not isinstance(why, AttachError):  # deleted, or its submission was interrupted: nothing to report
            pass_over(sid, why)
    return [DESK.keep(each) for each in reversed(found)]


def _taken_up(known: Known, found: list[Session], settings: Settings) -> Session:
    """A job that was written down; beside another of its session where that was taken up already."""
    from burst_magic.session import attach as attaching

    if known.job and found and found[-1].id == known.session:
        return attaching.sibling(found[-1], known.job)
    return DESK.attach(known, settings, replaces_lost_workers=DESK.shell is not None)


def _belongs(sid: str, latest: Session) -> bool:
    """What to attach to: a notebook's jobs; without a notebook, the latest session; in a terminal, the latest job."""
    return DESK.shell is not None and (not DESK.nowhere or sid == latest.id)


def sessions(call: calls.SessionsCall, settings: Settings) -> str:
    """List the newest sessions of this store and this user, or all of them, or the account's; newest last."""
    import time

    if call.account:
        return _account(settings, now=time.time())

    from burst_magic.session import attach as attaching
    from burst_magic.ui import text

    where = attaching.whereabouts(settings)
    shown = where if call.all else where[-_NEWEST:]
    rows = attaching.sessions(settings, where=shown)
    if call.json:
        return listing.sessions_json(rows)
    problems = [f"{row.id}: {row.problem}" for row in rows if row.problem]
    more = len(where) - len(shown)
    rest = [f"{more} older sessions: {typed('sessions')} --all"] if more else []
    return "\n".join([text.sessions_table(rows, now=time.time()), *rest, *problems])


def _account(settings: Settings, *, now: float) -> str:
    """What costs money in the account at the moment, whoever started it and whether or not its store is there."""
    from burst_magic.aws.prices import PriceFile
    from burst_magic.launchers.account import running_sessions
    from burst_magic.ui import text

    found = running_sessions(settings.aws, now=now, price_list=PriceFile(settings.data_dir).listed())
    overdue = [row.sid for row in found.sessions if row.deadline is not None and row.deadline < now]
    late = [f"past the deadline: {', '.join(overdue)}"] if overdue else []
    stop = [f"stop one: {typed('cleanup')} ID"] if found.sessions else []
    table = text.account_table(found.sessions, region=found.region, now=now)
    return "\n".join([table, *late, *stop, *found.problems])


def logs(call: calls.LogsCall, settings: Settings) -> str | None:
    """Show the output of tasks and workers; with ``--follow``, as it arrives."""
    session = DESK.find(call.id, settings)
    lines = session.logs(task=call.task, worker=call.worker or None, n=call.lines, follow=call.follow)
    shown = (f"[{line.source}] {line.text}" for line in lines)
    if not call.follow:
        return "\n".join(shown) or _silence(session.snapshot(), call.task)
    for line in shown:
        print(visible(line), flush=True)
    return None


def _silence(seen: Snapshot, task: int | None) -> str:
    """What is said instead of output."""
    states = [span.state for span in seen.spans if task is not None and span.start <= task < span.stop]
    if {"completed", "failed"} & set(states):
        return f"task {task} printed nothing"
    if seen.ended is None:
        return "no output yet"
    if task is not None:
        cut = f"task {task} did not finish; output is kept of finished tasks only"
        return cut if seen.workers else f"task {task} did not run"
    left = seen.total - seen.done
    if not left:
        return "nothing was printed"
    return f"no output was kept: {left:,} task{'s' * (left != 1)} did not finish"


def scale(call: calls.ScaleCall, settings: Settings) -> str:
    """Change the number of workers."""
    session = DESK.find(call.id, settings, sure=True)
    session.scale(call.workers)
    return f"session {session.id}: {call.workers} workers wanted{_crowded(session, call.workers)}"


def _crowded(session: Session, workers: int) -> str:
    """Describe the threads per task when workers join a running job."""
    from burst_magic.plan.planner import threads

    manifest, job = session.manifest, session.description
    lanes = min(job.tasks, workers * manifest.slots)
    here, cores = session.fleet.here, host.cores()
    share = threads(lanes, here=here, slots=manifest.slots, cores=cores, cpu=manifest.cpu)
    if session.snapshot().finished or job.threads_asked or job.threads <= share:
        return ""
    return f"; tasks of this job keep {job.threads} threads each; the next job gets {share} (--threads)"


def extend(call: calls.ExtendCall, settings: Settings) -> str:
    """Move the deadline or raise the budget."""
    from burst_magic.ui import words

    session = DESK.find(call.id, settings, sure=True)
    deadline = session.extend(call.duration, budget=call.budget)
    left = words.duration(deadline - session.now())
    money = f"; budget {format_money(call.budget)}" if call.budget is not None else ""
    seen = session.status()
    stopped = "" if seen.alive or seen.starting or seen.finished else _start_some(session, seen.wanted)
    return f"session {session.id}: {left} until the deadline{money}{stopped}"


def _start_some(session: Session, wanted: int) -> str:
    return f"\nno workers left; to start some: {typed('scale')} {wanted} {session.id}"


def cancel(call: calls.CancelCall, settings: Settings) -> str:
    """Cancel a session, or one job with ``session/job``; finished results are kept."""
    from burst_magic.magics import cancelling

    return cancelling.cancelled(call, settings)


def cleanup(call: calls.CleanupCall, settings: Settings) -> str:
    """Stop workers; with ``--force``, delete every object of the session."""
    from burst_magic.magics import cleaning

    return cleaning.run(call, settings)


def cost(call: calls.CostCall, settings: Settings) -> str:
    """Show a session's bill so far, or what each session was expected to cost and did."""
    from burst_magic.magics import costs
    from burst_magic.ui.bill import bill_text

    if call.refresh:
        return costs.refreshed(settings)
    listing = call.all or call.csv or call.json
    if call.id and listing:
        raise OptionError("--all, --csv and --json are for the list of sessions", way_out="leave out the ID")
    if listing or not (call.id or DESK.shell):  # a terminal has no latest session
        return costs.listed(call, settings)
    session = DESK.find(call.id, settings)
    return bill_text(session.status(), session.manifest)


def quota(call: calls.QuotaCall, settings: Settings) -> str:
    """Show the account's quotas, or request a larger one."""
    from burst_magic.magics import quotas

    return quotas.requested(call, settings) if call.request else quotas.shown(call, settings)


def config(call: calls.ConfigCall, settings: Settings) -> str:
    """Show or write settings."""
    if call.changes:
        if call.changes.get("launcher"):
            launchers.check(call.changes["launcher"], where="launcher")
        path = configuration.save(call.changes, config_dir=settings.config_dir)
        return f"written to {path}"
    rows = configuration.explain()
    width = max(len(row.key) for row in rows)
    return "\n".join(f"{row.key:<{width}}  {row.text}  ({row.source})" for row in rows)


def setup(call: calls.SetupCall, settings: Settings) -> str:
    """Make what bursts need in the AWS account, and try it."""
    from burst_magic.magics import setup as setting_up

    return setting_up.run(calls.of_stack(call, settings), settings)


def teardown(call: calls.TeardownCall, settings: Settings) -> str:
    """Delete all that setup made."""
    from burst_magic.magics import setup as setting_up

    return setting_up.tear_down(calls.of_stack(call, settings), settings)


def doctor(call: calls.DoctorCall, settings: Settings) -> str:
    """Check that burst_magic works here and in the account; raises for what is wrong, so that scripts see it."""
    from burst_magic.session.doctor import examine
    from burst_magic.ui.text import findings_text

    found = examine(settings)
    wrong = [each for each in found if not each.good]
    if call.json:
        said = [{**asdict(each), "level": each.level.value} for each in found]
        text = json.dumps({"ok": not wrong, "findings": said}, indent=1)
    else:
        text = findings_text(found)
    if not wrong:
        return text
    print(visible(text), flush=True)
    raise BurstError(f"{len(wrong)} of {len(found)} checks found something wrong", way_out=wrong[0].way_out)


def inspect(call: calls.InspectCall, settings: Settings) -> str:
    """Describe a session's log in words."""
    from burst_magic.session.inspect import tell

    return "\n".join(tell(DESK.find(call.id, settings)))


def watch(call: calls.WatchCall, settings: Settings) -> str:
    """Show a progress bar until the job ends."""
    from burst_magic.ui import text
    from burst_magic.ui.panel import show

    session = DESK.find(call.id, settings)
    showing = show(session, blocking=True)
    try:
        session.results().wait()
    finally:
        showing.finish()
    return text.status_text(session.status())


def sandbox(call: calls.SandboxCall, settings: Settings) -> str:  # noqa: ARG001 - the signature of every verb
    """Run the stand-in cloud until Ctrl-C."""
    from burst_magic.magics import sandbox as running

    return running.demo(call.port) if call.demo else running.run(call.port, empty=call.empty)


def image(call: calls.ImageCall, settings: Settings) -> str:
    """Build and push the workers' image, or delete old ones."""
    from burst_magic.magics import images

    return images.pruned(call, settings) if call.prune else images.built(call, settings)


def key(call: calls.KeyCall, settings: Settings) -> str:
    """Print a session's key, to attach from another machine."""
    return DESK.find(call.id, settings).key
