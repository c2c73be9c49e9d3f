"""Prices, quotas, usage and simulated policies answer as AWS does: boto3 reads them by its own models."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from burst_magic.plan.prices import shipped

ON_DEMAND, SPOT = "L-3032A538", "L-36FBB829"
SLEEP = "print('ready', flush=True); import time; time.sleep(60)"


@pytest.fixture
def quotas(account):
    return account.client("service-quotas")


def quota(quotas, code: str = ON_DEMAND):
    return quotas.get_service_quota(ServiceCode="fargate", QuotaCode=code)["Quota"]


def test_the_price_list_comes_in_pages_and_has_more_than_what_workers_cost(account):
    pages = account.client("pricing").get_paginator("get_products")
    region = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": "ap-south-1"}]
    found = [page["PriceList"] for page in pages.paginate(ServiceCode="AmazonECS", Filters=region)]
    entries = [json.loads(text) for page in found for text in page]

    assert len(found) > 1
    usages = [each["product"]["attributes"]["usagetype"].partition("-")[2] for each in entries]
    assert {"Fargate-ARM-GB-Hours", "Fargate-Windows-GB-Hours", "SpotUsage-Fargate-vCPU-Hours:perCPU"} <= set(usages)
    (term,) = entries[usages.index("Fargate-ARM-GB-Hours")]["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    assert float(dimension["pricePerUnit"]["USD"]) == shipped().fargate["ap-south-1"]["arm64"].gb


def test_a_quota_is_the_weather_s_and_names_its_metric(quotas, cloud):
    cloud.weather = replace(cloud.weather, vcpus=12.0)

    said = quota(quotas)
    assert (said["Value"], said["QuotaName"]) == (12.0, "Fargate On-Demand vCPU resource count")
    assert said["UsageMetric"]["MetricDimensions"]["Class"] == "Standard/OnDemand"
    with pytest.raises(quotas.exceptions.NoSuchResourceException):  # nobody has ever raised it
        quota(quotas, SPOT)
    default = quotas.get_aws_default_service_quota(ServiceCode="fargate", QuotaCode=SPOT)["Quota"]
    assert default["Value"] > 12.0


def test_cloudwatch_counts_the_vcpus_in_use_and_has_no_point_where_nothing_runs(account):
    now = datetime.now(timezone.utc)

    def used(kind: str) -> list[float]:
        said = account.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Usage",
            MetricName="ResourceCount",
            Dimensions=[{"Name": "Service", "Value": "Fargate"}, {"Name": "Class", "Value": kind}],
            StartTime=now - timedelta(minutes=15),
            EndTime=now + timedelta(minutes=1),
            Period=300,
            Statistics=["Maximum"],
        )
        return [each["Maximum"] for each in said["Datapoints"]]

    assert used("Standard/OnDemand") == []
    account.running(
        SLEEP,
        overrides={
            "cpu": "2048",
            "memory": "4096",
            "containerOverrides": [{"name": "worker", "command": ["python", "-c", SLEEP]}],
        },
    )
    assert used("Standard/OnDemand") == [2.0]
    assert used("Standard/Spot") == []


def test_an_approved_request_raises_the_quota_and_a_denied_one_does_not(quotas, cloud):
    cloud.weather = replace(cloud.weather, vcpus=12.0, spot_vcpus=8.0)
    quotas.request_service_quota_increase(ServiceCode="fargate", QuotaCode=ON_DEMAND, DesiredValue=100)
    with pytest.raises(quotas.exceptions.ResourceAlreadyExistsException):
        quotas.request_service_quota_increase(ServiceCode="fargate", QuotaCode=ON_DEMAND, DesiredValue=200)
    cloud.decide_quota("DENIED")
    assert quota(quotas)["Value"] == 12.0

    quotas.request_service_quota_increase(ServiceCode="fargate", QuotaCode=ON_DEMAND, DesiredValue=50)
    cloud.decide_quota("APPROVED")
    assert [quota(quotas)["Value"], quota(quotas, SPOT)["Value"]] == [50.0, 8.0]
    history = quotas.list_requested_service_quota_change_history_by_quota(ServiceCode="fargate", QuotaCode=ON_DEMAND)
    assert [(each["DesiredValue"], each["Status"]) for each in history["RequestedQuotas"][:2]] == [
        (50.0, "APPROVED"),
        (100.0, "DENIED"),
    ]


def test_no_smaller_quota_and_none_that_does_not_exist_can_be_asked_for(quotas, cloud):
    cloud.weather = replace(cloud.weather, vcpus=12.0)
    with pytest.raises(quotas.exceptions.IllegalArgumentException):
        quotas.request_service_quota_increase(ServiceCode="fargate", QuotaCode=ON_DEMAND, DesiredValue=12)
    with pytest.raises(quotas.exceptions.NoSuchResourceException):
        quota(quotas, "L-00000000")


def test_a_simulated_policy_has_the_verdicts_that_the_sandbox_enforces(account, cloud):
    iam, user = account.client("iam"), account.client("sts").get_caller_identity()["Arn"]

    def decisions(resource: str, *actions: str) -> list[str]:
        said = iam.simulate_principal_policy(PolicySourceArn=user, ActionNames=actions, ResourceArns=[resource])
        return [each["EvalDecision"] for each in said["EvaluationResults"]]

    assert decisions("*", "ecs:ListTasks", "ecs:CreateCluster") == ["allowed", "implicitDeny"]
    bucket = f"arn:aws:s3:::{cloud.stack.bucket}"
    assert decisions(f"{bucket}/burst/x", "s3:PutObject") == ["allowed"]
    assert decisions(f"{bucket}/other/x", "s3:PutObject") == ["implicitDeny"]
    ecs = cloud.administrator.clients.of("ecs")
    role = ecs.describe_task_definition(taskDefinition="burst-worker")["taskDefinition"]["taskRoleArn"]
    assert decisions(role, "iam:PassRole") == ["allowed"]


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("pricing", lambda client: client.get_products(ServiceCode="AmazonECS")),
        ("service-quotas", quota),
        (
            "cloudwatch",
            lambda client: client.get_metric_statistics(
                Namespace="AWS/Usage",
                MetricName="ResourceCount",
                StartTime=0,
                EndTime=60,
                Period=60,
                Statistics=["Maximum"],
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_may_not_ask_is_refused(cloud, service, call):
    iam = cloud.administrator.clients.of("iam")
    name = "nobody"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    try:
        from burst_magic.testing.servers import Keys, Server

        keys = Keys(access=key["AccessKeyId"], secret=key["SecretAccessKey"])
        client = Server(endpoint=cloud.endpoint, keys=keys, pid=0, region="us-east-1").clients.of(service)
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            call(client)
    finally:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=name)
