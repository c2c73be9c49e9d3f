"""Find sessions and attach to them: by id, by name, from the user's list or from the store."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic.config import nearest
from burst_magic.errors import AttachError, BurstError, Denied, SignatureError
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ControlKind
from burst_magic.session import keyring, session_list, stored_jobs
from burst_magic.session.deletion import objects
from burst_magic.session.driver import Driver
from burst_magic.session.fleet import Fleet
from burst_magic.session.own_store import open_known_store, open_own_store
from burst_magic.session.session import Session
from burst_magic.session.session_rows import SessionRow, row_of, unreadable_row
from burst_magic.stores.store_driver import ours

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.stores import Store

_LOG = logging.getLogger(__name__)


def attach(
    ident: str,
    *,
    settings: Settings,
    home: dict[str, object],
    key: str | None = None,
    replaces_lost_workers: bool = True,
) -> Session:
    """Attach to a session.

    Args:
        ident: a session's id (its latest job), ``session/job``, a ``--name``, or ``NAME/job``. A name that this
            computer's list doesn't have is looked for in the store.
        settings: the user's directories and default store.
        home: the notebook's namespace.
        key: the session's key, from ``burst key show``; kept for later.
        replaces_lost_workers: replace lost workers; a client that only looks starts none.

    Raises:
        AttachError: the session doesn't exist or has expired, or the key is wrong.
    """
    sid, jid, url = _resolve(ident, settings)
    store = open_known_store(url, settings)
    mine = keyring.find(settings.keys_dir, sid)
    secret = keyring.parse(key, where="--key") if key else mine or keyring.fetch(store, sid)
    try:
        manifest = stored_jobs.read_manifest(store, sid, secret)
    except SignatureError:
        if not key:
            raise
        raise AttachError(f"this is not the key of session {sid}", way_out="burst key show ID prints it") from None
    job = stored_jobs.latest_job(store, sid, jid, secret)
    if secret is not None and secret != mine:
        keyring.keep(settings.keys_dir, sid, secret)  # it has verified the manifest
    fleet = Fleet(manifest, secret, store, settings.logs_dir, replaces_lost_workers=replaces_lost_workers)
    session = Session(Driver(store, secret, manifest, fleet), job, settings=settings, home=home)
    session.follow()
    return session


def announced(session: Session) -> list[str]:
    """``session/job`` of all jobs that were announced in a session, oldest first."""
    folder = keys.SessionKeys(session.id).control_folder
    found = [(entry.modified, keys.parse_control(entry.key)) for entry in ours(session.store, folder)]
    jobs = [(at, control.ident) for at, control in found if control.kind is ControlKind.ADD_JOB]
    return [f"{session.id}/{ident}" for _, ident in sorted(jobs)]


def siblings(session: Session) -> list[str]:
    """The same of all others."""
    return [ident for ident in announced(session) if ident != f"{session.id}/{session.job}"]


def beside(session: Session) -> list[tuple[str, str]]:
    """Id and label of the session's other committed jobs, oldest first, without following them."""
    found = []
    for jid in (ident.rpartition("/")[2] for ident in siblings(session)):
        try:
            job = stored_jobs.latest_job(session.store, session.id, jid, session.secret)
        except AttachError:  # announced but never committed
            continue
        except BurstError:  # damaged, but it exists
            found.append((jid, ""))
        else:
            found.append((jid, job.name or job.title))
    return found


def sibling(session: Session, ident: str) -> Session:
    """Attach to another job of an attached session; one driver follows both.

    Args:
        session: one of its jobs.
        ident: the other job's id, or ``session/job``.

    Raises:
        AttachError: it was announced but never committed.
    """
    job = session.beside(stored_jobs.latest_job(session.store, session.id, ident.rpartition("/")[2], session.secret))
    job.follow()
    return job


def known(settings: Settings) -> list[session_list.ListedJob]:
    """The user's own jobs, oldest first."""
    return session_list.read(settings.sessions_file)


def named(ident: str, settings: Settings) -> session_list.ListedJob | None:
    """Resolve a ``--name`` to the newest job that has it, and ``NAME/job`` to that job of its session."""
    name, _, jid = ident.partition("/")
    lines = [line for line in known(settings) if name and line.name == name]
    return replace(lines[-1], job=jid or lines[-1].job) if lines else None


def named_elsewhere(name: str, settings: Settings) -> list[session_list.ListedJob]:
    """The jobs of that name that other computers put into the store, oldest first.

    Raises:
        AttachError: there is none, but some sessions could not be searched.
    """
    found, problems = stored_jobs.named_in_store(name, open_known_store(settings.store, settings), settings.keys_dir)
    if problems and not found:
        raise _unsearched(name, problems)
    if problems:
        _LOG.warning("sessions that may have a newer job named %s were passed over: %s", name, problems[-1].problem)
    return found


