"""Worlds that once broke a law, kept whole: they stay what they were when the drawing of worlds changes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from burst_magic.testing.scenario import Act, Deed, Scenario
from burst_magic.testing.weather import Weather


def load(path: Path) -> list[tuple[str, Scenario]]:
    """What each world found, and the world."""
    return [(entry["found"], _plan(entry["world"])) for entry in json.loads(path.read_text())]


def keep(path: Path, found: str, plan: Scenario) -> None:
    """Adds a world to those that are played for ever."""
    entries = json.loads(path.read_text()) if path.exists() else []
    entries.append({"found": found, "world": _fields(plan)})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    path.write_text(f"[\n{lines}\n]\n")


def _fields(plan: Scenario) -> dict[str, Any]:
    """As JSON; what has its default is left out, so that a line can be read."""
    fields = _unusual(plan)
    fields["weather"] = _unusual(plan.weather)
    fields["acts"] = [{**_unusual(act), "deed": act.deed.name} for act in plan.acts]
    return fields


def _unusual(value: Any) -> dict[str, Any]:
    pairs = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {field.name: content for field, content in pairs if content != field.default}


def _plan(fields: dict[str, Any]) -> Scenario:
    acts = tuple(Act(**{**act, "deed": Deed[act["deed"]]}) for act in fields.pop("acts", ()))
    tuples = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Scenario(**{**fields, **tuples, "weather": Weather(**fields["weather"]), "acts": acts})
