"""``display`` on a worker: what a notebook's ``display(x)`` shows as plain text goes into the task's output."""

from __future__ import annotations


class DisplayHandle:
    """What ``display(x, display_id=True)`` gives: an update is shown below what it would replace in a notebook."""

    def display(self, obj: object, **_: object) -> None:
        """Shows an object."""
        display(obj)

    update = display


def display(*objects: object, display_id: object = None, **_: object) -> DisplayHandle | None:
    """Shows objects, each as its repr.

    Args:
        *objects: what to show.
        display_id: as in IPython; a handle is given for it.
    """
    for shown in objects:
        print(repr(shown))  # noqa: T201 - this is what it is for
    return None if display_id is None else DisplayHandle()
