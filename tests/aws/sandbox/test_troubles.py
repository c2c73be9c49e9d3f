"""Every trouble of the stand-in cloud, as AWS words it, and the good weather after it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from botocore.exceptions import ConnectionClosedError

from burst_magic.testing.sandbox import TaskState
from burst_magic.testing.sandbox.weather import QuotaAnswer, StartFailure

SLEEP = "print('ready', flush=True); import time; time.sleep(60)"
SPOT = [{"capacityProvider": "FARGATE_SPOT"}]
STORE = """
import obstore, time
from obstore.store import S3Store
store = S3Store({bucket!r}, prefix="burst", config={{"endpoint": {endpoint!r}}}, client_options={{"allow_http": True}},
                retry_config={{"max_retries": 0}})
last = ""
while True:
    try:
        obstore.put(store, "sessions/s/x", b"1")
        now = "connected"
    except Exception as error:
        now = "cut"
    if now != last:
        print(now, flush=True)
    last = now
    time.sleep(0.02)
"""


def described(account, arn):
    """The error of DescribeTasks, tried once, or None."""
    ecs = account.impatient("ecs")
    try:
        ecs.describe_tasks(cluster=account.cloud.aws["cluster"], tasks=[arn])
    except ecs.exceptions.ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return None


@pytest.mark.parametrize(("provider", "name"), [("FARGATE", "capacity"), ("FARGATE_SPOT", "spot_capacity")])
def test_there_is_room_for_some_tasks_of_a_provider_only(account, cloud, provider, name):
    cloud.weather = replace(cloud.weather, **{name: 2})
    strategy = [{"capacityProvider": provider}]
    said = account.run_task(SLEEP, count=3, capacityProviderStrategy=strategy)

    assert len(said["tasks"]) == 2
    assert [failure["reason"] for failure in said["failures"]] == [
        "Capacity is unavailable at this time. Please try again later or in a different availability zone"
    ]
    other = [{"capacityProvider": ({"FARGATE", "FARGATE_SPOT"} - {provider}).pop()}]
    assert account.run_task(capacityProviderStrategy=other)["failures"] == []
    cloud.weather = replace(cloud.weather, **{name: None})
    assert account.run_task(capacityProviderStrategy=strategy)["failures"] == []


def test_the_quota_of_vcpus_counts_what_runs(account, cloud):
    cloud.weather = replace(cloud.weather, vcpus=2)
    said = account.run_task(SLEEP, count=3)

    assert len(said["tasks"]) == 2
    assert [each["reason"] for each in said["failures"]] == [
        "You've reached the limit on the number of vCPUs you can run concurrently"
    ]
    account.client("ecs").stop_task(cluster=cloud.aws["cluster"], task=said["tasks"][0]["taskArn"])
    account.finished(said["tasks"][0]["taskArn"])
    assert account.run_task(SLEEP)["failures"] == []


def test_the_quota_may_be_told_as_an_exception(account, cloud):
    cloud.weather = replace(cloud.weather, vcpus=0, quota_answer=QuotaAnswer.EXCEPTION)

    assert account.refusal().startswith("LimitExceededException: You've reached the limit on the number of vCPUs")


def test_launches_are_limited_for_each_provider(account, cloud):
    cloud.weather = replace(cloud.weather, launches=(0.001, 2))

    assert len(account.run_task(count=2)["tasks"]) == 2
    assert account.refusal() == "ThrottlingException: Rate exceeded"
    assert account.run_task(capacityProviderStrategy=SPOT)["failures"] == []


def test_calls_are_limited(account, cloud):
    cloud.weather = replace(cloud.weather, run_calls=(0.001, 1), read_calls=(0.001, 1))
    arn = account.start()

    assert account.refusal() == "ThrottlingException: Rate exceeded"
    assert described(account, arn) is None
    assert described(account, arn) == ("ThrottlingException", 400)


def test_runtask_is_throttled_a_number_of_times(account, cloud):
    cloud.weather = replace(cloud.weather, throttled_runs=1)

    assert account.refusal() == "ThrottlingException: Rate exceeded"
    assert account.start()


def test_the_limit_of_ec2_comes_as_a_wrong_parameter(account, cloud):
    cloud.weather = replace(cloud.weather, wrapped_throttling=1)

    assert "InvalidParameterException" in (said := account.refusal())
    assert "RequestLimitExceeded" in said
    assert account.start()


def test_describetasks_is_throttled_or_fails_a_number_of_times(account, cloud):
    arn = account.start()
    cloud.weather = replace(cloud.weather, throttled_describes=1, describe_errors=1)

    assert described(account, arn) == ("ServerException", 500)
    assert described(account, arn) == ("ThrottlingException", 400)
    assert described(account, arn) is None


def test_a_new_task_is_missing_until_ecs_has_heard_of_it(account, cloud):
    cloud.weather = replace(cloud.weather, describe_lag=3)
    arn = account.start(SLEEP, startedBy="lag")
    first, listed = account.describe(arn), account.client("ecs").list_tasks(cluster="burst", startedBy="lag")

    assert first["failures"] == [{"arn": arn, "reason": "MISSING"}]
    assert listed["taskArns"] == []
    end = time.monotonic() + 30
    while account.describe(arn)["failures"]:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_reply_that_is_lost_leaves_one_task_behind_its_token(account, cloud):
    cloud.weather = replace(cloud.weather, lost_replies=1)
    with pytest.raises(ConnectionClosedError):
        account.impatient("ecs").run_task(**account.request(SLEEP, clientToken="lost"))
    [task] = [task for task in cloud.tasks() if task.token == "lost"]

    assert account.start(SLEEP, clientToken="lost") == task.arn


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (StartFailure.IMAGE, "CannotPullContainerError: pull image manifest has been retried 1 time(s)"),
        (StartFailure.REGISTRY, "ResourceInitializationError: unable to pull secrets or registry auth"),
        (StartFailure.ADDRESSES, "Unexpected EC2 error while attempting to Create Network Interface in subnet"),
        (StartFailure.ENI_TIMEOUT, "Timeout waiting for network interface provisioning to complete."),
    ],
)
def test_a_task_that_fails_to_start_says_why_and_has_no_exit_code(account, cloud, trouble, reason):
    cloud.weather = replace(cloud.weather, trouble=trouble)
    over = account.finished(account.start())

    assert over["stopCode"] == "TaskFailedToStart"
    assert over["stoppedReason"].startswith(reason)
    assert "exitCode" not in over["containers"][0]
    cloud.weather = replace(cloud.weather, trouble=None)
    assert account.finished(account.start())["containers"][0]["exitCode"] == 0


def test_a_subnet_runs_out_of_addresses_and_gets_them_back(account, cloud):
    ec2 = cloud.administrator.clients.of("ec2")
    vpc = ec2.describe_subnets(SubnetIds=cloud.aws["subnets"].split(","))["Subnets"][0]["VpcId"]
    small = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.250.0/28")["Subnet"]["SubnetId"]
    network = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [small]}}}
    for _ in range(11):  # 16 addresses, of which AWS takes five
        eni = ec2.create_network_interface(SubnetId=small)["NetworkInterface"]["NetworkInterfaceId"]
    over = account.finished(account.start(**network))

    assert over["stopCode"] == "TaskFailedToStart"
    assert over["stoppedReason"].endswith(f"in subnet '{small}': InsufficientFreeAddressesInSubnet")
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    for _ in range(2):
        assert account.finished(account.start(**network))["containers"][0]["exitCode"] == 0


def test_a_missing_log_group_fails_the_start(account, cloud):
    logs, group = cloud.administrator.clients.of("logs"), cloud.stack.log_group
    logs.delete_log_group(logGroupName=group)
    try:
        over = account.finished(account.start())
    finally:
        logs.create_log_group(logGroupName=group)

    assert over["stopCode"] == "TaskFailedToStart"
    assert over["stoppedReason"].startswith("ResourceInitializationError: failed to validate logger args")
    assert "ResourceNotFoundException" in over["stoppedReason"]


def test_a_task_that_never_leaves_provisioning_can_be_stopped(account, cloud):
    cloud.weather = replace(cloud.weather, trouble=StartFailure.STUCK)
    arn = account.start()
    with pytest.raises(TimeoutError):
        cloud.wait_for(arn, TaskState.PENDING, within=0.5)
    account.client("ecs").stop_task(cluster=cloud.aws["cluster"], task=arn)

    assert account.finished(arn)["stopCode"] == "UserInitiated"


def test_a_task_out_of_memory_is_killed_at_once(account, cloud):
    task = account.running("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP)
    cloud.out_of_memory(task.id)
    over = account.finished(task.arn)

    assert over["stopCode"] == "EssentialContainerExited"
    assert over["containers"][0]["exitCode"] == 137
    assert over["containers"][0]["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_the_host_of_a_task_is_retired(account, cloud):
    task = account.running(SLEEP)
    cloud.retire(task.id)
    over = account.finished(task.arn)

    assert over["stopCode"] == "TerminationNotice"
    assert over["containers"][0]["exitCode"] == 143


def test_one_tasks_way_to_s3_is_cut_and_comes_back(account, cloud):
    code = STORE.format(bucket=cloud.stack.bucket, endpoint=cloud.endpoint)
    arns = [account.start(code), account.start(code)]
    for arn in arns:
        account.wait_for_line(arn, "connected")
    cloud.weather = replace(cloud.weather, cut_off=frozenset({cloud.task(arns[0]).id}))
    account.wait_for_line(arns[0], "cut")
    cloud.weather = replace(cloud.weather, cut_off=frozenset())
    end = time.monotonic() + 30
    while account.lines(arns[0]) != ["connected", "cut", "connected"]:
        assert time.monotonic() < end
        time.sleep(0.05)

    assert account.lines(arns[1]) == ["connected"]


def test_the_users_token_is_expired_everywhere_until_it_is_renewed(account, cloud):
    cloud.expire()
    for service, ask, code in (
        ("ecs", lambda aws: aws.list_tasks(cluster=cloud.aws["cluster"]), "ExpiredTokenException"),
        ("s3", lambda aws: aws.list_objects_v2(Bucket=cloud.stack.bucket), "ExpiredToken"),
        ("ec2", lambda aws: aws.describe_subnets(), "ExpiredToken"),
        ("logs", lambda aws: aws.describe_log_groups(), "ExpiredTokenException"),
    ):
        client = account.impatient(service)
        with pytest.raises(client.exceptions.ClientError) as caught:
            ask(client)
        assert caught.value.response["Error"]["Code"] == code, service
    before = cloud.environ(files=True)
    cloud.renew()

    assert cloud.environ(files=True) == before
    assert account.client("ecs").list_tasks(cluster=cloud.aws["cluster"])["taskArns"] == []


def test_renewed_keys_are_in_awss_own_file(account, cloud):
    import boto3
    from botocore.session import Session

    cloud.renew()
    core = Session()
    for name, variable in (("credentials_file", "AWS_SHARED_CREDENTIALS_FILE"), ("config_file", "AWS_CONFIG_FILE")):
        core.set_config_variable(name, cloud.environ(files=True)[variable])
    ecs = boto3.Session(botocore_session=core).client("ecs", endpoint_url=cloud.endpoint)

    assert ecs.list_tasks(cluster=cloud.aws["cluster"])["taskArns"] == []


def test_ecs_tells_times_faster(account, cloud):
    cloud.weather = replace(cloud.weather, rate=36_000.0)
    arn = account.start(SLEEP)
    cloud.wait_for(arn, TaskState.RUNNING)
    task = account.describe(arn)["tasks"][0]

    assert (task["startedAt"] - task["createdAt"]).total_seconds() > 3600
    cloud.out_of_memory(arn)
    cloud.wait_for(arn, TaskState.STOPPED)
    end = time.monotonic() + 10
    while not account.describe(arn)["failures"]:  # stopped an hour ago
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_clouds_of_one_process_do_not_meet(account, cloud, tmp_path):
    from burst_magic.testing.sandbox import Sandbox

    s3, where = account.client("s3"), {"Bucket": cloud.stack.bucket, "Key": "burst/sessions/mine"}
    s3.put_object(**where, Body=b"mine")
    with Sandbox(home=tmp_path) as other:
        assert other.stack.bucket not in {
            each["Name"] for each in cloud.administrator.clients.of("s3").list_buckets()["Buckets"]
        }
        with pytest.raises(account.client("s3").exceptions.ClientError):
            account.client("s3").list_objects_v2(Bucket=other.stack.bucket)
        account.start()
        assert other.tasks() == []
    assert s3.get_object(**where)["Body"].read() == b"mine"  # the end of one closes nothing of the other
    assert account.start()
