"""CodeBuild's builds: each a thread that fetches a zip as the project's role, and runs its buildspec in processes.

What CodeBuild's image has of its own, docker and the AWS CLI, is ``image_tools``. Each phase is one shell; variables
that a command exports are gone in the next phase, which CodeBuild does not do.
"""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from burst_magic.config import environment
from burst_magic.dataclass import dataclass
from burst_magic.testing.sandbox.aws_call import AskedRight
from burst_magic.testing.sandbox.awslogs import LogDriver
from burst_magic.testing.sandbox.container import SandboxContainer
from burst_magic.testing.sandbox.orders import EcsRefusal

if TYPE_CHECKING:
    from burst_magic.testing.sandbox.agent import AgentTools
    from burst_magic.testing.servers import Server

_LOG = logging.getLogger(__name__)
_OF_BUILDSPEC = ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
_SOURCE = "s3:GetObject", "s3:GetObjectVersion"  # what AWS's user guide asks for, of the object
_BUCKET = "s3:GetBucketAcl", "s3:GetBucketLocation"  # and of its bucket
_SHELL = """\
run() {
  printf '[Container] Running command %s\\n' "$1"
  eval "$1" || { code=$?; printf '%s' "$1" > "$FAILED_COMMAND"; exit $code; }
}
"""


