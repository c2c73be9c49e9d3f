"""No value shows a secret when it is printed, logged or seen in a debugger."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re

import burst_magic

SECRET = re.compile(r"secret|password|setenv")  # whatever it is
IF_BYTES = re.compile(r"token|key")  # as texts these name starts and objects of a store


def shows_a_secret(cls):
    """The fields of a class that may hold one and are in its repr."""
    for field in dataclasses.fields(cls):
        may = (SECRET.search(field.name) and field.type != "bool") or (
            IF_BYTES.search(field.name) and "bytes" in str(field.type)
        )
        if may and field.repr:
            yield f"{cls.__module__}.{cls.__name__}.{field.name}"


def dataclasses_of_the_package():
    for module in pkgutil.walk_packages(burst_magic.__path__, "burst_magic."):
        if not module.name.endswith("__main__"):
            for cls in vars(importlib.import_module(module.name)).values():
                if isinstance(cls, type) and dataclasses.is_dataclass(cls) and cls.__module__ == module.name:
                    yield cls


def test_a_secret_is_in_no_repr():
    found = list(dataclasses_of_the_package())
    assert len(found) > 50
    assert [shown for cls in found for shown in shows_a_secret(cls)] == []


def test_what_holds_a_secret_would_be_found():
    @dataclasses.dataclass
    class Careless:
        secret: str
        key: bytes
        token: str
        setenv: tuple = dataclasses.field(repr=False)

    assert [shown.rpartition(".")[2] for shown in shows_a_secret(Careless)] == ["secret", "key"]
