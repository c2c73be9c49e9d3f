"""``display`` on a worker: writes the plain text of ``display(x)`` to the task's output."""

from __future__ import annotations


class DisplayHandle:
    """The result of ``display(x, display_id=True)``: updates are printed below the output they would replace."""

    def display(self, obj: object, **_: object) -> None:
        """Show an object."""
        display(obj)

    update = display


def display(*objects: object, display_id: object = None, **_: object) -> DisplayHandle | None:
    """Show objects, each as its repr.

    Args:
        *objects: objects to show.
        display_id: as in IPython; returns a handle.
    """
    for shown in objects:
        print(repr(shown))  # noqa: T201 - this is what it is for
    return None if display_id is None else DisplayHandle()
