"""Signatures: what was changed, moved or replayed does not verify."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.errors import SignatureError
from burst_magic.protocol.wire import sign

SECRET = bytes(range(32))


@given(st.binary(max_size=200), st.text(min_size=1))
def test_what_was_sealed_is_unsealed(body, key):
    assert sign.unseal(SECRET, key, sign.seal(SECRET, key, body)) == body


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_changed_byte_anywhere_is_refused(body, data):
    sealed = bytearray(sign.seal(SECRET, "a/key", body))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    upper = bytes(sealed[:64]).lower() == sign.seal(SECRET, "a/key", body)[:64]  # hex digits in capitals say the same
    if not (upper and at < 64):
        with pytest.raises(SignatureError, match="a/key"):
            sign.unseal(SECRET, "a/key", bytes(sealed))


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"0" * 64, b"0" * 65, b"z" * 64 + b"\nbody", "é".encode() * 32 + b"\nbody"]
)
def test_what_is_no_record_is_refused(data):
    with pytest.raises(SignatureError, match="a/key"):
        sign.unseal(SECRET, "a/key", data)


def test_a_moved_object_is_refused():
    with pytest.raises(SignatureError, match="another/key"):
        sign.unseal(SECRET, "another/key", sign.seal(SECRET, "a/key", b"body"))


def test_another_sessions_key_does_not_open_it():
    with pytest.raises(SignatureError, match="a/key"):
        sign.unseal(bytes(32), "a/key", sign.seal(SECRET, "a/key", b"body"))


def test_key_place_and_bytes_cannot_flow_into_each_other():
    assert sign.mac(SECRET, "a", "b", b"c") != sign.mac(SECRET, "a", "", b"b\0c")
    assert sign.mac(SECRET, "ab", "", b"c") != sign.mac(SECRET, "a", "b", b"c")


@pytest.mark.parametrize("size", [0, 1, (1 << 16) - 1, 1 << 16, 1 << 17])
def test_small_and_large_bytes_are_signed_alike(size):
    data = bytes(size)
    whole = sign.mac(SECRET, "k", "p", data)
    assert whole == sign.mac(SECRET, "k", "p", memoryview(data)) == sign.mac(SECRET, "k", "p", bytearray(data))
    sign.check(SECRET, "k", "p", data, memoryview(whole))


def test_a_record_can_be_looked_at_without_the_key():
    assert sign.peek("a/key", sign.seal(SECRET, "a/key", b"body")) == b"body"
