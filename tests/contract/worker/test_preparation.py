"""A slot imports in advance, while it is idle, what the last job's tasks imported; no task can tell."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import textwrap
import zipfile

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import keys
from burst_magic.worker.forkserver import Template

# Says where it was loaded, and all that it found there.
DIARY = """
import os, sys, warnings
pid = os.getpid()
argv, path, folder, variables = list(sys.argv), list(sys.path), os.getcwd(), dict(os.environ)
filters, depth = [each[:2] for each in warnings.filters], sys.getrecursionlimit()
"""
FOUND = "{name: getattr(diary, name) for name in ('argv', 'path', 'folder', 'variables', 'filters', 'depth')}"
ITSELF = "import diary, os\n(diary.pid == os.getpid(), " + FOUND + ")"  # did the task's process load it?


@pytest.fixture
def packages(tmp_path_factory):
    """A folder with installed packages; ``write`` adds one."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture
def template(packages, monkeypatch):
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setenv("PYTHONPATH", str(packages))
    (packages / "diary.py").write_text(DIARY)
    started = Template.start()
    yield started
    started.close()


class Jobs:
    """One job after another on the same slot, as on a warm worker."""

    def __init__(self, hand) -> None:
        self.hand, self.count = hand, 0

    @property
    def process(self):
        return self.hand.slots._processes[0]

    def begin(self, source, *, mentions=("diary",), items=(0,), **job) -> str:
        self.count += 1
        jid = str(self.count)
        modules = tuple((name, "") for name in mentions)
        self.hand.add(source, list(items), jid=jid, modules=modules, filename="<cell>", **job)
        self.hand.slots.run(fx.Run(0, jid, self.hand.claim, 0, len(items)))
        return jid

    def end(self, jid, tasks=1):
        """Its values, or what failed; then it is over."""
        self.hand.reach(tasks, job=jid)
        found = [each.message or value for each, value in zip(*self.told(jid, tasks), strict=True)]
        self.hand.slots.let_go(fx.LetGo(jid))
        return found

    def told(self, jid, tasks):
        outcomes = self.hand.outcomes(0, tasks, job=jid)
        return outcomes, [self.hand.value_of(each) for each in outcomes]

    def run(self, source, **job):
        """The value of a job's only task."""
        return self.end(self.begin(source, **job))[0]

    def settle(self) -> int:
        """Waits until the slot has imported in advance whatever it does; the number of modules."""

        def settled():
            made = self.process.preparation
            return made is None or made.ready

        self.hand.until(settled)
        return self.process.slot.prepared


@pytest.fixture
def jobs(hand):
    jobs = Jobs(hand)
    jobs.hand.until(lambda: fx.SlotReady(0) in hand.told)
    return jobs


NOTEBOOKS = {
    "no settings": {},
    "its filters": {"warnings": {"filters": [["ignore", "often", "builtins", "Warning", None, 0]]}},
    "its variables": {"environment": {"DIARY": "1", "HOME": None, "TZ": "Asia/Tokyo"}},
    "its limits": {"sys": {"recursionlimit": 5000}},
}


