"""The pictures of docs/protocol.md are what the code's tables give."""

from __future__ import annotations

import importlib.util
import re

import pytest


@pytest.fixture(scope="module")
def pictures(root):
    spec = importlib.util.spec_from_file_location("pictures", root / "docs" / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawn(pictures):
    return pictures.draw()


def test_the_pictures_are_what_the_code_draws(root, drawn):
    kept = {path.name: path.read_text(encoding="utf-8") for path in (root / "docs" / "images").glob("*.svg")}

    assert sorted(kept) == sorted(drawn)
    assert [name for name, text in drawn.items() if kept[name] != text] == [], "make docs"


def test_every_picture_is_shown_with_words_for_those_who_cannot_see_it(root, drawn):
    page = (root / "docs" / "protocol.md").read_text(encoding="utf-8")

    assert sorted(re.findall(r"!\[[^\]]{20,}\]\(images/(\w+\.svg)\)", page)) == sorted(drawn)
    assert all("<title>" in text for text in drawn.values())


def test_the_pictures_can_be_read_on_light_and_on_dark(drawn):
    assert all("prefers-color-scheme: dark" in text and "background" not in text for text in drawn.values())


def test_the_timeline_shows_what_the_text_speaks_of(drawn):
    words = re.findall(r">([a-z]+)(?: [\d.]+)?</text>", drawn["timeline.svg"])

    assert {"claims", "steals", "recovers", "dies", "final"} <= set(words)
