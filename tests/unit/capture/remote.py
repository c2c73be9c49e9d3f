"""The worker half of these tests: a process of its own, with a ``__main__`` of its own.

Started as a script; answers requests on stdin with replies on stdout, both pickled dicts of plain data.
"""

import ast
import asyncio
import importlib
import inspect
import io
import linecache
import os
import pickle
import sys
import tempfile
import traceback
import types
import zipfile


def main():
    sys.path.insert(0, sys.argv[1])
    from burst_magic.payload import Envelope, pack_value, unpack, unpack_value

    main_module = types.ModuleType("__main__")
    sys.modules["__main__"] = main_module
    home = vars(main_module)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def task(envelope, buffers, item):
        home.clear()
        home.update(__name__="__main__", __builtins__=__builtins__)
        sys.stdout = io.StringIO()
        found = unpack(envelope.stream, [bytearray(part) for part in buffers], home=home)
        if item is not None:
            home["<item>"] = unpack_value(item, home=home, parts=found.parts)
            exec(f"{envelope.target} = globals().pop('<item>')", home)
        value = run(envelope, home)
        return "value", pack_value(value, home=home), sys.stdout.getvalue()

    while True:
        request = pickle.load(sys.stdin.buffer)
        envelope = Envelope.from_bytes(request["envelope"])
        for file, text in envelope.sources:
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        outcomes = []
        with local_sources(request["bundle"]):
            for item in request["items"]:
                try:
                    outcomes.append(task(envelope, request["buffers"], item))
                except BaseException:
                    outcomes.append(("error", traceback.format_exc(), sys.stdout.getvalue()))
        pickle.dump(outcomes, replies)
        replies.flush()


def run(envelope, home):
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = ast.parse(envelope.source)
    last = tree.body.pop().value if envelope.has_value else None
    finish(eval(compile(tree, envelope.filename, "exec", flags, dont_inherit=True), home))
    if last is None:
        return None
    return finish(eval(compile(ast.Expression(last), envelope.filename, "eval", flags, dont_inherit=True), home))


def finish(value):
    return asyncio.run(value) if inspect.iscoroutine(value) else value


class local_sources:
    def __init__(self, bundle):
        self.bundle = bundle

    def __enter__(self):
        self.before = set(sys.modules)
        self.folder = tempfile.TemporaryDirectory()
        if self.bundle:
            zipfile.ZipFile(io.BytesIO(self.bundle)).extractall(self.folder.name)
        sys.path.insert(0, self.folder.name)
        importlib.invalidate_caches()

    def __exit__(self, *exc):
        sys.path.remove(self.folder.name)
        for name in set(sys.modules) - self.before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(self.folder.name):
                del sys.modules[name]
        self.folder.cleanup()


if __name__ == "__main__":
    main()
