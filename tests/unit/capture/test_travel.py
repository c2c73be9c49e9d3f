"""What a notebook defines arrives on a worker and works there (issue 2, point 4)."""

import pytest


def test_a_value_a_helper_and_a_module_travel_along(notebook):
    notebook.run("import math\nscale = 2\ndef helper(x):\n    return math.sqrt(x) * scale")
    assert notebook.burst("helper(item) + scale", "[1, 4, 9]") == [4.0, 6.0, 8.0]


def test_helpers_that_call_helpers_that_call_helpers_travel(notebook):
    notebook.run("a = 1\ndef f(): return a\ndef g(): return f() + 1\ndef h(): return g() + 1\nunused = open")
    assert notebook.burst("h()") == 3
    assert set(notebook.capture("h()").packed.names) == {"a", "f", "g", "h"}


def test_two_hundred_helpers_in_a_row_travel(notebook):
    notebook.run("def f0(): return 0\n" + "\n".join(f"def f{n}(): return f{n - 1}() + 1" for n in range(1, 200)))
    assert notebook.burst("f199()") == 199


def test_mutual_recursion_travels(notebook):
    notebook.run("def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)")
    assert notebook.burst("even(item)", "range(4)") == [True, False, True, False]


def test_a_closure_that_calls_itself_travels(notebook):
    notebook.run("def make():\n    def fact(n): return 1 if n < 2 else n * fact(n - 1)\n    return fact\nfact = make()")
    assert notebook.burst("fact(5)") == 120


def test_closures_that_call_each_other_travel(notebook):
    notebook.run(
        "def make():\n"
        "    def even(n): return n == 0 or odd(n - 1)\n"
        "    def odd(n): return n != 0 and even(n - 1)\n"
        "    return even, odd\n"
        "even, odd = make()"
    )
    assert notebook.burst("even(10), odd(10)") == (True, False)


def test_closures_that_share_a_variable_still_share_it(notebook):
    notebook.run(
        "def counter():\n"
        "    n = 0\n"
        "    def up():\n"
        "        nonlocal n\n"
        "        n += 1\n"
        "    return up, lambda: n\n"
        "up, value = counter()"
    )
    assert notebook.burst("up(); up()\nvalue()") == 2


def test_a_closure_whose_variable_is_not_set_yet_travels(notebook):
    notebook.run("def make():\n    def f(): return later\n    if False: later = 1\n    return f\nf = make()")
    with pytest.raises(Exception, match="NameError"):
        notebook.burst("f()")


def test_lambdas_travel_in_containers(notebook):
    notebook.run("base = 10\ntable = {'add': lambda x: x + base, 'twice': [lambda x: 2 * x]}")
    assert notebook.burst("table['add'](1), table['twice'][0](4)") == (11, 8)


def test_default_arguments_travel_by_value(notebook):
    notebook.run("n = 3\ndef f(x, k=n, *, m=[n]): return x + k + m[0]\nn = 100")
    assert notebook.burst("f(1)") == 7


def test_an_lru_cache_travels(notebook):
    notebook.run(
        "from functools import lru_cache\n@lru_cache(maxsize=7)\ndef fib(n): return n if n < 2 else fib(n-1) + fib(n-2)"
    )
    assert notebook.burst("fib(30), fib.cache_info().maxsize, fib.__name__") == (832040, 7, "fib")


def test_an_lru_cache_around_a_closure_that_calls_itself_travels(notebook):
    notebook.run(
        "import functools\n"
        "def make():\n"
        "    @functools.cache\n"
        "    def fib(n): return n if n < 2 else fib(n-1) + fib(n-2)\n"
        "    return fib\n"
        "fib = make()"
    )
    assert notebook.burst("fib(40), fib.cache_info().misses") == (102334155, 41)


def test_partials_travel(notebook):
    notebook.run("from functools import partial\nk = 5\ndef f(a, b, c=0): return a + b + c + k\np = partial(f, 1, c=2)")
    assert notebook.burst("p(10)") == 18


