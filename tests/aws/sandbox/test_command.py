"""``burst sandbox`` in a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

PROGRAM = "import sys; from burst_magic.cli import main; sys.exit(main())"


@pytest.fixture
def environ(tmp_path):
    return {**os.environ, "BURST_CONFIG_DIR": str(tmp_path / "config"), "BURST_DATA_DIR": str(tmp_path / "data")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_what_it_prints_can_be_exported_and_is_a_cloud_until_it_is_interrupted(environ, number):
    command = [sys.executable, "-c", PROGRAM, "sandbox"]
    deaf = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a script's shell starts what it puts behind it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    signal.signal(signal.SIGINT, deaf)
    try:
        lines = []
        while "Ctrl-C" not in (lines or [""])[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        shell = subprocess.run(["sh", "-c", "".join(lines) + "env"], capture_output=True, text=True, check=True, env={})
        said = dict(line.split("=", 1) for line in shell.stdout.splitlines())
        s3 = boto3.client(
            "s3", endpoint_url=said["AWS_ENDPOINT_URL"], region_name=said["AWS_REGION"],
            aws_access_key_id=said["AWS_ACCESS_KEY_ID"], aws_secret_access_key=said["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip
        bucket = said["BURST_STORE"].removeprefix("s3://").partition("/")[0]
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
        config = Path(said["BURST_CONFIG_DIR"])
        assert (config / "config.toml").exists()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0, errors
    assert "has ended" in rest
    assert errors == ""
    assert not config.parent.exists()


def test_without_the_extra_it_says_how_to_get_it(environ):
    blocked = f"import sys; sys.modules['moto'] = None; {PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", blocked, "sandbox"], capture_output=True, text=True, env=environ, check=False
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "the sandbox is not installed"
    assert "pip install 'burst_magic[sandbox]'" in done.stderr.splitlines()[-1]


def test_a_port_that_is_taken_is_one_clear_line(environ, cloud):
    port = cloud.endpoint.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "sandbox", "--port", port],
        capture_output=True,
        text=True,
        env=environ,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"cannot listen on 127.0.0.1:{port}: Address already in use"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("port", ["0", "70000", "http"])
def test_a_wrong_port_is_wrong_use(environ, port):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "sandbox", "--port", port],
        capture_output=True,
        text=True,
        env=environ,
        check=False,
    )

    assert done.returncode == 2
    assert f"'{port}' is not a port" in done.stderr
