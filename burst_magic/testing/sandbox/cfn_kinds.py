"""What CloudFormation does for each type of resource that a stack may have: calls of the services, as the caller.

A type or a property that isn't here is refused: a template that this cloud doesn't understand must not look deployed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from burst_magic.aws.clients import Clients
from burst_magic.dataclass import dataclass

Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A resource: its physical id, and its attributes for GetAtt; ``ref`` where Ref says something else."""

    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The template asks for something that isn't there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKind:
    """One type.

    Attributes:
        make: creates it.
        remove: deletes it; it may be gone already.
        change: alters it in place; None: another one is made, and this one removed.
        knows: names of properties.
    """

    make: Callable[[Clients, Properties], Made]
    remove: Callable[[Clients, str, Properties], object]
    knows: frozenset[str]
    change: Callable[[Clients, Made, Properties], Made] | None = None


def kind_of(name: str, properties: Properties) -> ResourceKind:
    """How the type is made; raises ``Refused`` for what is unknown."""
    if name not in KINDS:
        raise Refused(f"Template format error: Unrecognized resource types: [{name}]")
    unknown = sorted(set(properties) - KINDS[name].knows)
    if unknown:
        raise Refused(f"Encountered unsupported property {', '.join(unknown)} of {name}")
    return KINDS[name]


def _tags(properties: Properties, *, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    return [{key: each["Key"], value: each["Value"]} for each in properties.get("Tags", ())]


# --- S3 --------------------------------------------------------------------------------------------------------------


def _bucket(aws: Clients, said: Properties) -> Made:
    s3, name = aws.of("s3"), said["BucketName"]
    where = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    s3.create_bucket(Bucket=name, **where)
    return _bucket_settings(aws, Made(id=name, attributes={"Arn": f"arn:aws:s3:::{name}"}), said)


def _bucket_settings(aws: Clients, made: Made, said: Properties) -> Made:
    s3, bucket = aws.of("s3"), made.id
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=said["PublicAccessBlockConfiguration"])
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=said["OwnershipControls"])
    rules = [
        {"ApplyServerSideEncryptionByDefault": each["ServerSideEncryptionByDefault"]}
        for each in said["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    ]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    lifecycle = [_lifecycle(rule) for rule in said["LifecycleConfiguration"]["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": lifecycle})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": _tags(said)})
    return made


