"""Requests that a burst makes to S3: moto's server with a counter in front of it, in a process of its own.

Run as a module it is that server: it prints its port, counts by verb and by what the key is, and answers
``GET /-counts`` with the counts since it was last asked.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote

from benchmarks.process import Figures

_ASK = "/-counts"
_SHARED = ("blobs", "keys", "envs")  # folders beside the sessions
_KEY = re.compile(r"sessions/[^/]+/(?:jobs/[^/]+/)?([^/?]+)")


def kind_of(method: str, path: str, asked: Mapping[str, list[str]]) -> str:
    """``PUT claims``, ``LIST results``, …: the verb and the part of the log."""
    place = asked.get("prefix", [""])[0] if "list-type" in asked else path
    found = _KEY.search(unquote(place))
    part = found[1].split(".")[0] if found else next((name for name in _SHARED if f"/{name}/" in place), "other")
    return f"{'LIST' if 'list-type' in asked else method} {part}"


class Counting:
    """A WSGI application around another."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app, self._counts = app, Counter[str]()

    def __call__(self, environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
        """Answers, and counts what is not for the counter itself."""
        if environ["PATH_INFO"] != _ASK:
            kind = kind_of(environ["REQUEST_METHOD"], environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"]))
            self._counts[kind] += 1
            self._counts[f"bytes {kind}"] += int(environ.get("CONTENT_LENGTH") or 0)
            return self._weighed(kind, self._app(environ, start_response))
        counts, self._counts = self._counts, Counter()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(counts).encode()]

    def _weighed(self, kind: str, answer: Iterable[bytes]) -> Iterator[bytes]:
        for piece in answer:
            self._counts[f"bytes {kind}"] += len(piece)
            yield piece


def main() -> None:
    """The server; ends with its stdin."""
    import logging
    import threading

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    app = Counting(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


@contextmanager
def counting() -> Iterator[Callable[[], Counter[str]]]:
    """The server as AWS of this process, with a bucket ``bench``; gives the counts since they were last asked for."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.counted"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin
    assert server.stdout
    try:
        endpoint = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        os.environ |= {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_REGION": "us-east-1",
        }
        with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bench", method="PUT")):
            _counts(endpoint)
        yield partial(_counts, endpoint)
    finally:
        server.stdin.close()
        server.wait()


def count(
    task: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    workers: int,
    folders_rhythm: bool = False,
    jobs: Sequence[str] = ("cold", "warm"),
) -> Figures:
    """Requests of a whole session on S3 (``cold …``) and of a job on its warm workers (``warm …``).

    Args:
        task: what the workers do.
        items: with what.
        workers: on how many workers.
        folders_rhythm: with the heartbeat interval and the floor of a folder instead of S3's.
        jobs: leave out "warm" where one is enough.
    """
    import burst_magic as burst

    if folders_rhythm:
        os.environ |= {"BURST_INTERVAL": "1", "BURST_FLOOR": "0.05"}
    figures: Figures = {"n": len(items)}
    session = None
    with counting() as counts:
        for name in jobs:
            how = {"workers": workers, "store": "s3://bench/x"} if session is None else {"session": session}
            began = time.perf_counter()
            running = burst.map(task, items, **how)
            session = session or running
            assert len(list(running.results())) == len(items)
            figures[f"{name}_seconds"] = time.perf_counter() - began
            told = {kind: number for kind, number in sorted(counts().items()) if not kind.startswith("bytes ")}
            figures[name] = sum(told.values())
            figures |= {f"{name} {kind}": number for kind, number in told.items()}
        assert session is not None
        session.cleanup()
    return figures


def _counts(endpoint: str) -> Counter[str]:
    with urllib.request.urlopen(endpoint + _ASK) as answer:
        return Counter(json.load(answer))


if __name__ == "__main__":
    main()
