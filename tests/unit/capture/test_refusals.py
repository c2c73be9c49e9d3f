"""What cannot travel is refused with its path, reason and line, before anything is stored (issue 2, point 5)."""

import pytest

from burst_magic.capture import capture_call
from burst_magic.errors import CaptureError


def refusal(notebook, cell, **options):
    with pytest.raises(CaptureError) as refused:
        notebook.capture(cell, **options)
    return refused.value.problem


CONFIG = """
import socket, threading
class Thing: pass
class Slotted:
    __slots__ = ('conn',)
cfg = Thing()
cfg.name = 'x'
cfg.client = Thing()
cfg.client._sock = socket.socket()
sock = cfg.client._sock
def close(): sock.close()
"""


@pytest.fixture
def sockets(notebook):
    notebook.run(CONFIG)
    yield notebook
    notebook["sock"].close()


def test_an_attribute_of_an_attribute_is_named_with_its_line(sockets):
    assert refusal(sockets, "x = 1\n\ncfg.client") == "cfg.client._sock: cannot pickle 'socket' object (used in line 3)"


def test_what_a_helper_uses_is_named_with_the_line_that_needs_the_helper(sockets):
    assert refusal(sockets, "1\nclose()") == "sock: cannot pickle 'socket' object (used by close, which line 2 needs)"


def test_an_element_of_a_container_is_named(sockets):
    sockets.run("deep = {'a': [1, (2, {'k': sock})]}\npair = {1: 2, (3, sock): 4}\nmany = [sock]")
    assert refusal(sockets, "deep").startswith("deep['a'][1][1]['k']: cannot pickle 'socket'")
    assert refusal(sockets, "many").startswith("many[0]: cannot pickle 'socket'")
    assert refusal(sockets, "pair").startswith("pair key (3, <socket")


def test_a_slot_a_closure_and_a_default_are_named(sockets):
    sockets.run(
        "s = Slotted(); s.conn = sock\n"
        "def outer():\n    inside = sock\n    def f(): return inside\n    return f\n"
        "closed = outer()\n"
        "def late(x, s=sock): return x\n"
        "bound = cfg.client.__class__.__str__\n"
    )
    assert refusal(sockets, "s").startswith("s.conn: cannot pickle 'socket'")
    assert refusal(sockets, "closed()").startswith("closed (its variable inside): cannot pickle 'socket'")
    assert refusal(sockets, "late(1)").startswith("late (default of s): cannot pickle 'socket'")


def test_a_class_attribute_is_named(sockets):
    sockets.run("class Shared:\n    pool = [sock]\nx = Shared()")
    assert refusal(sockets, "Shared()").startswith("Shared.pool[0]: cannot pickle 'socket'")
    assert ".pool[0]: cannot pickle 'socket'" in refusal(sockets, "x")


def test_a_cycle_does_not_hide_the_culprit(sockets):
    sockets.run("cfg.me = cfg\ncfg.client.parent = cfg")
    assert refusal(sockets, "cfg") == "cfg.client._sock: cannot pickle 'socket' object (used in line 1)"


def test_open_files_and_generators_are_refused(notebook, tmp_path):
    notebook.run(f"f = open({str(tmp_path / 'x')!r}, 'w')\ng = (i for i in [1])\nclass A: pass\na = A(); a.f = f")
    assert refusal(notebook, "f.write('x')") == "f: cannot pickle 'TextIOWrapper' object (used in line 1)"
    assert refusal(notebook, "list(g)") == "g: cannot pickle 'generator' object (used in line 1)"
    assert refusal(notebook, "a").startswith("a.f: cannot pickle")
    notebook["f"].close()


def test_an_object_that_refuses_by_itself_is_named_with_its_own_words(notebook):
    notebook.run("class No:\n    def __reduce__(self): raise ValueError('not me')\nbox = {'n': No()}")
    assert refusal(notebook, "box") == "box['n']: cannot be pickled: ValueError: not me (used in line 1)"


def test_an_object_nested_without_end_is_refused(notebook):
    notebook.run("deep = []\nfor _ in range(100_000): deep = [deep]")
    assert "nested too deeply" in refusal(notebook, "deep")
    notebook.run("while deep: deep = deep[0]")


