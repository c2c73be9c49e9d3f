"""What the notebook has set in an installed module is said: workers import the module as it is installed."""

import importlib
import json
import os
import string
import sys
import types

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from burst_magic.capture.cell import capture_cell


def defined(code, **names):
    """The namespace of a notebook that ran this."""
    home = {"__name__": "__main__", **names}
    exec(code, home)
    return home


def told(source, home):
    return [text for text in capture_cell(source, home).warnings if "in this notebook; workers" in text]


@pytest.fixture
def restored():
    before = dict(vars(string)), dict(vars(json))
    yield
    for module, names in zip((string, json), before, strict=True):
        for name in vars(module).keys() - names.keys():
            delattr(module, name)
        vars(module).update(names)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("string.digits = '01'", "string.digits (cell 1)"),
        ("if True:\n    string.digits += 'x'", "string.digits (cell 1)"),
        ("string.a, json.b = 1, 2", "string.a (cell 1), json.b (cell 1)"),
        ("string.Template.delimiter = '%'", "string.Template.delimiter (cell 1)"),
        ("json.decoder.JSONDecoder.own = len", "json.decoder.JSONDecoder.own (cell 1)"),
    ],
)
def test_an_assignment_to_a_module_is_told_with_its_cell(cell, name):
    home = defined(cell, string=string, json=json, In=["", cell])
    (text,) = told("string.digits", home)
    assert text.startswith(name)


@pytest.mark.usefixtures("restored")
def test_a_function_of_the_notebook_in_a_module_is_told_where_the_code_uses_it():
    home = defined("def own(text): return text\nsetattr(json, 'loads', own)", json=json)
    (text,) = told("json.loads('1')", home)
    assert text.startswith("json.loads was set")
    assert told("json.dumps(1)", home) == []


def test_what_is_no_attribute_of_an_installed_module_is_not_told():
    cells = [
        "class Own: pass\nOwn.size = 3",
        "place = types.SimpleNamespace()\nplace.x = 1",
        "import sys\nsys.argv = ['']",
        "not python (",
        "gone.x = 1",
        "text = 'string.digits = 1'",
    ]
    home = defined("import types, sys\nclass Own: pass\nplace = types.SimpleNamespace()", string=string, In=cells)
    assert told("string.digits, Own, place", home) == []


SETTINGS = """
class Settings:
    def __init__(self):
        self.rate, self.deep, self._seen = 1.0, {"a": 1}, 0

    def configure(self, rate, **more):
        self.rate = float(rate)
        return self

    def put(self, *names):
        self.deep.update(dict.fromkeys(names))

    def take(self, name, value):
        setattr(self, name, value)
        return value

    def look(self, name):
        self._seen += 1
        return self.deep[name]

    def remember(self, name):
        if name not in self.deep:
            self.deep[name] = 2 * name
        return self.deep[name]

current, idle, TABLE = Settings(), Settings(), {"a": 1}

def rate():
    return current.rate

def told():
    return environ, log
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    name = f"settings_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SETTINGS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield importlib.import_module(name)
    del sys.modules[name]


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("m.current.rate = 2", "current.rate"),
        ("m.current.deep['a'] += 2", "current.deep[…]"),
        ("m.idle.rate = 2", "idle.rate"),
        ("current.rate = 2", "current.rate"),
        ("current.rate, other = 1, 2", "current.rate"),
        ("setattr(m.current, 'rate', 2)", "current.rate"),
    ],
)
def test_what_is_set_in_an_object_of_a_local_module_is_told(settings, cell, name):
    home = {"__name__": "__main__", "m": settings, "current": settings.current, "In": ["", cell]}
    (text,) = told("m.rate()", home)
    assert text.startswith(f"{settings.__name__}.{name} (cell 1) was set")
    assert text.endswith("workers import the module anew: set it in the cell if tasks need it")
    assert told("1 + 1", home) == []


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("m.current.configure(2)", "current.configure()"),
        ("x = current.configure(rate=2)", "current.configure()"),
        ("m.current.put('b')", "current.put()"),
        ("m.current.take('rate', 2)", "current.take()"),
        ("m.current.deep.update(b=1)", "current.deep.update()"),
    ],
)
def test_a_method_that_keeps_its_arguments_in_an_object_of_a_local_module_is_told(settings, cell, name):
    home = {"__name__": "__main__", "m": settings, "current": settings.current, "In": ["", cell]}
    (text,) = told("m.rate()", home)
    assert text.startswith(f"{settings.__name__}.{name} (cell 1) was called")
    assert text.endswith("workers import the module anew: call it in the cell if tasks need it")
    assert told("1 + 1", home) == []


@pytest.mark.parametrize(
    "cell",
    ["m.current.look('a')", "m.current.remember('b')", "m.TABLE.update(b=1)", "m.rate()", "m.Settings().configure(2)"],
)
def test_a_method_that_keeps_nothing_and_an_object_that_is_compared_or_new_are_not_told(settings, cell):
    assert told("m.rate()", {"__name__": "__main__", "m": settings, "In": ["", cell]}) == []


@pytest.mark.parametrize(
    "cell", ["idle.rate = 2", "m.TABLE['a'] = 1", "own.rate = 2", "rows[0] = 1", "m.Settings.x = 1"]
)
def test_what_the_code_of_the_module_does_not_see_and_what_is_compared_is_not_told_twice(settings, cell):
    """The notebook's own object travels as it is; constants and classes are compared with the file."""
    own = {"own": types.SimpleNamespace(), "rows": [0], "idle": settings.idle}
    assert told("m.rate()", {"__name__": "__main__", "m": settings, **own, "In": ["", cell]}) == []


