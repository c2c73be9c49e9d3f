"""The magics parse, call and show. ``load`` registers them in a shell, ``unload`` removes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from burst_magic import config, host, launchers
from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, OptionError, visible
from burst_magic.magics import calls, complete, consent, failures, joining, unsupported
from burst_magic.magics.desk import DESK
from burst_magic.magics.grammar import parse_line
from burst_magic.magics.verb_table import VERBS

if TYPE_CHECKING:
    from burst_magic.capture.cell import Capture
    from burst_magic.environment.sync import Synced
    from burst_magic.plan.planner import Plan
    from burst_magic.session.session import Session


def load(shell: Any) -> None:
    """Register the magics and completion. Nothing heavy is imported before the first burst."""
    host.check_platform()
    DESK.shell = shell
    for spec in VERBS:
        if spec.place == "cell":
            shell.register_magic_function(_unexpanded(_burst_cell), "cell", spec.name)
            shell.register_magic_function(_unexpanded(_burst_alone), "line", spec.name)
        elif spec.place == "line":
            shell.register_magic_function(_unexpanded(partial(_line, spec.name)), "line", f"burst_{spec.name}")
    failures.register(shell)
    unsupported.register(shell)
    complete.register(shell)


def unload(shell: Any) -> None:
    """Remove the magics; sessions continue."""
    complete.unregister(shell)
    failures.unregister(shell)
    unsupported.unregister(shell)
    magics = shell.magics_manager.magics
    for spec in VERBS:
        if spec.place == "cell":
            magics["cell"].pop(spec.name, None)
        magics["line"].pop(spec.name if spec.place == "cell" else f"burst_{spec.name}", None)
    for session in DESK.open.values():
        session.detach()
    DESK.shell = None


def _unexpanded(magic: Callable[..., object]) -> Callable[..., object]:
    """Tell IPython not to expand ``$name`` and ``{name}`` in the line."""
    from IPython.core.magic import no_var_expand

    def call(line: str, cell: str | None = None) -> object:
        return magic(line) if cell is None else magic(line, cell)

    call.__doc__ = magic.__doc__
    marked: Callable[..., object] = no_var_expand(call)
    return marked


def _line(name: str, line: str) -> object:
    from burst_magic.magics import verbs

    call = parse_line(name, line)
    if isinstance(call, calls.Help):
        print(call.text)
        return None
    consent.confirm(call, consent.ask)
    settings = config.load()
    if isinstance(call, calls.CollectCall):
        return verbs.collected(call, settings)
    if isinstance(call, calls.AttachCall):
        verbs.attach_here(call, settings)
        return None
    text: str | None = getattr(verbs, name)(call, settings)
    if text:
        print(visible(text))
    return None


def _burst_alone(line: str) -> None:
    """Handle ``%burst --help``: IPython refuses a cell magic without a body before calling it."""
    call = parse_line("burst", line or "--help")
    if not isinstance(call, calls.Help):
        raise OptionError("%burst is not a line magic", way_out="use %%burst as the first line of a cell")
    print(call.text)


def _burst_cell(line: str, cell: str) -> object:
    """Run the cell on many workers. ``%%burst --help`` lists all options."""
    from burst_magic.capture.report import NO_ITEMS

    call = parse_line("burst", line)
    if not isinstance(call, calls.BurstCall):
        print(call.text if isinstance(call, calls.Help) else "")
        return None
    prepared = _prepare(call, cell)
    if call.dry_run:
        _show_dry_run(prepared)
        return None
    _warn(*prepared.warnings)
    if prepared.joins and prepared.into is not None:
        prepared = replace(prepared, into=joining.with_time_left(prepared.into, prepared.settings))
    if prepared.joins and prepared.into is not None:
        print(f"burst: {joining.about_joining(prepared.into)}")
    session = DESK.keep(_submit(prepared))
    if not session.description.tasks and NO_ITEMS not in prepared.warnings:
        _warn(f"{NO_ITEMS} (a generator can be used only once)")
    if call.out:
        DESK.home[call.out] = session.results()
    _follow(session, call)
    return None if call.out else session


_PREAMBLE = ("import ", "from ", "#", "%", "!", "@")  # lines that say little about a cell


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A captured and planned cell, ready to submit; nothing is stored yet.

    Attributes:
        synced: what new workers get installed; None where they have it.
        into: the session to add it to.
        joins: no ID was given; the session has the very workers that a new one would have.
        fingerprint: identifies the cell.
        forecast: where the plan knows from how long tasks take, "" if it doesn't.
    """

    call: calls.BurstCall
    cell: str
    settings: config.Settings
    capture: Capture
    plan: Plan
    synced: Synced | None
    setenv: tuple[tuple[str, str], ...] = field(repr=False)
    into: Session | None
    joins: bool
    fingerprint: str
    forecast: str
    warnings: tuple[str, ...]


