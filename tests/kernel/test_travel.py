"""What a cell mentions is there on the worker, and what comes back fits this kernel."""

from __future__ import annotations

import pytest

CASES = {
    "helpers that call helpers": (
        "k = 2\ndef a(x):\n    return b(x) + k\ndef b(x):\n    return x * c\nc = 10",
        "a(item)", "[12, 22]",
    ),
    "a lambda in a dict": ("ops = {'double': lambda x: x * 2}", "ops['double'](item)", "[2, 4]"),
    "a decorated, cached function": (
        "from functools import lru_cache\n@lru_cache\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)",
        "fib(item + 20)", "[10946, 17711]",
    ),
    "numpy": ("import numpy as np\ngrid = np.arange(6).reshape(2, 3)", "(grid * item).sum()", "[15, 30]"),
    "a big array": ("import numpy as np\nbig = np.ones(400_000)", "float(big[: item * 10].sum())", "[10.0, 20.0]"),
    "a big array is writable": ("import numpy as np\nbig = np.zeros(400_000)", "big[item] = 1\nfloat(big.sum())", "[1.0, 1.0]"),
    "pandas": (
        "import pandas as pd\nframe = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})",
        "frame[frame.a == item].b.iloc[0]", "['x', 'y']",
    ),
    "polars": ("import polars as pl\nframe = pl.DataFrame({'a': [1, 2]})", "frame['a'].sum() * item", "[3, 6]"),
    "top-level await": (
        "import asyncio\nasync def later(x):\n    await asyncio.sleep(0)\n    return -x",
        "await later(item)", "[-1, -2]",
    ),
    "an import in the cell": ("", "import math\nmath.factorial(item + 3)", "[24, 120]"),
    "a module of the notebook": ("import collections as co", "co.Counter('aab')['a'] * item", "[2, 4]"),
    "a name that is bound on some ways": (
        "from contextlib import suppress\nscale, table = 3, {1: 10}",
        "with suppress(KeyError):\n    scale = table[item]\nscale", "[10, 3]",
    ),
    "a name in a text": ("scale = 3", 'eval("scale * item")', "[3, 6]"),
    "a name in a query": (
        "import pandas as pd\nframe, limit = pd.DataFrame({'a': [1, 2, 3]}), 1",
        'int(frame.query("a > @limit").a.sum()) * item', "[5, 10]",
    ),
    "a name of the namespace": ("scale = 3", 'globals()["scale"] * item', "[3, 6]"),
    "a name of the main module": ("scale = 3", "import __main__\n__main__.scale * item", "[3, 6]"),
    "display": ("", "display(item, 'text')\nitem", "[1, 2]"),
    "display from IPython": ("from IPython.display import display as show\ndef f(x):\n    show(x)\n    return x", "f(item)", "[1, 2]"),
    "the kernel's output as a default": (
        "import sys\ndef report(x, file=sys.stdout):\n    print(x, file=file)\n    return x", "report(item)", "[1, 2]",
    ),
    "handlers of a log": (
        "import logging, sys\nlog = logging.StreamHandler(sys.stderr), sys.stdin, sys.__stdout__", "len(log) * item", "[3, 6]",
    ),
    "what was put among the builtins": (
        "import builtins\nbuiltins.thrice = lambda x: 3 * x\ndef f(x):\n    return thrice(x)", "f(item) + thrice(0)", "[3, 6]",
    ),
    "attrs": ("from attrs import define\n@define\nclass P:\n    x: int", "P(item).x", "[1, 2]"),
    "a closure": ("def adder(n):\n    return lambda x: x + n\nadd5 = adder(5)", "add5(item)", "[6, 7]"),
}  # fmt: skip


@pytest.mark.parametrize(("setup", "cell", "expected"), CASES.values(), ids=CASES)
def test_what_the_cell_mentions_travels(kernel, setup, cell, expected):
    if setup:
        kernel.run(setup)
    kernel.run(f'%%burst --workers 2 --map "[1, 2]" --out out\n{cell}')
    assert kernel.value(f"list(out) == {expected}") is True


CLASSES = """
from dataclasses import dataclass
from enum import Enum
from collections import namedtuple
class Color(Enum):
    RED = 1
    BLUE = 2
@dataclass
class Point:
    x: int
    color: Color
    def twice(self):
        return Point(self.x * 2, self.color)
Pair = namedtuple("Pair", "a b")
class Base:
    def __init__(self, n):
        self.n = n
class Child(Base):
    def __init__(self, n):
        super().__init__(n + 1)
points = [Point(1, Color.RED), Point(2, Color.BLUE)]
"""


def test_instances_come_back_as_instances_of_the_kernels_classes(kernel):
    kernel.run(CLASSES)
    kernel.run('%%burst --workers 2 --map "p in points" --out out\np.twice(), Pair(p, p.x), Child(p.x)')
    assert kernel.value("[type(p) is Point and type(q) is Pair and type(c) is Child for p, q, c in out]") == [True] * 2
    assert kernel.value("[p == Point(q.a.x * 2, q.a.color) for p, q, c in out]") == [True, True]
    assert kernel.value("[p.color is Color(q.b) for p, q, c in out]") == [True, True]
    assert kernel.value("[(c.n, isinstance(c, Base)) for p, q, c in out]") == [(2, True), (3, True)]


