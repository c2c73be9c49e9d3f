"""Which registries ``burst image`` logs in to before it builds, and which CodeBuild cannot reach."""

from __future__ import annotations

import pytest

from burst_magic import config
from burst_magic.aws.ecr import Repository, RepositoryPlace
from burst_magic.errors import OptionError
from burst_magic.magics.images import needed
from burst_magic.magics.remote_images import check

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
OTHER = "210987654321.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("base", "address", "servers"),
    [
        ("public.ecr.aws/docker/library/python:3.12-slim", f"{ECR}/burst", [ECR]),
        (f"{ECR}/burst-public/docker/library/python:3.12-slim", f"{ECR}/burst", [ECR]),
        (f"{ECR}/burst-public/docker/library/python:3.12-slim", "", [ECR]),
        (f"{OTHER}/lab/base@sha256:ab", f"{ECR}/burst", [OTHER, ECR]),
        ("python:3.12-slim", "", []),
    ],
)
def test_the_registry_of_the_base_is_one_of_them(base, address, servers):
    place = RepositoryPlace.of(address)
    found = needed(base, Repository(place) if place else None)
    assert [each.place.server for each in found] == servers


@pytest.mark.parametrize(
    ("base", "address", "said"),
    [
        (f"{OTHER}/lab/base:1", f"{ECR}/burst", "base image from another registry"),
        (f"{ECR}/burst-public/docker/library/python:3.12-slim", "ghcr.io/lab/burst", "a repository of ECR only"),
    ],
)
def test_what_codebuild_can_neither_pull_nor_push_is_refused_before_it_costs(base, address, said, settings):
    with pytest.raises(OptionError, match=said):
        check(settings(address), base)


@pytest.mark.parametrize("base", ["python:3.12-slim", f"{ECR}/lab/base@sha256:ab"])
def test_a_public_base_and_one_of_the_same_registry_can_be_built_on(base, settings):
    check(settings(f"{ECR}/burst"), base)


@pytest.fixture
def settings(monkeypatch):
    def of(repository: str) -> config.Settings:
        said = {"STORE": "s3://bucket/burst", "AWS_REPOSITORY": repository, "AWS_BUILD_PROJECT": "burst-image"}
        for name, value in said.items():
            monkeypatch.setenv(f"BURST_{name}", value)
        return config.load()

    return of
