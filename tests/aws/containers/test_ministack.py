"""A second stand-in for AWS, which runs ECS tasks as real containers: a burst from start to end by our own launcher.

ministack is somebody else's idea of ECS, S3 and CloudWatch Logs. It knows no client tokens, and its StopTask kills at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from burst_magic.aws.setup import Account, SetupWishes, settings
from burst_magic.aws.setup import prepare as prepare_setup
from burst_magic.launchers import open_launcher
from burst_magic.launchers.base import Handle, Status, WorkerState
from burst_magic.protocol.exits import ExitCode
from burst_magic.testing.servers import Keys, Server, free_ports

from .conftest import ROOT, Fleet, wait_until

LOG_GROUP = "/burst/workers"
ACCOUNT = {
    "region": "us-east-1",
    "cluster": "burst",
    "task_definition": "burst-worker",
    "subnets": "subnet-1",
}
MINISTACK = ROOT / "build" / "ministack" / "bin" / "ministack"


@contextlib.contextmanager
def running(command: list[object], environ: dict[str, str], log: Path):
    words = [str(word) for word in command]
    with log.open("wb") as said:
        process = subprocess.Popen(
            words, env=environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=log.parent
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def ministack(podman, image, tmp_path_factory):
    """Its server, with podman in place of docker."""
    assert MINISTACK.exists(), "run: make .venv/stamps/ministack"
    folder = tmp_path_factory.mktemp("ministack")
    (port,) = free_ports(1)
    socket, log = folder / "podman.sock", folder / "ministack.log"
    here = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "DOCKER_HOST": f"unix://{socket}",
        "TMPDIR": str(folder),
    }
    service = ["podman", "system", "service", "--time", 0, f"unix://{socket}"]
    with running(service, podman.environ, folder / "podman.log"):
        wait_until(socket.exists, "podman's socket")
        with running([MINISTACK], {**os.environ, **here}, log) as process:
            keys = Keys(access="test", secret="test")
            server = Server(endpoint=f"http://127.0.0.1:{port}", keys=keys, pid=process.pid)
            wait_until(lambda: answers(server), "ministack")
            prepare(server, image)
            yield server


def answers(server: Server) -> bool:
    try:
        server.clients.of("s3").list_buckets()
    except BotoCoreError:
        return False
    return True


def prepare(server: Server, image: str) -> None:
    """What ``burst setup`` makes, as far as this cloud has it. obstore takes no container credentials by token alone."""
    server.bucket("bucket")
    server.clients.of("logs").create_log_group(logGroupName=LOG_GROUP)
    ecs = server.clients.of("ecs")
    ecs.create_cluster(clusterName=ACCOUNT["cluster"], capacityProviders=["FARGATE", "FARGATE_SPOT"])
    logs = {"awslogs-group": LOG_GROUP, "awslogs-region": server.region, "awslogs-stream-prefix": "burst"}
    worker = {
        "name": "worker",
        "image": image,
        "essential": True,
        "environment": [{"name": name, "value": value} for name, value in server.environ.items()],
        "logConfiguration": {"logDriver": "awslogs", "options": logs},
    }
    ecs.register_task_definition(
        family=ACCOUNT["task_definition"],
        networkMode="host",  # only there do its containers reach 127.0.0.1
        requiresCompatibilities=["FARGATE"],
        cpu="1024",
        memory="2048",
        containerDefinitions=[worker],
    )


@pytest.fixture
def account(podman, ministack, tmp_path, monkeypatch):
    """A user whose account is ministack's."""
    for name, value in ministack.environ.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config").mkdir()
    lines = [f'{name} = "{value}"' for name, value in ACCOUNT.items()]
    (tmp_path / "config" / "config.toml").write_text("\n".join(['env = "image"', "[aws]", *lines, ""]))
    fleet = Fleet(podman=podman, folder=tmp_path, launcher="fargate")
    yield fleet
    fleet.close()


def described(fleet: Fleet, handles: list[Handle]) -> dict[str, Status]:
    return open_launcher("fargate", logs=fleet.folder).describe(handles)


def test_a_burst_runs_in_containers_of_another_stand_in_and_its_tasks_stop(account):
    session = account.burst("import os\nprint('task', item)\n(os.getuid(), item ** 2)", range(16), workers=2)
    launcher = open_launcher("fargate", logs=account.folder)
    handles = wait_until(lambda: len(found := launcher.find(session.id, ACCOUNT)) == 2 and found, "two tasks")
    assert list(session.results()) == [(10001, number**2) for number in range(16)]
    wait_until(lambda: all(s.state is WorkerState.RUNNING for s in described(account, handles).values()), "both to run")
    names = account.containers()
    assert len(names) == 2
    session.cancel()
    assert [account.ended(name) for name in names] == [ExitCode.FINISHED] * 2

    def ends() -> list[Status] | Any:
        found = list(described(account, handles).values())
        return all(status.state is WorkerState.ENDED for status in found) and found

    assert [status.exit_code for status in wait_until(ends, "both to stop")] == [ExitCode.FINISHED] * 2
    assert "ended: cancel" in wait_until(lambda: launcher.log(handles[0]), "its log")


def test_the_stack_of_setup_is_made_by_another_stand_in_and_made_once(ministack):
    ec2, s3 = ministack.clients.of("ec2"), ministack.clients.of("s3")
    (vpc,) = [each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"] if each["IsDefault"]]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]  # as each default VPC of AWS has
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    for table in ec2.describe_route_tables()["RouteTables"]:
        ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    told: list[str] = []
    prepared = prepare_setup(SetupWishes(name="burst-lab"), Account(ministack.region, ministack.clients))
    assert any("workers pull the public image directly" in note for note in prepared.notes)  # it has no such caches
    facts, changed = prepared.deploy(told.append)
    assert (facts.status, changed) == ("CREATE_COMPLETE", True)
    assert [line for line in told if "failed" in line] == []
    found = settings(facts)
    bucket = found["store"].removeprefix("s3://").partition("/")[0]
    statements = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert {each["Sid"] for each in statements} == {"OnlyEncryptedConnections", "FirstWriterWins"}
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    definition = ministack.clients.of("ecs").describe_task_definition(taskDefinition=found["aws.task_definition"])
    (container,) = definition["taskDefinition"]["containerDefinitions"]
    assert container["image"].startswith("public.ecr.aws/docker/library/python:")
    assert prepared.deploy(told.append)[1] is False
