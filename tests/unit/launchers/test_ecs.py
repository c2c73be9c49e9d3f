"""Workers on ECS: what is asked of AWS and what is made of its answers, over boto3's own wire."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest

from burst_magic.aws.ecs import Ecs
from burst_magic.aws.logs import Logs, LogStream
from burst_magic.errors import Denied, Missing
from burst_magic.launchers import own_arch
from burst_magic.launchers.base import Again, Cause, Handle, Refusal, Start, WorkerState
from burst_magic.launchers.ecs import FARGATE, SPOT, EcsLauncher
from burst_magic.protocol.wire import sign
from burst_magic.protocol.wire.model import EndCause
from burst_magic.protocol.wire.summons import Summons
from burst_magic.stores.retry import Retry

SID, SECRET = "20260101-000000-aaaaaaaa", bytes(range(32))
CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/science"
OPTIONS = {
    "region": "eu-west-1",
    "cluster": "science",
    "task_definition": "burst-worker",
    "subnets": "subnet-a, subnet-b",
    "security_groups": "sg-1",
    "public_ip": "true",
}
START = Start(
    store="s3://bucket/burst",
    sid=SID,
    secret=SECRET.hex(),
    token="0123456789ab0000",
    number=3,
    cpu=0.5,
    memory_mb=1024,
    deadline=1790000000.0,
    owner="Ada <ada@lab>",
    options=OPTIONS,
)
NO_ROOM = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


def starts(count):
    return [replace(START, token=f"0123456789ab{place:04x}", number=place) for place in range(count)]


def task(ident, *, token="t", provider="FARGATE", status="PROVISIONING", **more):
    environment = [{"name": "BURST_BIRTH_TOKEN", "value": token}]
    return {
        "taskArn": f"{CLUSTER.replace(':cluster', ':task')}/{ident}",
        "clusterArn": CLUSTER,
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/burst-worker:7",
        "capacityProviderName": provider,
        "lastStatus": status,
        "desiredStatus": "RUNNING",
        "overrides": {"containerOverrides": [{"name": "worker", "environment": environment}]},
        **more,
    }


def started(request):
    """As RunTask answers a good request."""
    token = request["clientToken"]
    return {"tasks": [task(f"task{token}", token=token)], "failures": []}


def handle(ident, *, cluster="science"):
    arn = f"arn:aws:ecs:eu-west-1:123456789012:task/{cluster}/{ident}"
    return Handle(launcher="fargate", wid=ident, token="t", data={"arn": arn, "definition": "burst-worker:7"})


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def fargate(aws, clock):
    return EcsLauncher(
        FARGATE,
        ecs=lambda region: Ecs(region, aws.clients(region)),
        logs=lambda region: Logs(region, aws.clients(region), pages=3),
        clock=clock,
    )


@pytest.fixture
def impatient(aws):
    """It tries each call for a moment only."""
    soon = Retry(first=0.001, longest=0.001, within=0.002)
    return EcsLauncher(FARGATE, ecs=lambda region: Ecs(region, aws.clients(region), starting=soon))


@pytest.fixture
def _settings_name_this_server(aws, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")


@pytest.fixture(autouse=True)
def _configured(aws):
    """The task definition that the settings name."""
    aws.script["DescribeTaskDefinition"] = [definition()]


# --- starting ------------------------------------------------------------------------------------------------------


def test_a_start_is_one_task_under_its_token_in_the_users_network(aws, fargate):
    aws.script["RunTask"] = [started]
    (answer,) = fargate.start([START])
    (asked,) = aws.requests("RunTask")
    assert (asked["count"], asked["clientToken"], asked["startedBy"]) == (1, START.token, SID)
    assert asked["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "weight": 1}]
    assert "launchType" not in asked
    assert asked["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-a", "subnet-b"],
        "securityGroups": ["sg-1"],
        "assignPublicIp": "ENABLED",
    }
    assert (asked["overrides"]["cpu"], asked["overrides"]["memory"]) == ("512", "1024")
    assert asked["propagateTags"] == "TASK_DEFINITION"
    assert answer.wid == f"task{START.token}"
    assert Handle.from_json(answer.to_json()) == answer


def test_anybody_can_tell_whose_task_it_is_and_until_when(aws, fargate):
    aws.script["RunTask"] = [started]
    fargate.start([START])
    tags = {tag["key"]: tag["value"] for tag in aws.requests("RunTask")[0]["tags"]}
    assert tags == {"burst:session": SID, "burst:owner": "Ada _ada@lab_", "burst:deadline": "2026-09-21T14:13:20Z"}


def test_the_worker_is_told_its_birth_and_the_key_is_in_no_call(aws, fargate):
    aws.script["RunTask"] = [started]
    fargate.start([START])
    (container,) = aws.requests("RunTask")[0]["overrides"]["containerOverrides"]
    variables = {pair["name"]: pair["value"] for pair in container["environment"]}
    assert container["name"] == "worker"
    assert Summons.found(variables) == Summons(
        store=START.store,
        sid=SID,
        token=START.token,
        fingerprint=sign.fingerprint(SECRET),
        launcher="fargate",
        number=3,
        deadline=START.deadline,
    )
    assert SECRET.hex() not in json.dumps(aws.calls)


def test_spot_is_another_capacity_at_another_rate_with_a_fallback(aws):
    aws.script["RunTask"] = [started]
    spot = EcsLauncher(SPOT, ecs=lambda region: Ecs(region, aws.clients(region)))
    spot.start([START])
    assert aws.requests("RunTask")[0]["capacityProviderStrategy"][0]["capacityProvider"] == "FARGATE_SPOT"
    assert (SPOT.traits.fallback, FARGATE.traits.fallback) == ("fargate", "")


def test_addresses_are_private_only_where_the_settings_say_so(aws, fargate):
    aws.script["RunTask"] = [started]
    options = {**OPTIONS, "public_ip": "false", "security_groups": ""}
    fargate.start([replace(START, options=options)])
    network = aws.requests("RunTask")[0]["networkConfiguration"]["awsvpcConfiguration"]
    assert network == {"subnets": ["subnet-a", "subnet-b"], "assignPublicIp": "DISABLED"}


def test_what_does_not_fit_into_the_overrides_is_not_asked(aws, fargate):
    (answer,) = fargate.start([replace(START, store=f"s3://bucket/{'x' * 9000}")])
    assert answer.again is Again.NEVER
    assert "too long" in answer.problem
    assert aws.requests("RunTask") == []


def test_each_start_has_its_answer_in_order_and_some_may_be_refused(aws, fargate):
    def sometimes(request):
        odd = int(request["clientToken"], 16) % 2
        return {"tasks": [], "failures": [{"reason": NO_ROOM}]} if odd else started(request)

    aws.script["RunTask"] = [sometimes]
    answers = fargate.start(starts(40))
    assert [each.token for each in answers] == [each.token for each in starts(40)]
    assert [isinstance(each, Handle) for each in answers] == [True, False] * 20
    assert {each.again for each in answers if isinstance(each, Refusal)} == {Again.NO_ROOM}
    assert "no capacity" in answers[1].problem
    assert answers[1].context == NO_ROOM


def test_a_start_whose_reply_is_lost_is_repeated_under_its_token(aws, fargate):
    aws.script["RunTask"] = [None, started]
    (answer,) = fargate.start([START])
    assert isinstance(answer, Handle)
    assert [asked["clientToken"] for asked in aws.requests("RunTask")] == [START.token] * 2


@pytest.mark.parametrize(
    ("said", "again", "words"),
    [
        (
            ("ClientException", "You've reached the limit on the number of vCPUs you can run concurrently"),
            Again.NO_ROOM,
            "limit",
        ),
        (("InvalidParameterException", "The subnet ID 'subnet-a' does not exist"), Again.NEVER, "aws.subnets"),
        (("ClusterNotFoundException", "Cluster not found."), Again.NEVER, "aws.cluster"),
        (("ClientException", "Unable to describe task definition."), Again.NEVER, "aws.task_definition"),
        (
            ("AccessDeniedException", "User: x is not authorized to perform: iam:PassRole on resource: r"),
            Again.NEVER,
            "iam:PassRole",
        ),
        (("ExpiredTokenException", "expired"), Again.NEVER, "aws sso login"),
        (("BlockedException", "Your account is currently blocked."), Again.NEVER, "Support"),
        ({"tasks": [], "failures": [{"reason": "RESOURCE:ENI"}]}, Again.LATER, "addresses"),
        ({"tasks": [], "failures": []}, Again.NEVER, "no reason"),
    ],
)
def test_a_refusal_says_whether_to_ask_again_and_what_to_do(aws, fargate, said, again, words):
    aws.script["RunTask"] = [said]
    (answer,) = fargate.start([START])
    assert isinstance(answer, Refusal)
    assert (answer.token, answer.again) == (START.token, again)
    assert words in answer.problem
    assert "\n" not in answer.problem


def test_what_one_start_is_refused_for_good_is_not_asked_for_all(aws, fargate):
    aws.script["RunTask"] = [("ClusterNotFoundException", "Cluster not found.")]
    answers = fargate.start(starts(500))
    assert len(aws.calls) < 100
    assert {(each.again, each.problem) for each in answers} == {
        (Again.NEVER, "the ECS cluster of aws.cluster does not exist in this region")
    }


@pytest.mark.parametrize(
    "said",
    [
        ("ThrottlingException", "Rate exceeded", 400),
        ("InvalidParameterException", "Unexpected EC2 error: RequestLimitExceeded"),
    ],
)
def test_a_throttle_is_no_lack_of_room_and_the_other_starts_do_not_each_wait_for_its_end(aws, impatient, said):
    aws.script["RunTask"] = [said]
    answers = impatient.start(starts(200))
    assert {each.again for each in answers} == {Again.LATER}
    assert {each.problem for each in answers} == {
        "AWS takes no more starts at the moment (request limit of the account)"
    }
    assert {each.end for each in answers} == {EndCause.DELAYED}
    assert len({asked["clientToken"] for asked in aws.requests("RunTask")}) < 200


def test_a_token_that_was_used_with_other_parameters_is_the_same_worker(aws, fargate):
    """Another client has started it before the deadline was extended."""
    aws.script["RunTask"] = [("ConflictException", "The clientToken has been used with different parameters.")]
    aws.script["ListTasks"] = [{"taskArns": ["a", "b"]}]
    aws.script["DescribeTasks"] = [
        {"tasks": [task("other", token="x"), task("mine", token=START.token)], "failures": []}
    ]
    (answer,) = fargate.start([START])
    assert isinstance(answer, Handle)
    assert answer.wid == "mine"
    assert aws.requests("ListTasks")[0]["startedBy"] == SID


def test_a_conflict_whose_task_is_not_listed_yet_is_asked_again_with_the_same_token(aws, fargate):
    aws.script["RunTask"] = [("ConflictException", "The clientToken has been used with different parameters.")]
    aws.script["ListTasks"] = [{"taskArns": []}]
    (answer,) = fargate.start([START])
    assert answer.again is Again.SAME_TOKEN


def test_an_interruption_stops_what_was_started(aws, fargate):
    gate, begun = threading.Event(), threading.Event()

    def slowly(request):
        begun.set()
        gate.wait(20)
        return started(request)

    aws.script["RunTask"], aws.script["StopTask"] = [slowly], [{}]

    class Interrupted(BaseException):
        pass

    class Impatient(list):
        """Interrupts its reader as Ctrl-C would, while calls are under way."""

        def __iter__(self):
            yield from super().__iter__()
            if not aws.requests("DescribeTaskDefinition"):  # it only looks what it needs
                return
            begun.wait(20)
            threading.Timer(0.1, gate.set).start()
            raise Interrupted

    with pytest.raises(Interrupted):
        fargate.start(Impatient(starts(3)))
    stopped = {asked["task"] for asked in aws.requests("StopTask")}
    assert stopped == {f"task{asked['clientToken']}" for asked in aws.requests("RunTask")}
    assert stopped


def test_a_hundred_workers_are_asked_for_in_a_few_rounds(aws, fargate):
    """AWS answers in about a second; here in a tenth of it."""

    def after_a_while(request):
        time.sleep(0.1)
        return started(request)

    aws.script["RunTask"] = [after_a_while]
    began = time.monotonic()
    answers = fargate.start(starts(100))
    assert all(isinstance(each, Handle) for each in answers)
    assert time.monotonic() - began < 6.0  # one after the other it would be ten


def definition(*, driver="awslogs"):
    log = {
        "logDriver": driver,
        "options": {"awslogs-group": "/burst/workers", "awslogs-stream-prefix": "burst", "awslogs-region": "eu-west-1"},
    }
    return {
        "taskDefinition": {
            "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/burst-worker:7",
            "family": "burst-worker",
            "revision": 7,
            "taskRoleArn": "arn:aws:iam::123456789012:role/task",
            "networkMode": "awsvpc",
            "containerDefinitions": [{"name": "worker", "image": "registry/burst:3.11", "logConfiguration": log}],
        }
    }


# --- images and architectures ------------------------------------------------------------------------------------


def registers(aws):
    """Nobody has registered a copy yet; what is registered is there for the next."""
    there = {}

    def describe(request):
        name = request["taskDefinition"]
        if name == "burst-worker":
            return definition()
        return there.get(name) or ("ClientException", "Unable to describe task definition.")

    def register(request):
        arn = f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{request['family']}:1"
        there[request["family"]] = {"taskDefinition": {**request, "taskDefinitionArn": arn}}
        there[request["family"]]["taskDefinition"].pop("tags", None)  # AWS tells them beside it
        return there[request["family"]]

    aws.script["DescribeTaskDefinition"], aws.script["RegisterTaskDefinition"] = [describe], [register]
    aws.script["RunTask"] = [started]


@pytest.mark.parametrize(
    ("change", "image", "arch"),
    [
        ({"env": "image:registry/mine:3"}, "registry/mine:3", "X86_64"),
        ({"arch": "arm64"}, "registry/burst:3.11", "ARM64"),
        ({"env": "image:registry/mine:3", "arch": "arm64"}, "registry/mine:3", "ARM64"),
    ],
)
def test_another_image_or_architecture_is_a_copy_of_the_definition_that_is_registered_once(
    aws, fargate, change, image, arch
):
    registers(aws)
    fargate.start([replace(each, **change) for each in starts(5)])
    EcsLauncher(FARGATE, ecs=lambda region: Ecs(region, aws.clients(region))).start([replace(START, **change)])
    (made,) = aws.requests("RegisterTaskDefinition")
    assert made["containerDefinitions"][0]["image"] == image
    assert made["containerDefinitions"][0]["logConfiguration"]["logDriver"] == "awslogs"
    assert made["runtimePlatform"]["cpuArchitecture"] == arch
    assert made["taskRoleArn"].endswith("role/task")
    used = {request["taskDefinition"] for request in aws.requests("RunTask")}
    assert used == {f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{made['family']}:1"}


@pytest.mark.parametrize(
    "image",
    [
        "python:3.11-slim",
        "public.ecr.aws/docker/library/python:3.12-slim",
        "1.dkr.ecr/burst-public/docker/library/python:3.13-slim",
    ],
)
def test_a_stock_python_that_is_told_nothing_is_no_worker_and_nothing_starts(aws, fargate, image):
    bare = definition()
    bare["taskDefinition"]["containerDefinitions"][0]["image"] = image
    aws.script["DescribeTaskDefinition"] = [bare]
    (answer,) = fargate.start([replace(START, env="image")])
    assert isinstance(answer, Refusal)
    assert answer.again is Again.NEVER
    assert "is a stock Python" in answer.problem
    assert "--env sync" in answer.problem
    assert aws.requests("RunTask") == []


def test_another_image_runs_the_worker_whatever_its_own_entry_point_is(aws, fargate):
    registers(aws)
    watchdog = ["python", "-m", "burst_magic.worker.watchdog"]
    known = definition()
    known["taskDefinition"]["containerDefinitions"][0]["command"] = watchdog
    describe, *_ = aws.script["DescribeTaskDefinition"]
    aws.script["DescribeTaskDefinition"] = [
        lambda request: known if request["taskDefinition"] == "burst-worker" else describe(request)
    ]
    fargate.start([replace(START, env="image:registry/mine:3")])
    (made,) = aws.requests("RegisterTaskDefinition")
    assert made["containerDefinitions"][0]["entryPoint"] == watchdog
    assert "command" not in made["containerDefinitions"][0]


def test_another_image_runs_the_worker_where_the_definition_left_that_to_its_own_image(aws, fargate):
    registers(aws)
    fargate.start([replace(START, env="image:registry/mine:3")])
    (made,) = aws.requests("RegisterTaskDefinition")
    assert made["containerDefinitions"][0]["entryPoint"] == ["python", "-m", "burst_magic.worker.watchdog"]


@pytest.mark.parametrize(
    ("options", "image"),
    [
        ({}, "public.ecr.aws/docker/library/python:3.12-slim"),
        (
            {"image": "1234.dkr.ecr/ecr-public/docker/library/python"},
            "1234.dkr.ecr/ecr-public/docker/library/python:3.12-slim",
        ),
    ],
)
def test_a_stock_python_of_the_kernels_version_runs_the_command_that_makes_it_the_worker(aws, fargate, options, image):
    registers(aws)
    bare = replace(
        START, python="3.12", command=("python", "-c", "1"), bundle="ab12", options=OPTIONS | options, env="sync"
    )
    fargate.start([bare, replace(bare, token="another")])
    fargate.start([replace(bare, command=("python", "-c", "2"), token="newer")])
    first, second = aws.requests("RegisterTaskDefinition")
    assert first["containerDefinitions"][0]["image"] == image
    assert first["containerDefinitions"][0]["entryPoint"] == ["python", "-c", "1"]
    assert first["family"] != second["family"]
    (container,) = aws.requests("RunTask")[0]["overrides"]["containerOverrides"]
    assert {"name": "BURST_BIRTH_BUNDLE", "value": "ab12"} in container["environment"]


def test_the_configured_definition_is_used_as_it_is_where_it_fits(aws, fargate):
    registers(aws)
    fargate.start([replace(START, env="image:registry/burst:3.11"), replace(START, token="another", env="sync")])
    assert aws.requests("RegisterTaskDefinition") == []
    assert {request["taskDefinition"] for request in aws.requests("RunTask")} == {"burst-worker"}


def described(arch=None, *, revision=7, tags=()):
    """The configured definition."""
    said = definition()
    if arch:
        said["taskDefinition"]["runtimePlatform"] = {"cpuArchitecture": arch, "operatingSystemFamily": "LINUX"}
    said["taskDefinition"]["taskDefinitionArn"] = said["taskDefinition"]["taskDefinitionArn"][:-1] + str(revision)
    return {**said, "tags": list(tags)}


def configure(aws, said):
    """What DescribeTaskDefinition says of it from now on; of copies it says what it said."""
    describe, *_ = aws.script["DescribeTaskDefinition"]
    aws.script["DescribeTaskDefinition"] = [
        lambda request: said if request["taskDefinition"] == "burst-worker" else describe(request)
    ]


@pytest.mark.parametrize(("mounts", "read_only"), [([], None), ([{"containerPath": "/tmp"}], True)])
def test_what_a_definition_says_for_its_own_image_does_not_keep_a_stock_python_from_working(
    aws, fargate, mounts, read_only
):
    registers(aws)
    said = described("X86_64")
    said["taskDefinition"]["containerDefinitions"][0] |= {
        "healthCheck": {"command": ["CMD", "python", "-m", "burst_magic.worker.health"]},
        "linuxParameters": {"initProcessEnabled": True, "swappiness": 0},
        "readonlyRootFilesystem": True,
        "mountPoints": mounts,
    }
    configure(aws, said)
    fargate.start([replace(START, python="3.12", command=("python", "-c", "1"), bundle="ab12", env="sync")])
    container = aws.requests("RegisterTaskDefinition")[0]["containerDefinitions"][0]
    assert "healthCheck" not in container
    assert container["linuxParameters"] == {"initProcessEnabled": False, "swappiness": 0}
    assert container.get("readonlyRootFilesystem") is read_only
    fargate.start([replace(START, env="image:registry/mine:3", token="another")])
    kept = aws.requests("RegisterTaskDefinition")[1]["containerDefinitions"][0]
    assert kept["readonlyRootFilesystem"]
    assert kept["healthCheck"]


def test_without_an_architecture_workers_have_that_of_the_configured_definition(aws, fargate):
    registers(aws)
    configure(aws, described("ARM64"))
    fargate.start([replace(START, arch="")])
    assert aws.requests("RegisterTaskDefinition") == []
    fargate.start([replace(START, arch="", env="image:registry/mine:3")])
    fargate.start([replace(START, arch="x86_64")])
    platforms = [made["runtimePlatform"]["cpuArchitecture"] for made in aws.requests("RegisterTaskDefinition")]
    assert platforms == ["ARM64", "X86_64"]


def test_a_copy_has_the_tags_of_the_configured_definition_but_for_those_that_only_aws_may_set(aws, fargate):
    registers(aws)
    mine = {"key": "team", "value": "web"}
    configure(aws, described(tags=[mine, {"key": "aws:cloudformation:stack-name", "value": "burst"}]))
    fargate.start([replace(START, arch="arm64")])
    (made,) = aws.requests("RegisterTaskDefinition")
    assert made["tags"] == [mine]
    assert aws.requests("DescribeTaskDefinition")[0]["include"] == ["TAGS"]


def test_a_new_revision_of_the_configured_definition_is_seen_by_the_next_start(aws, fargate):
    registers(aws)
    arm = replace(START, arch="arm64")
    fargate.start([arm])
    configure(aws, described(revision=8))
    fargate.start([arm])
    families = [made["family"] for made in aws.requests("RegisterTaskDefinition")]
    assert len(set(families)) == 2
    assert [asked["taskDefinition"].split("/")[1][:-2] for asked in aws.requests("RunTask")] == families


@pytest.mark.parametrize(
    ("said", "arch"),
    [
        (described("ARM64"), "arm64"),
        (described("X86_64"), "x86_64"),
        (described(), "x86_64"),
        (("AccessDeniedException", "User: x is not authorized to perform: ecs:DescribeTaskDefinition"), ""),
    ],
)
@pytest.mark.usefixtures("_settings_name_this_server")
def test_the_price_is_that_of_the_definitions_architecture_where_it_can_be_read(aws, said, arch):
    aws.script["DescribeTaskDefinition"] = [said]
    assert FARGATE.traits.own_arch(OPTIONS) == own_arch({"spot": SPOT.traits}, OPTIONS) == arch


def test_nobody_is_asked_for_the_architecture_before_a_launcher_is_set_up(aws):
    assert own_arch({"fargate": FARGATE.traits}, {"region": "eu-west-1"}) == ""
    assert aws.calls == []


def test_a_definition_that_is_not_there_is_the_reason_for_no_start(aws, fargate):
    aws.script["DescribeTaskDefinition"] = [("ClientException", "Unable to describe task definition.")]
    (answer,) = fargate.start([START])
    assert answer.again is Again.NEVER
    assert "task definition" in answer.problem + answer.context
    assert aws.requests("RunTask") == []


# --- looking after them ----------------------------------------------------------------------------------------------


def ask(aws, fargate, *tasks, failures=(), handles=None):
    aws.script["DescribeTasks"] = [{"tasks": list(tasks), "failures": list(failures)}]
    return fargate.describe(handles or [handle(each["taskArn"].rpartition("/")[2]) for each in tasks])


@pytest.mark.parametrize(
    ("said", "state", "phase"),
    [
        ({"status": "PROVISIONING"}, WorkerState.COMING, "provisioning"),
        ({"status": "PENDING"}, WorkerState.COMING, "pending"),
        ({"status": "PENDING", "pullStartedAt": 1.5e9}, WorkerState.COMING, "pulling the image"),
        ({"status": "PENDING", "pullStartedAt": 1.5e9, "pullStoppedAt": 1.5e9}, WorkerState.COMING, "pending"),
        ({"status": "ACTIVATING"}, WorkerState.COMING, "starting"),
        ({"status": "RUNNING"}, WorkerState.RUNNING, ""),
        ({"status": "PROVISIONING", "desiredStatus": "STOPPED"}, WorkerState.RUNNING, ""),
        ({"status": "STOPPING", "desiredStatus": "STOPPED"}, WorkerState.RUNNING, ""),
        ({"status": "DEPROVISIONING", "desiredStatus": "STOPPED"}, WorkerState.RUNNING, ""),
    ],
)
def test_only_stopped_is_an_end(aws, fargate, said, state, phase):
    status = ask(aws, fargate, task("w", **said))["w"]
    assert (status.state, status.cause) == (state, None)
    assert status.phase == phase or not phase


EXITED = "Essential container in task exited"


@pytest.mark.parametrize(
    ("code", "reason", "container", "cause", "words"),
    [
        ("EssentialContainerExited", EXITED, {"exitCode": 0}, Cause.CODE, "exit code 0"),
        ("EssentialContainerExited", EXITED, {"exitCode": 137}, Cause.CODE, "exit code 137"),
        ("EssentialContainerExited", EXITED, {"exitCode": 75}, Cause.STOPPED, "terminated from outside"),
        (
            "EssentialContainerExited",
            EXITED,
            {"exitCode": 77},
            Cause.UNTRUSTED,
            "could not read this session's key",
        ),
        ("EssentialContainerExited", EXITED, {"exitCode": 124}, Cause.STOPPED, "had not ended at its deadline"),
        (
            "EssentialContainerExited",
            EXITED,
            {"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"},
            Cause.MEMORY,
            "memory usage",
        ),
        ("SpotInterruption", "Your Spot Task was interrupted.", {"exitCode": 137}, Cause.SPOT, "interrupted"),
        ("TerminationNotice", "Your Spot Task was interrupted.", {"exitCode": 143}, Cause.SPOT, "interrupted"),
        (
            "TerminationNotice",
            "ECS is performing maintenance on the underlying infrastructure hosting the task.",
            {"exitCode": 137},
            Cause.HOST,
            "maintenance",
        ),
        ("InfrastructureHealth", "", {"exitCode": 137}, Cause.HOST, "InfrastructureHealth"),
        ("UserInitiated", "burst_magic: stopped", {"exitCode": 137}, Cause.STOPPED, "stopped"),
        ("UserInitiated", "Task stopped by user", {}, Cause.STOPPED, "by user"),
        ("TaskFailedToStart", "CannotPullContainerError: x: not found", {}, Cause.NEVER_STARTED, "image was not found"),
        ("TaskFailedToStart", NO_ROOM, {}, Cause.NO_ROOM, "no capacity"),
        (
            "TaskFailedToStart",
            "Timeout waiting for network interface provisioning to complete.",
            {},
            Cause.DELAYED,
            "interface",
        ),
        (
            "",
            "Task failed to start",
            {"reason": "CannotStartContainerError: exec format error"},
            Cause.NEVER_STARTED,
            "--arch",
        ),
        ("EssentialContainerExited", EXITED, {}, Cause.OTHER, EXITED),
        ("", "", {}, Cause.UNKNOWN, ""),
    ],
)
def test_an_end_is_blamed_on_whoever_brought_it_about(aws, fargate, *, code, reason, container, cause, words):
    said = {"stopCode": code or None, "stoppedReason": reason or None}
    said = {name: value for name, value in said.items() if value}
    ended = task("w", status="STOPPED", containers=[{"name": "worker", **container}], **said)
    status = ask(aws, fargate, ended)["w"]
    assert (status.state, status.cause) == (WorkerState.ENDED, cause)
    assert words in status.reason
    assert status.exit_code == container.get("exitCode")


def test_the_times_of_a_task_are_those_of_its_bill(aws, fargate):
    times = {"createdAt": 1.5e9, "pullStartedAt": 1.5e9 + 20, "startedAt": 1.5e9 + 30, "stoppedAt": 1.5e9 + 90}
    status = ask(aws, fargate, task("w", status="STOPPED", **times))["w"]
    assert (status.created, status.billed_from, status.ended) == (1.5e9, 1.5e9 + 20, 1.5e9 + 90)


def test_a_task_that_is_missing_has_not_ended(aws, fargate):
    failures = [{"arn": "arn:aws:ecs:eu-west-1:1:task/science/w", "reason": "MISSING"}]
    assert ask(aws, fargate, failures=failures, handles=[handle("w")])["w"].state is WorkerState.UNKNOWN


def test_a_task_that_was_started_just_now_and_is_missing_is_coming(aws, fargate, clock):
    aws.script["RunTask"] = [started]
    (mine,) = fargate.start([START])
    assert ask(aws, fargate, failures=[{"reason": "MISSING"}], handles=[mine])[mine.wid].state is WorkerState.COMING
    clock.now += 600
    assert fargate.describe([mine])[mine.wid].state is WorkerState.UNKNOWN


def test_five_hundred_workers_are_five_calls_and_asked_twice_a_second_at_most(aws, fargate, clock):
    def all_run(request):
        return {"tasks": [task(each, status="RUNNING") for each in request["tasks"]], "failures": []}

    aws.script["DescribeTasks"] = [all_run]
    handles = [handle(f"w{place}") for place in range(500)]
    for _ in range(3):
        assert {each.state for each in fargate.describe(handles).values()} == {WorkerState.RUNNING}
    assert [len(asked["tasks"]) for asked in aws.requests("DescribeTasks")] == [100] * 5
    clock.now += 1
    fargate.describe(handles)
    assert len(aws.requests("DescribeTasks")) == 10


def test_workers_that_were_found_have_been_described_with_it(aws, fargate):
    aws.script["ListTasks"] = [{"taskArns": ["arn:aws:ecs:eu-west-1:123456789012:task/science/w"]}]
    aws.script["DescribeTasks"] = [{"tasks": [task("w", status="RUNNING")], "failures": []}]
    (found,) = fargate.find(SID, OPTIONS)
    assert fargate.describe([found])["w"].state is WorkerState.RUNNING
    assert len(aws.requests("DescribeTasks")) == 1


def test_an_end_stays_though_ecs_forgets_it_within_the_hour(aws, fargate, clock):
    ended = task("w", status="STOPPED", stopCode="SpotInterruption")
    assert ask(aws, fargate, ended)["w"].cause is Cause.SPOT
    clock.now += 7200
    assert ask(aws, fargate, failures=[{"reason": "MISSING"}], handles=[handle("w")])["w"].cause is Cause.SPOT


def test_each_cluster_is_asked_for_its_own(aws, fargate):
    def one(request):
        return {"tasks": [task(each, status="RUNNING") for each in request["tasks"]], "failures": []}

    aws.script["DescribeTasks"] = [one]
    assert len(fargate.describe([handle("a"), handle("b", cluster="other")])) == 2
    assert {asked["cluster"] for asked in aws.requests("DescribeTasks")} == {"science", "other"}


def test_without_an_answer_nothing_is_known_and_it_is_said_once(aws, fargate, clock, caplog):
    aws.script["DescribeTasks"] = [("AccessDeniedException", "User: x is not authorized to perform: ecs:DescribeTasks")]
    for _ in range(3):
        status = fargate.describe([handle("w")])["w"]
        assert status.state is WorkerState.UNKNOWN
        assert "ecs:DescribeTasks" in status.reason
        clock.now += 5
    assert len(caplog.records) == 1


def test_what_is_no_task_of_ecs_is_unknown_and_nobody_is_asked(aws, fargate):
    stranger = Handle(launcher="fargate", wid="nobody", token="t")
    assert fargate.describe([stranger])["nobody"].state is WorkerState.UNKNOWN
    fargate.stop(stranger)
    assert fargate.log(stranger) == ""
    assert aws.calls == []


def test_a_stop_says_by_whom_and_a_task_that_is_gone_is_no_trouble(aws, fargate, caplog):
    aws.script["StopTask"] = [{}, ("InvalidParameterException", "The referenced task was not found.")]
    fargate.stop(handle("w"))
    fargate.stop(handle("w"), kill=True)
    assert [asked["reason"] for asked in aws.requests("StopTask")] == ["burst_magic: stopped", "burst_magic: killed"]
    assert [asked["cluster"] for asked in aws.requests("StopTask")] == ["science"] * 2
    assert caplog.records == []


def test_a_sessions_tasks_are_found_without_the_store(aws, fargate):
    aws.script["ListTasks"] = [{"taskArns": ["a", "b"]}]
    both = [task("a", token="ta", status="RUNNING"), task("b", token="tb", provider="FARGATE_SPOT")]
    aws.script["DescribeTasks"] = [{"tasks": both, "failures": []}]
    found = fargate.find(SID, OPTIONS)
    assert [(each.wid, each.token, each.launcher) for each in found] == [("a", "ta", "fargate")]


def test_a_session_of_many_tasks_is_found_whole(aws, fargate):
    aws.script["ListTasks"] = [
        {"taskArns": [f"w{place}" for place in range(100)], "nextToken": "more"},
        {"taskArns": [f"w{place}" for place in range(100, 150)]},
    ]

    def all_run(request):
        return {"tasks": [task(each, status="RUNNING") for each in request["tasks"]], "failures": []}

    aws.script["DescribeTasks"] = [all_run]
    assert {each.wid for each in fargate.find(SID, OPTIONS)} == {f"w{place}" for place in range(150)}


# --- its log -----------------------------------------------------------------------------------------------------


def test_the_log_is_the_end_of_the_containers_stream(aws, fargate):
    aws.script["DescribeTaskDefinition"] = [definition()]
    aws.script["GetLogEvents"] = [{"events": [{"message": "one"}, {"message": "two"}]}]
    for _ in range(2):
        assert fargate.log(handle("w")) == "one\ntwo\n"
    assert aws.requests("GetLogEvents")[0]["logStreamName"] == "burst/worker/w"
    assert len(aws.requests("DescribeTaskDefinition")) == 1


def test_a_log_is_read_on_from_where_it_was_read_to(aws):
    stream, logs = LogStream(group="g", name="s"), Logs("eu-west-1", aws.clients("eu-west-1"))
    aws.script["GetLogEvents"] = [
        ("ResourceNotFoundException", "The specified log stream does not exist."),
        {"events": [{"message": "one"}], "nextForwardToken": "f/1"},
        {"events": [], "nextForwardToken": "f/2"},
        {"events": [{"message": "two"}], "nextForwardToken": "f/3"},
        {"events": [], "nextForwardToken": "f/3"},
    ]
    assert logs.after(stream, "") == ([], "")
    assert logs.after(stream, "") == (["one", "two"], "f/3")
    aws.script["GetLogEvents"] = [{"events": [], "nextForwardToken": "f/3"}]
    assert logs.after(stream, "f/3") == ([], "f/3")
    asked = [each.get("nextToken") for each in aws.requests("GetLogEvents")]
    assert asked == [None, None, "f/1", "f/2", "f/3", "f/3"]
    assert {each["startFromHead"] for each in aws.requests("GetLogEvents")} == {True}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("ResourceNotFoundException", "The specified log stream does not exist."), ""),
        (("ResourceNotFoundException", "The specified log group does not exist."), "/burst/workers does not exist"),
        (("AccessDeniedException", "User: x is not authorized to perform: logs:GetLogEvents"), "logs:GetLogEvents"),
    ],
)
def test_a_log_that_cannot_be_read_says_why(aws, fargate, said, words):
    aws.script["DescribeTaskDefinition"] = [definition()]
    aws.script["GetLogEvents"] = [said]
    log = fargate.log(handle("w"))
    assert words in log
    assert bool(log) == bool(words)


def test_a_container_that_logs_elsewhere_has_no_log_here(aws, fargate):
    aws.script["DescribeTaskDefinition"] = [definition(driver="splunk")]
    assert fargate.log(handle("w")) == ""


def printed(aws, fargate, *, workers=("a", "b"), since=None):
    aws.script["DescribeTaskDefinition"] = [definition()]
    return fargate.printed(workers, OPTIONS, since=time.time() - 60 if since is None else since)


def event(stream, at, message):
    return {"logStreamName": f"burst/worker/{stream}", "timestamp": at, "message": message}


def test_what_a_session_printed_is_one_question_in_order_of_time_and_nobody_elses(aws, fargate):
    aws.script["FilterLogEvents"] = [
        {"events": [event("a", 2000, "two\nlines"), event("other", 1000, "not mine")], "nextToken": "n"},
        {"events": [event("b", 1500, "one")]},
    ]
    lines = printed(aws, fargate)
    assert [(line.worker, line.at, line.text) for line in lines] == [
        ("b", 1.5, "one"),
        ("a", 2.0, "two"),
        ("a", 2.0, "lines"),
    ]
    first, second = aws.requests("FilterLogEvents")
    assert (first["logGroupName"], first["logStreamNamePrefix"]) == ("/burst/workers", "burst/worker/")
    assert second["nextToken"] == "n"


def test_that_there_is_more_than_is_read_is_said(aws, fargate):
    aws.script["FilterLogEvents"] = [{"events": [event("a", 2000, "line")], "nextToken": "n"}]
    lines = printed(aws, fargate)
    assert {line.text for line in lines[:-1]} == {"line"}
    assert lines[-1].text == "more was printed than is shown; the rest is in the log group /burst/workers"
    assert len(aws.requests("FilterLogEvents")) == 3


def test_one_worker_is_asked_for_by_its_own_stream(aws, fargate):
    aws.script["FilterLogEvents"] = [{"events": []}]
    assert printed(aws, fargate, workers=["a"]) == []
    assert aws.requests("FilterLogEvents")[0]["logStreamNamePrefix"] == "burst/worker/a"


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (("ResourceNotFoundException", "The specified log group does not exist."), Missing, "/burst/workers does not"),
        (
            ("AccessDeniedException", "User: x is not authorized to perform: logs:FilterLogEvents"),
            Denied,
            "logs:Filter",
        ),
    ],
)
def test_lines_that_cannot_be_read_say_why(aws, fargate, said, error, words):
    aws.script["FilterLogEvents"] = [said]
    with pytest.raises(error, match=words):
        printed(aws, fargate)


def test_lines_that_were_deleted_by_now_are_told(aws, fargate):
    aws.script["FilterLogEvents"] = [{"events": []}]
    aws.script["DescribeLogGroups"] = [{"logGroups": [{"logGroupName": "/burst/workers", "retentionInDays": 3}]}]
    with pytest.raises(Missing, match="keeps lines for 3 days"):
        printed(aws, fargate, since=time.time() - 5 * 86400)
    assert printed(aws, fargate, since=time.time() - 2 * 86400) == []