def _prepare(call: calls.BurstCall, cell: str) -> _Prepared:
    """Capture and plan. Everything that can be refused is refused here."""
    from burst_magic.capture.cell import capture_cell
    from burst_magic.capture.mapping import count
    from burst_magic.plan.planner import plan
    from burst_magic.plan.verdict import judge, lines, mean
    from burst_magic.session.machine import this_machine
    from burst_magic.session.outlook import price_list, room
    from burst_magic.session.submit import Labels, checked_image, environment_of

    settings = config.load(call.settings)
    setenv = _values(call.setenv)
    shell = DESK.shell
    capture = capture_cell(
        f"\n{cell}",  # numbered as in the notebook, including the magic's own line
        DESK.home,
        map_expr=call.map,
        transform=shell.transform_cell,
        filename=f"<cell {len(shell.user_ns.get('In', [''])) - 1}>",
        include=call.include,
    )
    tasks = 1 if capture.items is None else count(capture.items)
    terms = launchers.traits(settings.launcher, fallback=settings.spot_fallback)
    fingerprint = joining.fingerprint(cell, call.map)
    sampled: tuple[float, ...] = ()
    before: tuple[tuple[float, ...], str] = (), ""
    if call.sample:
        capture, sampled = _sample(call, capture, settings, setenv)
    elif call.dry_run:
        before = joining.earlier(fingerprint, settings)
    made = plan(
        settings,
        terms,
        tasks=tasks,
        wishes=call.wishes,
        sample=mean(sampled or before[0]) if sampled or before[0] else None,
        starts=not call.dry_run,
        own_arch="" if settings.arch else launchers.own_arch(terms, settings.aws),
        price_list=price_list(settings, terms),
        machine=this_machine(),
    )
    if sampled:
        start = next(iter(terms.values())).usually_within
        print("\n".join(f"burst: {line}" for line in lines(judge(sampled, made, cores=host.cores(), start=start))))
    synced = None
    if not call.session:
        synced = environment_of(made, settings, capture, Labels(setenv=setenv), tell=_say)
    unchecked = () if call.session else checked_image(made)
    into = (
        DESK.find(call.session, settings)
        if call.session
        else joining.warm(call, made, settings, setenv=setenv, synced=synced)
    )
    if call.session and into is not None:
        into.check_open()
    joins = into is not None and not call.session
    quotas = () if into is not None else room(made, terms, settings)
    repeats = joining.about_repeating(fingerprint, settings)
    alone = not call.map and "workers" in call.settings and made.workers > made.starting
    warnings = (
        *capture.warnings,
        *(
            [f"without --map the cell runs once, on one worker; later cells may use all {made.workers}"]
            if alone
            else ()
        ),
        *(_other_environment(capture, into, settings) if into is not None and not joins else made.warnings),
        *(synced.warnings if synced is not None else ()),
        *unchecked,
        *quotas,
        *([repeats] if repeats else _name_taken(call.name, settings)),
    )
    return _Prepared(
        call=call,
        cell=cell,
        settings=settings,
        capture=capture,
        plan=made,
        synced=synced,
        setenv=setenv,
        into=into,
        joins=joins,
        fingerprint=fingerprint,
        forecast=f"from {before[1]}, {mean(before[0]):.3g} s each" if before[0] else "",
        warnings=warnings,
    )


def _sample(
    call: calls.BurstCall, capture: Capture, settings: config.Settings, setenv: tuple[tuple[str, str], ...]
) -> tuple[Capture, tuple[float, ...]]:
    """Run the first items here; what fails here starts nothing."""
    from burst_magic.session.sample import measure
    from burst_magic.session.session import note

    try:
        return measure(capture, settings, call.sample, setenv=setenv)
    except BurstError:
        raise
    except Exception as error:
        note(error, f"raised by --sample {call.sample} on this machine; nothing was started")
        raise


def _other_environment(capture: Capture, into: Session, settings: config.Settings) -> tuple[str, ...]:
    from burst_magic.capture.settings import about_environment
    from burst_magic.session.differing import about_packages

    set_there = {name for name, _ in into.manifest.setenv}
    variables = about_environment(capture.settings, into.fleet.environment, set_there)
    return tuple(filter(None, (variables, about_packages(into, capture, settings))))


