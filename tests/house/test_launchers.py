"""Nothing above the launchers asks which one it has."""

from __future__ import annotations

import ast

from burst_magic.launchers import TABLE


def test_no_launcher_is_named_outside_the_folder_but_the_default_setting(nodes_of):
    named = [
        f"{path}: {node.value}"
        for path, node in nodes_of(*TABLE)
        if not path.startswith("launchers/") and isinstance(node, ast.Constant) and node.value in TABLE
    ]

    assert sorted(set(named)) == [
        "config.py: local",  # the default setting
        "payload/notes.py: local",  # a kind of module
        "plan/prices.py: fargate",  # a price list
        "protocol/wire/model.py: spot",  # why a worker ended
        "testing/sandbox/quota_api.py: fargate",  # a service of Service Quotas
        "testing/simcloud.py: spot",  # the name of a simulated cloud
    ]


def test_no_launcher_is_compared_with_a_name(nodes_of):
    asked = [
        f"{path}:{node.lineno}"
        for path, node in nodes_of("launcher")
        if isinstance(node, ast.Compare)
        for side in [node.left, *node.comparators]
        if getattr(side, "attr", getattr(side, "id", "")) == "launcher"
        and any(isinstance(getattr(other, "value", None), str) for other in [node.left, *node.comparators])
    ]

    assert asked == []
