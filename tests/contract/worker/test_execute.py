"""Cells in slots: values, failures, and that each task starts as if it were the only one."""

from __future__ import annotations

import ast
import hashlib
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import pytest

from burst_magic.errors import TaskFailed
from burst_magic.payload import Envelope, pack, unpack_value
from burst_magic.protocol.wire.model import OutcomeKind
from burst_magic.worker.channel.board import JobCode
from burst_magic.worker.slots.slot import Died, Ready
from burst_magic.worker.supply.blobs import verified


def values(outcomes):
    assert not [o for o in outcomes if o.failed], [(o.error, o.message, o.traceback) for o in outcomes if o.failed]
    return [pickle.loads(o.value) for o in outcomes]


def cell(text):
    return textwrap.dedent(text).strip()


# -- values


def test_the_last_expression_is_the_value(bench):
    assert values(bench.perform("x = item + 1\nx * 10", [1, 2])) == [20, 30]


def test_a_cell_that_ends_in_a_statement_gives_none(bench):
    assert values(bench.perform("x = item")) == [None]


def test_a_cell_without_value_gives_none_even_if_it_ends_in_an_expression(bench):
    assert values(bench.perform("item", has_value=False)) == [None]


def test_an_empty_cell_gives_none(bench):
    assert values(bench.perform("")) == [None]


def test_map_binds_what_it_names(bench):
    assert values(bench.perform("i + row['a']", [(1, {"a": 2})], target="i, row")) == [3]
    assert values(bench.perform("[a, rest]", ["xyz"], target="a, *rest")) == [["x", ["y", "z"]]]


def test_an_item_that_does_not_fit_its_names_fails_its_task(bench):
    outcomes = bench.perform("a", [(1, 2), 3], target="a, b")
    assert [o.failed for o in outcomes] == [False, True]
    assert outcomes[1].error == "TypeError"


def test_a_cell_without_map_runs_once(bench):
    assert values(bench.perform("1 + 1", None, target="")) == [2]


def test_top_level_await_works(bench):
    source = cell("""
        import asyncio
        async def double(x):
            await asyncio.sleep(0)
            return 2 * x
        first = await double(item)
        await double(first)
    """)
    assert values(bench.perform(source, [1, 2])) == [4, 8]


def test_an_await_in_the_last_expression_only_works(bench):
    assert values(bench.perform("import asyncio\nawait asyncio.sleep(0, item)", [5])) == [5]


def test_a_future_import_of_the_cell_holds_for_its_last_expression(bench):
    source = "from __future__ import annotations\n(lambda: 0).__code__.co_flags & annotations.compiler_flag != 0"
    assert values(bench.perform(source)) == [True]


def test_our_own_future_imports_do_not_leak_into_the_cell(bench):
    assert values(bench.perform("def f(x: int): pass\nf.__annotations__['x'] is int")) == [True]


def test_the_cell_lives_in_main(bench):
    source = "import __main__ as m, sys\n(__name__, m.item, m is sys.modules['__main__'], globals() is vars(m))"
    assert values(bench.perform(source, [7])) == [("__main__", 7, True, True)]


def test_captured_functions_see_the_globals_of_the_cell(bench):
    captured = {"__name__": "__main__"}
    exec("scale = 3\ndef scaled(x): return x * scale", captured)
    del captured["__builtins__"]
    assert values(bench.perform("scale += item\nscaled(10)", [0, 1, 2], captured=captured)) == [30, 40, 50]


def test_display_shows_each_object_as_text(bench):
    source = "display('a', 2)\nhandle = display([1], display_id=True)\nhandle.update({})\nhandle.display(3)"
    (outcome,) = bench.perform(source)
    assert outcome.output == "'a'\n2\n[1]\n{}\n3\n"


def test_a_returned_exception_is_a_value(bench):
    (value,) = values(bench.perform("ValueError('not raised')"))
    assert repr(value) == "ValueError('not raised')"


# -- failures


def test_a_failure_shows_the_lines_of_the_cell_and_none_of_ours(bench):
    source = cell("""
        def inverse(x):
            return 1 / x

        inverse(item)
    """)
    (outcome,) = bench.perform(source, [0])
    assert (outcome.kind, outcome.error, outcome.message) == (
        OutcomeKind.ERROR,
        "ZeroDivisionError",
        "division by zero",
    )
    assert outcome.item == "0"
    assert 'File "<cell 7>", line 4, in <module>\n    inverse(item)' in outcome.traceback
    assert 'File "<cell 7>", line 2, in inverse\n    return 1 / x' in outcome.traceback
    assert "burst_magic" not in outcome.traceback
    assert isinstance(pickle.loads(outcome.value), ZeroDivisionError)


def test_a_failure_in_an_awaiting_cell_shows_none_of_the_event_loop(bench):
    (outcome,) = bench.perform("import asyncio\nawait asyncio.sleep(0)\n1 / 0")
    assert "line 3, in <module>" in outcome.traceback
    assert "asyncio" not in outcome.traceback


FAILING = {
    "a syntax error": "eval('1 +')",
    "a syntax error from a compiled text": "import ast\nast.parse('x ===')",
    "the end of an iterator": "next(iter([]))",
    "the end of an iterator in a generator": "def g():\n    next(iter([]))\n    yield\nlist(g())",
    "the end of an iterator in a coroutine": "async def f(): raise StopIteration(1)\nawait f()",
    "a cause": "try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('x') from e",
    "a context": "try:\n    1 / 0\nexcept Exception:\n    nowhere",
    "a context from a library": "import json\ntry:\n    json.loads('{')\nexcept Exception:\n    1 / 0",
    "a recursion": "def f(n): return f(n + 1)\nf(0)",
    "a cause in a coroutine": "import asyncio\nasync def f(): 1 / 0\ntry:\n    await f()\nexcept Exception as e:\n    raise KeyError(1) from e",
    "tasks of an event loop": "import asyncio\nasync def f(): 1 / 0\nawait asyncio.gather(f(), f())",
    "a failed import": "import no_such_module_anywhere",
    "an exit": "import sys\nsys.exit(3)",
    "input": "try:\n    input()\nexcept Exception as e:\n    raise KeyError(1) from e",
    "a future": "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor(1).submit(lambda: 1 / 0).result()",
    **({
        "a group": "def one():\n    try:\n        1 / 0\n    except Exception as e: return e\nraise ExceptionGroup('g', [one(), ExceptionGroup('h', [one()])])",
        "a task group": "import asyncio\nasync def f(): 1 / 0\nasync with asyncio.TaskGroup() as group:\n    group.create_task(f())",
    } if sys.version_info >= (3, 11) else {}),
}  # fmt: skip


@pytest.mark.parametrize("source", FAILING.values(), ids=FAILING)
def test_no_traceback_shows_a_frame_of_ours(bench, source):
    (outcome,) = bench.perform(source)
    assert outcome.traceback
    assert "burst_magic" not in outcome.traceback
    assert '"<cell 7>", line' in outcome.traceback


def test_the_cause_of_a_failure_is_in_its_traceback(bench):
    (outcome,) = bench.perform("try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('x') from e")
    assert "ZeroDivisionError" in outcome.traceback
    assert "direct cause" in outcome.traceback