def test_a_singledispatch_travels_with_what_is_registered(notebook):
    notebook.run(
        "from functools import singledispatch\n"
        "class A: pass\n"
        "@singledispatch\n"
        "def show(x): return 'any'\n"
        "@show.register\n"
        "def _(x: int): return 'int'\n"
        "@show.register(A)\n"
        "def _(x): return 'A'\n"
        "show(1)"
    )
    assert notebook.burst("show(1), show(A()), show('s')") == ("int", "A", "any")


def test_a_decorator_with_wraps_travels(notebook):
    notebook.run(
        "import functools\n"
        "calls = 3\n"
        "def twice(f):\n"
        "    @functools.wraps(f)\n"
        "    def inner(*a): return f(*a) * 2 + calls\n"
        "    return inner\n"
        "one = 1\n"
        "@twice\n"
        "def g(x):\n"
        "    'doc of g'\n"
        "    return x + one"
    )
    assert notebook.burst("g(3), g.__name__, g.__doc__, g.__wrapped__(3)") == (11, "g", "doc of g", 4)


def test_a_context_manager_from_a_library_decorator_travels(notebook):
    notebook.run("import contextlib\nname = 'x'\n@contextlib.contextmanager\ndef opened():\n    yield name")
    assert notebook.burst("with opened() as o: r = o\nr") == "x"


def test_async_helpers_and_top_level_await_travel(notebook):
    notebook.run("import asyncio\nasync def wait(x):\n    await asyncio.sleep(0)\n    return x + 1")
    assert notebook.burst("await wait(item)", "[1, 2]") == [2, 3]
    assert notebook.call(notebook["wait"], [1]) == [2]


def test_generator_helpers_travel(notebook):
    notebook.run("def count(n):\n    yield from range(n)\nasync def acount(n):\n    for i in range(n): yield i")
    assert notebook.burst("list(count(3)), [i async for i in acount(2)]") == ([0, 1, 2], [0, 1])


def test_generators_are_items(notebook):
    notebook.run("squares = (x * x for x in range(4))")
    assert notebook.burst("item + 1", "squares") == [1, 2, 5, 10]
    assert list(notebook["squares"]) == []


def test_function_attributes_annotations_and_names_travel(notebook):
    notebook.run(
        "class T: pass\ndef f(x: T, *, y: int = 1) -> T:\n    'doc'\n    return x\nf.tag = [1]\nf.__name__ = 'other'"
    )
    cell = "f.tag, f.__doc__, f.__name__, f.__annotations__ == {'x': T, 'y': int, 'return': T}, f.__kwdefaults__"
    assert notebook.burst(cell) == ([1], "doc", "other", True, {"y": 1})


def test_identity_between_values_is_kept(notebook):
    notebook.run("shared = [1]\na = {'s': shared}\nb = (shared, a)\nclass Node: pass\nn = Node(); n.me = n")
    assert notebook.burst("a['s'] is b[0] is shared and b[1] is a and n.me is n") is True


def test_each_task_starts_with_fresh_values(notebook):
    notebook.run("seen = []\ndef note(x):\n    seen.append(x)\n    return list(seen)")
    assert notebook.burst("note(item)", "[1, 2, 3]") == [[1], [2], [3]]


def test_globals_that_a_function_sets_are_the_cell_s(notebook):
    notebook.run("total = 1\ndef add(x):\n    global total\n    total += x")
    assert notebook.burst("add(4)\ntotal") == 5
    assert notebook["total"] == 1


def test_functions_of_functions_of_another_namespace_keep_their_globals(notebook):
    notebook.run(
        "space = {'k': 5, '__name__': 'elsewhere'}\nexec('def f(): return g() + k\\ndef g(): return k', space)\nf = space['f']"
    )
    assert notebook.burst("f()") == 10


def test_submodules_are_imported_where_the_code_reaches_them(notebook):
    notebook.run("import xml\nimport xml.dom.minidom\ndef parse(): return xml.dom.minidom.parseString('<a/>')")
    assert notebook.burst("parse().documentElement.tagName + xml.dom.minidom.__name__") == "axml.dom.minidom"