def test_an_undefined_name_is_refused_with_its_line_and_the_nearest_name(notebook):
    notebook.run("scale = 1")
    assert refusal(notebook, "x = 1\ny = 2\nscal * 2") == "'scal' is not defined (line 3); did you mean 'scale'?"
    assert refusal(notebook, "prnit(1)") == "'prnit' is not defined (line 1); did you mean 'print'?"
    assert refusal(notebook, "qqqqq") == "'qqqqq' is not defined (line 1)"
    assert refusal(notebook, "def f(): return scal\nf()") == "'scal' is not defined (line 1); did you mean 'scale'?"


def test_a_short_name_is_not_guessed_and_without_map_may_be_what_it_binds(notebook):
    notebook.run("import math as pd\nxs = [1]")
    with pytest.raises(CaptureError) as refused:
        notebook.capture("d * 2")
    assert refused.value.problem == "'d' is not defined (line 1)"
    assert refused.value.way_out == 'if d is to be each item of something: --map "d in …"'
    with pytest.raises(CaptureError) as refused:
        notebook.capture("d * 2", map_expr="x in xs")
    assert not refused.value.way_out


def test_an_item_without_map_is_what_map_binds(notebook):
    with pytest.raises(CaptureError) as refused:
        notebook.capture("1\nitem ** 2")
    assert refused.value.problem == "'item' is not defined (line 2)"
    assert refused.value.way_out == "--map binds item: add --map xs"
    with pytest.raises(CaptureError, match="'item' is not defined") as refused:
        notebook.capture("item", map_expr="i, x in [(1, 2)]")
    assert refused.value.way_out == "--map binds i, x here, not item"
    notebook.run("item = 3")
    assert notebook.burst("item ** 2") == 9


def test_a_syntax_error_is_refused_with_its_line(notebook):
    assert refusal(notebook, "x = 1\ny = = 2").startswith("syntax error in line 2: ")
    assert refusal(notebook, "x = 1\n\nreturn x").startswith("syntax error in line 3: 'return' outside function")


def test_history_and_ipython_are_refused(notebook):
    notebook.run("In = ['']\nOut = {}\n_ = 5\ndef get_ipython(): pass\nexit = 1")
    assert refusal(notebook, "1\nOut[3]") == "'Out' is the notebook's history and is not sent to workers (line 2)"
    assert refusal(notebook, "get_ipython().user") == "get_ipython() cannot be used (line 1)"
    assert notebook.burst("_ + 1") == 6


def test_a_map_that_is_not_iterable_or_raises_is_refused(notebook):
    notebook.run("n = 5")
    assert refusal(notebook, "item", map_expr="n") == "--map n: 'int' object is not iterable"
    assert refusal(notebook, "item", map_expr="1 / 0") == "--map 1 / 0: ZeroDivisionError: division by zero"
    assert refusal(notebook, "item", map_expr="nope") == "--map nope: NameError: name 'nope' is not defined"
    assert refusal(notebook, "item", map_expr="x in").startswith("--map x in: ")
    assert refusal(notebook, "item", map_expr="a.b in [1]") == "--map a.b in [1]: items can be bound to names only"


def test_a_call_of_what_cannot_be_called_or_iterated_is_refused(notebook):
    with pytest.raises(CaptureError, match="not callable"):
        capture_call(3, [1], namespace=notebook.home)
    with pytest.raises(CaptureError, match="'int' object is not iterable"):
        capture_call(len, 3, namespace=notebook.home)


def test_what_the_cell_defines_itself_is_not_captured_and_not_refused(sockets):
    assert sockets.burst("sock = 3\ndef g(): return sock\ng()") == 3
    assert sockets.burst("def g(): return sock\nsock = 4\ng()") == 4


def test_a_helper_s_undefined_name_is_its_own_affair(notebook):
    notebook.run("def f(x): return x if x else later")
    assert notebook.burst("f(1)") == 1


def test_a_helper_that_asks_for_ipython_loses_it_with_a_warning(notebook):
    notebook.run(
        "def get_ipython(): return 1\n"
        "def f():\n    try:\n        return get_ipython()\n    except NameError:\n        return 'none'"
    )
    assert notebook.burst("f()") == "none"
    assert notebook.capture("f()").warnings == ("get_ipython has no effect on a worker and is ignored (used by f)",)


