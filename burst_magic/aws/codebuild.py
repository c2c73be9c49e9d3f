"""Builds in CodeBuild: started from a zip in a bucket, followed to their end, stopped. The rest is the project's.

A build ends by its own time limits, whoever follows it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from burst_magic.aws import patience
from burst_magic.aws.clients import Clients
from burst_magic.aws.logs import LogStream
from burst_magic.dataclass import dataclass
from burst_magic.errors import LaunchError, Missing

SUCCEEDED, RUNNING = "SUCCEEDED", "IN_PROGRESS"
_FIRST, _LONGEST = 0.2, 5.0  # seconds between two looks
_LATE = 300.0  # seconds after a build's own limits at which AWS is not waited for any more
# Of AWS's curated images (Amazon Linux 2023, with docker and the AWS CLI); the smallest machine of each architecture.
_MACHINES = {
    "x86_64": ("LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:5.0"),
    "arm64": ("ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:3.0"),
}
_SIZE = "BUILD_GENERAL1_SMALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPhase:
    """One phase that is over: its name and status in AWS's words, seconds, and what AWS says of a failure."""

    name: str
    status: str
    seconds: float
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """A build at one moment.

    Attributes:
        status: ``IN_PROGRESS``, ``SUCCEEDED``, ``FAILED``, ``FAULT``, ``TIMED_OUT`` or ``STOPPED``.
        phase: the current one.
        phases: those that are over, in order.
        limit: seconds that it may wait and run at most.
        seconds: from its start to its end, or None before.
        log: where it prints; None before it does.
    """

    id: str
    status: str
    phase: str
    phases: tuple[BuildPhase, ...]
    limit: float
    seconds: float | None = None
    log: LogStream | None = None

    @property
    def failed_phase(self) -> BuildPhase | None:
        """The first phase that did not succeed."""
        return next((each for each in self.phases if each.status != SUCCEEDED), None)


class BuildProject:
    """A project of CodeBuild.

    Args:
        name: of the project.
        region: "" for the configured one.
        clients: makes boto3 clients; the default reads AWS's environment and files.
        sleep, clock: seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        region: str = "",
        clients: Clients | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._service = patience.Service("codebuild", region, clients)
        self._sleep, self._clock = sleep, clock

    def start(self, source: str, *, arch: str, variables: Mapping[str, str]) -> BuildFacts:
        """Start a build.

        Args:
            source: ``bucket/key`` of a zip with ``buildspec.yml`` in it.
            arch: of the machine that builds.
            variables: of the build's environment; anyone who may look at the build can read them.

        Raises:
            Missing: there is no such project.
            BurstError: see ``faults.meaning``.
        """
        machine, image = _MACHINES[arch]
        asked = {
            "projectName": self._name,
            "sourceTypeOverride": "S3",
            "sourceLocationOverride": source,
            "environmentTypeOverride": machine,
            "imageOverride": image,
            "computeTypeOverride": _SIZE,
            "environmentVariablesOverride": [
                {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
            ],
            "idempotencyToken": secrets.token_hex(16),  # a repeated request whose reply was lost starts no second one
        }
        try:
            said = self._service.ask(lambda api: api.start_build(**asked)["build"], "StartBuild", patience.STARTING)
        except Missing as missing:
            raise self._no_project(missing) from missing
        return _facts(said)

    def look(self, ident: str) -> BuildFacts:
        """A build as it is now.

        Raises:
            Missing: AWS does not know it.
        """

        def call(api: Any) -> list[dict[str, Any]]:
            return list(api.batch_get_builds(ids=[ident])["builds"])

        found = self._service.ask(call, "BatchGetBuilds", patience.READING)
        if not found:
            raise Missing(f"CodeBuild does not know the build {ident}", context=f"project {self._name}")
        return _facts(found[0])

    def follow(self, build: BuildFacts, show: Callable[[BuildFacts], object]) -> BuildFacts:
        """Wait for the end of a build.

        Args:
            build: as it was started.
            show: hears how it is at each look, the last one included.

        Raises:
            LaunchError: it has not ended long after its own limits.
        """
        end, pause = self._clock() + build.limit + _LATE, _FIRST
        while True:
            build = self.look(build.id)
            show(build)
            if build.status != RUNNING:
                return build
            if self._clock() > end:
                raise LaunchError(
                    f"CodeBuild has not ended build {build.id} within its time limits",
                    context=f"phase {build.phase}",
                    way_out="look at it in the CodeBuild console",
                )
            self._sleep(pause)
            pause = min(_LONGEST, pause * 1.5)

    def stop(self, ident: str) -> None:
        """Stop a build; one that has ended stays as it is."""
        self._service.ask(lambda api: api.stop_build(id=ident), "StopBuild", patience.READING)

    def _no_project(self, missing: Missing) -> Missing:
        return Missing(
            f"there is no CodeBuild project {self._name} in {self._service.region}",
            context=missing.context,
            way_out="burst setup --repository makes it; or check aws.build_project",
        )


def _facts(said: Mapping[str, Any]) -> BuildFacts:
    """A build in AWS's words."""
    logs = said.get("logs") or {}
    group, stream = logs.get("groupName", ""), logs.get("streamName", "")
    started, ended = said.get("startTime"), said.get("endTime")
    return BuildFacts(
        id=said["id"],
        status=said["buildStatus"],
        phase=said.get("currentPhase", ""),
        phases=tuple(_phase(each) for each in said.get("phases", ()) if each.get("phaseStatus")),
        limit=60.0 * (said.get("timeoutInMinutes", 0) + said.get("queuedTimeoutInMinutes", 0)),
        seconds=(ended - started).total_seconds() if started and ended else None,
        log=LogStream(group=group, name=stream) if group and stream else None,
    )


def _phase(said: Mapping[str, Any]) -> BuildPhase:
    texts = [
        ": ".join(filter(None, (each.get("statusCode", ""), each.get("message", ""))))
        for each in said.get("contexts") or ()
    ]
    return BuildPhase(
        name=said["phaseType"],
        status=said["phaseStatus"],
        seconds=float(said.get("durationInSeconds", 0)),
        said="; ".join(filter(None, texts)),
    )