@pytest.mark.parametrize(
    "cell",
    [
        "m.environ['OWN'] = '1'",
        "environ['OWN'] = '1'",
        "m.environ.update(OWN='1')",
        "m.log.level = 10",
        "log.level = 10",
        "m.log.setLevel(10)",
        "log.addHandler(handler)",
    ],
)
def test_settings_that_are_sent_are_not_told_where_a_local_module_holds_them(settings, cell):
    import logging
    import os

    settings.environ, settings.log = os.environ, logging.getLogger("own")
    home = {"__name__": "__main__", "m": settings, "environ": settings.environ, "log": settings.log, "In": ["", cell]}
    assert told("m.rate()", home) == []
    home["In"] = ["", "m.log.propagate = False"]
    assert told("m.rate()", home) != []


@pytest.mark.parametrize(("cell", "name"), [("codes.own.x = 1", "own.x"), ("codes.own['k'] = 1", "own[…]")])
def test_what_is_set_in_an_object_of_an_installed_module_is_told_where_the_code_uses_it(monkeypatch, cell, name):
    from email import errors

    monkeypatch.setattr(errors, "own", types.SimpleNamespace(), raising=False)
    home = {"__name__": "__main__", "codes": errors, "In": ["", cell]}
    (text,) = told("codes.MessageError", home)
    assert text.startswith(f"email.errors.{name} (cell 1) was set")
    assert told("1", home) == []


def test_a_long_list_is_cut():
    cells = [f"string.own{index} = 1" for index in range(8)]
    (text,) = told("string.digits", {"string": string, "In": cells, "types": types})
    assert "and 3 more were set" in text
    assert text.endswith("set them in the cell if tasks need them")


class Mine:
    """Registered with installed modules below."""


@pytest.mark.parametrize(
    ("cell", "source", "name"),
    [
        ("numbers.Number.register(Mine)", "isinstance(1, numbers.Number)", "numbers.Number.register (cell 1)"),
        ("Number.register(Mine)", "isinstance(1, Number)", "numbers.Number.register (cell 1)"),
        ("codecs.register_error('mine', len)", "codecs.encode('a')", "codecs.register_error (cell 1)"),
        ("mimetypes.add_type('a/b', '.zz9')", "mimetypes.guess_type('a.zz9')", "mimetypes.add_type (cell 1)"),
        ("@pprint.register\ndef f(x): pass", "pprint.pformat(1)", "pprint.register (cell 1)"),
        ("modules.register(Mine, len)", "modules(1)", "pkgutil.iter_importer_modules.register (cell 1)"),
    ],
)
def test_what_was_registered_with_a_module_is_told_with_its_cell(cell, source, name):
    import codecs
    import mimetypes
    import numbers
    import pkgutil
    import pprint

    names = {"codecs": codecs, "mimetypes": mimetypes, "numbers": numbers, "Number": numbers.Number, "pprint": pprint}
    home = {"__name__": "__main__", **names, "modules": pkgutil.iter_importer_modules, "In": ["", cell]}
    (text,) = [text for text in capture_cell(source, home).warnings if "called in this notebook" in text]
    assert text == (
        f"{name} was called in this notebook; workers use the module as installed: call it in the cell if tasks need it"
    )


