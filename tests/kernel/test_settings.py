"""What the notebook has set process-wide holds for its tasks; what the kernel itself sets is nobody's setting."""

from __future__ import annotations

import pytest

LIBRARIES = "import numpy as np, pandas as pd, polars as pl, sklearn.linear_model, scipy.stats, sympy, requests"

# what the notebook does, an expression that shows it, what undoes it
CASES = {
    "decimal's precision": (
        "import decimal; decimal.getcontext().prec = 50", "str(decimal.Decimal(1) / 3)", "decimal.setcontext(decimal.Context())",
    ),
    "decimal's rounding and traps": (
        "import decimal as d; d.getcontext().rounding = 'ROUND_UP'; d.getcontext().traps[d.DivisionByZero] = False",
        "(str(round(d.Decimal('1.21'), 1)), str(d.Decimal(1) / d.Decimal(0)))", "d.setcontext(d.Context())",
    ),
    "a fresh context of decimal": (
        "import decimal; decimal.setcontext(decimal.ExtendedContext)", "(decimal.getcontext().prec, str(decimal.Decimal(1) / 0))",
        "decimal.setcontext(decimal.Context())",
    ),
    "numpy's errors": (
        "import numpy as np; _old = np.seterr(all='raise', under='ignore')", "sorted(np.geterr().items())", "np.seterr(**_old)",
    ),
    "numpy's errstate that was left open": (
        "import numpy as np; _open = np.errstate(divide='ignore'); _open.__enter__()", "np.geterr()['divide']",
        "_open.__exit__(None, None, None)",
    ),
    "numpy's print options": (
        "import numpy as np; _old = np.get_printoptions(); np.set_printoptions(precision=3, suppress=True, threshold=5)",
        "(repr(np.array([1.23456789, 1e-9])), repr(np.arange(100)))", "np.set_printoptions(**{**_old, 'formatter': None})",
    ),
    "the recursion limit": ("import sys; sys.setrecursionlimit(4321)", "sys.getrecursionlimit()", "sys.setrecursionlimit(1000)"),
    "the digits of integers": (
        "import sys; sys.set_int_max_str_digits(0)", "len(str(10 ** 5000))", "sys.set_int_max_str_digits(4300)",
    ),
    "warnings that are errors": (
        "import warnings; _old = warnings.filters[:]; warnings.filterwarnings('error')", "[f[0] for f in warnings.filters if f[1:] == (None, Warning, None, 0)]",
        "warnings.filters[:] = _old",
    ),
    "filters that were all taken away": (
        "import warnings; _old = warnings.filters[:]; warnings.resetwarnings(); warnings.simplefilter('error', DeprecationWarning)",
        "[f[0] for f in warnings.filters if f[2] is DeprecationWarning]", "warnings.filters[:] = _old",
    ),
    "warnings of a library's category": (
        "import warnings, sklearn.exceptions as s; _old = warnings.filters[:]; warnings.simplefilter('error', s.ConvergenceWarning)",
        "[f[0] for f in warnings.filters if f[2] is s.ConvergenceWarning]", "warnings.filters[:] = _old",
    ),
    "warnings by message": (
        "import warnings; _old = warnings.filters[:]; warnings.filterwarnings('ignore', 'no.*good', UserWarning, 'mine')",
        "[(f[0], f[1].pattern, f[3].pattern) for f in warnings.filters if f[2] is UserWarning]", "warnings.filters[:] = _old",
    ),
    "the level of the root logger": (
        "import logging; logging.getLogger().setLevel(logging.DEBUG)", "logging.getLogger('a').isEnabledFor(10)",
        "logging.getLogger().setLevel(30)",
    ),
    "the level of a logger": (
        "import logging; logging.getLogger('mine.own').setLevel(17)", "logging.getLogger('mine.own').level",
        "logging.getLogger('mine.own').setLevel(0)",
    ),
    "a logger's own handler": (
        "import logging, sys; _own = logging.getLogger('mine.own'); _own.propagate = False; _own.addHandler(logging.StreamHandler(sys.stdout))",
        "[(type(h).__name__, h.stream is __import__('sys').stdout) for h in logging.getLogger('mine.own').handlers]",
        "_own.propagate = True; _own.handlers.clear()",
    ),
    "logging that is disabled": (
        "import logging; logging.disable(logging.ERROR)", "logging.getLogger().isEnabledFor(40)", "logging.disable(0)",
    ),
    "logging's basic configuration": (
        "import logging; logging.basicConfig(level=20, format='%(levelname)s <%(message)s>')",
        "(logging.root.level, [(type(h).__name__, h.formatter._fmt) for h in logging.root.handlers])",
        "logging.root.handlers.clear(); logging.root.setLevel(30)",
    ),
    "the time-out of sockets": ("import socket; socket.setdefaulttimeout(7.5)", "socket.getdefaulttimeout()", "socket.setdefaulttimeout(None)"),
    "the size of csv fields": ("import csv; csv.field_size_limit(10 ** 7)", "csv.field_size_limit()", "csv.field_size_limit(131072)"),
    "the first day of the week": ("import calendar; calendar.setfirstweekday(6)", "int(calendar.firstweekday())", "calendar.setfirstweekday(0)"),
    "the locale": (
        "import locale; locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')", "locale.setlocale(locale.LC_NUMERIC)",
        "locale.setlocale(locale.LC_NUMERIC, 'C')",
    ),
    "the time zone": (
        "import os, time; os.environ['TZ'] = 'Asia/Kolkata'; time.tzset()", "(time.timezone, time.localtime(0).tm_hour)",
        "del os.environ['TZ']; time.tzset()",
    ),
    "pandas options": (
        "import pandas as pd; pd.set_option('display.max_rows', 3); pd.options.display.float_format = '{:.1f}'.format",
        "repr(pd.Series([1.234] * 9))", "pd.reset_option('display.max_rows'); pd.reset_option('display.float_format')",
    ),
    "polars' configuration": (
        "import polars as pl; pl.Config.set_tbl_rows(2); pl.Config.set_fmt_float('full'); pl.Config.set_thousands_separator(True)",
        "str(pl.DataFrame({'a': [1234567.25, 2.0, 3.0]}))", "pl.Config.restore_defaults()",
    ),
    "sklearn's configuration": (
        "import sklearn; sklearn.set_config(transform_output='pandas', assume_finite=True)",
        "sorted((k, str(v)) for k, v in sklearn.get_config().items())", "sklearn.set_config(transform_output='default', assume_finite=False)",
    ),
    "scipy.special's errors": (
        "import scipy.special as special; special.seterr(singular='raise')", "special.geterr()['singular']",
        "special.seterr(singular='ignore')",
    ),
    "mpmath's precision": ("import mpmath; mpmath.mp.dps = 40", "str(mpmath.mpf(1) / 3)", "mpmath.mp.dps = 15"),
    "an environment variable that the cell names": (
        "import os; os.environ['SETTINGS_MODE'] = 'b'", "os.environ.get('SETTINGS_MODE')", "del os.environ['SETTINGS_MODE']",
    ),
}  # fmt: skip