ODD_CLASS = """
class M(type):
    @property
    def __module__(self): raise RuntimeError
    @property
    def __name__(self): raise RuntimeError
    def __repr__(self): raise RuntimeError
"""


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import sys; sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("def f(): f()\nf()", "RecursionError"),
        ("input('name?')", "RuntimeError"),
        ("class Odd(BaseException):\n    def __str__(self): raise SystemExit\nraise Odd", "Odd"),
        ("import decimal\nraise decimal.Overflow", "decimal.Overflow"),
        ("import asyncio\nasync def f(): raise SystemExit(1)\nawait f()", "SystemExit"),
        ("made = {}\nexec('E = type(\"E\", (Exception,), {})', made)\nraise made['E']", "E"),  # a class of no module
        ("made = {}\nexec('E = type(\"E\", (BaseException,), {})', made)\nraise made['E']('x')", "E"),
        (f"{ODD_CLASS}class E(Exception, metaclass=M): pass\nraise E", "E"),
        ("class E(Exception): pass\nE.__module__ = 5\nraise E", "E"),
    ],
)
def test_whatever_a_task_raises_fails_that_task_only(bench, source, error):
    before, failed, after = bench.perform(f"if item == 1:\n{textwrap.indent(source, '    ')}\nitem", [0, 1, 2])
    assert (before.failed, failed.failed, after.failed) == (False, True, False)
    assert failed.error == error


def test_input_is_refused_in_clear_words(bench):
    (outcome,) = bench.perform("input('name?')")
    assert "worker" in outcome.message
    assert "burst_magic" not in outcome.traceback


def test_an_exception_that_cannot_be_had_back_is_stood_for_by_one_that_says_which_it_was(bench):
    (outcome,) = bench.perform("import socket\nraise LookupError('x', socket.socket())")
    assert outcome.error == "LookupError"
    assert "socket" in outcome.message
    stand_in = unpack_value(outcome.value, home={})
    assert type(stand_in) is TaskFailed
    assert str(stand_in).startswith("LookupError: ('x', <socket.socket")


def test_an_exception_with_an_init_of_its_own_comes_back(bench):
    source = "class Picky(Exception):\n    def __init__(self, a, b): super().__init__(a)\nraise Picky(1, 2)"
    (outcome,) = bench.perform(source)
    assert (outcome.error, outcome.message) == ("Picky", "1")
    assert type(unpack_value(outcome.value, home={})).__name__ == "Picky"


def test_a_result_that_cannot_be_pickled_is_named(bench):
    outcomes = bench.perform("import socket\n{'a': [socket.socket()]} if item else 1", [0, 1, 0])
    assert [o.kind for o in outcomes] == [OutcomeKind.VALUE, OutcomeKind.UNPICKLABLE, OutcomeKind.VALUE]
    assert "socket" in outcomes[1].message
    assert "dict" in outcomes[1].message


def test_a_long_item_is_shown_in_short(bench):
    (outcome,) = bench.perform("1 / 0", ["x" * 10_000])
    assert len(outcome.item) <= 200
    assert outcome.item.startswith("'xxx")


def test_a_syntax_error_is_the_failure_of_each_task(bench):
    outcomes = bench.perform("a b", [1, 2])
    assert [(o.kind, o.error) for o in outcomes] == [(OutcomeKind.ERROR, "SyntaxError")] * 2


def test_a_missing_module_is_named_with_its_version(bench):
    outcomes = bench.perform("1", [1, 2], modules=(("json", ""), ("no_such_thing.part", "1.2")))
    assert [o.message for o in outcomes] == ["module no_such_thing.part (1.2) is not installed on the worker"] * 2


def test_another_python_is_refused(bench):
    (outcome,) = bench.perform("1", python="2.7")
    assert "Python 2.7" in outcome.message


def test_a_payload_that_cannot_be_read_is_a_failure_not_a_death(bench):
    slot = bench.slot()
    slot.load(JobCode(jid="x", envelope=b"garbage"))
    slot.run("x", 0, None, 1)
    (outcome,) = bench.outcomes(slot)
    assert outcome.error == "burst_magic.errors.RecordError"


# -- each task starts as if it were the only one


def test_captured_values_are_fresh_for_each_task(bench):
    assert values(bench.perform("box.append(item)\nlen(box)", range(5), captured={"box": []})) == [1] * 5


def test_names_that_a_task_assigned_are_gone(bench):
    assert values(bench.perform("before = 'left' in globals()\nleft = 1\nbefore", range(3), fresh=False)) == [False] * 3


CHANGES = {
    "append": ("[]", "box.append(item)", "len(box)"),
    "pop from the middle": ("list(range(50))", "box.pop(3)", "sum(box)"),
    "heap": ("list(range(50))", "import heapq\nheapq.heappop(box)", "box[0]"),
    "shuffle": ("list(range(50))", "import random\nwas = list(box)\nrandom.shuffle(box)", "was == list(range(50))"),
    "alias": ("{}", "other = box\nother[item] = 1", "len(box)"),
    "deep": ("{'a': [{'b': [1]}]}", "box['a'][0]['b'].append(2)", "len(box['a'][0]['b'])"),
    "attribute": ("__import__('types').SimpleNamespace(x=0)", "box.x += 1", "box.x"),
    "setattr": ("__import__('types').SimpleNamespace(x=0)", "setattr(box, 'y' + str(item), 1)", "len(vars(box))"),
    "iterator": ("iter(range(50))", "taken = next(box)", "taken"),
    "array": ("__import__('numpy').zeros(9)", "box += 1", "float(box.sum())"),
    "array view": ("__import__('numpy').zeros(9)", "view = box[2:4]\nview[:] += 7", "float(box.sum())"),
    "set": ("{1}", "box |= {item + 10}", "len(box)"),
    "bytes": ("bytearray(4)", "box.extend(b'x')", "len(box)"),
    "deque": ("__import__('collections').deque([1, 2])", "box.rotate(1)\nbox.append(5)", "list(box)"),
    "counter": ("__import__('collections').Counter()", "box.update('ab')", "box['a']"),
    "frame": ("__import__('pandas').DataFrame({'a': [1, 2]})", "box.loc[len(box)] = 5", "len(box)"),
}


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("name", CHANGES)
def test_what_a_task_does_to_captured_values_no_other_sees(bench, name, fresh):
    make, change, look = CHANGES[name]
    found = values(bench.perform(f"{change}\n{look}", range(8), captured={"box": eval(make)}, fresh=fresh))
    assert found == [found[0]] * 8


OWN_STATE = """
import functools
class Shy:
    calls = 0
    def __init__(self): self.cache = []
    def __getstate__(self): return {"cache": []}
    def note(self):
        self.cache.append(1)
        return len(self.cache)
class Plain:
    def __init__(self): self.seen = []
    @functools.cached_property
    def first(self): return []
    def note(self):
        self.first.append(1)
        return len(self.first)
@functools.lru_cache
def number(x): return object()
@functools.lru_cache
def drawn():
    import random
    return random.random()
def count(x, seen=[]):
    seen.append(x)
    return len(seen)
def closed():
    total = 0
    def add():
        nonlocal total
        total += 1
        return total
    return add
def marked():
    marked.calls = getattr(marked, "calls", 0) + 1
    return marked.calls
class Counting:
    made = 0
    def __init__(self): Counting.made += 1
shy, plain, add = Shy(), Plain(), closed()
import threading
lock = threading.Lock()
"""
HIDDEN = {
    "a state of its own": "shy.note()",
    "cached property": "plain.note()",
    "lru_cache": "number(1)\nnumber.cache_info().hits",
    "default": "count(item)",
    "closure": "add()",
    "function's attribute": "marked()",
    "class attribute": "Counting()\nCounting.made",
    "lock": "lock.acquire(timeout=5)",
}


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("name", HIDDEN)
def test_what_a_task_does_to_what_it_does_not_show_no_other_sees(bench, name, fresh):
    home = {"__name__": "__main__"}
    exec(OWN_STATE, home)
    captured = {word: home[word] for word in ("shy", "plain", "number", "count", "add", "marked", "Counting", "lock")}
    found = values(bench.perform(HIDDEN[name], range(5), captured=captured, fresh=fresh))
    assert found == [found[0]] * 5


