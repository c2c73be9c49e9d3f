"""A table of results, without a session."""

from __future__ import annotations

import subprocess
import sys

from burst_magic.errors import NotRun
from burst_magic.protocol.wire.model import Outcome, OutcomeKind
from burst_magic.session.frame import frame_of

WITHOUT_PANDAS = """
import sys
sys.modules["pandas"] = None
from burst_magic.errors import BurstError
from burst_magic.session.frame import frame_of
try:
    frame_of([1], [(1, None)], [])
except BurstError as error:
    print(error)
"""


def test_tasks_of_one_kind_of_value_make_a_column_of_that_kind():
    table = frame_of(["a", "b"], [(1.5, None), (2.5, None)], [Outcome(task=1, kind=OutcomeKind.VALUE, wall=3.0)])
    assert table["value"].dtype == float
    assert table["value"].sum() == 4.0
    assert table["wall"].isna().tolist() == [True, False]


def test_values_that_are_lists_arrays_and_tables_stay_one_in_a_cell():
    numpy, pandas = __import__("numpy"), __import__("pandas")
    values = [[1, 2], numpy.zeros((2, 2)), pandas.DataFrame({"a": [1]}), {"k": 1}]
    table = frame_of(values, [(value, None) for value in values], [])
    assert table.shape == (4, 9)
    assert table["value"].tolist() == values


def test_a_lost_worker_and_a_task_that_did_not_run_are_errors_in_one_line():
    lost = Outcome(task=0, kind=OutcomeKind.LOST, message="killed\nby the kernel")
    known = [(None, RuntimeError("WorkerLost")), (None, NotRun("it did not run", way_out="run it"))]
    table = frame_of([1, 2], known, [lost])
    assert table["error"].tolist() == ["RuntimeError: killed", "NotRun: it did not run"]


def test_without_pandas_it_says_so():
    ran = subprocess.run([sys.executable, "-c", WITHOUT_PANDAS], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("pandas is not installed")
    assert "pip install pandas" in ran.stdout
