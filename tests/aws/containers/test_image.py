"""``burst image`` in an environment of its own, built for real, and a burst on its containers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from burst_magic.aws.setup import Account, SetupWishes, prepare, settings
from burst_magic.config import __version__
from burst_magic.testing import Sandbox

from .conftest import PYTHON, ROOT, PodmanLauncher

NAME = re.compile(r"--env image:(\S+)")
PACKAGE = "humanize"  # pure, small, and not in a worker's own image


@dataclass(frozen=True, kw_only=True)
class Desk:
    """An environment of its own, with burst_magic and a package."""

    folder: Path
    environ: dict[str, str]

    def image(self, *words: str, **environ: str) -> str:
        """What ``burst image`` prints."""
        command = [self.folder / "venv" / "bin" / "burst", "image", *words]
        told = {**self.environ, **environ}
        done = subprocess.run(command, env=told, cwd=self.folder, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr + done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def desk(podman, tmp_path_factory) -> Desk:
    folder = tmp_path_factory.mktemp("environment")
    uv, python = [sys.executable, "-m", "uv"], folder / "venv" / "bin" / "python"
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, ROOT, PACKAGE], check=True)
    environ = {name: value for name, value in podman.environ.items() if not name.startswith(("BURST_", "AWS_"))}
    environ |= {"BURST_CONFIG_DIR": str(folder / "config"), "BURST_DATA_DIR": str(folder / "data")}
    environ |= {"BUILDAH_ISOLATION": "chroot"}  # this machine may have no rights for another one
    return Desk(folder=folder, environ=environ)


@pytest.fixture(scope="module")
def built(podman, base, desk):
    """What ``burst image`` printed, and the name of the image."""
    said = desk.image("--base", base)
    name = f"localhost/{NAME.search(said)[1]}"
    yield said, name
    podman("rmi", "--force", name)


def test_it_says_what_it_holds_and_how_to_use_it(podman, built):
    said, name = built
    assert f"{PACKAGE} " in said
    assert "not pushed: aws.repository" in said
    config = podman.inspect("image", name)["Config"]
    assert config["User"] == "10001"
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert config["Labels"]["io.burst-magic.python"] == PYTHON
    assert re.fullmatch(rf"localhost/burst-worker:.+-py{PYTHON}-(x86_64|arm64)-[0-9a-f]{{12}}", name)


def test_it_holds_the_kernels_packages_and_nothing_of_the_notebook(podman, built):
    listed = "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions(path=['/opt/worker/lib/python%s/site-packages'])))"
    names = podman("run", "--rm", "--entrypoint", "python", built[1], "-c", listed % PYTHON).split()
    assert {PACKAGE, "dill", "obstore"} <= set(names)
    assert not {"ipython", "jupyter", "boto3"} & set(names)


def test_its_containers_are_workers_and_tasks_import_the_packages(fleet, built, monkeypatch):
    monkeypatch.setattr(PodmanLauncher, "image", built[1])
    session = fleet.burst(f"import {PACKAGE}, os\n({PACKAGE}.__name__, os.getuid(), item * 2)", range(4))
    assert list(session.results()) == [(PACKAGE, 10001, n * 2) for n in range(4)]


def test_codebuild_builds_the_same_and_its_containers_run_the_same_code(podman, base, desk, tmp_path, monkeypatch):
    # Where what CodeBuild's docker stands for finds the base.
    for name in ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"):
        monkeypatch.setenv(name, podman.environ[name])
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    with Sandbox(home=tmp_path / "cloud") as cloud:
        cloud.builder = "buildah"
        wishes, account = SetupWishes(repository=True), Account("us-east-1", cloud.administrator.clients)
        found = settings(prepare(wishes, account).deploy(lambda _: None)[0])
        own = {f"BURST_AWS_{key.upper()}": found[f"aws.{key}"] for key in ("repository", "build_project")}
        there = {**cloud.environ(), **desk.environ, **own}
        said = desk.image("--remote", "--base", base, **there)
        name = NAME.search(said)[1]
        assert f"{name} was built by CodeBuild and pushed; " in said
        assert "billed, about $0.0" in said
        code = f"import {PACKAGE}, burst_magic.worker.watchdog; print({PACKAGE}.__name__)"
        assert podman("run", "--rm", "--entrypoint", "python", name, "-c", code).strip() == PACKAGE
        podman("rmi", "--force", name)


DOCKER = """#!/bin/sh
echo "$@" >> {folder}/said
[ "$1" != login ] || /bin/cat > {folder}/password
"""


def test_it_is_pushed_with_ecrs_password_and_what_is_there_is_not_built_again(base, desk, built, tmp_path):
    """No registry can be had here: a docker of the test notes what it is told."""
    tag, tools = built[1].rpartition(":")[2], tmp_path / "bin"
    tools.mkdir()
    docker = tools / "docker"
    docker.write_text(DOCKER.format(folder=tmp_path))
    docker.chmod(0o755)
    rule = {"Effect": "Allow", "Action": ["ecr:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    with Sandbox(home=tmp_path / "cloud") as cloud:
        iam, ecr = cloud.administrator.clients.of("iam"), cloud.administrator.clients.of("ecr")
        iam.put_user_policy(UserName=cloud.stack.user_name, PolicyName="images", PolicyDocument=policy)
        address = ecr.create_repository(repositoryName="burst")["repository"]["repositoryUri"]
        there = {**cloud.environ(), **desk.environ, "BURST_AWS_REPOSITORY": address, "PATH": str(tools)}
        assert f"{address}:{tag} was built with docker and pushed" in desk.image("--base", base, **there)
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
        ecr.put_image(repositoryName="burst", imageManifest=json.dumps(manifest), imageTag=tag)
        docker.unlink()  # nothing could build
        again = desk.image("--base", base, **there)
    assert f"{address}:{tag} is in the repository already" in again
    version, login, build, push = (tmp_path / "said").read_text().splitlines()
    assert (version, push) == ("version", f"push {address}:{tag}")
    assert f"--tag {address}:{tag}" in build
    assert login == f"login --username AWS --password-stdin {address.partition('/')[0]}"
    assert (tmp_path / "password").read_text()
