"""``burst image --remote``: CodeBuild builds what would be built here. ``containers/test_image.py`` builds a real image."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from burst_magic import config
from burst_magic.aws.codebuild import BuildProject
from burst_magic.cli import main
from burst_magic.environment.image_context import zipped
from burst_magic.errors import BurstError, LaunchError, Missing
from burst_magic.magics import remote_images
from burst_magic.session.doctor import examine

from .builder import PYTHON, Builder, with_repository

OF_UV = {"RECORD", "direct_url.json", "uv_cache.json"}  # where and when a wheel was
PHASES = ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"]


@pytest.fixture(scope="module")
def _builder(_cloud, tmp_path_factory):
    return Builder(_cloud, tmp_path_factory.mktemp("remote"), with_repository(_cloud))


@pytest.fixture
def user(as_user, _builder, monkeypatch) -> Builder:
    for name, value in _builder.environ.items():
        monkeypatch.setenv(name, value)
    return _builder


def test_what_is_sent_becomes_an_image_in_the_repository_with_the_packages_installed(user):
    made = user.recipe()
    said = user.build(made)
    assert said == f"{user.name(made)} was built by CodeBuild and pushed; 1 minute billed, about $0.005 at list price"
    assert user.repository.has(made.tag)
    assert "$0.005 a minute at list price" in user.said[0]
    shown = [line.strip() for line in user.said]
    phases = [shown.index(word) for word in ("installing the packages", "building the image", "pushing the image")]
    assert phases == sorted(phases)
    assert "Login Succeeded" in shown  # what the build prints
    record = user.cloud.builds()[-1]
    assert [each["phaseType"] for each in record.phases][:8] == PHASES
    assert {each.get("phaseStatus", "SUCCEEDED") for each in record.phases} == {"SUCCEEDED"}
    assert user.sources() == []  # nothing stays


def test_what_is_built_there_is_what_would_be_built_here(user, tmp_path):
    made, here, there = user.recipe(), tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    made.lay_out(here)
    with zipfile.ZipFile(io.BytesIO(zipped(made))) as packed:
        packed.extractall(there)
    subprocess.run(["sh", "install.sh"], cwd=there, check=True)
    both = [contents(here), contents(there / "context")]
    assert {f"lib/python{PYTHON}/site-packages/of_mine.py", "lib/worker.py"} <= set(both[0])
    assert both[0] == both[1]


def contents(folder: Path) -> dict[str, bytes]:
    worker = folder / "worker"
    found = {str(path.relative_to(worker)): path for path in worker.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if path.name not in OF_UV}


def test_an_arm_image_is_built_on_an_arm_machine(user):
    project = BuildProject(user.settings.aws["build_project"])
    build = project.start("nowhere/nothing.zip", arch="arm64", variables={})
    environment = user.cloud.builds()[-1].told()["environment"]
    assert (environment["type"], "aarch64" in environment["image"]) == ("ARM_CONTAINER", True)
    assert project.follow(build, lambda _: None).failed_phase.name == "DOWNLOAD_SOURCE"


def test_a_build_that_fails_says_in_which_phase_with_the_end_of_its_log_and_the_way_out(user):
    with pytest.raises(LaunchError) as refused:
        user.build(user.recipe(base=f"{user.settings.aws['repository']}:none"))
    error = refused.value
    assert error.problem == "the build failed while building the image (BUILD)"
    assert "exit status 1" in error.context
    assert error.context.endswith("1 minute billed, about $0.005 at list price")
    assert ":none: not found" in error.context
    assert "image/" in error.way_out  # the stream of the whole log
    assert user.sources() == []


def test_packages_that_do_not_match_their_hashes_are_not_installed(user):
    made = user.recipe()
    forged = replace(made.synced.resolved, wheels=(replace(user.wheel, sha256="0" * 64),))
    with pytest.raises(LaunchError, match=r"while installing the packages \(INSTALL\)") as refused:
        user.build(replace(made, synced=replace(made.synced, resolved=forged)))
    assert "ash mismatch" in refused.value.context


def test_a_build_that_takes_too_long_ends_by_itself_and_one_that_waits_too(user):
    user.cloud.weather = replace(user.cloud.weather, build_within=0.01)
    with pytest.raises(LaunchError, match=r"the build took too long while waiting for a machine \(QUEUED\)") as refused:
        user.build(user.recipe())
    assert "raise CodeBuild's quota" in refused.value.way_out
    user.cloud.weather = replace(user.cloud.weather, build_within=0.1, build_queue=0.0)
    with pytest.raises(LaunchError, match=r"the build took too long while"):
        user.build(user.recipe())


def test_an_interrupt_stops_the_build(user):
    user.cloud.weather = replace(user.cloud.weather, build_queue=600.0)

    def interrupt(line):
        if "waiting for a machine" in line:
            raise KeyboardInterrupt
        user.said.append(line)

    made = user.recipe()
    with pytest.raises(KeyboardInterrupt):
        remote_images.build(made, user.name(made), user.settings, tell=interrupt)
    assert "the build was stopped" in user.said[-1]
    assert user.cloud.builds()[-1].stop.is_set()
    assert user.sources() == []


def test_a_lost_reply_starts_one_build(user):
    user.cloud.weather = replace(user.cloud.weather, lost_replies=1, build_queue=600.0)
    before, project = len(user.cloud.builds()), BuildProject(user.settings.aws["build_project"])
    build = project.start("nowhere/nothing.zip", arch="x86_64", variables={})
    assert [each.id for each in user.cloud.builds()[before:]] == [build.id]
    project.stop(build.id)


def test_what_is_missing_is_said_before_anything_is_resolved(user, monkeypatch, capsys):
    clients = user.cloud.administrator.clients  # the user's policy is for one project
    with pytest.raises(Missing, match="no CodeBuild project burst-none") as refused:
        BuildProject("burst-none", clients=clients).start("nowhere/nothing.zip", arch="x86_64", variables={})
    assert "burst setup --repository" in refused.value.way_out
    monkeypatch.delenv("BURST_AWS_BUILD_PROJECT")
    assert main(["image", "--remote"]) == 1
    assert "aws.build_project is not set" in capsys.readouterr().err


def test_the_doctor_knows_what_a_build_needs(user, forbid):
    forbid("codebuild:StartBuild")
    (found,) = [each for each in examine(config.load({"launcher": "fargate"})) if each.what == "permissions"]
    assert "codebuild:StartBuild (for burst image --remote)" in found.detail
    assert "codebuild:StopBuild" not in found.detail


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("codebuild:StartBuild", "not allowed to call codebuild:StartBuild"),
        ("s3:PutObject", "the store denies access"),
    ],
)
def test_a_right_that_the_user_lacks_is_named(user, forbid, action, said):
    forbid(action)
    with pytest.raises(BurstError, match=said):
        user.build(user.recipe())


def test_a_build_that_cannot_be_followed_any_more_goes_on_and_that_is_said(user, forbid):
    forbid("codebuild:BatchGetBuilds")
    with pytest.raises(BurstError, match="not allowed to call codebuild:BatchGetBuilds"):
        user.build(user.recipe())
    assert f"build {user.cloud.builds()[-1].id} goes on" in user.said[-1]
    clients = user.cloud.administrator.clients
    project = BuildProject(user.settings.aws["build_project"], clients=clients)
    assert project.follow(project.look(user.cloud.builds()[-1].id), lambda _: None).status == "SUCCEEDED"
    (left,) = user.sources()  # which the build still needed
    clients.of("s3").delete_object(Bucket=user.cloud.stack.bucket, Key=left)


@pytest.fixture
def forbid(as_user):
    """Denies the user some actions until the end of the test."""
    iam, name = as_user.administrator.clients.of("iam"), as_user.stack.user_name

    def deny(*actions: str) -> None:
        statement = {"Effect": "Deny", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="sick", PolicyDocument=policy)

    yield deny
    iam.delete_user_policy(UserName=name, PolicyName="sick")