@pytest.mark.parametrize("settings", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_the_next_jobs_tasks_find_what_the_last_ones_imported(jobs, settings):
    itself, found = jobs.run(ITSELF, settings=settings)
    assert itself
    assert jobs.settle() == 1
    assert jobs.run(ITSELF, settings=settings) == (False, found)
    assert jobs.settle() == 1  # what a task finds is imported for the third job, too
    assert jobs.run(ITSELF, settings=settings) == (False, found)


LOOK = """
import sys
before = sorted(sys.modules)
import {name}
sorted({{*sys.modules}} - {{*before}}), before
"""


@pytest.mark.parametrize("name", ["diary", "json.tool", "xml.dom.minidom", "numpy", "concurrent.futures", "asyncio"])
def test_a_module_imported_in_advance_is_not_there_before_a_task_imports_it(jobs, name):
    look, mentions = LOOK.format(name=name), (name.partition(".")[0],)
    fresh = jobs.run(look, mentions=mentions)
    assert jobs.settle()
    brought, before = jobs.run(look, mentions=mentions)
    made_by_c = {"cython_runtime", "_cyutility"}
    assert [each for each in fresh[0] if each not in made_by_c and not each.startswith("_cython_")] == brought
    assert {*before} - {*fresh[1]} <= {each for each in before if each in made_by_c or each.startswith("_cython_")}


def test_a_submodule_imported_in_advance_is_no_attribute_of_its_package(jobs, packages):
    (packages / "parcel").mkdir()
    (packages / "parcel" / "__init__.py").write_text("")
    (packages / "parcel" / "inner.py").write_text("import parcel.other\nwhole = hasattr(parcel, 'inner')")
    (packages / "parcel" / "other.py").write_text("")
    every = "import parcel.inner as inner\nparcel = __import__('parcel')\n"
    every += "(inner.whole, hasattr(parcel, 'inner'), hasattr(parcel, 'other'))"
    assert jobs.run(every, mentions=["parcel"]) == (False, True, True)
    assert jobs.settle() == 3
    none = "import parcel\nhasattr(parcel, 'inner'), hasattr(parcel, 'other')"
    assert jobs.run(none + ", __import__('sys').modules.keys() >= {'parcel.inner'}", mentions=["parcel"]) == (
        False,
        False,
        False,
    )
    jobs.run(every, mentions=["parcel"])
    assert jobs.settle() == 3
    assert jobs.run(every, mentions=["parcel"]) == (False, True, True)


EFFECTS = """
import os, sys, warnings
warnings.filterwarnings("ignore", message="seldom")
os.environ["EFFECT"] = "1"

class Finder:
    def find_spec(self, name, path, target=None):
        return None

sys.meta_path.append(Finder())
"""
SEEN = "(any(each[1] is not None and each[1].pattern == 'seldom' for each in warnings.filters), "
SEEN += "os.environ.get('EFFECT'), getattr(sys.meta_path[-1], '__name__', 'Finder'))"


@pytest.mark.parametrize("settings", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_what_a_module_sets_when_it_is_imported_is_set_when_a_task_imports_it(jobs, packages, settings):
    (packages / "effects.py").write_text(EFFECTS)
    looks = f"import os, sys, warnings\nbefore = {SEEN}\nimport effects\nbefore, {SEEN}"
    fresh = jobs.run(looks, mentions=["effects"], settings=settings)
    assert fresh == ((False, None, "PathFinder"), (True, "1", "Finder"))
    assert jobs.settle()
    assert jobs.run(looks, mentions=["effects"], settings=settings) == fresh


def test_a_task_that_only_looks_for_a_module_finds_its_file_and_no_module(jobs):
    task = """
        import importlib.util, sys
        spec = importlib.util.find_spec("diary")
        found = spec.origin, spec.has_location, spec.loader.is_package("diary"), "diary" in sys.modules
        import diary
        found, diary.__spec__.loader is diary.__loader__, diary.__spec__.origin == diary.__file__, diary.pid > 0
    """
    task = textwrap.dedent(task)
    fresh = jobs.run(task)
    assert jobs.settle()
    assert jobs.run(task) == fresh


ODD = {
    "starts a thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "draws": "import random\ndrawn = random.random()",
    "draws from numpy": "import numpy\ndrawn = numpy.random.random()",
    "draws from a generator of its own": "import random\nown = random.Random()\ndrawn = own.random()",
    "keeps a generator": "import random\nown = random.Random(1)\ndrawn = 0",
    "prints": "print('hello')",
    "starts a process": "import subprocess\nkept = subprocess.Popen(['sleep', '60'])",
    "changes the folder": "import os\nos.chdir('/')",
    "changes the path": "import sys\nsys.path.append('/nowhere')",
    "handles a signal": "import signal\nsignal.signal(signal.SIGUSR2, signal.SIG_IGN)",
    "removes a variable": "import os\nos.environ.pop('HOME', None)",
    "counts in the context": "import decimal\ndecimal.getcontext().prec = 5",
    "replaces a hook": "import sys\nsys.excepthook = print",
    "logs": "import logging\nlogging.basicConfig()",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_module_whose_import_a_task_might_notice_is_left_to_the_task(jobs, packages, odd):
    (packages / "odd.py").write_text(f"import os, diary\npid = os.getpid()\n{odd}")
    task = "import odd, os\n(odd.pid == os.getpid(), odd.diary.pid == os.getpid(), getattr(odd, 'drawn', None))"
    fresh = jobs.run(task, mentions=["odd", "diary"])
    assert fresh[:2] == (True, True)
    jobs.settle()
    again = jobs.run(task, mentions=["odd", "diary"])
    assert again == (True, False, fresh[2])  # what could be imported before it was


def test_a_module_that_fails_to_import_in_advance_is_left_to_the_task(jobs, packages, tmp_path):
    (packages / "moody.py").write_text(f"import os\nif os.path.exists({str(tmp_path / 'mood')!r}): raise OSError")
    task = "import moody, diary, os\ndiary.pid == os.getpid()"
    assert jobs.run(task, mentions=["moody", "diary"])
    jobs.settle()
    (tmp_path / "mood").touch()
    jobs.run(task, mentions=["moody", "diary"])
    jobs.settle()
    (tmp_path / "mood").unlink()
    assert jobs.run(task, mentions=["moody", "diary"])


CHANGES = {
    "a variable": "os.environ['DIARY'] = '1'",
    "no variable": "del os.environ['MPLBACKEND']",
    "the folder": "os.chdir('/')",
    "the path": "sys.path.append('/nowhere')",
    "the arguments": "sys.argv.append('more')",
    "a filter": "warnings.simplefilter('error')",
    "no filters": "warnings.resetwarnings()",
    "a finder": "sys.meta_path.insert(0, type('Finder', (), {'find_spec': lambda *_: None}))",
    "a hook": "sys.path_hooks.insert(0, zip)",
    "another variable table": "os.environ = dict(os.environ)",
    "a level": "import logging\nlogging.getLogger('x').setLevel(10)",
    "a signal handler": "import signal\nsignal.signal(signal.SIGUSR2, signal.SIG_IGN)",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_task_that_imports_a_module_in_changed_surroundings_imports_it_itself(jobs, change):
    task = f"import os, sys, warnings\n{change}\n{ITSELF}"
    fresh = jobs.run(task)
    assert fresh[0]
    assert jobs.settle()
    assert jobs.run(task) == fresh
    assert jobs.settle() == 0  # such a job is not prepared for again
    assert jobs.run(task) == fresh


def test_a_task_that_ignores_warnings_while_it_imports_finds_the_module(jobs):
    task = f"import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n    import diary\n{ITSELF}"
    jobs.run(task)
    assert jobs.settle()
    assert not jobs.run(task)[0]


@pytest.mark.parametrize(("name", "found"), [("diary", [True, False]), ("optional", [False, True])])
def test_a_module_that_a_task_put_in_the_place_of_another_is_found(jobs, packages, name, found):
    (packages / "asks.py").write_text("import diary\ntry: import optional\nexcept ImportError: optional = None")
    task = "import sys, types\nsys.modules[{!r}] = types.SimpleNamespace(put=True)\nimport asks\n"
    task += "[getattr(each, 'put', False) for each in (asks.diary, asks.optional)]"
    jobs.run("import asks", mentions=["asks"])
    assert jobs.settle() == 2
    assert jobs.run(task.format(name), mentions=["asks"]) == found


def test_a_fork_of_a_task_imports_in_surroundings_that_it_has_changed(jobs, tmp_path):
    told = tmp_path / "told"
    task = f"""
        import os
        pid = os.fork()
        if not pid:
            os.environ["FORK"] = "1"
            import diary
            open({str(told)!r}, "w").write(str(len(diary.argv)))
            os._exit(0)
        os.waitpid(pid, 0)
        import diary
        open({str(told)!r}).read(), diary.pid == os.getpid()
    """
    task = textwrap.dedent(task)
    assert jobs.run(task) == ("1", True)
    assert jobs.settle()
    told.unlink()
    assert jobs.run(task) == ("1", False)


OTHER_GROUND = {
    "variables": {"settings": {"environment": {"DIARY": "1"}}},
    "no variable": {"settings": {"environment": {"HOME": None}}},
    "filters": {"settings": {"warnings": {"filters": [["error", None, "builtins", "UserWarning", None, 0]]}}},
    "a folder": {"folder": "/"},
    "threads": {"threads": 3},
    "other libraries": {"mentions": ["json"]},
}


@pytest.mark.parametrize("other", OTHER_GROUND.values(), ids=OTHER_GROUND)
def test_a_job_on_other_ground_gets_a_process_that_imported_nothing(jobs, other):
    jobs.run(ITSELF)
    assert jobs.settle()
    prepared = jobs.process.slot.pid
    itself, found = jobs.run(ITSELF, **other)
    assert itself
    assert jobs.process.slot.pid != prepared
    if "mentions" not in other:  # and one on the same ground has it
        assert jobs.settle()
        assert jobs.run(ITSELF, **other) == (False, found)


def test_what_a_task_changes_in_a_module_is_not_there_in_the_next_job(jobs):
    jobs.run("import diary\ndiary.argv.append('changed')\ndiary.new = 1\nvars(diary)['pid'] = 0")
    assert jobs.settle()
    changed = "import diary\n(diary.argv, hasattr(diary, 'new'), diary.pid > 0)"
    assert jobs.run(changed) == ([""], False, True)


def test_what_a_task_changes_in_a_module_imported_in_advance_is_not_there_for_the_next_task(jobs):
    task = "import diary\ndiary.new = getattr(diary, 'new', 0) + 1\ndiary.new"
    assert jobs.end(jobs.begin(task, items=range(3)), 3) == [1, 1, 1]
    assert jobs.settle()
    assert jobs.end(jobs.begin(task, items=range(3)), 3) == [1, 1, 1]


def test_a_filter_of_the_notebook_is_set_when_a_task_imports_its_category(jobs, packages):
    (packages / "omens.py").write_text("class Omen(Warning): pass")
    task = "import omens, warnings\nwarnings.warn('ill', omens.Omen)"
    settings = {"warnings": {"filters": [["error", None, "omens", "Omen", None, 0]]}}
    for _ in range(2):
        assert jobs.run(task, mentions=["omens"], settings=settings) == "ill"
        assert jobs.settle()


def test_each_task_of_the_next_job_finds_the_module_also_when_another_spoiled_the_process(jobs):
    jobs.run(ITSELF)
    assert jobs.settle()
    task = "import diary, os, sys\nif item == 1: os.nice(1)\n(diary.pid == os.getpid(), 'diary' in sys.modules)"
    assert jobs.end(jobs.begin(task, items=range(4)), 4) == [(False, True)] * 4


def bundle(jobs, **modules) -> str:
    """Local modules, in the store; their digest."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in modules.items():
            archive.writestr(f"{name}.py", text)
    sha256 = hashlib.sha256(data.getvalue()).hexdigest()
    jobs.hand.store.put(keys.blob(sha256), data.getvalue())
    return sha256


def test_local_modules_are_not_imported_in_advance_but_what_they_import_is(jobs):
    task = "import mine, os\n(mine.pid == os.getpid(), mine.diary.pid == os.getpid(), mine.version)"
    text = "import diary, os\npid, version = os.getpid(), {}"
    assert jobs.run(task, bundle=bundle(jobs, mine=text.format(1))) == (True, True, 1)
    assert jobs.settle() == 1
    assert jobs.run(task, bundle=bundle(jobs, mine=text.format(2))) == (True, False, 2)


@pytest.mark.parametrize("name", ["diary", "optional"])
def test_a_module_that_would_find_a_local_one_is_imported_by_the_task(jobs, packages, name):
    (packages / "asks.py").write_text("import diary\ntry: import optional\nexcept ImportError: optional = None")
    task = "import asks\n(getattr(asks.diary, 'local', None), getattr(asks.optional, 'local', None))"
    assert jobs.run(task, mentions=["asks"]) == (None, None)
    assert jobs.settle() == 2
    local = bundle(jobs, **{name: "local = True"})
    found = (True, None) if name == "diary" else (None, True)
    assert jobs.run(task, mentions=["asks"], bundle=local) == found


class Slow:
    """A package whose import takes until its gate opens."""

    def __init__(self, packages, tmp_path, name) -> None:
        self.name = name
        self.gate, self.begun = tmp_path / f"gate of {name}", tmp_path / f"begin of {name}"
        self.gate.touch()
        (packages / f"{name}.py").write_text(
            textwrap.dedent(f"""
                import os, time
                open({str(self.begun)!r}, "w").close()
                while not os.path.exists({str(self.gate)!r}): time.sleep(0.005)
                pid = os.getpid()
            """)
        )

    def close(self) -> None:
        self.gate.unlink()
        self.begun.unlink()


@pytest.fixture
def slow(packages, tmp_path):
    return Slow(packages, tmp_path, "slow")


def run_and_close(jobs, source, *slow) -> None:
    """Runs a job that imports slow packages; what the slot then imports in advance waits."""
    jid = jobs.begin(source, mentions=[each.name for each in slow])
    jobs.hand.reach(1, job=jid)
    for each in slow:
        each.close()
    jobs.end(jid)
    jobs.hand.until(slow[0].begun.exists)


def test_a_job_that_comes_while_a_slot_imports_in_advance_does_not_wait_for_what_others_need(jobs, slow):
    run_and_close(jobs, "import slow", slow)
    imports = jobs.process.slot
    assert jobs.run("'quick'", mentions=[]) == "quick"
    assert jobs.process.slot is not imports


def test_a_job_like_the_last_one_waits_for_the_module_that_is_being_imported_only(jobs, slow, packages, tmp_path):
    run_and_close(jobs, "import slow, slow2", slow, Slow(packages, tmp_path, "slow2"))
    jid = jobs.begin("import slow, os\nslow.pid == os.getpid()", mentions=["slow", "slow2"])
    jobs.hand.until(lambda: jobs.process.served)
    slow.gate.touch()
    assert jobs.end(jid) == [False]


def test_a_slot_that_dies_while_it_imports_in_advance_is_replaced(jobs, slow):
    run_and_close(jobs, "import slow", slow)
    dying = jobs.process.slot
    os.kill(dying.pid, signal.SIGKILL)
    jobs.hand.until(lambda: jobs.process.slot is not dying)
    slow.gate.touch()
    task = "import slow, os\nslow.pid == os.getpid()"
    assert jobs.run(task, mentions=["slow"])
    assert jobs.settle() == 0  # what has failed is not tried again
    assert jobs.run(task, mentions=["slow"])


def test_numbers_drawn_after_an_import_in_advance_are_those_of_a_new_slot(jobs):
    draws = "import numpy, random\n(random.random(), numpy.random.random(), numpy.random.default_rng().random())"
    fresh = jobs.end(jobs.begin(draws, items=range(3), mentions=["numpy"]), 3)
    assert jobs.settle()
    assert jobs.end(jobs.begin(draws, items=range(3), mentions=["numpy"]), 3) == fresh


def test_a_library_that_leaves_threads_is_not_imported_in_advance(jobs):
    task = "import polars\npolars.Series([1, 2]).sum()"
    assert jobs.run(task, mentions=["polars"]) == 3
    jobs.settle()
    assert jobs.run(task, mentions=["polars"]) == 3
    assert "polars" in jobs.process.slot.imported or jobs.count == 2


REGISTERED = """
import codecs, copyreg

def registered():
    found = [sorted(map(str, copyreg.dispatch_table)), sorted(copyreg._inverted_registry)]
    for look, name in ((codecs.lookup, "of_registers"), (codecs.lookup_error, "of-registers")):
        try:
            look(name)
        except LookupError:
            found.append("none")
        else:
            found.append("there")
    return found

before = registered()
{imports}
[before, registered()]
"""


@pytest.mark.parametrize(
    "what",
    [
        'codecs.register(lambda name: codecs.lookup("rot13") if name == "of_registers" else None)',
        'codecs.register_error("of-registers", lambda error: ("?", error.end))',
        'copyreg.pickle(Thing, lambda thing: "thing")',
        'copyreg.add_extension("registers", "Thing", 240)',
    ],
)
def test_what_a_module_registers_when_it_is_imported_is_not_there_before_a_task_imports_it(jobs, packages, what):
    """Neither for the task that imports it, nor for one that never does."""
    (packages / "registers.py").write_text(f"import codecs, copyreg\n\nclass Thing: pass\n\n{what}\n")
    first = jobs.run(REGISTERED.format(imports="import registers"), mentions=("registers",))
    jobs.settle()
    assert jobs.run(REGISTERED.format(imports=""), mentions=("registers",)) == [first[0], first[0]]
    jobs.settle()
    assert jobs.run(REGISTERED.format(imports="import registers"), mentions=("registers",)) == first


def test_modules_that_register_reducers_are_imported_in_advance_with_what_needs_them(jobs, packages):
    """As numpy's are: each reducer comes and goes with its module."""
    kind = "class Thing: pass\n\ncopyreg.pickle(Thing, lambda thing: 'thing')\n"
    (packages / "registers.py").write_text(f"import copyreg\n\n{kind}")
    (packages / "above.py").write_text(f"import copyreg, registers\n\n{kind}")
    mentions = ("registers", "above")
    first = jobs.run(REGISTERED.format(imports="import above"), mentions=mentions)
    assert jobs.settle() == 2
    assert jobs.run(REGISTERED.format(imports="import above"), mentions=mentions) == first
    assert jobs.settle() == 2
    both = jobs.run(REGISTERED.format(imports="import above"), mentions=mentions)
    assert both == first
    jobs.settle()
    _, with_one = jobs.run(REGISTERED.format(imports="import registers"), mentions=mentions)
    assert "<class 'registers.Thing'>" in with_one[0]
    assert "<class 'above.Thing'>" not in with_one[0]