SEEN = """
def seen(look):
    try:
        return repr(look())
    except Exception as error:
        return type(error).__name__
"""


def burst(kernel, cell, *, into="", out="out", items="range(3)"):
    where = f"--session {into}" if into else "--workers 1"
    return kernel.run(f'%%burst {where} --map "{items}" --out {out}\n{cell}')


def dry(kernel, cell):
    """The line of ``--dry-run`` about settings, and what is warned of."""
    text = kernel.run(f"%%burst --map range(3) --dry-run\n{cell}").text
    (line,) = [line for line in text.splitlines() if line.startswith("settings")]
    return line.removeprefix("settings").strip(), [line for line in text.splitlines() if line.startswith("!")]


def test_a_plain_notebook_has_no_settings_and_no_warnings(start_kernel):
    kernel = start_kernel()
    assert dry(kernel, "item") == ("none", [])
    kernel.run(LIBRARIES)
    assert dry(kernel, "np.zeros(item), pd, pl, sklearn, scipy, requests") == ("none", [])
    session = burst(kernel, "item").session
    kernel.run("list(out)")
    kernel.run("import decimal, logging, locale, csv, calendar, socket, mpmath, joblib")
    assert "differ" not in burst(kernel, "item", into=session).text


@pytest.mark.parametrize(("setting", "look", "undo"), CASES.values(), ids=CASES)
def test_a_setting_holds_for_every_task_and_not_for_a_later_job_without_it(kernel, setting, look, undo):
    """On warm workers and on fresh ones, where the module is captured, and where the cell imports it."""
    imports, _, _ = setting.partition(";")
    look = f"seen(lambda: {look})"
    before = kernel.value(f"{SEEN}\n{imports}\n{look}")
    session = burst(kernel, "item").session
    kernel.run("list(out)")  # the session is warm, and has none of this
    kernel.run(setting)
    try:
        here = kernel.value(look)
        assert here != before
        burst(kernel, look, into=session, out="captured")
        assert kernel.value("list(captured)") == [here] * 3
        burst(kernel, f"{imports}\n{look}", into=session, out="imported")
        assert kernel.value("list(imported)") == [here] * 3
        burst(kernel, f"{imports}\n{look}", out="fresh")
        assert kernel.value("list(fresh)") == [here] * 3
        assert dry(kernel, look)[0] != "none"
    finally:
        kernel.run(undo)
    burst(kernel, look, into=session, out="after")
    assert kernel.value("list(after)") == [before] * 3


