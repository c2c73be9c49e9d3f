"""Find functions whose code shows that calling them again is as good as remembering their results."""

from __future__ import annotations

import builtins
import dis
import math
import types
from collections.abc import Iterator

# They give a new value that cannot change, and depend on nothing else.
_PURE = frozenset({
    "abs", "all", "any", "bool", "complex", "divmod", "float", "frozenset", "int", "isinstance", "len", "max", "min",
    "pow", "range", "round", "str", "sum", "tuple",
})  # fmt: skip
_MAKES = ("BUILD_LIST", "BUILD_MAP", "BUILD_SET", "BUILD_CONST_KEY_MAP")  # what somebody may have changed since


def only_computes(obj: object, called: object) -> bool:
    """Whether a function surely gives equal results for equal arguments, without anything else to be seen: recursions.

    Args:
        obj: the function.
        called: what its own name means, itself or a wrapper of it.
    """
    if not isinstance(obj, types.FunctionType) or obj.__defaults__ or obj.__kwdefaults__ or obj.__closure__:
        return False
    codes = list(_nested(obj.__code__))
    names = {name for code in codes for name in code.co_names}
    own = {name for name in names if obj.__globals__.get(name) is called}
    theirs = {name for name in names & _PURE if obj.__globals__.get(name, _of_python(name)) is _of_python(name)}
    maths = set(dir(math)) | {"math"} if obj.__globals__.get("math") is math else set()
    made = any(step.opname in _MAKES for code in codes for step in dis.get_instructions(code))
    return not made and names <= own | theirs | maths


def _of_python(name: str) -> object:
    return getattr(builtins, name)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)
