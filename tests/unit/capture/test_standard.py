"""Values of the standard library that plainly have a meaning on a worker have it there."""

import pytest

from burst_magic.errors import CaptureError

VALUES = {
    "a memoryview of bytes": ("v = memoryview(b'abc')", "bytes(v), v.readonly", (b"abc", True)),
    "a part of a bytearray": ("v = memoryview(bytearray(b'abcd'))[1:3]", "v[0] = 90\nbytes(v), v.readonly", (b"Zc", False)),
    "a memoryview with a step": ("v = memoryview(b'abcdef')[::2]", "bytes(v), v.shape", (b"ace", (3,))),
    "a memoryview of numbers": ("import array\nv = memoryview(array.array('d', [1, 2, 3]))", "v.format, v.tolist()", ("d", [1, 2, 3])),
    "a memoryview of two dimensions": ("v = memoryview(bytes(48)).cast('d', (3, 2))", "v.shape, v.format, v.tolist()[2]", ((3, 2), "d", [0.0, 0.0])),
    "a memoryview of an array": ("import numpy as np\na = np.arange(6.).reshape(2, 3)\nv = memoryview(a)", "v[1, 2] = 9\nv.shape, float(a[1, 2])", ((2, 3), 9.0)),
    "a memoryview and what it shows": ("b = bytearray(b'abc')\nv = memoryview(b)", "v[0] = 90\nb", bytearray(b"Zbc")),
    "an array": ("import array\nv = array.array('i', [1, 2])", "v[1], v.typecode", (2, "i")),
    "views of a dict": ("d = {'a': 1}\nv = d.keys(), d.values(), d.items()", "list(v[0]), list(v[1]), list(v[2])", (["a"], [1], [("a", 1)])),
    "the contents of a class": ("class A:\n    x = 1\n    def f(self): return 2\nv = vars(A)", "v['x'], v['f'](0), v == vars(A), type(v).__name__", (1, 2, True, "mappingproxy")),
    "the contents of a class in C": ("v = vars(int)", "v is not None and v == vars(int)", True),
    "a proxy of a dict": ("import types\nv = types.MappingProxyType({'a': 1})", "dict(v), type(v).__name__", ({"a": 1}, "mappingproxy")),
    "a struct": ("import struct\nv = struct.Struct('<i')", "v.pack(1)", b"\1\0\0\0"),
    "a comparison key": ("import functools\nsign = -1\nv = functools.cmp_to_key(lambda a, b: sign * (a - b))", "sorted([1, 3, 2], key=v)", [3, 2, 1]),
    "a key of an object": ("import functools\nv = functools.cmp_to_key(lambda a, b: a - b)(4)", "v.obj", 4),
    "a context variable": ("import contextvars\nv = contextvars.ContextVar('v', default=1)\nw = contextvars.ContextVar('w')\nw.set(5)\nu = contextvars.ContextVar('u')", "v.get(), w.get(), u.get(7)", (1, 5, 7)),
    "a JSON decoder": ("import json\nv = json.JSONDecoder(parse_float=str)", "v.decode('[1.5, {}]')", ["1.5", {}]),
    "a thread's own": ("import threading\nv = threading.local()\nv.x = 3", "v.x", 3),
    "the system's chance": ("import random\nv = random.SystemRandom()", "0 <= v.random() < 1", True),
    "a weak method": ("import weakref\nclass A:\n    def f(self): return 3\na = A()\nv = weakref.WeakMethod(a.f)", "v()() if a else 0", 3),
    "a weak method of what is not sent": ("import weakref\nclass A:\n    def f(self): return 3\na = A()\nv = weakref.WeakMethod(a.f)", "v()()", 3),
    "a weak method of what has gone": ("import weakref\nclass A:\n    def f(self): return 3\nv = weakref.WeakMethod(A().f)", "v() is None", True),
    "weak containers of what is not sent": (
        "import weakref\nclass A: pass\na = A()\na.x = 5\nv = weakref.WeakSet([a]), weakref.WeakValueDictionary({1: a}), weakref.WeakKeyDictionary({a: 2})",
        "[k.x for k in v[0]], v[1][1].x, [(k.x, v[2][k]) for k in v[2]], v[1][1] in v[0]", ([5], 5, [(5, 2)], True),
    ),
    "a thread's own, of a class": ("import threading\nclass A(threading.local):\n    def __init__(self, x): self.x = x\nv = A(3)\nv.y = [4]", "v.x, v.y", (3, [4])),
    "a console of rich": ("from rich.console import Console\nv = Console(width=44)", "v.width", 44),
    "a context of mpmath": ("from mpmath import mp as v", "__import__('mpmath').mp is v, str(v.mpf(1) / 4)", (True, "0.25")),
    "a function that mpmath makes": ("from mpmath import sin as v", "float(v(0))", 0.0),
    "constants of mpmath": ("import mpmath\nfrom mpmath import pi as v\nw = mpmath.matrix([[1, 2], [3, 4]])", "int(v), float(mpmath.det(w))", (3, -2.0)),
    "a super object": ("class A:\n    def f(self): return 1\nclass B(A):\n    def f(self): return 2\nv = super(B, B())", "v.f()", 1),
    "a function bound to an object": ("import types\nclass A: pass\nv = types.MethodType(len, 'abc')", "v()", 3),
    "a codec": ("import codecs\nv = codecs.lookup('utf-8')", "v.encode('ä')[0]", "ä".encode()),
    "an array of ctypes": ("import ctypes\nv = (ctypes.c_int * 3)(1, 2, 3)", "list(v)", [1, 2, 3]),
    "what sys says": ("import sys\nv = sys.version_info, sys.flags", "v[0] is sys.version_info, v[1] is sys.flags", (True, True)),
    "a weak reference": ("import weakref\nclass A:\n    x = 3\na = A()\nv = weakref.ref(a)", "v().x", 3),
    "a weak reference and what it refers to": ("import weakref\nclass A: pass\na = A()\nv = [a, weakref.ref(a), weakref.proxy(a)]", "v[0].x = 5\nv[1]() is v[0], v[2].x", (True, 5)),
    "a weak reference to what has gone": ("import weakref\nclass A: pass\nv = weakref.ref(A())", "v() is None", True),
    "a weak proxy": ("import weakref\nclass A:\n    x = 3\na = A()\nv = weakref.proxy(a)", "v.x", 3),
    "a weak proxy that is called": ("import weakref\ndef f(): return 4\nv = weakref.proxy(f)", "v()", 4),
    "a weak proxy of a class": ("import weakref\nclass A:\n    x = 3\nv = weakref.proxy(A)", "v.x, v().x", (3, 3)),
    "a member of a class": ("class A:\n    __slots__ = ('x',)\nv = vars(A)['x']", "a = v.__objclass__()\na.x = 7\nv.__get__(a)", 7),
    "a member of type": ("v = vars(type)['__basicsize__']", "v.__get__(int) == int.__basicsize__", True),
    "an array's subclass": ("import numpy as np\nclass A(np.ndarray): pass\nv = np.arange(3.).view(A)\nv.unit = 'm'", "v.unit, v.tolist()", ("m", [0.0, 1.0, 2.0])),
    "a number's subclass": ("from fractions import Fraction\nclass A(Fraction): pass\nv = A(1, 3)\nv.unit = 'm'", "v.unit, v.denominator", ("m", 3)),
    "a date's subclass": ("import datetime\nclass A(datetime.date): pass\nv = A(2024, 2, 29)\nv.name = 'leap'", "v.name, v.day", ("leap", 29)),
    "a counter's subclass": ("from collections import Counter\nclass A(Counter): pass\nv = A('aab')\nv.owner = 'me'", "v.owner, v['a']", ("me", 2)),
    "a default dict's subclass": ("from collections import defaultdict\nclass A(defaultdict): pass\nv = A(list, k=[1])\nv.owner = 'me'", "v.owner, v['k'], v['new']", ("me", [1], [])),
    "a path's subclass": ("import pathlib\nclass A(type(pathlib.Path())): pass\nv = A('a/b')\nv.owner = 'me'", "v.owner, v.name", ("me", "b")),
    "a subclass that says itself what travels": ("from fractions import Fraction\nclass A(Fraction):\n    def __reduce__(self): return A, (1, 2)\nv = A(1, 3)\nv.unit = 'm'", "hasattr(v, 'unit'), v.denominator", (False, 2)),
    "a deque's subclass": ("from collections import deque\nclass A(deque): pass\nv = A([1, 2], maxlen=3)\nv.owner = 'me'", "v.owner, list(v), v.maxlen", ("me", [1, 2], 3)),
    "globals of a function that has its own": ("v = eval('lambda: 1', {'__name__': 'elsewhere'})", "v(), v.__globals__['__builtins__']['len'] is len", (1, True)),
    "a class in brackets": ("class A: pass\nv = [list[A], list['A'], dict[str, A]]", "v[0].__args__[0] is A, v[1].__args__", (True, ("A",))),
}  # fmt: skip


