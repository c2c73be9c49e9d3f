"""``--env sync`` on a stock Python image, which has nothing but the standard library: the whole road."""

from __future__ import annotations

import platform

from burst_magic.launchers.ecs_definition import STOCK

MINOR = ".".join(platform.python_version_tuple()[:2])
HAS = """\
import importlib.util, sys
(sys.version_info[:2], sys.prefix != sys.base_prefix, importlib.util.find_spec("".join(["bo", "to3"])), item)"""


def test_a_burst_runs_on_a_stock_python_image(scientist):
    session = scientist.burst(HAS, range(3), workers=2, env="sync")
    version = tuple(map(int, MINOR.split(".")))
    assert list(session.results()) == [(version, True, None, item) for item in range(3)]
    assert {task.image for task in scientist.tasks} == {f"{STOCK}:{MINOR}-slim"}
