"""``burst sandbox --demo``, as somebody runs it who has just installed the extra."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import nbformat

from burst_magic.testing.sandbox.demo import NOTEBOOK


def test_the_demonstration_runs_from_top_to_bottom(tmp_path):
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BURST_"))}
    environ["HOME"] = str(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-m", "burst_magic", "sandbox", "--demo"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert not done.returncode, done.stdout + done.stderr
    notebook = nbformat.read(tmp_path / "cloud-demo.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]

    assert "320 estimates; π ≈ 3.14" in done.stdout
    assert re.search(r"workers  \d+ alive, 3[2-9] started, 32 wanted", done.stdout)
    assert re.search(r"cost     \$0\.\d\d", done.stdout)
    assert re.search(r"tasks of ECS +3[2-9] on .*FARGATE_SPOT: 1 interrupted, .* all STOPPED\n", done.stdout)
    assert not [output for output in outputs if output.output_type == "error"]
    assert [path.name for path in tmp_path.iterdir()] == ["cloud-demo.ipynb"]  # nothing in the user's folders


def test_its_notebook_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
    assert [cell for cell in notebook.cells if "trouble" in cell.metadata.get("tags", [])]
