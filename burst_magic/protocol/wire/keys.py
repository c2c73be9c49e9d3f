"""Build and parse every object key. No other code writes keys by hand.

    blobs/<sha256>
    envs/<sha256>                                             what workers have installed
    keys/<sid>.<fingerprint>                                  the session's key, for workers that no pipe reaches
    sessions/<sid>/manifest.json
    sessions/<sid>/pack.json                                  what its first worker has installed, packed
    sessions/<sid>/control/<id>-<what>
    sessions/<sid>/workers/<wid>.<billed-from-ms>.<rate>      heartbeat
    sessions/<sid>/workers/<wid>.gone
    sessions/<sid>/workers/<token>.next
    sessions/<sid>/workers/~watch
    sessions/<sid>/jobs/<job>/payload
    sessions/<sid>/jobs/<job>/items
    sessions/<sid>/jobs/<job>/job.json
    sessions/<sid>/jobs/<job>/claims/<start>.<n>
    sessions/<sid>/jobs/<job>/results/<ms>.<from>-<to>.<failed>.<claim start>-<claim n>
    sessions/<sid>/jobs/<job>/final

Numbers are zero-padded, so that keys sort numerically; ids contain no dots.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from burst_magic.dataclass import dataclass
from burst_magic.errors import RecordError
from burst_magic.protocol.wire.model import ClaimKey, ControlKind, SegmentKey

SESSIONS = "sessions"
SESSION_KEYS = "keys"
_ID = r"[A-Za-z0-9][A-Za-z0-9_~-]{0,199}"
_INT = r"\d{1,16}"  # exact as a float, too
_SID = re.compile(r"\d{8}-\d{6}-[a-z2-7]{8}\Z")
_KINDS = tuple(kind for kind in ControlKind if kind is not ControlKind.OTHER)  # a newer version's are passed over
_NAMES = {  # names of the objects in a folder
    "control": rf"{_ID}-(?:{'|'.join(kind.value for kind in _KINDS)})",
    "workers": rf"~watch|{_ID}\.(?:gone|next|{_INT}\.{_INT})",
    "claims": rf"{_INT}\.{_INT}",
    "results": rf"{_INT}\.{_INT}-{_INT}\.{_INT}\.{_INT}-{_INT}",
}
_SEGMENT = re.compile(_NAMES["results"], re.ASCII)
_FLAWLESS = re.compile(rf"{_INT}\.{_INT}-{_INT}\.0\.{_INT}-{_INT}", re.ASCII).fullmatch
_NAMED = re.compile(
    rf"{SESSIONS}/(?:([^/]+)/manifest\.json|[^/]+/jobs/([^/]+)/(?:job\.json|final)"
    rf"|[^/]+/workers/([^/.]+)\.(?:gone|\d+\.\d+))"
)
_BLOB = re.compile(r"blobs/[0-9a-f]{64}", re.ASCII)
_ENV = re.compile(r"envs/[0-9a-f]{64}", re.ASCII)
_START, _NUMBER, _MS = 10, 3, 14
_OURS = re.compile(  # a later version's requests, too
    rf"(?:manifest|pack)\.json|control/{_ID}|workers/(?:{_NAMES['workers']})"
    rf"|jobs/{_ID}/(?:payload|items|job\.json|coming|final|claims/{_NAMES['claims']}|results/{_NAMES['results']})",
    re.ASCII,
)


def is_session_id(text: str) -> bool:
    """Whether ``text`` has the form of a session id: ``YYYYMMDD-hhmmss-`` and 8 base32 characters."""
    return _SID.match(text) is not None


def is_label(text: object) -> bool:
    """Whether ``text`` can name a job: printable, and no other ID or option."""
    if not isinstance(text, str) or not text.isprintable():
        return False
    return bool(text) and text == text.strip() and "/" not in text and text[0] != "-" and not is_session_id(text)


def blob(sha256: str) -> str:
    """Content-addressed bytes, shared by all sessions of a store."""
    return f"blobs/{sha256}"


def env(sha256: str) -> str:
    """Content-addressed parts of an environment: the worker's bundle, a lock, its wheels, an installed pack."""
    return f"envs/{sha256}"


def build(name: str) -> str:
    """What an image is built from, in the account; no session knows of it."""
    return f"builds/{name}.zip"


