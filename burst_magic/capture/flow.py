"""Definite assignment: the names bound at each point of a cell on every path through its statements and expressions.

A lower bound for Python 3.10 to 3.13: a name bound on some paths only is not bound. It is lower than necessary after
``assert`` (``python -O`` drops it), after a ``with`` whose manager may swallow exceptions, and where only a human can
tell a test's value. Unreachable code does not count.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Any

from burst_magic.capture.bindings import captures, unbound
from burst_magic.dataclass import dataclass

Key = Any  # a top-level name, or (scope, name) in a class body


@dataclass(slots=True)
class FlowState:
    """The state at one point: names bound on every path to it; `dead` if no path leads there."""

    names: set[Key] = field(default_factory=set)
    dead: bool = False

    def copy(self) -> FlowState:
        """A copy that can take another path."""
        return FlowState(set(self.names), self.dead)

    def without(self, names: set[Key]) -> FlowState:
        """The same point without these names."""
        return FlowState(self.names - names, self.dead)


def join(states: Iterable[FlowState]) -> FlowState:
    """The point where these paths join."""
    ways = list(states)
    alive = [state.names for state in ways if not state.dead]
    return FlowState(set.intersection(*(alive or [state.names for state in ways])), not alive)


class Flow(ast.NodeVisitor, ABC):
    """Visits a tree in execution order.

    Args:
        bound: names that exist before the first line.
        steady: whether the context manager that an expression makes surely lets exceptions through.
    """

    def __init__(self, bound: set[str], steady: Callable[[ast.expr], bool]) -> None:
        self.state = FlowState(set(bound))
        self.steady = steady
        self.breaks: list[list[FlowState]] = []  # per loop: states at its exits
        self.guarded = 0  # inside try

    @abstractmethod
    def bind(self, names: set[str]) -> None:
        """Mark these as bound."""

    @abstractmethod
    def keys(self, names: set[str]) -> set[Key]:
        """Their keys in a state, if any."""

    def through(self, body: Iterable[ast.AST], start: FlowState) -> FlowState:
        """Visit these statements to their end."""
        self.state = start.copy()
        for node in body:
            self.visit(node)
        return self.state

    # tests: states where they were true, and where they were false

    def condition(self, node: ast.expr) -> tuple[FlowState, FlowState]:
        """Visit an expression; return the states after it was true, and after it was false."""
        if isinstance(node, ast.BoolOp):
            return self._any_or_all(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yes, no = self.condition(node.operand)
            return no, yes
        if isinstance(node, ast.Compare) and len(node.ops) > 1:
            return self._chain(node)
        self.visit(node)
        yes, no = self.state.copy(), self.state.copy()
        if isinstance(node, ast.Constant):
            yes.dead, no.dead = yes.dead or not node.value, no.dead or bool(node.value)
        return yes, no

    def _any_or_all(self, node: ast.BoolOp) -> tuple[FlowState, FlowState]:
        left = []
        for part in node.values:
            yes, no = self.condition(part)
            if isinstance(node.op, ast.Or):
                yes, no = no, yes
            left.append(no)
            self.state = yes
        done, early = self.state.copy(), join(left)
        return (early, done) if isinstance(node.op, ast.Or) else (done, early)

    def _chain(self, node: ast.Compare) -> tuple[FlowState, FlowState]:
        self.visit(node.left)
        left = []
        for part in node.comparators:
            self.visit(part)
            left.append(self.state.copy())
        return self.state.copy(), join(left)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.state = join(self.condition(node))

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) > 1:
            self.state = join(self._chain(node))
        else:
            self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        yes, no = self.condition(node.test)
        self.state = join((self.through([node.body], yes), self.through([node.orelse], no)))

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                self.visit(key)
            self.visit(value)

    # statements

    def visit_If(self, node: ast.If) -> None:
        yes, no = self.condition(node.test)
        self.state = join((self.through(node.body, yes), self.through(node.orelse, no)))

    def visit_While(self, node: ast.While) -> None:
        gone = self.keys(unbound([node]))
        self.state = self.state.without(gone)
        yes, no = self.condition(node.test)
        self._loop(node, yes, no, gone)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        gone = self.keys(unbound([node]))
        before = self.state.without(gone)
        self.state = before.copy()
        self.visit(node.target)
        self._loop(node, self.state, before, gone)

    visit_AsyncFor = visit_For

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, start: FlowState, end: FlowState, gone: set[Key]) -> None:
        self.breaks.append([])
        self.through(node.body, start)
        left = [state.without(gone) for state in self.breaks.pop()]
        self.state = join((self.through(node.orelse, end), *left))

    def visit_Break(self, _node: ast.Break) -> None:
        self.breaks[-1].append(self.state.copy())
        self.state.dead = True

    def visit_Continue(self, _node: ast.Continue) -> None:
        self.state.dead = True

    def visit_Return(self, node: ast.Return | ast.Raise) -> None:
        self.generic_visit(node)
        self.state.dead = True

    visit_Raise = visit_Return

    def visit_Assert(self, node: ast.Assert) -> None:
        before = self.state.copy()
        _, no = self.condition(node.test)
        self.through([node.msg] if node.msg else [], no)
        self.state = before

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        swallowed: FlowState | None = None  # where an exception may come from that the manager swallows
        for item in node.items:
            self.visit(item.context_expr)
            simple = isinstance(item.optional_vars, ast.Name)
            if item.optional_vars is not None and simple:
                self.visit(item.optional_vars)
            if swallowed is None and not self.steady(item.context_expr):
                swallowed = self.state.copy()
            if item.optional_vars is not None and not simple:  # unpacking its value may raise
                self.visit(item.optional_vars)
        end = self.through(node.body, self.state)
        self.state = end if swallowed is None else join((end, swallowed.without(self.keys(unbound([node])))))

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try) -> None:
        before = self.state.copy()
        raised = before.without(self.keys(unbound(node.body)))
        self.guarded += 1
        ends = [self.through([*node.body, *node.orelse], before)]
        self.guarded -= 1
        for handler in node.handlers:
            self.state = raised.copy()
            if handler.type is not None:
                self.visit(handler.type)
            names = {handler.name} if handler.name else set()
            self.bind(names)
            ends.append(self.through(handler.body, self.state).without(self.keys(names)))
        self.state = join(ends)
        if node.finalbody:
            self._finally(node, before)

    visit_TryStar = visit_Try

    def _finally(self, node: ast.Try, before: FlowState) -> None:
        """Visit ``finally``: it is entered from anywhere, but names bound on the normal path are bound after it."""
        well = self.state
        anywhere = before.without(self.keys(unbound([*node.body, *node.handlers, *node.orelse])))
        last = self.through(node.finalbody, anywhere)
        kept = well.names - self.keys(unbound(node.finalbody))
        self.state = FlowState(kept | last.names, well.dead or last.dead)

    def visit_Match(self, node: Any) -> None:
        self.visit(node.subject)
        before, ends = self.state.copy(), []
        for case in node.cases:
            self.state = before.copy()
            self.visit(case.pattern)
            self.bind(captures(case.pattern))
            start = self.condition(case.guard)[0] if case.guard else self.state
            ends.append(self.through(case.body, start))
        anything = any(
            case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
            for case in node.cases
        )
        self.state = join(ends if anything else [*ends, before])
