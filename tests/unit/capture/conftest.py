"""A notebook (the real ``__main__`` of this process while a test runs) and a worker in another process."""

import linecache
import pickle
import subprocess
import sys
import types
from pathlib import Path

import pytest

import burst_magic
from burst_magic.capture import capture_call, capture_cell
from burst_magic.capture.cell import with_needs
from burst_magic.capture.trial import settle
from burst_magic.payload import unpack_value
from burst_magic.payload.notes import Needs
from burst_magic.payload.parts import Parts


class Worker:
    """A long-lived process that runs captured cells."""

    def __init__(self, folder):
        package = Path(burst_magic.__file__).parent.parent
        script = Path(__file__).with_name("remote.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(package)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder,
        )  # fmt: skip

    def ask(self, **request):
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()
        return pickle.load(self.process.stdout)

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Failed(Exception):
    """The traceback of a task that raised on the worker."""


class Notebook:
    """Cells run here in one namespace; `burst` runs a cell on the worker."""

    def __init__(self, worker, home):
        self.worker = worker
        self.home = home
        self.cells = 0
        self.printed = ""

    def __getitem__(self, name):
        return self.home[name]

    def run(self, text):
        """An ordinary cell."""
        self.cells += 1
        name = f"<ipython-input-{self.cells}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), self.home)

    def capture(self, cell, **options):
        return capture_cell(cell, self.home, **options)

    def burst(self, cell, map_expr="", **options):
        """The results of a cell that runs on the worker: a list with --map, else one value."""
        results = self.outcome(capture_cell(cell, self.home, map_expr=map_expr, **options))
        return results if map_expr else results[0]

    def call(self, function, items):
        return self.outcome(capture_call(function, items, namespace=self.home))

    def outcome(self, capture):
        needs = Needs()
        items = [None]
        if capture.items is not None:
            parts = Parts(capture.packed, home=capture.home, needs=needs)
            items = [parts.pack(item) for item in capture.items]
            capture = with_needs(capture, needs)
        capture, _ = settle(capture)
        outcomes = self.worker.ask(
            envelope=capture.envelope().to_bytes(), buffers=[bytes(part) for part in capture.packed.buffers],
            bundle=capture.bundle, items=items,
        )  # fmt: skip
        results = []
        for kind, data, printed in outcomes:
            self.printed = printed
            if kind == "error":
                raise Failed(data)
            results.append(unpack_value(data, home=self.home))
        return results


@pytest.fixture(scope="session")
def worker(tmp_path_factory):
    process = Worker(tmp_path_factory.mktemp("worker"))
    yield process
    process.close()


@pytest.fixture
def notebook(worker):
    before = sys.modules["__main__"]
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    yield Notebook(worker, vars(main))
    sys.modules["__main__"] = before
