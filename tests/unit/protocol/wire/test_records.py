"""Records: they come back as they were, and nothing else comes back."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.errors import RecordError, SignatureError, VersionError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import records, sign
from burst_magic.protocol.wire.lock import InstalledPack
from burst_magic.protocol.wire.model import (
    ClaimBody,
    Control,
    ControlKind,
    EndCause,
    Final,
    Gone,
    Heartbeat,
    Job,
    Manifest,
    Next,
    Outcome,
    OutcomeKind,
    Provenance,
    SlotView,
)

SECRET = bytes(range(32))
KEY = "sessions/s/thing"
numbers = st.integers(0, 10**6)
times = st.floats(0, 2e9)
texts = st.text(max_size=20)
EVERY_RECORD = {
    "manifest": st.builds(
        Manifest,
        **dict.fromkeys(("sid", "launcher", "arch"), texts),
        **dict.fromkeys(("created", "cpu", "deadline", "idle", "floor"), times),
        **dict.fromkeys(("workers", "memory_mb", "seed", "rate"), numbers),
        interval=st.floats(0.001, 1e6),
        slots=st.integers(1, 100),
        budget=st.none() | numbers,
        setenv=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    ),
    "job": st.builds(
        Job,
        jid=texts,
        name=texts,
        created=times,
        tasks=st.integers(10**6, 10**7),
        lanes=st.lists(numbers, max_size=4, unique=True).map(sorted).map(tuple),
        seed=numbers,
        items=st.none() | st.tuples(numbers, numbers),
        timeout=st.none() | times,
        warnings=st.lists(texts, max_size=3).map(tuple),
    ),
    "claim": st.builds(ClaimBody, worker=texts, slot=numbers, nonce=texts, at=times),
    "control": st.builds(
        Control,
        kind=st.sampled_from(ControlKind),
        at=times,
        job=texts,
        deadline=st.none() | times,
        budget=st.none() | numbers,
        workers=st.none() | numbers,
        revision=numbers,
    ),
    "final": st.builds(
        Final,
        job=texts,
        at=times,
        by=texts,
        parts=st.lists(st.builds(lambda at, many, name: (at, at + 1 + many, name), numbers, numbers, texts)).map(tuple),
    ),
    "gone": st.builds(Gone, worker=texts, cause=st.sampled_from(EndCause), at=times, exit_code=st.none() | numbers),
    "heartbeat": st.builds(
        Heartbeat,
        worker=texts,
        number=numbers,
        at=times,
        slots=st.lists(
            st.builds(SlotView, job=texts, task=st.none() | numbers, since=st.none() | times, output=texts), max_size=3
        ).map(tuple),
    ),
    "next": st.builds(Next, token=texts, launcher=texts, number=st.none() | numbers, at=times),
    "pack": st.builds(InstalledPack, lock=texts, sha256=texts, by=texts),
}
outcomes = st.builds(
    Outcome,
    task=st.integers(0, 2**64 - 1),
    kind=st.sampled_from(OutcomeKind).filter(lambda kind: kind is not OutcomeKind.OTHER),
    began=times,
    wall=st.floats(0, 1e6, width=32),
    cpu=st.floats(0, 1e6, width=32),
    peak_mb=st.floats(0, 1e6, width=32),
    attempts=st.integers(1, 1000),
    **dict.fromkeys(("error", "message", "traceback", "item", "output"), texts),
    value=st.binary(max_size=50),
)
CLAIM = ClaimBody(worker="w", slot=0, nonce="n", at=1.0)
_facts = {"launcher": "local", "workers": 1, "slots": 1, "cpu": 1.0, "memory_mb": 1, "arch": "", "seed": 0}
SAMPLES = {
    "manifest": Manifest(sid="s", created=0.0, deadline=1.0, idle=1.0, interval=1.0, floor=1.0, **_facts),
    "job": Job(jid="0", created=0.0, tasks=1, lanes=(0,), seed=0),
    "claim": CLAIM,
    "control": Control(kind=ControlKind.SCALE, at=1.0, workers=2),
    "final": Final(job="0", at=1.0, by="w", parts=((0, 1, "name"),)),
    "gone": Gone(worker="w", cause=EndCause.IDLE, at=1.0),
    "heartbeat": Heartbeat(worker="w", number=1, at=1.0, slots=(SlotView(job="0", task=3),)),
    "next": Next(token="t", launcher="local", number=None, at=1.0),
    "pack": InstalledPack(lock="l", sha256="s", by="w"),
}


def sealed(fields):
    return sign.seal(SECRET, KEY, json.dumps(fields).encode())


def written(record):
    """The JSON of a record."""
    return json.loads(sign.unseal(SECRET, KEY, records.encode(record, secret=SECRET, key=KEY)))


def with_unknown(fields):
    """The same by a version that says more, also of what lies inside."""
    later = {**fields, "later": {"deeply": [1]}}
    return {
        name: [{**one, "later": 1} for one in value] if name == "slots" and isinstance(value, list) else value
        for name, value in later.items()
    }


def test_every_record_has_a_sample():
    assert {type(record) for record in SAMPLES.values()} == set(fx.Record.__args__)
    assert set(SAMPLES) == set(EVERY_RECORD)


@pytest.mark.parametrize("name", EVERY_RECORD)
@given(data=st.data())
def test_a_record_comes_back_as_it_was(name, data):
    record = data.draw(EVERY_RECORD[name])
    lying = records.encode(record, secret=SECRET, key=KEY)
    assert records.decode(type(record), lying, secret=SECRET, key=KEY) == record
    assert records.decode(type(record), lying, secret=None, key=KEY) == record


def test_a_record_that_was_changed_moved_or_replayed_is_refused_with_its_key():
    lying = records.encode(CLAIM, secret=SECRET, key=KEY)
    with pytest.raises(SignatureError, match=KEY):
        records.decode(ClaimBody, lying.replace(b'"w"', b'"v"'), secret=SECRET, key=KEY)
    with pytest.raises(SignatureError, match="sessions/other/thing"):
        records.decode(ClaimBody, lying, secret=SECRET, key="sessions/other/thing")
    with pytest.raises(SignatureError, match=KEY):
        records.decode(ClaimBody, lying, secret=bytes(32), key=KEY)


def test_without_the_key_a_record_is_read_and_not_believed():
    lying = records.encode(CLAIM, secret=SECRET, key=KEY).replace(b'"w"', b'"v"')
    assert records.decode(ClaimBody, lying, secret=None, key=KEY).worker == "v"


def test_a_record_of_another_kind_or_version_says_which():
    lying = records.encode(CLAIM, secret=SECRET, key=KEY)
    with pytest.raises(RecordError, match=rf"ClaimBody of schema {records.SCHEMA}; this version reads Gone"):
        records.decode(Gone, lying, secret=SECRET, key=KEY)
    newer = sealed({**written(CLAIM), "schema": 99})
    with pytest.raises(VersionError, match="schema 99") as refused:
        records.decode(ClaimBody, newer, secret=SECRET, key=KEY)
    assert KEY in str(refused.value)


# --- what anybody may have written ---------------------------------------------------------------------------------

JUNK = [
    None, True, -1, 10**400, 1e300, float("nan"), float("inf"), "text", "", [], [1, 2, 3], [[]], [["a"]], {}, {"a": [1]},
]  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_a_field_of_another_type_or_without_bounds_is_damage_and_nothing_else(name):
    kind, fields = type(SAMPLES[name]), written(SAMPLES[name])
    for field, junk in itertools.product(fields, JUNK):
        try:
            read = records.decode(kind, sealed({**fields, field: junk}), secret=None, key=KEY)
        except (RecordError, VersionError):
            continue
        before, after = getattr(SAMPLES[name], field, ""), getattr(read, field, "")
        assert after is None or before is None or isinstance(after, (type(before), int, float))
        assert str(10**400) not in repr(read)
        json.dumps(dataclasses.asdict(read), allow_nan=False)


BODIES = [
    b"[1,2,3]",
    b"null",
    b"1e999",
    b'"text"',
    b"\xff\xfe",
    b"{",
    b"[" * 100_000,
    b'{"schema":2,"is":"Job"}',
    b"9" * 5000,
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
def test_bytes_that_are_no_record_are_damage_and_nothing_else(body):
    for kind in map(type, SAMPLES.values()):
        with pytest.raises(RecordError):
            records.decode(kind, sign.seal(SECRET, KEY, body), secret=None, key=KEY)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_in_our_own_words(data):
    with pytest.raises((RecordError, SignatureError)):
        records.decode(Job, data, secret=None, key=KEY)


def test_an_object_that_is_too_large_for_its_kind_is_not_opened():
    for kind in map(type, SAMPLES.values()):
        with pytest.raises(RecordError, match="larger"):
            records.decode(kind, memoryview(bytearray(records.most_bytes(kind) + 1)), secret=None, key=KEY)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("sessions/other/manifest.json", "manifest"),
        ("sessions/s/jobs/1/job.json", "job"),
        ("sessions/s/jobs/1/final", "final"),
        ("sessions/s/workers/other.gone", "gone"),
        ("sessions/s/workers/other.1.0", "heartbeat"),
    ],
)
def test_a_record_that_names_another_session_job_or_worker_than_its_key_is_refused(key, name):
    record = SAMPLES[name]
    with pytest.raises(RecordError, match="says that it is"):
        records.decode(type(record), records.encode(record, secret=SECRET, key=key), secret=None, key=key)
    with pytest.raises(RecordError, match="says that it is"):
        records.decode(type(record), records.encode(record, secret=SECRET, key=key), secret=SECRET, key=key)


# --- what a newer version may have written ------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY_RECORD)
@given(data=st.data())
def test_a_field_of_a_later_version_is_passed_over(name, data):
    record = data.draw(EVERY_RECORD[name])
    later = with_unknown(written(record))
    assert records.decode(type(record), sealed(later), secret=SECRET, key=KEY) == record


def enum_fields():
    """Every field of a record that holds an enum."""
    return [
        (kind, field.name)
        for kind in fx.Record.__args__
        for field in dataclasses.fields(kind)
        if field.type in {"EndCause", "ControlKind"}
    ]


@pytest.mark.parametrize(("kind", "name"), enum_fields())
def test_a_value_of_a_later_version_reads_as_other_and_keeps_its_text(kind, name):
    record = {
        Gone: Gone(worker="w", cause=EndCause.IDLE, at=1.0, detail="said"),
        Control: Control(kind=ControlKind.CANCEL, at=1.0, job="0"),
    }[kind]
    fields = written(record)
    assert fields[name] in {"idle", "cancel"}
    read = records.decode(kind, sealed({**fields, name: "hibernated"}), secret=SECRET, key=KEY)
    assert getattr(read, name).value == "other"
    assert read == dataclasses.replace(record, **{name: type(getattr(record, name)).OTHER}, other="hibernated")
    assert records.decode(kind, records.encode(read, secret=SECRET, key=KEY), secret=SECRET, key=KEY) == read


def test_an_outcome_of_a_later_kind_is_a_failure_that_says_so():
    packed = bytearray(records.pack_outcome(Outcome(task=3, kind=OutcomeKind.ERROR)))
    packed[8] = 77  # after the task
    outcome = records.unpack_outcome(bytes(packed))
    assert (outcome.kind, outcome.failed) == (OutcomeKind.OTHER, True)
    assert "does not know (77)" in outcome.message
    assert records.unpack_outcome(records.pack_outcome(outcome)) == outcome
    assert records.value_in(memoryview(bytes(packed))) is None


def test_a_text_of_a_later_version_in_an_outcome_is_passed_over():
    outcome = Outcome(task=3, kind=OutcomeKind.ERROR, error="E", message="m")
    packed = records.pack_outcome(outcome).replace(b'"error"', b'"later"')
    assert records.unpack_outcome(packed) == dataclasses.replace(outcome, error="")


@pytest.mark.parametrize("name", EVERY_RECORD)
def test_what_tells_of_workers_is_read_whatever_the_schema_and_nothing_else(name):
    record = SAMPLES[name]
    other = sealed({**with_unknown(written(record)), "schema": records.SCHEMA + 1})
    if name in {"gone", "heartbeat", "next"}:
        assert records.decode(type(record), other, secret=SECRET, key=KEY) == record
    else:
        with pytest.raises(VersionError, match=f"schema {records.SCHEMA + 1}; this version reads"):
            records.decode(type(record), other, secret=SECRET, key=KEY)


@pytest.mark.parametrize("name", EVERY_RECORD)
def test_a_record_without_what_it_must_have_is_damaged(name):
    fields = {"schema": records.SCHEMA, "is": type(SAMPLES[name]).__name__}
    with pytest.raises(RecordError, match="damaged"):
        records.decode(type(SAMPLES[name]), sealed(fields), secret=SECRET, key=KEY)


@given(texts, st.integers(0, 2**16 - 1), st.binary(max_size=20))
def test_an_origin_comes_back_and_leaves_the_outcomes(worker, slot, packed):
    origin = Provenance(worker, slot)
    assert records.read_origin(memoryview(records.pack_origin(origin) + packed)) == (origin, packed)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"schema": 1}', b"\xff"])
def test_a_damaged_record_is_named(body):
    with pytest.raises((RecordError, SignatureError), match=KEY):
        records.decode(ClaimBody, sign.seal(SECRET, KEY, body), secret=SECRET, key=KEY)


@given(outcomes)
def test_an_outcome_comes_back_as_it_was(outcome):
    assert records.unpack_outcome(records.pack_outcome(outcome)) == outcome


def consecutive(found, first):
    return [dataclasses.replace(outcome, task=first + number) for number, outcome in enumerate(found)]


@given(st.lists(outcomes, max_size=5), st.integers(0, 1 << 60))
def test_outcomes_that_were_joined_are_found_again(found, first):
    found = consecutive(found, first)
    data = b"".join(map(records.pack_outcome, found))
    places = records.places_of(data, first, len(found))
    assert [records.unpack_outcome(data[begin:end]) for begin, end in itertools.pairwise(places)] == found
    values = records.values_of(memoryview(data), first, len(found))
    assert values == [None if outcome.failed else outcome.value for outcome in found]


@given(st.lists(outcomes, min_size=1, max_size=5), st.integers(0, 1 << 60), st.data())
def test_a_part_of_a_run_holds_the_outcomes_of_its_tasks(found, first, data):
    found = consecutive(found, first)
    run = records.PackedRun(first=first, count=len(found), data=b"".join(map(records.pack_outcome, found)))
    start = data.draw(st.integers(first, first + len(found) - 1))
    stop = data.draw(st.integers(start + 1, first + len(found)))
    chosen = b"".join(map(records.pack_outcome, found[start - first : stop - first]))
    assert run.part(start, stop) == records.PackedRun(first=start, count=stop - start, data=chosen)


@given(st.lists(outcomes, min_size=1, max_size=5), st.sampled_from([(1, 0), (0, 1), (0, -1)]))
def test_outcomes_of_other_tasks_than_were_asked_for_are_an_error(found, wrong):
    data = b"".join(map(records.pack_outcome, consecutive(found, 7)))
    with pytest.raises(RecordError):
        records.places_of(data, 7 + wrong[0], len(found) + wrong[1])
    with pytest.raises(RecordError):
        records.values_of(memoryview(data), 7 + wrong[0], len(found) + wrong[1])


@given(st.integers(0, 2**64 - 1), st.binary(max_size=50))
def test_the_short_road_packs_what_the_long_one_packs(task, value):
    plain = Outcome(task=task, kind=OutcomeKind.VALUE, began=3.5, wall=0.5, cpu=0.25, peak_mb=8.0, value=value)
    assert records.pack_value(task, value, began=3.5, wall=0.5, cpu=0.25, peak_mb=8.0) == records.pack_outcome(plain)


@given(outcomes)
def test_a_value_is_cut_out_without_the_rest(outcome):
    packed = memoryview(records.pack_outcome(outcome))
    found = records.value_in(packed)
    assert (found is None) == outcome.failed
    assert found is None or bytes(found) == outcome.value


@given(outcomes, st.data())
def test_a_segment_that_was_cut_short_is_an_error(outcome, data):
    packed = records.pack_outcome(outcome)
    keep = data.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(RecordError, match="truncated"):
        records.places_of(packed[:keep], outcome.task, 1)
