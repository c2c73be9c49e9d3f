"""Credentials for local workers, which may not import boto3.

The process that starts a worker passes them on. Shortly before they expire, a helper process renews them, one for all
workers of the session. It prints the output of an AWS ``credential_process``, plus ``Region`` and ``Endpoint``.
"""

from __future__ import annotations

import json
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.errors import Denied
from burst_magic.stores.handed import HandedOn
from burst_magic.stores.retry import Retry

log = logging.getLogger(__name__)

_MARGIN = 300.0  # seconds before the end at which new ones are asked for
_AGAIN = 15.0  # seconds after a failure during which the old ones, while they are good, are used without asking
_REFUSED = Retry(first=2.0, longest=60.0)  # the pauses between two questions while what it prints is refused
_TIMEOUT = 60.0  # seconds; a profile may ask a sign-on service


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    credential: dict[str, Any]
    config: Mapping[str, str]
    expires: float


def from_command(
    argv: Sequence[str], *, handed: HandedOn | None = None, clock: Callable[[], float] = time.time
) -> CommandCredentials:
    """Credentials printed by a command, renewed some minutes before they expire.

    Args:
        argv: the command and its arguments, e.g. ``[sys.executable, "-m", "burst_magic.aws.credentials"]``.
        handed: shared memory for credentials that any of the processes has resolved.
        clock: seconds since the epoch.
    """
    return CommandCredentials(argv, handed=handed, clock=clock)


class CommandCredentials:
    """A provider for ``open_store``; may be called from many threads."""

    def __init__(
        self, argv: Sequence[str], *, handed: HandedOn | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._argv = list(argv)
        self._handed = handed
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: _Answer | None = None
        self._renew_at = self._asked_at = 0.0
        self._refused = False  # by S3, before their time
        self._repeats = 0  # answers in a row that were no news

    @property
    def config(self) -> Mapping[str, str]:
        """Region and endpoint from the helper."""
        return self._current().config

    def __call__(self) -> dict[str, Any]:
        """Return an obstore ``S3Credential``; raises ``Denied`` with the helper's message."""
        return dict(self._current().credential)

    def forget(self) -> None:
        """The credentials were refused early: run the helper again, but not too often."""
        with self._lock:
            self._refused = True
            self._renew_at = min(self._renew_at, self._asked_at + _REFUSED.pause(self._repeats))

    def _current(self) -> _Answer:
        with self._lock:  # while one asks, the others wait: one helper at a time
            now = self._clock()
            if self._answer is None or now >= self._renew_at:
                self._answer = self._renewed(now)
            return self._answer

    def _renewed(self, now: float) -> _Answer:
        self._asked_at = now
        try:
            answer = self._obtained(now)
        except Denied as error:
            if self._answer is None or now >= self._answer.expires:
                raise
            left = self._answer.expires - now
            log.warning("cannot renew the credentials; the current ones expire in %.0f s: %s", left, error)
            self._renew_at = now + _AGAIN
            return self._answer
        same = (
            self._answer is not None and answer.credential["access_key_id"] == self._answer.credential["access_key_id"]
        )
        self._refused = False
        self._repeats = self._repeats + 1 if same else 0
        self._renew_at = answer.expires - min(_MARGIN, (answer.expires - now) / 2)
        return answer

    def _obtained(self, now: float) -> _Answer:
        if self._handed is None:
            return _fresh(_parsed(_run(self._argv)), now)
        with self._handed.alone():
            other = self._handed_on(now)
            if other is not None:
                return other
            text = _run(self._argv)
            answer = _fresh(_parsed(text), now)
            self._handed.write(text)
            return answer

    def _handed_on(self, now: float) -> _Answer | None:
        """Newer credentials from another process; None if it is time to run the helper.

        The same key is news only with a later expiry, and never if S3 has refused it.
        """
        try:
            other = _fresh(_parsed(self._handed.read() if self._handed else ""), now)
        except Denied:
            return None
        mine = self._answer
        if mine is None or _key_of(other) != _key_of(mine):
            return other
        return other if other.expires > mine.expires and not self._refused else None


def _key_of(answer: _Answer) -> tuple[object, object]:
    return answer.credential["access_key_id"], answer.credential["token"]


def _run(argv: Sequence[str]) -> str:
    command = " ".join(argv)
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Denied(f"the credential helper did not start: {error}", context=command) from None
    if done.returncode:
        said = done.stderr.strip()[-2000:] or f"exit code {done.returncode}, no output"
        raise Denied(f"the credential helper failed: {said}", context=command)
    return done.stdout


def _fresh(answer: _Answer, now: float) -> _Answer:
    if answer.expires <= now:
        raise Denied("the credential helper returned expired credentials", way_out="sign in again")
    return answer


def _parsed(text: str) -> _Answer:
    try:
        found = json.loads(text)
        expires = datetime.fromisoformat(found["Expiration"].replace("Z", "+00:00")).astimezone(timezone.utc)
        credential = {
            "access_key_id": found["AccessKeyId"],
            "secret_access_key": found["SecretAccessKey"],
            "token": found.get("SessionToken"),
            "expires_at": expires,
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Denied(f"the credential helper's output is not valid: {type(error).__name__}") from None
    said = {"region": found.get("Region"), "endpoint": found.get("Endpoint")}
    config = {name: value for name, value in said.items() if value}
    return _Answer(credential=credential, config=config, expires=expires.timestamp())