def test_nothing_is_said_of_registrations_with_what_the_code_does_not_use():
    import atexit
    import numbers

    home = {"__name__": "__main__", "numbers": numbers, "atexit": atexit}
    home["In"] = ["", "numbers.Number.register(dict)\natexit.register(print)\nmine.register(1)"]
    assert capture_cell("1 + 1", home).warnings == ()
    assert capture_cell("atexit._run_exitfuncs", home).warnings == ()


STATE = """
import logging, os, numpy as np
CACHE, REG, NAMED, TABLE, SEEN, RATE, COUNT, ARRAY = {}, [], {}, {}, [], None, 0, np.zeros(3)
log = logging.getLogger(__name__)
log.addHandler(logging.NullHandler())

class Config:
    rate = 1
    @classmethod
    def put(cls, rate):
        cls.rate = rate

def load(key):
    if key not in CACHE:
        CACHE[key] = key * 2
    return CACHE[key]

def register(function):
    REG.append(function)
    return function

def named(name):
    def mark(function):
        NAMED[name] = function
        return function
    return mark

def setup(rate):
    global RATE
    RATE = rate

def tick():
    global COUNT
    COUNT += 1

def note(text):
    SEEN.append(text)

def fill():
    TABLE.update(a=1)

def style():
    os.environ["STYLE"] = "x"
    np.nothing = 1
    del np.nothing

def run():
    return [f() for f in REG], NAMED, RATE, COUNT, TABLE, ARRAY, Config.rate, CACHE, log
"""


TIMERS = """
import time
_START, LINES = None, []

class Timer:
    pace = 1
    @classmethod
    def tune(cls, pace):
        cls.pace = pace
    def wait(self):
        return self.pace

def tic():
    global _START
    _START = time.time()

def toc(_=None):
    return [time.time() - start for start in (_START,)]

def timed():
    return toc()

def say(line):
    LINES.append(line)

def show():
    print(LINES)

def square(x):
    return x * x

def last(_):
    return toc()

if __name__ == "__main__":
    tic()
    show(toc())
"""


@pytest.fixture
def local(tmp_path, monkeypatch):
    loaded = []

    def load(text):
        name = f"state_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        loaded.append(name)
        return importlib.import_module(name)

    yield load
    for name in loaded:
        del sys.modules[name]


@pytest.fixture
def timers(local):
    return local(TIMERS)


@pytest.fixture
def state(local, monkeypatch):
    monkeypatch.setitem(os.environ, "STYLE", "")
    return local(STATE)


def about(state, cell, burst="m.run()"):
    home = {"__name__": "__main__", "m": state, "In": ["", cell]}
    exec(cell, home)
    said = capture_cell(burst, home).warnings
    return [text for text in said if text.startswith((f"{state.__name__}.", f"{state.__name__}:"))]


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("@m.register\ndef f(): return 1", "register()"),
        ("m.register(len)", "register()"),
        ("@m.named('a')\ndef f(): return 1", "named()"),
        ("m.setup(2)", "setup()"),
        ("setup = m.setup\nsetup(2)", "setup()"),
        ("m.fill()", "fill()"),
        ("m.Config.put(3)", "Config.put()"),
        ("m.REG.append(len)", "REG.append()"),
        ("m.TABLE['a'] = 1", "TABLE[…]"),
        ("m.log.addHandler(m.logging.NullHandler())", "log.addHandler()"),
    ],
)
def test_what_functions_of_a_local_module_leave_in_it_is_told(state, cell, name):
    (text,) = about(state, cell)
    assert text.startswith(f"{state.__name__}.{name} (cell 1) was ")
    assert text.endswith("in the cell if tasks need it")


@pytest.mark.parametrize("cell", ["m.tick()", "m.ARRAY[0] = 5", "m.COUNT = 3"])
def test_what_differs_from_the_file_is_told_once(state, cell):
    (text,) = about(state, cell)
    assert "was set here after the import" in text


@pytest.mark.parametrize(
    "cell", ["m.load(1)", "[m.load(i) for i in range(3)]", "m.note('a')", "m.style()", "m.run()", "m.log.setLevel(10)"]
)
def test_what_a_local_module_keeps_for_itself_is_not(state, cell):
    assert about(state, cell) == []