def test_modules_and_packages_beside_the_notebook_travel(start_kernel, home):
    (home.work / "lab.py").write_text("from tools.scale import scale\ndef measure(x):\n    return scale(x) + 1\n")
    (home.work / "tools").mkdir()
    (home.work / "tools" / "__init__.py").write_text("")
    (home.work / "tools" / "scale.py").write_text("from .unit import UNIT\ndef scale(x):\n    return x * UNIT\n")
    (home.work / "tools" / "unit.py").write_text("UNIT = 100\n")
    (home.work / "table.csv").write_text("7\n8\n")
    kernel = start_kernel()
    kernel.run("import lab")
    kernel.run('%%burst --workers 2 --map "[1, 2]" --out out\nlab.measure(item)')
    assert kernel.value("list(out)") == [101, 201]


def test_a_module_that_was_edited_travels_as_it_is_now(start_kernel, home):
    module = home.work / "lab.py"
    module.write_text("def f(x):\n    return x + 1\n")
    kernel = start_kernel()
    kernel.run("import lab, importlib")
    kernel.run('%%burst --workers 1 --map "[1]" --out first --name warm\nlab.f(item)')
    kernel.run("list(first)")
    module.write_text("def f(x):\n    return x + 1000\n")
    kernel.run("importlib.reload(lab)")
    kernel.run('%%burst --map "[1]" --out second --session warm\nlab.f(item)')
    assert kernel.value("list(first), list(second)") == ([2], [1001])


def test_a_generator_is_an_item_source_and_names_are_bound_as_in_for(kernel):
    kernel.run("def pairs():\n    for n in range(4):\n        yield n, chr(97 + n)")
    kernel.run('%%burst --workers 2 --map "i, (a, b) in enumerate(pairs())" --out out\ni * a, b')
    assert kernel.value("list(out)") == [(0, "a"), (1, "b"), (4, "c"), (9, "d")]


def test_an_option_with_blanks_needs_no_quotes(kernel):
    kernel.run("xs = {'k': [1, 2]}")
    kernel.run("%%burst --workers 1 --map x in [n for n in xs['k'] if n > 1] --out out\nx")
    assert kernel.value("list(out)") == [2]


def test_environment_variables_reach_tasks_and_are_masked_in_logs(kernel):
    kernel.run("import os\nos.environ['STUDY_TOKEN'] = 'tiger-in-the-night'")
    cell = kernel.run(
        '%%burst --workers 1 --map "[1]" --out out --setenv STUDY_TOKEN --setenv MODE=fast\n'
        "print('token', os.environ['STUDY_TOKEN'])\nlen(os.environ['STUDY_TOKEN']), os.environ['MODE']"
    )
    assert kernel.value("list(out)") == [(18, "fast")]
    shown = kernel.run("%burst_logs")
    assert "token" in shown.text
    assert "tiger-in-the-night" not in shown.text + cell.text


def test_python_does_the_same_as_the_magic(kernel):
    kernel.run("import burst_magic as burst\nscale = 3\ndef f(x):\n    return x * scale")
    kernel.run("session = burst.map(f, range(4), workers=2, name='python')")
    assert kernel.value("session.results() == [0, 3, 6, 9], session.wait() is session") == (True, True)
    assert kernel.value("sorted(session.as_completed())") == [(0, 0), (1, 3), (2, 6), (3, 9)]
    assert kernel.value("burst.attach(session.id).results()[:]") == [0, 3, 6, 9]
    assert kernel.value("[row.name for row in burst.sessions()]") == ["python"]
    assert kernel.value("burst.map(f, [5], session='python').results()[:]") == [15]
    refused = kernel.run("burst.map(f, [5], session=session, workers=3)", ok=False)
    assert "workers: fixed when the session starts" in refused.message


def test_map_hides_no_name_of_the_notebook(kernel):
    kernel.run("import burst_magic as burst\nitem, function = 5, 7")
    kernel.run("session = burst.map(lambda x: x + item + function, [1, 2], workers=1)")
    assert kernel.value("session.results().collect() == [13, 14]") is True


def test_map_says_what_a_cell_would_say(kernel):
    kernel.run("import burst_magic as burst\nkeys = {'password': 'tiger-in-the-night'}")
    said = kernel.run("session = burst.map(lambda x: len(keys['password']), [1], workers=1)").text
    assert "keys['password'] looks like a secret" in said
    assert kernel.value("session.results().collect()") == [18]


def test_a_dry_run_names_chance_that_no_seed_reaches(kernel):
    shown = kernel.run("%%burst --map range(2) --dry-run\nimport uuid\nuuid.uuid4().hex").text
    assert "uuid4 uses the system's entropy: --seed does not reach it" in shown