def test_what_a_cached_function_drew_is_drawn_anew_in_each_task(bench):
    home = {"__name__": "__main__"}
    exec(OWN_STATE, home)
    assert len(set(values(bench.perform("drawn()", range(5), captured={"drawn": home["drawn"]})))) == 5


def test_a_change_that_comes_late_is_seen_all_the_same(bench):
    source = "if item > 500:\n    box.append(item)\nlen(box)"
    found = values(bench.perform(source, range(520), captured={"box": []}, fresh=False))
    assert found == [0] * 501 + [1] * 19


def test_what_ends_its_process_takes_no_outcome_with_it(bench):
    source = "import os\nprint(item, flush=True)\nif item == 300:\n    os._exit(3)\nlen(box)"
    slot = bench.slot()
    bench.run(slot, bench.load(slot, source, captured={"box": [1]}, fresh=False), range(310))
    told = bench.until(slot, Died)
    assert [outcome.task for outcome in bench.told(told)] == list(range(300))
    assert told[-1].culprit[1] == 300
    assert [outcome.output for outcome in bench.told(told)] == [f"{task}\n" for task in range(300)]


def test_a_task_that_is_tried_again_leaves_nothing_to_the_next(bench, tmp_path):
    """What it loaded for its second try is not what was looked at before; later tasks change it."""
    source = (
        "import os\nif item == 1 and not os.path.exists(flag):\n    open(flag, 'w')\n    1 / 0\n"
        "if item > 2:\n    box.append(item)\nlen(box)"
    )
    for fresh in (True, False):
        captured = {"box": [], "flag": str(tmp_path / str(fresh))}
        assert values(bench.perform(source, range(6), captured=captured, fresh=fresh, retries=2)) == [0, 0, 0, 1, 1, 1]


def test_the_time_of_loading_is_the_first_tasks(bench):
    home = {"__name__": "__main__"}
    exec("class Slow:\n    def __setstate__(self, state):\n        import time\n        time.sleep(60)", home)
    slow = home["Slow"]()
    slow.x = 1
    slot = bench.slot()
    packed = pack({"slow": slow}, home={**home, "slow": slow})
    envelope = Envelope(source="slow", stream=packed.stream, names=packed.names, target="item", has_value=True)
    slot.load(JobCode(jid="j", envelope=envelope.to_bytes(), timeout=0.3))
    bench.run(slot, "j", [1])
    found = []
    bench.wait(slot, lambda: any(isinstance(m, Died) for m in found), found, watch=True)
    assert found[-1].overdue == 0.3
    assert found[-1].culprit == ("j", 0)


WAITS = {
    "naps": "while not os.path.exists(gate + '.open'): time.sleep(0.005)",
    "a read": "open(gate).read()",
    "a process": "subprocess.run(['cat', gate], check=True)",
}


@pytest.mark.parametrize("name", WAITS)
def test_what_a_quick_task_gave_does_not_wait_for_a_slow_one(bench, tmp_path, name):
    gate, found = tmp_path / "gate", []
    os.mkfifo(gate)
    source = f"import os, subprocess, time\nif item > 2:\n    {WAITS[name]}\nlen(box)"
    slot = bench.slot()
    bench.run(slot, bench.load(slot, source, captured={"box": [1], "gate": str(gate)}), range(4))
    bench.wait(slot, lambda: [outcome.task for outcome in bench.told(found)] == [0, 1, 2], found, watch=True)
    (tmp_path / "gate.open").touch()
    if name != "naps":
        gate.write_text("go on")
    assert [outcome.task for outcome in bench.told(bench.until(slot, Ready))] == [3]


def test_a_slow_task_that_has_changed_something_hands_out_nothing_of_others(bench, tmp_path):
    gate = tmp_path / "gate"
    source = (
        "import os, time\nif item == 30:\n    box.append(1)\n"
        f"    while not os.path.exists({str(gate)!r}): time.sleep(0.005)\nlen(box)"
    )
    slot, found = bench.slot(), []
    bench.run(slot, bench.load(slot, source, captured={"box": [1]}), range(32))
    bench.wait(slot, lambda: slot._nudged, found, watch=True)
    gate.touch()
    bench.wait(slot, lambda: isinstance(found[-1], Ready), found, watch=True)
    assert values(bench.told(found)) == [1] * 30 + [2, 1]


def test_a_slot_keeps_nothing_of_items_that_are_done(bench):
    slot = bench.slot()
    jid = bench.load(slot, "import os\nos.getpid()")
    for number in range(30):
        bench.run(slot, jid, [b"x" * 1_000_000] * 2, first=2 * number)
        bench.until(slot, Ready)
    links = Path(f"/proc/{slot.pid}/fd").iterdir()
    sizes = [link.stat().st_size for link in links if "memfd" in str(link.readlink())]
    assert sum(sizes) < 20_000_000


def test_a_runner_that_is_replaced_goes_on_where_it_was(bench):
    """It has heard of jobs and runs that its keeper has not, more than its ledger keeps, and is in the midst of one."""
    slot = bench.slot()
    first = bench.load(slot, "item", captured={"box": []})
    bench.run(slot, first, range(3))
    bench.until(slot, Ready)
    second = bench.load(slot, "box.append(len(item)) if item else None\nlen(box), len(item)", captured={"box": []})
    bench.run(slot, second, [b"x" * 1_000_000] * 9)
    bench.run(slot, second, [b"", b"x", b""], first=9)
    bench.run(slot, first, range(3, 5), first=3)
    found = bench.outcomes(slot)
    assert [outcome.task for outcome in found] == [*range(12), 3, 4]
    assert values(found) == [(1, 1_000_000)] * 9 + [(0, 0), (1, 1), (0, 0)] + [3, 4]


def test_tasks_that_change_nothing_share_a_process(bench):
    source = "import os, math\n(os.getpid(), math.sqrt(item), box[0])"
    found = values(bench.perform(source, range(200), captured={"box": [1]}, fresh=False))
    assert len({pid for pid, _, _ in found}) == 1


MODULES = ("asyncio", "collections", "concurrent.futures", "datetime", "json", "locale", "logging", "math", "mimetypes",
           "os", "random", "re", "shutil", "socket", "string", "subprocess", "sys", "tempfile", "threading", "time",
           "urllib.parse", "uuid", "warnings", "numpy", "pandas", "scipy.stats", "matplotlib.pyplot")  # fmt: skip
USES = """
async def later(): return 1
asyncio.run(later())
json.dumps([1]), re.sub("a", "b", "c"), shutil.which("sh"), uuid.uuid4(), time.localtime(), random.random()
concurrent.futures.ThreadPoolExecutor(1).submit(int).result()
logging.getLogger("some").info("x"), mimetypes.guess_type("a.txt"), subprocess.run(["true"], check=True)
with tempfile.TemporaryDirectory(): pass
with warnings.catch_warnings(): warnings.simplefilter("ignore")
numpy.random.rand(2), pandas.DataFrame({"a": [1]}).describe(), scipy.stats.norm.cdf(0)
figure, axes = matplotlib.pyplot.subplots()
axes.plot([1, 2])
figure.savefig(os.devnull, format="png")
threading.Thread(target=int).start()
os.getpid()
"""


