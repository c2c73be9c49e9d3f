"""Write a job to the store and start its workers: items, blobs, payload, then ``job.json``, which commits it.

A failure before that leaves nothing behind: no objects and no workers.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import logging
import math
import platform
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from burst_magic import folders, host
from burst_magic.config import IMAGE, __version__
from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, CaptureError, LaunchError
from burst_magic.launchers import kept_logs
from burst_magic.payload.notes import Mode, Needs
from burst_magic.payload.pack import culprit_of
from burst_magic.payload.parts import Parts
from burst_magic.plan.planner import S3_FLOOR, S3_INTERVAL, threads
from burst_magic.protocol.log import SKEW
from burst_magic.protocol.ranges import job_lanes
from burst_magic.protocol.wire import blocks, keys, records, sign
from burst_magic.protocol.wire.model import Control, ControlKind, Job, Manifest
from burst_magic.session import kernels, keyring, packs, session_list
from burst_magic.session.deletion import delete_all
from burst_magic.session.driver import Driver
from burst_magic.session.fleet import Fleet
from burst_magic.session.own_store import open_own_store, settle
from burst_magic.session.session import Session, note
from burst_magic.session.values import Values
from burst_magic.units import format_duration

if TYPE_CHECKING:
    from burst_magic.capture.cell import Capture
    from burst_magic.config import Settings
    from burst_magic.environment.sync import Synced
    from burst_magic.plan.planner import Plan
    from burst_magic.stores import Store

_UNSENT = "nothing was started; create it in the cell, from values that can be pickled"
FIRST_JOB = "0"  # of a session; later ones are named by their time
_LOG = logging.getLogger(__name__)
_CLOCK_TOLD = 60.0  # seconds that this computer's clock may be wrong without a word
_FRESH = 0.001  # seconds: a stream that loads within this can be reloaded for each task, if tasks change it
_INTERVAL = {"s3": S3_INTERVAL, "file": 1.0, "memory": 1.0}  # seconds between heartbeats, by kind of store
_FLOOR = {"s3": S3_FLOOR, "file": 0.05, "memory": 0.05}  # minimum seconds between flushes


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """A job's labels and origin.

    Attributes:
        name: the label given by ``--name``.
        cell: identifies the cell with its ``--map``.
        notebook: path of the notebook, if known.
        out: name of the results.
        map: the text of ``--map``.
        title: the cell's first line.
        setenv: environment variables that tasks see.
    """

    name: str = ""
    cell: str = ""
    notebook: str = ""
    out: str = ""
    map: str = ""
    title: str = ""
    setenv: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def submit(
    capture: Capture,
    plan: Plan,
    settings: Settings,
    *,
    home: dict[str, object],
    labels: Labels | None = None,
    into: Session | None = None,
    synced: Synced | None = None,
    progress: Any = None,
) -> Session:
    """Submit a capture.

    Args:
        capture: the cell, its values and its items.
        plan: number and size of workers.
        settings: the session's store and limits.
        home: the notebook's namespace.
        labels: names.
        into: add the job to this running session instead of a new one.
        synced: what the plan's workers get installed, if it has been prepared.
        progress: called periodically with the number of items uploaded so far.

    Raises:
        PlanError: the workers' environment cannot be prepared.
        CaptureError: an item cannot be pickled, or the item source raised.
        StoreError: the store refuses.
        LaunchError: no worker could be started.
    """
    labels = labels or Labels()
    if into is not None:
        return _add(capture, plan, settings, into=into, home=home, labels=labels, progress=progress)
    if synced is None:
        synced = environment_of(plan, settings, capture, labels)
    store = open_own_store(settings.store, settings)
    sid, secret = new_session_id(time.time()), secrets.token_bytes(sign.SECRET_BYTES)
    manifest = manifest_of(sid, plan, settings, labels, synced)
    manifest = replace(manifest, pack=packs.known(settings, store, manifest.lock))
    writer = _Writer(store, secret, sid, FIRST_JOB)
    fleet = Fleet(manifest, secret, store, settings.logs_dir)
    try:
        settle(store)
        # First, so that an interrupted submission can be found.
        _enlist(settings, store.url, manifest, labels, job=FIRST_JOB)
        keyring.keep(settings.keys_dir, sid, secret)
        if not all(traits.here for traits in fleet.traits.values()):
            keyring.publish(store, sid, secret)
        if synced is not None:
            synced.upload(store)
            packs.note(settings, store, manifest)
        size = _Size(workers=manifest.workers, here=fleet.here)
        job = writer.write_job(capture, manifest, settings, labels=labels, progress=progress, fleet=size)
        job = replace(job, estimate=_estimated(plan, manifest))
        ahead = writer.ahead
        if ahead:  # this computer's clock is wrong, and workers go by the store's
            _tell_clock(ahead)
            manifest = replace(manifest, created=manifest.created + ahead, deadline=manifest.deadline + ahead)
            job = replace(job, created=job.created + ahead)
            fleet = Fleet(manifest, secret, store, settings.logs_dir)
        writer.put_record(keys.SessionKeys(sid).manifest, manifest)
        writer.commit(job)
        session = Session(Driver(store, secret, manifest, fleet, ahead=ahead), job, settings=settings, home=home)
        fleet.start(min(manifest.workers, -(-job.tasks // manifest.slots)), first=0)
    except BaseException as error:
        _take_back(
            error,
            fleet.abandon,
            lambda: delete_all(store, keys.SessionKeys(sid), secret=secret),
            lambda: keyring.forget(settings.keys_dir, sid),
            lambda: kept_logs.forget(settings.logs_dir, sid),
            lambda: session_list.remove(settings.sessions_file, sid),
        )
        raise
    session.follow()
    return session


def _add(
    capture: Capture,
    plan: Plan,
    settings: Settings,
    *,
    into: Session,
    home: dict[str, object],
    labels: Labels,
    progress: Any,
) -> Session:
    """Add a job to a running session with warm workers.

    Without a seed of its own, the job draws one: jobs that share workers must not share random numbers.
    """
    settings = settings if settings.seed is not None else replace(settings, seed=secrets.randbits(63))
    manifest, secret = into.manifest, bytes.fromhex(into.key)
    asked = into.check_open()
    capacity = manifest.workers if asked.wanted is None else asked.wanted
    into.status()  # finds the workers
    writer = _Writer(into.store, secret, manifest.sid, f"{int(time.time() * 1000):x}{secrets.token_hex(2)}")
    begun: list[str] = []
    try:
        writer.say_coming()
        size = _Size(workers=capacity, here=into.fleet.here)
        job = writer.write_job(capture, manifest, settings, labels=labels, progress=progress, fleet=size)
        job = replace(job, estimate=_estimated(plan, manifest))
        job = replace(job, created=into.now())
        _enlist(settings, into.store.url, manifest, labels, job=job.jid)
        into.fleet.look()
        wanted = min(capacity, -(-job.tasks // manifest.slots))
        alive = into.fill(wanted, begun=begun)
        into.check_open()  # it may have been asked to end during the upload
        writer.commit(job)  # last: work that a worker has begun cannot be undone
    except BaseException as error:
        _take_back(
            error,
            writer.undo,
            lambda: into.fleet.take_back(begun),
            lambda: session_list.remove(settings.sessions_file, manifest.sid, job=writer.jid),
        )
        raise
    into.fleet.poke()
    with contextlib.suppress(LaunchError):  # some live: who went idle before the job was to be seen is made up for
        into.fill(wanted, instead_of=alive)
    session = into.beside(job, home=home)
    session.follow()
    return session


def _tell_clock(ahead: float) -> None:
    """Say that this computer's clock is wrong, if that is worth a word."""
    if abs(ahead) > _CLOCK_TOLD:
        off = f"{format_duration(round(abs(ahead)))} {'slow' if ahead > 0 else 'fast'}"
        _LOG.warning("this computer's clock is %s by the store's, which the session goes by; set the clock", off)


