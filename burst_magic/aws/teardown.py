"""Takes a stack away with all that came of it: tasks, objects, copies of task definitions, cached images.

What CloudFormation does not know is removed here; the rest is the stack's. Every step may be repeated.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from burst_magic.aws import patience
from burst_magic.aws.clients import Clients
from burst_magic.aws.codebuild import RUNNING
from burst_magic.aws.ecs import Ecs
from burst_magic.aws.stack import TAG, Stack
from burst_magic.errors import LaunchError, Missing, StackFailed

if TYPE_CHECKING:
    from mypy_boto3_ecr.client import ECRClient
    from mypy_boto3_ecs.client import ECSClient
    from mypy_boto3_ecs.type_defs import TaskTypeDef
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_resourcegroupstaggingapi.client import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")
_OURS = "burst:session"  # a tag of every worker's task
_ENDING = 300.0  # seconds that tasks may take to stop: 120 of their own, and AWS's part
_LISTED = 120.0  # seconds for which the tagging service may still list what is gone
_PAUSE = 1.0
_TRIES = 5  # to delete a bucket into which somebody writes
_TOGETHER = 10  # task definitions in one DeleteTaskDefinitions


class Teardown:
    """One stack's end.

    Args:
        name: of the stack.
        region: "" for the configured one.
        clients: makes boto3 clients.
        tell: shows one line of progress.
        sleep, clock: seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        region: str = "",
        clients: Clients | None = None,
        tell: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        clients = clients or Clients(region=region)
        self._tell, self._sleep, self._clock = tell, sleep, clock
        self._stack = Stack(name, region=region, clients=clients, tell=tell, sleep=sleep, clock=clock)
        self._ecs = Ecs(region, clients)
        self._services = {
            service: patience.Service(service, region, clients)
            for service in ("codebuild", "ecr", "ecs", "iam", "resourcegroupstaggingapi", "s3")
        }

    def _ask(self, service: str, call: Callable[[Any], T], action: str) -> T:
        return self._services[service].ask(call, action, patience.READING)

    def run(self) -> bool:
        """Remove everything. Returns whether there was a stack.

        Raises:
            StackFailed: CloudFormation could not delete a resource.
            LaunchError: something runs in the cluster that is not burst_magic's, or does not stop.
        """
        facts = self._stack.facts()
        if facts is not None:
            made = {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in self._stack.resources()}
            if made.get("Cluster"):
                self._stop_tasks(made["Cluster"])
            if made.get("BuildProject"):
                self._stop_builds(made["BuildProject"])
            if made.get("UserPolicy"):
                self._detach(made["UserPolicy"])
            if facts.parameters.get("Cache") == "make":
                self._forget_images(facts.parameters["CachePrefix"])
            self._delete_stack(made.get("Bucket", ""))
        self._forget_definitions()
        return facts is not None

    def _delete_stack(self, bucket: str) -> None:
        """A kernel that follows a session may write the end of its workers after the bucket was emptied."""
        for left in reversed(range(_TRIES)):
            if bucket:
                self._empty(bucket)
            try:
                return self._stack.delete()
            except StackFailed as failed:
                if failed.resource != "Bucket" or not left:
                    raise
            self._sleep(_PAUSE)
        return None

    # --- what runs ---------------------------------------------------------------------------------------------

    def _stop_tasks(self, cluster: str) -> None:
        try:
            tasks = self._running(cluster)
        except Missing:
            return
        others = [task["taskArn"] for task in tasks if not _is_ours(task)]
        if others:
            raise LaunchError(
                f"{len(others)} tasks in cluster {cluster} are not burst_magic's; nothing was deleted",
                context=", ".join(others[:3]),
                way_out="stop them, then run burst teardown again",
            )
        if tasks:
            self._tell(f"stopping {len(tasks)} workers")
        for task in tasks:
            self._ecs.stop(cluster, task["taskArn"], reason="burst_magic: teardown")
        end = self._clock() + _ENDING
        while tasks := self._running(cluster):
            if self._clock() > end:
                raise LaunchError(f"{len(tasks)} workers do not stop", way_out="run burst teardown again in a minute")
            self._sleep(_PAUSE)

    def _running(self, cluster: str) -> list[TaskTypeDef]:
        """Tasks that have not stopped; those that were told to are listed as stopped before they have."""
        arns = [*self._ecs.list_tasks(cluster), *self._ecs.list_tasks(cluster, stopped=True)]
        found = self._ecs.describe(cluster, arns, tags=True)[0] if arns else []
        return [task for task in found if task.get("lastStatus") != "STOPPED"]

    def _stop_builds(self, project: str) -> None:
        """A build outlives its project, and is billed. Any that may run is among the latest hundred."""

        def listed(api: Any) -> list[str]:
            return list(api.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"])

        def running(api: Any) -> list[str]:
            return [each["id"] for each in api.batch_get_builds(ids=idents)["builds"] if each["buildStatus"] == RUNNING]

        def stop(api: Any) -> None:
            for ident in found:
                api.stop_build(id=ident)

        try:
            idents = self._ask("codebuild", listed, "ListBuildsForProject")
        except Missing:
            return
        if idents and (found := self._ask("codebuild", running, "BatchGetBuilds")):
            self._tell(f"stopping {len(found)} {'build' if len(found) == 1 else 'builds'} of images")
            self._ask("codebuild", stop, "StopBuild")

    # --- what is stored ----------------------------------------------------------------------------------------

    def _empty(self, bucket: str) -> None:
        """Delete every object in every version, and unfinished uploads."""
        count = 0
        try:
            for keys in self._pages(bucket):
                self._delete(bucket, keys)
                count += len(keys)
        except Missing:  # no bucket any more
            return
        if count:
            self._tell(f"{count} {'object' if count == 1 else 'objects'} deleted from {bucket}")

        def abort(s3: S3Client) -> None:
            for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
                for upload in page.get("Uploads", ()):
                    s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])

        self._ask("s3", abort, "ListMultipartUploads")

    def _pages(self, bucket: str) -> Iterator[list[dict[str, str]]]:
        """Keys with versions, the first thousand that are left until none is."""

        def first(s3: S3Client) -> list[dict[str, str]]:
            page = s3.list_object_versions(Bucket=bucket)
            there = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            return [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in there]

        while keys := self._ask("s3", first, "ListObjectVersions"):
            yield keys

    def _delete(self, bucket: str, keys: list[dict[str, str]]) -> None:
        wanted: Any = {"Objects": keys, "Quiet": True}

        def call(s3: S3Client) -> Any:
            return s3.delete_objects(Bucket=bucket, Delete=wanted).get("Errors", [])

        for problem in self._ask("s3", call, "DeleteObjects"):
            raise LaunchError(
                f"S3 does not delete {problem.get('Key')}: {problem.get('Code')}", context=problem.get("Message", "")
            )

    # --- what hangs on it --------------------------------------------------------------------------------------

    def _detach(self, arn: str) -> None:
        """A policy can only be deleted when nobody has it; it allows nothing but the use of what is deleted."""

        def call(iam: IAMClient) -> None:
            held = iam.list_entities_for_policy(PolicyArn=arn)
            for user in held["PolicyUsers"]:
                iam.detach_user_policy(UserName=user["UserName"], PolicyArn=arn)
            for group in held["PolicyGroups"]:
                iam.detach_group_policy(GroupName=group["GroupName"], PolicyArn=arn)
            for role in held["PolicyRoles"]:
                iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=arn)

        try:
            self._ask("iam", call, "DetachUserPolicy")
        except Missing:
            return

    def _forget_images(self, prefix: str) -> None:
        """What the pull-through cache has kept."""

        def call(ecr: ECRClient) -> list[str]:
            pages = ecr.get_paginator("describe_repositories").paginate()
            return [each["repositoryName"] for page in pages for each in page["repositories"]]

        for name in self._ask("ecr", call, "DescribeRepositories"):
            if name.startswith(f"{prefix}/"):
                self._forget_repository(name)

    def _forget_repository(self, name: str) -> None:
        def call(ecr: ECRClient) -> object:
            return ecr.delete_repository(repositoryName=name, force=True)

        self._ask("ecr", call, "DeleteRepository")

    def _forget_definitions(self) -> None:
        """The stack's task definition, and the copies that launchers have made of it for images and architectures."""
        families = self._families()
        active = [arn for family in families for arn in self._definitions(family, "ACTIVE")]
        arns = active + [arn for family in families for arn in self._definitions(family, "INACTIVE")]
        for arn in active:
            self._deregister(arn)
        for start in range(0, len(arns), _TOGETHER):
            self._delete_definitions(arns[start : start + _TOGETHER])

    def _families(self) -> list[str]:
        prefix = f"{self._name}-worker"

        def call(ecs: ECSClient) -> list[str]:
            pages = ecs.get_paginator("list_task_definition_families").paginate(familyPrefix=prefix, status="ALL")
            return [family for page in pages for family in page["families"]]

        found = self._ask("ecs", call, "ListTaskDefinitionFamilies")
        # A stack called burst-worker has definitions that begin with the same words.
        return [family for family in found if re.fullmatch(rf"{prefix}(-[0-9a-f]{{12}})?", family)]

    def _definitions(self, family: str, status: Literal["ACTIVE", "INACTIVE"]) -> list[str]:
        def call(ecs: ECSClient) -> list[str]:
            pages = ecs.get_paginator("list_task_definitions").paginate(familyPrefix=family, status=status)
            return [arn for page in pages for arn in page["taskDefinitionArns"]]

        arns = self._ask("ecs", call, "ListTaskDefinitions")
        return [arn for arn in arns if arn.rpartition("/")[2].partition(":")[0] == family]

    def _deregister(self, arn: str) -> None:
        def call(ecs: ECSClient) -> object:
            return ecs.deregister_task_definition(taskDefinition=arn)

        self._ask("ecs", call, "DeregisterTaskDefinition")

    def _delete_definitions(self, arns: list[str]) -> None:
        def call(ecs: ECSClient) -> object:
            return ecs.delete_task_definitions(taskDefinitions=arns)

        self._ask("ecs", call, "DeleteTaskDefinitions")

    # --- the proof ---------------------------------------------------------------------------------------------

    def left(self) -> list[str]:
        """ARNs of what still carries the stack's tag; the tagging service may be some time behind, and is waited for.

        Stopped tasks are not counted: ECS shows them for an hour, and nothing of them is left.
        """
        end = self._clock() + _LISTED
        while found := [arn for arn in self._tagged() if not self._is_over(arn)]:
            if self._clock() > end:
                return found
            self._sleep(_PAUSE)
        return []

    def _tagged(self) -> list[str]:
        filters: Any = [{"Key": TAG, "Values": [self._name]}]

        def call(api: ResourceGroupsTaggingAPIClient) -> list[str]:
            pages = api.get_paginator("get_resources").paginate(TagFilters=filters)
            return [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]

        return self._ask("resourcegroupstaggingapi", call, "GetResources")

    def _is_over(self, arn: str) -> bool:
        """What ECS remembers of something that is gone, by its own word."""
        kind, _, name = arn.partition(":ecs:")[2].split(":", 2)[-1].partition("/")

        def cluster(ecs: ECSClient) -> bool:
            found = ecs.describe_clusters(clusters=[arn])["clusters"]
            return all(each["status"] == "INACTIVE" for each in found)

        def definition(ecs: ECSClient) -> bool:
            found = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
            return found.get("status") != "ACTIVE"

        try:
            if kind == "cluster":
                return self._ask("ecs", cluster, "DescribeClusters")
            if kind == "task-definition":
                return self._ask("ecs", definition, "DescribeTaskDefinition")
        except (Missing, LaunchError):  # ECS has no error of its own for a definition that isn't there
            return True
        return kind == "task"


def _is_ours(task: TaskTypeDef) -> bool:
    return any(tag.get("key") == _OURS for tag in task.get("tags", ()))