def test_a_module_made_by_hand_travels_by_value(notebook):
    notebook.run("import types\nconfig = types.ModuleType('config')\nconfig.rate = 3\ndef r(): return config.rate")
    assert notebook.burst("r()") == 3


def test_bound_methods_travel_with_their_object(notebook):
    notebook.run(
        "class A:\n    def __init__(self, x): self.x = x\n    def get(self): return self.x\na = A(4)\nget = a.get"
    )
    assert notebook.burst("get(), get.__self__ is a") == (4, True)


def test_locks_arrive_free(notebook):
    notebook.run(
        "import threading\nlock = threading.Lock(); lock.acquire()\nclass C:\n    def __init__(self): self.l = threading.RLock()\nc = C()"
    )
    assert notebook.burst("c.l.acquire(blocking=False) and lock.acquire(blocking=False)") is True


def test_what_only_dill_can_carry_travels(notebook):
    notebook.run("import weakref\nclass A: pass\na = A()\nr = weakref.ref(a)\nkeys = {'x': 1}.keys()")
    assert notebook.burst("r() is a, list(keys)") == (True, ["x"])


def test_python_functions_are_compiled_once_however_often_they_are_loaded(notebook):
    notebook.run("def f(): pass")
    from burst_magic.payload import unpack

    packed = notebook.capture("f").packed
    one, two = (unpack(packed.stream, home={})["f"] for _ in range(2))
    assert one is not two
    assert one.__code__ is two.__code__


def test_burst_map_takes_any_function(notebook):
    notebook.run("k = 2\ndef f(x): return x * k\ng = lambda x: x - k")
    assert notebook.call(notebook["f"], [1, 2]) == [2, 4]
    assert notebook.call(notebook["g"], iter([1, 2])) == [-1, 0]
    assert notebook.call(len, ["abc"]) == [3]
    assert notebook.call(str.upper, ["abc"]) == ["ABC"]


def test_functions_of_a_module_made_by_hand_travel_by_value(notebook):
    notebook.run(
        "import sys, types\n"
        "made = types.ModuleType('made_by_hand')\nsys.modules['made_by_hand'] = made\n"
        "exec('k = 4\\ndef f(): return k', vars(made))\n"
        "f = made.f"
    )
    try:
        assert notebook.burst("f(), made.k") == (4, 4)
    finally:
        notebook.run("del sys.modules['made_by_hand']")


def test_objects_that_answer_every_question_with_an_error_travel(notebook):
    notebook.run(
        "class Grumpy:\n"
        "    def __eq__(self, other): raise ValueError\n"
        "    def __hash__(self): raise TypeError\n"
        "    def __bool__(self): raise ValueError\n"
        "    def __getattr__(self, name): raise (AttributeError if name[:2] == '__' else RuntimeError)(name)\n"
        "class Same(type):\n"
        "    def __eq__(cls, other): return True\n"
        "    def __hash__(cls): return 1\n"
        "def make():\n"
        "    class A(metaclass=Same): n = 1\n"
        "    class B(metaclass=Same): n = 2\n"
        "    return A, B\n"
        "g = Grumpy()\nA, B = make()"
    )
    assert notebook.burst("type(g).__name__, A.n, B.n") == ("Grumpy", 1, 2)
    one, two = notebook.burst("A(), B()")
    assert (type(one) is notebook["A"], type(two) is notebook["B"]) == (True, True)


def test_the_text_of_the_cells_whose_functions_travel_is_known(notebook):
    notebook.run("def f(): return 1\ntable = [lambda: 2]")
    assert dict(notebook.capture("f(), table").sources) == {
        "<ipython-input-1>": "def f(): return 1\ntable = [lambda: 2]"
    }


def test_threads_pack_and_unpack_at_once(notebook):
    from concurrent.futures import ThreadPoolExecutor

    from burst_magic.payload import unpack

    notebook.run("k = 1\ndef f(): return k")
    packed = notebook.capture("f()").packed

    def load(n):
        home = {"__name__": "__main__"}
        unpack(packed.stream, home=home)
        home["k"] = n
        return home["f"]()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(load, range(200))) == list(range(200))


