"""boto3's credential chain (profiles, SSO, roles, containers), for stores.

``python -m burst_magic.aws.credentials [REGION]`` prints credentials as JSON with their expiry, in the format of AWS's
``credential_process`` plus ``Region`` and ``Endpoint``. Local workers run it as their helper process.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

from burst_magic.aws.clients import DEFAULT_REGION, Clients
from burst_magic.errors import BurstError, Denied

_ASK_AGAIN = timedelta(minutes=30)  # credentials without an expiry may still be replaced in their file
_WAY_OUT = "run `aws configure` or `aws sso login`, or set AWS_PROFILE"


def provider(clients: Clients | None = None, *, otherwise: str = "") -> ChainCredentials:
    """The ``credentials`` argument of ``open_store``; nothing is resolved before its first use.

    Args:
        clients: makes boto3 clients; the default reads AWS's environment and files.
        otherwise: the region where these name none.
    """
    return ChainCredentials(clients or Clients(otherwise=otherwise))


class ChainCredentials:
    """A provider based on boto3's credential chain. boto3 refreshes the credentials; thread-safe."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @cached_property
    def config(self) -> dict[str, str]:
        """S3 region and, if it is not AWS's own, endpoint; raises ``OptionError`` if no region is configured."""
        endpoint = self._clients.endpoint("s3")
        said = {"region": self._clients.region or (DEFAULT_REGION if endpoint else ""), "endpoint": endpoint}
        return {name: value for name, value in said.items() if value}

    def forget(self) -> None:
        """The credentials were refused early: reread files and environment at the next call."""
        self._clients = self._clients.anew()

    def __call__(self) -> dict[str, Any]:
        """Return an obstore ``S3Credential``; raises ``Denied`` if there is none."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self._clients.session.get_credentials()
            frozen = None if found is None else found.get_frozen_credentials()
        except (BotoCoreError, ClientError, RuntimeError, OSError) as error:
            raise Denied(f"cannot get AWS credentials: {error}", way_out=_WAY_OUT) from None
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise Denied("no AWS credentials found", way_out=_WAY_OUT)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": _end(found),
        }


def _end(credentials: object) -> datetime:
    """When the credentials expire, if ever. boto3 has no public name for this.

    boto3 uses dateutil's UTC, and obstore accepts only Python's.
    """
    end = getattr(credentials, "_expiry_time", None)
    return end.astimezone(timezone.utc) if isinstance(end, datetime) else datetime.now(timezone.utc) + _ASK_AGAIN


def document(credentials: ChainCredentials) -> dict[str, Any]:
    """The output of the helper process."""
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
    """Print the credentials to the process that asked, through a pipe on stdout."""
    try:
        sys.stdout.write(json.dumps(document(provider(otherwise="".join(sys.argv[1:])))))
    except BurstError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
