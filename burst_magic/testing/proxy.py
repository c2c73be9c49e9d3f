"""A proxy on 127.0.0.1 in front of a real S3, which injects the faults of a network and a busy S3.

    with seaweedfs() as server, proxy(server) as road:
        road.script = seeded(7, {Trouble.THROTTLED: 0.1, Trouble.LOST: 0.05})
        store = open_store("s3://bucket", credentials=road.server.credentials)

A script is called once per request and returns the trouble or None. Requests are counted by kind (``PUT claims``). The
``Host`` header is passed on unchanged, so that signatures stay valid.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from burst_magic.dataclass import dataclass
from burst_magic.testing.servers import Server

_PART = re.compile(r"sessions/[^/]+/(?:jobs/[^/]+/)?([^/?]+)")
_ACCESS = re.compile(r"Credential=([^/,]+)/")
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}  # headers of one hop


class Trouble(Enum):
    """What may happen to a request."""

    DELAYED = "answered a little late"
    DROPPED = "the connection ends before anything is done"
    LOST = "it is done, and the connection ends instead of the reply"
    DOUBTFUL = "it is done, and the reply is 500"
    FAILED = "500, nothing is done"
    THROTTLED = "503 SlowDown, nothing is done"
    CONFLICT = "409 ConditionalRequestConflict, nothing is done"
    EXPIRED = "400 ExpiredToken, nothing is done"
    DENIED = "403 AccessDenied, nothing is done"
    RESET = "the connection is reset in the middle of the body"
    SHORT = "the connection ends in the middle of the body"
    CUT = "half a body that says that it is whole"


_REFUSALS = {
    Trouble.FAILED: (500, "InternalError"),
    Trouble.THROTTLED: (503, "SlowDown"),
    Trouble.CONFLICT: (409, "ConditionalRequestConflict"),
    Trouble.EXPIRED: (400, "ExpiredToken"),
    Trouble.DENIED: (403, "AccessDenied"),
}
_OF_BODIES = {Trouble.RESET, Trouble.SHORT, Trouble.CUT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as a script sees it.

    Attributes:
        method, path: of HTTP; kind: the verb and the part of the log, e.g. ``LIST results``.
        conditional: it has ``If-None-Match``; access: the access key that signed it.
    """

    method: str
    path: str
    kind: str
    conditional: bool
    access: str

    @property
    def reads(self) -> bool:
        """Whether it reads an object or a listing."""
        return self.method == "GET"


Script = Callable[[Request], Trouble | None]


def calm(_: Request) -> None:
    """No trouble."""


def seeded(seed: int, shares: Mapping[Trouble, float]) -> Script:
    """A script in which each trouble affects its share of the requests that it may affect."""
    chance, lock = random.Random(seed), threading.Lock()  # noqa: S311  troubles, not secrets

    def script(request: Request) -> Trouble | None:
        with lock:
            drawn = chance.random()
        for trouble, share in shares.items():
            drawn -= share
            if drawn < 0:
                return trouble if _can(trouble, request) else None
        return None

    return script


def _can(trouble: Trouble, request: Request) -> bool:
    if trouble is Trouble.CONFLICT:
        return request.conditional
    return request.reads or trouble not in _OF_BODIES


class Proxy(ThreadingHTTPServer):
    """The running proxy.

    Attributes:
        server: the S3 behind it, at the proxy's address.
        script: what happens; may be replaced at any time.
        counts: requests so far, by kind; met: troubles so far.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, behind: Server) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.behind = urlsplit(behind.endpoint)
        endpoint = f"http://127.0.0.1:{self.server_port}"
        self.server = Server(endpoint=endpoint, keys=behind.keys, pid=behind.pid, region=behind.region)
        self.script: Script = calm
        self.counts: Counter[str] = Counter()
        self.met: Counter[Trouble] = Counter()
        self._lock = threading.Lock()

    def trouble_of(self, request: Request) -> Trouble | None:
        """Count a request and call the script."""
        trouble = self.script(request)
        with self._lock:
            self.counts[request.kind] += 1
            if trouble is not None:
                self.met[trouble] += 1
        return trouble

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close without shutting down first, which would precede a reset."""
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: clients that hang up are expected here."""


class _ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._behind = HTTPConnection(str(self.server.behind.hostname), self.server.behind.port, timeout=60)

    def finish(self) -> None:
        self._behind.close()
        with contextlib.suppress(OSError):
            super().finish()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        trouble = self.server.trouble_of(self._request())
        if trouble is Trouble.DROPPED:
            self.close_connection = True
        elif trouble in _REFUSALS:
            self._refuse(*_REFUSALS[trouble])
        else:
            if trouble is Trouble.DELAYED:
                time.sleep(0.3)
            self._pass_on(*self._forwarded(body), trouble)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815  names of http.server

    def _request(self) -> Request:
        access = _ACCESS.search(self.headers.get("Authorization", ""))
        return Request(
            method=self.command,
            path=self.path,
            kind=_kind(self.command, self.path),
            conditional="If-None-Match" in self.headers,
            access=access[1] if access else "",
        )

    def _forwarded(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        for again in (True, False):
            try:
                self._behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    self._behind.putheader(name, value)
                self._behind.endheaders(body or None)
                answer = self._behind.getresponse()
                return answer, answer.read()
            except (HTTPException, ConnectionError):  # the server has closed an idle connection
                self._behind.close()
                if not again:
                    raise
        raise AssertionError

    def _pass_on(self, answer: HTTPResponse, body: bytes, trouble: Trouble | None) -> None:
        if trouble is Trouble.LOST:
            self.close_connection = True
        elif trouble is Trouble.DOUBTFUL:
            self._refuse(500, "InternalError")
        else:
            length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            if trouble in _OF_BODIES:
                body = body[: len(body) // 2]
            if trouble is Trouble.CUT:
                length = str(len(body))
            self._answer(answer.status, [*answer.getheaders(), ("Content-Length", length)], body)
            if trouble is Trouble.RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection |= trouble in {Trouble.RESET, Trouble.SHORT}

    def _refuse(self, status: int, code: str) -> None:
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>a trouble</Message></Error>'
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))]
        self._answer(status, headers, b"" if self.command == "HEAD" else text.encode())

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", lengths[-1])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _kind(method: str, path: str) -> str:
    """``PUT claims``, ``LIST results``, …: the verb and the part of the log."""
    asked = parse_qs(urlsplit(path).query)
    place = asked.get("prefix", [""])[0] if "list-type" in asked else urlsplit(path).path
    found = _PART.search(unquote(place))
    part = found[1].split(".")[0] if found else "blobs" if "blobs/" in place else "other"
    return f"{'LIST' if 'list-type' in asked else method} {part}"


@contextlib.contextmanager
def proxy(behind: Server) -> Iterator[Proxy]:
    """Run a proxy in threads of this process for the duration of the block."""
    with Proxy(behind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
