"""A task of the stand-in cloud is a real process with what ECS gives a container."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from burst_magic.testing.sandbox import TaskState

READY = "print('ready', flush=True)\n"
METADATA = """
import json, os, urllib.request
place = os.environ["ECS_CONTAINER_METADATA_URI_V4"]
task, own = (json.load(urllib.request.urlopen(place + part)) for part in ("/task", ""))
print(json.dumps({"task": task, "own": own, "environ": dict(os.environ)}))
"""
# Each line tries one thing with the task's own role.
ROLE = """
import json, obstore
from obstore.store import S3Store
store = S3Store({bucket!r}, prefix="burst", config={{"endpoint": {endpoint!r}}}, client_options={{"allow_http": True}},
                retry_config={{"max_retries": 0}})
def attempt(call):
    try:
        return str(call())
    except Exception as error:
        return "denied" if "AccessDenied" in str(error) else repr(error)
print(json.dumps({{
    "put": attempt(lambda: obstore.put(store, "sessions/s/x", b"1") and "done"),
    "get": attempt(lambda: bytes(obstore.get(store, "sessions/s/x").bytes())),
    "list": attempt(lambda: [each["path"] for page in obstore.list(store, "sessions/s/") for each in page]),
    "read a key": attempt(lambda: bytes(obstore.get(store, "keys/s.f").bytes())),
    "list keys": attempt(lambda: [each["path"] for page in obstore.list(store, "keys/") for each in page]),
    "list everything": attempt(lambda: [each["path"] for page in obstore.list(store) for each in page]),
    "write a key": attempt(lambda: obstore.put(store, "keys/s.g", b"1")),
    "write elsewhere": attempt(lambda: obstore.put(store, "other/x", b"1")),
    "delete": attempt(lambda: obstore.delete(store, "sessions/s/x")),
}}))
"""


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_task_goes_through_all_states_and_ends_with_its_exit_code_and_output(account):
    arn = account.start("print('hello'); raise SystemExit(3)")
    task = account.finished(arn)

    assert task["lastStatus"] == task["desiredStatus"] == "STOPPED"
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert task["containers"][0]["exitCode"] == 3
    assert account.lines(arn) == ["hello"]
    times = [
        task[name]
        for name in (
            "createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt",
        )
    ]  # fmt: skip
    assert times == sorted(times)


def test_a_task_is_told_who_it_is(account, cloud):
    said = account.said(account.start(METADATA, capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT"}]))
    [task] = [task for task in cloud.tasks() if task.arn == said["task"]["TaskARN"]]

    assert said["task"]["Cluster"].endswith(f":cluster/{cloud.aws['cluster']}")
    assert said["task"]["Limits"] == {"CPU": 1.0, "Memory": 2048}
    assert said["task"]["LaunchType"] == "FARGATE"
    assert said["task"]["AvailabilityZone"] == "us-east-1a"
    assert said["own"]["Name"] == "worker"
    assert task.provider == "FARGATE_SPOT"


def test_a_task_sees_its_definitions_environment_and_overrides_and_nothing_of_the_kernels(account, monkeypatch):
    monkeypatch.setenv("A_SECRET_OF_THE_KERNEL", "x")
    override = {
        "name": "worker",
        "command": ["python", "-c", METADATA],
        "environment": [{"name": "BURST_BIRTH_TOKEN", "value": "t-1"}],
    }
    environ = account.said(account.start(overrides={"containerOverrides": [override]}))["environ"]

    assert environ["BURST_BIRTH_TOKEN"] == "t-1"
    assert environ["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"
    assert not {"A_SECRET_OF_THE_KERNEL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & set(environ)


def test_a_task_may_do_what_its_role_may_and_nothing_else(account, cloud):
    account.client("s3").put_object(Bucket=cloud.stack.bucket, Key="burst/keys/s.f", Body=b"secret", IfNoneMatch="*")

    done = account.said(account.start(ROLE.format(bucket=cloud.stack.bucket, endpoint=cloud.endpoint)))

    assert done["put"] == "done"
    assert done["get"] == "b'1'"
    assert done["list"] == "['sessions/s/x']"
    assert done["read a key"] == "b'secret'"
    for denied in ("list keys", "list everything", "write a key", "write elsewhere", "delete"):
        assert done[denied] == "denied", denied


def test_stopping_a_task_sends_sigterm_and_waits_for_it(account, cloud):
    code = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n" + READY + "time.sleep(60)"
    )
    task = account.running(code)
    account.client("ecs").stop_task(cluster=cloud.aws["cluster"], task=task.arn, reason="enough")
    over = account.finished(task.arn)

    assert over["stopCode"] == "UserInitiated"
    assert over["stoppedReason"] == "enough"
    assert over["containers"][0]["exitCode"] == 9


def test_a_task_that_ignores_sigterm_is_killed_with_everything_it_has_started(account, cloud):
    code = (
        "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\nprint(child.pid)\n"
        + READY
        + "time.sleep(60)"
    )
    task = account.running(code)
    child = int(account.lines(task.arn)[0])
    assert lives(child)
    cloud.interrupt(task.id)
    over = account.finished(task.arn)

    assert over["stopCode"] == "SpotInterruption"
    assert over["stoppedReason"] == "Your Spot Task was interrupted."
    assert over["containers"][0]["exitCode"] == 137
    assert not lives(child)


def test_what_a_container_leaves_running_ends_with_its_first_process(account):
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)"
    arn = account.start(code)
    account.finished(arn)

    assert not lives(int(account.lines(arn)[0]))


def test_no_task_outlives_the_sandbox_not_even_one_that_was_killed(tmp_path, account):
    import subprocess
    import sys

    program = (
        "import sys, time\nfrom pathlib import Path\nfrom burst_magic.testing.sandbox import Sandbox, TaskState\n"
        f"with Sandbox(home=Path({str(tmp_path)!r}), command=['sleep', '600']) as cloud:\n"
        "    aws = cloud.aws\n"
        "    vpc = {'subnets': aws['subnets'].split(',')}\n"
        "    task = cloud.server.clients.of('ecs').run_task(cluster=aws['cluster'], taskDefinition="
        "aws['task_definition'], launchType='FARGATE', networkConfiguration={'awsvpcConfiguration': vpc})\n"
        "    print(cloud.wait_for(task['tasks'][0]['taskArn'], TaskState.RUNNING).pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with contextlib.ExitStack() as exits:
        exits.callback(process.kill)
        pid = int(process.stdout.readline())
        assert lives(pid)
        process.kill()
        process.wait()
        process.stdout.close()
        wait_until(lambda: not lives(pid))


def test_the_cloud_listens_on_this_machine_only_and_is_the_users_alone(cloud, account):
    assert cloud.endpoint.startswith("http://127.0.0.1:")
    with pytest.raises(account.client("iam").exceptions.ClientError, match="not authorized"):
        account.client("iam").create_user(UserName="another")


def test_wait_for_says_where_a_task_is_when_it_takes_too_long(account, cloud):
    task = account.running(READY + "import time; time.sleep(60)")

    with pytest.raises(TimeoutError, match="is RUNNING, not STOPPED"):
        cloud.wait_for(task.id, TaskState.STOPPED, within=0.05)
    assert os.getpgid(task.pid) == task.pid


def test_a_user_deletes_objects_under_the_prefix_only(account, cloud):
    s3, bucket = account.client("s3"), cloud.stack.bucket
    administrator = cloud.administrator.clients.of("s3")
    for key in ("burst/sessions/a & b", "burst/sessions/c", "other/d"):
        administrator.put_object(Bucket=bucket, Key=key, Body=b"1")

    def delete(*keys):
        done = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
        return [each["Key"] for each in done.get("Deleted", [])]

    assert delete("burst/sessions/a & b", "burst/sessions/c") == ["burst/sessions/a & b", "burst/sessions/c"]
    assert delete("other/d") == []
    assert administrator.get_object(Bucket=bucket, Key="other/d")["Body"].read() == b"1"


def test_a_container_does_not_wait_for_logs_that_cannot_be_written(account, cloud):
    logs = cloud.administrator.clients.of("logs")
    task = account.running(
        READY + "import sys\nfor line in sys.stdin: pass\nimport time; time.sleep(0.5)\nprint('x' * 99)"
    )
    logs.delete_log_stream(logGroupName=cloud.stack.log_group, logStreamName=f"burst/worker/{task.id}")

    assert account.finished(task.arn)["containers"][0]["exitCode"] == 0


def test_a_task_whose_interface_was_deleted_still_stops(account, cloud):
    task = account.running(READY + "import time; time.sleep(60)")
    cloud.administrator.clients.of("ec2").delete_network_interface(NetworkInterfaceId=task.interface.eni)
    cloud.interrupt(task.id)

    assert account.finished(task.arn)["stopCode"] == "SpotInterruption"
