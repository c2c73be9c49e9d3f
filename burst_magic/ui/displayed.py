"""Show again what a task displayed: as a notebook does where there is one, else its words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from burst_magic.protocol.wire.displays import Display


def show(displays: Sequence[Display]) -> None:
    """Show them in order; say so if there are none."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if not displays:
        print("It displayed nothing. What a task draws comes back after plt.show() or display(figure).")
    for one in displays:
        if shell is None:
            print(one.text)
        else:
            from IPython.display import publish_display_data

            publish_display_data(dict(one.data), dict(one.metadata))  # type: ignore[no-untyped-call]