TASKS_OWN = """
import decimal, warnings, logging, socket, sys
import numpy as np
import pandas as pd
decimal.getcontext().prec = 40
np.seterr(divide="ignore")
np.set_printoptions(precision=2)
warnings.simplefilter("error")
socket.setdefaulttimeout(3.0)
sys.setrecursionlimit(3333)
pd.set_option("display.max_rows", 4)
"""
LOOK = """
seen = (decimal.getcontext().prec, np.geterr()["divide"], np.get_printoptions()["precision"], warnings.filters[0][0],
        socket.getdefaulttimeout(), sys.getrecursionlimit(), pd.get_option("display.max_rows"))
decimal.getcontext().prec = 5
np.seterr(divide="raise"); np.set_printoptions(precision=7)
warnings.simplefilter("ignore"); socket.setdefaulttimeout(1.0); sys.setrecursionlimit(999)
pd.set_option("display.max_rows", 9)
seen
"""


def test_what_a_task_sets_itself_is_not_there_for_the_next(start_kernel):
    kernel = start_kernel()
    kernel.run(TASKS_OWN)
    burst(kernel, LOOK, items="range(4)")
    assert kernel.value("list(out)") == [(40, "ignore", 2, "error", 3.0, 3333, 4)] * 4


def test_a_task_keeps_what_it_has_set_when_it_imports_a_library_afterwards(start_kernel):
    kernel = start_kernel()
    kernel.run(
        "import warnings, sklearn.exceptions, numpy\nwarnings.simplefilter('ignore', sklearn.exceptions.ConvergenceWarning)"
    )
    kernel.run("import decimal; decimal.getcontext().prec = 30; numpy.seterr(divide='ignore')")
    cell = (
        "import decimal, warnings\nwarnings.simplefilter('error'); decimal.getcontext().prec = 5\n"
        "import numpy, sklearn.exceptions\n"
        "(warnings.filters[0][0], decimal.getcontext().prec, numpy.geterr()['divide'])"
    )
    burst(kernel, cell)
    assert kernel.value("list(out)") == [("error", 5, "ignore")] * 3


