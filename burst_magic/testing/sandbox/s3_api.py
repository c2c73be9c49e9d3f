"""moto's S3, made safe and quick for a fleet: create-only puts are atomic, and a listing is written without its models.

moto checks ``If-None-Match`` and writes in two steps, so that two threads could both create an object; and describing
each listed key by botocore's model takes longer than everything else that a burst asks of it.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any
from xml.sax.saxutils import escape

from moto.core.responses import ActionResult
from moto.s3.models import FakeKey, FakeMultipart
from moto.s3.responses import S3Response

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_OF_KEYS = {"Key", "LastModified", "ETag", "Size", "StorageClass", "ChecksumAlgorithm"}
_TRIES = 20  # of a listing that meets deletions


class S3Api(S3Response):
    """What differs."""

    writing: threading.Lock

    def put_object(self) -> Any:
        """PutObject; its condition and its write are one step."""
        with self.writing:
            return super().put_object()

    def list_objects_v2(self) -> Any:
        """ListObjectsV2; begins again when an object has been deleted that it was about to list."""
        for _ in range(_TRIES - 1):
            with contextlib.suppress(KeyError):
                return super().list_objects_v2()
        return super().list_objects_v2()

    def get_object(self) -> Any:
        """GetObject; while it reads, nothing is replaced: moto frees the old bytes at once."""
        with self.writing:
            return super().get_object()

    def serialized(self, action_result: ActionResult) -> Any:
        """The reply; a plain listing is written here."""
        said = action_result.result
        if self.data.get("Action") != "ListObjectsV2" or not isinstance(said, dict) or not _is_plain(said):
            return super().serialized(action_result)
        headers = {"Content-Type": "application/xml", **self.response_headers}
        return 200, headers, _listing(said)


def free(account: str) -> None:
    """Close the temporary files that hold an account's objects. moto's own reset closes those of all accounts."""
    kinds: tuple[Any, ...] = (FakeKey, FakeMultipart)
    for each in [each for kind in kinds for each in kind.instances_tracked if each.account_id == account]:
        each.dispose()


def _is_plain(said: dict[str, Any]) -> bool:
    return "Contents" in said and all(set(each) <= _OF_KEYS for each in said["Contents"])


def _listing(said: dict[str, Any]) -> str:
    parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{_NAMESPACE}">']
    for name, value in said.items():
        if name == "Contents":
            parts += [f"<Contents>{_members(each)}</Contents>" for each in value]
        elif name == "CommonPrefixes":
            parts += [f"<CommonPrefixes>{_members(each)}</CommonPrefixes>" for each in value]
        else:
            parts.append(_members({name: value}))
    return "".join([*parts, "</ListBucketResult>"])


def _members(said: dict[str, Any]) -> str:
    return "".join(
        f"<{name}>{escape(str(each).lower() if isinstance(each, bool) else str(each))}</{name}>"
        for name, value in said.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    )
