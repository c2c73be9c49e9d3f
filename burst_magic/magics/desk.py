"""The sessions that this kernel has open, and the one that a verb without an ID refers to."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burst_magic import config
from burst_magic.dataclass import dataclass
from burst_magic.errors import AttachError, BurstError, OptionError, visible
from burst_magic.notebook import marks_of, this_notebook
from burst_magic.protocol.wire.keys import is_session_id

if TYPE_CHECKING:
    from burst_magic.session.session import Session
    from burst_magic.session.session_list import ListedJob


_SECOND = len("YYYYMMDD-hhmmss")
_SHOWN = 9  # sessions listed in a question
_BESIDE, _LABEL = 3, 20  # other jobs in one line, and characters of what each is called


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A recorded job of this notebook."""

    session: str
    job: str
    out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A session that a verb without an ID may refer to.

    Attributes:
        ident: the job to attach to: a running one, if there is one.
        name: its ``--name``.
        lives: it is running. An unreadable session counts as not running.
    """

    ident: str
    name: str = ""
    lives: bool = False


@dataclass(slots=True)
class Desk:
    """The sessions that one kernel or terminal has open.

    Attributes:
        shell: IPython's, or None in a terminal.
        open: (session, job) -> Session, newest last.
        agreed: the session that a question has named and whose deletion was agreed to. It is what goes, whatever was
            started before the answer.
        agreed_sessions: the same by their IDs, of several sessions, too; None: nobody was asked, or of remains only.
        agreed_images: the same of images, by their tags.
    """

    shell: Any = None
    open: dict[tuple[str, str], Session] = field(default_factory=dict)
    agreed: Session | None = None
    agreed_sessions: tuple[str, ...] | None = None
    agreed_images: frozenset[str] | None = None

    @property
    def home(self) -> dict[str, object]:
        """The user's namespace."""
        return self.shell.user_ns if self.shell is not None else vars(sys.modules["__main__"])

    @property
    def notebook(self) -> Path | None:
        """The running notebook's file, if known."""
        return this_notebook(self.shell, config.environment())

    @property
    def nowhere(self) -> bool:
        """True if this kernel's notebook is unknown (a terminal, nbclient): a similar kernel may have started the
        sessions."""
        return self.shell is not None and self.notebook is None

    def keep(self, session: Session) -> Session:
        """Keep a session open; it becomes the latest."""
        self.open.pop((session.id, session.job), None)
        self.open[session.id, session.job] = session
        return session

    def find(self, ident: str, settings: config.Settings, *, sure: bool = False, waits: bool = False) -> Session:
        """Find a session by ID, or the latest one. From then on, a kernel replaces its lost workers.

        Args:
            ident: what the user typed, or "".
            settings: the user's directories and store.
            sure: the verb changes something: if several sessions are running, the user must give an ID.
            waits: the terminal waits for results, so it replaces lost workers, too; otherwise it only looks.

        Raises:
            AttachError: there is none.
            OptionError: there are several.
        """
        replaces_lost_workers = waits or self.shell is not None
        if not ident:
            return self._latest(settings, sure=sure, waits=waits)
        named = _attaching().named(ident, settings)
        said = ident if named is None else f"{named.id}/{named.job}"
        latest = self._latest_job(said)
        if latest is not None:
            return latest
        for (sid, jid), session in reversed(self.open.items()):
            if said in {sid, f"{sid}/{jid}"} or (named is None and ident in {session.name, f"{session.name}/{jid}"}):
                return session
        return self.keep(
            _attaching().attach(said, settings=settings, home=self.home, replaces_lost_workers=replaces_lost_workers)
        )

    def _latest_job(self, sid: str) -> Session | None:
        """The latest job of a session that has an open job; None for any other id."""
        held = next((session for session in reversed(self.open.values()) if session.id == sid), None)
        if held is None:
            return None
        try:
            for ident in reversed(_attaching().announced(held)):
                known = self.open.get((sid, ident.rpartition("/")[2]))
                with contextlib.suppress(AttachError):  # announced, and never committed
                    return known or self.keep(_attaching().sibling(held, ident))
        except BurstError:  # out of reach: what is open is all there is
            pass
        return held

    def _latest(self, settings: config.Settings, *, sure: bool, waits: bool) -> Session:
        known = self.known(settings) if sure or not self.open else []
        if sure:
            seen = self._seen([] if self.nowhere else known, settings)
            alive = {sid: each for sid, each in seen.items() if each.lives}
            if len(alive) > 1:
                raise which_one("several sessions are running", {sid: each.name for sid, each in alive.items()})
            if alive:
                return self.find(next(iter(alive.values())).ident, settings, waits=waits)
        if self.open:
            return next(reversed(self.open.values()))
        if not known:
            raise self.nothing_known(settings)
        if sure and self.nowhere:
            raise anybodys(known, self.of_others(settings))
        if sure and self.shell is None:  # a terminal must give an ID to change something
            raise none_alive([each.session for each in known])
        for each in reversed(known):
            with contextlib.suppress(AttachError):  # deleted, or its submission was interrupted
                return self.keep(self.attach(each, settings, replaces_lost_workers=waits or self.shell is not None))
        raise self.nothing_known(settings)

    def session_to_delete(self, ident: str, settings: config.Settings) -> Session:
        """Find the session to delete; without an ID, only if it is unambiguous.

        Raises:
            AttachError: there is none.
            OptionError: several sessions have the name, it means one job of several, or, without an ID, more than one
                matches.
        """
        if ident:
            self.sure_of(ident, settings)
            session = self.find(ident, settings, sure=True)
            others = "" if is_session_id(ident) else other_jobs(session)
            if others:
                raise _one_of_several(ident, session.id, others)
            return session
        known = self.known(settings)
        seen = self._seen(known, settings)
        if not seen:
            raise self.nothing_known(settings)
        alive = [sid for sid, each in seen.items() if each.lives]
        if self.shell is None and not alive:
            raise none_alive(list(seen))
        in_hand = [sid for sid, _ in self.open][-1:]  # it may count as "the latest", too
        meant = {*alive, *in_hand, list(seen)[-1]}
        candidates = {sid: each for sid, each in seen.items() if sid in meant}
        if len(candidates) > 1:
            names = {sid: f"{each.name}  running" if each.lives else each.name for sid, each in candidates.items()}
            raise which_one("this deletes a session permanently, and more than one matches", names)
        ((sid, one),) = candidates.items()
        if self.nowhere and sid not in {held for held, _ in self.open}:
            raise anybodys(known, self.of_others(settings))
        return self.find(one.ident, settings)

    def nothing_known(self, settings: config.Settings) -> BurstError:
        """The error for a verb without an ID if nothing was started here: it offers what another kernel started."""
        others = self.of_others(settings)
        if others:
            return anybodys([], others)
        if self.shell is None:
            return AttachError("no session was started here", way_out="%burst_sessions lists the sessions in the store")
        return AttachError("this notebook hasn't started a session", way_out="%burst_sessions lists all your sessions")

    def _seen(self, known: list[Known], settings: config.Settings) -> dict[str, Candidate]:
        """Open and recorded sessions by id, the newest last.

        Deleted sessions are omitted; a session that cannot be read causes a warning and doesn't hide others.
        """
        found: dict[str, Candidate] = {}
        unreadable: set[str] = set()
        for sid, jid in dict.fromkeys([*((each.session, each.job) for each in known), *self.open]):
            if sid in unreadable:
                continue
            try:
                seen = self._look(sid, jid, settings)
            except AttachError:  # deleted in the meantime
                continue
            except BurstError as problem:
                pass_over(sid, problem)
                unreadable.add(sid)
                seen = Candidate(ident=sid)
            if sid not in found or seen.lives or not found[sid].lives:
                found[sid] = seen
        return {sid: found[sid] for sid in sorted(found, key=_started)}

    def _look(self, sid: str, jid: str, settings: config.Settings) -> Candidate:
        with self.looking_at(sid, jid, settings) as session:
            return Candidate(ident=f"{sid}/{session.job}", name=session.name, lives=goes_on(session))

    @contextlib.contextmanager
    def looking_at(self, sid: str, jid: str, settings: config.Settings) -> Iterator[Session]:
        """The open session, or one that is attached meanwhile and starts no workers.

        Raises:
            BurstError: it was deleted, or cannot be read.
        """
        held = self.open.get((sid, jid))
        session = held or self.attach(Known(session=sid, job=jid, out=""), settings, replaces_lost_workers=False)
        try:
            yield session
        finally:
            if held is None:
                session.detach()

    def attach(self, known: Known, settings: config.Settings, *, replaces_lost_workers: bool) -> Session:
        """Attach to a recorded job."""
        ident = f"{known.session}/{known.job}" if known.job else known.session
        session: Session = _attaching().attach(
            ident, settings=settings, home=self.home, replaces_lost_workers=replaces_lost_workers
        )
        return session

    def named_alike(self, name: str, settings: config.Settings) -> tuple[str, bool]:
        """``session/job`` of the job that currently has this name, or "", and whether it is running."""
        line = _attaching().named(name, settings) if name else None
        if line is None:
            return "", False
        try:
            with self.looking_at(line.id, line.job, settings) as session:
                return f"{line.id}/{line.job}", goes_on(session)
        except BurstError:  # deleted or damaged: no longer meant
            return "", False

    def sure_of(self, name: str, settings: config.Settings) -> None:
        """Check that a name is unique before an irreversible action.

        Raises:
            OptionError: several sessions have it.
        """
        named = [line for line in _attaching().known(settings) if line.name == name]
        if name and not named and not is_session_id(name) and "/" not in name:
            named = _attaching().named_elsewhere(name, settings)
        candidates = dict.fromkeys((line.id for line in named), name)
        if name and len(candidates) > 1:
            raise which_one(f"{len(candidates)} sessions are named {name}", candidates)

    def sure_of_closed(self, ident: str, sid: str, settings: config.Settings) -> None:
        """The same of a session that cannot be read yet; of its jobs, those in the user's list are known.

        Raises:
            OptionError: several sessions have the name, or it means one job of several.
        """
        if is_session_id(ident):
            return
        self.sure_of(ident, settings)
        named = _attaching().named(ident, settings)
        meant = ident.rpartition("/")[2] if named is None else named.job
        jobs = {line.job: line.name for line in _attaching().known(settings) if line.id == sid and line.job != meant}
        if jobs:
            raise _one_of_several(ident, sid, _in_words(list(jobs.items())))

    def known(self, settings: config.Settings) -> list[Known]:
        """The jobs of this notebook, oldest first: from its file, the user's list and the store's manifests.

        In a terminal: all jobs in the user's list.
        """
        path = self.notebook
        found: dict[tuple[str, str], Known] = {}
        lines = self._lines(settings)
        others = {(line.id, line.job) for line in self._of_others(lines)}
        since = 0.0
        if path is not None:
            marks, since = marks_of(path)
            for line in marks:
                found[line.session, line.job] = Known(session=line.session, job=line.job, out=line.out)
        for mine in lines:
            if mine.created >= since:  # an earlier notebook had this name, too
                found[mine.id, mine.job] = Known(session=mine.id, job=mine.job, out=mine.out)
        found = {key: known for key, known in found.items() if key not in others}
        if path is not None:
            taken = {session for session, _ in [*found, *others]}
            for sid in _attaching().in_store(settings, notebook=str(path), since=since):
                if sid not in taken:
                    found[sid, ""] = Known(session=sid, job="", out="")
        # By the second in their ids; within one they were written down in order, and ids end in chance.
        return sorted(found.values(), key=lambda known: _started(known.session))

    def of_others(self, settings: config.Settings) -> dict[str, str]:
        """Sessions of this notebook that another kernel started, which is still running: id -> name, oldest first."""
        return {line.id: line.name for line in self._of_others(self._lines(settings))}

    def _lines(self, settings: config.Settings) -> list[ListedJob]:
        """This notebook's lines in the user's list; in a terminal, all lines."""
        path = str(self.notebook or "")
        return [line for line in _attaching().known(settings) if self.shell is None or line.notebook == path]

    def _of_others(self, lines: list[ListedJob]) -> list[ListedJob]:
        """Those of another kernel that is still running, and that this one has not attached to."""
        if self.shell is None:
            return []
        from burst_magic.session.kernels import runs_elsewhere

        running = {process for process in {line.process for line in lines} if runs_elsewhere(process)}
        return [line for line in lines if line.process in running and (line.id, line.job) not in self.open]


