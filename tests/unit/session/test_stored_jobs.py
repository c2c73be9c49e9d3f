"""Jobs are found by name in a store from another computer: only those whose records can be verified."""

from __future__ import annotations

import pytest

from burst_magic.errors import Denied, RecordError, SignatureError
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import Control, ControlKind, Job
from burst_magic.session import keyring
from burst_magic.session.stored_jobs import NEWEST, latest_job, named_in_store
from burst_magic.stores import open_store

SECRET, ANOTHER = bytes(range(32)), bytes(range(1, 33))


def sid_of(number: int) -> str:
    return f"20260101-{number:06d}-aaaaaaaa"


class Bucket:
    """A store in memory that counts what it is asked, and may refuse to list keys."""

    def __init__(self):
        self.inner, self.asked, self.refuses = open_store("memory://by-name"), 0, False
        self.url = self.inner.url

    def get(self, key, **span):
        self.asked += 1
        return self.inner.get(key, **span)

    def list(self, prefix, **span):
        self.asked += 1
        if self.refuses and prefix == keys.SESSION_KEYS:
            raise Denied("access denied", context=prefix)
        return self.inner.list(prefix, **span)

    def path(self, key):
        return None

    def write(self, number, *names, secret=SECRET, signed_by=None, publish=True, created=0.0):
        sid = sid_of(number)
        for jid, name in enumerate(names):
            control = keys.SessionKeys(sid).control(str(jid), ControlKind.ADD_JOB)
            said = Control(kind=ControlKind.ADD_JOB, at=0.0, job=str(jid))
            self.inner.create(control, records.encode(said, secret=secret, key=control))
            key = keys.SessionKeys(sid).job(str(jid)).record
            job = Job(jid=str(jid), created=created or number + jid / 10, tasks=1, lanes=(0,), seed=0, name=name)
            self.inner.create(key, records.encode(job, secret=signed_by or secret, key=key))
        if publish:
            keyring.publish(self.inner, sid, secret)
        return sid


@pytest.fixture
def bucket():
    made = Bucket()
    yield made
    made.inner.delete([entry.key for entry in made.inner.list("")])


def found(bucket, name, folder):
    return [f"{job.id}/{job.job}" for job in named_in_store(name, bucket, folder)[0]]


def problems(bucket, name, folder):
    return [problem.problem for problem in named_in_store(name, bucket, folder)[1]]


def test_all_jobs_of_a_name_are_found_oldest_first(bucket, tmp_path):
    one, two = bucket.write(1, "tour", "other"), bucket.write(2, "other", "tour")
    assert found(bucket, "tour", tmp_path) == [f"{one}/0", f"{two}/1"]
    assert found(bucket, "tou", tmp_path) == []


def test_a_job_that_was_added_later_to_an_older_session_is_the_newer_one(bucket, tmp_path):
    old, new = bucket.write(1, "tour", created=50.0), bucket.write(2, "tour", created=40.0)
    assert found(bucket, "tour", tmp_path) == [f"{new}/0", f"{old}/0"]


def test_a_record_that_the_sessions_key_has_not_signed_does_not_count(bucket, tmp_path):
    bucket.write(1, "tour", signed_by=ANOTHER)
    assert found(bucket, "tour", tmp_path) == []
    assert len(problems(bucket, "tour", tmp_path)) == 1


def test_a_session_with_a_planted_key_is_left_out_unless_its_key_is_here(bucket, tmp_path):
    sid = bucket.write(1, "tour")
    keyring.publish(bucket.inner, sid, ANOTHER)
    assert found(bucket, "tour", tmp_path) == []
    assert problems(bucket, "tour", tmp_path) == [f"session {sid} has several keys"]
    keyring.keep(tmp_path, sid, SECRET)
    assert found(bucket, "tour", tmp_path) == [f"{sid}/0"]


def test_who_may_not_list_keys_finds_sessions_whose_key_is_here_and_hears_why_otherwise(bucket, tmp_path):
    sid = bucket.write(1, "tour")
    bucket.refuses = True
    assert found(bucket, "tour", tmp_path) == []
    assert problems(bucket, "tour", tmp_path) == ["access denied"]
    keyring.keep(tmp_path, sid, SECRET)
    assert found(bucket, "tour", tmp_path) == [f"{sid}/0"]


def test_only_the_newest_sessions_are_asked(bucket, tmp_path):
    for number in range(NEWEST + 1):
        bucket.write(number, "first" if number == 0 else "later")
    assert found(bucket, "first", tmp_path) == []
    assert bucket.asked <= 1 + 4 * NEWEST  # LIST keys; each session's LIST and GET of its key, LIST and GET of its job


@pytest.mark.parametrize("signed_by", [ANOTHER, None], ids=["signed with another key", "no record"])
def test_the_latest_job_is_one_that_can_be_read_though_a_newer_one_is_damaged(bucket, caplog, signed_by):
    sid = bucket.write(1, "settle", "later", publish=False)
    newest = keys.SessionKeys(sid).job("1").record
    bucket.inner.put(newest, bucket.inner.get(newest)[:-9] if signed_by is None else _signed(newest, signed_by))

    assert latest_job(bucket.inner, sid, "", SECRET).name == "settle"
    assert newest in caplog.text
    with pytest.raises((RecordError, SignatureError)):
        latest_job(bucket.inner, sid, "1", SECRET)


def test_a_session_whose_every_job_is_damaged_says_what_is_wrong_with_them(bucket):
    sid = bucket.write(1, "settle", publish=False)
    bucket.inner.put(keys.SessionKeys(sid).job("0").record, b"damaged")

    with pytest.raises(SignatureError, match="not a signed record"):
        latest_job(bucket.inner, sid, "", SECRET)


def _signed(key: str, secret: bytes) -> bytes:
    return records.encode(Job(jid="1", created=9.0, tasks=1, lanes=(0,), seed=0, name="later"), secret=secret, key=key)
