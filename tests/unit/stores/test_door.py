"""One door, and what it costs to come near it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from burst_magic.errors import Denied, StoreError
from burst_magic.stores import TABLE, open_store
from burst_magic.stores.s3 import S3Store


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_the_door_opens_nothing():
    loaded = modules_after("import burst_magic.stores")
    assert not {"obstore", "boto3", "botocore", "subprocess", "json"} & loaded


def test_opening_a_store_never_loads_boto3():
    loaded = modules_after("from burst_magic.stores import open_store; open_store('s3://bucket').list")
    assert "obstore" in loaded
    assert not {"boto3", "botocore"} & loaded


@pytest.mark.parametrize("url", ["", "bucket", "/a/folder", "gs://bucket", "s3:/bucket", "http://x", "FILE:///x"])
def test_what_is_no_store_is_refused_with_the_ways_there_are(url):
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert all(f"{scheme}://" in caught.value.way_out for scheme in TABLE)


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://bucket?x=1", "s3://bucket/a//b", "s3://bucket/../x"])
def test_an_s3_url_needs_a_bucket_and_a_sound_prefix(url):
    with pytest.raises(StoreError):
        open_store(url)


@pytest.mark.parametrize("url", ["file://relative/dir", "file://host/dir"])
def test_a_folder_needs_an_absolute_path(url):
    with pytest.raises(StoreError, match="absolute path"):
        open_store(url)


def test_a_folder_is_made_with_all_its_parents(tmp_path):
    root = tmp_path / "not" / "yet #1 ü"
    store = open_store(root.as_uri())
    store.create("a", b"1")
    assert (root / "a").read_bytes() == b"1"
    assert open_store(store.url).get("a") == b"1"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("a#b", "a#b"), ("a?b=c", "a?b=c"), ("a%20b", "a b"), ("a b", "a b"), ("ü%C3%BC", "üü"), ("100%", "100%"),
        ("a%23b", "a#b"), ("a%2525", "a%25"), ("a;b", "a;b"), ("x~", "x~"), ("a\tb", "a\tb"), ("[a]*", "[a]*"),
    ],
)  # fmt: skip
def test_a_url_means_the_folder_that_it_names(tmp_path, written, name):
    store = open_store(f"file://{tmp_path}/{written}")
    store.create("k/a", b"1")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "k" / "a").read_bytes() == b"1"
    assert [entry.key for entry in open_store(store.url).list("k")] == ["k/a"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///~/store", "~ is not expanded"),
        ("file:///~me", "~ is not"),
        ("file:///a%FFb", "UTF-8"),
        ("file:///a%00b", "null byte"),
    ],
)
def test_a_url_whose_folder_cannot_be_meant_is_refused(url, said):
    with pytest.raises(StoreError, match=said):
        open_store(url)


def test_a_folder_where_a_file_stands_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        open_store((tmp_path / "file").as_uri())


def test_memory_is_shared_by_name_only():
    open_store("memory://one").put("a", b"1")
    assert open_store("memory://one").get("a") == b"1"
    assert open_store("memory://other").list("") == []


class Provider:
    def __init__(self, **config):
        self.config = config

    def __call__(self):
        raise AssertionError("nobody asked yet")


def test_plain_http_is_for_this_machine_only():
    for near in ("http://127.0.0.1:8333", "http://localhost:1", "http://[::1]:1", "https://store.example"):
        assert isinstance(open_store("s3://bucket", credentials=Provider(endpoint=near)), S3Store)
    for far in ("http://store.example", "http://127.0.0.1.store.example", "http://localhost.store.example"):
        with pytest.raises(Denied, match="not encrypted"):
            open_store("s3://bucket", credentials=Provider(endpoint=far))


def test_an_s3_store_says_its_url_without_its_server():
    store = open_store("s3://bucket/a/b/", credentials=Provider(endpoint="http://127.0.0.1:1/", region="eu-west-1"))
    assert store.url == "s3://bucket/a/b"
    assert store.endpoint == "http://127.0.0.1:1"
    assert store.path("x") is None


def test_every_store_in_the_table_has_its_module():
    folder = Path(sys.modules["burst_magic.stores"].__file__).parent
    assert all((folder / f"{module.rpartition('.')[2]}.py").exists() for module, _ in TABLE.values())


@pytest.mark.parametrize("url", ["s3://my bucket/p", "s3://b%20c", "s3://bück/p", "s3://-b"])
def test_what_is_no_name_of_a_bucket_is_refused_before_it_is_asked_for(url):
    with pytest.raises(StoreError, match="is not the name of a bucket"):
        open_store(url, credentials=Provider(endpoint="http://127.0.0.1:1"))


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:1 /x",
        "http://local host:1",
        "localhost:9000",
        "http://127.0.0.1:notaport",
        "http://[::1",
        "https://",
    ],
)
def test_what_is_no_address_of_a_server_is_refused_before_it_is_asked(endpoint):
    with pytest.raises(StoreError, match="is not the address of a server") as caught:
        open_store("s3://bucket", credentials=Provider(endpoint=endpoint))
    assert "AWS_ENDPOINT_URL" in caught.value.way_out
