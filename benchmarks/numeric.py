"""Tasks beside joblib, in one process and in turns: ``python -m benchmarks.numeric svd '{"n": 20}'``."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.process import Figures, serve


def decompose(item: int) -> float:
    """The largest singular value of a matrix of 700 × 700: most of the time is BLAS's."""
    import numpy as np

    return float(np.linalg.svd(np.random.default_rng(item).random((700, 700)), compute_uv=True)[1][0])


def svd(*, n: int, workers: int) -> Figures:
    """``n`` decompositions on workers that have worked before; ``theirs`` is joblib's time for the same."""
    from joblib import Parallel, delayed

    import burst_magic as burst

    session = burst.map(decompose, range(workers), workers=workers).wait()
    pool = Parallel(n_jobs=workers)
    pool(delayed(decompose)(item) for item in range(workers))
    began = time.perf_counter()
    ours = list(burst.map(decompose, range(n), session=session).results())
    between = time.perf_counter()
    theirs = pool(delayed(decompose)(item) for item in range(n))
    ended = time.perf_counter()
    session.cleanup()
    assert ours == theirs
    return {"n": n, "wall": between - began, "theirs": ended - between}


def same(item: int) -> int:
    """A task that does nothing."""
    return item


def noops(*, n: int, workers: int, rounds: int) -> Figures:
    """``n`` no-ops on workers that have worked before, in turns; medians of so many rounds, after one that is not
    counted. ``theirs`` is joblib's time for the same."""
    from joblib import Parallel, delayed

    import burst_magic as burst

    session = burst.map(same, range(100), workers=workers).wait()
    pool, wall, theirs = Parallel(n_jobs=workers), [], []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        ours = list(burst.map(same, range(n), session=session).results())
        between = time.perf_counter()
        others = list(pool(delayed(same)(item) for item in range(n)))
        theirs.append(time.perf_counter() - between)
        wall.append(between - began)
        assert ours == others
    session.cleanup()
    return {"n": n, "wall": median(wall[1:]), "theirs": median(theirs[1:])}


if __name__ == "__main__":
    serve({"svd": svd, "noops": noops})