def _take_back(error: BaseException, *steps: Callable[[], object]) -> None:
    """Undo a submission. Failed steps are added to the error as notes."""
    for step in steps:
        try:
            step()
        except Exception as fault:  # noqa: BLE001 - the other steps are due all the same
            note(error, f"and undoing it failed: {fault}")


def new_session_id(now: float) -> str:
    """``YYYYMMDD-hhmmss-`` (UTC) and 8 base32 characters."""
    word = base64.b32encode(secrets.token_bytes(5)).decode().lower()
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{word}"


def environment_of(
    plan: Plan,
    settings: Settings,
    capture: Capture,
    labels: Labels,
    *,
    tell: Callable[[str], object] = lambda _: None,
) -> Synced | None:
    """What the plan's workers get installed; None where they have it already.

    Raises:
        PlanError: it cannot be prepared.
    """
    if not plan.syncs:
        return None
    from burst_magic.environment.sync import prepare  # local fleets have no use for it

    imported = [name for name, _ in capture.modules]
    setenv = [name for name, _ in labels.setenv]
    python = platform.python_version()
    return prepare(settings, python=python, arch=plan.arch, imported=imported, setenv=setenv, tell=tell)


def checked_image(plan: Plan) -> tuple[str, ...]:
    """Check the image of the plan's workers; returns what could not be checked.

    Raises:
        PlanError: there is no such image, or it does not fit this kernel.
    """
    if not plan.env.startswith(IMAGE) or not plan.options:  # not in an account of AWS
        return ()
    from burst_magic.environment.image_check import about_image

    return about_image(plan.env, python=platform.python_version(), arch=plan.arch)


