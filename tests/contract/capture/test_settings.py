"""Which settings of a notebook travel, which are told, and which are nobody's. Each in an interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from burst_magic import config
from burst_magic.capture.settings import about_environment, describe

COLLECT = """
from burst_magic.capture.settings import collect
found = collect({source!r}, {stream!r}, {bundle!r})
import json
print(json.dumps([found.settings, list(found.told)]))
"""


def collected(code, *, source="", stream=b"", bundle=b"", **environ):
    """(settings, told) of a notebook that has done this."""
    program = textwrap.dedent(code) + COLLECT.format(source=source, stream=stream, bundle=bundle)
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={**os.environ, **environ}
    )
    assert not said.returncode, said.stderr
    return tuple(json.loads(said.stdout))


def test_who_has_set_nothing_has_no_settings():
    assert collected("") == ({}, [])


def test_libraries_that_are_only_imported_have_none():
    assert collected("import numpy, pandas, polars, requests, decimal, logging, locale") == (
        {},
        [],
    )


def test_only_what_differs_is_collected():
    settings, told = collected("import decimal, numpy; decimal.getcontext().prec = 9; numpy.seterr(divide='ignore')")
    assert settings == {"decimal": {"prec": 9}, "numpy": {"divide": "ignore"}}
    assert told == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import numpy; numpy.set_printoptions(formatter={'int': hex})", "numpy: print formatter"),
        ("import numpy; numpy.seterrcall(print)", "numpy: errcall"),
        ("import pandas; pandas.options.display.float_format = lambda x: 'x'", "pandas: display.float_format"),
        ("import logging; logging.root.addHandler(logging.NullHandler())", "logging: handlers"),
        ("import logging, io; logging.getLogger('sim.x').addHandler(logging.StreamHandler(io.StringIO()))", "logging: handlers of sim.x"),
        ("import logging; logging.getLogger('__main__').addFilter(logging.Filter('a'))", "logging: filters of __main__"),
        ("import warnings\nclass W(Warning): pass\nwarnings.simplefilter('error', W)", "warnings: a filter for a warning class of the notebook"),
    ],
)  # fmt: skip
def test_what_is_no_plain_data_is_told_and_does_not_travel(code, said):
    settings, told = collected(code)
    assert told == [f"{said} was set to something that cannot be pickled, so tasks use the default; set it in the cell"]
    assert {key for state in settings.values() for key in state} <= {"filters"}


def test_a_logger_of_a_loaded_library_has_the_handlers_that_its_import_gives_it():
    code = "import logging, numpy; logging.getLogger('numpy.x').addHandler(logging.FileHandler('/dev/null')); logging.getLogger('numpy').propagate = 0"
    assert collected(f"{code}; logging.getLogger('sim').addHandler(logging.NullHandler())") == ({}, [])


LOCAL = """
import logging, pathlib, sys
pathlib.Path({folder!r}, "sims.py").write_text({text!r})
sys.path.insert(0, {folder!r})
import sims
logging.getLogger("sims").addHandler(logging.StreamHandler(sys.stdout))
"""


def test_a_logger_of_a_local_module_has_the_notebook_s_handlers_unless_the_module_has_some_of_its_own(tmp_path):
    plain = "import logging\nlog = logging.getLogger(__name__)"
    settings, told = collected(LOCAL.format(folder=str(tmp_path), text=plain))
    assert settings == {"logging": {"handlers of sims": [["stdout", 0, None, None, "%"]]}}
    assert told == []
    code = LOCAL.format(folder=str(tmp_path), text=plain) + "logging.getLogger('sims').addFilter(logging.Filter('a'))"
    assert "logging: filters of sims" in collected(code)[1][0]
    own = plain + "\nlog.addHandler(logging.NullHandler())"
    assert collected(LOCAL.format(folder=str(tmp_path), text=own)) == ({}, [])


@pytest.mark.parametrize("place", ["source", "stream", "bundle"])
def test_a_variable_travels_when_code_names_it(place, tmp_path):
    import io
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("ours/mode.py", "import os\nMODE = os.environ['OUR_MODE']\n")
    code = {"source": "os.environ['OUR_MODE']", "stream": b"z\x08OUR_MODE", "bundle": data.getvalue()}[place]
    settings, _ = collected("import os; os.environ.update(OUR_MODE='b', OTHER='c')", **{place: code})
    assert settings == {"environment": {"OUR_MODE": "b"}}


def test_a_variable_that_was_deleted_travels_as_that():
    assert collected("import os; del os.environ['GONE']", source="'GONE'", GONE="x")[0] == {
        "environment": {"GONE": None}
    }


def test_a_variable_that_the_notebook_has_not_changed_does_not_travel():
    assert collected("import os; os.environ['KEPT'] = 'x'", source="'KEPT'", KEPT="x") == ({}, [])


def test_a_variable_that_was_changed_when_somebody_looked_travels_when_it_is_back():
    code = """
    import os
    from burst_magic import config
    os.environ["MODE"] = "b"
    config.changed_variables()  # as who starts a worker does
    del os.environ["MODE"]
    """
    assert collected(code, source="'MODE'")[0] == {"environment": {"MODE": None}}


def test_the_time_zone_travels_whoever_names_it():
    assert collected("import os; os.environ['TZ'] = 'UTC'")[0] == {"environment": {"TZ": "UTC"}}


@pytest.mark.parametrize(("name", "value"), [("MY_TOKEN", "abcdefgh1234"), ("PLAIN", "AKIAIOSFODNN7EXAMPLE")])
def test_what_looks_like_a_secret_never_travels(name, value):
    assert collected(f"import os; os.environ[{name!r}] = {value!r}", source=repr(name)) == ({}, [])


@pytest.mark.parametrize("name", ["TERM", "MPLBACKEND", "PYDEVD_USE_FRAME_EVAL", "JPY_PARENT_PID", "KMP_INIT_AT_FORK"])
def test_what_the_kernel_sets_is_nobodys_setting(name):
    assert collected(f"import os; os.environ[{name!r}] = 'x'", source=repr(name)) == ({}, [])
    assert about_environment({}, {**config.environment(), name: "other"}, ()) == ""


def test_variables_that_workers_have_otherwise_are_told_but_those_that_travel_or_are_set_there():
    here = config.environment()
    theirs = {**here, "ONE": "1", "TWO": "2", "THREE": "3"}
    assert about_environment({"environment": {"TWO": None}}, theirs, {"THREE"}).startswith(
        "ONE in os.environ differs from what the session's workers were started with"
    )
    assert about_environment({}, here, ()) == ""


def test_a_line_says_what_travels_and_no_values_of_variables():
    settings = {
        "decimal": {"prec": 50, "traps": ["Inexact"]},
        "warnings": {"filters": [[], []]},
        "environment": {"MODE": "hidden"},
    }
    assert describe(settings) == "decimal: prec 50, traps; warnings: 2 filters; environment: MODE"
    assert describe({}) == "none"
