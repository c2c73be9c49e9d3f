"""The schema and the TypeScript types of the frame are what the Python types say."""

from __future__ import annotations

import importlib.util
import json

import pytest


@pytest.fixture(scope="module")
def generator(root):
    spec = importlib.util.spec_from_file_location("frame_types", root / "labextension" / "frame_types.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_schema_is_what_the_types_say(generator):
    assert generator.SCHEMA.read_text(encoding="utf-8") == generator.schema(), "make docs"


def test_the_typescript_is_what_the_types_say(generator):
    assert generator.TYPES.read_text(encoding="utf-8") == generator.typescript(), "make docs"
    assert generator.SHAPES.read_text(encoding="utf-8") == generator.shapes(), "make docs"


def test_the_page_on_the_panel_explains_every_type(root, generator):
    page = (root / "docs" / "panel.md").read_text(encoding="utf-8")
    shapes = json.loads(generator.schema())["$defs"]

    assert [name for name in shapes if "enum" not in shapes[name] and f"`{name}`" not in page] == []
