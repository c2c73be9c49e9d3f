"""A class name means one thing in the whole package."""

from __future__ import annotations

import re
from collections import defaultdict

CLASS = re.compile(r"^\s*class (\w+)\b.*:", re.MULTILINE)


def test_a_class_name_means_one_thing_in_the_whole_package(project_files, root):
    package = root / "burst_magic"
    places = defaultdict(list)
    for path in project_files:
        if path.suffix == ".py" and path.is_relative_to(package):
            for name in CLASS.findall(path.read_text(encoding="utf-8")):
                places[name].append(path.relative_to(package).as_posix())
    doubles = {name: where for name, where in places.items() if len(where) > 1}

    assert len(places) > 500
    assert doubles == {}