@pytest.mark.parametrize(
    ("cell", "burst", "name"),
    [
        ("m.tic()", "m.square(2)", ""),
        ("m.tic()", "m.timed()", "tic()"),
        ("m.tic()", "m._START", "tic()"),
        ("m.tic()\nlater = m.toc", "later()", "tic()"),
        ("m.tic()\nsteps = [m.square, m.toc]", "[step(2) for step in steps]", "tic()"),
        ("m.say('start')", "m.square(2)", ""),
        ("m.say('start')", "m.show()", "say()"),
        ("m.Timer.tune(2)", "m.square(2)", ""),
        ("m.Timer.tune(2)", "m.Timer().wait()", "Timer.tune()"),
    ],
)
def test_a_call_is_told_where_the_cell_reaches_code_that_reads_what_it_left(timers, cell, burst, name):
    said = [text.partition(" ")[0].partition(".")[2] for text in about(timers, cell, burst)]
    assert said == ([name] if name else [])


@pytest.mark.parametrize("kept", ['STEPS = {"toc": toc}', "STEPS = [lambda: toc()]", "@list\ndef show(): toc()"])
def test_what_a_module_keeps_in_a_table_or_decorates_may_be_called(local, kept):
    timers = local(TIMERS.replace("if __name__", f"def list(f): return f\n{kept}\nif __name__"))
    assert "tic() (cell 1)" in about(timers, "m.tic()", "m.square(2)")[0]


def test_what_tasks_call_themselves_is_not_told(state):
    assert about(state, "m.setup(2)", "m.setup(2)\nm.run()") == []


@pytest.mark.parametrize(
    ("setup", "cell", "told_of"),
    [
        ("import mpmath", "mpmath.iv.dps = 15", "mpmath.iv.dps"),
        ("import mpmath", "mpmath.mp.dps = 15", ""),
        ("import decimal", "decimal.DefaultContext.Emax = 999999", "decimal.DefaultContext.Emax"),
        ("import pandas", "pandas.options.display.width = 80", ""),
        ("import matplotlib.pylab as pl", "pl.rcParams['lines.linewidth'] = pl.rcParams['lines.linewidth']", ""),
        ("import matplotlib.pyplot as plt", "plt.rcParams['lines.linewidth'] = plt.rcParams['lines.linewidth']", ""),
    ],
)
def test_of_libraries_whose_settings_are_sent_only_those_are_not_told(setup, cell, told_of):
    home = defined(f"{setup}\n{cell}", In=["", setup, cell])
    name = setup.rpartition(" ")[2]
    said = told(f"{name}.x", home)
    assert [text.partition(" ")[0] for text in said] == ([told_of] if told_of else [])


PATCH = "def patch():\n    string.digits = '01'"


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([PATCH], False),
        ([PATCH, "def other():\n    patch()"], False),
        ([PATCH, "%%burst --map range(3)\npatch()"], False),
        ([PATCH, "patch()"], True),
        ([PATCH, "def other():\n    patch()", "other()"], True),
        ([PATCH, "list(map(lambda _: patch(), [1]))"], True),
        ([PATCH, "%time patch()"], True),
        ([f"@run\n{PATCH}"], True),
        (["class A:\n    def set(self):\n        string.digits = '01'", "A().set()"], True),
        ([f"{PATCH}\n%time patch()"], True),
        ([PATCH, "%%time\ndef g():\n    return 1\npatch()"], True),
        ([PATCH, "%%time\nx = 1\npatch()"], True),
        ([PATCH, "exec('x = 1\\npatch()')"], True),
        ([PATCH, "%%burst --map patch()\nitem"], True),
        (["class T(Thread):\n    def run(self):\n        string.digits = '01'", "T().start()"], True),
        (["@made\nclass A:\n    def set(self):\n        string.digits = '01'"], True),
        (["class A:\n    def set(self):\n        string.digits = '01'"], False),
        (["class A:\n    def __init__(self):\n        string.digits = '01'"], True),
    ],
)
@pytest.mark.usefixtures("restored")
def test_what_a_function_sets_that_no_cell_has_called_is_not_told(cells, said):
    home = defined("import string", In=["", *map(TransformerManager().transform_cell, cells)])
    assert bool(told("string.digits", home)) is said


def test_calls_in_a_function_that_no_cell_has_called_are_not_told(state):
    assert about(state, "def f(): m.setup(2)") == []
    assert about(state, "def f(): m.setup(2)\nf()") != []