def _unsearched(name: str, problems: Sequence[BurstError]) -> AttachError:
    way_out = "where it was started, run burst key show ID; then here: %burst_attach ID --key KEY"
    if isinstance(problems[0], Denied):
        problem = f"no session {name!r} was started here, and this user may not list the keys of the others"
        return AttachError(problem, context=problems[0].context, way_out=way_out)
    problem = f"no session {name!r}, but {len(problems)} in the store could not be verified: {problems[-1].problem}"
    return AttachError(problem, context=problems[-1].context, way_out=way_out)


def in_store(settings: Settings, *, notebook: str, since: float = 0.0) -> list[str]:
    """Ids of sessions from this time on whose manifests name this notebook, oldest first."""
    store = open_own_store(settings.store, settings)
    found = []
    for sid in session_ids(store):
        try:
            manifest = stored_jobs.read_manifest(store, sid, None)
        except BurstError:
            continue
        if manifest.notebook == notebook and manifest.created >= since:
            found.append(sid)
    return found


def whereabouts(settings: Settings) -> list[tuple[str, str]]:
    """(id, store's URL) of all sessions of the store and of the user's list, oldest first."""
    store = open_own_store(settings.store, settings)
    found = {(sid, store.url) for sid in session_ids(store)}
    return sorted(found | {(line.id, line.store) for line in session_list.read(settings.sessions_file)})


def sessions(
    settings: Settings, *, home: dict[str, object] | None = None, where: Sequence[tuple[str, str]] | None = None
) -> list[SessionRow]:
    """Sessions with their counts, oldest first: all of them, or those from ``whereabouts``."""
    places = whereabouts(settings) if where is None else where
    rows = [_row(sid, url, settings, home or {}) for sid, url in places]
    return sorted((row for row in rows if row is not None), key=lambda row: (row.created, row.id))


def session_ids(store: Store) -> Iterator[str]:
    """Ids of all sessions in a store, oldest first, with one LIST for a thousand."""
    return filter(keys.is_session_id, store.folders(keys.SESSIONS))


def _row(sid: str, url: str, settings: Settings, home: dict[str, object]) -> SessionRow | None:
    try:
        session, seen, estimate = _looked_at(sid, _at(settings, url), home)
    except BurstError as problem:
        return _unreadable(sid, url, settings, problem)
    return row_of(session.manifest, seen, estimate=estimate)


def _looked_at(sid: str, settings: Settings, home: dict[str, object]) -> tuple[Session, list[Snapshot], int | None]:
    """A session: the state of each of its jobs, latest first, and their estimate together."""
    session = attach(sid, settings=settings, home=home, replaces_lost_workers=False)
    jobs = [session]
    try:
        for ident in siblings(session):
            with contextlib.suppress(AttachError):  # announced, and never committed
                jobs.append(sibling(session, ident))
        known = [each.description.estimate for each in jobs if each.description.estimate is not None]
        estimate = sum(known) if len(known) == len(jobs) else None
        return session, [session.status(), *(job.facts() for job in jobs[1:])], estimate
    finally:
        for job in jobs:
            job.detach()


def _unreadable(sid: str, url: str, settings: Settings, problem: BurstError) -> SessionRow | None:
    """Report a damaged session without hiding others; omit one that was deleted or never began."""
    with contextlib.suppress(BurstError):  # unreachable: already reported
        opened = open_known_store if url == settings.store else open_own_store  # others may be of long ago
        if not objects(opened(url, settings), keys.SessionKeys(sid)):
            return None
    return unreadable_row(sid, problem)


def _at(settings: Settings, url: str) -> Settings:
    return replace(settings, store=url)


def _resolve(ident: str, settings: Settings) -> tuple[str, str, str]:
    """Resolve the user's text to (session, job or "", store URL)."""
    sid, _, jid = ident.partition("/")
    if not keys.is_session_id(sid):
        newest = named(ident, settings)
        if newest is None and sid:
            newest = next((replace(job, job=jid or job.job) for job in named_elsewhere(sid, settings)[::-1]), None)
        if newest is None:
            guess = nearest(ident, tuple(dict.fromkeys(line.name for line in known(settings) if line.name)))
            hint = f"; did you mean {guess}?" if guess else ""
            raise AttachError(f"no session {ident!r}{hint}", way_out="%burst_sessions lists them")
        return newest.id, newest.job, newest.store
    urls = [line.store for line in session_list.read(settings.sessions_file) if line.id == sid]
    return sid, jid, urls[-1] if urls else settings.store


__all__ = [
    "SessionRow",
    "announced",
    "attach",
    "beside",
    "in_store",
    "known",
    "named",
    "named_elsewhere",
    "session_ids",
    "sessions",
    "sibling",
    "siblings",
    "whereabouts",
]