def is_blob(key: str) -> bool:
    """Whether it is the name of content-addressed bytes."""
    return _BLOB.fullmatch(key) is not None


def is_env(key: str) -> bool:
    """The same of a part of an environment."""
    return _ENV.fullmatch(key) is not None


def session_key(sid: str, fingerprint: str) -> str:
    """The object with a session's key, for workers that know its fingerprint."""
    return f"{SESSION_KEYS}/{_checked(sid)}.{_checked(fingerprint)}"


def before_session_key(sid: str) -> str:
    """A key after which a listing begins with those of one session."""
    return f"{SESSION_KEYS}/{_checked(sid)}."


def session_of_key(key: str) -> str:
    """The session whose key an object below ``keys/`` is, by its name."""
    return key.removeprefix(f"{SESSION_KEYS}/").partition(".")[0]


def fingerprint_in(key: str, sid: str) -> str:
    """The fingerprint that the name of a session's key ends in; "" if it is another object."""
    return key.removeprefix(f"{SESSION_KEYS}/{sid}.") if key.startswith(f"{SESSION_KEYS}/{sid}.") else ""


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The keys of one session."""

    sid: str

    @property
    def root(self) -> str:
        """The session's folder."""
        return f"{SESSIONS}/{self.sid}"

    @property
    def manifest(self) -> str:
        """Immutable description of the session; deleted first."""
        return f"{self.root}/manifest.json"

    @property
    def pack(self) -> str:
        """What a worker of the session has installed and packed, for the others."""
        return f"{self.root}/pack.json"

    @property
    def control_folder(self) -> str:
        """Requests to the session."""
        return f"{self.root}/control"

    @property
    def workers_folder(self) -> str:
        """Heartbeats, ends and starts."""
        return f"{self.root}/workers"

    @property
    def jobs_folder(self) -> str:
        """All jobs."""
        return f"{self.root}/jobs"

    @property
    def watch(self) -> str:
        """Put by a viewer that shows live output."""
        return f"{self.workers_folder}/~watch"

    def control(self, ident: str, kind: ControlKind) -> str:
        """One request to the session."""
        return f"{self.control_folder}/{ident}-{kind.value}"

    def heartbeat(self, wid: str, billed_from_ms: int, rate: int) -> str:
        """A worker's heartbeat; the key alone gives its cost."""
        return f"{self.workers_folder}/{_checked(wid)}.{billed_from_ms:0{_MS}d}.{rate}"

    def gone(self, wid: str) -> str:
        """A worker's end."""
        return f"{self.workers_folder}/{_checked(wid)}.gone"

    def next(self, token: str) -> str:
        """A worker is being started."""
        return f"{self.workers_folder}/{_checked(token)}.next"

    def job(self, jid: str) -> JobKeys:
        """The keys of one job."""
        return JobKeys(self.sid, _checked(jid))


@dataclass(frozen=True, slots=True)
class JobKeys:
    """The keys of one job."""

    sid: str
    jid: str

    @property
    def root(self) -> str:
        """The folder of the job."""
        return f"{SESSIONS}/{self.sid}/jobs/{self.jid}"

    @property
    def payload(self) -> str:
        """The signed envelope: code and captured values."""
        return f"{self.root}/payload"

    @property
    def items(self) -> str:
        """Packed items in signed blocks."""
        return f"{self.root}/items"

    @property
    def record(self) -> str:
        """``job.json``: written last, commits the job."""
        return f"{self.root}/job.json"

    @property
    def coming(self) -> str:
        """Written before all other objects of a later job: its upload has begun."""
        return f"{self.root}/coming"

    @property
    def claims_folder(self) -> str:
        """The partition."""
        return f"{self.root}/claims"

    @property
    def results_folder(self) -> str:
        """The log of segments."""
        return f"{self.root}/results"

    @property
    def final(self) -> str:
        """The segment that counts for each task."""
        return f"{self.root}/final"

    def claim(self, claim: ClaimKey) -> str:
        """One claim."""
        return f"{self.claims_folder}/{claim.start:0{_START}d}.{claim.number:0{_NUMBER}d}"

    def segment(self, segment: SegmentKey) -> str:
        """One segment."""
        return f"{self.results_folder}/{segment_name(segment)}"