def test_a_librarys_filters_stand_where_the_notebook_has_them_whenever_a_task_imports_it(start_kernel):
    kernel = start_kernel()
    kernel.run("import warnings, sklearn.linear_model\nwarnings.simplefilter('ignore')")
    look = "[(f[0], f[2].__name__) for f in warnings.filters if f[2].__module__ != 'IPython.core.completer']"
    cell = f"import warnings\nimport sklearn.linear_model\n{look}"
    burst(kernel, cell, items="range(4)")
    here = [one for one in kernel.value(look) if one != ("ignore", "RuntimeWarning")]  # IPython's, of Trio
    assert here[:2] == [("ignore", "Warning"), ("always", "SpecialFunctionWarning")]
    assert kernel.value("list(out)") == [here] * 4


def test_the_names_of_settings_that_cannot_travel_are_told(kernel):
    kernel.run(
        "import logging, numpy as np, warnings\n_old, _shown = warnings.filters[:], np.get_printoptions()\n"
        "class Mine(UserWarning): pass\nwarnings.simplefilter('ignore', Mine)\n"
        "logging.root.addHandler(logging.NullHandler())\nnp.set_printoptions(formatter={'float': str})"
    )
    try:
        warned = "\n".join(dry(kernel, "item")[1])
    finally:
        kernel.run(
            "warnings.filters[:] = _old; logging.root.handlers.clear()\nnp.set_printoptions(**{**_shown, 'formatter': None})"
        )
    for said in (
        "warnings: a filter for a warning class of the notebook",
        "logging: handlers",
        "numpy: print formatter",
    ):
        assert f"{said} was set to something that cannot be pickled" in warned


def test_attributes_set_on_installed_modules_are_told_with_their_cell(kernel):
    kernel.run("import colorsys\n_old = dict(vars(colorsys))")
    kernel.run("colorsys.ONE_THIRD = 0.3; setattr(colorsys, 'rgb_to_hsv', lambda *of: of)")
    try:
        (warned,) = [text for text in dry(kernel, "colorsys.rgb_to_hsv(1, 1, 1)")[1] if "in this notebook" in text]
    finally:
        kernel.run("vars(colorsys).update(_old)")
    assert all(f"colorsys.{name} (cell " in warned for name in ("rgb_to_hsv", "ONE_THIRD"))


def test_variables_that_warm_workers_have_otherwise_are_told_by_name_and_secrets_stay(start_kernel):
    kernel = start_kernel()
    kernel.run("import os\nos.environ['FIRST'] = 'x'")
    session = burst(kernel, "item").session
    assert kernel.value("list(out)") == [0, 1, 2]
    kernel.run("os.environ.update(FIRST='y', SECOND='z', MY_API_KEY='abcdefgh12345678'); del os.environ['HOME']")
    said = burst(kernel, "os.environ['MY_API_KEY'], os.environ.get('SECOND')", into=session, items="[1]").text
    assert "FIRST, HOME, MY_API_KEY in os.environ differ from what the session's workers were started with" in said
    assert "abcdefgh" not in said
    assert "KeyError" in kernel.fails("list(out)").text
    kernel.run("del os.environ['FIRST']")
    burst(kernel, "os.environ.get('FIRST', 'none'), os.environ['SECOND']", into=session)
    assert kernel.value("list(out)") == [("none", "z")] * 3


def test_a_variable_that_only_a_function_or_a_module_of_ones_own_names_travels(start_kernel):
    kernel = start_kernel()
    (kernel.home.work / "ours.py").write_text("import os\n\ndef mode():\n    return os.environ.get('OURS_MODE')\n")
    kernel.run("import os, ours\ndef other():\n    return os.environ.get('OTHER_MODE')")
    session = burst(kernel, "item").session
    kernel.run("list(out)\nos.environ.update(OURS_MODE='m', OTHER_MODE='f')")
    assert "differ" not in burst(kernel, "ours.mode(), other()", into=session).text
    assert kernel.value("list(out)") == [("m", "f")] * 3
