"""Names for types: what ``type`` statements make travels, also where it leads back to itself."""

import sys
import typing

import pytest

PLAIN = {
    "by a string": ("Json = typing.Union[int, typing.List['Json']]", "Json", lambda found: found.__args__[0] is int),
    "in brackets": (
        "class A: pass\nKinds = list[A] | dict[str, 'A']",
        "Kinds",
        lambda found: found.__args__[1].__args__[0] is str,
    ),
}

if sys.version_info >= (3, 12):
    STATEMENTS = {
        "recursive": ("type Json = int | list[Json]", "Json", lambda found: found.__value__.__args__[1].__args__[0] is found),
        "mutually recursive": (
            "type A = int | list[B]\ntype B = str | dict[str, A]", "A",
            lambda found: found.__value__.__args__[1].__args__[0].__value__.__args__[1].__args__[1] is found,
        ),
        "generic": ("type Pair[T] = tuple[T, T]", "Pair", lambda found: found.__value__.__args__[1] is found.__type_params__[0]),
        "generic and recursive": (
            "type Nested[T] = T | list[Nested[T]]", "Nested",
            lambda found: found.__value__.__args__[0] is found.__type_params__[0] and found[int].__args__ == (int,),
        ),
        "bounded by itself": ("type Tree[T: Tree] = list[T]", "Tree", lambda found: found.__type_params__[0].__bound__ is found),
        "constrained": ("type C[T: (int, str)] = T", "C", lambda found: found.__type_params__[0].__constraints__ == (int, str)),
        "of many kinds": (
            "type M[T, *Ts, **P] = tuple[T, *Ts] | typing.Callable[P, T]", "M",
            lambda found: [type(one).__name__ for one in found.__type_params__] == ["TypeVar", "TypeVarTuple", "ParamSpec"],
        ),
        "made by a call": (
            "T = typing.TypeVar('T')\nOld = typing.TypeAliasType('Old', list[T], type_params=(T,))\nboth = [T, Old]", "both",
            lambda found: found[1].__value__.__args__[0] is found[0] is found[1].__type_params__[0],
        ),
        "inside a function": ("def f():\n    type Inner = int | list[Inner]\n    return Inner\nv = [f()]", "v", lambda found: found[0].__value__.__args__[1].__args__[0] is found[0]),
        "annotations": ("type Json = int | list[Json]\ndef f(x: Json) -> list[Json]: return x\nv = [f, Json]", "v", lambda found: found[0].__annotations__["x"].__value__ == found[1].__value__),
        "a class bounded by itself": ("class Node[T: Node]: pass\nv = [Node, Node()]", "v", lambda found: found[0].__type_params__[0].__bound__ is found[0]),
    }  # fmt: skip
else:
    STATEMENTS = {}

if sys.version_info >= (3, 13):
    STATEMENTS["with a default"] = (
        "type D[T = int] = list[T] | dict[str, D[T]]", "D", lambda found: found.__type_params__[0].__default__ is int,
    )  # fmt: skip


@pytest.mark.parametrize(("text", "use", "holds"), (PLAIN | STATEMENTS).values(), ids=PLAIN | STATEMENTS)
def test_it_means_the_same_there_and_back(notebook, text, use, holds):
    notebook.run(f"import typing\n{text}")
    assert holds(notebook[use])
    assert holds(notebook.burst(use))
    assert holds(notebook.burst("item", f"[{use}]")[0])
    assert holds(notebook.burst(f"import typing\n{text}\n{use}"))


def test_a_type_variable_keeps_its_limits(notebook):
    notebook.run("import typing\nT = typing.TypeVar('T', bound='A', covariant=True)\nv = [T]")
    (back,) = notebook.burst("[T for T in v]")
    assert isinstance(back, typing.TypeVar)
    assert back.__covariant__