def manifest_of(sid: str, plan: Plan, settings: Settings, labels: Labels, synced: Synced | None = None) -> Manifest:
    """The manifest that a new session would get now."""
    now = time.time()
    scheme = settings.store.partition("://")[0]
    return Manifest(
        sid=sid,
        created=now,
        launcher=plan.launcher,
        fallback=plan.fallback,
        fallback_rate=plan.fallback_rate,
        minimum=plan.minimum,
        workers=plan.workers,
        slots=plan.slots,
        cpu=plan.shape.cpu,
        memory_mb=plan.shape.memory,
        memory_limit_mb=plan.slot_limit_mb,
        arch=plan.arch,
        gpus=plan.wishes.gpus,
        instance_type=plan.wishes.instance_type,
        options=plan.options,
        environment=plan.env,
        bundle=synced.bundle.sha256 if synced is not None else "",
        lock=synced.lock if synced is not None else "",
        seed=secrets.randbits(63) if settings.seed is None else settings.seed,
        deadline=now + settings.deadline,
        idle=settings.idle,
        interval=settings.interval or _INTERVAL[scheme],
        floor=settings.floor or _FLOOR[scheme],
        rate=plan.rate,
        priced=plan.priced,
        ceiling=plan.ceiling,
        fargate_rate=plan.fargate_rate,
        budget=settings.budget,
        notebook=labels.notebook,
        user=getpass.getuser(),
        host=socket.gethostname(),
        python=platform.python_version(),
        setenv=labels.setenv,
        version=__version__,
    )


def _estimated(plan: Plan, manifest: Manifest) -> int | None:
    """What the job's workers were expected to cost; not known if the plan was for workers of another price."""
    total = plan.estimate.total
    return total - plan.estimate.requests if total is not None and plan.rate == manifest.rate else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """The number of wanted workers, and whether they share this machine."""

    workers: int
    here: bool


def _threads(manifest: Manifest, fleet: _Size, tasks: int) -> int:
    lanes = min(tasks, fleet.workers * manifest.slots)
    return threads(lanes, here=fleet.here, slots=manifest.slots, cores=host.cores(), cpu=manifest.cpu)


def _enlist(settings: Settings, url: str, manifest: Manifest, labels: Labels, *, job: str) -> None:
    line = session_list.ListedJob(
        id=manifest.sid,
        job=job,
        store=url,
        created=time.time(),
        name=labels.name,
        notebook=labels.notebook,
        out=labels.out,
        cell=labels.cell,
        process=kernels.this_process(),
    )
    session_list.append(settings.sessions_file, line)