TAKEN_BACK = {
    "event loop": "import asyncio\nawait asyncio.sleep(0)",
    "polars": "import polars as pl\nwith pl.Config(tbl_rows=3): str(pl.DataFrame({'a': range(9)}))",
    "sklearn": "import sklearn\nwith sklearn.config_context(assume_finite=True): pass",
    "code of a module": "import runpy\nrunpy.run_module('this')",
    "data of a package": "import pkgutil\nassert pkgutil.get_data('pandas', '__init__.py')",
    "source of a module": "import importlib.util\nassert importlib.util.find_spec('wave').loader.get_source('wave')",
}


@pytest.mark.parametrize("name", TAKEN_BACK)
def test_what_is_taken_back_costs_no_process(bench, name):
    assert len(set(values(bench.perform(f"import os\n{TAKEN_BACK[name]}\nos.getpid()", range(6))))) == 1


def test_what_libraries_do_for_themselves_is_no_change(bench):
    source = "".join(f"import {name}\n" for name in MODULES) + USES
    assert len(set(values(bench.perform(source, range(4))))) == 1


def test_big_arrays_that_a_slot_loads_once_are_fresh_too(bench, tmp_path):
    blob, array = tmp_path / "blob", np.zeros(300_000)
    blob.write_bytes(array.tobytes())
    packed = pack({"array": array}, home={"array": array})
    envelope = Envelope(
        source="array[item * 1000] = 1\nfloat(array.sum())",
        stream=packed.stream,
        target="item",
        has_value=True,
        names=packed.names,
    )
    slot = bench.slot()
    blobs = (verified(str(blob), hashlib.sha256(blob.read_bytes()).hexdigest(), blob.stat().st_size),)
    slot.load(JobCode(jid="j", envelope=envelope.to_bytes(), blobs=blobs, fresh=False))
    bench.run(slot, "j", range(6))
    assert values(bench.outcomes(slot)) == [1.0] * 6


LIBRARIES = {
    "figures": ("import matplotlib.pyplot as plt", "plt.plot([item])", "len(plt.gca().lines)"),
    "rcParams": ("import matplotlib as mpl", "mpl.rcParams['lines.linewidth'] = 9", "mpl.rcParams['lines.linewidth']"),
    "print options": ("import numpy as np", "np.set_printoptions(precision=2)", "str(np.array([1 / 3]))"),
    "pandas options": ("import pandas as pd", "pd.options.display.max_rows = 3", "pd.get_option('display.max_rows')"),
    "handlers": (
        "import logging",
        "logging.getLogger().addHandler(logging.NullHandler())",
        "len(logging.root.handlers)",
    ),
    "basicConfig": ("import logging", "logging.basicConfig(level=10)", "logging.root.level"),
    "named logger": ("import logging", "logging.getLogger('a.b').setLevel(5)", "logging.getLogger('a.b').level"),
    "logging off": ("import logging", "logging.disable(50)", "logging.root.manager.disable"),
    "socket timeout": ("import socket", "socket.setdefaulttimeout(3)", "socket.getdefaulttimeout()"),
    "locale": (
        "import locale",
        "locale.setlocale(locale.LC_NUMERIC, 'POSIX' if found != 'C' else 'C.UTF-8')",
        "locale.setlocale(locale.LC_NUMERIC)",
    ),
    "polars": ("import polars as pl", "pl.Config.set_tbl_rows(2)", "str(pl.DataFrame({'a': range(9)}))"),
    "polars' separators": (
        "import polars as pl",
        "pl.Config.set_thousands_separator(True)",
        "str(pl.DataFrame({'a': [10**6]}))",
    ),
    "a backend": ("import matplotlib", "matplotlib.use('svg')", "matplotlib.rcParams['backend']"),
    "pyplot's backend": (
        "import matplotlib.pyplot as plt\nplt.figure()",
        "plt.switch_backend('pdf')",
        "plt.get_backend().lower()",
    ),
    "a mock": ("import json\nfrom unittest import mock", "mock.patch('json.dumps', len).start()", "json.dumps is len"),
    "a mocked attribute": (
        "import json\nfrom unittest.mock import patch",
        "p = patch.object(json.JSONDecoder, 'decode', len)\np.start()",
        "json.JSONDecoder.decode is len",
    ),
    "a mocked table": (
        "import os\nfrom unittest import mock",
        "mock.patch.dict('os.environ', ZZZ='1').start()",
        "'ZZZ' in os.environ",
    ),
    "joblib": ("import joblib", "joblib.parallel_config(n_jobs=3)", "joblib.Parallel().n_jobs"),
    "joblib's backend": (
        "import joblib",
        "joblib.parallel_backend('threading', n_jobs=2)",
        "type(joblib.Parallel()._backend).__name__",
    ),
    "csv": ("import csv", "csv.field_size_limit(77)", "csv.field_size_limit()"),
    "calendar": ("import calendar", "calendar.setfirstweekday(3)", "calendar.firstweekday()"),
    "a patched module": ("import json", "json.dumps = len", "json.dumps is len"),
    "a new name in a module": ("import math", "math.tau2 = 6", "hasattr(math, 'tau2')"),
    "a patched submodule": ("import os.path", "os.path.join = len", "os.path.join is len"),
    "builtins": ("import builtins", "builtins.print = len", "builtins.print is len"),
    "a new builtin": ("import builtins", "builtins.zzz = 1", "hasattr(builtins, 'zzz')"),
    "excepthook": ("import sys", "sys.excepthook = len", "sys.excepthook is len"),
    "int digits": ("import sys", "sys.set_int_max_str_digits(700)", "sys.get_int_max_str_digits()"),
    "trace": ("import sys", "sys.setprofile(lambda *a: None)", "sys.getprofile() is None"),
    "sklearn": ("import sklearn", "sklearn.set_config(assume_finite=True)", "sklearn.get_config()['assume_finite']"),
    "special functions": ("import scipy.special as s", "s.seterr(all='raise')", "s.geterr()['singular']"),
    "logger's attribute": (
        "import logging",
        "logging.getLogger('a.c').propagate = False",
        "logging.getLogger('a.c').propagate",
    ),
    "list of handlers": (
        "import logging",
        "logging.root.handlers.append(logging.NullHandler())",
        "len(logging.root.handlers)",
    ),
    "warnings to logs": ("import logging, warnings", "logging.captureWarnings(True)", "warnings.showwarning.__name__"),
    "a class": ("from json import JSONEncoder as E", "E.default = len", "E.default is len"),
    "a new attribute of a class": ("import textwrap as t", "t.TextWrapper.mine = 1", "hasattr(t.TextWrapper, 'mine')"),
    "setattr": ("import json", "setattr(json.JSONDecoder, 'decode', len)", "json.JSONDecoder.decode is len"),
    "setattr with a computed name": (
        "import json",
        "for name in ['decode', 'mine']:\n    setattr(json.JSONDecoder, name, len)",
        "(json.JSONDecoder.decode is len, hasattr(json.JSONDecoder, 'mine'))",
    ),
    "setattr of an object": (
        "import reprlib",
        "for name in ['maxlist', 'mine']:\n    setattr(reprlib.aRepr, name, 2)",
        "(reprlib.aRepr.maxlist, hasattr(reprlib.aRepr, 'mine'))",
    ),
    "delattr with a computed name": (
        "import string",
        "name = 'delimiter'\ndelattr(string.Template, name)",
        "hasattr(string.Template, 'delimiter')",
    ),
    "delattr": ("import string", "del string.Template.delimiter", "hasattr(string.Template, 'delimiter')"),
    "an object's attribute": ("import reprlib", "reprlib.aRepr.maxlist = 2", "reprlib.aRepr.maxlist"),
    "a property": ("import mpmath", "mpmath.mp.dps = 50", "mpmath.mp.dps"),
    "a default": ("import decimal", "decimal.DefaultContext.prec = 5", "decimal.DefaultContext.prec"),
    "an alias of an object": ("import reprlib", "r = reprlib.aRepr\nr.maxset += 5", "reprlib.aRepr.maxset"),
    "a private name": (
        "import ssl",
        "ssl._create_default_https_context = len",
        "ssl._create_default_https_context is len",
    ),
    "a module of a module": ("import os", "os.path.exists = len", "os.path.exists is len"),
    "a submodule's function": ("import numpy as np", "np.linalg.norm = len", "np.linalg.norm is len"),
    "a table": ("import mimetypes", "mimetypes.types_map['.zzz'] = 'a/b'", "mimetypes.types_map.get('.zzz')"),
    "a table's entry": (
        "import string, html.entities as h",
        "del h.name2codepoint['amp']",
        "'amp' in h.name2codepoint",
    ),
    "finders": ("import sys", "sys.path_hooks.append(len)", "len(sys.path_hooks)"),
    "arguments": ("import sys", "sys.argv[:] = ['a', 'b']", "list(sys.argv)"),
    "loaded modules": ("import sys", "sys.modules['zzz'] = sys", "'zzz' in sys.modules"),
    "collector": ("import gc", "gc.set_debug(4); gc.callbacks.append(len)", "(gc.get_debug(), len(gc.callbacks))"),
    "linker": ("import sys, os", "sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)", "sys.getdlopenflags()"),
    "group of processes": ("import os", "os.setpgid(0, 0)", "os.getpgid(0) == os.getpid()"),
    "a virtual subclass": ("import numbers", "numbers.Number.register(dict)", "isinstance({}, numbers.Number)"),
    "an accessor": (
        "import pandas as pd",
        "pd.api.extensions.register_series_accessor('mine')(len)",
        "hasattr(pd.Series, 'mine')",
    ),
    "opener": ("import urllib.request as u", "u.install_opener(u.build_opener())", "u._opener is None"),
    "adapters": ("import sqlite3 as q", "q.register_adapter(complex, str)", "len(q.adapters)"),
    "an adapter that was there": (
        "import sqlite3 as q, datetime as d\nkey = d.date, q.PrepareProtocol",
        "q.register_adapter(d.date, len)",
        "q.adapters[key] is len",
    ),
    "converters": ("import sqlite3 as q", "q.register_converter('mine', len)", "'MINE' in q.converters"),
    "time zones": ("import zoneinfo", "zoneinfo.reset_tzpath(['/none'])", "zoneinfo.TZPATH"),
    "event loop": (
        "import asyncio",
        "loop = asyncio.new_event_loop(); asyncio.set_event_loop(loop); loop.close()",
        "asyncio.get_event_loop_policy()._local._loop",
    ),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_a_task_does_to_libraries_no_other_sees(bench, name):
    load, change, look = LIBRARIES[name]
    found = values(bench.perform(f"{load}\nfound = {look}\n{change}\nfound, {look}", range(4)))
    assert [before for before, _ in found] == [found[0][0]] * 4
    assert all(before != after for before, after in found)


PATCHING = """
import json
from string import Template

def patch():
    json.JSONEncoder.default = len

class Marks:
    def set(self):
        Template.delimiter += "!"

def look():
    return json.JSONEncoder.default is len, Template.delimiter
"""


@pytest.mark.parametrize("change", ["m.patch()", "m.Marks().set()"])
def test_what_a_local_module_does_to_libraries_no_other_task_sees(bench, tmp_path, change):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "m.py").write_text(PATCHING)
    cell = f"import m\nfound = m.look()\n{change}\nfound, m.look()"
    found = values(bench.perform(cell, range(4), bundle=str(tmp_path / "bundle")))
    assert [before for before, _ in found] == [(False, "$")] * 4
    assert all(before != after for before, after in found)