def _started(sid: str) -> str:
    return sid[:_SECOND]


def which_one(problem: str, names: dict[str, str]) -> OptionError:
    """The error that asks for an ID and lists these sessions: id -> name."""
    listed = "\n".join(f"    {sid}  {name}".rstrip() for sid, name in names.items())
    return OptionError(f"{problem}. Give an id:\n{listed}")


def _one_of_several(ident: str, sid: str, others: str) -> OptionError:
    problem = f"{ident} is one job of session {sid}, which is deleted as a whole{others}"
    return OptionError(problem, way_out=f"to delete all its jobs, give the session's id: {sid}")


def anybodys(known: list[Known], others: dict[str, str]) -> OptionError:
    """The error for sessions that another kernel started (id -> name), or may have started."""
    found = {**dict.fromkeys((each.session for each in known), ""), **others}
    newest = sorted(found, key=_started)[-_SHOWN:]
    return which_one("this kernel hasn't started a session, but others have", {sid: found[sid] for sid in newest})


def none_alive(sids: list[str]) -> OptionError:
    """The error for sessions that have all ended."""
    return which_one("no session is running", dict.fromkeys(sids[-_SHOWN:], ""))


def pass_over(sid: str, problem: BurstError) -> None:
    """Warn about a session that cannot be read, and continue."""
    print(visible(f"burst: session {sid} was skipped: {problem.problem}"), file=sys.stderr)


