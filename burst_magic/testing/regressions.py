"""Worlds that once broke a law, stored in full, so that changes of the scenario generator don't change them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from burst_magic.testing.cloud import CloudWeather
from burst_magic.testing.scenario import Act, Deed, Scenario
from burst_magic.testing.weather import Weather

_NESTED: dict[str, type[Any]] = {"weather": Weather, "cloud": CloudWeather, "spare": CloudWeather}


def load(path: Path) -> list[tuple[str, Scenario]]:
    """Each stored world, with the bug it found."""
    return [(entry["found"], _plan(entry["world"])) for entry in json.loads(path.read_text())]


def keep(path: Path, found: str, plan: Scenario) -> None:
    """Add a world to those that are always played."""
    entries = json.loads(path.read_text()) if path.exists() else []
    entries.append({"found": found, "world": _fields(plan)})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    path.write_text(f"[\n{lines}\n]\n")


def _fields(plan: Scenario) -> dict[str, Any]:
    """A world's fields as JSON, without defaults, so that its line is readable."""
    fields = _unusual(plan)
    for name in _NESTED:
        if name in fields:
            fields[name] = _unusual(fields[name])
    fields["acts"] = [{**_unusual(act), "deed": act.deed.name} for act in plan.acts]
    return fields


def _unusual(value: Any) -> dict[str, Any]:
    pairs = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {field.name: content for field, content in pairs if content != field.default}


def _plan(fields: dict[str, Any]) -> Scenario:
    acts = tuple(Act(**{**act, "deed": Deed[act["deed"]]}) for act in fields.pop("acts", ()))
    tuples = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    nested = {name: kind(**_with_tuples(fields[name])) for name, kind in _NESTED.items() if name in fields}
    return Scenario(**{**fields, **tuples, **nested, "acts": acts})


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
