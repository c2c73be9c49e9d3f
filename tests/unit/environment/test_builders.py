"""Which tool builds an image, and what it is told: tools of the test stand for docker, podman and buildah."""

from __future__ import annotations

import json
import platform
import stat

import pytest

from burst_magic.environment.builders import ImageBuilder, find_builder
from burst_magic.errors import LaunchError

TOOL = """#!/bin/sh
for word in "$@"; do printf '%s\\0' "$word" >> {said}; done
printf '\\n' >> {said}
/bin/cat >> {heard}
{ends}
"""


class Tools:
    def __init__(self, folder):
        self.folder = folder

    def install(self, name, ends="exit 0"):
        script = self.folder / name
        script.write_text(TOOL.format(said=self.folder / "said", heard=self.folder / "heard", ends=ends))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    @property
    def said(self):
        return [line.split("\0")[:-1] for line in (self.folder / "said").read_text().splitlines()]

    @property
    def heard(self):
        return (self.folder / "heard").read_text()


@pytest.fixture
def tools(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # no real tool
    return Tools(tmp_path / "bin")


def test_a_docker_without_its_daemon_is_passed_over(tools):
    tools.install("docker", 'echo "Cannot connect to the Docker daemon" >&2; exit 1')
    tools.install("buildah")
    assert find_builder().tool == "buildah"
    tools.install("podman")
    assert find_builder().tool == "podman"


def test_where_nothing_builds_that_is_said_with_the_way_without(tools):
    tools.install("docker", "exit 1")
    with pytest.raises(LaunchError, match="docker, podman, buildah") as refused:
        find_builder()
    assert "--env sync" in refused.value.way_out


@pytest.mark.parametrize(
    ("tool", "command", "form"), [("docker", "build", False), ("podman", "build", True), ("buildah", "bud", True)]
)
def test_each_is_told_the_same_in_its_own_words(tools, tmp_path, tool, command, form):
    mine, other = ("arm64", "x86_64") if platform.machine() in {"arm64", "aarch64"} else ("x86_64", "arm64")
    tools.install(tool)
    ImageBuilder(tool).build(tmp_path, name="mine:1", arch=mine, arguments={"A": "b c"})
    (said,) = tools.said
    assert said[0] == command
    assert ("--format" in said) == form  # docker's own format is the one with health checks
    assert "--platform" not in said
    assert said[-3:] == ["--tag", "mine:1", str(tmp_path)]
    assert said[said.index("--build-arg") + 1] == "A=b c"
    ImageBuilder(tool).build(tmp_path, name="mine:1", arch=other, arguments={})
    assert tools.said[1][tools.said[1].index("--platform") + 1] == f"linux/{other.replace('x86_64', 'amd64')}"


def test_nothing_is_pushed_beside_the_image(tools, tmp_path):
    tools.install("docker", f'echo "$BUILDX_NO_DEFAULT_ATTESTATIONS" > {tmp_path}/alone')
    ImageBuilder("docker").build(tmp_path, name="mine:1", arch="x86_64", arguments={})
    assert (tmp_path / "alone").read_text() == "1\n"


def test_a_password_is_in_no_command(tools):
    tools.install("podman")
    ImageBuilder("podman").login("registry", user="AWS", password="hunter2")
    assert "hunter2" not in json.dumps(tools.said)
    assert tools.heard == "hunter2"


@pytest.mark.parametrize(
    ("said", "way_out"),
    [
        (
            "pinging container registry 1.dkr.ecr.us-east-1.amazonaws.com: dial tcp: lookup x: no such host",
            "sandbox has no registry",
        ),
        ("pinging registry public.ecr.aws: dial tcp: lookup public.ecr.aws: no such host", "--base"),
        (
            "RUN uv pip sync: lookup an.index: Temporary failure in name resolution",
            "of containers that are built",
        ),
        ("dial unix docker.sock: connect: connection refused", "the tool's daemon"),
        ("pull access denied for nobody/nothing, repository does not exist", "--base"),
        ("docker.io/library/python:1: manifest unknown", "--base"),
        ("denied: User is not authorized to perform: ecr:InitiateLayerUpload", "burst doctor"),
        ("exec /bin/sh: exec format error", "burst image --remote"),
        ("write /var/tmp/x: no space left on device", "free some space"),
        ("newuidmap: write to uid_map failed: Operation not permitted", "lacks rights"),
        ("something else", ""),
    ],
)
def test_what_a_tool_cannot_do_is_said_with_the_way_out(tools, said, way_out):
    tools.install("podman", f'echo "Error: {said}" >&2; exit 125')
    with pytest.raises(LaunchError, match="podman push failed") as refused:
        ImageBuilder("podman").push("mine:1")
    assert way_out in refused.value.way_out
    assert said in refused.value.context


def test_a_build_that_fails_shows_the_end_of_what_the_tool_said(tools, tmp_path):
    tools.install("podman", 'echo "no space left on device" >&2; exit 125')
    with pytest.raises(LaunchError, match="podman build failed") as refused:
        ImageBuilder("podman").build(tmp_path, name="mine:1", arch="x86_64", arguments={})
    assert "no space left" in refused.value.context