def _lifecycle(rule: Properties) -> dict[str, Any]:
    """One rule in S3's words."""
    found: dict[str, Any] = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "ExpirationInDays" in rule:
        found["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "AbortIncompleteMultipartUpload" in rule:
        found["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return found


def _bucket_policy(aws: Clients, said: Properties) -> Made:
    aws.of("s3").put_bucket_policy(Bucket=said["Bucket"], Policy=json.dumps(said["PolicyDocument"]))
    return Made(id=said["Bucket"])


# --- network ---------------------------------------------------------------------------------------------------------


def _security_group(aws: Clients, said: Properties) -> Made:
    ec2 = aws.of("ec2")
    tags = [{"ResourceType": "security-group", "Tags": _tags(said)}]
    group = ec2.create_security_group(
        GroupName=said["GroupName"],
        Description=said["GroupDescription"],
        VpcId=said["VpcId"],
        TagSpecifications=tags,
    )["GroupId"]
    there = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    if there:
        ec2.revoke_security_group_egress(GroupId=group, IpPermissions=there)
    return _egress(aws, Made(id=group, attributes={"GroupId": group}), said)


def _egress(aws: Clients, made: Made, said: Properties) -> Made:
    ec2 = aws.of("ec2")
    there = ec2.describe_security_groups(GroupIds=[made.id])["SecurityGroups"][0]["IpPermissionsEgress"]
    if there:
        ec2.revoke_security_group_egress(GroupId=made.id, IpPermissions=there)
    wanted = [
        {
            "IpProtocol": rule["IpProtocol"],
            "IpRanges": [{"CidrIp": rule["CidrIp"]}] if "CidrIp" in rule else [],
            "Ipv6Ranges": [{"CidrIpv6": rule["CidrIpv6"]}] if "CidrIpv6" in rule else [],
        }
        for rule in said["SecurityGroupEgress"]
    ]
    ec2.authorize_security_group_egress(GroupId=made.id, IpPermissions=wanted)
    return made


def _endpoint(aws: Clients, said: Properties) -> Made:
    made = aws.of("ec2").create_vpc_endpoint(
        VpcEndpointType=said["VpcEndpointType"],
        ServiceName=said["ServiceName"],
        VpcId=said["VpcId"],
        RouteTableIds=said["RouteTableIds"],
        TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": _tags(said)}],
    )
    return Made(id=made["VpcEndpoint"]["VpcEndpointId"])


# --- ECS, logs, ECR --------------------------------------------------------------------------------------------------


def _cluster(aws: Clients, said: Properties) -> Made:
    made = aws.of("ecs").create_cluster(
        clusterName=said["ClusterName"],
        capacityProviders=said["CapacityProviders"],
        tags=_tags(said, key="key", value="value"),
    )["cluster"]
    return Made(id=made["clusterName"], attributes={"Arn": made["clusterArn"]})


def _cluster_again(aws: Clients, made: Made, said: Properties) -> Made:
    aws.of("ecs").put_cluster_capacity_providers(
        cluster=made.id, capacityProviders=said["CapacityProviders"], defaultCapacityProviderStrategy=[]
    )
    return made


def _definition(aws: Clients, said: Properties) -> Made:
    asked = {key: value for key, value in said.items() if key != "Tags"}
    made = aws.of("ecs").register_task_definition(**_lowered(asked), tags=_tags(said, key="key", value="value"))
    return Made(id=made["taskDefinition"]["taskDefinitionArn"])


def _lowered(node: Any) -> Any:
    """``ContainerDefinitions`` becomes ``containerDefinitions``; the names of the log driver's options stay."""
    if isinstance(node, list):
        return [_lowered(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key[0].lower() + key[1:]: {name: str(option) for name, option in value.items()}
        if key == "Options"
        else _lowered(value)
        for key, value in node.items()
    }


def _log_group(aws: Clients, said: Properties) -> Made:
    name = said["LogGroupName"]
    tags = {each["Key"]: each["Value"] for each in said["Tags"]}
    aws.of("logs").create_log_group(logGroupName=name, tags=tags)
    return _retention(aws, Made(id=name), said)


def _retention(aws: Clients, made: Made, said: Properties) -> Made:
    aws.of("logs").put_retention_policy(logGroupName=made.id, retentionInDays=int(said["RetentionInDays"]))
    return made


def _cache_rule(aws: Clients, said: Properties) -> Made:
    made = aws.of("ecr").create_pull_through_cache_rule(
        ecrRepositoryPrefix=said["EcrRepositoryPrefix"], upstreamRegistryUrl=said["UpstreamRegistryUrl"]
    )
    return Made(id=made["ecrRepositoryPrefix"])


def _repository(aws: Clients, said: Properties) -> Made:
    made = aws.of("ecr").create_repository(repositoryName=said["RepositoryName"], tags=_tags(said))["repository"]
    attributes = {"Arn": made["repositoryArn"], "RepositoryUri": made["repositoryUri"]}
    return _repository_policy(aws, Made(id=made["repositoryName"], attributes=attributes), said)


def _repository_policy(aws: Clients, made: Made, said: Properties) -> Made:
    policy = said["LifecyclePolicy"]["LifecyclePolicyText"]
    aws.of("ecr").put_lifecycle_policy(repositoryName=made.id, lifecyclePolicyText=policy)
    return made


# --- CodeBuild -------------------------------------------------------------------------------------------------------


def _build_project(aws: Clients, said: Properties) -> Made:
    made = aws.of("codebuild").create_project(**_project(said))["project"]
    return Made(id=made["name"], attributes={"Arn": made["arn"]})


def _build_project_again(aws: Clients, made: Made, said: Properties) -> Made:
    aws.of("codebuild").update_project(**_project(said))
    return made


def _project(said: Properties) -> dict[str, Any]:
    words = {key: value for key, value in said.items() if key != "Tags"}
    return {**_lowered(words), "tags": _tags(said, key="key", value="value")}


# --- IAM -------------------------------------------------------------------------------------------------------------


def _role(aws: Clients, said: Properties) -> Made:
    iam, name = aws.of("iam"), said["RoleName"]
    trust = json.dumps(said["AssumeRolePolicyDocument"])
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=_tags(said))["Role"]["Arn"]
    try:
        return _role_policies(aws, Made(id=name, attributes={"Arn": arn}), said)
    except Exception:
        _no_role(aws, name, said)
        raise


def _role_policies(aws: Clients, made: Made, said: Properties) -> Made:
    iam, name = aws.of("iam"), made.id
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(said["AssumeRolePolicyDocument"]))
    wanted = {each["PolicyName"]: each["PolicyDocument"] for each in said.get("Policies", ())}
    for old in set(iam.list_role_policies(RoleName=name)["PolicyNames"]) - set(wanted):
        iam.delete_role_policy(RoleName=name, PolicyName=old)
    for policy, document in wanted.items():
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    there, managed = {each["PolicyArn"] for each in attached}, set(said.get("ManagedPolicyArns", ()))
    for arn in there - managed:
        iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    for arn in managed - there:
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    return made


def _no_role(aws: Clients, name: str, _: Properties) -> None:
    iam = aws.of("iam")
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=attached["PolicyArn"])
    iam.delete_role(RoleName=name)


def _managed_policy(aws: Clients, said: Properties) -> Made:
    made = aws.of("iam").create_policy(
        PolicyName=said["ManagedPolicyName"],
        Description=said["Description"],
        PolicyDocument=json.dumps(said["PolicyDocument"]),
    )
    return Made(id=made["Policy"]["Arn"])


def _new_version(aws: Clients, made: Made, said: Properties) -> Made:
    iam = aws.of("iam")
    document = json.dumps(said["PolicyDocument"])
    new = iam.create_policy_version(PolicyArn=made.id, PolicyDocument=document, SetAsDefault=True)["PolicyVersion"]
    _old_versions(iam, made.id, kept=new["VersionId"])
    return made


