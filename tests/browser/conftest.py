"""JupyterLab and Notebook 7 in a real Chromium. One server for a module, one browser for all, one page a test.

A test gets ``front_end``: it opens notebooks in a workspace of their own, runs cells, saves, and kills kernels. Waiting
is for a condition in the page, always with a limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARE = ROOT / "build" / "share" / "jupyter"  # where `make` puts the lab extension
PATIENCE = 60.0  # seconds for anything of this machine to answer; it takes a fraction
STARTING = 120.0  # for a server to listen, on a machine that is busy with other things
SIZE = {"width": 1100, "height": 800}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
QUIET = {"apputils-extension/notification": {"fetchNews": "false"}}  # nobody is there to be asked
PANEL = "window.jupyterapp.shell.currentWidget"
READY = f"""() => {{
    const kernel = {PANEL}?.context?.sessionContext?.session?.kernel;
    return {PANEL}.context.sessionContext.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle";
}}"""


@dataclass
class Lab:
    """A running Jupyter server and the user to whom it belongs."""

    home: Path
    address: str
    token: str
    pages: int = 0
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.home / "work"

    def write(self, name: str, cells: list[str]) -> Path:
        """A new notebook in the folder that the server serves."""
        path = self.work / name
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells], metadata=KERNEL)
        nbformat.write(notebook, path)
        return path

    def burst(self, *words: str) -> str:
        """What the ``burst`` command says to this user."""
        return self._said("-m", "burst_magic", *words)

    def python(self, program: str) -> str:
        """What a program of this user prints."""
        return self._said("-c", program)

    def _said(self, *words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(
            command, env=self.environ, cwd=self.work, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert not done.returncode, done.stdout + done.stderr
        return done.stdout


def environment(home: Path) -> dict[str, str]:
    """Directories of its own for everything that server, kernels and workers write."""
    inherited = {
        name: text for name, text in os.environ.items() if not name.startswith(("BURST_", "AWS_", "JPY_", "JUPYTER"))
    }
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR")
    own = {name: str(home / name.lower()) for name in (*names, "BURST_CONFIG_DIR", "BURST_DATA_DIR")}
    return {**inherited, **own, "HOME": str(home), "JUPYTER_PATH": str(SHARE)}


@contextlib.contextmanager
def serving(home: Path, *, extension: bool = True, **environ: str):
    """A JupyterLab over a home, with the lab extension or not; everything that it started has ended afterwards."""
    home.joinpath("work").mkdir(parents=True)
    disabled = home / "jupyter_config_dir" / "labconfig" / "page_config.json"
    disabled.parent.mkdir(parents=True)
    disabled.write_text(json.dumps({"disabledExtensions": {} if extension else {"burst-magic": True}}))
    for name, settings in QUIET.items():
        path = home / "jupyterlab_settings_dir" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    command += [f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True", "--LabApp.news_url="]
    lab = Lab(home=home, address=f"http://127.0.0.1:{port}", token=token, environ={**environment(home), **environ})
    log = home / "server.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=lab.work, env=lab.environ, stdout=sink, stderr=sink)
    try:
        wait_until_listening(port, process, log)
        yield lab
        for sid in lab.python("import burst_magic\nfor row in burst_magic.sessions(): print(row.id)").split():
            lab.burst("cleanup", sid, "--force", "--yes")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def wait_until_listening(port: int, process, log: Path) -> None:
    end = time.monotonic() + STARTING
    while True:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


@dataclass
class FrontEnd:
    """A page with one notebook in JupyterLab."""

    lab: Lab
    page: Any  # of playwright, which is not in the environment of `make check`: that only collects these tests

    def open(self, name: str, cells: list[str] | None = None, *, ready: bool = True) -> FrontEnd:
        """Opens a notebook, a new one if there are cells; waits for its kernel unless told not to."""
        if cells is not None:
            self.lab.write(name, cells)
        self.lab.pages += 1
        workspace = f"w{self.lab.pages}"
        self.page.goto(f"{self.lab.address}/lab/workspaces/{workspace}/tree/{name}?reset&token={self.lab.token}")
        return self.loaded(ready=ready)

    def loaded(self, *, ready: bool = True) -> FrontEnd:
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", state="attached", timeout=PATIENCE * 1000)
        if ready:
            self.wait(READY)
        return self

    def reload(self, *, ready: bool = True) -> FrontEnd:
        """F5."""
        self.page.reload()
        return self.loaded(ready=ready)

    def wait(self, condition: str, argument: object = None) -> None:
        """Waits for a JavaScript condition."""
        self.page.wait_for_function(condition, arg=argument, timeout=PATIENCE * 1000)

    def command(self, name: str, *, wait: bool = True) -> None:
        """Runs a command of JupyterLab."""
        run = "name => window.jupyterapp.commands.execute(name).then(() => true)"
        start = "name => { window.jupyterapp.commands.execute(name); }"
        self.page.evaluate(run if wait else start, name)

    def run(self, *, wait: bool = False) -> FrontEnd:
        """Runs all cells."""
        self.command("notebook:run-all-cells", wait=wait)
        return self

    def add(self, code: str) -> None:
        """Runs code in a new cell at the end."""
        self.page.evaluate(f"() => {{ {PANEL}.content.activeCellIndex = {PANEL}.content.widgets.length - 1; }}")
        self.command("notebook:insert-cell-below")
        self.page.evaluate(f"code => {PANEL}.content.activeCell.model.sharedModel.setSource(code)", code)
        self.command("notebook:run-cell", wait=False)

    def save(self) -> None:
        self.command("docmanager:save")

    def saved(self, name: str) -> nbformat.NotebookNode:
        """The notebook as it is on disk."""
        return nbformat.read(self.lab.work / name, as_version=4)

    def restart(self) -> None:
        """A new kernel under the same notebook; its memory is gone."""
        self.page.evaluate(f"() => {PANEL}.context.sessionContext.restartKernel().then(() => true)")
        self.wait(READY)

    def shut_down(self) -> None:
        """No kernel any more."""
        self.page.evaluate(f"() => {PANEL}.context.sessionContext.shutdown().then(() => true)")

    def words(self) -> str:
        """All that the notebook shows."""
        return self.page.locator(".jp-Notebook").inner_text()

    def percent(self) -> int:
        found = re.search(r"(\d+)\s%", self.words())
        assert found, self.words()
        return int(found[1])


@pytest.fixture(scope="session")
def expect():
    """Playwright's assertions, which wait."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE * 1000)
    return expect


@pytest.fixture(scope="session")
def chromium():
    """The system's Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "the browser tests need Chromium; on Debian and Ubuntu: apt install chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Starts a JupyterLab in a home of its own, with more in its environment if wanted; a context manager."""

    def start(*, extension: bool = True, **environ: str):
        return serving(tmp_path_factory.mktemp("lab") / "home", extension=extension, **environ)

    return start


@pytest.fixture(scope="module")
def lab(serve):
    """A JupyterLab for the tests of a module."""
    with serve() as lab:
        yield lab


@pytest.fixture
def page(chromium):
    """An empty page; an exception of ours in it fails the test. Jupyter's own are many when kernels end."""
    context = chromium.new_context(viewport=SIZE)
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    thrown = []
    page.on("pageerror", lambda error: thrown.append(f"{error.message}\n{error.stack}"))
    yield page
    context.close()
    assert [error for error in thrown if "burst" in error] == []


@pytest.fixture
def front_end(lab, page):
    """JupyterLab in a page of this test's own."""
    return FrontEnd(lab, page)
