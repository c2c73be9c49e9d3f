"""The places the store contract runs on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from burst_magic.stores import Store, open_store
from burst_magic.stores.folder import MARK
from burst_magic.testing.servers import Server

_names = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Place:
    """An empty store, and how to look behind its back."""

    kind: str
    url: str
    credentials: Callable[[], object] | None = None
    environ: Mapping[str, str] = field(default_factory=dict)  # with which another process reaches it
    debris: Callable[[], list[str]] = list  # half uploads and staged files

    def open(self) -> Store:
        return open_store(self.url, credentials=self.credentials)


def on_server(kind: str, server: Server) -> Place:
    def debris() -> list[str]:
        found = server.clients.of("s3").list_multipart_uploads(Bucket="contract").get("Uploads", [])
        return [upload["Key"] for upload in found]

    return Place(
        kind=kind,
        url=f"s3://contract/{next(_names)}/deep",
        credentials=server.credentials,
        environ=server.environ,
        debris=debris,
    )


def in_folder(root: Path) -> Place:
    return Place(
        kind="folder",
        url=(root / "a store").as_uri(),
        debris=lambda: [
            str(path) for path in root.rglob("*") if path.is_file() and path.name.startswith("#") and path.name != MARK
        ],
    )


@pytest.fixture(params=["folder", "memory", "moto", "seaweedfs"])
def place(request, tmp_path) -> Place:
    if request.param == "folder":
        return in_folder(tmp_path)
    if request.param == "memory":
        return Place(kind="memory", url=f"memory://contract-{next(_names)}")
    return on_server(request.param, request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def store(place) -> Store:
    return place.open()
