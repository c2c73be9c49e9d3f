"""The door of the stand-in cloud: HTTP on 127.0.0.1 before moto, with what ECS tells containers, and the troubles.

Every request is the account's whose sandbox it reaches, so that several sandboxes of one process don't meet.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from burst_magic.errors import BurstError
from burst_magic.testing.sandbox import policies
from burst_magic.testing.sandbox.apps import Apps
from burst_magic.testing.sandbox.aws_call import JSON_SERVICES, AskedRight, AwsCall, right_of
from burst_magic.testing.sandbox.engine import Engine
from burst_magic.testing.sandbox.limits import Limits
from burst_magic.testing.sandbox.roles import Roles

_BACKLOG = 512  # a fleet that starts connects all at once
_LAG = 0.05  # seconds until the server sees that it is to end

_REPEATED = {"RunTask", "CreateChangeSet"}  # with a token, so that they are done once
_CALLER = re.compile(r"User: (\S+) is not")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Front:
    """The WSGI application.

    Args:
        account: of this sandbox.
        apps: answer for AWS.
        heard: called with each request before it is answered, in the thread that answers it.
        judged: called with each right that a request of AWS needs, before it is judged.
    """

    def __init__(
        self,
        apps: Apps,
        *,
        account: str,
        engine: Engine,
        roles: Roles,
        limits: Limits,
        heard: Callable[[AwsCall], object],
        judged: Callable[[AskedRight], object],
    ) -> None:
        self._apps = apps
        self._account = account
        self._engine = engine
        self._roles = roles
        self._limits = limits
        self._heard = heard
        self._judged = judged

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        call = AwsCall.of(environ)
        self._heard(call)
        if call.path.startswith("/v4/"):
            return self._metadata(call.path, start_response)
        if call.path.startswith("/v2/credentials/"):
            return self._credentials(call.path, environ.get("HTTP_AUTHORIZATION", ""), start_response)
        return self._trouble(call, environ, start_response) or self._aws(call, environ, start_response)

    def _trouble(
        self, call: AwsCall, environ: Mapping[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes] | None:
        """What the weather answers instead of AWS."""
        weather = self._limits.weather
        if call.service == "s3" and self._roles.task_of(call.access) in weather.cut_off:
            return _cut(environ)
        if call.service == "s3" and self._roles.age(call.access) < weather.role_lag:
            return _xml(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", start_response)
        if call.access in weather.expired:
            return _expired(call, start_response)
        if call.action == "DescribeTasks" and self._limits.due("describe_errors"):
            return _json(500, {"__type": "ServerException", "message": "Service Unavailable."}, start_response)
        return None

    def _aws(self, call: AwsCall, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account
        right = right_of(call, account=self._account)
        self._judged(right)
        policies.about(right)
        answer = _as_aws_denies(self._apps.of(call.service), right, call, environ, start_response)
        if call.action in _REPEATED and self._limits.due("lost_replies"):
            return _cut(environ)
        return answer

    def _metadata(self, path: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
        _, _, ident, *rest = path.split("/")
        try:
            return _json(200, self._engine.metadata(ident, whole=rest == ["task"]), start_response)
        except KeyError:
            return _json(404, {"error": "no such container"}, start_response)

    def _credentials(self, path: str, secret: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
        document = self._roles.told(path.rpartition("/")[2], secret)
        if document is None:
            return _json(403, {"code": "AccessDenied", "message": "not this container's credentials"}, start_response)
        return _json(200, document, start_response)


def _json(status: int, document: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = json.dumps(document).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start_response(f"{status} {'OK' if status == 200 else 'Error'}", headers)
    return [body]


def _as_aws_denies(
    app: Application, right: AskedRight, call: AwsCall, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """The answer of an application; where it forbids, in the service's own words, which name action and resource."""
    told: list[Any] = []
    answer = app(environ, lambda *said, **_: told.extend(said[:2]))
    if not told or not str(told[0]).startswith("403") or call.service not in {*JSON_SERVICES, "s3"}:
        start_response(*told)
        return answer
    body = b"".join(answer)
    if body and b"AccessDenied" not in body:  # keys that do not exist, or a wrong signature
        start_response(*told)
        return [body]
    found = _CALLER.search(body.decode())
    said = f"User: {found[1] if found else right.access} is not authorized to perform: {right.action} on resource: "
    said += f"{right.resources[0]} because no policy allows the {right.action} action"
    if call.service in JSON_SERVICES:
        return _json(400, {"__type": "AccessDeniedException", "message": said}, start_response)
    if body or call.method == "HEAD":  # S3 of moto has words of its own, but not for a bucket's policy
        start_response(*told)
        return [body]
    return _xml(403, f"<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>", start_response)


def _xml(status: int, text: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = text.encode()
    start_response(f"{status} Error", [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _expired(call: AwsCall, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """What each kind of service says of credentials that are over."""
    said = "The security token included in the request is expired"
    if call.service in JSON_SERVICES:
        return _json(400, {"__type": "ExpiredTokenException", "message": said}, start_response)
    error = f"<Error><Code>ExpiredToken</Code><Message>{said}</Message></Error>"
    body = (error if call.service == "s3" else f"<ErrorResponse>{error}</ErrorResponse>").encode()
    headers = [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))]
    start_response("400 Bad Request" if call.service == "s3" else "403 Forbidden", headers)
    return [body]


def _cut(environ: Mapping[str, Any]) -> Iterable[bytes]:
    """End the connection without a reply."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("cut by the sandbox")


class QuietHandler(MotoRequestHandler):
    """Answers at once, and says nothing of it on the terminal."""

    disable_nagle_algorithm = True  # headers and body are two writes: together with delayed ACK, 40 ms

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - its name in werkzeug
        """Errors are logged, requests are not."""
        if type != "info":
            logging.getLogger(__name__).debug(message, *args)


def _bound(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise BurstError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}", way_out="another --port") from error
    return listening


class Door:
    """The server's socket, bound before anything is answered."""

    def __init__(self, port: int) -> None:
        self._front: Application | None = None
        with _bound(port) as listening:
            self._server: BaseWSGIServer = make_server(
                "127.0.0.1",
                listening.getsockname()[1],
                self._answer,
                threaded=True,
                request_handler=QuietHandler,
                fd=listening.fileno(),  # werkzeug would print a port that is taken, and exit
            )
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LAG,), name="sandbox", daemon=True)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._front is None:
            raise ConnectionAbortedError("not open yet")
        return self._front(environ, start_response)

    def open(self, front: Application) -> None:
        """Answer requests from now on."""
        self._front = front
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
