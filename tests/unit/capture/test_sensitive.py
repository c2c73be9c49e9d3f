"""What looks like a secret is flagged, and never shown (point 5)."""

import pytest

from burst_magic.capture.sensitive import find_secret
from burst_magic.stores import open_store
from burst_magic.stores.store_driver import Carrier

AWS = "AKIA" + "ABCDEFGHIJKLMNOP"


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("key", AWS, "key"),
        ("password", "hunter2hunter2", "password"),
        ("db_password", "hunter2hunter2", "db_password"),
        ("API_KEY", "abcdefghijkl", "API_KEY"),
        ("cfg", {"db": {"password": "hunter2hunter2"}}, "cfg['db']['password']"),
        ("headers", {"Authorization": "Bearer:abcdefgh"}, "headers['Authorization']"),
        ("urls", ["http://a", "postgres://me:secretpw@host/db"], "urls[1]"),
        ("raw", b"ghp_" + b"a" * 36, "raw"),
        ("pem", "-----BEGIN RSA PRIVATE KEY-----\nabc", "pem"),
    ],
)
def test_secrets_are_found_where_they_are(name, value, path):
    assert find_secret(name, value) == path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokens", ["a", "b", "c"]),
        ("tokenizer", "bert-base-uncased"),
        ("max_tokens", 512),
        ("password", ""),
        ("token", "the"),
        ("secret_santa", "mary-ann-smith"),
        ("text", "my password is long"),
        ("n", 5),
        ("keys", {"a": 1}),
        ("url", "https://example.org/path"),
    ],
)
def test_ordinary_values_are_left_in_peace(name, value):
    assert find_secret(name, value) == ""


def test_objects_of_ours_travel_otherwise_than_they_lie_there():
    carrier = Carrier(open_store("memory://"), b"ghp_" + b"a" * 36, lambda _: True)
    assert find_secret("results", carrier) == ""


def test_an_attribute_is_found_and_a_cycle_ends():
    class Config:
        pass

    config = Config()
    config.me = config
    config.inner = Config()
    config.inner.api_key = "abcdefghijkl"
    assert find_secret("config", config) == "config.inner.api_key"


def test_the_warning_names_the_place_and_never_the_value(notebook):
    notebook.run(f"cfg = {{'aws': {AWS!r}}}\ndef connect(): return {AWS!r}")
    capture = notebook.capture("cfg, connect()")
    assert [entry.name for entry in capture.entries if entry.secret] == ["connect", "cfg"]
    assert any(text.startswith("cfg['aws'] looks like a secret") for text in capture.warnings)
    assert any(text.startswith("connect (a constant in it) looks like a secret") for text in capture.warnings)
    assert not any(AWS in text for text in capture.warnings)


def test_secrets_in_the_cell_s_own_text_are_warned_about(notebook):
    capture = notebook.capture(f"x = 1\nkey = {AWS!r}\npassword = 'hunter2hunter2'\nx")
    assert [text.split(" contains")[0] for text in capture.warnings] == ["line 2", "line 3"]
