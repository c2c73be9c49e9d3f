"""The sandbox's S3 is a store like any other, also for many at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import boto3
import pytest
from botocore.config import Config
from botocore.handlers import set_list_objects_encoding_type_url

from burst_magic.errors import Exists
from burst_magic.stores import open_store
from burst_magic.testing import STORE_CHECKS, check_store

KEYS = ["a & b", "a/1", "a/2", "b<c>", "d%20e", "ü"]
_names = count()


@pytest.fixture
def url(cloud):
    """A place of its own, where the user may do everything."""
    return f"{cloud.stack.store}/s3-{next(_names)}"


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract_of_stores(cloud, url, check):
    check_store(lambda: open_store(url, credentials=cloud.server.credentials), only=(check,))


@pytest.fixture
def restless():
    """The cloud's threads, which are this process's, take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_of_many_who_create_an_object_one_succeeds(cloud, url, restless):
    store = open_store(url, credentials=cloud.server.credentials)

    def create(key: str) -> bool:
        try:
            store.create(key, b"mine")
        except Exists:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        for attempt in range(20):
            assert sum(pool.map(create, [f"claim-{attempt}"] * 16)) == 1


def test_an_object_is_read_whole_while_it_is_replaced(cloud, restless):
    keys, once = cloud.server.keys, Config(retries={"total_max_attempts": 1})
    s3 = boto3.client(
        "s3", endpoint_url=cloud.endpoint, region_name="us-east-1", config=once,
        aws_access_key_id=keys.access, aws_secret_access_key=keys.secret,
    )  # fmt: skip
    where = {"Bucket": cloud.stack.bucket, "Key": "burst/sessions/beat"}
    s3.put_object(**where, Body=b"0" * 100)

    def read(_: int) -> int:
        return len(set(s3.get_object(**where)["Body"].read()))

    def write(number: int) -> int:
        s3.put_object(**where, Body=f"{number % 10}".encode() * 100)
        return 1

    with ThreadPoolExecutor(16) as pool:
        done = [pool.submit(act, number) for number in range(400) for act in (read, write, read)]
        assert {each.result() for each in done} == {1}


def test_a_listing_names_every_key_as_it_was_written(account, cloud):
    s3, bucket = cloud.administrator.clients.of("s3"), cloud.stack.bucket
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=f"names/{key}", Body=b"12")
    pages = s3.get_paginator("list_objects_v2")
    found = list(pages.paginate(Bucket=bucket, Prefix="names/", PaginationConfig={"PageSize": 4}))

    assert [entry["Key"] for page in found for entry in page["Contents"]] == [f"names/{key}" for key in sorted(KEYS)]
    assert [len(page["Contents"]) for page in found] == [4, 2]
    assert {entry["Size"] for page in found for entry in page["Contents"]} == {2}
    core = boto3.Session()._session
    core.unregister("before-parameter-build.s3.ListObjectsV2", set_list_objects_encoding_type_url)
    keys = cloud.administrator.keys
    plain = core.create_client(
        "s3", "us-east-1", endpoint_url=cloud.endpoint,
        aws_access_key_id=keys.access, aws_secret_access_key=keys.secret,
    )  # fmt: skip
    listed = plain.list_objects_v2(Bucket=bucket, Prefix="names/")["Contents"]
    assert [entry["Key"] for entry in listed] == [f"names/{key}" for key in sorted(KEYS)]
    folders = s3.list_objects_v2(Bucket=bucket, Prefix="names/", Delimiter="/")
    assert [each["Prefix"] for each in folders["CommonPrefixes"]] == ["names/a/"]
    assert s3.list_objects_v2(Bucket=bucket, Prefix="none/")["KeyCount"] == 0


def test_a_listing_amid_writes_and_deletions_is_answered(account, cloud, url, restless):
    store = open_store(url, credentials=cloud.server.credentials)
    prefix = f"{url.partition(cloud.stack.bucket)[2].strip('/')}/many/"
    s3 = account.impatient("s3")
    for number in range(200):
        store.put(f"many/{number}", b"1")
    with ThreadPoolExecutor(6) as pool:
        deletions = [pool.submit(store.delete, [f"many/{number}"]) for number in range(200)]
        while not all(each.done() for each in deletions):
            before = sum(each.done() for each in deletions)
            assert s3.list_objects_v2(Bucket=cloud.stack.bucket, Prefix=prefix)["KeyCount"] <= 200 - before
        for each in deletions:
            each.result()

    assert store.list("many/") == []
