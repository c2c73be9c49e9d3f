"""Takes the built lab extension into what is installed; without it, the Python side is whole and says what is missing.

Installing never builds it: that needs node, and `make labextension` does it beforehand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = "build/share/jupyter/labextensions/burst-magic"


class LabExtensionHook(BuildHookInterface):
    """Hatch's hook for wheels, editable ones too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatch's signature
        """Adds the folder if it has been built."""
        built = Path(self.root) / BUILT
        if (built / "package.json").is_file():
            build_data["shared_data"][str(built)] = BUILT.removeprefix("build/")
        else:
            self.app.display_warning(
                "burst_magic: the lab extension was left out; `make labextension` builds it (needs node)"
            )
