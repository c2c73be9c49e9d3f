"""Randomness that ``--seed`` does not reach, as far as `--dry-run` can detect it.

Workers seed `random`, numpy and torch for each task, and every captured generator. Out of reach are generators kept by
installed modules, libraries with their state in C, and the system's entropy.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from burst_magic.payload.declared import module_of
from burst_magic.payload.mentions import of_code

_LIBRARIES = {
    "cupy": "call cupy.random.seed(…) in the cell",
    "cv2": "call cv2.setRNGSeed(…) in the cell",
    "mxnet": "call mxnet.random.seed(…) in the cell",
    "paddle": "call paddle.seed(…) in the cell",
    "polars": "give seed= to sample(…) and shuffle(…), or call polars.set_random_seed(…) in the cell",
    "rpy2": "call R's set.seed(…) in the cell",
    "tensorflow": "call tensorflow.random.set_seed(…) in the cell",
}
_SELDOM = frozenset({"cv2", "polars"})  # libraries with many other uses
_DRAWS = frozenset({"sample", "shuffle", "kmeans", "randu", "randn", "theRNG"})  # … and the parts of them that draw
_ENTROPY = frozenset({
    "SystemRandom", "urandom", "getrandom", "uuid1", "uuid4", "token_bytes", "token_hex", "token_urlsafe", "randbelow",
})  # fmt: skip
_SEED_NUMBA = "; call np.random.seed(…) in a compiled function"
_CODE = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)


def out_of_reach(modules: Iterable[str], words: Iterable[str], values: Mapping[str, object]) -> list[str]:
    """One sentence per detected source of randomness that cannot be seeded.

    Args:
        modules: installed modules imported by the cell and the captured code.
        words: names and attributes that the code uses.
        values: captured values by name.
    """
    tops = {name.partition(".")[0] for name in modules}
    found = [(path, "is a random generator kept by an installed module", "") for path in _kept(tops)]
    drawing = tops if _DRAWS & set(words) else tops - _SELDOM
    found += [(top, "uses its own random state", f"; {way}") for top, way in _LIBRARIES.items() if top in drawing]
    found += [(name, "uses Numba's own random state", _SEED_NUMBA) for name in _compiled(values)]
    found += [(word, "uses the system's entropy", "") for word in sorted(_ENTROPY & set(words))]
    return [f"{what} {draws}: --seed does not reach it{way}" for what, draws, way in found]


def _kept(tops: set[str]) -> Iterator[str]:
    """Generators among the attributes of these modules and of their objects."""
    seen = _common()
    for name in sorted(name for name in sys.modules if name.partition(".")[0] in tops - {"numpy", "torch"}):
        module = sys.modules[name]
        for path, value in _attributes(name, module):
            if _is_generator(value) and id(value) not in seen:
                seen.add(id(value))
                yield path


def _attributes(name: str, module: types.ModuleType) -> Iterator[tuple[str, object]]:
    for key, value in list(getattr(module, "__dict__", {}).items()):
        yield f"{name}.{key}", value
        if not isinstance(value, _CODE) and isinstance(inner := getattr(value, "__dict__", None), dict):
            yield from ((f"{name}.{key}.{part}", held) for part, held in list(inner.items()))


def _common() -> set[int]:
    """The generators that each task seeds."""
    inner = getattr(sys.modules.get("random"), "_inst", None)
    mtrand: Any = sys.modules.get("numpy.random.mtrand")
    rand = getattr(mtrand, "_rand", None)
    return {id(inner), id(rand), id(getattr(rand, "_bit_generator", None))}


def _is_generator(value: object) -> bool:
    kinds: list[type] = [sys.modules["_random"].Random] if "_random" in sys.modules else []
    if (numpy := sys.modules.get("numpy.random")) is not None:
        kinds += [numpy.Generator, numpy.RandomState, numpy.BitGenerator]
    entropy = getattr(sys.modules.get("random"), "SystemRandom", ())
    return isinstance(value, tuple(kinds)) and not isinstance(value, entropy)


def _compiled(values: Mapping[str, object]) -> Iterator[str]:
    """Numba-compiled functions that draw."""
    for name, value in values.items():
        if module_of(type(value)).partition(".")[0] == "numba":
            function = getattr(value, "py_func", None)
            if isinstance(function, types.FunctionType) and "random" in of_code(function.__code__).words:
                yield name