READING = {
    "a method named like one of a container's": ("from scipy import stats", "stats.norm.fit([1.0, 2.0, 4.0])"),
    "adapters that pandas registers for each table": (
        "import pandas as pd, sqlite3",
        "pd.DataFrame({'a': [1]}).to_sql('t', sqlite3.connect(':memory:'))",
    ),
    "a patched function": ("import json", "json.dumps = len"),
    "the backend that is there": (
        "import matplotlib",
        "matplotlib.use('agg')\nimport matplotlib.pyplot as p\np.figure()",
    ),
    "a mock": ("import json\nfrom unittest import mock", "with mock.patch('json.dumps', len): json.dumps([])"),
    "a mock that stays": ("import json\nfrom unittest import mock", "mock.patch('json.dumps', len).start()"),
    "joblib": ("import joblib", "with joblib.parallel_config(n_jobs=3): pass"),
}


@pytest.mark.parametrize("name", READING)
def test_what_changes_nothing_for_good_keeps_the_process(bench, name):
    load, call = READING[name]
    assert len(set(values(bench.perform(f"import os\n{load}\n{call}\nos.getpid()", range(6))))) == 1


def test_a_local_modules_reading_calls_keep_the_process(bench, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "m.py").write_text("from scipy import stats\ndef fit(x):\n    return stats.norm.fit(x)\n")
    cell = "import os, m\nfitted = m.fit([1.0, 2.0])\nos.getpid()"
    assert len(set(values(bench.perform(cell, range(6), bundle=str(tmp_path / "bundle"))))) <= 2  # one that loaded it


def test_what_cannot_be_put_back_gets_each_task_a_process_of_its_own(bench):
    cell = "import os, sys\nfound = 'zzz' in sys.modules\nsys.modules['zzz'] = sys\nfound, os.getpid()"
    found = values(bench.perform(cell, range(4)))
    assert [seen for seen, _ in found] == [False] * 4
    assert len({pid for _, pid in found}) == 4


NOISE = """
import random
import numpy as np
from numpy.random import default_rng
rng = default_rng(5)
table = {"deep": [random.Random(1)]}
class Model:
    rng = np.random.RandomState(3)
    def draw(self, source=random.Random(9)): return source.random()
def closed():
    own = default_rng(8)
    return lambda: float(own.random())
inner = closed()
import collections, functools
queue, many = collections.deque([random.Random(2)]), {random.Random(3)}
objects = np.array([random.Random(4), None], dtype=object)
class Lazy:
    @functools.cached_property
    def rng(self): return random.Random(6)
lazy = Lazy()
lazy.rng
count = 0
def number():
    global count
    count += 1
    return count
seen = []
def note(x):
    seen.append(x)
    return len(seen)
"""
KEPT_IN_A_MODULE = {
    "generator": "float(noise.rng.random())",
    "in a container": "noise.table['deep'][0].random()",
    "of a class": "float(noise.Model.rng.rand())",
    "of a class, normal": "float(noise.Model.rng.randn())",
    "default": "noise.Model().draw()",
    "closure": "noise.inner()",
    "deque": "noise.queue[0].random()",
    "set": "next(iter(noise.many)).random()",
    "array of objects": "noise.objects[0].random()",
    "cached property": "noise.lazy.rng.random()",
}


def noise(tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "noise.py").write_text(NOISE)
    return str(bundle)


