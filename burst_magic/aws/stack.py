"""The CloudFormation stack of ``burst setup``: made, changed in place, taken up after a failure, deleted.

Every call may be repeated, and so may all of it: a setup that was interrupted, or that AWS refused half-way, is taken
up where it is.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeVar

from burst_magic.aws import patience, template
from burst_magic.aws.clients import Clients
from burst_magic.dataclass import dataclass
from burst_magic.errors import LaunchError, Missing, StackFailed

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef, StackResourceTypeDef, StackTypeDef

T = TypeVar("T")
TAG = "burst"  # on everything; its value is the stack's name
_PATIENCE = 1800.0  # seconds for one change of the stack; it takes two minutes on AWS
_FIRST, _LONGEST = 0.1, 3.0  # seconds between two looks
_NO_CHANGE = ("didn't contain changes", "No updates are to be performed")
_CANCELLED = ("cancelled", "The following resource(s) failed")  # no causes: something else failed
_NOTHING_YET = {"REVIEW_IN_PROGRESS", "DELETE_COMPLETE"}  # such a stack holds nothing
_OVER = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}  # such a stack can only be deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFacts:
    """What CloudFormation says of a stack."""

    id: str
    status: str
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Nothing is being done to it."""
        return not self.status.endswith("_IN_PROGRESS") or self.status == "REVIEW_IN_PROGRESS"

    @property
    def good(self) -> bool:
        """It is as it was asked for."""
        return self.status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}

    @property
    def usable(self) -> bool:
        """It is as it was asked for the last time or the time before."""
        return self.good or self.status == "UPDATE_ROLLBACK_COMPLETE"