class BuildStops(Exception):
    """A phase ends the build: its status, and CodeBuild's code and message."""

    def __init__(self, status: str, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(slots=True, kw_only=True)
class BuildRecord:
    """One build, as BatchGetBuilds tells it.

    Attributes:
        credentials: access keys that it has had.
    """

    id: str
    arn: str
    project: Mapping[str, Any]
    number: int
    started: datetime
    status: str = "IN_PROGRESS"
    phase: str = "SUBMITTED"
    phases: list[dict[str, Any]] = field(default_factory=list)
    ended: datetime | None = None
    credentials: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def _stream(self) -> str:
        return f"{self.project['logsConfig']['cloudWatchLogs']['streamName']}/{self.id.partition(':')[2]}"

    def told(self) -> dict[str, Any]:
        """In AWS's words. A build has no stream before its machine starts."""
        logs: dict[str, Any] = {"cloudWatchLogs": self.project["logsConfig"]["cloudWatchLogs"]}
        if self.phase not in {"SUBMITTED", "QUEUED", "PROVISIONING"}:
            logs |= {"groupName": self.group, "streamName": self._stream}
        same = ("source", "artifacts", "environment", "serviceRole", "timeoutInMinutes", "queuedTimeoutInMinutes")
        return {
            "id": self.id,
            "arn": self.arn,
            "buildNumber": self.number,
            "projectName": self.project["name"],
            "startTime": self.started,
            "currentPhase": self.phase,
            "buildStatus": self.status,
            "buildComplete": self.ended is not None,
            "phases": [dict(each) for each in self.phases],
            "logs": logs,
            **{name: self.project[name] for name in same},
            **({"endTime": self.ended} if self.ended else {}),
        }

    @property
    def group(self) -> str:
        """Where it logs."""
        return str(self.project["logsConfig"]["cloudWatchLogs"]["groupName"])

    @property
    def stream(self) -> str:
        """The same."""
        return self._stream


class Builds:
    """The projects and builds of one account.

    Args:
        tools: of the agents of ECS, whose containers and logs these are, too.
        as_role: this cloud as a role sees it, by its ARN.
        account: of this sandbox.
        builder: see ``Sandbox``.
    """

    def __init__(
        self,
        tools: AgentTools,
        *,
        as_role: Callable[[str], Server],
        account: str,
        builder: Callable[[], str],
    ) -> None:
        self._tools, self._as_role, self._account, self._builder = tools, as_role, account, builder
        self.projects: dict[str, dict[str, Any]] = {}
        self.all: list[BuildRecord] = []
        self._tokens: dict[str, BuildRecord] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def arn(self, kind: str, name: str) -> str:
        """Of a project or build."""
        return f"arn:aws:codebuild:{self._tools.region}:{self._account}:{kind}/{name}"

    def start(self, project: Mapping[str, Any], *, token: str) -> BuildRecord:
        """Start a build of a project in which what the request changes is changed; the same token starts one only."""
        with self._lock:
            if token and token in self._tokens:
                return self._tokens[token]
            ident = f"{project['name']}:{uuid.uuid4()}"
            record = BuildRecord(
                id=ident,
                arn=self.arn("build", ident),
                project=project,
                number=len(self.all) + 1,
                started=datetime.now(timezone.utc),
            )
            self.all.append(record)
            self._tokens[token] = record
        thread = threading.Thread(target=self._carry_out, args=(record,), name=ident, daemon=True)
        self._threads.append(thread)
        thread.start()
        return record

    def close(self) -> None:
        """Stop what runs, and wait for its end."""
        for record in self.all:
            record.stop.set()
        for thread in self._threads:
            thread.join()

    def _carry_out(self, record: BuildRecord) -> None:
        home = self._tools.folder / f"build-{record.id.partition(':')[2]}"
        status = "SUCCEEDED"
        try:
            self._phase(record, "SUBMITTED", lambda: None)
            self._phase(record, "QUEUED", lambda: self._wait(record))
            self._phase(record, "PROVISIONING", lambda: None)
            run = _BuildRun(record, self._tools, home=home, builder=self._builder())
            self._phase(record, "DOWNLOAD_SOURCE", lambda: run.fetch(self._as_role(record.project["serviceRole"])))
            for name in _OF_BUILDSPEC:
                self._phase(record, name, lambda name=name: run.phase(name))  # type: ignore[misc]
            for name in ("UPLOAD_ARTIFACTS", "FINALIZING"):
                self._phase(record, name, lambda: None)
        except BuildStops as stopped:
            status = stopped.status
        except Exception:  # noqa: BLE001 - a fault of the sandbox must not look like a build that never ends
            status = "FAULT"
            _LOG.exception("build %s", record.id)
        shutil.rmtree(home, ignore_errors=True)
        now = datetime.now(timezone.utc)
        record.phase, record.status, record.ended = "COMPLETED", status, now
        record.phases.append({"phaseType": "COMPLETED", "startTime": now})

    def _wait(self, record: BuildRecord) -> None:
        weather = self._tools.weather()
        limit = weather.build_within
        late = limit is not None and weather.build_queue > limit
        if record.stop.wait(limit if late else weather.build_queue):
            raise BuildStops("STOPPED")
        if late:
            raise BuildStops("TIMED_OUT", "BUILD_TIMED_OUT", "Build has timed out. ")

    def _phase(self, record: BuildRecord, name: str, work: Callable[[], object]) -> None:
        began = datetime.now(timezone.utc)
        said: dict[str, Any] = {"phaseType": name, "startTime": began}
        record.phase = name
        record.phases.append(said)
        stopped: BuildStops | None = None
        try:
            work()
        except BuildStops as error:
            stopped = error
        now = datetime.now(timezone.utc)
        said |= {
            "phaseStatus": stopped.status if stopped else "SUCCEEDED",
            "endTime": now,
            "durationInSeconds": int((now - began).total_seconds()),
            "contexts": [{"statusCode": stopped.code, "message": stopped.message}] if stopped and stopped.code else [],
        }
        if stopped:
            raise stopped


class _BuildRun:
    """What a build's machine does.

    Args:
        home: its folder.
        builder: see ``Builds``.
    """

    def __init__(self, record: BuildRecord, tools: AgentTools, *, home: Path, builder: str) -> None:
        self._record, self._tools, self._home = record, tools, home
        self._builder = builder
        self._source = home / "src"
        self._spec: dict[str, Any] = {}
        self._driver: LogDriver | None = None
        self._environ: dict[str, str] = {}

    def fetch(self, mine: Server) -> None:
        """DOWNLOAD_SOURCE, with the role's credentials; opens the log, too."""
        record, tools = self._record, self._tools
        role = record.project["serviceRole"]
        try:
            self._driver = LogDriver(tools.logs(role), group=record.group, stream=record.stream, now=tools.now)
            self._driver.open()
        except Exception as error:
            said = "Service role does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams"
            raise BuildStops(
                "FAILED", "ACCESS_DENIED", f"{said} for build {record.arn}. Error message: {error}"
            ) from error
        bucket, _, key = record.project["source"]["location"].partition("/")
        self._source.mkdir(parents=True)
        archive = self._home / "source.zip"
        rights = [(action, f"arn:aws:s3:::{bucket}/{key}") for action in _SOURCE]
        rights += [(action, f"arn:aws:s3:::{bucket}") for action in _BUCKET]
        record.credentials.append(mine.keys.access)
        signed = {"X-Amz-Security-Token": mine.keys.token or ""}
        s3 = mine.clients.of("s3")
        try:
            for action, place in rights:
                tools.roles.check_right(AskedRight(access=mine.keys.access, action=action, resources=(place,)), signed)
            s3.download_file(bucket, key, str(archive))
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(self._source)
        except EcsRefusal as refused:
            message = f"Access denied when trying to download source: {refused.message}"
            raise BuildStops("FAILED", "CLIENT_ERROR", message) from refused
        except s3.exceptions.ClientError as error:
            raise BuildStops("FAILED", "CLIENT_ERROR", f"{error} for primary source") from error
        self._spec = yaml.safe_load((self._source / "buildspec.yml").read_text(encoding="utf-8"))
        self._environ = self._surroundings()

    def _surroundings(self) -> dict[str, str]:
        record, tools = self._record, self._tools
        given = tools.roles.give(record.project["serviceRole"], task=record.id)
        record.credentials.append(given.keys.access)
        programs = self._home / "bin"
        programs.mkdir()
        for name in ("aws", "docker"):
            words = f'exec "{sys.executable}" -m burst_magic.testing.sandbox.image_tools {name} "$@"'
            (programs / name).write_text(f"#!/bin/sh\n{words}\n")
            (programs / name).chmod(0o755)
        variables = {each["name"]: each["value"] for each in record.project["environment"]["environmentVariables"]}
        return {
            **self._spec.get("env", {}).get("variables", {}),
            **variables,
            **given.variables(tools.endpoint, self._home),
            "AWS_REGION": tools.region,
            "AWS_DEFAULT_REGION": tools.region,
            "AWS_ENDPOINT_URL": tools.endpoint,
            "CODEBUILD_BUILD_ID": record.id,
            "CODEBUILD_BUILD_ARN": record.arn,
            "PATH": f"{programs}:{environment().get('PATH', '')}",
            "FAILED_COMMAND": str(self._home / "failed"),
            "BURST_SANDBOX_BUILDER": self._builder,
            **{name: value for name, value in environment().items() if name.startswith(("CONTAINERS_", "BUILDAH_"))},
        }

    def phase(self, name: str) -> None:
        """One phase of the buildspec."""
        commands = self._spec["phases"].get(name.lower(), {}).get("commands", [])
        if not commands or self._driver is None:
            return
        words = [line for command in commands for line in ("run \"$(cat <<'COMMAND'", command, "COMMAND", ')"')]
        script = self._home / f"{name}.sh"
        script.write_text("\n".join([_SHELL, "cd src", *words, ""]), encoding="utf-8")
        container = SandboxContainer(["sh", str(script)], environ=self._environ, folder=self._home, python="")
        reader = threading.Thread(target=self._driver.ship, args=(container.output,), daemon=True)
        reader.start()
        try:
            self._see_through(container)
        finally:
            container.kill()
            container.wait()
            reader.join()
            container.close()

    def _see_through(self, container: SandboxContainer) -> None:
        record, within = self._record, self._tools.weather().build_within
        limit = 60.0 * record.project["timeoutInMinutes"] if within is None else within
        while (code := container.wait(0.05)) is None:
            if record.stop.is_set():
                raise BuildStops("STOPPED")
            if (datetime.now(timezone.utc) - record.started).total_seconds() > limit:
                raise BuildStops("TIMED_OUT", "BUILD_TIMED_OUT", "Build has timed out. ")
        if code:
            failed = Path(self._environ["FAILED_COMMAND"]).read_text(encoding="utf-8")
            message = f"Error while executing command: {failed}. Reason: exit status {code}"
            raise BuildStops("FAILED", "COMMAND_EXECUTION_ERROR", message)