@pytest.mark.parametrize("load", ["import noise", "if item != 1: import noise\nelse: noise = __import__('noise')"])
@pytest.mark.parametrize("name", KEPT_IN_A_MODULE)
def test_generators_of_local_modules_have_a_stream_for_each_task(bench, tmp_path, name, load):
    source, bundle = f"{load}\n{KEPT_IN_A_MODULE[name]}", noise(tmp_path)
    drawn = values(bench.perform(source, range(5), bundle=bundle, seed=4))
    assert len(set(drawn)) == 5
    slot = bench.slot()
    bench.run(slot, bench.load(slot, source, bundle=bundle, seed=4), range(3, 5), first=3)
    assert values(bench.outcomes(slot)) == drawn[3:]


STATES = """
import abc, enum, functools
def default(x, kept=[]):
    kept.append(x)
    return len(kept)
@functools.cache
def cached(): return []
def counting(f):
    @functools.wraps(f)
    def wrapped():
        wrapped.calls += 1
        return wrapped.calls
    wrapped.calls = 0
    return wrapped
@counting
def decorated(): pass
def closed():
    n = 0
    def add():
        nonlocal n
        n += 1
        return n
    return add
add = closed()
class Called:
    def __init__(self): self.n = 0
    def __call__(self):
        self.n += 1
        return self.n
    def go(self): return self()
called = Called()
go = Called().go
part = functools.partial(default, 1)
class Outer:
    class Inner:
        kept = []
    __kept__ = []
    def method(self, kept=[]):
        kept.append(1)
        return len(kept)
class Shy:
    def __init__(self): self.n = 0
    def __getstate__(self): return {}
    def note(self):
        self.n += 1
        return self.n
shy = Shy()
class Member(enum.Enum):
    A = 1
Member.A.extra = []
flag = 1
__kept__ = []
table = {"f": lambda kept=[]: kept.append(1) or len(kept)}
@functools.singledispatch
def shown(x): return "any"
class Base(abc.ABC): pass
"""
STATE = {
    "default": "m.default(1)", "cached": "m.cached().append(1)\nlen(m.cached())", "decorated": "m.decorated()",
    "closure": "m.add()", "callable": "m.called()", "bound method": "m.go()", "partial": "m.part()",
    "nested class": "m.Outer.Inner.kept.append(1)\nlen(m.Outer.Inner.kept)", "method's default": "m.Outer().method()",
    "dunder of a class": "m.Outer.__kept__.append(1)\nlen(m.Outer.__kept__)", "shy": "m.shy.note()",
    "enum": "m.Member.A.extra.append(1)\nlen(m.Member.A.extra)", "another kind": "was = m.flag\nm.flag = True\nrepr(was)",
    "dunder": "m.__kept__.append(1)\nlen(m.__kept__)", "in a dict": "m.table['f']()",
    "singledispatch": "was = int in m.shown.registry\nm.shown.register(int, print)\nwas",
    "ABC": "was = issubclass(int, m.Base)\nm.Base.register(int)\nwas",
}  # fmt: skip


@pytest.mark.parametrize("name", STATE)
def test_what_hangs_on_the_code_of_a_local_module_no_other_task_sees(bench, tmp_path, name):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "m.py").write_text(STATES)
    found = values(bench.perform(f"import m\n{STATE[name]}", range(5), bundle=str(tmp_path / "bundle")))
    assert found == [found[0]] * 5


def test_a_local_module_that_is_only_used_costs_no_process(bench, tmp_path):
    (tmp_path / "bundle" / "pk").mkdir(parents=True)
    (tmp_path / "bundle" / "m.py").write_text(STATES.replace("shy = Shy()", ""))
    (tmp_path / "bundle" / "pk" / "__init__.py").write_text("import m\nfrom m import Outer\nhere = [Outer()]\n")
    (tmp_path / "bundle" / "pk" / "sub.py").write_text(
        "from m import Called, shown\ndef f(x): return shown(x), Called()()\n"
    )
    source = "import os, pk\nif item:\n    import pk.sub\n    pk.sub.f(item)\nos.getpid()"
    assert len(set(values(bench.perform(source, range(8), bundle=str(tmp_path / "bundle"))))) == 1


@pytest.mark.parametrize(
    "look",
    ["noise.number()", "noise.note(item)", "was = getattr(noise.Model, 'kind', None)\nnoise.Model.kind = item\nwas"],
)
def test_what_a_task_does_to_a_local_module_no_other_sees(bench, tmp_path, look):
    found = values(bench.perform(f"import noise\n{look}", range(6), bundle=noise(tmp_path)))
    assert found == [found[0]] * 6


def test_big_arrays_are_writable_and_fresh(bench, tmp_path):
    blob = tmp_path / "blob"
    array = np.zeros(300_000)
    blob.write_bytes(array.tobytes())
    slot = bench.slot()
    packed = pack({"array": array}, home={"array": array})
    assert len(packed.buffers) == 1
    envelope = Envelope(
        source="array += item\nfloat(array.sum())",
        stream=packed.stream,
        target="item",
        has_value=True,
        names=packed.names,
    )
    slot.load(
        JobCode(
            jid="j",
            envelope=envelope.to_bytes(),
            blobs=(verified(str(blob), hashlib.sha256(blob.read_bytes()).hexdigest(), blob.stat().st_size),),
        )
    )
    bench.run(slot, "j", [1, 2, 3])
    assert values(bench.outcomes(slot)) == [300_000.0, 600_000.0, 900_000.0]
    assert blob.read_bytes() == array.tobytes()


