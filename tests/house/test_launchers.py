"""Nothing above the launchers asks which one it has."""

from __future__ import annotations

import ast

from burst_magic.launchers import TABLE


def test_no_launcher_is_named_outside_the_folder_but_the_default_setting(project_files, root):
    package = root / "burst_magic"
    named = [
        f"{path.relative_to(package)}: {node.value}"
        for path in project_files
        if path.suffix == ".py" and path.is_relative_to(package) and "launchers" not in path.relative_to(package).parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in TABLE
    ]

    assert sorted(set(named)) == [
        "config.py: local",  # the default setting
        "payload/notes.py: local",  # a kind of module
        "plan/prices.py: fargate",  # a price list
        "protocol/wire/model.py: spot",  # why a worker ended
        "testing/sandbox/quota_api.py: fargate",  # a service of Service Quotas
        "testing/simcloud.py: spot",  # the name of a simulated cloud
    ]


def test_no_launcher_is_compared_with_a_name(project_files, root):
    package = root / "burst_magic"
    asked = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in project_files
        if path.suffix == ".py" and path.is_relative_to(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        for side in [node.left, *node.comparators]
        if getattr(side, "attr", getattr(side, "id", "")) == "launcher"
        and any(isinstance(getattr(other, "value", None), str) for other in [node.left, *node.comparators])
    ]

    assert asked == []
