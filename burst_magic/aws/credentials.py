"""boto3's credential chain (profiles, SSO, roles, containers) for stores.

``python -m burst_magic.aws.credentials`` prints them as JSON with their expiry, in the shape of AWS's
``credential_process`` plus ``Region`` and ``Endpoint``: the helper process of workers on this machine.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

from burst_magic.aws.clients import DEFAULT_REGION, Clients
from burst_magic.errors import BurstError, Denied

_ASK_AGAIN = timedelta(minutes=30)  # credentials without an end may still be replaced in their file
_WAY_OUT = "run `aws configure` or `aws sso login`, or set AWS_PROFILE"


def provider(clients: Clients | None = None) -> ChainCredentials:
    """What ``open_store`` takes as ``credentials``; nothing is asked before it is used."""
    return ChainCredentials(clients or Clients())


class ChainCredentials:
    """A provider over boto3's credential chain; boto3 refreshes them, many threads may call."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @cached_property
    def config(self) -> dict[str, str]:
        """Region and, where it is not AWS's own, endpoint of S3."""
        endpoint = self._clients.endpoint("s3")
        said = {"region": self._clients.region or (DEFAULT_REGION if endpoint else ""), "endpoint": endpoint}
        return {name: value for name, value in said.items() if value}

    def forget(self) -> None:
        """They were refused before their time: files and environment are read anew at the next call."""
        self._clients = self._clients.anew()

    def __call__(self) -> dict[str, Any]:
        """An obstore ``S3Credential``; raises ``Denied`` when there is none."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self._clients.session.get_credentials()
            frozen = None if found is None else found.get_frozen_credentials()
        except (BotoCoreError, ClientError, RuntimeError, OSError) as error:
            raise Denied(f"AWS credentials cannot be had: {error}", way_out=_WAY_OUT) from error
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise Denied("there are no AWS credentials", way_out=_WAY_OUT)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": _end(found),
        }


def _end(credentials: object) -> datetime:
    """When they expire. boto3 has no public name for it; what it hands out without one has no end.

    boto3 tells it in dateutil's UTC, and obstore takes only Python's.
    """
    end = getattr(credentials, "_expiry_time", None)
    return end.astimezone(timezone.utc) if isinstance(end, datetime) else datetime.now(timezone.utc) + _ASK_AGAIN


def document(credentials: ChainCredentials) -> dict[str, Any]:
    """What the helper process prints."""
    found = credentials()
    said = {
        "Version": 1,
        "AccessKeyId": found["access_key_id"],
        "SecretAccessKey": found["secret_access_key"],
        "SessionToken": found["token"],
        "Expiration": found["expires_at"].isoformat(),
        "Region": credentials.config.get("region"),
        "Endpoint": credentials.config.get("endpoint"),
    }
    return {name: value for name, value in said.items() if value}


def main() -> int:
    """Prints the credentials for the process that asked; its stdout is a pipe."""
    try:
        sys.stdout.write(json.dumps(document(provider())))
    except BurstError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
