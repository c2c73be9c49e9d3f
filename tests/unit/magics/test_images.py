"""Which registries ``burst image`` logs in to before it builds."""

from __future__ import annotations

import pytest

from burst_magic.aws.ecr import Repository, RepositoryPlace
from burst_magic.magics.images import needed

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
