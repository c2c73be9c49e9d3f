"""Another computer of the same AWS user, with nothing copied; and keys that somebody else has put into the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from burst_magic.errors import AttachError
from burst_magic.protocol.wire import keys, sign
from burst_magic.protocol.wire.model import JobEnd
from burst_magic.session.attach import attach

GATED = "import os, time\nwhile not os.path.exists(gate): time.sleep(0.02)\nitem * 2"
ATTACH = """
import burst_magic as burst, json, sys
print(json.dumps([list(burst.attach(ident).results()) for ident in sys.argv[1:]]))
"""


@pytest.fixture
def elsewhere(scientist, tmp_path):
    """The directories of a computer that has no session and no key: what to export there."""
    folders = {"BURST_CONFIG_DIR": str(tmp_path / "config"), "BURST_DATA_DIR": str(tmp_path / "data")}
    return {**scientist.cloud.environ(), **folders}


@pytest.fixture
def settings(scientist, tmp_path):
    return replace(scientist.settings(), config_dir=tmp_path / "config", data_dir=tmp_path / "data")


@pytest.fixture
def finished(scientist, tmp_path):
    session = scientist.burst(
        "item * 2", range(4), workers=1, name=tmp_path.name
    )  # the store keeps sessions of other tests
    assert list(session.results()) == [0, 2, 4, 6]
    session.cleanup()
    return session


@pytest.fixture
def plant(scientist):
    """Writes an object of the store as somebody who may; what was there is back at the end."""
    store, written = scientist.cloud.stack.store.removeprefix("s3://"), []
    bucket, _, root = store.partition("/")
    s3 = scientist.cloud.administrator.clients.of("s3")

    def write(key, data):
        written.append(f"{root}/{key}")
        s3.delete_object(Bucket=bucket, Key=f"{root}/{key}")  # nobody may replace it: its first writer won
        s3.put_object(Bucket=bucket, Key=f"{root}/{key}", Body=data, IfNoneMatch="*")

    yield write
    for name in written:
        s3.delete_object(Bucket=bucket, Key=name)


def test_it_attaches_by_id_and_by_name_alone(finished, elsewhere, tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", ATTACH, finished.id, finished.name],
        env={**os.environ, **elsewhere},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(said.stdout) == [[0, 2, 4, 6], [0, 2, 4, 6]]
    assert (tmp_path / "config" / "keys" / finished.id).read_text() == finished.key  # kept for later


def test_a_name_alone_is_enough(finished, settings):
    session = attach(finished.name, settings=settings, home={})
    assert (session.id, list(session.results())) == (finished.id, [0, 2, 4, 6])
    session.detach()
    with pytest.raises(AttachError, match="no session 'trebled'"):
        attach("trebled", settings=settings, home={})


@pytest.fixture
def may_not_list_keys(scientist):
    """The user's rights without listing ``keys/``."""
    iam, stack = scientist.cloud.administrator.clients.of("iam"), scientist.cloud.stack
    bucket, _, root = stack.store.removeprefix("s3://").partition("/")
    rule = {
        "Effect": "Deny",
        "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}"],
        "Condition": {"StringLike": {"s3:prefix": [f"{root}/keys/*"]}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    iam.put_user_policy(UserName=stack.user_name, PolicyName="no-keys", PolicyDocument=document)
    yield
    iam.delete_user_policy(UserName=stack.user_name, PolicyName="no-keys")


@pytest.mark.usefixtures("may_not_list_keys")
def test_who_may_not_list_keys_is_told_how_to_attach_all_the_same(finished, settings):
    with pytest.raises(AttachError, match="may not list the keys") as named:
        attach(finished.name, settings=settings, home={})
    assert "--key KEY" in named.value.way_out
    session = attach(finished.id, settings=settings, home={})
    assert session.status().completed == 4  # it may look
    with pytest.raises(AttachError, match="this session's key is not on this machine") as unread:
        list(session.results())
    assert "--key KEY" in unread.value.way_out
    session.detach()
    session = attach(finished.id, settings=settings, home={}, key=finished.key)
    assert list(session.results()) == [0, 2, 4, 6]
    session.detach()


def test_a_second_key_for_a_session_is_refused_with_the_reason(finished, settings, plant):
    forged = bytes(32)
    plant(keys.session_key(finished.id, sign.fingerprint(forged)), forged)
    with pytest.raises(AttachError, match="has several keys") as refused:
        attach(finished.id, settings=settings, home={})
    assert "--key KEY" in refused.value.way_out
    with pytest.raises(AttachError, match=r"no session .*, but 1 in the store .* has several keys") as unnamed:
        attach(finished.name, settings=settings, home={})
    assert "--key KEY" in unnamed.value.way_out
    session = attach(finished.id, settings=settings, home={}, key=finished.key)
    assert list(session.results()) == [0, 2, 4, 6]
    session.detach()


def test_a_key_with_other_content_than_its_name_says_is_refused(finished, settings, plant):
    plant(keys.session_key(finished.id, sign.fingerprint(bytes.fromhex(finished.key))), bytes(32))
    with pytest.raises(AttachError, match="does not match its name"):
        attach(finished.id, settings=settings, home={})
    assert not (settings.keys_dir / finished.id).exists()


def unlist(session, _plant, _cloud):
    session.store.delete([keys.session_key(session.id, sign.fingerprint(bytes.fromhex(session.key)))])


def swap(session, plant, _cloud):
    plant(keys.session_key(session.id, sign.fingerprint(bytes.fromhex(session.key))), bytes(32))


def forbid(_session, _plant, cloud):
    """The task role may no longer read keys."""
    bucket, _, root = cloud.stack.store.removeprefix("s3://").partition("/")
    rule = {"Effect": "Deny", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/{root}/keys/*"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    role = cloud.tasks()[-1].role.rpartition("/")[2]
    cloud.administrator.clients.of("iam").put_role_policy(RoleName=role, PolicyName="no-keys", PolicyDocument=document)


@pytest.fixture
def allowed_again(scientist):
    yield
    role = scientist.cloud.tasks()[-1].role.rpartition("/")[2]
    iam = scientist.cloud.administrator.clients.of("iam")
    if "no-keys" in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName="no-keys")


@pytest.mark.usefixtures("allowed_again")
@pytest.mark.parametrize(
    ("meddle", "why"),
    [(swap, "doesn't match its fingerprint"), (unlist, "is not in the store"), (forbid, "may not be read")],
)
def test_workers_that_cannot_believe_the_key_end_at_once_and_none_is_started_in_their_place(
    scientist, until, plant, meddle, why
):
    scientist.cloud.weather = replace(scientist.cloud.weather, provisioning=2.0)  # time to meddle with the key
    session = scientist.burst("item", range(4), workers=2)
    meddle(session, plant, scientist.cloud)
    until(lambda: session.status().ended, "the end")
    status = session.status()
    assert status.ended is JobEnd.NOBODY
    assert "it could not read this session's key, or found another one; its log says which" in status.end_detail
    assert len(scientist.tasks) == 2
    logs = session.fleet.logs()
    assert len(logs) == 2
    assert all(why in text for text in logs.values())
    fingerprint = sign.fingerprint(bytes.fromhex(session.key))
    assert not any(fingerprint in text or session.key in text for text in logs.values())
