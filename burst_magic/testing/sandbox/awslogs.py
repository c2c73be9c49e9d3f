"""The awslogs driver: a container's output becomes events of a CloudWatch stream."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any

_CHUNK = 1 << 16  # bytes read at a time
_LONGEST = 256 * 1024  # characters of one event, with room for what CloudWatch adds
_MOST = 1000  # events a call


class NoStream(Exception):
    """The log stream cannot be made."""


class LogDriver:
    """Ships the output of one container.

    Args:
        logs: a client of CloudWatch Logs with the execution role's credentials.
        group, stream: where to.
        now: seconds since the epoch.
    """

    def __init__(self, logs: Any, *, group: str, stream: str, now: Callable[[], float]) -> None:
        self._logs = logs
        self._group, self._stream = group, stream
        self._now = now
        self._last = 0.0

    def open(self) -> None:
        """Make the stream; raises ``NoStream`` with what ECS says where that fails."""
        try:
            self._logs.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
        except self._logs.exceptions.ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            raise NoStream(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: {code}: {message} : exit status 1"
            ) from error

    def ship(self, output: IO[bytes]) -> None:
        """Ship everything until the output ends."""
        rest = b""
        while chunk := os.read(output.fileno(), _CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            self.put(lines)
        self.put([rest] if rest else [])

    def put(self, lines: list[bytes]) -> None:
        """Ship some lines."""
        self._last = max(self._last, self._now())
        at = int(self._last * 1000)
        texts = [line.decode(errors="replace")[:_LONGEST] for line in lines if line.strip()]
        for first in range(0, len(texts), _MOST):
            events = [{"timestamp": at, "message": text} for text in texts[first : first + _MOST]]
            try:
                self._logs.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=events)
            except self._logs.exceptions.ClientError:  # the driver does not block: what cannot be sent is lost
                return


def discard(output: IO[bytes]) -> None:
    """Read the output of a container without a log driver, to its end."""
    while os.read(output.fileno(), _CHUNK):
        pass