class _Writer:
    """Writes one job's objects and can undo that."""

    def __init__(self, store: Store, secret: bytes, sid: str, jid: str) -> None:
        self.jid = jid
        self._store, self._secret = store, secret
        self._session = keys.SessionKeys(sid)
        self._job = self._session.job(jid)
        self._written: list[str] = []
        self._values = Values(store)
        self._paid = 0.0, math.inf  # when the payload was written, by our clock

    @property
    def ahead(self) -> float:
        """Seconds that the store's clock is ahead of ours, by the payload's last-modified; 0 if they agree."""
        key, (before, after) = self._job.payload, self._paid
        found = next(iter(self._store.list(self._job.root, after=key[:-1], limit=1)), None)
        if found is None or found.key != key:
            return 0.0
        ahead = max(0.0, found.modified - after) + min(0.0, found.modified - before)
        return ahead if abs(ahead) > SKEW else 0.0

    def say_coming(self) -> None:
        """Announce the upload of a job, so that a client that cancels another job leaves the workers running."""
        self._put(self._job.coming, b"")

    def put_record(self, key: str, record: Any, *, whole: bool = True) -> None:
        self._put(key, records.encode(record, secret=self._secret, key=key), whole=whole)

    def _put(self, key: str, data: Any, *, whole: bool = False) -> None:
        self._written.append(key)
        self._store.put(key, data, whole=whole)

    def write_job(
        self,
        capture: Capture,
        manifest: Manifest,
        settings: Settings,
        *,
        labels: Labels,
        progress: Any,
        fleet: _Size,
    ) -> Job:
        """Write everything except ``job.json``, and return that."""
        from burst_magic.capture.cell import with_needs
        from burst_magic.capture.trial import settle

        tasks, index = 1, None
        if capture.items is not None:
            upload = _Upload(self._secret, self._job.items, capture, progress)
            self._put(self._job.items, upload.pieces())
            tasks, index = upload.count, upload.index
            capture = with_needs(capture, upload.needs)
        capture, seconds = settle(capture)
        blobs = tuple(self._values.keep(buffer) for buffer in capture.packed.buffers)
        bundle = self._values.keep(memoryview(capture.bundle))[0] if capture.bundle else ""
        folder = str(folders.current()) if fleet.here else ""
        envelope = capture.envelope(blobs=blobs, bundle=bundle, folder=folder)
        sealed = sign.seal(self._secret, self._job.payload, envelope.to_bytes())
        before = time.time()
        self._put(self._job.payload, sealed)
        self._paid = before, time.time()
        self._values.keep_again()
        return Job(
            jid=self._job.jid,
            created=time.time(),
            tasks=tasks,
            lanes=job_lanes(tasks, fleet.workers * manifest.slots),
            seed=manifest.seed if settings.seed is None else settings.seed,
            items=index,
            payload=len(sealed),
            fresh=seconds <= _FRESH,
            threads=settings.threads or _threads(manifest, fleet, tasks),
            threads_asked=settings.threads is not None,
            timeout=settings.timeout,
            retries=settings.retries,
            name=labels.name,
            cell=labels.cell,
            out=labels.out,
            map=labels.map,
            title=labels.title,
            warnings=capture.warnings,
        )

    def commit(self, job: Job) -> None:
        """Write ``add-job``, then ``job.json``: after a crash in between, no worker runs anything."""
        add = self._session.control(job.jid, ControlKind.ADD_JOB)
        self.put_record(add, Control(kind=ControlKind.ADD_JOB, at=job.created, job=job.jid), whole=False)
        self.put_record(self._job.record, job)

    def undo(self) -> None:
        """Delete the written objects in reverse order, so ``job.json`` before its dependencies; blobs are kept for
        others."""
        for key in reversed(self._written):
            self._store.delete([key])


class _Upload:
    """Packs items one by one during the upload, so that a generator of any length needs constant memory."""

    def __init__(
        self,
        secret: bytes,
        key: str,
        capture: Capture,
        progress: Any,
    ) -> None:
        self._writer = blocks.BlockWriter(secret, key, lengths=True)
        self._items: Iterable[object] = () if capture.items is None else capture.items
        self._home, self._progress = capture.home, progress
        self.needs = Needs()
        self._parts = Parts(capture.packed, home=capture.home, needs=self.needs)
        self.count = 0
        self.index: tuple[int, int] | None = None

    def pieces(self) -> Iterator[bytes]:
        """The finished blocks. One loop: half a million short items a second go through it."""
        pack, add, number = self._parts.pack, self._writer.add, -1
        for number, item in enumerate(self._taken()):
            try:
                entry = pack(item)
            except BurstError:
                raise
            except Exception as error:
                raise self._unsent(item, number, error) from error
            piece = add(number, entry)
            if piece:
                if self._progress is not None:
                    self._progress(number + 1)
                yield piece
        self.count = number + 1
        yield self._writer.finish()
        self.index = self._writer.index

    def _unsent(self, item: object, number: int, error: Exception) -> CaptureError:
        path, reason = culprit_of(item, error, home=self._home, mode=Mode.ITEM)
        problem = ": ".join(filter(None, (f"item {number}", path, reason)))
        return CaptureError(problem, context=f"--map, {type(item).__name__}", way_out=_UNSENT)

    def _taken(self) -> Iterator[object]:
        number = -1
        try:
            for number, item in enumerate(self._items):  # noqa: B007 - named in the error
                yield item
        except Exception as error:
            problem = f"the items of --map raised {type(error).__name__}: {error}"
            raise CaptureError(problem, context=f"item {number + 1}", way_out="nothing was started") from error
