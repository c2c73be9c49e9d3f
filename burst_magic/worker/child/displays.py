"""What a task shows by IPython, matplotlib and tqdm goes where `display` goes. Each is changed once it is loaded."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from burst_magic.payload.display import FUNCTIONS, display

if TYPE_CHECKING:
    from burst_magic.worker.child.isolation.import_hook import ImportHook


def follow_displays(import_hook: ImportHook) -> None:
    """Take over functions that need a kernel or a screen."""
    import_hook.of("IPython.core.display_functions", _replace_functions)
    import_hook.of("matplotlib.figure", _replace_figure)
    import_hook.of("matplotlib.pyplot", _replace_show)
    import_hook.of("tqdm.notebook", _replace_bar)


def _replace_functions(module: ModuleType) -> None:
    vars(module).update(FUNCTIONS)


def _replace_figure(module: Any) -> None:
    def show(self: object, warn: bool = True) -> None:  # noqa: FBT001, FBT002 - matplotlib's signature
        """Display the figure."""
        del warn
        display(self)

    module.Figure.show = show


def _replace_show(module: Any) -> None:
    def show(*_: object, **__: object) -> None:
        """Display the open figures and close them, as a notebook does."""
        for number in module.get_fignums():
            display(module.figure(number))
        module.close("all")

    module.show = show


def _replace_bar(module: Any) -> None:
    """A widget would live on the worker only: draw the bar as text, and keep its last state."""

    class TextBar(module.std_tqdm):  # type: ignore[misc] # a class at run time
        def __init__(self, *args: Any, display: bool = True, **options: Any) -> None:
            del display
            super().__init__(*args, **options)

    def trange(*args: Any, **options: Any) -> TextBar:
        return TextBar(range(*args), **options)

    module.tqdm_notebook = module.tqdm = TextBar
    module.tnrange = module.trange = trange