def segment_name(segment: SegmentKey) -> str:
    """A segment's key inside its folder."""
    claim = segment.claim
    return (
        f"{segment.at_ms:0{_MS}d}.{segment.start:0{_START}d}-{segment.stop:0{_START}d}"
        f".{segment.failed}.{claim.start}-{claim.number}"
    )


def parse_segment(key: str) -> SegmentKey:
    """The inverse of ``segment_name``; takes a whole key too."""
    try:
        at_ms, tasks, failed, claim = key.rpartition("/")[2].split(".")
        start, stop = tasks.split("-")
        return SegmentKey(int(at_ms), int(start), int(stop), int(failed), _parse_named_claim(claim))
    except ValueError:
        raise RecordError("not a segment's key", context=key) from None


def is_segment(name: str) -> bool:
    """Whether it is the name of a segment, in its folder."""
    return _SEGMENT.fullmatch(name) is not None


def is_flawless(name: str) -> bool:
    """Whether it is the name of a segment without failures, in its folder."""
    return _FLAWLESS(name) is not None


@lru_cache(maxsize=8192)  # one claim has many segments
def _parse_named_claim(text: str) -> ClaimKey:
    start, number = text.split("-")
    return ClaimKey(start=int(start), number=int(number))


def results_after(at_ms: int) -> str:
    """The name before every segment of ``at_ms`` or later, where a reader continues."""
    return f"{max(0, at_ms):0{_MS}d}"


def parse_claim(key: str) -> ClaimKey:
    """The inverse of ``JobKeys.claim``."""
    try:
        start, number = key.rpartition("/")[2].split(".")
        return ClaimKey(start=int(start), number=int(number))
    except ValueError:
        raise RecordError("not a claim's key", context=key) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlKey:
    """One request to a session, from its key."""

    ident: str
    kind: ControlKind


def parse_control(key: str) -> ControlKey:
    """The inverse of ``SessionKeys.control``."""
    name = key.rpartition("/")[2]
    for kind in _KINDS:
        if name.endswith(f"-{kind.value}"):
            return ControlKey(ident=name[: -len(kind.value) - 1], kind=kind)
    raise RecordError("not a control key", context=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerKey:
    """A key of the workers' folder: a heartbeat, an end, or a start."""

    ident: str
    kind: str  # "beat", "gone", "next" or "watch"
    billed_from_ms: int = 0
    rate: int = 0


@lru_cache(maxsize=8192)  # each step of a machine asks for that of every worker
def base_of(wid: str) -> str:
    """The launcher's name for a worker, even after it rejoined under a new id."""
    return wid.partition("~")[0]


@lru_cache(maxsize=8192)  # each listing of a fleet has the same names, but for some
def parse_worker(key: str) -> WorkerKey:
    """Distinguish heartbeats, ends and starts."""
    name = key.rpartition("/")[2]
    if name == "~watch":
        return WorkerKey(ident=name, kind="watch")
    parts = name.split(".")
    try:
        if len(parts) == 2 and parts[1] in {"gone", "next"}:
            return WorkerKey(ident=parts[0], kind=parts[1])
        ident, billed, rate = parts
        return WorkerKey(ident=ident, kind="beat", billed_from_ms=int(billed), rate=int(rate))
    except ValueError:
        raise RecordError("not a worker's key", context=key) from None


def is_ours(key: str, sid: str) -> bool:
    """Whether it is an object of a session, by its name: others may put files into its folder."""
    root = f"{SESSIONS}/{sid}/"
    return key.startswith(root) and _OURS.fullmatch(key, len(root)) is not None


def named_in(key: str) -> str | None:
    """The session, job or worker that an object of a session belongs to, by its key; None for other keys."""
    found = _NAMED.fullmatch(key)
    return None if found is None else next(filter(None, found.groups()))


def ours_in(folder: str) -> Callable[[str], object]:
    """Return a test for the protocol's names in a folder, which may contain foreign files (.DS_Store, .nfs…).

    Args:
        folder: of control, workers, claims or results.
    """
    return re.compile(_NAMES[folder.rpartition("/")[2]], re.ASCII).fullmatch


def _checked(ident: str) -> str:
    if re.fullmatch(_ID, ident) is None:
        raise RecordError("not an id (letters, digits, - _ ~)", context=repr(ident))
    return ident
