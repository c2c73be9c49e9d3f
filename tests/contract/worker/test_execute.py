"""Cells in slots: values, failures, and that each task starts as if it were the only one."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest

from burst_magic.errors import TaskFailed
from burst_magic.payload import Envelope, pack, unpack_value
from burst_magic.protocol.model import OutcomeKind
from burst_magic.worker.blobs import verified
from burst_magic.worker.board import JobCode


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
    assert [o.message for o in outcomes] == ["module no_such_thing.part (1.2) is not on the worker"] * 2


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


def test_values_that_are_loaded_once_keep_what_tasks_did_to_them(bench):
    assert values(bench.perform("box.append(item)\nlen(box)", range(3), captured={"box": []}, fresh=False)) == [1, 2, 3]


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
            blobs=(verified(str(blob), hashlib.sha256(blob.read_bytes()).hexdigest()),),
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


def test_ten_thousand_draws_are_ten_thousand(bench):
    source = "import random\nimport numpy as np\n(random.random(), float(np.random.rand()))"
    drawn = values(bench.perform(source, range(10_000), seed=1))
    assert len({a for a, _ in drawn}) == len({b for _, b in drawn}) == 10_000


CAPTURED = {
    "Random": ("__import__('random').Random(5)", "r.random()"),
    "Generator": ("__import__('numpy').random.default_rng(5)", "float(r.random())"),
    "RandomState": ("__import__('numpy').random.RandomState(5)", "float(r.rand())"),
    "Philox": ("__import__('numpy').random.Generator(__import__('numpy').random.Philox(5))", "float(r.random())"),
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


def test_a_slot_loads_nothing_heavy_for_plain_tasks():
    code = "import sys, burst_magic.worker.template, burst_magic.worker.child\nprint(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert not loaded & {"dill", "obstore", "asyncio", "random", "ctypes", "tempfile", "IPython", "boto3"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("(n for n in [])", "the result, a generator, cannot be sent back: cannot pickle 'generator' object"),
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
            "the result, a list, cannot be sent back: never",
        ),
    ],
)
def test_a_result_that_cannot_travel_names_the_part(bench, source, said):
    (outcome,) = bench.perform(source)
    assert (outcome.kind, outcome.message) == (OutcomeKind.UNPICKLABLE, said)
