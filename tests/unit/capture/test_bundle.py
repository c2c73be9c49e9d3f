"""Local modules travel as source, installed ones by name and version (point 4)."""

import io
import os
import sys
import types
import zipfile

import numpy as np
import pytest

from burst_magic.capture import bundle
from burst_magic.errors import BurstError, CaptureError


@pytest.fixture
def project(tmp_path, notebook):
    """A folder beside the notebook, on sys.path."""
    before = set(sys.modules)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]


def write(folder, **files):
    for name, text in files.items():
        path = folder / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names_in(data):
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


def test_a_local_module_travels(project, notebook):
    write(project, local_one="import math\nk = 3\ndef f(x): return math.sqrt(x) + k")
    notebook.run("import local_one\nfrom local_one import f")
    assert notebook.burst("f(4), local_one.k") == (5.0, 3)
    assert names_in(notebook.capture("f(4)").bundle) == ["local_one.py"]


def test_a_local_package_with_relative_imports_travels(project, notebook):
    write(
        project,
        pack_a__in____init__="from .core import run",
        pack_a__in__core="from . import deep\nfrom .deep.base import K\ndef run(): return K + deep.base.K",
        pack_a__in__deep__in____init__="",
        pack_a__in__deep__in__base="from ..shape import S\nK = S",
        pack_a__in__shape="S = 4",
    )
    notebook.run("import pack_a")
    assert notebook.burst("pack_a.run()") == 8


def test_local_modules_of_local_modules_travel(project, notebook):
    write(project, outer_m="def go():\n    import inner_m\n    return inner_m.v", inner_m="v = 6", not_used_m="v = 7")
    notebook.run("import outer_m")
    assert notebook.burst("outer_m.go()") == 6
    assert names_in(notebook.capture("outer_m.go()").bundle) == ["inner_m.py", "outer_m.py"]


def test_a_local_module_that_was_edited_brings_what_it_imports_now(project, notebook):
    write(project, edited_m="v = 1", later_m="w = 2")
    notebook.run("import edited_m")
    assert names_in(notebook.capture("edited_m.v").bundle) == ["edited_m.py"]
    write(project, edited_m="import later_m\nv = 1")
    assert names_in(notebook.capture("edited_m.v").bundle) == ["edited_m.py", "later_m.py"]


def test_a_local_module_imported_inside_the_cell_travels(project, notebook):
    write(project, late_m="v = 8")
    assert notebook.burst("import late_m\nlate_m.v") == 8
    assert notebook.burst("from late_m import v\nv") == 8


def test_a_local_module_imported_inside_a_helper_travels(project, notebook):
    write(project, helper_m="v = 9")
    notebook.run("def f():\n    from helper_m import v\n    return v")
    assert notebook.burst("f()") == 9


def test_an_instance_of_a_local_module_s_class_brings_the_module(project, notebook):
    write(project, class_m="class A:\n    def f(self): return 5")
    notebook.run("import class_m\na = class_m.A()")
    assert notebook.burst("a.f()") == 5


def test_an_item_of_a_local_module_s_class_brings_the_module(project, notebook):
    write(project, item_m="class A:\n    def f(self): return 5")
    notebook.run("import item_m\nitems = [item_m.A()]")
    assert notebook.burst("item.f()", "items") == [5]


def test_a_function_of_a_local_module_can_be_mapped(project, notebook):
    write(project, mapped_m="def f(x): return x + 1")
    notebook.run("import mapped_m")
    assert notebook.call(notebook["mapped_m"].f, [1, 2]) == [2, 3]


def test_the_same_files_give_the_same_bytes(project, notebook):
    write(project, same_m="v = 1")
    notebook.run("import same_m")
    one = notebook.capture("same_m.v").bundle
    os.utime(project / "same_m.py", (1_000_000_000, 1_000_000_000))
    assert notebook.capture("same_m.v").bundle == one


def test_compiled_files_and_hidden_folders_stay_here(project, notebook):
    write(project, tidy_p__in____init__="v = 1")
    for name in ("__pycache__/x.cpython-311.pyc", ".git/config", "data.csv"):
        path = project / "tidy_p" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    notebook.run("import tidy_p")
    assert names_in(notebook.capture("tidy_p.v").bundle) == ["tidy_p/__init__.py", "tidy_p/data.csv"]


def test_included_files_travel(project, notebook):
    (project / "rates.csv").write_text("1,2")
    capture = notebook.capture("1", include=[project / "rates.csv"])
    assert names_in(capture.bundle) == ["rates.csv"]
    with pytest.raises(CaptureError, match="no such file"):
        notebook.capture("1", include=[project / "nothing.csv"])


def test_installed_modules_go_by_name_and_version(notebook):
    notebook.run("import numpy as np\nimport json\nx = np.float64(1)")
    assert notebook.capture("np.ones(2), json.dumps(1)").modules == (("numpy", np.__version__),)
    assert notebook.capture("x").modules == (("numpy", np.__version__),)
    assert notebook.capture("import numpy.linalg\n1").modules == (("numpy", np.__version__),)
    assert notebook.capture("1").modules == ()


