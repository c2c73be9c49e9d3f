"""What a worker hears of itself: by a pipe, or by its environment, the key's object and the engine."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import socket
import threading

import pytest

from burst_magic.errors import Denied, KeyRefused, LaunchError, Missing
from burst_magic.protocol.wire.summons import Summons
from burst_magic.worker.birth import Birth, Credentials, answer, hear, own_name

SECRET, SID = bytes(range(32)), "20260101-000000-aaaaaaaa"
FINGERPRINT = hashlib.sha256(SECRET).hexdigest()[:32]
SUMMONS = Summons(
    store="s3://b/x", sid=SID, token="t1", fingerprint=FINGERPRINT, launcher="fargate", deadline=2e9, number=3
)
KEY = f"keys/{SID}.{FINGERPRINT}"


def told(words, *descriptors):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(ours, [json.dumps(words).encode()], descriptors)
        ours.close()
        return hear(theirs.fileno())


def test_a_pipe_says_it_all_and_a_newer_launcher_may_say_more():
    words = {"store": "s", "sid": SID, "secret": SECRET.hex(), "token": "t", "wid": "w"}
    born = Birth(store="s", sid=SID, secret=SECRET, token="t", wid="w")
    assert told(words) == (born, Credentials())
    more = {**words, "number": 2, "handle": "{}", "credentials": ["print"], "later": 1}
    read, write = os.pipe()
    birth, credentials = told(more, read)
    assert (birth.number, birth.handle, credentials.command) == (2, "{}", ("print",))
    os.write(write, b"!")
    assert os.read(credentials.handed, 1) == b"!"
    assert not os.get_inheritable(credentials.handed)
    for descriptor in (read, write, credentials.handed):
        os.close(descriptor)


def test_the_key_is_believed_only_if_it_has_the_fingerprint():
    birth = answer(SUMMONS, {KEY: SECRET}.__getitem__, {})
    assert (birth.secret, birth.number, birth.wid, birth.grace) == (SECRET, 3, "fargate-t1", 30.0)
    with pytest.raises(KeyRefused, match="stored key doesn't match its fingerprint") as refused:
        answer(SUMMONS, {KEY: bytes(32)}.__getitem__, {})
    assert SECRET.hex() not in str(refused.value)


@pytest.mark.parametrize(("fault", "why"), [(Missing, "is not in the store"), (Denied, "may not be read")])
def test_a_key_that_is_missing_or_may_not_be_read_is_refused_without_naming_its_object(fault, why):
    def fetch(key):
        assert key == KEY
        raise fault("no", context=key, way_out="ask")

    with pytest.raises(KeyRefused, match=why) as refused:
        answer(SUMMONS, fetch, {})
    assert FINGERPRINT not in str(refused.value)
    assert refused.value.way_out == "ask"


@pytest.fixture
def agent():
    """A container agent; gives its URL and what it answers."""
    answer = {"TaskARN": "arn:aws:ecs:us-east-1:1:task/burst/0123abcd", "Family": "burst-worker", "Revision": "3"}
    answer["PullStartedAt"] = "2026-11-28T10:00:00.202617438Z"

    class Agent(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/v4/x/task" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            """Silent."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Agent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v4/x", answer
    server.shutdown()
    server.server_close()


def test_a_task_of_ecs_is_called_what_its_launcher_calls_it(agent):
    url, _ = agent
    birth = answer(SUMMONS, lambda _: SECRET, {"ECS_CONTAINER_METADATA_URI_V4": url})
    assert (birth.wid, birth.billed_from) == ("0123abcd", 1_795_860_000)
    assert json.loads(birth.handle) == {
        "launcher": "fargate",
        "wid": "0123abcd",
        "token": "t1",
        "data": {"arn": "arn:aws:ecs:us-east-1:1:task/burst/0123abcd", "definition": "burst-worker:3"},
    }


@pytest.mark.parametrize("trouble", ["elsewhere", "empty"])
def test_an_agent_that_does_not_say_who_we_are_is_no_name(agent, trouble):
    url, answer = agent
    if trouble == "empty":
        answer.clear()
    with pytest.raises(LaunchError, match="could not read the task ARN"):
        own_name({"ECS_CONTAINER_METADATA_URI_V4": url if trouble == "empty" else f"{url}/y"})
