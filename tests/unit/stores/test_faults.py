"""Every fault has its class, also those that come over the wire."""

from __future__ import annotations

import pytest

from burst_magic.errors import Denied, Exists, Missing, StoreError, Throttled, Unknown
from burst_magic.stores import open_store
from burst_magic.stores.faults import fault, outside
from burst_magic.stores.retry import Retry
from burst_magic.stores.s3 import S3Store
from burst_magic.testing.careless import LOST, careless
from burst_magic.testing.servers import Keys, StaticCredentials, free_ports


@pytest.fixture
def server():
    with careless() as running:
        yield running


def impatient(endpoint, tries=0):
    keys = StaticCredentials(Keys(access="a", secret="b"), {})
    return S3Store(
        "bucket",
        "",
        settings={"endpoint": endpoint, "region": "x"},
        credentials=keys,
        retry=Retry(tries=tries, within=25),
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Denied), (403, Denied), (404, Missing), (409, Exists), (412, Exists), (429, Throttled), (503, Throttled),
        (500, Unknown), (502, Unknown), (504, Unknown), (LOST, Unknown), (400, StoreError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["create", "put", "get"])
def test_an_answer_is_told_by_its_status(server, status, kind, verb):
    if verb == "get" and status in {409, 412}:
        kind = StoreError  # no condition was asked of it
    server.script.append(status)
    store = impatient(server.endpoint)
    with pytest.raises(StoreError) as caught:
        store.get("a") if verb == "get" else getattr(store, verb)("a", b"1")
    assert type(caught.value) is kind or (kind is StoreError and isinstance(caught.value, kind))
    assert caught.value.context == "a"


def test_a_write_whose_reply_is_lost_is_done_though_unknown(server):
    server.script.append(LOST)
    store = impatient(server.endpoint)
    with pytest.raises(Unknown):
        store.create("a", b"1")
    assert store.get("a") == b"1"


def test_a_short_fault_is_tried_again_without_a_word(server):
    server.script.extend([503, 500, 503])
    store = impatient(server.endpoint, tries=5)
    store.put("a", b"1")
    assert store.get("a") == b"1"
    assert server.requests == 5


def test_a_server_that_is_not_there_is_an_unknown_outcome():
    with pytest.raises(Unknown, match="the request to the store failed"):
        impatient(f"http://127.0.0.1:{free_ports(1)[0]}").put("a", b"1")


def test_a_mistake_in_a_program_is_no_fault_of_the_store():
    for store in (open_store("memory://mistakes"), impatient("http://127.0.0.1:9")):
        with pytest.raises(TypeError):
            store.create("a", "text is not bytes")


def test_messages_are_short(server):
    server.script.append(500)
    with pytest.raises(Unknown) as caught:
        impatient(server.endpoint).get("a")
    assert len(str(caught.value)) < 600
    assert "Debug source" not in str(caught.value)


def test_what_a_provider_says_comes_through(server):
    def provider():
        raise Denied("the sign-on has ended", way_out="aws sso login")

    provider.config = {"endpoint": server.endpoint}
    store = open_store("s3://bucket", credentials=provider)
    for verb in (
        lambda: store.get("a"),
        lambda: store.put("a", b""),
        lambda: store.list(""),
        lambda: store.delete(["a"]),
    ):
        with pytest.raises(Denied, match="the sign-on has ended") as caught:
            verb()
        assert caught.value.way_out == "aws sso login"
    assert server.requests == 0


def test_a_computer_whose_clock_is_wrong_is_told_so_and_not_to_check_its_credentials():
    said = (
        "status: 403 Forbidden: <Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large</Message>"
    )
    denied = fault(RuntimeError(said), "key")
    assert isinstance(denied, Denied)
    assert "clock is wrong" in denied.problem
    assert "set the clock" in denied.way_out


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("elapsed: 429.962µs, status: 403, body: InvalidAccessKeyId", Denied),
        ("uri: http://127.0.0.1:503/bucket, elapsed: 503ms, status: 403", Denied),
        ("elapsed: 403.1ms, status: 503", Throttled),
        ("HTTP status server error (503 Service Unavailable)", Throttled),
    ],
)
def test_a_time_or_a_port_is_no_status(text, kind):
    assert type(fault(RuntimeError(text), "key")) is kind


@pytest.mark.parametrize(
    "text",
    ["elapsed: 416.962µs, status: 412", "uri: http://127.0.0.1:416/bucket/InvalidRange, elapsed: 416ms, status: 500"],
)
def test_a_time_a_port_or_a_name_makes_no_object_end_early(text):
    assert not outside(RuntimeError(text))
    assert outside(RuntimeError("elapsed: 5ms, status: 416, body: "))
