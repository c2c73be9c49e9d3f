"""Credentials from a helper process: real processes, a clock turned by hand."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest

from burst_magic.errors import Denied
from burst_magic.stores import open_store
from burst_magic.stores.command import from_command

NOON = 1_800_000_000.0

HELPER = """
import datetime, json, pathlib, sys
count, lifetimes = pathlib.Path(sys.argv[1]), sys.argv[2].split(",")
asked = len(count.read_text()) if count.exists() else 0
count.write_text("x" * (asked + 1))
lifetime = lifetimes[min(asked, len(lifetimes) - 1)]
if lifetime == "fail":
    sys.exit("the sign-on has ended")
end = datetime.datetime.fromtimestamp(float(lifetime), datetime.timezone.utc)
print(json.dumps({"Version": 1, "AccessKeyId": f"key{asked}", "SecretAccessKey": "secret", "SessionToken": "token",
                  "Expiration": end.isoformat().replace("+00:00", "Z"), "Region": "eu-west-1"}))
"""


class Clock:
    now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def helper(tmp_path, clock):
    def make(*ends):
        lifetimes = ",".join(end if end == "fail" else str(NOON + end) for end in ends)
        return from_command([sys.executable, "-c", HELPER, str(tmp_path / "asked"), lifetimes], clock=clock)

    make.asked = lambda: len((tmp_path / "asked").read_text()) if (tmp_path / "asked").exists() else 0
    return make


def test_nothing_is_asked_before_it_is_needed(helper):
    helper(3600)
    assert helper.asked() == 0


def test_what_the_helper_prints_is_what_a_store_needs(helper):
    provider = helper(3600)
    assert provider() == {
        "access_key_id": "key0",
        "secret_access_key": "secret",
        "token": "token",
        "expires_at": datetime.fromtimestamp(NOON + 3600, timezone.utc),
    }
    assert provider.config == {"region": "eu-west-1"}
    assert helper.asked() == 1


def test_new_ones_are_asked_for_minutes_before_the_old_ones_end(helper, clock):
    provider = helper(3600, 7200)
    provider()
    clock.now = NOON + 3600 - 301
    assert provider()["access_key_id"] == "key0"
    clock.now = NOON + 3600 - 299
    assert provider()["access_key_id"] == "key1"
    assert provider()["access_key_id"] == "key1"
    assert helper.asked() == 2


def test_short_ones_are_used_for_half_their_life(helper, clock):
    provider = helper(60, 120)
    provider()
    clock.now = NOON + 29
    assert provider()["access_key_id"] == "key0"
    clock.now = NOON + 31
    assert provider()["access_key_id"] == "key1"


def test_many_threads_ask_one_helper(helper):
    provider = helper(3600)
    start = threading.Barrier(8)

    def ask(_):
        start.wait()
        return provider()["access_key_id"]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"key0"}
    assert helper.asked() == 1


def test_a_failure_says_what_the_helper_said(helper):
    with pytest.raises(Denied, match="the sign-on has ended"):
        helper("fail")()


def test_a_failure_while_the_old_ones_are_good_is_survived_and_asked_again(helper, clock, caplog):
    provider = helper(3600, "fail", "fail", 9000)
    provider()
    clock.now = NOON + 3400
    assert provider()["access_key_id"] == "key0"
    assert provider()["access_key_id"] == "key0"
    assert helper.asked() == 2
    assert "the sign-on has ended" in caplog.text
    clock.now = NOON + 3601
    with pytest.raises(Denied, match="the sign-on has ended"):
        provider()
    assert provider()["access_key_id"] == "key3"


@pytest.mark.parametrize(
    "printed",
    ["", "hello", "[]", "3", '{"AccessKeyId": "a"}', '{"AccessKeyId": "a", "SecretAccessKey": "b", "Expiration": 3}'],
)
def test_a_helper_that_prints_something_else_is_said_without_its_secrets(printed):
    provider = from_command([sys.executable, "-c", f"print({printed!r})"])
    with pytest.raises(Denied, match="printed something else") as caught:
        provider()
    assert '"b"' not in str(caught.value)


def test_credentials_that_have_expired_are_refused(helper):
    with pytest.raises(Denied, match="have expired"):
        helper(-1)()


def test_a_helper_that_is_not_there_is_said():
    with pytest.raises(Denied, match="did not run"):
        from_command(["no-such-helper-anywhere"])()


def test_a_store_shows_the_helpers_own_words():
    provider = from_command([sys.executable, "-c", "import sys; sys.exit('the sign-on has ended')"])
    with pytest.raises(Denied, match="the sign-on has ended"):
        open_store("s3://bucket", credentials=provider)
