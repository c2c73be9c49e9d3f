"""What importing costs, measured in a process of its own: `importlib` slips past the import linter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

HEAVY = {
    "IPython", "anywidget", "asyncio", "boto3", "botocore", "dill", "ipywidgets", "nbformat", "numpy", "obstore",
    "pandas", "platformdirs", "tomlkit", "tqdm", "traitlets", "urllib", "uuid",
}  # fmt: skip
WORKER_MAY = {"burst_magic", "dill", "obstore"}
WORKER_MAY_NOT = [
    f"burst_magic.{part}" for part in ("aws", "capture", "launchers", "magics", "plan", "session", "testing", "ui")
]
WORKER_MAY_NOT += ["burst_magic.cli", "burst_magic.notebook", "burst_magic.server"]
EVERYTHING_A_WORKER_NEEDS = """
import importlib, pkgutil, tempfile
import dill, obstore
import burst_magic.worker
import burst_magic.payload
for module in pkgutil.walk_packages(burst_magic.worker.__path__, "burst_magic.worker."):
    importlib.import_module(module.name)
from burst_magic.stores import open_store
open_store("file://" + tempfile.mkdtemp())
open_store("memory://here")
"""


def third_party(modules: set[str]) -> set[str]:
    tops = {name.partition(".")[0] for name in modules}
    return {name for name in tops if name not in sys.stdlib_module_names and not name.startswith("__")}


def test_importing_the_package_brings_nothing_heavy(modules_after):
    modules = modules_after("import burst_magic")

    assert third_party(modules) == {"burst_magic"}
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()


def test_a_worker_is_made_of_dill_and_obstore_only(modules_after):
    assert importlib.util.find_spec("burst_magic.worker.__main__")
    modules = modules_after(EVERYTHING_A_WORKER_NEEDS)

    assert {"dill", "obstore", "burst_magic.worker.__main__"} <= modules
    assert third_party(modules) <= WORKER_MAY
    assert [name for name in modules if name.startswith(tuple(WORKER_MAY_NOT))] == []


def test_a_worker_starts_without_dill_and_obstore(modules_after):
    """Slots are forked from a template that started before obstore's threads; each imports what it needs."""
    modules = modules_after("import burst_magic.worker.__main__")

    assert third_party(modules) == {"burst_magic"}


READING_SEGMENTS = """
import tempfile
from burst_magic.protocol.wire import blocks, keys
from burst_magic.protocol.wire.model import ClaimKey, Outcome, OutcomeKind, SegmentKey
from burst_magic.protocol.wire.records import pack_origin, pack_outcome
from burst_magic.session.segments import Failures, SegmentReader, Tally
from burst_magic.stores import open_store
from burst_magic.stores.store_driver import Carrier

store, secret = open_store("file://" + tempfile.mkdtemp()), bytes(32)
job = keys.SessionKeys("20261121-093000-abcdefgh").job("0")
segment = SegmentKey(at_ms=1, start=0, stop=1, failed=1, claim=ClaimKey(start=0, number=0))
outcome = Outcome(task=0, kind=OutcomeKind.ERROR, error="KeyError", message="x", value=b"no pickle at all")
entries = [(0, pack_outcome(outcome))]
written = blocks.write_blocks(secret, job.segment(segment), entries, lengths=False, head=pack_origin())
store.put(job.segment(segment), b"".join(written))
reader = SegmentReader(Carrier(store, secret, lambda _: False), job, "a name")
failed, groups = Tally(Failures(reader)).count([(0, 1, segment)])
assert (failed, [group.words for group in groups]) == (1, ["KeyError: x"])
"""


def test_reading_and_counting_segments_loads_no_pickle(modules_after):
    modules = modules_after(READING_SEGMENTS)

    assert "burst_magic.session.segments" in modules
    assert modules & {"dill", "pickle", "_pickle", "cloudpickle", "marshal", "shelve", "burst_magic.payload"} == set()
    assert third_party(modules) <= {"burst_magic", "obstore"}


def test_the_jupyter_server_extension_loads_nothing_that_unpickles_user_values(modules_after):
    modules = modules_after("import burst_magic.server.routes")

    assert "burst_magic.session.onlooker" in modules
    assert (
        modules & {"dill", "cloudpickle", "burst_magic.payload", "burst_magic.capture", "IPython", "ipykernel"} == set()
    )
    assert modules & {"boto3", "botocore", "obstore", "anywidget", "nbformat"} == set()  # every Jupyter server loads it


A_BURST = """
import burst_magic as burst

def square(x):
    return x * x

session = burst.map(square, range(8), workers=1, slots=2)
assert list(session.results()) == [x * x for x in range(8)]
session.cleanup()
"""


LOCAL_ROAD = f"""
import os, tempfile
home = tempfile.mkdtemp()
os.environ.update(BURST_CONFIG_DIR=home + "/config", BURST_DATA_DIR=home + "/data", BURST_STORE="file://" + home + "/s")
{A_BURST}
session = burst.map(len, ["a", "bc"], workers=2, launcher="local")
assert list(session.results()) == [1, 2]
assert burst.attach(session.id).status().completed == 2
session.cleanup()
"""


def test_a_local_burst_on_a_folder_loads_nothing_of_aws_in_the_kernel(modules_after):
    modules = modules_after(LOCAL_ROAD)

    assert {"burst_magic.session.submit", "burst_magic.launchers.local", "burst_magic.stores.folder"} <= modules
    assert {name.partition(".")[0] for name in modules} & {
        "boto3",
        "botocore",
        "s3transfer",
        "moto",
        "obstore",
    } == set()
    assert [name for name in modules if name.startswith("burst_magic.aws.")] == []
    assert {"packaging", "uv", "burst_magic.environment.sync", "burst_magic.environment.bundle"} & modules == set()


def test_a_working_worker_on_a_folder_and_its_slots_imported_dill_only(tmp_path):
    """The whole life of a real worker, as the interpreter itself reports it in the worker's log."""
    (tmp_path / "burst.py").write_text(A_BURST)
    surroundings = {
        **os.environ,
        "BURST_CONFIG_DIR": str(tmp_path / "config"),
        "BURST_DATA_DIR": str(tmp_path / "data"),
        "PYTHONPROFILEIMPORTTIME": "1",
    }

    done = subprocess.run(
        [sys.executable, tmp_path / "burst.py"],
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert not done.returncode, done.stderr
    (log,) = (tmp_path / "data").rglob("*.log")
    lines = log.read_text().splitlines()
    modules = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert {"burst_magic.worker.supervisor", "burst_magic.worker.child.execute"} <= modules
    assert third_party(modules) <= WORKER_MAY | site_modules() | {"org"}  # the standard pickle looks for Jython's
    assert [name for name in modules if name.startswith(tuple(WORKER_MAY_NOT))] == []


def site_modules() -> set[str]:
    """What this environment's own start-up files import into every interpreter."""
    command = [sys.executable, "-X", "importtime", "-c", ""]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in said.splitlines()}


READING_A_NOTEBOOK = """
import tempfile
from pathlib import Path
from burst_magic.notebook import marks_of

path = Path(tempfile.mkdtemp(), "a.ipynb")
path.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
assert marks_of(path) == ([], 0.0)
"""


def test_reading_a_notebook_loads_no_library_that_validates_it(modules_after):
    modules = modules_after(READING_A_NOTEBOOK)

    assert third_party(modules) == {"burst_magic"}