def _name_taken(name: str, settings: config.Settings) -> tuple[str, ...]:
    """Warn if the name now refers to this job and the earlier one needs its id."""
    alike, lives = DESK.named_alike(name, settings)
    if not alike:
        return ()
    older = f"{alike}, which is still running" if lives else alike
    return (f"--name {name} now refers to this job; the earlier one is {older}",)


def _say(text: str) -> None:
    print(f"burst: {text}")


def _warn(*texts: str) -> None:
    """Nothing has gone wrong yet: a notebook paints stderr red, like an error."""
    for text in texts:
        _say(text)


def _values(pairs: tuple[tuple[str, str | None], ...]) -> tuple[tuple[str, str], ...]:
    """Fill in the kernel's value for ``--setenv NAME``."""
    environ = config.environment()
    missing = [name for name, value in pairs if value is None and name not in environ]
    if missing:
        raise OptionError(
            f"--setenv {missing[0]}: not set in the kernel's environment",
            way_out=f"--setenv {missing[0]}=VALUE",
        )
    return tuple((name, environ[name] if value is None else value) for name, value in pairs)


def _submit(prepared: _Prepared) -> Session:
    from burst_magic.session.submit import Labels, submit
    from burst_magic.ui.text import Upload

    call = prepared.call
    lines = [line.strip() for line in prepared.cell.splitlines() if line.strip()]
    title = next((line for line in lines if not line.startswith(_PREAMBLE)), "".join(lines[:1]))
    labels = Labels(
        name=call.name,
        cell=prepared.fingerprint,
        notebook=str(DESK.notebook or ""),
        out=call.out,
        map=call.map,
        title=title[:80],
        setenv=prepared.setenv,
    )
    bar = Upload(prepared.plan.tasks)
    try:
        return submit(
            prepared.capture,
            prepared.plan,
            prepared.settings,
            home=DESK.home,
            labels=labels,
            into=prepared.into,
            synced=prepared.synced,
            progress=bar,
        )
    finally:
        bar.close()


def _follow(session: Session, call: calls.BurstCall) -> None:
    """Show the session; with ``--wait``, until it ends."""
    from burst_magic.session.results import stopped
    from burst_magic.ui.panel import show, waited

    try:
        showing = show(session, out=call.out, blocking=call.wait, shell=DESK.shell)
        if call.wait:
            waited(showing, session.wait)
    except KeyboardInterrupt:
        raise stopped(session.id) from None


def _living(session: Session) -> str:
    seen = session.status()
    return f"those of session {session.id}: {seen.alive} alive, {seen.wanted} wanted"


def _threads(prepared: _Prepared) -> int:
    from burst_magic.plan.planner import threads

    made, into = prepared.plan, prepared.into
    workers, slots = (made.workers, made.slots) if into is None else (into.status().wanted, into.manifest.slots)
    lanes = workers * slots if made.tasks is None else min(made.tasks, workers * slots)
    here = launchers.traits(made.launcher)[made.launcher].here if into is None else into.fleet.here
    share = threads(lanes, here=here, slots=slots, cores=host.cores(), cpu=made.shape.cpu)
    return prepared.settings.threads or share


def _show_dry_run(prepared: _Prepared) -> None:
    from IPython.display import display

    from burst_magic.capture.chance import out_of_reach
    from burst_magic.capture.settings import describe
    from burst_magic.capture.trial import settle
    from burst_magic.plan.planner import summary
    from burst_magic.ui import html, text

    capture, _ = settle(prepared.capture)  # refuses whatever a burst would
    made = prepared.plan
    values = {name: capture.home[name] for name in capture.packed.names}
    chance = out_of_reach([name for name, _ in capture.modules], capture.packed.words, values)
    warnings = (*prepared.warnings, *chance)
    facts = [
        ("tasks", "unknown (a generator)" if made.tasks is None else f"{made.tasks}"),
        ("workers", summary(made) if prepared.into is None else _living(prepared.into)),
        *([("forecast", prepared.forecast)] if prepared.forecast else ()),
        ("threads", f"{_threads(prepared)} in each slot"),
        ("settings", describe(capture.settings)),
        *([("environment", prepared.synced.summary)] if prepared.synced is not None else ()),
        ("modules", ", ".join(f"{name} {version}".strip() for name, version in capture.modules) or "none"),
        ("changed in place", ", ".join(capture.mutated) or "nothing captured"),
    ]
    bundle = {
        "text/plain": text.dry_run_text(capture.entries, facts=facts, warnings=warnings),
        "text/html": html.dry_run_html(capture.entries, facts=facts, warnings=warnings),
    }
    display(bundle, raw=True)  # type: ignore[no-untyped-call]
