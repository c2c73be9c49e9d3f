"""Writes the schema of the frame, its TypeScript types and their shapes from burst_magic/ui/frame.py: `make docs`."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any

from burst_magic.server.listed import SessionList
from burst_magic.ui import details, frame, timeline

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "burst_magic" / "ui" / "frame.schema.json"
TYPES = ROOT / "labextension" / "src" / "frame.ts"
SHAPES = ROOT / "labextension" / "src" / "shapes.ts"
MESSAGES = (
    details.HostState,
    details.TasksPage,
    details.TaskDetail,
    details.StatesPage,
    details.WorkersPage,
    timeline.TimelinePage,
    SessionList,
)
HEAD = "// Made by `make docs` from burst_magic/{ui/frame,ui/details,ui/timeline,server/listed}.py; do not edit.\n"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema() -> str:
    """The JSON schema of a frame, and of what is fetched on demand."""
    found: dict[str, Any] = {}
    top = _reference(frame.Frame, found)
    for message in MESSAGES:
        _reference(message, found)
    page = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": frame.MIME, **top, "$defs": found}
    return json.dumps(page, indent=1, ensure_ascii=False) + "\n"


def typescript() -> str:
    """The same as TypeScript."""
    found = json.loads(schema())["$defs"]
    parts = [HEAD, f"export const VERSION = {frame.VERSION};\n", f'export const MIME = "{frame.MIME}";\n']
    return "\n".join([*parts, *(_declared(name, found[name]) for name in sorted(found))])


def shapes() -> str:
    """What a frame's fields are, as a table to check one by: `T[]` is an array, `T?` may be left out."""
    found: dict[str, Any] = {}
    _reference(frame.Frame, found)
    table = {
        name: {
            field: _shape(kind, found, missing="|null" if field in shape["required"] else "?")
            for field, kind in shape["properties"].items()
        }
        for name, shape in sorted(found.items())
        if "properties" in shape
    }
    kind = "Readonly<Record<string, Readonly<Record<string, string>>>>"
    return f"{HEAD}\nexport const SHAPES: {kind} = {json.dumps(table, indent=2)};\n"


def _shape(kind: dict[str, Any], found: dict[str, Any], *, missing: str = "|null") -> str:
    if "$ref" in kind:
        name = str(kind["$ref"].rpartition("/")[2])
        return name if "properties" in found[name] else "string"  # a newer version may have more words
    if "anyOf" in kind:
        (some,) = (each for each in kind["anyOf"] if each != {"type": "null"})
        return f"{_shape(some, found)}{missing}"
    return f"{_shape(kind['items'], found)}[]" if kind["type"] == "array" else str(kind["type"])


def _reference(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; classes are added to ``found``."""
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        (some,) = (each for each in arguments if each is not type(None))
        return {"anyOf": [_reference(some, found), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _reference(arguments[0], found)}
    if kind.__name__ not in found:
        found[kind.__name__] = {}  # a place for what refers to itself
        found[kind.__name__] = _class(kind, found)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _class(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    description = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    if issubclass(kind, Enum):
        return {"description": description, "enum": [each.value for each in kind]}
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return {
        "description": description,
        "type": "object",
        "properties": {field.name: _reference(hints[field.name], found) for field in fields},
        "required": [field.name for field in fields if not frame.is_optional(field)],
        "additionalProperties": False,
    }


def _declared(name: str, shape: dict[str, Any]) -> str:
    comment = f"/** {shape['description']} */\n"
    if "enum" in shape:
        return f"{comment}export type {name} = {' | '.join(json.dumps(each) for each in shape['enum'])};\n"
    optional = set(shape["properties"]) - set(shape["required"])
    fields = [
        f"  {field}{'?' if field in optional else ''}: {_typed(kind, drop_null=field in optional)};"
        for field, kind in shape["properties"].items()
    ]
    return "\n".join([f"{comment}export interface {name} {{", *fields, "}", ""])


def _typed(kind: dict[str, Any], *, drop_null: bool = False) -> str:
    if "$ref" in kind:
        return str(kind["$ref"].rpartition("/")[2])
    if "anyOf" in kind:
        parts = [_typed(each) for each in kind["anyOf"] if not (drop_null and each == {"type": "null"})]
        return " | ".join(parts)
    if kind["type"] == "array":
        inner = _typed(kind["items"])
        return f"({inner})[]" if " " in inner else f"{inner}[]"
    return {"integer": "number"}.get(kind["type"], kind["type"])


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
    TYPES.parent.mkdir(parents=True, exist_ok=True)
    TYPES.write_text(typescript(), encoding="utf-8")
    SHAPES.write_text(shapes(), encoding="utf-8")
