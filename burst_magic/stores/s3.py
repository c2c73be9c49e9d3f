"""S3 and compatible servers as a store.

Region, endpoint and credentials come from the given provider. Without one, obstore uses AWS's own environment
variables, or the container's or machine's role. Plain http is allowed for loopback addresses only.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property, partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

from burst_magic import config
from burst_magic.errors import BurstError, Denied, StoreError
from burst_magic.stores import obstore_io
from burst_magic.stores.base import Bytes, Entry, checked
from burst_magic.stores.faults import fault, outside, stale
from burst_magic.stores.retry import REQUEST, Retry
from burst_magic.stores.stream import upload

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Config, S3CredentialProvider
    from obstore.store import S3Store as Backend

_PATIENCE = "30s"  # one small request
_LONG_PATIENCE = "15m"  # one large request: 1 GB at 10 Mbit/s
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ODD = re.compile(r"[^!-~]|[\"<>\\^`{|}]")  # what no part of a URL may hold as it is
_LARGE = 16 << 20  # bytes from which a put or get runs in parts, some at a time
_DELETE_AT_ONCE = 1000  # S3's limit of one bulk delete

T = TypeVar("T")


def open_s3(url: str, *, credentials: Callable[[], object] | None = None, **_: object) -> S3Store:
    """Open ``s3://bucket/prefix``.

    Args:
        url: bucket and prefix.
        credentials: returns an obstore ``S3Credential``; its optional ``config`` has ``region`` and ``endpoint``.

    Raises:
        StoreError: no bucket in the URL.
        Denied: plain http to another machine, or no credentials.
    """
    parts = urlsplit(url)
    if not parts.netloc or parts.query or parts.fragment:
        raise StoreError("an S3 store URL must name a bucket", context=url, way_out="s3://bucket/prefix")
    where: Mapping[str, str] = getattr(credentials, "config", None) or {}
    endpoint = where.get("endpoint") or _endpoint_of(config.environment())
    _refuse_odd(parts.netloc, endpoint)
    _refuse_open_http(endpoint)
    prefix = parts.path.strip("/")
    if prefix:
        checked(prefix)
    return S3Store(parts.netloc, prefix, settings=_settings(endpoint, where.get("region", "")), credentials=credentials)


def _endpoint_of(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""


def _settings(endpoint: str, region: str) -> dict[str, str]:
    said = {"endpoint": endpoint.rstrip("/"), "region": region}
    return {name: value for name, value in said.items() if value}


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, whatever it begins with
        return False


def _refuse_odd(bucket: str, endpoint: str) -> None:
    """Obstore panics, which no one can catch as an error, where these are no parts of a URL."""
    if not _BUCKET.fullmatch(bucket):
        raise StoreError(f"{bucket!r} is not the name of a bucket", way_out="s3://bucket or s3://bucket/prefix")
    try:
        parts = urlsplit(endpoint)
        odd = bool(endpoint) and (not parts.hostname or parts.port == 0 or _ODD.search(endpoint) is not None)
    except ValueError:  # a port that is none, half an IPv6 address
        odd = True
    if odd:
        raise StoreError(
            f"{endpoint!r} is not the address of a server", way_out="set AWS_ENDPOINT_URL=https://host:port"
        )


def _refuse_open_http(endpoint: str) -> None:
    if endpoint.startswith("http://") and not _is_loopback(endpoint):
        way_out = "use https; plain http is allowed for loopback addresses only"
        raise Denied("the store's endpoint is not encrypted", context=endpoint, way_out=way_out)


class S3Store:
    """The store operations on a bucket.

    Args:
        bucket: its name; prefix: of all keys, or "".
        settings: ``endpoint`` and ``region``, if known.
        credentials: a provider, or None to use AWS's environment.
        retry: how obstore repeats one request that failed on the way or at the server.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        settings: Mapping[str, str],
        credentials: Callable[[], object] | None,
        retry: Retry = REQUEST,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._settings = dict(settings)
        self._retry = _obstores(retry)
        self._given = credentials
        self._provider = None if credentials is None else _Remembering(credentials)
        self._renewing = threading.Lock()
        self._backend = self._connect(_PATIENCE)

    @property
    def url(self) -> str:
        """The URL that opens the same store again, in this or another process."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def endpoint(self) -> str:
        """The server, "" for AWS: two servers may have buckets of the same name."""
        return self._settings.get("endpoint", "")

    @property
    def credentials(self) -> Callable[[], object] | None:
        """The provider it was opened with."""
        return self._given

    def _connect(self, patience: str) -> Backend:
        from obstore.store import S3Store as Backend  # paid for when a store is opened

        try:
            return Backend(
                self._bucket,
                prefix=self._prefix or None,
                config=cast("S3Config", self._settings),
                client_options={"timeout": patience, "allow_http": _is_loopback(self.endpoint)},
                retry_config=self._retry,
                credential_provider=cast("S3CredentialProvider | None", self._provider),
            )
        except Exception as error:
            raise fault(error, self.url) from None

    @cached_property
    def _patient(self) -> Backend:
        return self._connect(_LONG_PATIENCE)

    def create(self, key: str, data: Bytes, *, whole: bool = False) -> None:  # noqa: ARG002
        """Writes an object that must not exist yet; raises ``Exists`` if it does, or if S3 answers 409 to concurrent
        creates."""
        self._told(checked(key), lambda: obstore_io.write(self._for(data), key, data, create=True))

    def put(self, key: str, data: Bytes | Iterator[bytes], *, whole: bool = False) -> None:  # noqa: ARG002
        """Writes or replaces an object; an iterator is sent in parts, in constant memory."""
        checked(key)
        if isinstance(data, (bytes, bytearray, memoryview)):
            self._told(key, lambda: self._put(key, data))
        else:
            upload(self._patient, key, data, fault=self._fault)

    def _put(self, key: str, data: Bytes) -> None:
        if _size(data) >= _LARGE:
            obstore_io.write_parts(self._patient, key, data)
        else:
            obstore_io.write(self._backend, key, data, create=False)

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``start`` to ``end`` (exclusive) of an object; raises ``Missing``."""
        return self._told(checked(key), lambda: self._get(key, start, end))

    def _get(self, key: str, start: int, end: int | None) -> bytes:
        try:
            if end is None:
                return obstore_io.read_large(self._backend, key, start, large=_LARGE)
            return obstore_io.read(self._backend, key, start, end)
        except Exception as error:
            if outside(error):
                return b""
            raise

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects below the folder ``prefix``, sorted by key, with keys > ``after``, at most ``limit``."""
        return self._told(prefix, lambda: obstore_io.listed(self._backend, prefix, after, limit))

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below the folder ``prefix``, sorted, a thousand per request."""
        return self._told(prefix, lambda: obstore_io.folders(self._backend, prefix))

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects, a thousand per request; missing ones are ignored."""
        names = list(dict.fromkeys(map(checked, keys)))  # S3 refuses a bulk delete that names one twice
        for at in range(0, len(names), _DELETE_AT_ONCE):
            some = names[at : at + _DELETE_AT_ONCE]
            self._told(some[0], partial(self._delete, some))

    def _delete(self, some: Sequence[str]) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._backend.delete(some)

    def path(self, key: str) -> Path | None:  # noqa: ARG002  the protocol's signature
        """None: there is no file."""
        return None

    def _told(self, key: str, call: Callable[[], T]) -> T:
        """The result of a call, or its fault; retries once if there are other credentials than the refused ones."""
        before = self._backend
        try:
            return call()
        except Exception as error:
            cause = error.__context__ or error if isinstance(error, BurstError) else error
            if not (stale(cause) and self._renewed(before)):
                raise self._fault(cause, key) from None
        try:
            return call()
        except Exception as error:
            raise self._fault(error, key) from None

    def _renewed(self, before: Backend) -> bool:
        """Renew credentials that S3 refused early: obstore would keep them until they expire."""
        with self._renewing:
            if self._backend is not before:  # another thread has renewed them
                return True
            if self._provider is None or not self._provider.others():
                return False
            self._backend = self._connect(_PATIENCE)
            self.__dict__.pop("_patient", None)
            return True

    def _for(self, data: Bytes) -> Backend:
        return self._patient if _size(data) >= _LARGE else self._backend

    def _fault(self, error: BaseException, key: str) -> BurstError:
        said = self._provider.failure if self._provider else None
        if said is not None and type(error).__name__ in {"UnauthenticatedError", "GenericError"}:
            return said
        return error if isinstance(error, BurstError) else fault(error, key)


def _obstores(retry: Retry) -> RetryConfig:
    """A policy in obstore's words."""
    first, longest = timedelta(seconds=retry.first), timedelta(seconds=retry.longest)
    return {
        "max_retries": retry.tries or 0,
        "retry_timeout": timedelta(seconds=retry.within),
        "backoff": {"init_backoff": first, "max_backoff": longest, "base": retry.factor},
    }


class _Remembering:
    """Keeps a provider's exception, which obstore turns into text."""

    def __init__(self, provider: Callable[[], object]) -> None:
        self._provider = provider
        self._last: object = None
        self.failure: BurstError | None = None

    def __call__(self) -> object:
        self.failure = None
        try:
            self._last = self._provider()
        except BurstError as error:
            self.failure = error
            raise
        return self._last

    def others(self) -> bool:
        """Whether the provider has different credentials after ``forget``."""
        forget = getattr(self._provider, "forget", None)
        if forget is None:
            return False
        forget()
        before = _key_of(self._last)
        with contextlib.suppress(BurstError):  # kept as ``failure``
            return _key_of(self()) != before
        return False


def _key_of(credential: object) -> object:
    """Key and token: the same pair would be refused again."""
    found = cast("Mapping[str, object]", credential or {})
    return found.get("access_key_id"), found.get("token")


def _size(data: Bytes) -> int:
    return data.nbytes if isinstance(data, memoryview) else len(data)
