"""Stacks of the stand-in CloudFormation: change sets, resources made in order, undone after a failure, events.

Resources are made one after another, by calls of the services with the keys of whoever asked, as CloudFormation does.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime, timezone
from functools import partial
from typing import Any

from burst_magic.aws.clients import Clients
from burst_magic.aws.template import StackTemplate, Whereabouts, parse, references
from burst_magic.dataclass import dataclass
from burst_magic.testing.sandbox.cfn_kinds import Made, Refused, kind_of

_LOG = logging.getLogger(__name__)
_NO_CHANGE = "The submitted information didn't contain changes. Submit different information to create a change set."


class CfnRefusal(Exception):
    """A refused request: CloudFormation's ValidationError."""


@dataclass(slots=True, kw_only=True)
class Resource:
    """One resource of a stack."""

    kind: str
    made: Made
    properties: Mapping[str, Any]
    status: str = "CREATE_COMPLETE"


@dataclass(slots=True, kw_only=True)
class SandboxStackRecord:
    """One stack with its history."""

    name: str
    id: str
    created: datetime
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    body: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    tags: list[dict[str, str]] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    change_sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    undo: Callable[..., None] = lambda **_: None

    def enter(self, status: str, reason: str = "") -> None:
        """A new status, with its event."""
        self.status, self.reason = status, reason
        self.tell(self.name, self.id, "AWS::CloudFormation::Stack", status, reason)

    def tell(self, logical: str, physical: str, kind: str, status: str, reason: str = "") -> None:
        """Add an event."""
        event = {
            "StackId": self.id,
            "StackName": self.name,
            "EventId": secrets.token_hex(16),
            "LogicalResourceId": logical,
            "PhysicalResourceId": physical,
            "ResourceType": kind,
            "Timestamp": datetime.now(timezone.utc),
            "ResourceStatus": status,
        }
        self.events.insert(0, {**event, **({"ResourceStatusReason": reason} if reason else {})})


