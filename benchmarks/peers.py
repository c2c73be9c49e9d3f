"""The same work done by others: ``python -m benchmarks.peers CASE '{"peer": "joblib"}'``.

Each peer is used as its first example does, without batching by hand. A peer is a function that starts it with so many
workers and gives ``run(function, items) -> list`` and ``stop()``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import uneven as times
from benchmarks.process import Figures, forget_peak, memory, serve, timed

MB = 1_000_000
Run = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
Started = tuple[Run, Callable[[], object]]


def same(item: int) -> int:
    """A task that does nothing."""
    return item


def nap(_: int) -> None:
    """A task of ten milliseconds. Not every peer brings a function's globals along."""
    import time

    time.sleep(0.01)


def _multiprocessing(workers: int) -> Started:
    import multiprocessing

    pool = multiprocessing.Pool(workers)
    return pool.map, pool.terminate


def _futures(workers: int) -> Started:
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(workers)
    return lambda function, items: list(pool.map(function, items)), pool.shutdown


def _loky(workers: int) -> Started:
    from loky import get_reusable_executor

    pool = get_reusable_executor(max_workers=workers)
    return lambda function, items: list(pool.map(function, items)), lambda: pool.shutdown(wait=True)


def _joblib(workers: int) -> Started:
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=workers)
    return lambda function, items: list(pool(delayed(function)(item) for item in items)), lambda: None


def _dask(workers: int) -> Started:
    from dask.distributed import Client

    client = Client(n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50)
    return lambda function, items: list(client.gather(client.map(function, items, pure=False))), client.shutdown


def _ipyparallel(workers: int) -> Started:
    import ipyparallel

    cluster = ipyparallel.Cluster(n=workers, log_level=50)
    client = cluster.start_and_connect_sync(activate=False)
    view = client.load_balanced_view()

    def stop() -> None:
        client.close()
        cluster.stop_cluster_sync()

    return lambda function, items: list(view.map_sync(function, items)), stop


PEERS = {
    "multiprocessing": _multiprocessing,
    "concurrent.futures": _futures,
    "loky": _loky,
    "joblib": _joblib,
    "dask": _dask,
    "ipyparallel": _ipyparallel,
}
_MODULES = {"dask": "dask.distributed"}


def imported(*, peer: str) -> Figures:
    """Its import."""
    import importlib

    figures: Figures = {}
    with timed(figures):
        importlib.import_module(_MODULES.get(peer, peer))
    return figures


def cold(*, peer: str) -> Figures:
    """Started and one result back, its import included."""
    figures: Figures = {}
    with timed(figures):
        run, stop = PEERS[peer](2)
        assert run(same, range(2))[0] == 0
    _stop(stop)
    return figures


def warm(*, peer: str, n: int, workers: int, nap_ms: int = 0) -> Figures:
    """``n`` tasks on workers that have worked before."""
    run, stop = PEERS[peer](workers)
    task = nap if nap_ms else same
    run(task, range(100))
    figures: Figures = {"n": n, "ideal": n * nap_ms / 1000 / workers}
    with timed(figures):
        assert len(run(task, range(n))) == n
    _stop(stop)
    return figures


def uneven(*, peer: str, shape: str, n: int, workers: int, draw: int) -> Figures:
    """``n`` naps of a shape on workers that have worked before."""
    run, stop = PEERS[peer](workers)
    run(same, range(100))
    seconds = times.naps(shape, n, draw, workers=workers)
    figures: Figures = {"n": n, "ideal": times.ideal(seconds, workers), "queue": times.queue(seconds, workers)}
    with timed(figures):
        assert len(run(times.nap, seconds)) == n
    _stop(stop)
    return figures


def array(*, peer: str, megabytes: int, workers: int) -> Figures:
    """An array that 16 tasks use, handed to the function as the peer has it: joblib maps it, dask has it scattered."""
    import numpy as np

    run, stop = PEERS[peer](workers)
    run(same, range(workers))
    base = memory("VmRSS")
    forget_peak()
    big = np.arange(megabytes * MB // 8, dtype=np.float64)
    figures: Figures = {}
    with timed(figures):
        assert len(_with_array(peer, run, big)) == 16
    figures["peak_ratio"] = (memory("VmHWM") - base) / megabytes
    _stop(stop)
    return figures


def pick(big: Any, item: int) -> float:
    """One element of an array that is an argument."""
    return float(big[item * (len(big) // 16)])


def _with_array(peer: str, run: Run, big: Any) -> list[float]:
    from functools import partial

    if peer == "joblib":
        from joblib import Parallel, delayed

        return list(Parallel(n_jobs=2)(delayed(pick)(big, item) for item in range(16)))
    if peer == "dask":
        from dask.distributed import get_client

        client = get_client()
        there = client.scatter(big, broadcast=True)
        return list(client.gather([client.submit(pick, there, item) for item in range(16)]))
    return run(partial(pick, big), range(16))


def _stop(stop: Callable[[], object]) -> None:
    """What goes wrong while a peer ends is no figure."""
    with contextlib.suppress(Exception):
        stop()


if __name__ == "__main__":
    serve({"imported": imported, "cold": cold, "warm": warm, "array": array, "uneven": uneven})