class Stack:
    """One stack in one region.

    Args:
        name: ``burst`` or ``burst-…``.
        region: "" for the configured one.
        clients: makes boto3 clients; the default reads AWS's environment and files.
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
        self.name = name
        self._service = patience.Service("cloudformation", region, clients)
        self._tell, self._sleep, self._clock = tell, sleep, clock

    def _ask(self, call: Callable[[CloudFormationClient], T], action: str) -> T:
        return self._service.ask(call, action, patience.READING)

    def facts(self, ident: str = "") -> StackFacts | None:
        """The stack as it is, None where there is none.

        Args:
            ident: the id of one that is being deleted; its name finds it no more.

        Raises:
            LaunchError: somebody else's stack has this name.
        """
        try:
            found = self._ask(lambda api: api.describe_stacks(StackName=ident or self.name), "DescribeStacks")
        except (LaunchError, Missing) as error:
            if "does not exist" in str(error):
                return None
            raise
        facts = _facts(found["Stacks"][0])
        if facts.status not in _NOTHING_YET and facts.tags.get(TAG) != self.name:
            raise LaunchError(
                f"stack {self.name} was not made by burst setup: it has no tag {TAG}={self.name}",
                context=facts.id,
                way_out="nothing of it was changed; choose another --name",
            )
        return facts

    def resources(self) -> list[StackResourceTypeDef]:
        """What it has made, with physical ids and states."""
        found = self._ask(
            lambda api: api.describe_stack_resources(StackName=self.name)["StackResources"], "DescribeStackResources"
        )
        return sorted(found, key=lambda each: each["LogicalResourceId"])

    def deploy(self, parameters: Mapping[str, str]) -> tuple[StackFacts, bool]:
        """Make it, or change it to these parameters and this version's template.

        Args:
            parameters: of the template; those of an earlier deployment that aren't named get their defaults.

        Returns:
            The stack, and whether anything was changed.

        Raises:
            StackFailed: a resource failed; the message names it and gives AWS's reason. What was made is undone.
            Denied: a right is missing.
        """
        there = self._ready()
        made = self._change_set(parameters, new=there is None)
        if made is None:
            return self._known(), False
        change_set, stack_id = made
        since = self._newest_event(stack_id)
        self._ask(lambda api: api.execute_change_set(StackName=stack_id, ChangeSetName=change_set), "ExecuteChangeSet")
        facts = self._follow(stack_id, since)
        if facts is None or not facts.good:
            raise self._failure(stack_id, since, "was not made" if there is None else "was not changed")
        return facts, True

    def _ready(self) -> StackFacts | None:
        """The stack in a state from which it can be changed; None if it is to be made."""
        there = self.facts()
        if there is not None and not there.settled:
            self._tell(f"stack {self.name}: waiting, AWS says {there.status}")
            there = self._follow(there.id, self._newest_event(there.id))
        if there is not None and there.status == "UPDATE_ROLLBACK_FAILED":
            ident = there.id
            self._ask(lambda api: api.continue_update_rollback(StackName=ident), "ContinueUpdateRollback")
            there = self._follow(ident, self._newest_event(ident))
        if there is not None and there.status in _OVER:
            self._tell(f"stack {self.name}: removing what an earlier attempt left ({there.status})")
            self.delete()
            return None
        return None if there is None or there.status in {"DELETE_COMPLETE", "REVIEW_IN_PROGRESS"} else there

    def _change_set(self, parameters: Mapping[str, str], *, new: bool) -> tuple[str, str] | None:
        """A change set that can be executed, and its stack; None if there is nothing to change."""
        name = f"{self.name}-{secrets.token_hex(6)}"
        asked: dict[str, Any] = {
            "StackName": self.name,
            "ChangeSetName": name,
            "ChangeSetType": "CREATE" if new else "UPDATE",
            "ClientToken": name,  # a repeated request whose reply was lost makes no second one
            "TemplateBody": template.text(),
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Tags": [{"Key": TAG, "Value": self.name}],
        }
        made = self._ask(lambda api: api.create_change_set(**asked), "CreateChangeSet")
        said = self._until(
            lambda: self._ask(
                lambda api: api.describe_change_set(StackName=made["StackId"], ChangeSetName=made["Id"]),
                "DescribeChangeSet",
            ),
            lambda found: found["Status"] in {"CREATE_COMPLETE", "FAILED"},
        )
        if said["Status"] == "CREATE_COMPLETE":
            return made["Id"], made["StackId"]
        reason = said.get("StatusReason", "")
        self._ask(
            lambda api: api.delete_change_set(StackName=made["StackId"], ChangeSetName=made["Id"]), "DeleteChangeSet"
        )
        if any(words in reason for words in _NO_CHANGE):
            return None
        raise LaunchError(f"CloudFormation refuses stack {self.name}: {reason}", context="CreateChangeSet")

    def _known(self) -> StackFacts:
        there = self.facts()
        if there is None:
            raise LaunchError(f"stack {self.name} was deleted meanwhile", way_out="run burst setup again")
        return there

    def delete(self) -> None:
        """Delete it and all that it made. A bucket must be empty.

        Raises:
            StackFailed: a resource was not deleted; the message names it and gives AWS's reason.
        """
        there = self.facts()
        if there is None:
            return
        ident, since = there.id, self._newest_event(there.id)
        self._ask(lambda api: api.delete_stack(StackName=ident), "DeleteStack")
        left = self._follow(ident, since)
        if left is not None and left.status != "DELETE_COMPLETE":
            raise self._failure(ident, since, "was not deleted")

    def _follow(self, ident: str, since: str) -> StackFacts | None:
        """Wait until nothing is done to it any more, telling what is."""
        told = {since}

        def look() -> StackFacts | None:
            found = self.facts(ident)  # before its events: the last of them are told, too
            for event in reversed(self._events(ident, since)):
                if event["EventId"] not in told:
                    told.add(event["EventId"])
                    self._tell_of(event)
            return found

        return self._until(look, lambda found: found is None or found.settled)

    def _tell_of(self, event: StackEventTypeDef) -> None:
        status = event.get("ResourceStatus", "")
        if event.get("PhysicalResourceId") != event["StackId"] and status.endswith(("_COMPLETE", "_FAILED")):
            self._tell(f"  {event.get('LogicalResourceId', '')}: {status.lower().replace('_', ' ')}")

    def _until(self, look: Callable[[], T], done: Callable[[T], bool]) -> T:
        end, pause = self._clock() + _PATIENCE, _FIRST
        while not done(found := look()):
            if self._clock() > end:
                raise LaunchError(
                    f"AWS is not ready with stack {self.name} after {_PATIENCE / 60:.0f} minutes",
                    way_out="look at its events in the CloudFormation console; then run burst setup again",
                )
            self._sleep(pause)
            pause = min(_LONGEST, pause * 1.5)
        return found

    def _events(self, ident: str, since: str) -> list[StackEventTypeDef]:
        """Events after one of them, newest first."""

        def call(api: CloudFormationClient) -> list[StackEventTypeDef]:
            found: list[StackEventTypeDef] = []
            for page in api.get_paginator("describe_stack_events").paginate(StackName=ident):
                for event in page["StackEvents"]:
                    if event["EventId"] == since:
                        return found
                    found.append(event)
            return found

        return self._ask(call, "DescribeStackEvents")

    def _newest_event(self, ident: str) -> str:
        return next((event["EventId"] for event in self._events(ident, "")), "")

    def _failure(self, ident: str, since: str, what: str) -> StackFailed:
        """The resource that failed first, and why."""
        for event in reversed(self._events(ident, since)):
            reason = event.get("ResourceStatusReason", "")
            failed = event.get("ResourceStatus", "").endswith("_FAILED")
            if failed and not any(words in reason for words in _CANCELLED):
                name, kind = event.get("LogicalResourceId", ""), event.get("ResourceType", "")
                return StackFailed(
                    f"stack {self.name} {what}: {name} ({kind}) failed: {reason}",
                    context=f"{event.get('ResourceStatus', '')} {event.get('PhysicalResourceId', '')}".strip(),
                    way_out=_way_out(kind, reason),
                    resource=name,
                    reason=reason,
                )
        there = self.facts(ident)
        said = "" if there is None else f": {there.status} {there.reason}"
        return StackFailed(f"stack {self.name} {what}{said}", way_out="run burst setup again")


def _way_out(kind: str, reason: str) -> str:
    """What to do about a resource that AWS refuses."""
    if "AccessDenied" in reason or "not authorized" in reason or "UnauthorizedOperation" in reason:
        return "`burst setup --plan` prints the policy that setup needs; ask whoever administers the account for it"
    if "lready exists" in reason or "AlreadyExists" in reason or "AlreadyOwned" in reason:
        return "delete it if nothing needs it, or set up under another --name; then run the command again"
    if "not empty" in reason:
        return "run burst teardown again, which empties it"
    if "LimitExceeded" in reason or "limit" in reason.lower():
        return f"raise the account's quota for {kind} in Service Quotas, or delete one; then run the command again"
    return "put that right and run the command again: it goes on from there"


def _facts(said: StackTypeDef) -> StackFacts:
    return StackFacts(
        id=said["StackId"],
        status=said["StackStatus"],
        reason=said.get("StackStatusReason", ""),
        parameters={each["ParameterKey"]: each.get("ParameterValue", "") for each in said.get("Parameters", ())},
        outputs={each["OutputKey"]: each["OutputValue"] for each in said.get("Outputs", ())},
        tags={each["Key"]: each["Value"] for each in said.get("Tags", ())},
    )
