"""Makes panel.png anew: a real JupyterLab, a real kernel, a real session in the middle of its work.

    make browser        has what it needs: JupyterLab, the lab extension, playwright, a Chromium
    .venv/bin/python docs/images/make.py [--chromium /usr/bin/chromium]

Every directory is made for it and removed. JupyterLab listens on 127.0.0.1 and ends with the script.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat

PICTURE = Path(__file__).with_name("panel.png")
SIZE = {"width": 980, "height": 620}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60.0  # seconds for JupyterLab to answer, and for the kernel
DONE = "document.querySelector('.jp-Notebook')?.innerText.match(/(\\d+)\\s%/)?.[1]"
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
ANSWERS = {"apputils-extension/notification": '{"fetchNews": "false"}'}  # nobody is there to be asked
CELLS = [
    "%load_ext burst_magic",
    """import random, time

sizes = [random.uniform(0.05, 0.3) for _ in range(240)]

def settle(seconds):
    time.sleep(seconds)
    if random.random() < 0.02:
        raise ValueError("no fixed point")
    return random.gauss(0, seconds)""",
    "%%burst --workers 4 --map sizes --out points --name settle --seed 5\nsettle(item)",
]


def main() -> None:
    """Starts JupyterLab, runs the cells in a browser, takes the picture at about 60 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), home / "study.ipynb")
        for name, text in ANSWERS.items():
            path = home / "jupyterlab_settings_dir" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        with jupyterlab(home) as address:
            photograph(address, options.chromium)
        clean = [sys.executable, "-m", "burst_magic", "cleanup", "settle", "--force", "--yes"]
        subprocess.run(clean, env=environ(home), check=True)


def environ(home: Path) -> dict[str, str]:
    """Directories of its own for everything that JupyterLab, kernel and workers write."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("BURST_", "JPY_", "JUPYTER"))}
    names = ("BURST_CONFIG_DIR", "BURST_DATA_DIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
    own = {name: str(home / name.lower()) for name in (*names, "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")}
    return {**inherited, **own}


@contextlib.contextmanager
def jupyterlab(home: Path) -> Iterator[str]:
    """A JupyterLab over a folder; its notebook's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    command += [f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"]
    with (home / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, env=environ(home), stdout=log, stderr=log)
        try:
            listening(port)
            yield f"http://127.0.0.1:{port}/lab/workspaces/picture/tree/study.ipynb?reset&token={token}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def listening(port: int) -> None:
    """Waits until somebody listens."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def photograph(address: str, chromium: str) -> None:
    """Runs all cells and takes the notebook's picture."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", state="attached")
        page.wait_for_function("document.body.innerText.includes('| Idle')")
        for command in ("application:toggle-left-area", "notebook:run-all-cells"):
            page.evaluate("command => { window.jupyterapp.commands.execute(command) }", command)  # no waiting
        page.wait_for_function(f"Number({DONE}) >= 60", timeout=PATIENCE * 1000)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
