"""boto3's credential chain, as its own files and variables say it. Each in a process of its own: no patching."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from burst_magic.aws.clients import Clients
from burst_magic.aws.credentials import provider
from burst_magic.errors import Denied, OptionError

CONFIG = """
[default]
region = eu-central-1
[profile team]
region = eu-west-3
endpoint_url = https://s3.team.example
[profile role]
region = us-west-2
credential_process = cat {printed}
[profile broken]
credential_process = {python} -c "import sys; sys.exit('no sign-on')"
"""
KEYS = """
[default]
aws_access_key_id = D
aws_secret_access_key = d
[team]
aws_access_key_id = T
aws_secret_access_key = s
"""
NOWHERE = {"AWS_CONFIG_FILE": os.devnull}  # keys without a region
END = (datetime.now(timezone.utc) + timedelta(hours=2)).replace(microsecond=0)


@pytest.fixture
def ask(tmp_path):
    """Runs the helper process in an environment that holds nothing else of AWS."""
    printed = {
        "Version": 1,
        "AccessKeyId": "R",
        "SecretAccessKey": "r",
        "SessionToken": "t",
        "Expiration": END.isoformat(),
    }
    (tmp_path / "printed").write_text(json.dumps(printed))
    (tmp_path / "config").write_text(CONFIG.format(python=sys.executable, printed=tmp_path / "printed"))
    (tmp_path / "credentials").write_text(KEYS)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    files = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def run(*told, **more):
        command = [sys.executable, "-m", "burst_magic.aws.credentials", *told]
        done = subprocess.run(
            command, env={**clean, **files, **more}, capture_output=True, text=True, timeout=60, check=False
        )
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    return run


def test_the_default_profile_is_used_and_asked_again_in_half_an_hour(ask):
    said = ask()
    assert (said["AccessKeyId"], said["SecretAccessKey"], said["Region"]) == ("D", "d", "eu-central-1")
    assert not {"SessionToken", "Endpoint"} & said.keys()
    left = datetime.fromisoformat(said["Expiration"]) - datetime.now(timezone.utc)
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)


def test_a_profile_brings_its_keys_region_and_endpoint(ask):
    said = ask(AWS_PROFILE="team")
    assert (said["AccessKeyId"], said["Region"], said["Endpoint"]) == ("T", "eu-west-3", "https://s3.team.example")


def test_a_profile_that_ends_says_when(ask):
    said = ask(AWS_PROFILE="role")
    assert (said["AccessKeyId"], said["SessionToken"], said["Region"]) == ("R", "t", "us-west-2")
    assert datetime.fromisoformat(said["Expiration"]) == END


def test_the_environment_wins_over_the_files(ask):
    said = ask(
        AWS_ACCESS_KEY_ID="E",
        AWS_SECRET_ACCESS_KEY="e",
        AWS_SESSION_TOKEN="t",
        AWS_REGION="sa-east-1",
        AWS_DEFAULT_REGION="sa-east-1",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
    )
    assert (said["AccessKeyId"], said["SessionToken"], said["Region"]) == ("E", "t", "sa-east-1")
    assert said["Endpoint"] == "http://127.0.0.1:9"


def test_aws_region_is_honoured_alone(ask):
    assert ask(AWS_REGION="ap-south-1")["Region"] == "ap-south-1"


def test_a_region_is_told_to_those_whose_aws_settings_have_none_and_never_guessed(ask):
    """``aws.region`` is where no variable and no profile says otherwise."""
    assert ask("eu-north-1")["Region"] == "eu-central-1"
    assert ask("eu-north-1", **NOWHERE)["Region"] == "eu-north-1"
    assert ask(AWS_ENDPOINT_URL="http://127.0.0.1:9", **NOWHERE)["Region"] == "us-east-1"  # a server without regions


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (NOWHERE, "no AWS region is configured"),
        ({"AWS_PROFILE": "nobody"}, "nobody"),
        ({"AWS_PROFILE": "broken"}, "no sign-on"),
        ({"AWS_SHARED_CREDENTIALS_FILE": os.devnull}, "no AWS credentials found"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "nonsense"),
    ],
)
def test_what_is_missing_is_said_in_a_line_with_a_way_out(ask, environ, words):
    said = ask(**environ)
    assert words in said
    assert "try:" in said
    assert "Traceback" not in said


def test_clients_are_made_once():
    from boto3.session import Session

    clients = Clients(Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1"))
    assert clients.of("s3") is clients.of("s3")
    assert clients.endpoint("s3") == ""
    assert clients.region == "eu-west-1"


@pytest.mark.parametrize("service", ["ecs", "s3", "logs"])
def test_no_service_of_aws_is_asked_in_a_region_that_nobody_has_named(service, monkeypatch, tmp_path):
    from boto3.session import Session

    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    session = Session(aws_access_key_id="a", aws_secret_access_key="b")
    with pytest.raises(OptionError, match="no AWS region") as refused:
        Clients(session).of(service)
    assert {"AWS_REGION", "profile", "aws.region"} <= set(
        re.findall(r"AWS_REGION|profile|aws\.region", str(refused.value))
    )
    assert Clients(session, otherwise="eu-north-1").of(service).meta.region_name == "eu-north-1"


def test_another_server_stands_for_every_service():
    from boto3.session import Session

    session = Session(aws_access_key_id="a", aws_secret_access_key="b")
    clients = Clients(session, endpoint="http://127.0.0.1:9")
    assert clients.endpoint("s3") == clients.endpoint("ecs") == "http://127.0.0.1:9"
    assert provider(clients).config["endpoint"] == "http://127.0.0.1:9"


def test_a_session_without_keys_is_denied(tmp_path):
    import botocore.session
    from boto3.session import Session

    bare = botocore.session.Session()
    bare.register_component("credential_provider", type("Nothing", (), {"load_credentials": lambda _: None})())
    with pytest.raises(Denied, match="no AWS credentials"):
        provider(Clients(Session(botocore_session=bare)))()


def test_an_end_that_boto3_tells_is_one_that_the_store_takes(tmp_path, monkeypatch):
    (tmp_path / "printed").write_text(
        json.dumps({"Version": 1, "AccessKeyId": "R", "SecretAccessKey": "r", "Expiration": END.isoformat()})
    )
    (tmp_path / "config").write_text(f"[profile role]\ncredential_process = cat {tmp_path / 'printed'}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    from boto3.session import Session

    found = provider(Clients(Session(profile_name="role")))()
    assert found["expires_at"].tzinfo is timezone.utc  # obstore refuses any other zone, dateutil's UTC too
    assert found["expires_at"] == END