@pytest.mark.parametrize(("setup", "cell", "expected"), VALUES.values(), ids=VALUES)
def test_it_travels(notebook, setup, cell, expected):
    notebook.run(setup)
    assert notebook.burst(cell) == expected


ONE = [name for name, (setup, _, _) in VALUES.items() if "\nv = " in setup or setup.startswith("v = ")]


@pytest.mark.parametrize("name", ONE)
def test_it_is_an_item_and_a_result_too(notebook, name):
    setup, _, _ = VALUES[name]
    notebook.run(setup)
    (there, back), *_ = notebook.burst("type(item).__name__, item", "[v]")
    assert there == type(notebook["v"]).__name__ == type(back).__name__


def test_a_big_memoryview_travels_out_of_band(notebook):
    notebook.run("v = memoryview(bytes(2_000_000))\nw = memoryview(bytearray(2_000_000))[1:]")
    assert len(notebook.capture("v, w").packed.buffers) == 2
    assert notebook.burst("v.nbytes, w.nbytes, v.readonly, w.readonly") == (2_000_000, 1_999_999, True, False)


STREAMS = """
import functools, logging, sys
def report(message, file=sys.stdout): print(message, file=file)
shout = functools.partial(print, file=sys.stdout, end='!')
write = sys.stdout.write
handler = logging.StreamHandler(sys.stdout)
log = {'out': [sys.stdout], 'raw': sys.__stdout__, 'in': sys.stdin, 'err': sys.stderr}
class Meter:
    def __init__(self): self.out = sys.stdout
    def say(self): print('meter', file=self.out)
meter = Meter()
"""


