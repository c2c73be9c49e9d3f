"""Tests use our code as it is: what must differ comes in through arguments, fakes and real faults."""

from __future__ import annotations

import ast

PATCHERS = {"setattr", "delattr"}


def roots(tree):
    """Names of this module that are ours: imported from the package."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "burst_magic":
            names |= {each.asname or each.name for each in node.names}
        elif isinstance(node, ast.Import):
            names |= {each.asname or "burst_magic" for each in node.names if each.name.startswith("burst_magic")}
    return names


def modules(tree):
    """Names of this module that are somebody else's modules and classes."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(each.asname or each.name).partition(".")[0] for node in imports for each in node.names} - roots(tree)


def root(node):
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def targets(node):
    """Attributes that a statement sets or deletes."""
    if isinstance(node, ast.Assign | ast.Delete):
        found = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.NamedExpr):
        found = [node.target]
    else:
        found = []
    inside = [each for one in found for each in ast.walk(one) if isinstance(each, ast.Attribute)]
    return [each for each in inside if not isinstance(each.ctx, ast.Load)]


def patches(tree):
    """Lines that change our code while it is under test."""
    ours, others = roots(tree), modules(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            by_name = root(node.args[0])
            if called in PATCHERS and (by_name in ours if isinstance(node.func, ast.Name) else by_name not in others):
                yield node
        for target in targets(node):
            private = target.attr.startswith("_") and not target.attr.startswith("__")
            if root(target) in ours or (private and root(target) not in {"self", "cls"}):
                yield node
        if isinstance(node, ast.Import | ast.ImportFrom) and "mock" in ast.unparse(node).replace(",", " ").split():
            yield node


def test_no_test_patches_our_code(project_files, root):
    found = [
        f"{path.relative_to(root)}:{node.lineno}: {ast.unparse(node)[:80]}"
        for path in project_files
        if path.suffix == ".py" and path.is_relative_to(root / "tests")
        for node in patches(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert found == []


def test_each_way_to_patch_is_seen():
    program = """
import sys
from unittest import mock
import burst_magic.session.driver
from burst_magic.session import session
from burst_magic.session.driver import Driver as D
monkeypatch.setattr(sys, "executable", "")
monkeypatch.setattr(session, "GRACE", 1)
monkeypatch.setattr("burst_magic.session.session.GRACE", 1)
monkeypatch.delattr(a_fixture, "files")
setattr(D, "x", 1)
D.start = 1
del D.start
burst_magic.session.driver.X += 1
a_fixture._excess = 1
sys.argv = []
"""
    assert sorted(node.lineno for node in patches(ast.parse(program))) == [3, 8, 9, 10, 11, 12, 13, 14, 15]