def test_a_mapped_cell_without_a_value_is_warned_about(notebook):
    assert notebook.capture("x = item", map_expr="[1]").warnings == (
        "the cell does not end with an expression: every result will be None",
    )
    assert notebook.capture("item", map_expr="[1]").warnings == ()
    assert notebook.capture("x = 1").warnings == ()
    assert not notebook.capture("x = 1").has_value


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("for x in xs:\n    print(x)", '"x in xs"'),
        ("import math\nfor i, x in enumerate(xs):\n    math.sqrt(x)", '"(i, x) in enumerate(xs)"'),
        (f"for x in [{', '.join(map(str, range(100)))}]:\n    pass", '"x in xs"'),
    ],
)
def test_a_loop_at_the_end_of_a_cell_without_map_is_told_what_map_is_for(notebook, cell, said):
    notebook.run("xs = [1, 2]")
    (warning,) = notebook.capture(cell).warnings
    assert f"--map {said}, without the loop" in warning
    assert f"line {len(cell.splitlines()) - 1}: the loop runs in one task" in warning


@pytest.mark.parametrize("cell", ["t = 0\nfor x in xs:\n    t += x\nt", "while xs:\n    break", "[x for x in xs]"])
def test_a_loop_whose_result_is_returned_is_no_mistake(notebook, cell):
    notebook.run("xs = [1, 2]")
    assert notebook.capture(cell).warnings == ()


def test_large_values_are_warned_about(notebook):
    notebook.run("import numpy as np\nbig = np.zeros(2_000_000)\nsmall = 1")
    assert notebook.capture("small\nbig").warnings == ("big is 16 MB (used in line 2)",)


def test_columns_instead_of_rows_are_warned_about(notebook):
    notebook.run("import pandas as pd\ndf = pd.DataFrame({'a': [1]})")
    assert "for rows, use --map i, row in df.iterrows()" in notebook.capture("item", map_expr="df").warnings[0]


def test_modules_that_are_not_here_are_warned_about_unless_the_cell_expects_it(notebook):
    assert notebook.capture("import no_such_module_x\n1").warnings == (
        "module 'no_such_module_x' is not installed here (line 1)",
    )
    assert notebook.capture("try:\n    import no_such_module_x\nexcept ImportError:\n    pass\n1").warnings == ()


def test_objects_that_the_cell_changes_are_named(notebook):
    notebook.run("a = []; b = {}; c = type('C', (), {})(); d = [1]; e = 5; f = {1}; g = []; h = [[]]")
    cell = "a.append(1)\nb['k'] = 2\nc.x = 1\nd += [2]\ne += 1\ndef fun(): f.add(2)\nfun()\ng = []\ng.append(1)\nh[0].sort()\nlen(a)"
    assert set(notebook.capture(cell).mutated) == {"a", "b", "c", "d", "f", "h"}
    assert notebook.capture("len(a), b.get(1)").mutated == ()


def test_objects_that_a_helper_changes_are_named(notebook):
    notebook.run(
        "a = []; b = {}; c = type('C', (), {})(); d = {}; e = []; f = 1\n"
        "def one(x):\n    a.append(x)\n    b[x] = 1\n    c.x = x\n    def inner(): del d[x]\n    return e, f, b[x]\n"
    )
    assert set(notebook.capture("one(1)").mutated) == {"a", "b", "c", "d"}


def test_names_that_only_items_need_say_so(notebook):
    from burst_magic.capture.cell import with_needs
    from burst_magic.payload.notes import Needs

    notebook.run("class A: pass\nk = 2\ndef f(x): return x * k")
    capture = with_needs(notebook.capture("item", map_expr="[A()]"), Needs(names={"A"}, modules={"json"}))
    assert [(entry.name, entry.why) for entry in capture.entries] == [("A", "used by the items")]
    assert with_needs(capture, Needs(names={"A"})) is capture


def test_every_captured_name_has_an_entry_with_size_lines_and_reason(notebook):
    notebook.run("import math\nscale = 2\ndef helper(x): return math.sqrt(x) * scale\nclass K: pass\nk = K()")
    entries = {entry.name: entry for entry in notebook.capture("helper(1)\nK, k\nhelper(2)").entries}
    assert {name: entry.kind for name, entry in entries.items()} == {
        "math": "module", "helper": "function", "scale": "value", "K": "class", "k": "value",
    }  # fmt: skip
    assert entries["helper"].lines == (1, 3)
    assert entries["scale"].why == "used by helper, which line 1 needs"
    assert entries["k"].type == "K"
    assert all(entry.size > 0 for entry in entries.values())


