"""Loops as people write them give the same numbers with ``%%burst`` in front."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def _table():
    spec = importlib.util.spec_from_file_location("idioms", Path(__file__).with_name("idioms.py"))
    sys.modules["idioms"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


idioms = _table()


@pytest.fixture(scope="module")
def warm(module_kernel):
    """A kernel with the two sessions in which all of the table runs."""
    idioms.start(module_kernel.run)
    return module_kernel


@pytest.mark.parametrize("idiom", idioms.IDIOMS, ids=lambda idiom: idiom.name)
def test_a_loop_gives_the_same_numbers_on_workers(warm, idiom):
    assert idioms.faults(idiom, warm.run, warm.value) == []


def test_the_table_has_the_idioms_that_are_asked_for():
    assert len({idiom.name for idiom in idioms.IDIOMS}) == len(idioms.IDIOMS) >= 30
