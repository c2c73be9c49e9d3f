"""A server that answers as AWS's JSON services do, in the words of the test; each call and its answer are checked against
botocore's own models."""

from __future__ import annotations

import http.server
import json
import threading
from collections import defaultdict

import botocore.session
import pytest
from botocore.validate import ParamValidator

from burst_magic.aws.clients import Clients

_POLL = 0.01  # seconds until the server sees that its test has ended
_CORE = botocore.session.get_session()  # shared: to read AWS's models takes 0.1 s
_MODEL = _CORE.get_service_model("ecs")


class Aws:
    """Scripted answers by action, the last one for ever: a dict, an error (code, message[, status]), or None: it hangs up.

    A function is called with the request and gives one of these.
    """

    def __init__(self):
        self.script = defaultdict(list)
        self.calls = []  # (action, request)
        self._lock = threading.Lock()

        aws = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                action = self.headers["X-Amz-Target"].rpartition(".")[2]
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = aws.answer(action, request)
                if status is None:
                    self.close_connection = True
                    return
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                """Silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(_POLL,), daemon=True).start()

    def answer(self, action, request):
        with self._lock:
            self.calls.append((action, request))
            unscripted = [("UnknownOperationException", f"the test says nothing of {action}")]  # waited for by nobody
            script = self.script.get(action) or unscripted
            said = script.pop(0) if len(script) > 1 else script[0]
        said = said(request) if callable(said) else said
        if said is None:
            return None, None
        if isinstance(said, tuple):
            code, message, *status = said
            return (*status, 400)[0], {"__type": code, "message": message}
        _check(action, said)
        return 200, said

    def requests(self, action):
        return [request for name, request in self.calls if name == action]

    def clients(self, region="eu-west-1"):
        from boto3.session import Session

        session = Session(aws_access_key_id="a", aws_secret_access_key="b", region_name=region, botocore_session=_CORE)
        return Clients(session, endpoint=self.endpoint)


def _check(action, said):
    """What the test says is what ECS could say."""
    if action in _MODEL.operation_names:
        report = ParamValidator().validate(said, _MODEL.operation_model(action).output_shape)
        assert not report.has_errors(), report.generate_report()


@pytest.fixture
def aws():
    server = Aws()
    yield server
    server.server.shutdown()
    server.server.server_close()
