"""CodeBuild behind AWS's wire format: projects, and builds that run (``builds``). moto's never end, and run nothing."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse, EmptyResult

from burst_magic.testing.sandbox.aws_call import AskedRight
from burst_magic.testing.sandbox.builds import Builds
from burst_magic.testing.sandbox.orders import EcsRefusal
from burst_magic.testing.sandbox.roles import Roles

# What StartBuild's overrides change of a project: name of the parameter -> where it is.
_OVERRIDES = {
    "sourceTypeOverride": ("source", "type"),
    "sourceLocationOverride": ("source", "location"),
    "environmentTypeOverride": ("environment", "type"),
    "imageOverride": ("environment", "image"),
    "computeTypeOverride": ("environment", "computeType"),
    "environmentVariablesOverride": ("environment", "environmentVariables"),
}
_OTHERS = {"projectName", "idempotencyToken"}


class _NoProject(ServiceException):
    code = "ResourceNotFoundException"


class _ProjectExists(ServiceException):
    code = "ResourceAlreadyExistsException"


class _Invalid(ServiceException):
    code = "InvalidInputException"


class _Denied(ServiceException):
    code = "AccessDeniedException"


class CodeBuildApi(BaseResponse):
    """The actions that a stack and ``burst image --remote`` take."""

    builds: Builds
    roles: Roles

    def __init__(self) -> None:
        super().__init__(service_name="codebuild")
        self.automated_parameter_parsing = True

    @property
    def _said(self) -> dict[str, Any]:
        return dict(self.params)

    def create_project(self) -> Any:
        """CreateProject."""
        name = self._said["name"]
        if name in self.builds.projects:
            raise _ProjectExists(f"Project already exists: {self.builds.arn('project', name)}")
        return ActionResult({"project": self._kept({})})

    def update_project(self) -> Any:
        """UpdateProject."""
        return ActionResult({"project": self._kept(self._project(self._said["name"]))})

    def _kept(self, before: dict[str, Any]) -> dict[str, Any]:
        said, now = self._said, datetime.now(timezone.utc)
        role = said["serviceRole"]
        try:
            self.roles.check_right(
                AskedRight(access=self.access_key, action="iam:PassRole", resources=(role,)), dict(self.headers)
            )
        except EcsRefusal as refused:
            raise _Denied(refused.message) from refused
        if not self.roles.trusts(role, "codebuild"):
            raise _Invalid(f"CodeBuild is not authorized to perform: sts:AssumeRole on {role}")
        said["environment"].setdefault("environmentVariables", [])
        project = {"created": now, **before, **said, "arn": self.builds.arn("project", said["name"])}
        project["lastModified"] = now
        self.builds.projects[said["name"]] = project
        return project

    def _project(self, name: str) -> dict[str, Any]:
        if name not in self.builds.projects:
            raise _NoProject(f"Project cannot be found: {self.builds.arn('project', name)}")
        return self.builds.projects[name]

    def delete_project(self) -> Any:
        """DeleteProject; one that isn't there is deleted, too."""
        self.builds.projects.pop(self._said["name"], None)
        return EmptyResult()

    def batch_get_projects(self) -> Any:
        """BatchGetProjects."""
        names, there = self._said["names"], self.builds.projects
        return ActionResult(
            {
                "projects": [there[name] for name in names if name in there],
                "projectsNotFound": [name for name in names if name not in there],
            }
        )

    def start_build(self) -> Any:
        """StartBuild; an override that isn't known here is refused."""
        said = self._said
        unknown = sorted(set(said) - set(_OVERRIDES) - _OTHERS)
        if unknown:
            raise _Invalid(f"the sandbox knows no {', '.join(unknown)}")
        project = self._project(said["projectName"])
        changed = {**project, "source": {**project["source"]}, "environment": {**project["environment"]}}
        for name, (part, key) in _OVERRIDES.items():
            if name in said:
                changed[part][key] = said[name]
        return ActionResult({"build": self.builds.start(changed, token=said.get("idempotencyToken", "")).told()})

    def list_builds_for_project(self) -> Any:
        """ListBuildsForProject, the latest first."""
        name = self._project(self._said["projectName"])["name"]
        return ActionResult({"ids": [each.id for each in self.builds.all if each.project["name"] == name][::-1]})

    def batch_get_builds(self) -> Any:
        """BatchGetBuilds."""
        wanted, there = self._said["ids"], {record.id: record for record in self.builds.all}
        return ActionResult(
            {
                "builds": [there[ident].told() for ident in wanted if ident in there],
                "buildsNotFound": [ident for ident in wanted if ident not in there],
            }
        )

    def stop_build(self) -> Any:
        """StopBuild."""
        for record in self.builds.all:
            if record.id == self._said["id"]:
                record.stop.set()
                return ActionResult({"build": record.told()})
        raise _NoProject(f"Build cannot be found: {self._said['id']}")
