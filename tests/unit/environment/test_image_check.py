"""What is known of an image before anything starts, from its address and from ECR."""

from __future__ import annotations

import pytest

from burst_magic.config import __version__
from burst_magic.environment.image_check import ImageAddress, about_image
from burst_magic.errors import PlanError

REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/lab/burst"
TAG = f"{__version__}-py3.11-x86_64-0123456789ab"


def about(aws, uri, *, python="3.11.7", arch="x86_64"):
    return about_image(f"image:{uri}", python=python, arch=arch, clients=aws.clients())


def there(aws, *, there=True):
    found = {"imageDetails": [{"repositoryName": "lab/burst"}]}
    aws.script["DescribeImages"] = [
        found if there else ("ImageNotFoundException", "The image with imageId {…} does not exist")
    ]


def test_an_image_that_was_built_here_and_fits_is_taken_without_a_word(aws):
    there(aws)
    assert about(aws, f"{REPOSITORY}:{TAG}") == ()
    (asked,) = aws.requests("DescribeImages")
    assert asked == {"registryId": "123456789012", "repositoryName": "lab/burst", "imageIds": [{"imageTag": TAG}]}


@pytest.mark.parametrize(
    ("python", "arch", "words"), [("3.12.1", "x86_64", "Python 3.11"), ("3.11.7", "arm64", "--arch x86_64")]
)
def test_one_for_another_python_or_architecture_is_refused(aws, python, arch, words):
    there(aws)
    with pytest.raises(PlanError, match=words):
        about(aws, f"{REPOSITORY}:{TAG}", python=python, arch=arch)


@pytest.mark.parametrize("uri", [f"{REPOSITORY}:{TAG}", REPOSITORY, f"{REPOSITORY}@sha256:{'0' * 64}"])
def test_one_that_is_not_there_is_refused(aws, uri):
    there(aws, there=False)
    with pytest.raises(PlanError, match="there is no image") as refused:
        about(aws, uri)
    assert "burst image" in refused.value.way_out


def test_a_repository_that_is_not_there_is_refused(aws):
    aws.script["DescribeImages"] = [("RepositoryNotFoundException", "The repository does not exist")]
    with pytest.raises(PlanError, match="no ECR repository lab/burst in eu-west-1"):
        about(aws, f"{REPOSITORY}:{TAG}")


@pytest.mark.parametrize(
    "answer",
    [("RepositoryNotFoundException", "The repository does not exist"), ("ImageNotFoundException", "It does not exist")],
)
def test_one_that_a_cache_has_never_pulled_is_not_refused(aws, answer):
    """ECR makes the repository at the first pull."""
    aws.script["DescribeImages"] = [answer]
    rules = [("lab", "registry-1.docker.io"), ("lab/burst", "public.ecr.aws"), ("lab/bur", "quay.io")]
    rule = [{"ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": server} for prefix, server in rules]
    aws.script["DescribePullThroughCacheRules"] = [{"pullThroughCacheRules": rule}]
    (said,) = about(aws, f"{REPOSITORY}/python:{TAG}")
    assert "ECR pulls it from public.ecr.aws when it is first used" in said


def test_one_of_another_repository_than_the_caches_is_refused(aws):
    there(aws, there=False)
    rule = {"ecrRepositoryPrefix": "lab/burst-public", "upstreamRegistryUrl": "public.ecr.aws"}
    aws.script["DescribePullThroughCacheRules"] = [{"pullThroughCacheRules": [rule]}]
    with pytest.raises(PlanError, match="there is no image"):
        about(aws, f"{REPOSITORY}:{TAG}")


def test_what_cannot_be_checked_is_said(aws):
    aws.script["DescribeImages"] = [
        ("AccessDeniedException", "User: x is not authorized to perform: ecr:DescribeImages")
    ]
    assert "ecr:DescribeImages" in about(aws, f"{REPOSITORY}:{TAG}")[0]
    (elsewhere, untold) = about(aws, "ghcr.io/me/mine:3")
    assert "not in ECR" in elsewhere
    assert "Python, architecture" in untold
    there(aws)
    (older,) = about(aws, f"{REPOSITORY}:0.0.1-py3.11-x86_64-0123456789ab")
    assert "burst_magic 0.0.1" in older


@pytest.mark.parametrize(
    ("uri", "repository", "tag"),
    [
        ("python", "python", "latest"),
        ("python:3.11-slim", "python", "3.11-slim"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "latest"),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b", "c"),
        ("r/a:c@sha256:12", "r/a", "sha256:12"),
    ],
)
def test_an_address_has_a_repository_and_a_tag(uri, repository, tag):
    assert ImageAddress.of(uri) == ImageAddress(repository=repository, tag=tag)
