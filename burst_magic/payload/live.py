"""Objects of the process and of libraries that act through their contents: ``from os import environ``.

Tasks get those of their own process, as they do by ``os.environ``. What the notebook set in them is sent with its
settings, or named in a warning. A copy would do nothing, and would hold the whole environment with its secrets.

``sys.argv`` and ``sys.path`` are not among them: no settings hold what the notebook put there, so code that imports
them by name gets a copy.
"""

from __future__ import annotations

import sys
from typing import Any

from burst_magic.payload import rebuild
from burst_magic.payload.notes import Mode, PackerView

_HELD = {
    "copyreg": ("dispatch_table",),
    "matplotlib": ("rcParams", "rcParamsDefault", "rcParamsOrig", "colormaps", "color_sequences"),
    "os": ("environ", "environb"),
    "sys": ("meta_path", "modules", "path_hooks", "path_importer_cache"),
    "warnings": ("filters",),
}


class Own:
    """Packed as the object that the other process has under this name."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __reduce__(self) -> Any:
        return rebuild.attribute, (self.module, self.name)


def own(obj: object) -> Own | None:
    """What to pack for such an object; None for any other."""
    for module, names in _HELD.items():
        if module in sys.modules:
            for name in names:
                if vars(sys.modules[module]).get(name) is obj:
                    return Own(module, name)
    return None


def reduce_inside(packer: PackerView, obj: object) -> Any:
    """Reduce such an object as a part of something else that is sent; what a task returns is what the task had."""
    found = None if packer.mode is Mode.RESULT else own(obj)
    return None if found is None else found.__reduce__()
