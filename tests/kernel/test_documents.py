"""Every ```python block of the README and the guides runs, in order, in a kernel of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))
    if BLOCK.search(path.read_text())
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_examples_of_a_document_run(document, tmp_path):
    cells = [nbformat.v4.new_code_cell(code) for code in BLOCK.findall((ROOT / document).read_text())]
    source = tmp_path / "examples.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
    command = [sys.executable, ROOT / "notebooks" / "demo.py", "--notebook", source]
    command += ["--out", tmp_path / "executed.ipynb", "--home", tmp_path / "home"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)

    assert not done.returncode, done.stdout + done.stderr