def test_a_lock_that_travels_as_a_new_one_is_named(notebook):
    notebook.run(
        "import threading\nguard = threading.Lock()\n"
        "class Box:\n    def __init__(self): self.guard = threading.RLock()\nbox = Box()\nplain = [1]"
    )
    assert notebook.capture("guard, box, plain").warnings == (
        "guard: each task gets a new lock, which does not exclude other tasks",
        "box: each task gets a new RLock, which does not exclude other tasks",
    )


def test_a_cache_whose_results_do_not_travel_is_named(notebook):
    notebook.run(
        "import functools\n@functools.lru_cache(maxsize=8)\ndef used(x): return [x]\n@functools.cache\ndef unused(x): return [x]\n"
        "class Loader:\n    @functools.cache\n    def load(self): return [1]\nused(1)\nloader = Loader()\nloader.load()"
    )
    said = "each task gets a new cache, without the results that it has in the notebook"
    assert notebook.capture("used(1), unused(1), loader.load()").warnings == (f"used: {said}", f"loader: {said}")


PURE = {
    "a recursion": "def f(n): return n if n < 2 else f(n - 1) + f(n - 2)",
    "with Python's own": "def f(n): return max((f(k) for k in range(n)), default=0) + 1",
    "with math": "import math\ndef f(n): return math.sqrt(n)",
}
IMPURE = {
    "a global": "rate = 2\ndef f(n): return n * rate",
    "chance": "import random\ndef f(n): return random.random()",
    "a list": "def f(n): return [n]",
    "a comprehension": "def f(n): return [k for k in range(n)]",
    "a default": "def f(n, seen=[]): return len(seen)",
    "a name that hides Python's own": "max = print\ndef f(n): return max(n)",
    "a global that is set": "def f(n):\n    global count\n    count = n",
    "a method": "def f(n): return n.real",
}


@pytest.mark.parametrize("code", PURE.values(), ids=PURE)
def test_nothing_is_said_of_a_cache_of_what_can_only_be_computed_again(notebook, code):
    notebook.run(f"import functools\n{code}\nf = functools.cache(f)\nf(5)")
    assert notebook.capture("f(1)").warnings == ()


@pytest.mark.parametrize("code", IMPURE.values(), ids=IMPURE)
def test_a_cache_may_hold_what_a_new_call_would_not_give(notebook, code):
    notebook.run(f"import functools\n{code}\nf = functools.cache(f)\nf(5)")
    assert any("each task gets a new cache" in text for text in notebook.capture("f(1)").warnings)


def test_no_items_are_said_before_nothing_runs(notebook):
    assert notebook.capture("item", map_expr="[]").warnings == ("--map has no items: nothing to run",)
    assert notebook.capture("item", map_expr="[0]").warnings == ()


def test_a_misspelt_name_in_map_is_guessed(notebook):
    with pytest.raises(CaptureError, match=r"name 'ranje' is not defined; did you mean 'range'\?"):
        notebook.capture("item", map_expr="ranje(4)")


def test_what_ipython_puts_in_place_of_a_builtin_stays_here(notebook, tmp_path):
    from IPython.core.interactiveshell import _modified_open

    path = tmp_path / "text"
    path.write_text("there")
    notebook.home["open"] = _modified_open
    notebook.run(f"def read(): return open({str(path)!r}).read()")
    assert [entry.name for entry in notebook.capture(f"open({str(path)!r}), read()").entries] == ["read"]
    assert notebook.capture("open, read()").modules == ()
    assert notebook.burst(f"open({str(path)!r}).read(), read()") == ("there", "there")
    notebook.run("def open(path): return 'mine'")
    assert notebook.burst("open('x')") == "mine"


def test_what_may_not_be_needed_and_cannot_travel_is_left_out_with_a_note(notebook):
    notebook.run("from contextlib import suppress\nlog = (n for n in ())\ndef f(): return log")
    capture = notebook.capture("with suppress(KeyError):\n    log = item\nlog", map_expr="range(2)")
    assert "log" not in capture.packed.sizes
    assert any(
        text.startswith("log: cannot pickle 'generator' object (used in line 3): not sent") for text in capture.warnings
    )
    assert notebook.burst("with suppress(KeyError):\n    log = item\nlog", map_expr="range(2)") == [0, 1]
    with pytest.raises(CaptureError, match="log: cannot pickle"):
        notebook.capture("log\nlog = 1")
    with pytest.raises(CaptureError, match="log: cannot pickle"):
        notebook.capture("with suppress(KeyError):\n    log = 1\nlog, f()")


