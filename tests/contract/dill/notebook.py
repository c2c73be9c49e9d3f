"""Poses as a notebook whose cells are one of dill's own test files; what its tests copy goes over a road of ours.

Run as a script: ``notebook.py ROAD`` prints a JSON line for each test: its name, how often it sent something, and what
it failed with.

What comes out of a road was packed in another process, as in a session; in one process, classes that are to be made
anew would be recognised. So each test runs several times, in a fork each time, and gets what the run before it has
packed, as far as that came. The last run is the one that got all that it loaded.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import pickle
import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dill
import dill.tests

from burst_magic.errors import CaptureError
from burst_magic.payload import pack, pack_value, unpack, unpack_value
from burst_magic.payload.notes import Needs
from burst_magic.payload.rebuild import arrive

FOLDER = Path(dill.tests.__file__).parent
WHOLE = "<file>"  # a file without functions is a test as a whole
RUNS = 6  # more than any test needs until it gets all that it loads from another process
OF_ONE_PROCESS = {"threads.test_run_thread", "threads.test_join_thread"}  # they compare ids of the system's threads
Road = tuple[Callable[[Any, dict], bytes], Callable[[bytes, dict], Any]]


# ---- roads: how a value leaves the notebook that is `home`, and how it arrives where `home` is known -----------------


def pack_captured(value: object, home: dict) -> bytes:
    try:
        packed = pack({"values of the test": [value]}, home=home)
    except CaptureError as error:
        raise error.__cause__ from None  # dill's tests expect pickle's own words
    return pickle.dumps((packed.stream, [bytes(view) for view in packed.buffers]))


def unpack_captured(data: bytes, _home: dict) -> object:
    stream, buffers = pickle.loads(data)
    worker = {"__builtins__": builtins}
    return unpack(stream, [bytearray(buffer) for buffer in buffers], home=worker)["values of the test"][0]


def pack_item(value: object, home: dict) -> bytes:
    """With what it refers to: the payload brings that."""
    needs = Needs()
    entry = pack_value(value, home=home, needs=needs)
    packed = pack({name: home[name] for name in needs.names if name in home}, home=home)
    return pickle.dumps((packed.stream, [bytes(view) for view in packed.buffers], entry))


def unpack_item(data: bytes, _home: dict) -> object:
    stream, buffers, entry = pickle.loads(data)
    worker = {"__builtins__": builtins}
    unpack(stream, [bytearray(buffer) for buffer in buffers], home=worker)
    return unpack_value(entry, home=worker)


def pack_result(value: object, home: dict) -> bytes:
    return pack_value(value, home=home)


def unpack_result(data: bytes, home: dict) -> object:
    return unpack_value(data, home=home)


ROADS: dict[str, Road] = {
    "captured": (pack_captured, unpack_captured),
    "item": (pack_item, unpack_item),
    "result": (pack_result, unpack_result),
}


# ---- dill, as the tests see it --------------------------------------------------------------------------------------


@dataclass
class Mail:
    """What a run of a test sends, and what the run before it has sent: bytes, or what it was refused with."""

    before: list[bytes | Exception]
    sent: list[bytes | Exception] = field(default_factory=list)

    def post(self, pack_it: Callable[[], bytes]) -> bytes:
        """Packs in this process, too: tests look at what that does to their values."""
        try:
            entry: bytes | Exception = pack_it()
        except Exception as error:
            entry = error
        number = len(self.sent)
        self.sent.append(entry)
        given = self.before[number] if number < len(self.before) else entry
        if isinstance(given, Exception):
            raise given
        return given


def posing_dill(road: Road, mail: Mail, home: dict) -> types.ModuleType:
    """dill's module with our ways in and out, seen by whoever imports it from now on."""
    send, receive = road
    real = sys.modules["dill"]
    posing = types.ModuleType("dill")
    vars(posing).update(vars(real))

    def dumps(value, *_, **__):
        return mail.post(lambda: send(value, home))

    def loads(data, *_, **__):
        return receive(data, home)

    def copy(value, *_, **__):
        return loads(dumps(value))

    def dump(value, file, *_, **__):
        file.write(dumps(value))

    def load(file, *_, **__):
        return loads(file.read())

    ways = {"dumps": dumps, "loads": loads, "copy": copy, "dump": dump, "load": load}
    vars(posing).update(ways)
    # dill's own judgement of a copy, with our copies
    posing.pickles = types.FunctionType(
        real.pickles.__code__, {**vars(real._dill), **ways}, argdefs=real.pickles.__defaults__
    )
    return posing


# ---- a test file as a notebook --------------------------------------------------------------------------------------


def cells(path: Path) -> types.CodeType:
    """The file without what it does as a script."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and _asks_for_main(node.test))]
    return compile(tree, str(path), "exec")


def _asks_for_main(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == "__main__" for node in ast.walk(test))


def tests_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return found or [WHOLE]


def run(path: Path, test: str, road: Road, mail: Mail) -> str:
    """What the test fails with; "" when it passes."""
    main = types.ModuleType("__main__")
    main.__file__ = str(path)
    home = vars(main)
    sys.modules["__main__"] = main
    sys.modules["dill"] = posing_dill(road, mail, home)
    try:
        exec(cells(path), home)
        for name, value in list(home.items()):
            if callable(value):
                arrive(name, value)  # the notebook knows them by their names
        if test != WHOLE:
            home[test]()
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    return ""


def forked(path: Path, test: str, road: Road, before: list) -> tuple[list, str]:
    """The same in a process and a folder of its own: (what it sent, what it failed with)."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            mail = Mail(before)
            failure = run(path, test, road, mail)
            answer = pickle.dumps(([_plain(entry) for entry in mail.sent], failure))
        with os.fdopen(writing, "wb") as file:
            file.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        answer = file.read()
    os.wait()
    return pickle.loads(answer)


def _plain(entry: bytes | Exception) -> bytes | Exception:
    """An exception that every process knows."""
    if isinstance(entry, bytes) or type(entry).__module__ == "builtins":
        return entry
    return pickle.PicklingError(str(entry))


def judge(name: str, path: Path, test: str, road: Road) -> tuple[int, str]:
    """How often the test sent something, and what it failed with."""
    before: list = []
    for _ in range(1 if name in OF_ONE_PROCESS else RUNS):
        sent, failure = forked(path, test, road, before)
        if len(sent) <= len(before):
            break
        before = sent
    return len(sent), failure


def main(road: str) -> None:
    sys.path.insert(0, str(FOLDER))  # they import each other
    for path in sorted(FOLDER.glob("test_*.py")):
        for test in tests_of(path):
            name = f"{path.stem.removeprefix('test_')}.{test}"
            sent, failure = judge(name, path, test, ROADS[road])
            sys.stdout.write(json.dumps([name, sent, failure]) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