SURROUNDINGS = {
    "folder": ("os.chdir('/')", "os.getcwd()"),
    "removed folder": ("os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())", "os.getcwd()"),
    "new variable": ("os.environ['NEW'] = '1'", "os.environ.get('NEW')"),
    "changed variable": ("os.environ['PATH'] = ''", "os.environ['PATH']"),
    "deleted variable": ("del os.environ['PATH']", "os.environ['PATH']"),
    "module path": ("sys.path.insert(0, '/nowhere')", "list(sys.path)"),
    "warning filters": (
        "warnings.simplefilter('ignore')",
        "[f[:3] for f in warnings.filters if f[2] is Warning and not f[1]]",
    ),
    "numpy's error state": ("numpy.seterr(all='ignore')", "numpy.geterr()['divide']"),
    "decimal context": ("decimal.getcontext().prec = 3", "decimal.getcontext().prec"),
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_what_a_task_changes_around_it_is_put_back(bench, name):
    change, look = SURROUNDINGS[name]
    source = f"import decimal, numpy, os, sys, tempfile, warnings\nfound = {look}\n{change}\nfound"
    first, second = values(bench.perform(source, range(2)))
    assert first == second


def test_warning_filters_that_a_module_sets_when_it_is_imported_stay(bench, tmp_path):
    bundle = tmp_path / "bundle"
    with zipfile.ZipFile(bundle, "w") as file:
        file.writestr("noisy.py", "import warnings\nwarnings.filterwarnings('ignore', message='dull')\n")
    source = "import noisy, warnings\nwarnings.warn('dull', stacklevel=1)\nwarnings.warn('news', stacklevel=1)"
    for outcome in bench.perform(source, range(3), bundle=str(bundle)):
        assert "news" in outcome.output
        assert "dull" not in outcome.output


def test_an_alarm_that_a_task_leaves_behind_hurts_nobody(bench):
    source = "import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0.02) if item == 0 else time.sleep(0.05)"
    assert len(values(bench.perform(source, range(2)))) == 2


def test_setenv_is_seen_by_tasks_and_by_what_they_start(bench):
    source = "import os, subprocess\n(os.environ['TOKEN'], subprocess.check_output('printf $TOKEN', shell=True))"
    assert values(bench.perform(source, setenv=(("TOKEN", "abc"),))) == [("abc", b"abc")]


def test_the_variables_of_one_job_are_not_the_next_ones(bench):
    slot = bench.slot()
    for setenv, expected in (((("A", "1"),), ("1", None)), ((("B", "2"),), (None, "2"))):
        jid = bench.load(slot, "import os\n(os.environ.get('A'), os.environ.get('B'))", setenv=setenv)
        bench.run(slot, jid, [0])
        assert values(bench.outcomes(slot)) == [expected]


def test_local_modules_come_from_the_bundle_of_their_job(bench, tmp_path):
    slot = bench.slot()
    for number in (1, 2):
        bundle = tmp_path / f"bundle{number}"
        with zipfile.ZipFile(bundle, "w") as file:
            file.writestr("shapes/__init__.py", "from .inner import NUMBER")
            file.writestr("shapes/inner.py", f"NUMBER = {number}\n")
        jid = bench.load(slot, "import shapes\nshapes.NUMBER", bundle=str(bundle), modules=(("shapes", ""),))
        bench.run(slot, jid, [0])
        assert values(bench.outcomes(slot)) == [number]


# -- chance

DRAWS = {
    "random": "import random\nrandom.random()",
    "from random": "from random import random\nrandom()",
    "numpy": "import numpy\nfloat(numpy.random.rand())",
    "default_rng": "import numpy\nfloat(numpy.random.default_rng().random())",
    "unseeded Random": "import random\nrandom.Random().random()",
    "seed()": "import random\nrandom.seed()\nrandom.random()",
    "numpy's seed()": "import numpy as np\nnp.random.seed()\nfloat(np.random.rand())",
    "RandomState()": "import numpy as np\nfloat(np.random.RandomState().rand())",
    "two default_rng": "import numpy as np\nfloat(np.random.default_rng().random() - np.random.default_rng().random())",
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_depend_on_seed_and_task_alone(bench, name):
    source = DRAWS[name]
    together = values(bench.perform(source, range(6), seed=11))
    slot = bench.slot()
    jid = bench.load(slot, source, seed=11)
    bench.run(slot, jid, range(3), first=3)
    apart = values(bench.outcomes(slot))
    assert apart == together[3:]
    assert len(set(together)) == 6
    assert values(bench.perform(source, range(6), seed=12)) != together


DICE = """
import random
def roll():
    return random.random()
def state():  # without touching it
    return object.__getattribute__(random, "_inst").getstate()
"""


def first_draw(seed, task):
    return Random(int.from_bytes(hashlib.blake2b(f"{seed}:{task}".encode()).digest()[:16], "little")).random()


def dice(tmp_path, more=""):
    bundle = tmp_path / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "dice.py").write_text(DICE + more)
    return str(bundle)


def test_a_generator_that_no_task_before_has_used_is_the_tasks_own(bench, tmp_path):
    source = "import dice\ndice.roll() if item % 4 > 1 else None"
    drawn = values(bench.perform(source, range(12), bundle=dice(tmp_path), seed=3))
    assert drawn == [first_draw(3, task) if task % 4 > 1 else None for task in range(12)]


TAKEN = {
    "at import": ("taken = random.random\ndef use(): return taken()", "dice.use()"),
    "by import": ("from random import random as taken\ndef use(): return taken()", "dice.use()"),
    "when asked": ("def use():\n    global taken\n    taken = random.random\n    return taken()", "dice.use()"),
    "by all names": ("from random import *\nroll = random", "dice.roll()"),
    "by the dictionary": ("def use(): return vars(random)['random']()", "dice.use()"),
    "kept": ("kept = []\ndef use():\n    kept[:] = kept or [random.random]\n    return kept[0]()", "dice.use()"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_whoever_takes_the_generator_and_however_draws_the_tasks_numbers(bench, tmp_path, name):
    more, use = TAKEN[name]
    source = f"import dice\n{use} if item else None"
    drawn = values(bench.perform(source, range(4), bundle=dice(tmp_path, more), seed=3))
    assert drawn == [None, *(first_draw(3, task) for task in range(1, 4))]


def test_a_generator_that_nobody_uses_costs_no_task_anything(bench, tmp_path):
    states = values(bench.perform("import dice\nhash(dice.state())", range(3), bundle=dice(tmp_path)))
    assert len(set(states)) == 1
    states = values(
        bench.perform("import dice\ndice.roll()\nhash(dice.state())", range(3), bundle=dice(tmp_path / "b"))
    )
    assert len(set(states)) == 3


def test_ten_thousand_draws_are_ten_thousand(bench):
    source = "import random\nimport numpy as np\n(random.random(), float(np.random.rand()))"
    drawn = values(bench.perform(source, range(10_000), seed=1))
    assert len({a for a, _ in drawn}) == len({b for _, b in drawn}) == 10_000


CAPTURED = {
    "Random": ("__import__('random').Random(5)", "r.random()"),
    "Generator": ("__import__('numpy').random.default_rng(5)", "float(r.random())"),
    "RandomState": ("__import__('numpy').random.RandomState(5)", "float(r.rand())"),
    "Philox": ("__import__('numpy').random.Generator(__import__('numpy').random.Philox(5))", "float(r.random())"),
    "what a Generator spawns": ("__import__('numpy').random.default_rng(5)", "float(r.spawn(1)[0].random())"),
    "what a SeedSequence spawns": (
        "__import__('numpy').random.SeedSequence(5)",
        "int(r.spawn(2)[1].generate_state(1)[0])",
    ),
}


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("name", CAPTURED)
def test_captured_generators_are_seeded_each_with_a_stream_of_its_own(bench, name, fresh):
    make, draw = CAPTURED[name]
    captured = {"r": eval(make), "s": eval(make)}
    source = f"({draw}, {draw.replace('r.', 's.', 1) if not draw.startswith('float') else draw.replace('(r.', '(s.')})"
    drawn = values(bench.perform(source, range(4), captured=captured, fresh=fresh, seed=3))
    assert len({number for pair in drawn for number in pair}) == 8
    slot = bench.slot()
    bench.run(slot, bench.load(slot, source, captured=captured, fresh=fresh, seed=3), range(2), first=2)
    assert values(bench.outcomes(slot)) == drawn[2:]


def test_a_captured_seed_sequence_stays_what_it_is_whatever_tasks_have_spawned(bench):
    captured = {"seeds": __import__("numpy").random.SeedSequence(5, spawn_key=(1, 2))}
    source = "seeds.spawn(3)\n(seeds.entropy, seeds.spawn_key[:2], seeds.generate_state(2).tolist())"
    expected = (5, (1, 2), captured["seeds"].generate_state(2).tolist())
    assert values(bench.perform(source, range(4), captured=captured, fresh=False)) == [expected] * 4


CELLS_BEFORE = """
import collections, functools, itertools, random
import numpy as np
from random import random as draw, gauss, choice, shuffle
from numpy.random import rand, normal
from scipy.stats import norm
class Model:
    shared = np.random.default_rng(1)
    def __init__(self): self.rng = random.Random(2)
    def step(self): return self.rng.random()
    def late(self): return float(self.shared.random())
class Mine(random.Random):
    pass
class Slotted:
    __slots__ = ("rng",)
    def __init__(self): self.rng = np.random.RandomState(4)
model, mine, slotted = Model(), Mine(5), Slotted()
def make():
    own = np.random.default_rng(6)
    return lambda: float(own.random())
closed = make()
def default(source=random.Random(7)): return source.random()
def named(*, source=np.random.default_rng(8)): return float(source.random())
table = {"a": [np.random.default_rng(9)], "b": (random.Random(10),)}
bound = random.Random(11).random
numpy_bound = np.random.default_rng(12).random
part = functools.partial(random.Random(13).uniform, 0, 1)
pair = collections.namedtuple("Pair", "left right")(random.Random(14), 2)
legacy = np.random.RandomState(15)
legacy.randn()
bits = np.random.PCG64(16)
endless = iter(random.Random(17).random, 2)
plan = {"seeds": [np.random.SeedSequence(18)]}
def child(seeds=np.random.SeedSequence(19)): return np.random.default_rng(*seeds.spawn(1))
"""
CAPTURED_DRAWS = {
    "draw": "draw()", "gauss": "gauss(0, 1)", "choice": "choice(range(10**9))", "rand": "float(rand())",
    "normal": "float(normal())", "norm": "float(norm.rvs())", "frozen": "float(norm(3).rvs())",
    "attribute": "model.step()", "of a class": "model.late()", "subclass": "mine.random()",
    "slots": "float(slotted.rng.rand())", "closure": "closed()", "default": "default()", "keyword": "named()",
    "dict": "float(table['a'][0].random())", "tuple": "table['b'][0].random()", "bound": "bound()",
    "numpy's bound": "float(numpy_bound())", "partial": "part()", "namedtuple": "pair.left.random()",
    "half a pair": "float(legacy.randn())", "bits": "int(bits.random_raw())", "iterator": "next(endless)",
    "seeds": "int(plan['seeds'][0].spawn(1)[0].generate_state(1)[0])", "child": "float(child().random())",
    "grandchild": "float(child().spawn(1)[0].random())",
    "shuffle": "box = list(range(1000))\nshuffle(box)\ntuple(box)",
}  # fmt: skip


@pytest.fixture(scope="module")
def before():
    home = {"__name__": "__main__"}
    exec(CELLS_BEFORE, home)
    return home


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("name", CAPTURED_DRAWS)
def test_a_generator_draws_anew_in_each_task_wherever_it_lies(bench, before, name, fresh):
    source = CAPTURED_DRAWS[name]
    reads = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)} & before.keys()
    packed = pack({name: before[name] for name in sorted(reads)}, home=before)
    job = {"source": source, "stream": packed.stream, "names": packed.names, "target": "item", "has_value": True}

    def drawn(first, stop):
        slot = bench.slot()
        code = JobCode(jid="j", envelope=Envelope(**job).to_bytes(), seed=3, fresh=fresh)
        slot.load(code)
        bench.run(slot, "j", range(first, stop), first=first)
        return values(bench.outcomes(slot))

    together = drawn(0, 6)
    assert len(set(together)) == 6
    assert drawn(2, 4) == together[2:4]


LOADS = {
    "default_rng": "import scipy.stats, numpy as np\nfloat(np.random.default_rng().random())",
    "RandomState": "import sklearn.utils, numpy as np\nfloat(np.random.RandomState().rand())",
    "the global one": "import random, drawing\nrandom.random()",
    "numpy's global one": "import numpy as np, drawing\nfloat(np.random.rand())",
    "a cached one": "import drawing\nfloat(drawing.rng().random())",
}
DRAWING = """
import functools, random
import numpy as np
drawn = random.random(), float(np.random.rand()), np.random.default_rng()
@functools.cache
def rng(): return np.random.default_rng()
"""


@pytest.mark.parametrize("name", LOADS)
def test_what_modules_draw_when_they_are_loaded_moves_no_tasks_stream(bench, tmp_path, name):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "drawing.py").write_text(DRAWING)
    bundle = str(tmp_path / "bundle")
    together = values(bench.perform(LOADS[name], range(6), bundle=bundle, seed=7))
    slot = bench.slot()
    bench.run(slot, bench.load(slot, LOADS[name], bundle=bundle, seed=7), range(3, 6), first=3)
    assert values(bench.outcomes(slot)) == together[3:]
    assert len(set(together)) == 6


