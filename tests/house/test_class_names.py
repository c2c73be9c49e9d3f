"""A class name means one thing in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict


def test_a_class_name_means_one_thing_in_the_whole_package(project_files, root):
    package = root / "burst_magic"
    places = defaultdict(list)
    for path in project_files:
        if path.suffix == ".py" and path.is_relative_to(package):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{path.relative_to(package)}:{node.lineno}")
    doubles = {name: where for name, where in places.items() if len(where) > 1}

    assert doubles == {}
