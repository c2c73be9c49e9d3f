"""Credentials from a helper process: real processes, a clock turned by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest

from burst_magic.errors import Denied
from burst_magic.stores import open_store
from burst_magic.stores.command import from_command
from burst_magic.stores.handed import HandedOn
from burst_magic.worker.channel.board import anonymous_file

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
    def make(*ends, handed=None):
        lifetimes = ",".join(end if end == "fail" else str(NOON + end) for end in ends)
        command = [sys.executable, "-c", HELPER, str(tmp_path / "asked"), lifetimes]
        return from_command(command, handed=handed, clock=clock)

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
    with pytest.raises(Denied, match="output is not valid") as caught:
        provider()
    assert '"b"' not in str(caught.value)


def test_credentials_that_have_expired_are_refused(helper):
    with pytest.raises(Denied, match="returned expired credentials"):
        helper(-1)()


def test_a_helper_that_is_not_there_is_said():
    with pytest.raises(Denied, match="did not start"):
        from_command(["no-such-helper-anywhere"])()


def test_a_store_shows_the_helpers_own_words():
    provider = from_command([sys.executable, "-c", "import sys; sys.exit('the sign-on has ended')"])
    with pytest.raises(Denied, match="the sign-on has ended"):
        open_store("s3://bucket", credentials=provider)


# --- what is handed on ----------------------------------------------------------------------------------------------


@pytest.fixture
def memory():
    """The shared memory as two workers have it, each with a descriptor of its own."""
    made = HandedOn(anonymous_file(0))
    other = HandedOn(os.dup(made.fileno()))
    yield made, other
    for each in (made, other):
        os.close(each.fileno())


def looked_up(key, seconds, token="token"):
    end = datetime.fromtimestamp(NOON + seconds, timezone.utc).isoformat()
    return json.dumps({"AccessKeyId": key, "SecretAccessKey": "secret", "SessionToken": token, "Expiration": end})


def test_what_was_looked_up_already_is_not_asked_for(helper, memory):
    memory[0].write(looked_up("handed", 3600))
    assert helper(3600, handed=memory[1])()["access_key_id"] == "handed"
    assert helper.asked() == 0


def test_near_the_end_one_worker_asks_for_all(helper, memory, clock):
    memory[0].write(looked_up("handed", 3600))
    first, second = (helper(7200, handed=each) for each in memory)
    assert {first()["access_key_id"], second()["access_key_id"]} == {"handed"}
    clock.now = NOON + 3600 - 299
    assert {first()["access_key_id"], second()["access_key_id"]} == {"key0"}
    assert helper.asked() == 1


def test_a_later_end_of_the_same_key_is_news(helper, memory, clock):
    provider = helper(7200, handed=memory[1])
    memory[0].write(looked_up("handed", 3600))
    provider()
    clock.now = NOON + 3600 - 299
    memory[0].write(looked_up("handed", 5400))
    assert provider()["expires_at"] == datetime.fromtimestamp(NOON + 5400, timezone.utc)
    assert helper.asked() == 0


def test_a_key_that_was_refused_is_not_taken_again_whatever_its_end(helper, memory, clock):
    provider = helper(7200, handed=memory[1])
    memory[0].write(looked_up("handed", 3600))
    provider()
    provider.forget()
    clock.now = NOON + 10
    memory[0].write(looked_up("handed", 7200))
    assert provider()["access_key_id"] == "key0"


def test_another_key_that_somebody_looked_up_is_taken_after_a_refusal(helper, memory, clock):
    provider = helper(7200, handed=memory[1])
    memory[0].write(looked_up("handed", 3600))
    provider()
    provider.forget()
    clock.now = NOON + 10
    memory[0].write(looked_up("other", 3600))
    assert provider()["access_key_id"] == "other"
    assert helper.asked() == 0


@pytest.mark.parametrize("text", ["", "{", looked_up("old", -1)], ids=["nothing", "broken", "expired"])
def test_what_cannot_be_used_is_asked_for(helper, memory, text):
    memory[0].write(text)
    assert helper(3600, handed=memory[1])()["access_key_id"] == "key0"
    assert json.loads(memory[0].read())["AccessKeyId"] == "key0"


HOLD = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(memory):
    """Another process that asks, and takes its time; ``stdin`` ends it."""
    descriptor = memory[0].fileno()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process


def test_who_needs_them_waits_for_the_process_that_asks(memory, held):
    tries = []

    def pause(_):
        tries.append(1)
        if len(tries) == 3:
            held.communicate()  # it has ended, and with it what it held

    waiting = HandedOn(memory[1].fileno(), pause=pause)
    with waiting.alone():
        assert len(tries) == 3


def test_a_process_that_was_stopped_while_it_asked_is_not_waited_for_for_ever(memory, held):
    pauses = []
    with HandedOn(memory[1].fileno(), patience=1.0, pause=pauses.append).alone():
        assert sum(pauses) == pytest.approx(1.0)
    assert held.poll() is None