def test_what_a_module_draws_when_it_is_loaded_depends_on_the_seed_alone(bench, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "drawing.py").write_text(DRAWING)
    source, found = "import drawing\ndrawing.drawn[:2]", []
    for first, seed in ((0, 7), (3, 7), (0, 8)):
        slot = bench.slot()
        bench.run(slot, bench.load(slot, source, bundle=str(tmp_path / "bundle"), seed=seed), range(2), first=first)
        found += values(bench.outcomes(slot))
    assert len(set(found[:4])) == 1
    assert found[4] != found[0]


def test_a_local_module_called_random_is_left_alone(bench, tmp_path):
    bundle = tmp_path / "bundle"
    with zipfile.ZipFile(bundle, "w") as file:
        file.writestr("random.py", "def seed(number): raise RuntimeError\nNUMBER = 4\n")
    assert values(bench.perform("import random\nrandom.NUMBER", [0, 1], bundle=str(bundle))) == [4, 4]


# -- figures


def test_an_outcome_says_what_it_cost(bench):
    source = cell("""
        import time
        block = bytearray(60_000_000)
        end = time.process_time() + 0.05
        while time.process_time() < end: pass
    """)
    (outcome,) = bench.perform(source)
    assert outcome.wall >= outcome.cpu * 0.9
    assert outcome.cpu >= 0.05
    assert outcome.peak_mb > 60


def test_what_tasks_used_of_the_processor_is_told_also_after_brief_ones(bench):
    source = cell("""
        import time
        begun = time.process_time()
        if item == "nap": time.sleep(0.02)
        if item == "spin":
            while time.process_time() < begun + 0.02: pass
    """)
    late = bench.perform(source, ["", "spin", "nap"] * 40)[60:]
    brief, spin, nap = (min(late[kind::3], key=lambda one: one.wall) for kind in range(3))  # the least disturbed
    assert brief.cpu <= brief.wall < 0.02
    assert 0.019 <= spin.cpu <= spin.wall * 1.1
    assert nap.cpu < 0.01
    assert nap.wall >= 0.02


def test_a_slot_loads_nothing_heavy_for_plain_tasks():
    code = "import sys, burst_magic.worker.forkserver, burst_magic.worker.child.keeper\nprint(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert not loaded & {"dill", "obstore", "asyncio", "random", "ctypes", "tempfile", "IPython", "boto3"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("(n for n in [])", "the result, a generator, cannot be returned: cannot pickle 'generator' object"),
        (
            "{'a': [0, (n for n in [])]}",
            "the result's ['a'][1]: cannot pickle 'generator' object (the result is a dict)",
        ),
        (
            "class Box:\n    def __init__(self): self.client = [open('/dev/null')]\nBox()",
            "the result's .client[0]: cannot pickle 'TextIOWrapper' object (the result is a Box)",
        ),
        (
            "x = (n for n in [])\nlambda: x",
            "the result's (its global x): cannot pickle 'generator' object (the result is a function)",
        ),
        (
            "class A:\n    def __reduce__(self): raise SystemExit('never')\n[A()]",
            "the result, a list, cannot be returned: never",
        ),
        (
            "made = {}\nexec('R = type(\"R\", (), {\"__reduce__\": lambda self: 1 / 0})', made)\nmade['R']()",
            "the result, a R, cannot be returned: cannot be pickled: ZeroDivisionError: division by zero",
        ),
        (
            f"{ODD_CLASS}class R(metaclass=M):\n    def __reduce__(self): return 1 / 0\nR()",
            "the result, a R, cannot be returned: RuntimeError",
        ),
    ],
)
def test_a_result_that_cannot_travel_names_the_part(bench, source, said):
    (outcome,) = bench.perform(source)
    assert (outcome.kind, outcome.message) == (OutcomeKind.UNPICKLABLE, said)
