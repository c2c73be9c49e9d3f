"""What a machine's drivers do with a store that fails: what is repeated, what is believed, what is told."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from burst_magic.errors import Denied, Exists, Missing, NoBucket, SignatureError, StoreError, Throttled, Unknown
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import records
from burst_magic.protocol.wire.model import ClaimBody
from burst_magic.stores import open_store
from burst_magic.stores.command import from_command
from burst_magic.stores.patient import Patient
from burst_magic.stores.probe import probe
from burst_magic.stores.retry import PERSON, Retry
from burst_magic.stores.s3 import S3Store
from burst_magic.stores.store_driver import Carrier, ours
from burst_magic.testing.careless import careless

SECRET = bytes(32)
CLAIM = "sessions/s/jobs/0/claims/000.0"


class Rough:
    """A store that does as its script says first: an error, or ``DONE`` and then the error, or bytes to read."""

    def __init__(self, name, *script):
        self.calm = open_store(f"memory://rough-{name}")
        self.calm.delete([entry.key for entry in self.calm.list("")])
        self.url, self.script, self.asked = self.calm.url, list(script), []

    def _next(self, verb, act):
        self.asked.append(verb)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, tuple):
            act()
            step = step[1]
        if isinstance(step, Exception):
            raise step
        return act() if step is None else step

    def create(self, key, data, *, whole=False):
        return self._next("create", lambda: self.calm.create(key, data, whole=whole))

    def put(self, key, data, *, whole=False):
        return self._next("put", lambda: self.calm.put(key, data, whole=whole))

    def get(self, key, *, start=0, end=None):
        return self._next("get", lambda: self.calm.get(key, start=start, end=end))

    def list(self, prefix, *, after="", limit=None):
        return self._next("list", lambda: self.calm.list(prefix, after=after, limit=limit))

    def folders(self, prefix):
        return self._next("folders", lambda: self.calm.folders(prefix))

    def delete(self, keys):
        return self._next("delete", lambda: self.calm.delete(keys))

    def path(self, key):
        return None


def lost(error):
    """It is done, and then this is raised."""
    return ("done", error)


@pytest.fixture
def carrier(request):
    def over(*script, goes_on=True, **options):
        pauses = []
        store = Rough(request.node.name, *script)
        made = Carrier(store, SECRET, lambda seconds: pauses.append(seconds) or goes_on, **options)
        return made, store, pauses

    return over


def test_a_page_of_what_others_left_there_ends_no_listing():
    store, folder = open_store("memory://carry-strangers"), "sessions/s/jobs/0/claims"
    for number in range(7):
        store.put(f"{folder}/.nfs{number}", b"")
    store.put(CLAIM, b"")
    assert [entry.key for entry in ours(store, folder, limit=3)] == [CLAIM]


@pytest.mark.parametrize(
    "script",
    [
        (), (Throttled("slow"), Throttled("slow")), (Unknown("no answer"),), (lost(Unknown("reply lost")),),
        (lost(Exists("a retry lost to itself")),), (Exists("409, and nobody won"),),
        (Exists("409"), None, lost(Unknown("reply lost"))), (lost(Unknown("reply lost")), b"ha"),
    ],
)  # fmt: skip
def test_what_nobody_else_creates_stands_in_the_end(carrier, script):
    made, store, _ = carrier(*script)
    made.insist("a", b"half")
    assert store.calm.get("a") == b"half"


def test_what_is_insisted_on_is_given_up_when_it_is_forbidden_or_somebody_elses(carrier):
    made, store, _ = carrier(Denied("no"))
    with pytest.raises(Denied):
        made.insist("a", b"mine")
    assert store.asked == ["create"]
    store.calm.create("a", b"another's")
    with pytest.raises(Exists):
        made.insist("a", b"mine")
    assert store.calm.get("a") == b"another's"


def test_what_is_refused_for_good_is_told_until_it_is_taken(carrier):
    full = StoreError("no room")
    made, _, _ = carrier(full, Unknown("no answer"), Throttled("slow"), None, full)
    other = made.once()
    assert (made.create("results/a", b""), made.refusals.count, made.refusals.said) == (fx.Wrote.UNKNOWN, 1, "no room")
    assert made.create("results/b", b"") is fx.Wrote.UNKNOWN  # nobody knows what became of it
    assert (made.refusals.count, made.refusals.said) == (1, "no room")
    assert made.create("claims/a", b"") is fx.Wrote.DONE  # there is room for this
    assert made.refusals.said == "no room"
    assert other.create("results/c", b"") is fx.Wrote.UNKNOWN
    assert made.refusals.count == 2
    assert other.create("results/d", b"") is fx.Wrote.DONE
    assert (made.refusals.count, made.refusals.said) == (2, "")


def claim():
    body = ClaimBody(worker="w", slot=0, nonce="n", at=1.0)
    return body, records.encode(body, secret=SECRET, key=CLAIM)


def test_a_record_that_was_cut_on_its_way_is_read_again(carrier):
    body, data = claim()
    made, store, pauses = carrier(data[:20], data[:-1], Unknown("reset"))
    store.calm.create(CLAIM, data)
    assert made.carry(fx.Read(CLAIM, ClaimBody)) == fx.Got(CLAIM, body)
    assert len(pauses) == 3


def test_a_forged_record_is_read_some_times_and_never_believed(carrier):
    made, store, pauses = carrier()
    store.calm.create(CLAIM, b"x" * 100)
    got = made.carry(fx.Read(CLAIM, ClaimBody))
    assert (got.record.worker, got.record.nonce) == ("", "")
    assert len(store.asked) == 4
    assert sum(pauses) < 2


def test_who_ends_does_not_wait_for_what_does_not_verify(carrier):
    made, _, pauses = carrier(goes_on=False)

    def read():
        raise SignatureError("cut")

    with pytest.raises(SignatureError):
        made.believed(read)
    assert len(pauses) == 1


def test_of_many_records_in_a_folder_that_cannot_be_read_the_first_are_named_and_each_once(carrier, caplog):
    made, store, _ = carrier()
    places = [f"sessions/s/jobs/{job}/claims/{number:03}.0" for job in range(2) for number in range(9)]
    for key in places:
        store.calm.put(key, b"noise")
    with caplog.at_level(logging.WARNING):
        for asked in (made, made.once()):
            for key in places:
                asked.carry(fx.Read(key, ClaimBody))
    said = [record.message for record in caplog.records]
    assert [key for key in places if any(key in message for message in said)] == [*places[:3], *places[9:12]]
    assert [message for message in said if "more records" in message] == [
        f"more records in sessions/s/jobs/{job}/claims cannot be read, either; they are passed over without a message"
        for job in range(2)
    ]
    assert len(said) == 8


def test_a_lasting_fault_is_told_once_and_asked_about_ever_more_seldom(carrier, caplog):
    made, store, pauses = carrier(*[StoreError("the disk is full")] * 12)
    with caplog.at_level(logging.WARNING):
        assert {made.create("a", b"1") for _ in range(12)} == {fx.Wrote.UNKNOWN}
    assert [record.message for record in caplog.records] == ["the disk is full"]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0
    assert made.create("a", b"1") is fx.Wrote.DONE
    store.script.append(StoreError("the disk is full"))
    made.create("b", b"1")
    assert pauses[-1] == pauses[0]


def test_short_troubles_are_told_to_nobody(carrier, caplog):
    made, _, _ = carrier(*[Throttled("slow"), Unknown("reset")] * 2)
    with caplog.at_level(logging.WARNING):
        made.carry(fx.List("control"))
    assert not caplog.records


class Hours:
    """A clock that only waiting moves; each call of the store takes it further too, by ``each`` seconds."""

    def __init__(self, each=0.0):
        self.now, self.each, self.pauses = 0.0, each, []

    def __call__(self):
        self.now += self.each
        return self.now

    def wait(self, seconds):
        self.now += seconds
        self.pauses.append(seconds)
        return True


def patient(name, *script):
    hours = Hours()
    store = Rough(name, *script)
    return Patient(store, Retry(within=3.0), wait=hours.wait, clock=hours), store, hours.pauses


class Throttling(Rough):
    """Always asked too fast."""

    def _next(self, verb, act):
        self.asked.append(verb)
        raise Throttled("slow")


@pytest.mark.parametrize("verb", ["create", "put", "get", "list", "delete"])
@pytest.mark.parametrize("each", [0.0, 6.3])
def test_who_submits_to_a_store_that_throttles_for_ever_is_told_within_half_a_minute(verb, each):
    store, hours = Throttling(f"throttled-{verb}"), Hours(each)
    ask = {**VERBS, "create": lambda store: store.create("a", b"1")}[verb]
    with pytest.raises(Throttled):
        ask(Patient(store, PERSON, wait=hours.wait, clock=hours))
    assert 20 <= hours.now < 20 + 2 * each + 1e-6
    assert len(store.asked) < 15


def test_a_start_that_is_throttled_for_ever_is_given_up_and_its_patience_is_not_doubled():
    store, hours = Throttling("throttled-start"), Hours()
    twice = Patient(store, PERSON, wait=hours.wait, clock=hours)
    with pytest.raises(Throttled):
        Carrier(twice, SECRET, hours.wait, retry=PERSON, clock=hours).insist("a", b"1")
    assert 20 <= hours.now < 20 + 1e-6


def test_a_driver_waits_for_as_long_as_it_drives():
    store, hours = Throttling("throttled-driver"), Hours()
    carrier = Carrier(store, SECRET, lambda seconds: hours.wait(seconds) and hours.now < 5000, clock=hours)
    with pytest.raises(Throttled):
        carrier.carry(fx.List("control"))
    assert hours.now >= 5000
    assert max(hours.pauses) == 5.0


VERBS = {
    "put": lambda store: store.put("a", b"1"), "get": lambda store: store.get("b"),
    "list": lambda store: store.list(""), "delete": lambda store: store.delete(iter(["b"])),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_a_person_waits_out_short_troubles_and_is_told_of_long_ones(verb):
    short, store, pauses = patient(f"short-{verb}", Unknown("reset"), Throttled("slow"))
    store.calm.put("b", b"1")
    VERBS[verb](short)
    assert store.asked == [verb] * 3
    long, store, pauses = patient(f"long-{verb}", *[Unknown("reset")] * 99)
    with pytest.raises(Unknown):
        VERBS[verb](long)
    assert sum(pauses) == pytest.approx(3.0)


@pytest.mark.parametrize("error", [Denied("no"), StoreError("full"), Missing("none")])
def test_what_waiting_does_not_cure_is_told_at_once(error):
    for verb, ask in VERBS.items():
        eager, _, pauses = patient(f"{type(error).__name__}-{verb}", error)
        with pytest.raises(type(error)):
            ask(eager)
        assert not pauses


def test_a_create_is_repeated_only_when_nothing_was_done():
    store, rough, _ = patient("create", Throttled("slow"), Unknown("reply lost"))
    with pytest.raises(Unknown):
        store.create("a", b"1")
    assert rough.asked == ["create", "create"]


def test_a_stream_is_never_repeated_for_it_is_consumed():
    store, rough, _ = patient("stream", Unknown("reset"))
    with pytest.raises(Unknown):
        store.put("a", iter([b"1"]))
    assert rough.asked == ["put"]


def test_the_probe_is_not_misled_by_a_409_though_nobody_won(tmp_path):
    store = Rough("probe", Exists("409"), None, None)
    probe(store, remembered=tmp_path)
    assert store.calm.list("") == []


PRINTS = "import json, sys; print(open(sys.argv[1]).read()); open(sys.argv[1] + '.asked', 'a').write('x')"


def helper(tmp_path, access):
    said = {"AccessKeyId": access, "SecretAccessKey": "s", "Expiration": "2999-01-01T00:00:00Z"}
    (tmp_path / "said").write_text(json.dumps(said))
    return [sys.executable, "-c", PRINTS, str(tmp_path / "said")]


def asked(tmp_path):
    return len((tmp_path / "said.asked").read_text())


def test_a_helper_whose_credentials_are_refused_is_asked_again_but_not_all_the_time(tmp_path):
    now = [1000.0]
    provider = from_command(helper(tmp_path, "first"), clock=lambda: now[0])
    assert provider()["access_key_id"] == "first"
    for _ in range(5):
        provider.forget()
        provider()
    assert asked(tmp_path) == 1
    for seconds in (2.0, 4.0, 8.0):
        now[0] += seconds
        provider.forget()
        provider()
    assert asked(tmp_path) == 4
    helper(tmp_path, "second")
    now[0] += 16.0
    provider.forget()
    assert provider()["access_key_id"] == "second"


def test_a_policy_that_forbids_is_no_reason_to_ask_for_other_credentials():
    def provider():
        return {"access_key_id": "a", "secret_access_key": "s", "token": None, "expires_at": None}

    def forget():
        raise AssertionError

    provider.forget = forget
    with careless() as server:
        server.script.append(403)
        settings = {"endpoint": server.endpoint, "region": "x"}
        store = S3Store("bucket", "", settings=settings, credentials=provider, retry=Retry(tries=0, within=25))
        with pytest.raises(Denied):
            store.put("a", b"1")
        assert server.requests == 1


def no_bucket(times):
    return [NoBucket("no such bucket", context="s", way_out="create it")] * times


def claims_of(carrier):
    return [name for name, _ in carrier.carry(fx.List(CLAIM.rpartition("/")[0])).names]


@pytest.mark.parametrize("times", [1, 5])
def test_a_bucket_that_is_missing_for_a_moment_takes_no_session_with_it(times):
    """A new bucket is not everywhere at once; a server that restarts has none yet."""
    hours = Hours()
    store = Rough("away", *no_bucket(times))
    store.calm.create(CLAIM, b"")
    assert claims_of(Carrier(store, SECRET, hours.wait, clock=hours)) == ["000.0"]


def test_a_bucket_that_stays_away_is_deleted_which_is_not_waited_for_again():
    hours = Hours()
    carrier = Carrier(Rough("gone", *no_bucket(100)), SECRET, hours.wait, clock=hours)
    assert claims_of(carrier) == []
    waited = hours.now
    assert waited >= 15.0
    assert claims_of(carrier) == []
    assert hours.now == waited


def test_who_ends_while_a_bucket_is_missing_has_seen_no_deletion():
    carrier = Carrier(Rough("ending", *no_bucket(100)), SECRET, lambda _: False)
    with pytest.raises(NoBucket):
        claims_of(carrier)
