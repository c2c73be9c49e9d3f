"""What containers print, from CloudWatch Logs. ECS ships it to the stream ``prefix/container/task-id`` of a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from burst_magic.aws import patience
from burst_magic.aws.clients import Clients
from burst_magic.aws.rates import LOGS_FILTER, LOGS_GET
from burst_magic.dataclass import dataclass
from burst_magic.errors import Missing

if TYPE_CHECKING:
    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilterLogEventsResponseTypeDef, GetLogEventsResponseTypeDef

_MOST = 1000  # events of one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStream:
    """Where one container logs."""

    group: str
    name: str


def stream_of(definition: Mapping[str, Any], task: str, *, container: str) -> LogStream | None:
    """Where the container of a task logs; None if its definition doesn't use awslogs with a stream prefix.

    Args:
        definition: as DescribeTaskDefinition returns it.
        task: id of the task.
        container: name of the container.
    """
    for each in definition["containerDefinitions"]:
        log = each.get("logConfiguration") or {}
        options = log.get("options") or {}
        prefix = options.get("awslogs-stream-prefix")
        if each["name"] == container and log.get("logDriver") == "awslogs" and prefix:
            return LogStream(group=options["awslogs-group"], name=f"{prefix}/{container}/{task}")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One line: the stream's name, seconds since the epoch, and the text."""

    stream: str
    at: float
    text: str


class Logs:
    """CloudWatch Logs in one region.

    Args:
        region: its name; "" for the configured one.
        clients: makes boto3 clients; the default reads AWS's environment and files.
        pages: answers that ``events`` and ``after`` read at most; they come oldest first.
    """

    def __init__(self, region: str = "", clients: Clients | None = None, *, pages: int = 20) -> None:
        self._service = patience.Service("logs", region, clients)
        self._pages = pages

    def tail(self, stream: LogStream, characters: int) -> str:
        """The end of what a container printed, in whole lines; empty if it has printed nothing yet.

        Raises:
            Missing: there is no such group.
            BurstError: see ``faults.meaning``.
        """
        answer = self._page(stream, {})
        text = "".join(f"{event.get('message', '')}\n" for event in answer["events"]) if answer else ""
        return text if len(text) <= characters else text[-characters:].partition("\n")[2]

    def after(self, stream: LogStream, token: str) -> tuple[list[str], str]:
        """What a container has printed since it was asked about last, oldest first.

        Args:
            stream: where it logs.
            token: from the last answer; "": from the beginning.

        Returns:
            The lines, and the token to go on with. Of very many, some pages; the next call goes on.

        Raises:
            Missing: there is no such group.
            BurstError: see ``faults.meaning``.
        """
        lines: list[str] = []
        for _ in range(self._pages):
            answer = self._page(stream, {"startFromHead": True, **({"nextToken": token} if token else {})})
            if answer is None:  # it has printed nothing yet
                break
            lines += [event.get("message", "") for event in answer["events"]]
            before, token = token, answer["nextForwardToken"]
            if token == before:  # a page may be empty though others follow
                break
        return lines, token

    def _page(self, stream: LogStream, asked: Mapping[str, Any]) -> GetLogEventsResponseTypeDef | None:
        """One GetLogEvents, or None if there is no such stream yet."""

        def call(logs: CloudWatchLogsClient) -> GetLogEventsResponseTypeDef:
            return logs.get_log_events(logGroupName=stream.group, logStreamName=stream.name, limit=_MOST, **asked)

        try:
            return self._service.ask(call, "GetLogEvents", patience.READING, ("GetLogEvents", LOGS_GET))
        except Missing as missing:
            if "stream" in missing.context:
                return None
            raise Missing(f"the log group {stream.group} does not exist", context=missing.context) from missing

    def events(self, streams: LogStream, *, since: float) -> tuple[list[LogEvent], bool]:
        """What was printed from a time on, oldest first: one FilterLogEvents and its further pages.

        Args:
            streams: the group, and how the names of its streams begin.
            since: seconds since the epoch.

        Returns:
            The lines, and whether these are all: an answer of many pages is cut.

        Raises:
            Missing: there is no such group.
            BurstError: see ``faults.meaning``.
        """
        asked = {
            "logGroupName": streams.group,
            "logStreamNamePrefix": streams.name,
            "startTime": int(since * 1000),
            "limit": _MOST,
        }
        found: list[LogEvent] = []
        complete = True
        for _ in range(self._pages):
            answer = self._filter(asked)
            found += [
                LogEvent(stream=each["logStreamName"], at=each["timestamp"] / 1000, text=each["message"])
                for each in answer["events"]
            ]
            if not answer.get("nextToken"):
                break
            asked["nextToken"] = answer["nextToken"]
        else:
            complete = False
        return sorted(found, key=lambda event: event.at), complete

    def _filter(self, asked: dict[str, Any]) -> FilterLogEventsResponseTypeDef:
        def call(logs: CloudWatchLogsClient) -> FilterLogEventsResponseTypeDef:
            return logs.filter_log_events(**asked)

        try:
            return self._service.ask(call, "FilterLogEvents", patience.READING, ("FilterLogEvents", LOGS_FILTER))
        except Missing as missing:
            raise Missing(f"the log group {asked['logGroupName']} does not exist", context=missing.context) from missing

    def retention(self, group: str) -> int | None:
        """Days for which a group keeps events; None: for ever, or there is no such group."""

        def call(logs: CloudWatchLogsClient) -> int | None:
            found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            return next((each.get("retentionInDays") for each in found if each["logGroupName"] == group), None)

        return self._service.ask(call, "DescribeLogGroups", patience.READING)
