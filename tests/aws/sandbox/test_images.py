"""``burst image`` and ECR: what is found again, listed and deleted."""

from __future__ import annotations

import json

import pytest

from burst_magic.aws.ecr import Repository, RepositoryPlace
from burst_magic.cli import main
from burst_magic.errors import Missing

TAGS = [f"0.1.0-py3.11-x86_64-{number:012x}" for number in range(3)]


@pytest.fixture
def repository(as_user, monkeypatch):
    """A repository with two images of ours and one of somebody else's; the user may use it."""
    clients, stack = as_user.administrator.clients, as_user.stack
    ecr, iam = clients.of("ecr"), clients.of("iam")
    address = ecr.create_repository(repositoryName="lab/burst")["repository"]["repositoryUri"]
    for tag in (*TAGS[:2], "base"):
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "layers": [],
            "x": tag,
        }
        ecr.put_image(repositoryName="lab/burst", imageManifest=json.dumps(manifest), imageTag=tag)
    rule = {"Effect": "Allow", "Action": ["ecr:*"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    iam.put_user_policy(UserName=stack.user_name, PolicyName="images", PolicyDocument=document)
    monkeypatch.setenv("BURST_AWS_REPOSITORY", address)
    yield Repository(RepositoryPlace.of(address))
    iam.delete_user_policy(UserName=stack.user_name, PolicyName="images")
    ecr.delete_repository(repositoryName="lab/burst", force=True)


def tags(repository):
    return {image.tag for image in repository.images()}


def test_an_image_is_found_by_its_tag(repository):
    assert repository.has(TAGS[0])
    assert not repository.has(TAGS[2])
    other = Repository(RepositoryPlace.of("123456789012.dkr.ecr.us-east-1.amazonaws.com/none"))
    with pytest.raises(Missing, match="no ECR repository none"):
        other.has(TAGS[0])


def test_the_registry_behind_a_cache_is_that_of_the_longest_prefix_and_else_that_of_all_repositories(as_user):
    ecr, account = as_user.administrator.clients.of("ecr"), as_user.stack.aws["account"]
    rules = {"ROOT": "public.ecr.aws", "hub": "registry-1.docker.io"}
    for prefix, upstream in rules.items():
        ecr.create_pull_through_cache_rule(ecrRepositoryPrefix=prefix, upstreamRegistryUrl=upstream)
    try:
        found = [
            Repository(RepositoryPlace.of(f"{account}.dkr.ecr.us-east-1.amazonaws.com/{name}")).upstream()
            for name in ("docker/library/python", "hub/library/python")
        ]
    finally:
        for prefix in rules:
            ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
    assert found == ["public.ecr.aws", "registry-1.docker.io"]


def test_the_password_for_pushing_is_aws_own(repository):
    login = repository.login()
    assert (login.user, login.server) == ("AWS", repository.place.server)
    assert login.password


def test_young_images_stay(repository, capsys):
    assert main(["image", "--prune"]) == 0
    shown = capsys.readouterr().out
    assert all(tag in shown for tag in TAGS[:2])
    assert "0 of 2 images deleted" in shown
    assert tags(repository) == {*TAGS[:2], "base"}


def test_all_that_were_built_here_are_deleted_once_that_is_confirmed_and_nobody_elses(repository, capsys):
    assert main(["image", "--prune", "--all"], ask=lambda _: None) == 1
    assert "Add --yes" in capsys.readouterr().err
    questions = []
    assert main(["image", "--prune", "--all"], ask=lambda question: questions.append(question) or "n") == 1
    assert "2 images" in questions[0]
    assert tags(repository) == {*TAGS[:2], "base"}
    assert main(["image", "--prune", "--all", "--yes"]) == 0
    assert tags(repository) == {"base"}


def test_what_became_due_while_the_question_was_asked_stays(repository, as_user):
    ecr = as_user.administrator.clients.of("ecr")

    def agrees(question):
        (image,) = ecr.batch_get_image(repositoryName="lab/burst", imageIds=[{"imageTag": TAGS[0]}])["images"]
        manifest = image["imageManifest"].replace(TAGS[0], TAGS[2])
        ecr.put_image(repositoryName="lab/burst", imageManifest=manifest, imageTag=TAGS[2])
        return "y"

    assert main(["image", "--prune", "--all"], ask=agrees) == 0
    assert tags(repository) == {TAGS[2], "base"}


def test_without_a_repository_it_says_which_setting_it_lacks(as_user, capsys):
    assert main(["image", "--prune"]) == 1
    assert "burst config aws.repository=" in capsys.readouterr().err
