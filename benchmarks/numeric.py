"""Numeric tasks beside joblib, in one process and in turns: ``python -m benchmarks.numeric svd '{"n": 20}'``."""

from __future__ import annotations

import time

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


if __name__ == "__main__":
    serve({"svd": svd})