def test_an_installed_module_that_only_an_item_needs_is_listed_too(notebook):
    notebook.run("import numpy as np\ndef f(): return np.pi")
    assert dict(notebook.capture("f()").modules) == {"numpy": np.__version__}


def test_burst_magic_is_never_bundled(notebook):
    notebook.run("import burst_magic\nfrom burst_magic.errors import TaskError")
    capture = notebook.capture("burst_magic, TaskError")
    assert capture.bundle == b""
    assert capture.modules == ()


def test_a_source_folder_that_is_too_large_is_refused(project, notebook):
    write(project, large_p__in____init__="")
    with (project / "large_p" / "data.bin").open("wb") as file:
        file.truncate(bundle.LIMIT + 1)
    notebook.run("import large_p")
    with pytest.raises(CaptureError, match=r"local modules") as refused:
        notebook.capture("large_p")
    assert "large_p/data.bin" in str(refused.value)


HELPER = """
import functools

FACTOR = 3
count: int = 0
model = None

def times(item):
    return item * FACTOR

class Scale:
    @functools.lru_cache
    def up(self, item):
        return item * FACTOR
    def down(self, item):
        return item / FACTOR

def configure(value):
    global FACTOR
    FACTOR = value
"""

DRIFT = {
    "nothing": ("", "", None),
    "a model that was loaded when it was needed": ("helper.model = [1]", "", None),
    "a value set": ("helper.count = 7", "", "helper: count was set here after the import"),
    "an edit of a function": ("", "item * FACTOR + 1", "helper: helper.py has changed since it was imported here"),
    "a file half written": ("", "item * (", "helper: helper.py cannot be compiled in its current state"),
}


@pytest.mark.parametrize(("here", "there", "warning"), DRIFT.values(), ids=DRIFT)
def test_a_module_that_is_not_as_its_file_says_is_told(project, notebook, here, there, warning):
    write(project, helper=HELPER)
    notebook.run(f"import helper\n{here}")
    if there:
        write(project, helper=HELPER.replace("item * FACTOR", there, 1))
    said = [text for text in notebook.capture("helper.times(2)").warnings if text.startswith("helper")]
    assert [text.startswith(warning) for text in said] == ([True] if warning else [])


def test_an_edit_of_a_method_in_a_package_is_told_and_a_reload_ends_it(project, notebook):
    write(project, pack__in____init__="", pack__in__tools=HELPER)
    notebook.run("import pack.tools, importlib")
    write(project, pack__in__tools=HELPER.replace("item / FACTOR", "item // FACTOR"))
    (said,) = notebook.capture("pack.tools.Scale().down(2)").warnings
    assert said.startswith("pack.tools: tools.py has changed")
    notebook.run("import os, sys; sys.dont_write_bytecode = True; importlib.reload(pack.tools)")
    assert notebook.capture("pack.tools.Scale().down(2)").warnings == ()


@pytest.mark.parametrize(
    "cell",
    [
        "importlib.import_module('plug.one').v",
        "__import__('plug.one').one.v",
        "name = 'plug.' + 'one'\nimportlib.import_module(name).v",
        "part = 'one'\nimportlib.import_module(f'plug.{part}').v",
        "importlib.import_module(where).v",
        "helper()",
    ],
)
def test_a_local_module_that_a_text_names_travels_where_code_imports_by_name(project, notebook, cell):
    write(project, plug__in____init__="", plug__in__one="v = 3")
    notebook.run("import importlib\nwhere = 'plug.one'\ndef helper(): return importlib.import_module('plug.one').v")
    assert names_in(notebook.capture(cell).bundle) == ["plug/__init__.py", "plug/one.py"]
    assert notebook.burst(cell) == 3


def test_a_local_module_that_an_item_names_travels(project, notebook):
    write(project, plug__in____init__="", plug__in__one="v = 3")
    notebook.run("import importlib")
    capture = notebook.capture("importlib.import_module(item).v", map_expr="['plug.one', 'json']")
    assert names_in(capture.bundle) == ["plug/__init__.py", "plug/one.py"]


def test_a_text_that_names_a_module_says_nothing_where_none_is_imported_by_name(project, notebook):
    write(project, plug="v = 3")
    assert notebook.capture("'plug'").bundle == b""


@pytest.mark.parametrize("path", ["/proc/self/mem", "pipe", "away", "circle"])
def test_what_cannot_be_read_is_refused_and_not_left_out(tmp_path, notebook, path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "away").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(CaptureError, match=r"cannot be read|takes files and folders only") as caught:
        notebook.capture("1", include=[path])
    assert caught.value.__cause__ is None


def test_a_relative_path_in_a_folder_that_was_removed_is_said(tmp_path, notebook, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(BurstError, match="the current folder does not exist any more"):
        notebook.capture("1", include=["rates.csv"])


def test_the_version_of_a_package_is_not_asked_in_a_way_that_warns(monkeypatch):
    def computed(name):
        raise AssertionError(f"{name} is asked for")

    package = types.ModuleType("pytest")  # installed, so that its metadata says the version
    package.__getattr__ = computed
    package.__spec__, package.__file__ = pytest.__spec__, pytest.__file__
    monkeypatch.setitem(sys.modules, "pytest", package)
    installed, _ = bundle.split({"pytest"})
    assert dict(installed)["pytest"] == pytest.__version__
