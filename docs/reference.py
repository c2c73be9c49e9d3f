"""Writes docs/reference.md from the tables that the magics, the command and the settings are made of: `make docs`."""

from __future__ import annotations

from pathlib import Path

from burst_magic import config
from burst_magic.magics import helptext

PAGE = Path(__file__).with_name("reference.md")
HEAD = """# Reference

Made by `make docs` from `burst_magic/magics/{verb_table,options}.py` and `burst_magic/config.py`; do not edit.

A duration is `300`, `300s`, `5m`, `24h` or `2d`; a size is `8GB`, `512MB` or a number of GB; a budget is dollars.
An ID is a session (its latest job), `session/job`, or a `--name`; without one, this notebook's latest
session is meant, in a terminal the latest of all of yours.

## Magics and commands
"""
SETTINGS = """## Settings

The call overrides the environment, the environment overrides `config.toml` (written by `%burst_config key=value`), and
that overrides the default. `BURST_CONFIG_DIR` and `BURST_DATA_DIR` say where `config.toml` and the keys, and where the
default store and the list of sessions are.

| setting | environment variable |
|---|---|
"""


def page() -> str:
    """The whole reference."""
    settings = "".join(f"| `{key}` | `{config.variable(key)}` |\n" for key in sorted(config.keys()))
    return "\n".join([HEAD, helptext.reference(), SETTINGS + settings])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
