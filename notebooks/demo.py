"""`make demo`: executes the quickstart in a real kernel and prints what came of it.

Local workers, a folder as the store unless told, and every directory below ``build/``: nothing of the user's is read or
written. Cells tagged ``result`` are the ones whose output is shown here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 300  # a cell of the quickstart takes seconds; this only ends a hang


def main() -> int:
    """Runs the notebook; 0 when every cell did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebook", type=Path, default=ROOT / "notebooks" / "quickstart.ipynb")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "quickstart.ipynb", help="the executed notebook")
    parser.add_argument("--home", type=Path, default=ROOT / "build" / "demo", help="made anew: config, store, sessions")
    parser.add_argument("--store", help="instead of a folder in there, e.g. s3://bucket/prefix")
    options = parser.parse_args()
    settle(options.home)
    if options.store:
        os.environ["BURST_STORE"] = options.store
    began = time.monotonic()
    notebook, failure = execute(options.notebook, options.out)
    wall = time.monotonic() - began
    if failure:
        print(failure, file=sys.stderr)
        print(f"failed; the notebook so far is {shown(options.out)}", file=sys.stderr)
        stop_workers()
        return 1
    print("", *results(notebook), sep="\n")
    report(wall)
    print(f"executed notebook      {shown(options.out)}")
    print("open it in JupyterLab  make lab")
    return 0


def settle(home: Path) -> None:
    """Gives this process, and the kernel and workers it starts, directories of their own."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith("BURST_")]:
        del os.environ[name]
    for name, folder in {
        "BURST_CONFIG_DIR": "config",
        "BURST_DATA_DIR": "data",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "jupyter/config",
        "JUPYTER_DATA_DIR": "jupyter/data",
        "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
    }.items():
        path = home / folder
        path.mkdir(parents=True)
        os.environ[name] = str(path)


def execute(source: Path, out: Path) -> tuple[dict, str]:
    """Executes ``source`` from its own folder and writes ``out``, also when a cell fails.

    Returns:
        The executed notebook, and the failing cell's error or an empty string.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # it warns of TCP without encryption; this is the loopback
        resources={"metadata": {"path": str(source.parent)}},
        store_widget_state=True,
        coalesce_streams=True,
    )
    failure = ""
    try:
        client.execute()
    except CellExecutionError as error:
        failure = str(error)
    out.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, out)
    return notebook, failure


def results(notebook: dict) -> list[str]:
    """The text that the cells tagged ``result`` show."""
    return [
        text
        for cell in notebook["cells"]
        if "result" in cell["metadata"].get("tags", [])
        for output in cell["outputs"]
        if (text := output.get("text") or output.get("data", {}).get("text/plain", ""))
    ]


def report(wall: float) -> None:
    """Wall time and price, as another process than the kernel finds them in the store; then stops the workers."""
    import burst_magic as burst

    dollars, workers = 0.0, 0
    for row in burst.sessions():
        session = burst.attach(row.id)
        status = session.status()
        dollars += status.fargate_spend / 1_000_000
        workers += status.started
        session.cleanup()
    print(f"wall time              {wall:.1f} s, kernel start included; {workers} local workers, no charge")
    print(f"on Fargate             ${dollars:.4f}, its minimum of a minute a worker included")


def stop_workers() -> None:
    """Leaves nothing running behind a notebook that failed."""
    import burst_magic as burst

    for row in burst.sessions():
        burst.attach(row.id).cleanup()


def shown(path: Path) -> str:
    """A path as one would type it from the project's folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