def test_a_value_that_is_left_out_is_refused_when_an_item_asks_for_it(notebook):
    notebook.run("from contextlib import suppress\nlog = (n for n in ())\ndef f(): return log")
    with pytest.raises(CaptureError, match="log: cannot pickle"):
        notebook.burst("with suppress(KeyError):\n    log = 1\nlog", map_expr="[f]")


def test_names_bound_in_files_are_the_cells_own(notebook):
    notebook.run("big = bytes(1000)\nimport warnings, numpy as np")
    cell = "with open('/dev/null') as file, np.errstate(all='ignore'), warnings.catch_warnings():\n    big = file.read()\nbig"
    assert "big" not in notebook.capture(cell).packed.sizes
    notebook.run("open = warnings.catch_warnings")
    notebook.run("def catch_warnings(): ...\nwarnings.hold = catch_warnings")
    assert "big" in notebook.capture("with warnings.hold():\n    big = 1\nbig").packed.sizes


NOTHING = {
    "a list": ("results.append(item)", "results.append(…)"),
    "a list in a dict": ("store['a'].append(item)", "store['a'].append(…)"),
    "a list in an object": ("box.items.append(item)", "box.items.append(…)"),
    "a dict": ("out = {}\nout.update(a=1)", "out.update(…)"),
    "a set of the cell": ("seen = set()\nseen.add(item)", "seen.add(…)"),
    "a deque": ("queue.appendleft(item)", "queue.appendleft(…)"),
    "a subclass": ("mine.append(item)", "mine.append(…)"),
    "shuffle": ("random.shuffle(results)", "random.shuffle(…)"),
    "shuffle by name": ("shuffle(results)", "shuffle(…)"),
    "numpy's shuffle": ("np.random.shuffle(array)", "np.random.shuffle(…)"),
    "a module that the cell imports": ("import numpy.random as r\nr.shuffle(array)", "r.shuffle(…)"),
    "a generator's shuffle": ("rng.shuffle(results)", "rng.shuffle(…)"),
    "a heap": ("from heapq import heappush\nheappush(results, item)", "heappush(…)"),
    "a function under another name": ("from heapq import heappush as hp\nhp(results, item)", "hp(…)"),
    "bisect": ("bisect.insort(results, item)", "bisect.insort(…)"),
    "setattr": ("setattr(box, 'a', item)", "setattr(…)"),
    "sort": ("results.sort()", "results.sort(…)"),
    "an array's sort": ("array.sort()", "array.sort(…)"),
    "inplace": ("df.dropna(inplace=True)", "df.dropna(…)"),
    "an alias": ("push(item)", "push(…)"),
    "a condition": ("item and results.append(item)", "results.append(…)"),
    "an expression of two ways": ("results.append(item) if item else None", "results.append(…)"),
    "a comprehension": ("[results.append(i) for i in range(item)]", "results.append(…)"),
    "a helper": ("keep(item)", "keep(…)"),
    "a method of the notebook's class": ("mine.keep(item)", "mine.keep(…)"),
    "a function of the cell": ("def put(x): results.append(x)\nput(item)", "put(…)"),
    "a coroutine": ("await later(item)", "later(…)"),
    "a value that is not there": ("results.append(item) or None", "results.append(…)"),
    "a generator of the cell": ("g = np.random.default_rng()\ng.shuffle(array)", "g.shuffle(…)"),
    "an array of the cell": ("x = np.arange(3)\nx.sort()", "x.sort(…)"),
    "an item's place": ("results.__setitem__(0, item)", "results.__setitem__(…)"),
    "what the cell makes somehow": ("out = make()\nout.append(item)", "out.append(…)"),
}
SOMETHING = (
    "results.pop()", "results.index(1)", "store.setdefault('a', 1)", "series.add(1)", "np.add(1, 2)", "np.sort(array)",
    "sorted(results)", "index.append(index)", "random.choice(results)", "df.dropna(inplace=False)", "give(item)",
    "len(results)", "heapq.heappop(results)", "mine.add(1)", "print(item)", "out = make()\nout.add(item)", "quiet(item)",
    "results.append(1) or item", "rng.random()", "x = pd.Index([1])\nx.append(x)", "mine.log(item)",
    "def put(x):\n    results.append(x)\n    return x\nput(item)", "def gen():\n    results.append(1)\n    yield\nlist(gen())",
)  # fmt: skip


