"""Find what code sets in objects that it reaches by names: ``json.JSONEncoder.default = f``, ``sys.argv.append(x)``.

Works on bytecode, like `mentions`: the stack is followed from one instruction to the next, as far as it holds names,
attributes of these and strings. Whatever came another way is not found.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from burst_magic.payload.mentions import CHANGING

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_LOCAL = frozenset({"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_DEREF", "LOAD_CLOSURE"})
_BOUND = frozenset({"STORE_NAME", "STORE_GLOBAL", "STORE_FAST", "STORE_DEREF"})
_ITEMS = {"STORE_SUBSCR": 2, "DELETE_SUBSCR": 2, "STORE_SLICE": 3}  # depth of the container on the stack
_CALLS = frozenset({"PRECALL", "CALL", "CALL_FUNCTION"})  # all arguments are on the stack
_SHUFFLED = frozenset({"COPY", "DUP_TOP", "DUP_TOP_TWO", "SWAP", "ROT_TWO", "ROT_THREE"})
_SETTERS = {"setattr": 3, "delattr": 2}


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
    """A change of an object: of this attribute, or of its contents (``""``)."""

    owner: Reach
    attribute: str


_Known = Reach | str | None


@functools.lru_cache(maxsize=4096)
def mutations_of(code: types.CodeType) -> frozenset[Mutation]:
    """What this code and its nested code set."""
    return frozenset(_mutations(code, {}))


def mutations_by_functions(module: types.CodeType) -> frozenset[Mutation]:
    """What the nested code of a module's code sets; what the module itself sets belongs to it."""
    known: dict[str, Reach | None] = {}
    for _ in _of_steps(module, known):
        pass
    inner = (constant for constant in module.co_consts if isinstance(constant, types.CodeType))
    return frozenset(mutation for code in inner for mutation in _mutations(code, known))


def _mutations(code: types.CodeType, outer: Mapping[str, Reach | None]) -> Iterator[Mutation]:
    known = dict(outer)
    yield from _of_steps(code, known)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _mutations(constant, known)


def _of_steps(code: types.CodeType, known: dict[str, Reach | None]) -> Iterator[Mutation]:
    """Follow the stack; ``known`` gains the names that this code binds to what it reaches."""
    stack: list[_Known] = []
    imported, from_list = "", False
    for step in dis.get_instructions(code):
        name, top = step.argval, stack[-1] if stack else None
        if step.is_jump_target:
            stack.clear()
            top = None
        found = _mutation(step, stack)
        if found is not None:
            yield found
        if step.opname == "IMPORT_NAME":
            imported, from_list = str(name), isinstance(top, str)
            _apply(stack, step, Reach("", imported if from_list or "." not in imported else imported.partition(".")[0]))
        elif step.opname == "IMPORT_FROM":
            inner = Reach("", imported, (name,)) if from_list else Reach("", f"{imported.rpartition('.')[0]}.{name}")
            stack.append(inner)
        elif step.opname in _BOUND:
            known[name] = top if isinstance(top, Reach) else None
            _apply(stack, step)
        else:
            _follow(stack, step, known)


def _mutation(step: dis.Instruction, stack: list[_Known]) -> Mutation | None:
    """What this instruction sets, if it is known where."""
    owner: _Known = None
    attribute = ""
    if step.opname in {"STORE_ATTR", "DELETE_ATTR"}:
        owner, attribute = _at(stack, 1), step.argval
    elif step.opname in {"LOAD_METHOD", "LOAD_ATTR"} and step.argval in CHANGING:
        owner = _at(stack, 1)
    elif step.opname in _ITEMS:
        owner = _at(stack, _ITEMS[step.opname])
    elif step.opname in _CALLS:
        called = [_at(stack, (step.arg or 0) + place) for place in (1, 2)]
        setter = next((one.name for one in called if isinstance(one, Reach) and not one.attributes), "")
        said = _at(stack, (step.arg or 0) - 1)
        if _SETTERS.get(setter) == step.arg and isinstance(said, str):
            owner, attribute = _at(stack, step.arg or 0), said
    return Mutation(owner, attribute) if isinstance(owner, Reach) else None


def _follow(stack: list[_Known], step: dis.Instruction, known: Mapping[str, Reach | None]) -> None:
    name, top = step.argval, _at(stack, 1)
    if step.opname in _GLOBAL:
        _apply(stack, step, known.get(name, Reach(name)))
    elif step.opname in _LOCAL:
        _apply(stack, step, known.get(name))
    elif step.opname == "LOAD_FAST_LOAD_FAST":
        stack.extend(known.get(part) for part in name)
    elif step.opname == "LOAD_CONST":
        words = name[0] if isinstance(name, tuple) and name and isinstance(name[0], str) else name
        _apply(stack, step, words if isinstance(words, str) else None)
    elif step.opname == "LOAD_ATTR" and isinstance(top, Reach):
        _apply(stack, step, top.then(name))
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