def described(session: Session) -> str:
    """Describe a session in a question whether to delete its objects, with all its jobs."""
    seen = [session.status()]
    for ident in _attaching().siblings(session):
        with contextlib.suppress(AttachError):  # announced but never committed
            job = _attaching().sibling(session, ident)
            seen.append(job.status())
            job.detach()
    state = seen[0].ended.value if seen[0].ended and all(each.ended for each in seen) else "running"
    done = f"{sum(each.done for each in seen)} of {sum(each.total for each in seen)} tasks done"
    return " ".join(filter(None, ("session", session.id, session.name, f"({state}, {done})"))) + other_jobs(
        session, lead=DELETED_TOO
    )


def typed(verb: str) -> str:
    """A verb as typed in this place: magic or command."""
    return f"burst {verb}" if DESK.shell is None else f"%burst_{verb}"


_OTHERS = "; its other jobs: "
DELETED_TOO = ", also those of its other jobs: "  # behind objects


def other_jobs(session: Session, *, lead: str = _OTHERS) -> str:
    """Name the session's other jobs, which what is done to the session is done to as well; "" if it has none."""
    return _in_words(_attaching().beside(session), lead=lead)


def _in_words(jobs: list[tuple[str, str]], *, lead: str = _OTHERS) -> str:
    """A session's other jobs: id and label."""
    shown = [f"{_shortened(label)} (job {jid})" if label else f"job {jid}" for jid, label in jobs[-_BESIDE:]]
    older = f" and {len(jobs) - _BESIDE} older" if len(jobs) > _BESIDE else ""
    return f"{lead}{', '.join(shown)}{older}" if jobs else ""


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}…"


def goes_on(session: Session) -> bool:
    """True if the session has neither ended nor been asked to end."""
    if session.status().ended is not None:
        return False
    try:
        session.check_open()
    except OptionError:
        return False
    return True


def _attaching() -> Any:
    """Imported when the first verb needs it, to keep ``%load_ext`` cheap."""
    from burst_magic.session import attach

    return attach


DESK = Desk()