@pytest.fixture
def busy(notebook):
    notebook.run(
        "import bisect, collections, heapq, random, types\nfrom random import shuffle\nimport numpy as np, pandas as pd\n"
        "results, store, queue = [3], {'a': []}, collections.deque()\nbox = types.SimpleNamespace(items=[])\npush = results.append\n"
        "class Mine(list):\n    def add(self, x): return x\n    def keep(self, x): self.append(x)\n    def log(self, x): str(x)\n"
        "mine, array, series, df = Mine(), np.arange(3), pd.Series([1]), pd.DataFrame({'a': [1]})\n"
        "index, rng = pd.Index([1]), np.random.default_rng()\n"
        "def make(): return results\ndef keep(x): results.append(x)\ndef give(x):\n    results.append(x)\n    return x\ndef quiet(x): pass\nasync def later(x): results.append(x)\n"
    )
    return notebook


@pytest.mark.parametrize(("cell", "call"), NOTHING.values(), ids=NOTHING.keys())
def test_a_last_line_that_gives_none_by_its_nature_is_told(busy, cell, call):
    line = cell.count("\n") + 1
    expected = f"line {line}: {call} returns None, and its changes stay on the worker: every result will be None; end the cell with the value you want"
    assert expected in busy.capture(cell, map_expr="range(2)").warnings


@pytest.mark.parametrize("cell", SOMETHING)
def test_a_last_line_that_gives_something_is_not(busy, cell):
    assert not any("returns None" in text for text in busy.capture(cell, map_expr="range(2)").warnings)


def test_a_function_that_cannot_travel_is_called_the_function(notebook):
    notebook.run("from functools import partial\ntape = (n for n in ())\nf = partial(print, tape)")
    with pytest.raises(CaptureError, match=r"^the function.*: cannot pickle 'generator' object") as caught:
        notebook.call(notebook["f"], [1])
    assert "__burst" not in str(caught.value)


@pytest.mark.parametrize(
    "cell", ["row += 1\nfloat(a.sum())", "a[7, 0] = 5\nfloat(row.sum())", "def f():\n    row[0] = 1\nf(), a"]
)
def test_arrays_that_share_memory_are_told_where_one_is_changed(notebook, cell):
    notebook.run("import numpy as np\na = np.zeros((9, 3))\nrow = a[3]\nother = np.ones(3)")
    (said,) = [text for text in notebook.capture(cell).warnings if "share memory" in text]
    assert said.startswith(("a and row", "row and a"))


@pytest.mark.parametrize("cell", ["row += 1\nfloat(a.sum())", "row[0] = 5\na", "row.sort()\na"])
def test_items_that_are_rows_of_a_captured_array_are_told_where_the_cell_changes_them(notebook, cell):
    notebook.run("import numpy as np\na = np.zeros((9, 3))\nb = a[::2]")
    (said,) = notebook.capture(cell, map_expr="row in b").warnings
    assert said.startswith("row is part of a in the notebook but a separate array on a worker")
    assert notebook.capture("row.sum(), a", map_expr="row in b").warnings == ()
    assert notebook.capture(cell, map_expr="row in b.copy()").warnings == ()
    assert notebook.capture("row += 1\nrow", map_expr="row in b").warnings == ()
    assert notebook.capture("row = row - 1\nrow /= 2\na", map_expr="row in b").warnings == ()
    assert notebook.capture("row = row.copy()\nrow /= 2\na", map_expr="row in b").warnings == ()
    assert notebook.capture("row = row[row > 0]\nrow /= 2\na", map_expr="row in b").warnings == ()
    assert notebook.capture("def half(row):\n    row /= 2\nhalf(row), a", map_expr="row in b").warnings == (said,)
    assert notebook.capture("row = row[1:]\nrow /= 2\na", map_expr="row in b").warnings == (said,)
    assert notebook.capture("row /= 2\nrow = row - 1\na", map_expr="row in b").warnings == (said,)
    assert notebook.capture("a[0, 0]\nrow += 1\nrow", map_expr="row in b[0]").warnings == ()


def test_arrays_that_are_only_read_may_share_what_they_like(notebook):
    notebook.run("import numpy as np\na = np.zeros((9, 3))\nrow, twin = a[3], a\nother = np.ones(3)")
    assert notebook.capture("other += 1\nfloat(a.sum() + row.sum())").warnings == ()
