"""Repositories of images in ECR: what is there, and a password for pushing. Bytes go through docker or podman."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import field
from typing import Any

from burst_magic.aws import patience
from burst_magic.aws.clients import Clients
from burst_magic.dataclass import dataclass
from burst_magic.errors import LaunchError, Missing

_ADDRESS = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[^:@]+)\Z"
)
ROOT = "ROOT"  # prefix of a cache rule for all repositories that no other rule is for
_AT_ONCE = 100  # images of one BatchDeleteImage


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryPlace:
    """Where a repository is, read from its address."""

    server: str
    account: str
    region: str
    name: str

    @classmethod
    def of(cls, address: str) -> RepositoryPlace | None:
        """None for an address outside ECR (of a private repository).

        >>> RepositoryPlace.of("123456789012.dkr.ecr.eu-west-1.amazonaws.com/lab/burst").name
        'lab/burst'
        """
        found = _ADDRESS.match(address)
        if found is None:
            return None
        server = address.partition("/")[0]
        return cls(server=server, account=found["account"], region=found["region"], name=found["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A tagged image. Times are seconds since the epoch, sizes compressed bytes."""

    tag: str
    pushed: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLogin:
    """What docker's login is told; the password is good for half a day."""

    server: str
    user: str
    password: str = field(repr=False)


class Repository:
    """One repository.

    Args:
        place: where it is.
        clients: makes boto3 clients; the default reads AWS's environment and files.
    """

    def __init__(self, place: RepositoryPlace, clients: Clients | None = None) -> None:
        self.place = place
        self._service = patience.Service("ecr", place.region, clients)
        self._which = {"registryId": place.account, "repositoryName": place.name}

    def has(self, tag: str) -> bool:
        """Whether an image has this tag, or digest (``sha256:…``).

        Raises:
            Missing: there is no such repository.
            BurstError: see ``faults.meaning``.
        """
        wanted = {"imageDigest" if tag.startswith("sha256:") else "imageTag": tag}

        def call(ecr: Any) -> bool:
            return bool(ecr.describe_images(**self._which, imageIds=[wanted])["imageDetails"])

        try:
            return self._service.ask(call, "DescribeImages", patience.READING)
        except Missing as missing:
            if "ImageNotFound" in missing.context:
                return False
            raise self._no_repository(missing) from missing

    def upstream(self) -> str:
        """The registry that a pull-through cache fills this repository from, at the first pull; "" if there is none.

        Raises:
            BurstError: see ``faults.meaning``.
        """

        def call(ecr: Any) -> list[dict[str, Any]]:
            pages = ecr.get_paginator("describe_pull_through_cache_rules").paginate(registryId=self.place.account)
            return [rule for page in pages for rule in page["pullThroughCacheRules"]]

        rules = self._service.ask(call, "DescribePullThroughCacheRules", patience.READING)
        upstreams = {rule["ecrRepositoryPrefix"]: str(rule["upstreamRegistryUrl"]) for rule in rules}
        mine = [prefix for prefix in upstreams if self.place.name.startswith(f"{prefix}/")]
        return upstreams[max(mine, key=len)] if mine else upstreams.get(ROOT, "")

    def images(self) -> list[StoredImage]:
        """All tagged images, oldest first; an image of two tags is there twice. Raises as ``has``."""

        def call(ecr: Any) -> list[StoredImage]:
            pages = ecr.get_paginator("describe_images").paginate(**self._which, filter={"tagStatus": "TAGGED"})
            return [
                StoredImage(tag=tag, pushed=each["imagePushedAt"].timestamp(), size=each.get("imageSizeInBytes", 0))
                for page in pages
                for each in page["imageDetails"]
                for tag in each.get("imageTags", ())
            ]

        try:
            return sorted(self._service.ask(call, "DescribeImages", patience.READING), key=lambda image: image.pushed)
        except Missing as missing:
            raise self._no_repository(missing) from missing

    def delete(self, tags: Sequence[str]) -> None:
        """Take these tags away; an image without a tag is deleted.

        Raises:
            LaunchError: some are still there; says why.
        """
        for start in range(0, len(tags), _AT_ONCE):
            wanted = [{"imageTag": tag} for tag in tags[start : start + _AT_ONCE]]

            def call(ecr: Any, wanted: list[dict[str, str]] = wanted) -> list[dict[str, Any]]:
                return list(ecr.batch_delete_image(**self._which, imageIds=wanted)["failures"])

            failures = self._service.ask(call, "BatchDeleteImage", patience.READING)
            kept = [each for each in failures if each.get("failureCode") != "ImageNotFound"]
            if kept:
                why = f"{kept[0].get('imageId', {}).get('imageTag', '')}: {kept[0].get('failureReason', '')}"
                raise LaunchError(f"{len(kept)} images were not deleted", context=why)

    def login(self) -> RegistryLogin:
        """A password for pushing and pulling."""

        def call(ecr: Any) -> str:
            return str(ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"])

        said = self._service.ask(call, "GetAuthorizationToken", patience.READING)
        user, _, password = base64.b64decode(said).decode().partition(":")
        return RegistryLogin(server=self.place.server, user=user, password=password)

    def _no_repository(self, missing: Missing) -> Missing:
        return Missing(
            f"there is no ECR repository {self.place.name} in {self.place.region}",
            context=missing.context,
            way_out="check aws.repository, or the image's address",
        )
