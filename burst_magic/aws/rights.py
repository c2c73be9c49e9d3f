"""Who needs which rights: the policies of the template, and the one that setup and teardown need. Pure.

The template is the only source of what users, workers and ECS may do; setup's own policy is not in it, since it must be
there before.
"""

from __future__ import annotations

from typing import Any

from burst_magic.aws.template import StackTemplate, Whereabouts


def policies(resolved: StackTemplate) -> dict[str, dict[str, Any]]:
    """Documents of the template: ``user``, ``task`` (of workers), ``execution`` (of ECS's agent), and with a repository
    ``build`` (of CodeBuild)."""
    builds = (
        {"build": _joined(resolved.properties("BuildRole")["Policies"])} if "BuildRole" in resolved.resources else {}
    )
    return {
        "user": resolved.properties("UserPolicy")["PolicyDocument"],
        "task": _joined(resolved.properties("TaskRole")["Policies"]),
        "execution": _joined(resolved.properties("ExecutionRole")["Policies"]),
        **builds,
    }


def _joined(documents: list[dict[str, Any]]) -> dict[str, Any]:
    statements = [statement for each in documents for statement in each["PolicyDocument"]["Statement"]]
    return {"Version": "2012-10-17", "Statement": statements}


def setup_policy(name: str, where: Whereabouts) -> dict[str, Any]:
    """What ``burst setup`` and ``burst teardown`` need; the user's own rights for the trial burst come from the stack.

    Args:
        name: of the stack; ``burst*`` for any.
        where: account and region.
    """
    account, region, partition = where.account, where.region, where.partition
    regional = f"{region}:{account}"

    def arn(service: str, rest: str) -> str:
        return f"arn:{partition}:{service}:{rest}"

    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow(
                [
                    "cloudformation:ContinueUpdateRollback",
                    "cloudformation:CreateChangeSet",
                    "cloudformation:DeleteChangeSet",
                    "cloudformation:DeleteStack",
                    "cloudformation:DescribeChangeSet",
                    "cloudformation:DescribeStackEvents",
                    "cloudformation:DescribeStackResources",
                    "cloudformation:DescribeStacks",
                    "cloudformation:ExecuteChangeSet",
                    "cloudformation:TagResource",
                ],
                [arn("cloudformation", f"{regional}:stack/{name}/*")],
            ),
            _allow(  # of the bucket itself: CloudFormation reads all of its settings
                [
                    "s3:CreateBucket",
                    "s3:DeleteBucket",
                    "s3:DeleteBucketPolicy",
                    "s3:Get*",
                    "s3:ListBucket",
                    "s3:ListBucketMultipartUploads",
                    "s3:ListBucketVersions",
                    "s3:ListTagsForResource",
                    "s3:PutBucketOwnershipControls",
                    "s3:PutBucketPolicy",
                    "s3:PutBucketPublicAccessBlock",
                    "s3:PutBucketTagging",
                    "s3:PutEncryptionConfiguration",
                    "s3:PutLifecycleConfiguration",
                    "s3:TagResource",
                    "s3:UntagResource",
                ],
                [arn("s3", f"::{name}-{account}-{region}")],
            ),
            _allow(  # to empty it
                ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectVersion"],
                [arn("s3", f"::{name}-{account}-{region}/*")],
            ),
            _allow(
                [
                    "iam:AttachRolePolicy",
                    "iam:CreateRole",
                    "iam:DeleteRole",
                    "iam:DeleteRolePolicy",
                    "iam:DetachRolePolicy",
                    "iam:GetRole",
                    "iam:GetRolePolicy",
                    "iam:ListAttachedRolePolicies",
                    "iam:ListRolePolicies",
                    "iam:PassRole",
                    "iam:PutRolePolicy",
                    "iam:TagRole",
                    "iam:UntagRole",
                    "iam:UpdateAssumeRolePolicy",
                ],
                [
                    arn("iam", f":{account}:role/{name}-task-{region}"),
                    arn("iam", f":{account}:role/{name}-execution-{region}"),
                    arn("iam", f":{account}:role/{name}-build-{region}"),
                ],
            ),
            _allow(
                [
                    "iam:CreatePolicy",
                    "iam:CreatePolicyVersion",
                    "iam:DeletePolicy",
                    "iam:DeletePolicyVersion",
                    "iam:GetPolicy",
                    "iam:GetPolicyVersion",
                    "iam:ListEntitiesForPolicy",
                    "iam:ListPolicyVersions",
                ],
                [arn("iam", f":{account}:policy/{name}-user-{region}")],
            ),
            {
                **_allow(["iam:DetachGroupPolicy", "iam:DetachRolePolicy", "iam:DetachUserPolicy"], ["*"]),
                "Condition": {"ArnEquals": {"iam:PolicyARN": arn("iam", f":{account}:policy/{name}-user-{region}")}},
            },
            _allow(  # the first cluster and the first cache of an account need one each
                ["iam:CreateServiceLinkedRole"],
                [
                    arn("iam", f":{account}:role/aws-service-role/{service}.amazonaws.com/*")
                    for service in ("ecs", "pullthroughcache.ecr")
                ],
            ),
            _allow(["iam:GetRole"], [arn("iam", f":{account}:role/*AWSServiceRoleForECS")]),
            _allow(
                [
                    "logs:CreateLogGroup",
                    "logs:DeleteLogGroup",
                    "logs:ListTagsForResource",
                    "logs:PutRetentionPolicy",
                    "logs:TagResource",
                    "logs:UntagResource",
                ],
                [
                    arn("logs", f"{regional}:log-group:/{name}/workers"),
                    arn("logs", f"{regional}:log-group:/{name}/workers:*"),
                ],
            ),
            _allow(
                [
                    "ecr:CreateRepository",
                    "ecr:DeleteRepository",
                    "ecr:GetLifecyclePolicy",
                    "ecr:GetRepositoryPolicy",
                    "ecr:ListTagsForResource",
                    "ecr:PutLifecyclePolicy",
                    "ecr:TagResource",
                ],
                [
                    arn("ecr", f"{regional}:repository/{name}-worker"),
                    arn("ecr", f"{regional}:repository/{name}-public/*"),
                ],
            ),
            _allow(
                [
                    "codebuild:BatchGetBuilds",
                    "codebuild:BatchGetProjects",
                    "codebuild:CreateProject",
                    "codebuild:DeleteProject",
                    "codebuild:ListBuildsForProject",
                    "codebuild:StopBuild",
                    "codebuild:UpdateProject",
                ],
                [arn("codebuild", f"{regional}:project/{name}-image")],
            ),
            _allow(  # most of these have no narrower resource
                [
                    "ec2:AuthorizeSecurityGroupEgress",
                    "ec2:CreateSecurityGroup",
                    "ec2:CreateTags",
                    "ec2:CreateVpcEndpoint",
                    "ec2:DeleteSecurityGroup",
                    "ec2:DeleteVpcEndpoints",
                    "ec2:DescribeRouteTables",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcEndpoints",
                    "ec2:DescribeVpcs",
                    "ec2:ModifyVpcEndpoint",
                    "ec2:RevokeSecurityGroupEgress",
                    "ecr:CreatePullThroughCacheRule",
                    "ecr:DeletePullThroughCacheRule",
                    "ecr:DescribePullThroughCacheRules",
                    "ecr:DescribeRepositories",
                    "ecs:CreateCluster",
                    "ecs:DeleteCluster",
                    "ecs:DeleteTaskDefinitions",
                    "ecs:DeregisterTaskDefinition",
                    "ecs:DescribeClusters",
                    "ecs:DescribeTaskDefinition",
                    "ecs:DescribeTasks",
                    "ecs:ListClusters",
                    "ecs:ListTaskDefinitionFamilies",
                    "ecs:ListTaskDefinitions",
                    "ecs:ListTasks",
                    "ecs:PutClusterCapacityProviders",
                    "ecs:RegisterTaskDefinition",
                    "ecs:StopTask",
                    "ecs:TagResource",
                    "logs:DescribeLogGroups",
                    "tag:GetResources",
                ],
                ["*"],
            ),
        ],
    }


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": sorted(actions), "Resource": resources}
