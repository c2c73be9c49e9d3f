"""Dockerfile.worker: what the built image is tested for in tests/aws/containers, as far as its text can tell."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
import tomlkit

from burst_magic.config import __version__
from burst_magic.protocol.exits import ExitCode

LABELS = {"title", "description", "version", "licenses", "base.name"}


@pytest.fixture(scope="module")
def instructions(root) -> list[tuple[str, str]]:
    """(instruction, its words), in order; lines that go on are one."""
    text = (root / "Dockerfile.worker").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, words) for name, words in lines]


def of(instructions, name) -> list[str]:
    return [words for each, words in instructions if each == name]


def test_hadolint_has_nothing_to_say(root):
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([hadolint, root / "Dockerfile.worker"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_it_starts_the_watchdog_and_asks_for_health_without_a_shell(instructions):
    (entry,) = of(instructions, "ENTRYPOINT")
    (health,) = of(instructions, "HEALTHCHECK")
    for words, module in ((entry, "watchdog"), (health.partition("CMD")[2], "health")):
        assert json.loads(words) == ["python", "-m", f"burst_magic.worker.{module}"]
        assert importlib.util.find_spec(f"burst_magic.worker.{module}")
    assert of(instructions, "CMD") == of(instructions, "SHELL") == []


def test_it_does_not_run_as_root(instructions):
    (user,) = of(instructions, "USER")
    assert user.isdigit()
    assert int(user) > 0
    after = [name for name, _ in instructions[instructions.index(("USER", user)) :]]
    assert {"RUN", "COPY"} & set(after) == set()


def test_it_starts_where_tasks_cannot_put_a_module(instructions):
    assert of(instructions, "WORKDIR")[-1] == "/"
    assert of(instructions, "VOLUME") == ["/tmp"]


def test_its_base_is_a_slim_python_that_the_package_supports(root, instructions):
    python, base, _, version = of(instructions, "ARG")
    project = tomlkit.parse((root / "pyproject.toml").read_text())["project"]
    supported = {each.rpartition(" ")[2] for each in project["classifiers"] if re.search(r":: 3\.\d+$", each)}
    assert python.removeprefix("PYTHON_VERSION=") in supported
    assert base == "BASE_IMAGE=python:${PYTHON_VERSION}-slim"
    assert of(instructions, "FROM") == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]
    assert version == f"VERSION={__version__}"


def test_it_has_the_labels_of_the_open_container_initiative(root, instructions):
    (label,) = of(instructions, "LABEL")
    found = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]+)"', label))
    assert found.keys() == LABELS
    assert found["licenses"] == tomlkit.parse((root / "pyproject.toml").read_text())["project"]["license"]


def test_what_it_copies_is_let_through(root, instructions):
    ignored = (root / ".dockerignore").read_text().split()
    copied = {
        word.split("/")[0] for words in of(instructions, "COPY") if "--from" not in words for word in words.split()[:-1]
    }
    assert ignored[0] == "*"
    assert {line[1:].split("/")[0] for line in ignored if line.startswith("!")} == copied


def test_the_page_explains_every_exit_code(root):
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", (root / "docs" / "container.md").read_text(), re.MULTILINE)
    assert rows == [(str(code.value), code.name) for code in ExitCode]
