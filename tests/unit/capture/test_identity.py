"""An item that is part of a captured value is that part on the worker, at any depth and also inside items."""

import numpy as np
import pytest

from burst_magic.capture.cell import with_needs
from burst_magic.payload import pack_value
from burst_magic.payload.nans import named_in
from burst_magic.payload.notes import Needs
from burst_magic.payload.parts import Parts

SETUP = """
import collections, itertools, threading
import numpy as np
class Node:
    def __init__(self, n): self.n, self.next = n, None
    def rank(self): return nodes.index(self)
nodes = [Node(i) for i in range(4)]
for a, b in zip(nodes, nodes[1:]): a.next = b
teams = [tuple('ab'), tuple('ab'), tuple('c')]
by_name = {'x': [1], 'y': [1]}
deep = {'level': [{'nodes': nodes}]}
arrays = [np.zeros(3), np.zeros(3)]
lists = [[], []]
def find(node): return nodes.index(node)
class Graph:
    def __init__(self): self.nodes = nodes
    def find(self, node): return self.nodes.index(node)
graph = Graph()
"""

CASES = {
    "tuples that are equal": ("t in teams", "[o is t for o in teams].index(True), sum(o is t for o in teams)", [(0, 1), (1, 1), (2, 1)]),
    "objects": ("nodes", "nodes.index(item)", [0, 1, 2, 3]),
    "numbered": ("i, node in enumerate(nodes)", "nodes.index(node) == i", [True] * 4),
    "pairs": ("pair in itertools.combinations(nodes, 2)", "[nodes.index(n) for n in pair]", [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]),
    "items of a dict": ("k, v in by_name.items()", "by_name[k] is v", [True, True]),
    "deep in a captured value": ("nodes", "deep['level'][0]['nodes'].index(item)", [0, 1, 2, 3]),
    "deep in an item": ("[{'a': [(n, [n])]} for n in nodes]", "item['a'][0][0] is item['a'][0][1][0] is nodes[item['a'][0][0].n]", [True] * 4),
    "reached through another object": ("nodes[:3]", "item.next is nodes[item.n + 1]", [True] * 3),
    "arrays": ("arrays", "item += 1\n[a is item for a in arrays], float(sum(map(np.sum, arrays)))", [([True, False], 3.0), ([False, True], 3.0)]),
    "a part of an item that is new": ("[[t, n] for t, n in zip(teams, nodes)]", "any(item[0] is t for t in teams) and item[1] in nodes", [True] * 3),
    "empty lists": ("lists", "item.append(1)\nlists", [[[1], []], [[], [1]]]),
    "by way of a helper": ("nodes", "find(item)", [0, 1, 2, 3]),
    "by way of a method of the item": ("nodes", "item.rank()", [0, 1, 2, 3]),
    "by way of an object": ("nodes", "graph.find(item)", [0, 1, 2, 3]),
    "the captured value itself": ("[teams, nodes]", "item is teams, item is nodes", [(True, False), (False, True)]),
}  # fmt: skip


@pytest.mark.parametrize(("items", "cell", "expected"), CASES.values(), ids=CASES)
def test_an_item_is_the_part_that_it_is_here(notebook, items, cell, expected):
    notebook.run(SETUP)
    assert notebook.burst(cell, items) == expected


def test_a_function_over_parts_of_what_it_mentions_finds_them(notebook):
    notebook.run(SETUP)
    assert notebook.call(notebook["find"], notebook["nodes"]) == [0, 1, 2, 3]


def test_each_task_has_its_own_copy_of_both(notebook):
    notebook.run("boxes = [[0], [0]]")
    assert notebook.burst("item[0] += 1\nsum(map(sum, boxes))", "boxes + boxes") == [1, 1, 1, 1]
    assert notebook["boxes"] == [[0], [0]]


def test_a_result_that_is_a_captured_part_is_a_copy(notebook):
    notebook.run("boxes = [[0], [0]]")
    (back, _) = notebook.burst("assert item in boxes\nitem", "boxes")
    assert back == [0]
    assert back is not notebook["boxes"][0]


def items_of(notebook, cell, map_expr):
    capture, needs = notebook.capture(cell, map_expr=map_expr), Needs()
    parts = Parts(capture.packed, home=capture.home, needs=needs)
    return [parts.pack(item) for item in capture.items], needs, capture


def test_a_big_array_that_is_a_part_is_not_sent_with_each_item(notebook):
    notebook.run("import numpy as np\nbig = [np.zeros(200_000), np.ones(200_000)]")
    items, needs, _ = items_of(notebook, "len(big), float(item.sum())", "big * 3")
    assert max(map(len, items)) < 100
    assert len(needs.parts) == 2
    assert notebook.burst("len(big), float(item.sum())", "big") == [(2, 0.0), (2, 200_000.0)]


@pytest.mark.parametrize(
    ("setup", "cell", "items"),
    [
        ("", "item", "range(9)"),
        ("xs = [(1, 'a'), (2, 'b')]", "item", "xs"),
        ("xs = ['a', 'bc', b'd', 1.5, None, True]\nys = {'a': 1}", "xs, ys, item", "xs"),
        ("import numpy as np\na = np.zeros(3)", "a, item", "[np.ones(3), np.zeros(2)]"),
        ("def f(x): return x\nclass A: pass\na = A()", "f, A, a, item", "[f, A, A()]"),
    ],
)
def test_items_that_share_nothing_but_atoms_and_names_are_packed_as_ever(notebook, setup, cell, items):
    notebook.run(setup)
    packed, needs, capture = items_of(notebook, cell, items)
    assert needs.parts == []
    assert packed == [pack_value(item, home=capture.home, needs=Needs()) for item in capture.items]


