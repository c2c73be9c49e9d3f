"""What the project's files may be called and may contain."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

NO_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handler", "core"}
BUILD = {".lock", ".toml", ".sh", ".cfg", ".ini", ".yaml", ".yml", ""}
# A folder of somebody's machine; an example URL (three slashes) is none.
MACHINE_PATH = re.compile(r"(?<![\w.<{}*/])/(?:home|Users|root|work|mnt)/\w")
SECRET = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s]{60}")
DOCSTRING = re.compile(r'(?:#.*\n|\s)*[rR]?"""')
NEVER_BINARY = {".png", ".gif", ".svg", ".ico"}


def texts(files: list[Path]) -> list[tuple[Path, str]]:
    return [(path, path.read_text(encoding="utf-8")) for path in files if path.suffix not in NEVER_BINARY]


def test_no_file_has_a_name_that_says_nothing(project_files, root):
    said_nothing = [path.relative_to(root) for path in project_files if path.stem.lower() in NO_NAMES]
    folders = {folder for path in project_files for folder in path.relative_to(root).parts[:-1]}

    assert said_nothing == []
    assert folders & NO_NAMES == set()


def test_no_file_names_a_folder_of_somebodys_machine(project_files, root):
    mine = [str(root), str(Path.home())]
    found = [
        f"{path.relative_to(root)}: {line.strip()[:80]}"
        for path, text in texts(project_files)
        if path != Path(__file__)
        for line in text.splitlines()
        if MACHINE_PATH.search(line) or any(len(place) > 1 and f"{place}/" in line for place in mine)
    ]

    assert found == []


def test_no_file_holds_a_secret(project_files, root):
    found = [
        str(path.relative_to(root))
        for path, text in texts(project_files)
        for match in SECRET.findall(text)
        if "EXAMPLE" not in match and path != Path(__file__)
    ]

    assert found == []


def test_build_files_name_no_host(project_files, root):
    found = [
        f"{path.relative_to(root)}: {line.strip()[:80]}"
        for path, text in texts(project_files)
        if path.suffix in BUILD and "burst_magic" not in path.relative_to(root).parts and path.name != "LICENSE"
        for line in text.splitlines()
        if re.search(r"https?://|index-url|find-links", line) and "--no-emit" not in line
    ]

    assert found == []


def test_only_settings_read_the_environment(nodes_of):
    readers = {
        path
        for path, node in nodes_of("environ", "getenv", "putenv")
        if (
            isinstance(node, ast.Attribute)
            and node.attr in {"environ", "environb", "getenv", "putenv"}
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        )
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {"environ", "getenv"} & {n.name for n in node.names}
        )
    }

    # A slot puts a task's own environment back after the task; it decides nothing by it. Stage 0 has no package yet.
    assert readers <= {"config.py", "worker/child/isolation/surroundings.py", "worker/stage0.py"}


def test_every_module_says_what_it_is_for(project_files, root):
    modules = [(path, path.read_text(encoding="utf-8").strip()) for path in project_files if path.suffix == ".py"]
    silent = [str(path.relative_to(root)) for path, text in modules if text and not DOCSTRING.match(text)]

    assert silent == []


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_what_a_newcomer_looks_for_is_there(root, name):
    assert (root / name).read_text().strip()


def test_the_build_machine_runs_what_a_person_types(root):
    script = (root / ".ci" / "run").read_text().splitlines()

    assert script[0] == "#!/usr/bin/env bash"
    assert script[-1] == "exec make test"
    assert "export CI=true" in script
