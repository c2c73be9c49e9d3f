"""Keys: what is built can be parsed, and the order of keys is the order of what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.errors import RecordError
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimKey, ControlKind, SegmentKey

SESSION = keys.SessionKeys("20261121-093000-abcdefgh")
JOB = SESSION.job("0")
tasks = st.integers(0, 10**10 - 1)
numbers = st.integers(0, 999)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_~-]{0,30}", fullmatch=True)
claims = st.builds(ClaimKey, start=tasks, number=numbers)
segments = st.builds(
    SegmentKey, at_ms=st.integers(0, 10**14 - 1), start=tasks, stop=tasks, failed=st.integers(0, 10**6), claim=claims
)


@given(claims)
def test_a_claim_key_comes_back_as_it_was(claim):
    assert keys.parse_claim(JOB.claim(claim)) == claim


@given(segments)
def test_a_segment_key_comes_back_as_it_was(segment):
    assert keys.parse_segment(JOB.segment(segment)) == segment
    assert keys.parse_segment(keys.segment_name(segment)) == segment


@given(st.lists(claims))
def test_claim_keys_sort_as_claims(found):
    assert sorted(found) == [keys.parse_claim(key) for key in sorted(map(JOB.claim, found))]


@given(st.lists(segments))
def test_segment_keys_sort_by_time(found):
    times = [keys.parse_segment(key).at_ms for key in sorted(map(JOB.segment, found))]
    assert times == sorted(times)


@given(segments, st.integers(0, 10**14 - 1))
def test_a_reader_that_goes_on_at_a_time_misses_nothing_of_that_time_or_later(segment, at_ms):
    assert (keys.segment_name(segment) > keys.results_after(at_ms)) == (segment.at_ms >= at_ms)


@given(ids, st.integers(0, 10**14 - 1), st.integers(0, 10**9))
def test_a_workers_keys_are_told_apart(wid, billed, rate):
    beat = keys.parse_worker(SESSION.heartbeat(wid, billed, rate))
    assert (beat.ident, beat.kind, beat.billed_from_ms, beat.rate) == (wid, "beat", billed, rate)
    assert keys.parse_worker(SESSION.gone(wid)) == keys.WorkerKey(ident=wid, kind="gone")
    assert keys.parse_worker(SESSION.next(wid)) == keys.WorkerKey(ident=wid, kind="next")
    assert keys.parse_worker(SESSION.watch).kind == "watch"


@given(ids, st.sampled_from(ControlKind).filter(lambda kind: kind is not ControlKind.OTHER))
def test_a_control_key_comes_back_as_it_was(ident, kind):
    assert keys.parse_control(SESSION.control(ident, kind)) == keys.ControlKey(ident=ident, kind=kind)


def test_what_a_newer_version_asks_for_is_passed_over_in_a_listing():
    is_ours = keys.ours_in(SESSION.control_folder)
    assert is_ours("1-cancel")
    assert not is_ours("1-hibernate")
    assert not is_ours("1-other")


def test_a_sessions_key_lies_under_its_fingerprint():
    assert keys.session_key(SESSION.sid, "0123abcd") == f"keys/{SESSION.sid}.0123abcd"


@pytest.mark.parametrize("ident", ["", "a.b", "a/b", ".", "-a", "a b", "ä", "a\n"])
def test_an_id_that_would_break_a_key_is_refused(ident):
    for build in (SESSION.gone, SESSION.next, SESSION.job, lambda wid: SESSION.heartbeat(wid, 0, 0)):
        with pytest.raises(RecordError, match="not an id"):
            build(ident)


@pytest.mark.parametrize("parse", [keys.parse_claim, keys.parse_segment, keys.parse_control, keys.parse_worker])
@pytest.mark.parametrize("name", ["", "x", "1.2.3.4.5", "a-b.c", "0000000000.0x0"])
def test_a_foreign_name_is_refused_with_its_key(parse, name):
    with pytest.raises(RecordError) as refused:
        parse(f"folder/{name}")
    assert f"folder/{name}" in str(refused.value)


OWN = {
    JOB.claims_folder: JOB.claim(ClaimKey(start=3, number=0)),
    JOB.results_folder: JOB.segment(SegmentKey(5, 0, 2, 0, ClaimKey(start=0, number=0))),
    SESSION.control_folder: SESSION.control("x", ControlKind.CLOSE),
    SESSION.workers_folder: SESSION.gone("w"),
}


@pytest.mark.parametrize("folder", OWN)
@pytest.mark.parametrize("foreign", ["", ".DS_Store", ".nfs0001", "Icon\r", "copy of {}", "{}.bak", "{}\n", "old/{}"])
def test_what_others_leave_in_a_folder_is_told_from_the_protocols(folder, foreign):
    own = OWN[folder].rpartition("/")[2]
    is_ours = keys.ours_in(folder)
    assert is_ours(own)
    assert not is_ours(foreign.format(own))


@pytest.mark.parametrize("folder", [JOB.claims_folder, JOB.results_folder, SESSION.control_folder, JOB.root])
def test_everything_of_a_session_lies_below_its_root(folder):
    assert folder.startswith(f"{SESSION.root}/")


def test_session_ids_are_known_by_their_form():
    assert keys.is_session_id(SESSION.sid)
    assert not any(
        map(keys.is_session_id, ["", "x", "20261121-093000-ABCDEFGH", "20261121-093000-abcdefgh/..", "1-2-3"])
    )


@pytest.mark.parametrize("text", ["", " ", "a/b", "-n", "x\ny", " a", 5, None, "20260101-000000-aaaaaaaa"])
def test_what_could_be_taken_for_another_id_names_no_job(text):
    assert not keys.is_label(text)


@pytest.mark.parametrize("text", ["squares", "run 3.1", "größe", "0", "20260101"])
def test_a_word_names_a_job(text):
    assert keys.is_label(text)
