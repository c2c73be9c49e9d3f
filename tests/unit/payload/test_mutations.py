"""What code sets in objects that it reaches by names is found in its bytecode."""

import pytest

from burst_magic.payload.mutations import mutations_by_functions, mutations_of

FOUND = {
    "json.JSONEncoder.default = f": "json.JSONEncoder:default",
    "import json\njson.JSONEncoder.default = f": "<json>.JSONEncoder:default",
    "from json import JSONEncoder as J\nJ.default = 1": "<json>.JSONEncoder:default",
    "import xml.etree.ElementTree as ET\nET.x.y = 1": "<xml.etree.ElementTree>.x:y",
    "import xml.etree\nxml.etree.z.q = 2": "<xml>.etree.z:q",
    "sys.modules['a'] = 1": "sys.modules:",
    "sys.meta_path.append(1)": "sys.meta_path:",
    "def f():\n    import os.path as p\n    q = p.abc\n    q.z[a + b] = 5": "<os.path>.abc.z:",
    "import json\ndef f():\n    json.e.f = 1": "<json>.e:f",
    "class A:\n    import json\n    def f(self):\n        a.b.c = 1": "a.b:c",
    "a.b.c += 1": "a.b:c",
    "a.b['x'] += 1": "a.b:",
    "del a.b.c": "a.b:c",
    "del a.b['x']": "a.b:",
    "a.b[1:2] = 3": "a.b:",
    "x = y = a.b\nx.z = 1": "a.b:z",
    "setattr(a.b, 'k', 3)": "a.b:k",
    "delattr(a.b, 'k')": "a.b:k",
    "setattr(a, name, 1)": "a:*",
    "for k in z: delattr(a.b, k)": "a.b:*",
    "for a.b.i in x: pass": "a.b:i",
    "a.b.c: int = 5": "a.b:c",
    "if z:\n    a.b.c = 1\nelse:\n    x = 2": "a.b:c",
    "x.y, z = a.b, 1": "x:y",
    "import sys, json\nsys, json = json, sys\njson.x.y = 1": "<sys>.x:y",
    "x = a.b\ny = x\ny.z = 1": "a.b:z",
    "try:\n    import json\nexcept ImportError:\n    json = None\njson.x.y = 1": "<json>.x:y",
    "import json\nif x:\n    json = None\njson.x.y = 1": "<json>.x:y",
    "try:\n    import json\nexcept ImportError:\n    json = None\ndef f():\n    json.x.y = 1": "<json>.x:y",
}
NOTHING = (
    "def g(x):\n    x.y = 1\n    x[0] = 2", "a.b(1).c = 2", "a.b.c", "a.b.copy()", "from a import *", "x = {}\nx['a'] = 1",
    "import a\na = make()\na.b = 1", "self = a()\nself.b.c = 1",
    "import json\ndef f(json):\n    json.x = 1", "import json\ndef f():\n    json = make()\n    json.x = 1",
    "import json\ndef f(json):\n    def g():\n        json.x = 1",
)  # fmt: skip


def told(source):
    return {
        ".".join([mutation.owner.name or f"<{mutation.owner.module}>", *mutation.owner.attributes])
        + f":{mutation.attribute}"
        for mutation in mutations_of(compile(source, "<cell>", "exec"))
    }


def within_a_function(source):
    """Where names are other instructions, in pairs in today's Pythons."""
    return "def within():\n" + "".join(f"    {line}\n" for line in source.splitlines())


@pytest.mark.parametrize("source", FOUND)
def test_what_is_set_is_found_with_the_way_to_its_object(source):
    assert told(source) == told(within_a_function(source)) == {FOUND[source]}


@pytest.mark.parametrize("source", NOTHING)
def test_what_is_reached_in_another_way_is_not(source):
    assert told(source) == set()
    assert "*" in source or told(within_a_function(source)) == set()  # functions don't import all names


def test_a_method_that_may_change_a_container_is_told_apart_from_an_assignment():
    found = mutations_of(compile("sys.argv.append(1)\nsys.path[0] = 2", "<cell>", "exec"))
    assert {mutation.owner.attributes: mutation.by_method for mutation in found} == {("argv",): True, ("path",): False}


def test_of_a_module_what_its_functions_set_counts():
    code = compile(
        "import json, sys\nsys.modules['a'] = 1\ndef f():\n    json.JSONEncoder.default = len", "m.py", "exec"
    )
    (mutation,) = mutations_by_functions(code)
    assert (mutation.owner.module, mutation.owner.attributes, mutation.attribute) == (
        "json",
        ("JSONEncoder",),
        "default",
    )
