"""How many loops, written as people write them, give right numbers with ``%%burst`` in front: the table of
``tests/kernel/idioms``, in an IPython of this process and on real workers.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.process import ROOT, Figures, serve


def table() -> ModuleType:
    """The module beside the test that judges with it."""
    spec = importlib.util.spec_from_file_location("idioms", ROOT / "tests" / "kernel" / "idioms.py")
    assert spec
    assert spec.loader
    sys.modules["idioms"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def right(*, n: int) -> Figures:
    """Tries the first ``n`` idioms of the table, or all that there are; what is wrong goes to stderr."""
    idioms = table()
    tried = idioms.IDIOMS[:n]
    os.chdir(os.environ["BENCH_HOME"])  # idioms write files beside the notebook
    sys.path.insert(0, "")
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        wrong = _wrong(idioms, tried)
    for name, faults in wrong.items():
        print(name, *faults, sep="\n  ", file=sys.stderr)
    return {"n": len(tried), "right": len(tried) - len(wrong)}


def _wrong(idioms: ModuleType, tried: Sequence[Any]) -> dict[str, list[str]]:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    import burst_magic as burst

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))

    def run(cell: str) -> None:
        shell.run_cell(cell).raise_error()

    run("%load_ext burst_magic")
    idioms.start(run)
    found = {idiom.name: faults for idiom in tried if (faults := idioms.faults(idiom, run, shell.ev))}
    for name in idioms.WARM:
        burst.attach(name).cleanup(force=True)
    return found


if __name__ == "__main__":
    serve({"right": right})
