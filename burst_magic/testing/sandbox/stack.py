"""What ``burst setup`` makes in an account, made in the sandbox by the same calls: network, bucket, roles, cluster."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from burst_magic.testing.servers import Keys, Server

_CLUSTER = "burst"
_FAMILY = "burst-worker"
_CONTAINER = "worker"
_LOG_GROUP = "/burst/workers"
_IMAGE = "burst-sandbox/python"  # not pulled: the image is this process's interpreter
_PREFIX = "burst"
_ZONES = ("a", "b")
_USER = "scientist"
_FOLDERS = ("sessions", "blobs", "envs")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxStack:
    """What was made.

    Attributes:
        store: URL.
        user, user_name: keys and name of a user with the rights that burst_magic needs, and no others.
        aws: the ``[aws]`` table of config.toml.
        log_group: where containers log.
        task_role, execution_role: ARNs.
    """

    store: str
    bucket: str
    user: Keys
    user_name: str
    aws: dict[str, str]
    log_group: str
    task_role: str
    execution_role: str


def build(server: Server, *, command: Sequence[str], stop_timeout: int, account: str) -> SandboxStack:
    """Make everything a session on ECS needs.

    Args:
        server: with an administrator's keys.
        command: of the worker's container.
        stop_timeout: seconds from SIGTERM to SIGKILL.
        account: the account's number.
    """
    bucket = f"burst-{account}-{secrets.token_hex(4)}"
    server.clients.of("s3").create_bucket(Bucket=bucket)
    server.clients.of("logs").create_log_group(logGroupName=_LOG_GROUP)
    subnets, group = _network(server.clients.of("ec2"), server.region)
    iam = server.clients.of("iam")
    task_role = _role(iam, "burst-task", worker_policy(bucket, _PREFIX))
    execution_role = _role(iam, "burst-execution", execution_policy())
    ecs = server.clients.of("ecs")
    providers = ["FARGATE", "FARGATE_SPOT"]
    ecs.create_cluster(clusterName=_CLUSTER, capacityProviders=providers)
    definition = {
        "name": _CONTAINER,
        "image": _IMAGE,
        "command": list(command),
        "essential": True,
        "stopTimeout": stop_timeout,
        "environment": [{"name": "BURST_BIRTH_GRACE", "value": str(stop_timeout)}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": _LOG_GROUP,
                "awslogs-region": server.region,
                "awslogs-stream-prefix": "burst",
                "mode": "non-blocking",
                "max-buffer-size": "4m",
            },
        },
    }
    ecs.register_task_definition(
        family=_FAMILY,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="1024",
        memory="2048",
        taskRoleArn=task_role,
        executionRoleArn=execution_role,
        containerDefinitions=[definition],
        tags=[{"key": "burst", "value": "sandbox"}],
    )
    return SandboxStack(
        store=f"s3://{bucket}/{_PREFIX}",
        bucket=bucket,
        user=_user(iam, user_policy(bucket, _PREFIX, [task_role, execution_role])),
        user_name=_USER,
        aws={
            "region": server.region,
            "cluster": _CLUSTER,
            "task_definition": _FAMILY,
            "subnets": ",".join(subnets),
            "security_groups": group,
            "public_ip": "true",
        },
        log_group=_LOG_GROUP,
        task_role=task_role,
        execution_role=execution_role,
    )


def _network(ec2: Any, region: str) -> tuple[list[str], str]:
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    subnets = []
    for number, zone in enumerate(_ZONES):
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{region}{zone}")
        subnets.append(made["Subnet"]["SubnetId"])
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnets[-1])
    group = ec2.create_security_group(GroupName="burst-workers", Description="egress only", VpcId=vpc)["GroupId"]
    return subnets, group


def _role(iam: Any, name: str, policy: dict[str, Any]) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=name, PolicyName="burst", PolicyDocument=json.dumps(policy))
    return str(made["Role"]["Arn"])


def _user(iam: Any, policy: dict[str, Any]) -> Keys:
    iam.create_user(UserName=_USER)
    iam.put_user_policy(UserName=_USER, PolicyName="burst", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=_USER)["AccessKey"]
    return Keys(access=key["AccessKeyId"], secret=key["SecretAccessKey"])


def worker_policy(bucket: str, prefix: str) -> dict[str, Any]:
    """The task role: its folders; keys are read and not listed; nothing else."""
    objects = [f"arn:aws:s3:::{bucket}/{prefix}/{folder}/*" for folder in _FOLDERS]
    return _policy(
        _allow(["s3:GetObject", "s3:PutObject"], objects),
        _allow(["s3:GetObject"], [f"arn:aws:s3:::{bucket}/{prefix}/keys/*"]),
        {
            **_allow(["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"]),
            "Condition": {"StringLike": {"s3:prefix": [f"{prefix}/{folder}/*" for folder in _FOLDERS]}},
        },
    )


def execution_policy() -> dict[str, Any]:
    """The execution role: ECS's agent pulls images and writes logs with it."""
    return _policy(
        _allow(
            [
                "logs:CreateLogStream",
                "logs:PutLogEvents",
                "ecr:GetAuthorizationToken",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ],
            ["*"],
        )
    )


def user_policy(bucket: str, prefix: str, roles: Sequence[str]) -> dict[str, Any]:
    """A user who starts sessions."""
    return _policy(
        _allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [f"arn:aws:s3:::{bucket}/{prefix}/*"]),
        # moto asks for DeleteObject on the bucket itself where S3 asks for it on each key of a DeleteObjects call
        _allow(["s3:ListBucket", "s3:GetBucketLocation", "s3:DeleteObject"], [f"arn:aws:s3:::{bucket}"]),
        _allow(
            [
                "ecs:RunTask",
                "ecs:StopTask",
                "ecs:DescribeTasks",
                "ecs:ListTasks",
                "ecs:DescribeTaskDefinition",
                "ecs:RegisterTaskDefinition",
                "ecs:DescribeClusters",
                "ecs:TagResource",
                "ec2:DescribeSubnets",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeVpcEndpoints",
                "cloudformation:DescribeStacks",
                "ecr:DescribeImages",
                "logs:FilterLogEvents",
                "logs:GetLogEvents",
                "logs:DescribeLogStreams",
                "logs:DescribeLogGroups",
                "servicequotas:GetServiceQuota",
                "servicequotas:ListRequestedServiceQuotaChangeHistoryByQuota",
                "servicequotas:RequestServiceQuotaIncrease",
                "pricing:GetProducts",
                "iam:SimulatePrincipalPolicy",
                "cloudwatch:GetMetricStatistics",
                "tag:GetResources",
            ],
            ["*"],
        ),
        _allow(["iam:PassRole"], list(roles)),
    )


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
