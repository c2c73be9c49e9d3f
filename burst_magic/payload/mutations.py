"""Find what code sets in objects that it reaches by names: ``json.JSONEncoder.default = f``, ``sys.argv.append(x)``.

Works on bytecode, like `mentions`: the stack is followed from one instruction to the next, as far as it holds names,
attributes of these and strings. Whatever came another way is not found. Code that sets nothing is not read.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from burst_magic.dataclass import dataclass
from burst_magic.payload.mentions import CHANGING

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_LOCAL = frozenset({"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_DEREF", "LOAD_CLOSURE"})
_BOUND = frozenset({
    "STORE_NAME", "STORE_GLOBAL", "STORE_FAST", "STORE_DEREF", "STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST",
})  # fmt: skip
_ITEMS = {"STORE_SUBSCR": 2, "DELETE_SUBSCR": 2, "STORE_SLICE": 3}  # depth of the container on the stack
_CALLS = frozenset({"PRECALL", "CALL", "CALL_FUNCTION"})  # all arguments are on the stack
_SHUFFLED = frozenset({"COPY", "DUP_TOP", "DUP_TOP_TWO", "SWAP", "ROT_TWO", "ROT_THREE"})
_IMPORTS = dis.opmap["IMPORT_NAME"]
_JUMPS = frozenset({*dis.hasjrel, *dis.hasjabs})
_SETTERS = {"setattr": 3, "delattr": 2}
_SETTING = frozenset(dis.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR", *_ITEMS) if name in dis.opmap)
_SPOKEN = CHANGING | _SETTERS.keys()
ANY = "*"


@dataclass(frozen=True, slots=True)
class Reach:
    """How code reaches an object: a name, or a module that it imports, and attributes of it."""

    name: str
    module: str = ""
    attributes: tuple[str, ...] = ()

    def then(self, attribute: str) -> Reach:
        """An attribute of the object."""
        return Reach(self.name, self.module, (*self.attributes, attribute))


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change of an object.

    Attributes:
        owner: how the code reaches the object.
        attribute: what is set; "" for its contents, ``ANY`` where its name is computed.
        by_method: by a method that changes containers, and may do something else to another object.
    """

    owner: Reach
    attribute: str
    by_method: bool = False


_Reaches = frozenset[Reach]  # what a name may be bound to, as far as it is known
_Known = _Reaches | str | None
_NOTHING: _Reaches = frozenset()


@functools.lru_cache(maxsize=4096)
def mutations_of(code: types.CodeType) -> frozenset[Mutation]:
    """What this code and its nested code set."""
    return frozenset(_mutations(code, {}))


def mutations_by_functions(module: types.CodeType) -> frozenset[Mutation]:
    """What the nested code of a module's code sets in what it imports; what the module itself sets belongs to it."""
    inner = [code for code in _nested(module) if _sets(code)]
    bound: dict[str, _Reaches] = {}
    for _ in _of_steps(module, {}, bound) if inner else ():
        pass
    found = (mutation for code in inner for mutation in _mutations(code, bound, of_imports=True))
    return frozenset(mutation for mutation in found if mutation.owner.module)


def _mutations(code: types.CodeType, outer: Mapping[str, _Reaches], *, of_imports: bool = False) -> Iterator[Mutation]:
    """What code sets that is nested in code with these names; only in what it imports, or in anything."""
    if not _sets(code) or (of_imports and not _reaches(code, {name for name, reaches in outer.items() if reaches})):
        return
    own = {*code.co_varnames, *code.co_cellvars}
    inherited = {name: reaches for name, reaches in outer.items() if name not in own}
    bound = dict(inherited)
    yield from _of_steps(code, inherited, bound)
    for inner in _nested(code):
        yield from _mutations(inner, bound, of_imports=of_imports)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, types.CodeType))


def _sets(code: types.CodeType) -> bool:
    """Whether it, or its nested code, has what sets anything. To read it takes fifty times as long."""
    own = not _SETTING.isdisjoint(code.co_code[::2]) or not _SPOKEN.isdisjoint(code.co_names)
    return own or any(map(_sets, _nested(code)))


def _reaches(code: types.CodeType, names: AbstractSet[str]) -> bool:
    """Whether it, or its nested code, uses one of these names or imports."""
    own = _IMPORTS in code.co_code[::2] or not names.isdisjoint((*code.co_names, *code.co_freevars))
    return own or any(_reaches(inner, names) for inner in _nested(code))


