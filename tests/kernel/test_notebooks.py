"""Every notebook of the course is executed, as a user would: from its folder, in a kernel, with real workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
COURSE = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def execute(name: str, home, *options: str) -> tuple[str, nbformat.NotebookNode]:
    """`make demo` with another notebook and other directories: (what it printed, the executed notebook)."""
    out = home.root / f"{name}.ipynb"
    command = [sys.executable, NOTEBOOKS / "demo.py", "--notebook", NOTEBOOKS / f"{name}.ipynb"]
    command += ["--out", out, "--home", home.root / "demo", *options]
    done = subprocess.run(command, env=home.environ, capture_output=True, text=True, check=False, timeout=110)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout, nbformat.read(out, as_version=4)


def sessions(notebook: nbformat.NotebookNode) -> set[str]:
    """Those that the executed notebook names in the metadata of its outputs."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    marks = [output.get("metadata", {}).get("burst_magic") for output in outputs]
    return {mark["session"] for mark in marks if mark}


@pytest.mark.parametrize("name", COURSE)
def test_a_notebook_runs_from_top_to_bottom(name, home):
    printed, notebook = execute(name, home)
    assert sessions(notebook)
    stderr = [o.text for c in notebook.cells for o in c.get("outputs", []) if o.get("name") == "stderr"]
    assert not [text for text in stderr if "|" not in text], stderr  # nothing but bars
    assert "on Fargate" in printed


@pytest.mark.parametrize("name", COURSE)
def test_a_notebook_is_kept_without_outputs_and_shows_a_result(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell.source for cell in code if cell.outputs or cell.execution_count]
    assert [cell for cell in code if "result" in cell.metadata.get("tags", [])]
    assert notebook.cells[0].source.startswith("# ")
    assert sum(cell.cell_type == "markdown" for cell in notebook.cells) * 3 >= len(code)
    assert "execution" not in json.dumps(notebook.metadata)


@pytest.mark.parametrize("server", ["moto_server", "seaweedfs_server"])
def test_the_quickstart_runs_on_s3(server, request, make_home):
    s3 = request.getfixturevalue(server)
    store = f"{s3.bucket('quickstart')}/deep/down"
    home = make_home("user", extra=s3.environ)
    _, notebook = execute("quickstart", home, "--store", store)
    (session,) = sessions(notebook)
    listed = s3.clients.of("s3").list_objects_v2(Bucket="quickstart", Prefix=f"deep/down/sessions/{session}/")
    found = {entry["Key"].rpartition("/")[2] for entry in listed["Contents"]}
    assert {"manifest.json", "payload", "items", "job.json", "final"} <= found
    assert not (home.root / "demo" / "data" / "store").exists()