@pytest.mark.parametrize(
    "use",
    [
        "report('said')",
        "shout('said')",
        "write('said')",
        "handler.emit(record)",
        "print('said', file=log['out'][0])",
        "meter.say()",
    ],
)
def test_the_kernel_s_output_means_the_task_s(notebook, use):
    notebook.run(f"{STREAMS}\nrecord = logging.LogRecord('x', 20, 'f', 1, 'said', (), None)")
    notebook.burst(f"import sys\n{use}\n0")
    assert notebook.printed.strip("\n!") in {"said", "meter"}
    notebook.run(f"def item(): return {use}")
    notebook.burst("item()\n0", "[item]")
    assert notebook.printed.strip("\n!") in {"said", "meter"}


def test_all_standard_streams_are_the_task_s_own_whatever_was_refused_before(notebook):
    notebook.run(f"import io\nother = io.TextIOWrapper(io.BytesIO())\n{STREAMS}")
    with pytest.raises(CaptureError, match="other"):
        notebook.capture("other")
    cell = "import sys\nlog['out'][0] is sys.stdout, log['err'] is sys.stderr, log['in'] is sys.stdin, log['raw'] in (sys.__stdout__, sys.stdout)"
    assert notebook.burst(cell) == (True, True, True, True)
    assert notebook.burst(cell.replace("log", "item"), "[log]") == [(True, True, True, True)]


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ("import hashlib\nv = hashlib.sha256()", "v: cannot pickle 'HASH' object"),
        ("import re\nv = re.match('a', 'a')", "v: cannot pickle 'Match' object"),
        ("import queue\nv = queue.SimpleQueue()", "v: cannot pickle 'SimpleQueue' object"),
        ("v = [type(iter(b''))]", r"v\[0\]: cannot be pickled: PicklingError: cannot pickle the class builtins.bytes_iterator"),
        ("import numpy as np\nv = memoryview(np.zeros(2, 'i4,f8'))", "v: cannot be pickled: ValueError: memoryview: destination"),
    ],
)  # fmt: skip
def test_what_belongs_to_one_process_is_refused_by_its_type(notebook, setup, said):
    notebook.run(setup)
    with pytest.raises(CaptureError, match=said):
        notebook.capture("v")
