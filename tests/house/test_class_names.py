"""A class name means one thing in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict


def test_a_class_name_means_one_thing_in_the_whole_package(nodes_of):
    places = defaultdict(list)
    for path, node in nodes_of("class "):
        if isinstance(node, ast.ClassDef):
            places[node.name].append(f"{path}:{node.lineno}")
    doubles = {name: where for name, where in places.items() if len(where) > 1}

    assert doubles == {}