def test_a_cell_in_a_real_shell_is_captured_with_its_transform(notebook, worker, make_shell):
    """IPython's own namespace and transform, as the magic hands them over."""
    shell = make_shell()
    shell.run_cell("base = 2\ndef f(x):\n    return x + base\nclass P:\n    def __init__(self, x): self.x = x")
    notebook = type(notebook)(worker, shell.user_ns)
    results = notebook.burst(
        "%matplotlib inline\nq = !echo {item}\nP(f(item) + len(q))", "range(2)", transform=shell.transform_cell
    )
    assert [result.x for result in results] == [3, 4]
    assert all(type(result) is shell.user_ns["P"] for result in results)


def test_burst_map_hides_no_name_of_the_notebook(notebook):
    notebook.run("item, function = 5, 7\nasync def later(x): return x + item + function\ndef item_of(x): return x")
    assert notebook.call(lambda x: x, [1]) == [1]
    notebook.run("f = lambda x: x + item\ng = lambda x: x + function\nh = lambda x: (item, function, x)")
    assert notebook.call(notebook["f"], [1, 2]) == [6, 7]
    assert notebook.call(notebook["g"], [1, 2]) == [8, 9]
    assert notebook.call(notebook["h"], [0]) == [(5, 7, 0)]
    assert notebook.call(notebook["later"], [1]) == [13]
    notebook.run(
        "from functools import partial\ndef add(a, b): return a + b + item\np = partial(add, 1)\nq = partial(later)"
    )
    assert notebook.call(notebook["p"], [1]) == [7]
    assert notebook.call(notebook["q"], [1]) == [13]
    notebook.run(
        "class C:\n    def __init__(self, n): self.n = n\n    def __call__(self, x): return x + item + self.n\n    def m(self, x): return x + function"
    )
    notebook.run("class D:\n    async def __call__(self, x): return x + item\n")
    assert notebook.call(notebook["C"](1), [1]) == [7]
    assert notebook.call(notebook["C"](1).m, [1]) == [8]
    assert notebook.call(notebook["D"](), [1]) == [6]


def test_burst_map_takes_functions_of_any_name(notebook):
    notebook.run(
        "def item(x): return x + 1\ndef function(x): return item(x)\ndef exit(x): return x\nprint = lambda x: [x]\nprint.__name__ = 'print'"
    )
    assert notebook.call(notebook["item"], [1]) == [2]
    assert notebook.call(notebook["function"], [1]) == [2]
    assert notebook.call(notebook["exit"], [1]) == [1]
    assert notebook.call(notebook["print"], [1]) == [[1]]
    notebook.run("def odd(x): return x\nodd.__name__ = 'class'")
    assert notebook.call(notebook["odd"], [1]) == [1]


def test_burst_map_runs_the_function_it_is_given_though_the_notebook_has_another_of_its_name(notebook):
    notebook.run("def scaled(x): return 2 * x")
    first = notebook["scaled"]
    notebook.run("def scaled(x): return 3 * x")
    assert notebook.call(first, [1]) == [2]


def test_a_task_finds_nothing_of_ours_among_its_globals(notebook):
    notebook.run("item = 5\ndef names(x): return sorted(n for n in globals() if not n.startswith('__'))")
    assert notebook.call(notebook["names"], [1]) == [["names"]]
    notebook.run("names = lambda x: sorted(n for n in globals() if '_burst' in n)")
    assert notebook.call(notebook["names"], [1]) == [["__burst_function__", "__burst_item__"]]


def test_a_name_that_is_bound_on_some_ways_travels(notebook):
    notebook.run("from contextlib import suppress\nscale, table = 3, {1: 10}")
    cell = "with suppress(KeyError):\n    scale = table[item]\nscale"
    assert notebook.burst(cell, map_expr="range(3)") == [3, 10, 3]
    assert notebook.burst("item and (scale := 7)\nscale", map_expr="range(2)") == [3, 7]