class Stacks:
    """The stacks of one account and region."""

    def __init__(self, where: Whereabouts) -> None:
        self._where = where
        self._lock = threading.RLock()
        self._all: list[SandboxStackRecord] = []
        self._threads: list[threading.Thread] = []

    def find(self, name: str) -> SandboxStackRecord:
        """By name, or by id, which finds a deleted one, too; raises ``CfnRefusal``."""
        with self._lock:
            for each in reversed(self._all):
                if each.id == name or (each.name == name and each.status != "DELETE_COMPLETE"):
                    return each
        raise CfnRefusal(f"Stack with id {name} does not exist")

    def propose(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """CreateChangeSet."""
        new = said.get("ChangeSetType", "UPDATE") == "CREATE"
        stack = self._new(said["StackName"]) if new else self.find(said["StackName"])
        ident = f"arn:aws:cloudformation:{self._where.region}:{self._where.account}:changeSet/{said['ChangeSetName']}"
        if there := stack.change_sets.get(ident):
            if said.get("ClientToken") is None or said["ClientToken"] != there["wanted"]["token"]:
                raise CfnRefusal(f"ChangeSet {said['ChangeSetName']} cannot be created: it already exists")
            return {"Id": ident, "StackId": stack.id}
        parameters = {each["ParameterKey"]: each["ParameterValue"] for each in said.get("Parameters", ())}
        found = {"ChangeSetId": ident, "ChangeSetName": said["ChangeSetName"], "StackId": stack.id}
        wanted = {"body": said["TemplateBody"], "parameters": parameters, "tags": said.get("Tags", [])}
        wanted["token"] = said.get("ClientToken")
        problem = "" if "CAPABILITY_NAMED_IAM" in said.get("Capabilities", ()) else "Requires capabilities"
        problem = problem or self._problem(stack, wanted)
        status = {"Status": "FAILED", "StatusReason": problem} if problem else {"Status": "CREATE_COMPLETE"}
        with self._lock:
            stack.change_sets[ident] = {**found, **status, "wanted": wanted}
        return {"Id": ident, "StackId": stack.id}

    def _new(self, name: str) -> SandboxStackRecord:
        with self._lock:
            try:
                there = self.find(name)
            except CfnRefusal:
                pass
            else:
                if there.status != "REVIEW_IN_PROGRESS":
                    raise CfnRefusal(f"Stack [{name}] already exists and cannot be created again with the changeSet.")
                return there
            ident = (
                f"arn:aws:cloudformation:{self._where.region}:{self._where.account}:stack/{name}/{secrets.token_hex(8)}"
            )
            self._all.append(SandboxStackRecord(name=name, id=ident, created=datetime.now(timezone.utc)))
            return self._all[-1]

    def _problem(self, stack: SandboxStackRecord, wanted: Mapping[str, Any]) -> str:
        """Why a change set fails."""
        try:
            parsed = parse(wanted["body"])
            asked = self._template(parsed, wanted["parameters"], {})
            unknown = set(wanted["parameters"]) - set(parsed["Parameters"])
            if unknown:
                return f"Parameters: [{', '.join(sorted(unknown))}] do not exist in the template"
            for resource in asked.resources.values():
                kind_of(resource["Type"], resource.get("Properties", {}))
        except (KeyError, ValueError, Refused) as error:
            return str(error.args[0])
        same = (stack.body, stack.parameters) == (wanted["body"], wanted["parameters"])
        return _NO_CHANGE if stack.resources and same else ""

    def change_set(self, ident: str) -> dict[str, Any]:
        """DescribeChangeSet."""
        with self._lock:
            for stack in self._all:
                if ident in stack.change_sets:
                    return {key: value for key, value in stack.change_sets[ident].items() if key != "wanted"}
        raise CfnRefusal(f"ChangeSet [{ident}] does not exist")

    def forget(self, ident: str) -> None:
        """DeleteChangeSet."""
        with self._lock:
            for stack in self._all:
                stack.change_sets.pop(ident, None)

    def execute(self, name: str, ident: str, clients: Callable[[], Clients]) -> None:
        """ExecuteChangeSet; returns at once."""
        stack = self.find(name)
        if not stack.status.endswith(("_COMPLETE", "REVIEW_IN_PROGRESS")) or stack.status == "ROLLBACK_COMPLETE":
            raise CfnRefusal(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        wanted = stack.change_sets.pop(ident)["wanted"]
        word = "UPDATE" if stack.resources else "CREATE"
        stack.tags = stack.tags or wanted["tags"]  # a stack has them from its first moment
        stack.enter(f"{word}_IN_PROGRESS", "User Initiated")
        self._begin(lambda: self._carry_out(stack, wanted, clients(), word))

    def delete(self, name: str, clients: Callable[[], Clients]) -> None:
        """DeleteStack; returns at once."""
        stack = self.find(name)
        stack.enter("DELETE_IN_PROGRESS", "User Initiated")
        self._begin(lambda: self._remove(stack, clients(), "DELETE"))

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="cloudformation", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Wait for what is being done."""
        for thread in self._threads:
            thread.join()

    # --- what is done to them ----------------------------------------------------------------------------------

    def _template(self, parsed: Any, parameters: Mapping[str, str], made: Mapping[str, Resource]) -> StackTemplate:
        def of(logical: str, attribute: str) -> str:
            there = made[logical].made
            return there.attributes[attribute] if attribute else there.id

        return StackTemplate(parsed, parameters, where=self._where, made=of)

    def _carry_out(self, stack: SandboxStackRecord, wanted: Mapping[str, Any], aws: Clients, word: str) -> None:
        before = {name: (each.made, each.properties) for name, each in stack.resources.items()}
        asked = self._template(parse(wanted["body"]), wanted["parameters"], stack.resources)
        replaced: list[tuple[str, Resource]] = []
        for name in _in_order(asked.resources):
            try:
                self._bring_about(stack, name, asked, aws, replaced)
            except Exception as error:  # noqa: BLE001 - whatever a service says is the reason of the failure
                self._failed(stack, name, asked.resources[name]["Type"], error, word)
                if word == "CREATE":
                    stack.enter("ROLLBACK_IN_PROGRESS", f"The following resource(s) failed to create: [{name}]. ")
                    self._remove(stack, aws, "ROLLBACK")
                else:
                    stack.enter(
                        "UPDATE_ROLLBACK_IN_PROGRESS", f"The following resource(s) failed to update: [{name}]. "
                    )
                    stack.undo = partial(self._undo, stack, before, dict(replaced), failed=name)
                    self._undone(stack, aws)
                return
        if word == "UPDATE":
            stack.enter("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        gone = [name for name in stack.resources if name not in asked.resources]
        replaced += [(name, stack.resources.pop(name)) for name in gone]
        for name, old in reversed(replaced):
            self._take_away(stack, name, old, aws)
        stack.body, stack.parameters, stack.tags = wanted["body"], dict(wanted["parameters"]), wanted["tags"]
        stack.outputs = asked.outputs
        stack.enter(f"{word}_COMPLETE")

    def _bring_about(
        self,
        stack: SandboxStackRecord,
        name: str,
        asked: StackTemplate,
        aws: Clients,
        replaced: list[tuple[str, Resource]],
    ) -> None:
        kind, properties = asked.resources[name]["Type"], asked.properties(name)
        there = stack.resources.get(name)
        if there is not None and there.properties == properties:
            return
        doing = kind_of(kind, properties)
        word = "CREATE" if there is None else "UPDATE"
        stack.tell(name, there.made.id if there else "", kind, f"{word}_IN_PROGRESS")
        if there is None or doing.change is None:
            made = doing.make(aws, properties)
            if there is not None:
                replaced.append((name, there))
        else:
            made = doing.change(aws, there.made, properties)
        stack.resources[name] = Resource(kind=kind, made=made, properties=properties, status=f"{word}_COMPLETE")
        stack.tell(name, made.id, kind, f"{word}_COMPLETE")

    def _failed(self, stack: SandboxStackRecord, name: str, kind: str, error: Exception, word: str) -> None:
        there = stack.resources.get(name)
        stack.tell(name, there.made.id if there else "", kind, f"{word if there else 'CREATE'}_FAILED", str(error))
        _LOG.debug("stack %s, %s", stack.name, name, exc_info=error)

    def _undo(
        self,
        stack: SandboxStackRecord,
        before: Mapping[str, tuple[Made, Mapping[str, Any]]],
        old: Mapping[str, Resource],
        *,
        failed: str,
        aws: Clients,
    ) -> None:
        for name in [name for name in stack.resources if name not in before]:
            self._take_away(stack, name, stack.resources.pop(name), aws)
        for name, (made, properties) in before.items():
            now = stack.resources[name]
            if name in old:
                self._take_away(stack, name, now, aws)
            elif now.properties != properties or name == failed:
                change = kind_of(now.kind, properties).change
                if change is not None:
                    change(aws, made, properties)
            stack.resources[name] = Resource(kind=now.kind, made=made, properties=properties, status="UPDATE_COMPLETE")

    def _undone(self, stack: SandboxStackRecord, aws: Clients) -> None:
        try:
            stack.undo(aws=aws)
        except Exception as error:  # noqa: BLE001 - the same
            stack.enter("UPDATE_ROLLBACK_FAILED", str(error))
        else:
            stack.enter("UPDATE_ROLLBACK_COMPLETE")

    def undo_again(self, name: str, clients: Callable[[], Clients]) -> None:
        """ContinueUpdateRollback; returns at once."""
        stack = self.find(name)
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise CfnRefusal(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
        stack.enter("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        self._begin(lambda: self._undone(stack, clients()))

    def _take_away(self, stack: SandboxStackRecord, name: str, old: Resource, aws: Clients) -> None:
        kind_of(old.kind, {}).remove(aws, old.made.id, old.properties)
        stack.tell(name, old.made.id, old.kind, "DELETE_COMPLETE")

    def _remove(self, stack: SandboxStackRecord, aws: Clients, word: str) -> None:
        """All of it, in the opposite order; what cannot be removed stays, and so do those that it needs."""
        failed = []
        for name in reversed(list(stack.resources)):
            resource = stack.resources[name]
            stack.tell(name, resource.made.id, resource.kind, "DELETE_IN_PROGRESS")
            try:
                self._take_away(stack, name, resource, aws)
            except Exception as error:  # noqa: BLE001 - the same
                failed.append(name)
                resource.status = "DELETE_FAILED"
                stack.tell(name, resource.made.id, resource.kind, "DELETE_FAILED", str(error))
            else:
                del stack.resources[name]
        left = f"The following resource(s) failed to delete: [{', '.join(failed)}]. " if failed else ""
        stack.enter(f"{word}_FAILED" if failed else f"{word}_COMPLETE", left)


def _in_order(resources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names, each after those that it refers to."""
    needs = {name: references(each) & set(resources) - {name} for name, each in resources.items()}
    done: list[str] = []
    while needs:
        ready = [name for name, others in needs.items() if others <= set(done)]
        if not ready:
            raise Refused(f"Circular dependency between resources: [{', '.join(sorted(needs))}]")
        done += ready
        for name in ready:
            del needs[name]
    return done
