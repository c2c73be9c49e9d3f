"""A little S3 that ignores conditional writes, as some real servers do, and fails on demand.

It supports whole objects only (PUT, GET, DELETE, bulk delete) and requires no signature. Entries of ``script`` answer
the next requests, one each: a status, or ``LOST``, which carries out the request and loses its reply.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOST = 0


class _CarelessHandler(BaseHTTPRequestHandler):
    server: CarelessServer
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        """Write, whatever ``If-None-Match`` says: this is the fault."""
        body = self._body()
        if not self._scripted(lambda: self.server.objects.update({self.path: body})):
            self.server.objects[self.path] = body
            self._answer(200)

    def do_GET(self) -> None:
        """Send the whole object."""
        if self._scripted(lambda: None):
            return
        found = self.server.objects.get(self.path)
        self._answer(404) if found is None else self._answer(200, found)

    def do_POST(self) -> None:
        """Delete every object that a bulk delete names."""
        asked = self._body().decode()
        named = re.findall("<Key>(.*?)</Key>", asked)
        for key in named:
            self.server.objects.pop(f"{self.path.partition('?')[0].rstrip('/')}/{key}", None)
        said = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in named)
        self._answer(200, f"<DeleteResult>{said}</DeleteResult>".encode())

    def do_DELETE(self) -> None:
        """Delete one object."""
        self.server.objects.pop(self.path, None)
        self._answer(204)

    def _scripted(self, act: Callable[[], None]) -> bool:
        self.server.requests += 1
        if not self.server.script:
            return False
        status = self.server.script.popleft()
        if status == LOST:
            act()
            self.close_connection = True
        else:
            self._answer(status)
        return True

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", self.date_time_string())
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class CarelessServer(ThreadingHTTPServer):
    """The server, its objects (path, with the bucket, to bytes) and its next answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _CarelessHandler)
        self.objects: dict[str, bytes] = {}
        self.script: deque[int] = deque()
        self.requests = 0  # GETs and PUTs so far
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def careless() -> Iterator[CarelessServer]:
    """Run the server in a thread for the duration of the block."""
    with CarelessServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