def _of_steps(
    code: types.CodeType, inherited: Mapping[str, _Reaches], bound: dict[str, _Reaches]
) -> Iterator[Mutation]:
    """Follow the stack.

    Args:
        code: its nested code is left out.
        inherited: what names of the code around it are bound to.
        bound: gains all that this code binds names to, for code that runs later.
    """
    known = dict(inherited)
    stack: list[_Known] = []
    imported, from_list = "", False
    block, blocks = 0, dict.fromkeys(known, -1)  # straight pieces of code, and in which a name was bound last

    def bind(name: str, value: _Known) -> None:
        reaches = value if isinstance(value, frozenset) else _NOTHING
        bound[name] = bound.get(name, _NOTHING) | reaches
        before = known.get(name, _NOTHING) if blocks.get(name) != block else _NOTHING  # by another branch
        known[name], blocks[name] = before | reaches, block

    for step in dis.get_instructions(code):
        name, top = step.argval, stack[-1] if stack else None
        if step.is_jump_target:
            stack.clear()
            top = None
            block += 1
        yield from _found(step, stack)
        if step.opname == "IMPORT_NAME":
            imported, from_list = str(name), isinstance(top, str)
            module = imported if from_list or "." not in imported else imported.partition(".")[0]
            _apply(stack, step, frozenset({Reach("", module)}))
        elif step.opname == "IMPORT_FROM":
            inner = Reach("", imported, (name,)) if from_list else Reach("", f"{imported.rpartition('.')[0]}.{name}")
            stack.append(frozenset({inner}))
        elif step.opname in _BOUND:
            names = name if isinstance(name, tuple) else (name,)
            bind(names[0], top)
            if step.opname == "STORE_FAST_STORE_FAST":
                bind(names[1], _at(stack, 2))
            _apply(stack, step)
            if step.opname == "STORE_FAST_LOAD_FAST":
                stack[-1:] = [known.get(names[1])]
        else:
            _follow(stack, step, known)
        if step.opcode in _JUMPS:
            block += 1


def _found(step: dis.Instruction, stack: list[_Known]) -> Iterator[Mutation]:
    """What this instruction sets, if it is known where."""
    owner: _Known = None
    attribute, by_method = "", False
    if step.opname in {"STORE_ATTR", "DELETE_ATTR"}:
        owner, attribute = _at(stack, 1), step.argval
    elif step.opname in {"LOAD_METHOD", "LOAD_ATTR"} and step.argval in CHANGING:
        owner, by_method = _at(stack, 1), True
    elif step.opname in _ITEMS:
        owner = _at(stack, _ITEMS[step.opname])
    elif step.opname in _CALLS:
        called = [_at(stack, (step.arg or 0) + place) for place in (1, 2)]
        reaches = (reach for one in called if isinstance(one, frozenset) for reach in one)
        setter = next((reach.name for reach in reaches if not reach.attributes), "")
        said = _at(stack, (step.arg or 0) - 1)
        if _SETTERS.get(setter) == step.arg:
            owner, attribute = _at(stack, step.arg or 0), said if isinstance(said, str) else ANY
    if isinstance(owner, frozenset):
        yield from (Mutation(reach, attribute, by_method) for reach in owner)


def _follow(stack: list[_Known], step: dis.Instruction, known: Mapping[str, _Reaches]) -> None:
    name, top = step.argval, _at(stack, 1)
    if step.opname in _GLOBAL:
        _apply(stack, step, known.get(name, frozenset({Reach(name)})))
    elif step.opname in _LOCAL:
        _apply(stack, step, known.get(name))
    elif step.opname == "LOAD_FAST_LOAD_FAST":
        stack.extend(known.get(part) for part in name)
    elif step.opname == "LOAD_CONST":
        words = name[0] if isinstance(name, tuple) and name and isinstance(name[0], str) else name
        _apply(stack, step, words if isinstance(words, str) else None)
    elif step.opname == "LOAD_ATTR" and isinstance(top, frozenset):
        _apply(stack, step, frozenset(reach.then(name) for reach in top))
    elif step.opname in _SHUFFLED:
        _shuffle(stack, step)
    else:
        _apply(stack, step)


def _shuffle(stack: list[_Known], step: dis.Instruction) -> None:
    if step.opname in {"COPY", "DUP_TOP"}:
        stack.append(_at(stack, step.arg or 1))
    elif step.opname == "DUP_TOP_TWO":
        stack.extend([_at(stack, 2), _at(stack, 1)])
    elif step.opname in {"SWAP", "ROT_TWO"}:
        place = step.arg or 2
        if len(stack) >= place:
            stack[-1], stack[-place] = stack[-place], stack[-1]
    elif step.opname == "ROT_THREE" and len(stack) > 2:
        stack.insert(-2, stack.pop())


def _at(stack: list[_Known], depth: int) -> _Known:
    return stack[-depth] if 0 < depth <= len(stack) else None


def _apply(stack: list[_Known], step: dis.Instruction, top: _Known = None) -> None:
    """Grow or shrink the stack by what this instruction does; what it leaves on top is this, or unknown."""
    effect = dis.stack_effect(step.opcode, step.arg if step.opcode >= dis.HAVE_ARGUMENT else None, jump=False)
    if effect < 0:
        del stack[effect:]
    else:
        stack.extend([None] * effect)
    if stack and not step.opname.startswith(("STORE_", "DELETE_", "POP_")):
        stack[-1] = top
