"""Random programs, run for real: what Python looks for outside of a cell is among what the analysis says it reads."""

import ast
import asyncio
import builtins
import contextlib
import random
import sys

import pytest

from burst_magic.capture.names import cell_names

NAMES = ("a", "b", "c")
HAS_EXCEPT_STAR = sys.version_info >= (3, 11)


class TooLong(BaseException):
    pass


class Writer:
    """Writes programs out of every construct that binds, reads or leaves."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.functions = 0

    def name(self):
        return self.rng.choice(NAMES)

    def program(self):
        return "\n".join(self.block(3, 0, loop=False))

    def block(self, depth, indent, *, loop, function=False):
        lines = []
        for _ in range(self.rng.randint(1, 4)):
            lines += [" " * indent + line for line in self.statement(depth, loop=loop, function=function)]
        return lines

    def inner(self, depth, *, loop, function=False):
        return self.block(depth - 1, 1, loop=loop, function=function)

    def statement(self, depth, *, loop, function):
        simple = [self.assign, self.assign, self.assign, self.read, self.read, self.walrus, self.walrus, self.delete,
                  self.augmented, self.annotated, self.asserts, self.importing, self.raising]  # fmt: skip
        if loop:
            simple += [lambda: ["if maybe(): break"], lambda: ["if maybe(): continue"], lambda: ["break"]]
        if depth <= 0:
            return self.rng.choice(simple)()
        nested = [self.if_, self.while_, self.for_, self.with_, self.try_, self.match]
        if not function:
            nested += [self.function, self.class_]
        if HAS_EXCEPT_STAR:
            nested.append(self.try_star)
        make = self.rng.choice(simple + nested + nested)
        if make in simple:
            return make()
        keep = {"loop": loop, "function": function}
        return make(depth, keep)

    # simple statements

    def assign(self):
        name = self.name()
        return [self.rng.choice((f"{name} = maybe()", f"{name}, *_ = 1, 2", f"_ = {name} = risky()"))]

    def read(self):
        return [self.rng.choice(("_ = {0}", "print({0}, file=None) if 0 else {0}", "f'{{{0}}}'", "[{0} for _ in range(2)]",
                                 "(lambda: {0})()", "list({0} for _ in '12')", "run(lambda {0}={0}: {0})")).format(self.name())]  # fmt: skip

    def walrus(self):
        name, other = self.name(), self.name()
        return [self.rng.choice((
            "maybe() and ({0} := maybe())", "maybe() or ({0} := maybe()) or {1}", "({0} := 1) if maybe() else {1}",
            "0 < ({0} := risky()) < ({1} := 2) < 3", "[({0} := i) for i in range(maybe())]",
            "[{0} for i in range(maybe()) if ({0} := i) or ({1} := 1)]", "{{({0} := 1): {1} for _ in range(maybe())}}",
            "(lambda: ({0} := 1))(), {0}", "not (maybe() and ({0} := 1)) and {0}", "{{1: {1}, ({1} := 2): {0}}}",
            "any(({0} := i) for i in range(maybe()))", "[(lambda: ({0} := {1})) for _ in '1']",
            "print(({0} := 1), {1}) if maybe() and ({1} := 1) else {1}", "[i for i in [1, ({0} := 2)] if {1}]",
        )).format(name, other)]  # fmt: skip

    def delete(self):
        name = self.name()
        return (
            ["try:", f" del {name}", "except NameError:", " pass"]
            if self.rng.random() < 0.5
            else [f"if maybe(): del {name}"]
        )

    def augmented(self):
        return [f"{self.name()} += maybe()"]

    def annotated(self):
        return [f"{self.name()}: {self.name()}" + self.rng.choice(("", " = 1"))]

    def asserts(self):
        return [f"assert ({self.name()} := 1) or maybe(), {self.name()}"]

    def importing(self):
        return [f"if maybe(): import math as {self.name()}"]

    def raising(self):
        return ["if maybe(): raise E"]

    # compound statements

    def test(self):
        name, other = self.name(), self.name()
        return self.rng.choice((
            "maybe()", "True", f"({name} := maybe()) and ({other} := maybe())", f"not (maybe() or ({name} := maybe()))",
            f"maybe() or ({name} := maybe()) and {other}", f"0 <= maybe() < ({name} := maybe())",
        ))  # fmt: skip

    def if_(self, depth, keep):
        lines = [f"if {self.test()}:", *self.inner(depth, **keep)]
        return lines + (["else:", *self.inner(depth, **keep)] if self.rng.random() < 0.6 else [])

    def _loop(self, head, depth, keep):
        lines = [head, *self.inner(depth, **{**keep, "loop": True}), " if maybe(): break"]
        return lines + (["else:", *self.inner(depth, **keep)] if self.rng.random() < 0.4 else [])

    def while_(self, depth, keep):
        return self._loop(f"while {self.test()}:", depth, keep)

    def for_(self, depth, keep):
        return self._loop(
            f"for {self.rng.choice((self.name(), 'i, ' + self.name()))} in zip(range(maybe()), '12'):", depth, keep
        )

    def with_(self, depth, keep):
        head = self.rng.choice(
            ("Manager()", "Manager() as {0}", "Manager() as {0}, Manager() as {1}", "Manager() as ({0}, {1})")
        )
        return [f"with {head.format(self.name(), self.name())}:", *self.inner(depth, **keep)]

    def try_(self, depth, keep):
        lines = ["try:", *self.inner(depth, **keep)]
        final = self.rng.random() < 0.5
        if not final or self.rng.random() < 0.7:
            lines += [f"except E as {self.name()}:", *self.inner(depth, **keep)]
            if self.rng.random() < 0.5:
                lines += ["except NameError:", *self.inner(depth, **keep)]
            if self.rng.random() < 0.5:
                lines += ["else:", *self.inner(depth, **keep)]
        return lines + (["finally:", *self.inner(depth, **{**keep, "loop": False})] if final else [])

    def try_star(self, depth, keep):
        quiet = {**keep, "loop": False}
        return ["try:", *self.inner(depth, **quiet), f"except* E as {self.name()}:", *self.inner(depth, **quiet)]

    def match(self, depth, keep):
        lines = ["match maybe(), maybe():"]
        for pattern in self.rng.sample(
            ("(1, {0})", "({0}, {1})", "({0}, 0) if ({1} := maybe())", "{0} if maybe()", "[*{0}] if {1}"), 2
        ):
            lines += [
                f" case {pattern.format(*self.rng.sample(NAMES, 2))}:",
                *(" " + line for line in self.inner(depth, **keep)),
            ]
        return lines + (
            [" case _:", *(" " + line for line in self.inner(depth, **keep))] if self.rng.random() < 0.4 else []
        )

    def function(self, depth, _keep):
        self.functions += 1
        name = f"f{self.functions}"
        body = self.inner(depth, loop=False, function=True)
        local = ["a", "b", "c"][: self.rng.randint(0, 2)]
        words = [f" global {', '.join(local)}"] if local and self.rng.random() < 0.7 else []
        lines = [f"def {name}(x={self.name()}):", *words, *body]
        if self.rng.random() < 0.15:
            return ["@run", *lines]
        if self.rng.random() < 0.15:
            return [f"class K{self.functions}:", *(" " + line for line in lines), f" {name}()"]
        return [
            *lines,
            *(self.assign() if self.rng.random() < 0.5 else []),
            self.rng.choice((f"{name}()", f"if maybe(): {name}()", f"run({name})", "pass")),
        ]

    def class_(self, depth, _keep):
        words = [f" global {self.name()}"] if self.rng.random() < 0.3 else []
        base = self.rng.choice(("", "(Base)"))
        method = [f" def method(self, x={self.name()}): return {self.name()}"] if self.rng.random() < 0.6 else []
        body = [
            line for line in self.inner(depth, loop=False, function=True) if ":=" not in line or " for " not in line
        ]
        return ["class K" + base + ":", *words, *body, *method, *self.assign(), *(["K.method(0)"] if method else [])]


class Outside(dict):
    """The builtins, where every name ends up that nothing else has."""

    def __init__(self):
        super().__init__(vars(builtins))
        self.asked = set()

    def __missing__(self, name):
        self.asked.add(name)
        raise KeyError(name)


def asked_for(code, absent, chance):
    """Which names the program looked for outside, with one of them absent."""
    outside, steps = Outside(), [0]

    def maybe():
        steps[0] += 1
        if steps[0] > 200:
            raise TooLong
        return chance.randint(0, 1)

    class E(Exception):
        pass

    def risky():
        if maybe():
            raise E
        return 1

    class Manager:
        def __enter__(self):
            return risky(), 1

        def __exit__(self, *exc):
            return exc[0] is not None and issubclass(exc[0], Exception)

    class Base:
        def __init_subclass__(cls):
            if hasattr(cls, "method"):
                cls.method(0)

    def run(function):
        function()
        return function

    home = {"__name__": "__main__", "__builtins__": outside, "maybe": maybe, "risky": risky, "Manager": Manager, "run": run,
            "Base": Base, "E": E, **{name: 0 for name in NAMES if name != absent}}  # fmt: skip
    with contextlib.suppress(Exception, TooLong):
        exec(code, home)
    return outside.asked


def compiled(seed):
    """A program that Python accepts: the grammar above also makes some that it does not."""
    for attempt in range(100):
        source = Writer(f"{seed} {attempt}").program()
        try:
            return source, compile(source, "<program>", "exec")
        except SyntaxError:
            continue
    raise AssertionError(seed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", range(10))
def test_what_a_program_looks_for_outside_is_among_its_reads(block):
    told = missed = 0
    for seed in range(block * 60, block * 60 + 60):
        source, code = compiled(seed)
        reads = cell_names(ast.parse(source)).reads
        for absent in NAMES:
            for chance in range(4):
                asked = asked_for(code, absent, random.Random(chance))
                told += absent in reads
                missed += absent not in asked
                assert not asked & {absent} - reads.keys(), f"{absent} is missed (seed {seed}):\n{source}"
    assert told > 100
    assert missed > 100  # and not because everything is looked for


def test_async_forms_run_as_they_are_followed():
    source = "async with AsyncManager() as a:\n    b = risky()\nasync for c in many(): pass\na, b, c"
    assert {"b", "c"} <= cell_names(ast.parse(source)).reads.keys()
    assert "a" not in cell_names(ast.parse(source)).reads
    outside = Outside()

    class AsyncManager:
        async def __aenter__(self):
            return 1

        async def __aexit__(self, *exc):
            return True

    async def many():
        for _ in ():
            yield

    home = {"__builtins__": outside, "AsyncManager": AsyncManager, "many": many, "risky": {}.popitem}
    code = compile(source, "<program>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with pytest.raises(NameError):
        asyncio.run(eval(code, home))
    assert outside.asked == {"b"}