def _old_versions(iam: Any, arn: str, *, kept: str = "") -> None:
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if version["VersionId"] != kept and not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])


def _no_policy(aws: Clients, arn: str, _: Properties) -> None:
    iam = aws.of("iam")
    held = iam.list_entities_for_policy(PolicyArn=arn)
    if any(held[kind] for kind in ("PolicyUsers", "PolicyGroups", "PolicyRoles")):
        raise Refused("Cannot delete a policy attached to entities. (Service: Iam, Status Code: 409)")
    _old_versions(iam, arn)
    iam.delete_policy(PolicyArn=arn)


def _gone(aws: Clients, ident: str, _: Properties) -> None:
    with contextlib.suppress(aws.of("s3").exceptions.ClientError):  # its bucket may be gone
        aws.of("s3").delete_bucket_policy(Bucket=ident)


KINDS: dict[str, ResourceKind] = {
    "AWS::S3::Bucket": ResourceKind(
        make=_bucket,
        change=_bucket_settings,
        remove=lambda aws, ident, _: aws.of("s3").delete_bucket(Bucket=ident),
        knows=frozenset(
            {"BucketName", "PublicAccessBlockConfiguration", "OwnershipControls", "BucketEncryption"}
            | {"LifecycleConfiguration", "Tags"}
        ),
    ),
    "AWS::S3::BucketPolicy": ResourceKind(
        make=_bucket_policy,
        change=lambda aws, _, said: _bucket_policy(aws, said),
        remove=_gone,
        knows=frozenset({"Bucket", "PolicyDocument"}),
    ),
    "AWS::EC2::SecurityGroup": ResourceKind(
        make=_security_group,
        change=_egress,
        remove=lambda aws, ident, _: aws.of("ec2").delete_security_group(GroupId=ident),
        knows=frozenset({"GroupName", "GroupDescription", "VpcId", "SecurityGroupEgress", "Tags"}),
    ),
    "AWS::EC2::VPCEndpoint": ResourceKind(
        make=_endpoint,
        remove=lambda aws, ident, _: aws.of("ec2").delete_vpc_endpoints(VpcEndpointIds=[ident]),
        knows=frozenset({"VpcEndpointType", "ServiceName", "VpcId", "RouteTableIds", "Tags"}),
    ),
    "AWS::ECS::Cluster": ResourceKind(
        make=_cluster,
        change=_cluster_again,
        remove=lambda aws, ident, _: aws.of("ecs").delete_cluster(cluster=ident),
        knows=frozenset({"ClusterName", "CapacityProviders", "Tags"}),
    ),
    "AWS::ECS::TaskDefinition": ResourceKind(
        make=_definition,
        remove=lambda aws, ident, _: aws.of("ecs").deregister_task_definition(taskDefinition=ident),
        knows=frozenset(
            {"Family", "NetworkMode", "RequiresCompatibilities", "RuntimePlatform", "Cpu", "Memory"}
            | {"TaskRoleArn", "ExecutionRoleArn", "ContainerDefinitions", "Tags"}
        ),
    ),
    "AWS::Logs::LogGroup": ResourceKind(
        make=_log_group,
        change=_retention,
        remove=lambda aws, ident, _: aws.of("logs").delete_log_group(logGroupName=ident),
        knows=frozenset({"LogGroupName", "RetentionInDays", "Tags"}),
    ),
    "AWS::ECR::PullThroughCacheRule": ResourceKind(
        make=_cache_rule,
        remove=lambda aws, ident, _: aws.of("ecr").delete_pull_through_cache_rule(ecrRepositoryPrefix=ident),
        knows=frozenset({"EcrRepositoryPrefix", "UpstreamRegistryUrl"}),
    ),
    "AWS::ECR::Repository": ResourceKind(
        make=_repository,
        change=_repository_policy,
        remove=lambda aws, ident, said: aws.of("ecr").delete_repository(
            repositoryName=ident, force=bool(said.get("EmptyOnDelete"))
        ),
        knows=frozenset({"RepositoryName", "EmptyOnDelete", "LifecyclePolicy", "Tags"}),
    ),
    "AWS::CodeBuild::Project": ResourceKind(
        make=_build_project,
        change=_build_project_again,
        remove=lambda aws, ident, _: aws.of("codebuild").delete_project(name=ident),
        knows=frozenset(
            {"Name", "Description", "ServiceRole", "Source", "Artifacts", "Environment", "TimeoutInMinutes"}
            | {"QueuedTimeoutInMinutes", "LogsConfig", "Tags"}
        ),
    ),
    "AWS::IAM::Role": ResourceKind(
        make=_role,
        change=_role_policies,
        remove=_no_role,
        knows=frozenset({"RoleName", "AssumeRolePolicyDocument", "ManagedPolicyArns", "Policies", "Tags"}),
    ),
    "AWS::IAM::ManagedPolicy": ResourceKind(
        make=_managed_policy,
        change=_new_version,
        remove=_no_policy,
        knows=frozenset({"ManagedPolicyName", "Description", "PolicyDocument"}),
    ),
}
