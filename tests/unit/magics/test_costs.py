"""The list of costs: as a table, as JSON, as CSV."""

from __future__ import annotations

import csv
import json

import pytest

from burst_magic import config
from burst_magic.errors import OptionError
from burst_magic.magics import costs
from burst_magic.magics.calls import CostCall
from burst_magic.session.attach import SessionRow
from burst_magic.ui.text import cost_table

NOW = 1_800_000_000.0


def row(**said: object) -> SessionRow:
    base = {
        "id": "20261128-090001-abcdefgh",
        "name": "pi",
        "created": NOW - 60,
        "last_activity": NOW,
        "state": "running",
    }
    return SessionRow(**{**base, "launcher": "spot", "total": 1000, **said})


def cells(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if f" {name} " in line)


def test_estimate_and_cost_stand_beside_each_other_and_are_added_up_where_both_are_known():
    rows = [
        row(name="told", estimate=1_000_000, cost=1_250_000),
        row(name="untold", cost=500_000),
        row(name="free", launcher="local", cost=0, fargate=70_000, estimate=0),
    ]
    text = cost_table(rows, now=NOW)
    assert cells(text, "told").split()[-2:] == ["$1.00", "$1.25"]
    assert cells(text, "untold").split()[-1] == "$0.50"
    assert cells(text, "free").split()[-1] == "$0.07"
    assert text.splitlines()[-2:] == [
        "$1.75 at list price, without the store's requests",
        "2 with an estimate: $1.00 expected, $1.25 so far",
    ]


@pytest.mark.parametrize("said", [{"cost": None}, {"cost": 0, "problem": "damaged"}])
def test_a_cost_that_is_not_known_is_no_zero(said):
    assert cells(cost_table([row(**said)], now=NOW), "pi").split()[-1] == "?"


def test_without_sessions_it_says_so():
    assert cost_table([], now=NOW) == "no sessions"


@pytest.fixture
def settings(tmp_path):
    return config.load(environ={}, config_dir=tmp_path / "config", data_dir=tmp_path / "data")


def test_csv_has_a_line_of_names_and_json_is_a_list(settings, tmp_path):
    path = tmp_path / "costs.csv"
    assert costs.listed(CostCall(csv=str(path)), settings) == f"0 sessions written to {path}"
    with path.open(newline="") as file:
        assert next(csv.reader(file)) == list(costs.COLUMNS)
    assert json.loads(costs.listed(CostCall(json=True), settings)) == []


def test_a_file_that_cannot_be_written_is_an_error_of_the_option(settings, tmp_path):
    with pytest.raises(OptionError, match="--csv"):
        costs.listed(CostCall(csv=str(tmp_path)), settings)
