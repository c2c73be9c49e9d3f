"""What cannot work is refused before anything is stored or started, in one clear message."""

from __future__ import annotations

import pytest

ITEMS = """
def breaks():
    yield 1
    yield 2
    raise OSError("the tape is torn")

import socket
class Client:
    def __init__(self):
        self._sock = socket.socket()
class Config:
    def __init__(self):
        self.client = Client()
cfg = Config()
class Meter:
    def __init__(self):
        self.unit = "kg"
    def __setstate__(self, state):
        raise KeyError("unit")
meters = [Meter()]
import numpy as np
point = np.array(5)
xs = [1, 2]
nested = [[{"a": [0, (n for n in xs)]}]]
value = 5
"""

REFUSED = {
    "an unknown name": ("--map xs --out out\nitem + vlaue", "CaptureError", "'vlaue' is not defined (line 2); did you mean 'value'?"),
    "a syntax error": ("--map xs --out out\nitem +", "CaptureError", "syntax error in line 2"),
    "a misspelt option": ("--wrokers 2 --map xs\nitem", "OptionError", "did you mean --workers?"),
    "an option of later": ("--no-reuse\n1", "OptionError", "--no-reuse: unknown option"),
    "a wrong number": ("--workers many\n1", "OptionError", "--workers"),
    "no items": ("--map value\nitem", "CaptureError", "value"),
    "items without dimensions": ("--map point\nitem", "CaptureError", "raised TypeError: iteration over a 0-d array"),
    "no such items": ("--map valeus\nitem", "CaptureError", "valeus"),
    "items that raise half way": ("--map breaks() --out out\nitem", "CaptureError", "OSError: the tape is torn"),
    "a socket inside": ("--map xs\nprint(item)\ncfg.client", "CaptureError", "cfg.client._sock"),
    "a value that cannot be loaded": ("--map xs\nmeters", "CaptureError", "meters[0]: cannot be loaded on a worker: KeyError: 'unit' (used in line 2)"),
    "the same in a dry run": ("--map xs --dry-run\nmeters", "CaptureError", "meters[0]: cannot be loaded on a worker"),
    "an item with a generator inside": ("--map nested\nitem", "CaptureError", "item 0: [0]['a'][1]: cannot pickle 'generator' object"),
    "an impossible pair": ("--cpu 4 --memory 1GB\n1", "PlanError", "nearest: "),
    "gpus": ("--gpus 1\n1", "PlanError", "gpu"),
    "an unknown launcher": ("--launcher lambda\n1", "OptionError", "not available"),
    "a launcher that is not set up": ("--launcher fargate\n1", "PlanError", "no aws.region, aws.cluster"),
    "an unknown store": ("--store http://x/y\n1", "OptionError", "is not a store"),
    "an unknown session": ("--session nonsense --map xs\nitem", "AttachError", "no session 'nonsense'"),
    "a missing environment variable": ("--setenv NOT_THERE_AT_ALL\n1", "OptionError", "NOT_THERE_AT_ALL"),
    "a missing file": ("--include not-there.csv\n1", "CaptureError", "not-there.csv"),
    "the notebook's own shell": ("get_ipython()", "CaptureError", "get_ipython() cannot be used"),
}  # fmt: skip


def objects(store):
    """The mark of the folder is none."""
    return {path for path in store.rglob("*") if path.is_file() and "#" not in path.name}


@pytest.mark.parametrize(("cell", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_one_message_and_leaves_nothing(kernel, cell, error, said):
    kernel.run(ITEMS)
    store = kernel.home.folder
    before = objects(store)
    separator = " " if cell.startswith("--") else "\n"
    shown = kernel.fails(f"%%burst{separator}{cell}")

    assert shown.error == error, shown.traceback
    assert said.lower() in shown.traceback.lower(), shown.traceback
    assert "Traceback" not in shown.traceback
    assert "site-packages" not in shown.traceback
    assert len(shown.traceback.splitlines()) <= 6
    assert not kernel.home.workers()
    assert objects(store) == before
    assert kernel.run("'out' in globals()").result == "False"
    assert not kernel.value("[row.id for row in __import__('burst_magic').sessions()]")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%burst_status nonsense", "no session 'nonsense'"),
        ("%burst_status --frobnicate", "--frobnicate: unknown option"),
        ("%burst_collect --errors ignore", "ignore"),
        ("%burst_scale many", "many"),
        ("%burst_config wrokers=3", "did you mean workers?"),
        ("%burst_config workers=none", "workers"),
        ("%burst_extend 30d", "21d"),
        ("%burst_logs --task 99", "no task 99"),
        ("%burst_logs --worker nobody", "unknown worker 'nobody'"),
    ],
)
def test_wrong_use_of_a_verb_is_one_line(kernel, line, said):
    kernel.run('%%burst --workers 1 --map "[1]" --out out\nitem')
    kernel.run("list(out)")
    shown = kernel.fails(line)
    assert said in shown.traceback, shown.traceback
    assert len(shown.traceback.splitlines()) <= 4


@pytest.mark.parametrize("verb", ["retry", "debug"])
def test_what_this_version_has_not_is_an_unknown_name(kernel, verb):
    shown = kernel.fails(f"%burst_{verb}")
    assert f"burst_{verb}" in shown.text
    done = kernel.home.burst(verb)
    assert done.returncode == 2
    assert "unknown verb" in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%burst_inspect fit", "!burst inspect fit"),
        ("%burst_key show fit", "!burst key show fit"),
        ("%burst_watch", "!burst watch"),
        ("%burst_help", "%%burst --help"),
    ],
)
def test_a_verb_of_the_terminal_says_how_to_call_it_from_a_notebook(kernel, line, said):
    assert said in kernel.fails(line).text


def test_ipython_can_ask_whether_a_verb_that_there_is_not_is_a_complete_cell(kernel):
    """As it does at each Return in a terminal: an exception there ended IPython, with all variables."""
    assert kernel.run("get_ipython().check_complete('%burst_help')[0]").value == "complete"


def test_a_mapped_cell_without_a_value_is_warned_of(kernel):
    shown = kernel.run('%%burst --workers 1 --map "[1, 2]" --out out\nresult = item')
    assert "None" in shown.stdout
    assert not shown.stderr
    assert kernel.value("list(out)") == [None, None]
