"""One stand-in cloud for all tests, in good weather and without tasks at the start of each."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from burst_magic.testing.sandbox import Sandbox, SandboxTask, TaskState
from burst_magic.testing.sandbox.weather import SandboxWeather
from burst_magic.testing.servers import Server

PATIENCE = 60.0


def refused(error: Any) -> str:
    """``code: message`` of a ClientError."""
    return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"


@pytest.fixture(scope="session")
def _cloud(tmp_path_factory):
    with Sandbox(home=tmp_path_factory.mktemp("sandbox"), stop_timeout=5) as sandbox:
        yield sandbox


@pytest.fixture
def cloud(_cloud) -> Sandbox:
    """The cloud; what a test leaves running is killed after it."""
    yield _cloud
    _cloud.weather = SandboxWeather()
    for task in _cloud.tasks():
        _cloud.out_of_memory(task.id)
    for task in _cloud.tasks():
        _cloud.wait_for(task.id, TaskState.STOPPED, within=PATIENCE)


def _client(server: Server, service: str, attempts: int) -> Any:
    return _made(server.endpoint, server.keys.access, server.keys.secret, service, attempts)


@functools.cache  # a client takes a third of a second
def _made(endpoint: str, access: str, secret: str, service: str, attempts: int) -> Any:
    session = boto3.Session(aws_access_key_id=access, aws_secret_access_key=secret, region_name="us-east-1")
    return session.client(service, endpoint_url=endpoint, config=Config(retries={"max_attempts": attempts}))


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user's view of the cloud: boto3, and RunTask with everything that a worker's task has."""

    cloud: Sandbox

    def client(self, service: str) -> Any:
        return _client(self.cloud.server, service, 5)

    def request(self, code: str = "", **more: Any) -> dict[str, Any]:
        """The parameters of RunTask for a task that runs some Python."""
        aws = self.cloud.aws
        vpc = {
            "subnets": aws["subnets"].split(","),
            "securityGroups": aws["security_groups"].split(","),
            "assignPublicIp": "ENABLED",
        }
        command = {"name": "worker", "command": ["python", "-c", code]}
        said = {
            "cluster": aws["cluster"],
            "taskDefinition": aws["task_definition"],
            "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}],
            "networkConfiguration": {"awsvpcConfiguration": vpc},
            "overrides": {"containerOverrides": [command]},
            **more,
        }
        return {name: value for name, value in said.items() if value is not None}

    def run_task(self, code: str = "", **more: Any) -> dict[str, Any]:
        return self.client("ecs").run_task(**self.request(code, **more))

    def impatient(self, service: str, *, by: Server | None = None) -> Any:
        """A client that tries once."""
        return _client(by or self.cloud.server, service, 0)

    def refusal(self, code: str = "", *, by: Server | None = None, **more: Any) -> str:
        """``code: message`` of a RunTask that is refused at once, of the user or of somebody with more rights."""
        ecs = self.impatient("ecs", by=by)
        with pytest.raises(ecs.exceptions.ClientError) as caught:
            ecs.run_task(**self.request(code, **more))
        return refused(caught.value)

    def start(self, code: str = "", **more: Any) -> str:
        """The ARN of one new task."""
        said = self.run_task(code, **more)
        assert said["failures"] == []
        return said["tasks"][0]["taskArn"]

    def describe(self, *arns: str, **more: Any) -> dict[str, Any]:
        return self.client("ecs").describe_tasks(cluster=self.cloud.aws["cluster"], tasks=list(arns), **more)

    def finished(self, arn: str) -> dict[str, Any]:
        """What DescribeTasks says of a task when it has stopped."""
        self.cloud.wait_for(arn, TaskState.STOPPED, within=PATIENCE)
        return self.describe(arn)["tasks"][0]

    def running(self, code: str, **more: Any) -> SandboxTask:
        """A new task that has said ``ready``."""
        arn = self.start(code, **more)
        task = self.cloud.wait_for(arn, TaskState.RUNNING, within=PATIENCE)
        self.wait_for_line(arn, "ready")
        return task

    def lines(self, arn: str) -> list[str]:
        """The container's output in CloudWatch."""
        stream = f"burst/worker/{arn.rpartition('/')[2]}"
        found = self.client("logs").filter_log_events(logGroupName=self.cloud.stack.log_group, logStreamNames=[stream])
        return [event["message"] for event in found["events"]]

    def wait_for_line(self, arn: str, line: str) -> None:
        import time

        end = time.monotonic() + PATIENCE
        while line not in self.lines(arn):
            assert time.monotonic() < end, f"{arn} never said {line}: {self.lines(arn)}"
            time.sleep(0.02)

    def said(self, arn: str) -> Any:
        """The JSON that is the last line of a finished task's output."""
        self.finished(arn)
        return json.loads(self.lines(arn)[-1])


@pytest.fixture
def account(cloud) -> Account:
    return Account(cloud=cloud)


@pytest.fixture
def as_user(cloud, monkeypatch) -> Sandbox:
    """The cloud; what runs in this process uses it as AWS, and has directories of its own."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "BURST_"))]:
        monkeypatch.delenv(name)
    for name, value in cloud.environ().items():
        monkeypatch.setenv(name, value)
    return cloud
