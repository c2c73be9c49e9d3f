"""What the containers of workers print, from CloudWatch Logs: one worker's last lines, or a session's by time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from burst_magic.aws.ecs import Ecs
from burst_magic.aws.logs import Logs, LogStream, stream_of
from burst_magic.errors import BurstError, Missing
from burst_magic.launchers.base import PrintedLine
from burst_magic.launchers.ecs_task import CONTAINER, PlaceInEcs

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import TaskDefinitionTypeDef

_TAIL = 20_000  # characters
_DAY = 86400.0


class ContainerLogs:
    """The logs of tasks, found by their task definition.

    Args:
        ecs: the control plane of a region, by name.
        logs: CloudWatch Logs of a region, by name.
        clock: seconds since the epoch.
    """

    def __init__(
        self, ecs: Callable[[str], Ecs], *, logs: Callable[[str], Logs] = Logs, clock: Callable[[], float] = time.time
    ) -> None:
        self._ecs, self._open, self._clock = ecs, logs, clock
        self._logs: dict[str, Logs] = {}
        self._definitions: dict[tuple[str, str], TaskDefinitionTypeDef] = {}

    def tail(self, region: str, definition: str, task: str) -> str:
        """The end of what one task's container printed; why there is nothing, where that is known."""
        try:
            stream = self._stream(region, definition, task)
            return "" if stream is None else self._in(region).tail(stream, _TAIL)
        except Missing as missing:
            return f"{missing.problem}\n"
        except BurstError as error:
            return f"the container's log cannot be read: {error.problem}; {error.way_out}\n"

    def lines(self, workers: Collection[str], options: Mapping[str, str], *, since: float) -> list[PrintedLine]:
        """The lines of these workers from a time on, oldest first.

        Raises:
            BurstError: they cannot be read, or the group did not keep them.
        """
        region = PlaceInEcs.of_options(options).region
        only = next(iter(workers)) if len(workers) == 1 else ""
        streams = self._stream(region, options.get("task_definition", ""), only)
        if streams is None or not workers:
            return []
        events, complete = self._in(region).events(streams, since=since)
        lines = [
            PrintedLine(worker=event.stream.rpartition("/")[2], at=event.at, text=text)
            for event in events
            for text in event.text.splitlines()
        ]
        found = [line for line in lines if line.worker in workers]
        if not complete:
            last = events[-1].at if events else since
            text = f"more was printed than is shown; the rest is in the log group {streams.group}"
            found.append(PrintedLine(worker="workers", at=last, text=text))
        elif not found:
            self._check_kept(region, streams.group, since)
        return found

    def _check_kept(self, region: str, group: str, since: float) -> None:
        """Raise ``Missing`` if what was printed then is deleted by now."""
        if self._clock() - since < _DAY:
            return
        days = self._in(region).retention(group)
        if days is not None and self._clock() - since > days * _DAY:
            raise Missing(f"the log group {group} keeps lines for {days} days; older ones are deleted")

    def _stream(self, region: str, definition: str, task: str) -> LogStream | None:
        known = region, definition
        if known not in self._definitions:
            self._definitions[known] = self._ecs(region).definition(definition)
        return stream_of(self._definitions[known], task, container=CONTAINER)

    def _in(self, region: str) -> Logs:
        if region not in self._logs:
            self._logs[region] = self._open(region)
        return self._logs[region]