def test_a_generator_that_is_an_item_is_told_from_the_captured_ones(notebook):
    from burst_magic.payload import unpack

    notebook.run("""
import random
import numpy as np
class Sim:
    def __init__(self, seed): self.rng = random.Random(seed)
sims = [Sim(1), Sim(2)]
rng = np.random.default_rng(3)
other = random.Random(4)
""")
    _, needs, capture = items_of(notebook, "sims, rng, other, item", "[sims[1], rng]")
    packed = with_needs(capture, needs).packed
    home = {"__name__": "__main__"}
    found = unpack(packed.stream, packed.buffers, home=home)
    assert found.parts == [home["sims"][1], home["rng"]]
    assert dict(found.generators) == {
        "other": home["other"],
        "sims": home["sims"][0].rng,
    }


def test_a_row_of_a_captured_frame_is_still_a_row(notebook):
    notebook.run("import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': [3., 4.]})")
    assert notebook.burst("row.a + row.b, len(df)", "i, row in df.iterrows()") == [(4.0, 2), (6.0, 2)]
    assert np.isclose(notebook.burst("sum(row.a for _, row in df.iterrows())"), 3)


NANS = {
    "in a list": ("xs = [1.0, np.nan, 3.0]", "np.nan in xs, xs.index(np.nan)", (True, 1)),
    "as a key": ("d = {math.nan: 'm', 1: 'a'}", "d.get(math.nan), np.nan in d", ("m", False)),
    "as a default": ("def f(x=np.nan): return x is np.nan", "f(), f(float('nan'))", (True, False)),
    "of the notebook's own": ("gone = float('nan')\nxs = [gone, np.nan]", "[x is gone for x in xs]", [True, False]),
    "imported": ("from numpy import nan\nxs = {'a': (nan,)}", "nan in xs['a'], xs['a'][0] is np.nan", (True, True)),
    "in a frame": ("import pandas as pd\ncol = pd.Series(['a', np.nan], dtype=object)", "col[1] is np.nan", True),
}


@pytest.mark.parametrize(("setup", "cell", "expected"), NANS.values(), ids=NANS)
def test_a_nan_is_found_where_it_is_found_in_the_notebook(notebook, setup, cell, expected):
    notebook.run(f"import math, numpy as np\n{setup}")
    assert eval(cell, notebook.home) == expected
    assert notebook.burst(cell) == expected


def test_a_nan_among_the_items_is_the_one_that_the_code_knows(notebook):
    notebook.run("import math, numpy as np\ngone = float('nan')\nrows = [[1.0, np.nan], [math.nan, 2.0]]")
    assert notebook.burst("item is np.nan", map_expr="[1.0, np.nan, math.nan]") == [False, True, False]
    assert notebook.burst("np.nan in item, math.nan in item", map_expr="rows") == [(True, False), (False, True)]
    assert notebook.burst("item is np.nan, rows[0][1] is np.nan", map_expr="rows[0]") == [(False, True), (True, True)]
    assert notebook.burst("item is gone, gone", map_expr="[gone, 1.0, np.nan]")[0][0] is True
    assert notebook.burst("item is gone", map_expr="[gone, 1.0, np.nan]") == [True, False, False]
    assert notebook.burst("gone in item", map_expr="[[1, gone], [np.nan]]") == [True, False]


def test_a_nan_among_the_items_is_the_one_that_the_cell_imports(notebook):
    notebook.run("import math\nimport numpy")
    assert notebook.burst("import numpy as np\nitem is np.nan", map_expr="[numpy.nan, 1.0, math.nan]") == [
        True, False, False,
    ]  # fmt: skip


HELPING = """
import numpy as np

def gaps(values):
    return [value is np.nan for value in values]
"""


def test_a_nan_is_the_one_that_local_code_knows(notebook, tmp_path, monkeypatch):
    (tmp_path / "nan_helper.py").write_text(HELPING)
    monkeypatch.syspath_prepend(str(tmp_path))
    notebook.run("import numpy as np, nan_helper\nfrom nan_helper import gaps\nxs = [np.nan, float('nan'), 1.0]")
    assert (
        notebook.burst("gaps(xs)") == notebook.burst("import nan_helper\nnan_helper.gaps(xs)") == [True, False, False]
    )
    assert notebook.burst("gaps([item])", map_expr="xs") == [[True], [False], [False]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"x is np.nan", "nan"),
        (b"from numpy import inf, nan", "nan"),
        (b"from numpy import (\n    inf,\n    NaN,\n)", "NaN"),
        (b"# all that is nan\nx.nanmean()", ""),
    ],
)
def test_modules_that_name_a_nan(source, expected):
    assert named_in(source) == expected


def test_who_asks_for_no_nan_pays_for_none(notebook):
    notebook.run("import numpy as np\nxs = [1.0, np.nan]")
    assert b"G\x7f\xf8" in notebook.capture("sum(xs)").packed.stream
    assert b"G\x7f\xf8" not in notebook.capture("np.nan in xs").packed.stream
