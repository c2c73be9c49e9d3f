"""What is measured, what was promised, and the tables that come of it. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from benchmarks import uneven
from benchmarks.process import Figures
from burst_magic.testing.orders import ORDERS

OURS, PEERS = "benchmarks.ours", "benchmarks.peers"
LARGE, LOSSES, SCALE = "benchmarks.large", "benchmarks.losses", "benchmarks.scale"
NUMERIC = "benchmarks.numeric"
IDIOMS = "benchmarks.idioms"
CLOUD, BUSY, REPLAY = "benchmarks.cloud", "benchmarks.busy", "benchmarks.replay"
LISTED = "benchmarks.listed"
MEMORY_FOLDER = "/dev/shm"  # a tmpfs on Linux; rows that need it are left out elsewhere
Measured = Mapping[str, Sequence[Figures]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One case with its arguments.

    Attributes:
        folder: where its store lies.
        runs: so many at most, and none before them: it is long enough to have warmed up on the way. Where the case
            has a ``draw``, each run has another.
    """

    case: str
    module: str = OURS
    arguments: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""
    runs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: a figure of some work, and what the issue asks of it."""

    number: str
    label: str
    work: str
    value: Callable[[Figures], float]
    unit: str = "s"
    at_most: float | None = None
    at_least: float | None = None

    def verdict(self, value: float) -> str:
        """Whether a median keeps the promise; empty where there is none."""
        if self.at_most is not None:
            return "met" if value <= self.at_most else "**missed**"
        if self.at_least is not None:
            return "met" if value >= self.at_least else "**missed**"
        return ""

    def target(self) -> str:
        """The promise as text."""
        if self.at_most is not None:
            return f"≤ {shown(self.at_most, self.unit)}"
        return "" if self.at_least is None else f"≥ {shown(self.at_least, self.unit)}"


def _of(name: str, scale: float = 1.0) -> Callable[[Figures], float]:
    return lambda figures: figures[name] * scale


def _rate(figures: Figures) -> float:
    return figures["n"] / figures["wall"]


def _stretch(figures: Figures) -> float:
    return figures["wall"] / figures["ideal"]


def _a_task(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] / figures["n"]


def _queue(figures: Figures) -> float:
    return figures["queue"] / figures["ideal"]


def _beside(figures: Figures) -> float:
    return figures["wall"] / figures["theirs"]


def _rate_beside(figures: Figures) -> float:
    return figures["theirs"] / figures["wall"]


def _times_queue(figures: Figures) -> float:
    return figures["wall"] / figures["queue"]


def _faster(figures: Figures) -> float:
    return figures["raw"] / figures["wall"]


_ARRAY = {"megabytes": 200, "workers": 2}
_REQUESTS = {"n": 10_000, "workers": 8}
_UNEVEN = {"n": 1000, "workers": 8, "draw": 0}
_ORDERS = {"n": 40, "workers": 2, "draw": 0}
_DRAWS = {"constant": 2, "exponential": 3, "pareto": 5}
_MEGABYTES = {"n": 1000}
_SESSIONS = {"n": 200, "segments": 1000, "strays": 20_000}
WORKS: dict[str, Work] = {
    "load_ext": Work(case="load_ext"),
    "import": Work(case="imported"),
    "ready": Work(case="ready"),
    "cold": Work(case="cold", arguments={"imports": True}),
    "second": Work(case="cold", arguments={"imports": False}),
    "cold_s3": Work(case="cold_s3", arguments={"imports": True}),
    "second_s3": Work(case="cold_s3", arguments={"imports": False}),
    "noop_100k": Work(case="warm", arguments={"n": 100_000, "workers": 2}),
    "noop_10k": Work(case="warm", arguments={"n": 10_000, "workers": 2}),
    "naps": Work(case="warm", arguments={"n": 1000, "workers": 8, "nap_ms": 10}),
    "requests": Work(case="requests", arguments=_REQUESTS),
    "requests_folder": Work(case="requests", arguments={**_REQUESTS, "folders_rhythm": True}),
    "array": Work(case="array", arguments=_ARRAY),
    "array_memory": Work(case="array", arguments=_ARRAY, folder=MEMORY_FOLDER),
    **{
        f"uneven_{shape}": Work(case="uneven", arguments={"shape": shape, **_UNEVEN}, runs=3) for shape in uneven.SHAPES
    },
    **{
        f"uneven_requests_{shape}": Work(case="uneven_requests", arguments={"shape": shape, **_UNEVEN}, runs=1)
        for shape in uneven.SHAPES
    },
    **{f"order_{name}": Work(case="uneven", arguments={"shape": name, **_ORDERS}, runs=3) for name in ORDERS},
    **{
        f"joblib_order_{name}": Work(
            case="uneven", module=PEERS, arguments={"peer": "joblib", "shape": name, **_ORDERS}, runs=3
        )
        for name in ORDERS
    },
    "recovered_attached": Work(case="recovered", module=LOSSES, arguments={"attached": True}, runs=3),
    "recovered_alone": Work(case="recovered", module=LOSSES, arguments={"attached": False}, runs=3),
    "shared": Work(case="shared", module=LARGE, arguments={"megabytes": 200, "slots": 4}, runs=3),
    "moved": Work(case="moved", module=LARGE, arguments=_ARRAY, runs=1),
    "collected": Work(case="collected", module=LARGE, arguments={**_MEGABYTES, "s3": False}, runs=3),
    "collected_memory": Work(
        case="collected", module=LARGE, arguments={**_MEGABYTES, "s3": False}, folder=MEMORY_FOLDER, runs=3
    ),
    "collected_s3": Work(case="collected", module=LARGE, arguments={**_MEGABYTES, "s3": True}, runs=3),
    "million": Work(case="million", module=SCALE, arguments={"n": 1_000_000, "workers": 2}, runs=1),
    "changed": Work(case="changed", arguments={"size": 200_000, "n": 200}, runs=3),
    "changed_large": Work(case="changed", arguments={"size": 2_000_000, "n": 200}, runs=3),
    "attached": Work(case="attached", module=SCALE, arguments={"n": 100_000}, runs=5),
    "noops_beside": Work(case="noops", module=NUMERIC, arguments={"n": 100_000, "workers": 2, "rounds": 7}, runs=3),
    "svd": Work(case="svd", module=NUMERIC, arguments={"n": 20, "workers": 2}),
    "long_log": Work(case="long_log", module=SCALE, arguments={"n": 100_000}, folder=MEMORY_FOLDER, runs=5),
    "passed": Work(case="passed", module=LARGE, arguments={"megabytes": 400}, runs=3),
    "sessions_listed": Work(
        case="listed", module=LISTED, arguments={**_SESSIONS, "finished": True}, folder=MEMORY_FOLDER, runs=3
    ),
    "sessions_listed_open": Work(
        case="listed", module=LISTED, arguments={**_SESSIONS, "finished": False}, folder=MEMORY_FOLDER, runs=3
    ),
    "right": Work(case="right", module=IDIOMS, arguments={"n": 1000}, runs=1),
    "replayed": Work(case="replayed", module=REPLAY, arguments={"minutes": 120}, runs=1),
}
WORKS |= {  # on ECS, in the stand-in cloud
    "cloud_first": Work(case="first_claim", module=CLOUD),
    "cloud_setup": Work(case="first_minutes", module=CLOUD, runs=3),
    "cloud_asked": Work(case="asked", module=CLOUD, arguments={"workers": 100, "reply": 1.0}, runs=3),
    "cloud_asked_here": Work(case="asked", module=CLOUD, arguments={"workers": 100, "reply": 0.0}, runs=3),
    "cloud_noops": Work(case="counted", module=CLOUD, arguments={"n": 1000, "workers": 32, "seconds": 0.0}, runs=1),
    "cloud_naps": Work(case="counted", module=CLOUD, arguments={"n": 1000, "workers": 32, "seconds": 1.0}, runs=1),
    "cloud_watched": Work(case="watched", module=BUSY, arguments={"workers": 32, "pairs": 3, "seconds": 10.0}, runs=1),
}
_MINUTES = {
    "plan": "`burst setup --plan`",
    "stack": "the stack",
    "trial": "the trial: packages resolved and installed",
    "own": "the first burst of one's own, with numpy",
    "again": "the next session, which unpacks what the last one's first worker has packed",
}
_TARGETS = {"constant": 1.05, "exponential": 1.10, "pareto": 1.10}

ROWS = (
    Row(number="1", label="`%load_ext burst_magic`, IPython being up", work="load_ext", value=_of("wall", 1e3),
        unit="ms", at_most=100),
    Row(number="", label="`import burst_magic`", work="import", value=_of("wall", 1e3), unit="ms"),
    Row(number="", label="… and `burst.map` (loads at its first use)", work="import", value=_of("map", 1e3), unit="ms"),
    Row(number="2", label="worker started → its first claim", work="ready", value=_of("wall"), at_most=0.15),
    Row(number="", label="… → its first result published", work="ready", value=_of("published")),
    Row(number="3", label="first result from cold, every import included", work="cold", value=_of("wall"), at_most=0.5),
    Row(number="", label="first result of a new session, imports done", work="second", value=_of("wall"), at_most=0.2),
    Row(number="", label="… on S3 (moto on this machine), from cold, every import included", work="cold_s3",
        value=_of("wall"), at_most=1.2),
    Row(number="", label="… on S3, a new session, imports done", work="second_s3", value=_of("wall"), at_most=1.2),
    Row(number="4", label="100 000 no-op tasks, 2 warm workers", work="noop_100k", value=_rate, unit="/s",
        at_least=50_000),
    Row(number="", label="… our rate ÷ joblib's, in turns", work="noops_beside", value=_rate_beside, unit="×",
        at_least=0.5),
    Row(number="", label="10 000 no-op tasks, 2 warm workers", work="noop_10k", value=_rate, unit="/s"),
    Row(number="5", label="1 000 × 10 ms, 8 warm workers: makespan ÷ ideal", work="naps",
        value=_stretch, unit="×", at_most=1.10),
    Row(number="6", label="requests a task: 10 000 no-ops, 8 workers, S3; whole session", work="requests",
        value=_a_task("cold"), unit="requests", at_most=0.03),
    Row(number="", label="… the next job on its warm workers", work="requests", value=_a_task("warm"),
        unit="requests", at_most=0.03),
    Row(number="", label="… whole session, in a folder's rhythm", work="requests_folder", value=_a_task("cold"),
        unit="requests"),
    Row(number="7", label="200 MB captured, 16 tasks, 2 warm workers; store on disk", work="array", value=_of("wall"),
        at_most=0.6),
    Row(number="", label="… store on tmpfs", work="array_memory", value=_of("wall"), at_most=0.6),
    Row(number="", label="… the next burst that uses it (disk)", work="array", value=_of("again")),
    Row(number="", label="… bytes stored ÷ its size", work="array", value=_of("stored"), unit="×", at_most=1.001),
    Row(number="", label="… client's peak over base ÷ its size", work="array", value=_of("peak_ratio"), unit="×",
        at_most=1.2),
    Row(number="", label="at the same moment: one plain write of it to that disk", work="array", value=_of("written")),
    Row(number="", label="… to that tmpfs", work="array_memory", value=_of("written")),
    Row(number="", label="… its sha256", work="array", value=_of("hashed")),
    *(Row(number="8", label=f"1 000 naps of mean 0.1 s, {shape}, 8 warm workers: makespan ÷ ideal",
          work=f"uneven_{shape}", value=_stretch, unit="×", at_most=most) for shape, most in _TARGETS.items()),
    *(Row(number="", label=f"… {shape}: of a queue that costs nothing, one task at a time, in order",
          work=f"uneven_{shape}", value=_queue, unit="×") for shape in _TARGETS),
    *(Row(number="", label=f"… requests a task, {shape}, on S3, whole session", work=f"uneven_requests_{shape}",
          value=_a_task("cold"), unit="requests") for shape in _TARGETS),
    *(Row(number="", label=f"… makespan ÷ ideal in S3's rhythm, {shape}, workers' start included",
          work=f"uneven_requests_{shape}", value=_stretch, unit="×") for shape in _TARGETS),
    *(Row(number="8", label=f"40 naps of mean 0.2 s, {name}, 2 warm workers: makespan ÷ that queue's",
          work=f"order_{name}", value=_times_queue, unit="×", at_most=1.1) for name in ORDERS),
    *(Row(number="", label=f"… {name}: joblib's", work=f"joblib_order_{name}", value=_times_queue, unit="×")
      for name in ORDERS),
    Row(number="9", label="`kill -9` of a worker → its task's result, client attached", work="recovered_attached",
        value=_of("wall"), at_most=2.0),
    Row(number="", label="… with no client: in heartbeat intervals", work="recovered_alone", value=_of("intervals"),
        unit="×", at_most=5.0),
    Row(number="10", label="200 MB captured, 4 slots of a worker read it all: their memory (PSS) ÷ its size",
        work="shared", value=_of("pss"), unit="×", at_most=1.1),
    Row(number="", label="… the same counted without sharing (RSS)", work="shared", value=_of("rss"), unit="×"),
    Row(number="", label="… what a slot has alone after it changed one element", work="shared", value=_of("one"),
        unit="MB", at_most=2.0),
    Row(number="", label="… bytes sent to S3 ÷ its size, 2 workers of one machine", work="moved", value=_of("up"),
        unit="×", at_most=1.01),
    Row(number="", label="… bytes fetched from S3 ÷ its size", work="moved", value=_of("down"), unit="×",
        at_most=1.01),
    Row(number="11", label="1 000 results of 1 MB into a list ÷ ranged gets of the same bytes: speed; SeaweedFS",
        work="collected_s3", value=_faster, unit="×", at_least=0.7),
    Row(number="", label="… folder on disk", work="collected", value=_faster, unit="×", at_least=0.7),
    Row(number="", label="… folder on tmpfs", work="collected_memory", value=_faster, unit="×", at_least=0.7),
    Row(number="", label="… seconds: SeaweedFS", work="collected_s3", value=_of("wall")),
    Row(number="", label="… seconds: folder on disk", work="collected", value=_of("wall")),
    Row(number="", label="… client's peak ÷ the results' size: SeaweedFS", work="collected_s3",
        value=_of("peak_ratio"), unit="×"),
    Row(number="", label="… client's peak ÷ the results' size: folder", work="collected",
        value=_of("peak_ratio"), unit="×"),
    Row(number="12", label="1 000 000 no-op tasks from a generator, 2 warm workers", work="million", value=_rate,
        unit="/s"),
    Row(number="", label="… the call returns after", work="million", value=_of("submit")),
    Row(number="", label="… client's peak over base until all are done", work="million", value=_of("working_peak"),
        unit="MB", at_most=100),
    Row(number="", label="… attached anew: status", work="million", value=_of("status"), at_most=1.0),
    Row(number="", label="… read one after the other: client's peak over base", work="million",
        value=_of("read_peak"), unit="MB", at_most=100),
    Row(number="", label="… read one after the other", work="million", value=_of("read")),
    Row(number="", label="… read into a list: client's peak over base, the list included", work="million",
        value=_of("list_peak"), unit="MB"),
    Row(number="13", label="100 000 tasks published, two still running: attach and status", work="attached",
        value=_of("wall"), at_most=1.0),
    Row(number="", label="… each in a segment of its own, 100 000 to come: attach and status", work="long_log",
        value=_of("half_wall"), at_most=1.0),
    Row(number="", label="… its CPU alone", work="long_log", value=_of("half_client_cpu")),
    Row(number="", label="… the next status", work="long_log", value=_of("half_again")),
    Row(number="", label="… each in a segment of its own, finished: attach and status", work="long_log",
        value=_of("whole_wall"), at_most=1.0),
    Row(number="14", label="20 singular value decompositions of 700 × 700, 2 warm workers: our time ÷ joblib's",
        work="svd", value=_beside, unit="×", at_most=1.1),
    Row(number="", label="… seconds", work="svd", value=_of("wall")),
    Row(number="15", label="a captured list of 200 000 numbers that each task changes: a task", work="changed",
        value=_of("each", 1e3), unit="ms"),
    Row(number="", label="… loading it takes", work="changed", value=_of("load", 1e3), unit="ms"),
    Row(number="", label="… of 2 000 000: a task", work="changed_large", value=_of("each", 1e3), unit="ms"),
    Row(number="", label="… loading it takes", work="changed_large", value=_of("load", 1e3), unit="ms"),
    Row(number="16", label="right numbers: loops as people write them, sequential against 1 and 2 workers",
        work="right", value=lambda figures: 100 * figures["right"] / figures["n"], unit="%", at_least=100),
    Row(number="", label="… how many there are", work="right", value=_of("n"), unit="loops", at_least=30),
    Row(number="17", label="ECS: RunTask → first claim, less what the stand-in cloud makes a task wait",
        work="cloud_first", value=_of("wall"), at_most=0.5),
    Row(number="", label="… of this the stand-in: RunTask, its network, logs, its container's start",
        work="cloud_first", value=_of("cloud")),
    Row(number="", label="… and the worker: its container started → first claim", work="cloud_first",
        value=_of("worker")),
    Row(number="", label="… RunTask → first result published, less the same", work="cloud_first",
        value=_of("published")),
    Row(number="18", label="ECS: 100 workers asked for, each answer taking 1 s", work="cloud_asked",
        value=_of("wall"), at_most=6.0),
    Row(number="", label="… each answer taking what the stand-in needs", work="cloud_asked_here", value=_of("wall"),
        at_most=6.0),
    Row(number="19", label="ECS: calls of the control plane a task, 1 000 no-ops on 32 workers", work="cloud_noops",
        value=_a_task("session ecs"), unit="requests"),
    Row(number="", label="… requests to S3 a task (starburst: 195)", work="cloud_noops", value=_a_task("session s3"),
        unit="requests"),
    Row(number="", label="… calls of the control plane a task, 1 000 × 1 s", work="cloud_naps",
        value=_a_task("session ecs"), unit="requests"),
    Row(number="", label="… requests to S3 a task, 1 000 × 1 s", work="cloud_naps", value=_a_task("session s3"),
        unit="requests"),
    Row(number="20", label="ECS: a busy cell of 10 s while 32 workers are followed and shown: slower by",
        work="cloud_watched", value=_of("slower"), unit="%", at_most=2.0),
    Row(number="21", label="the first five minutes on AWS, in the stand-in: setup, trial, a burst of one's own",
        work="cloud_setup", value=_of("wall"), at_most=300.0),
    *(Row(number="", label=f"… {label}", work="cloud_setup", value=_of(phase)) for phase, label in _MINUTES.items()),
    Row(number="22", label="two hours of 4 frames a second, 1 000 tasks: the kernel's memory grows by", work="replayed",
        value=_of("kernel"), unit="%", at_most=5.0),
    Row(number="", label="… the page's heap, everything in the panel open", work="replayed",
        value=_of("JSHeapUsedSize"), unit="%", at_most=5.0),
    Row(number="", label="… its nodes", work="replayed", value=_of("Nodes"), unit="%", at_most=5.0),
    Row(number="", label="… its listeners", work="replayed", value=_of("JSEventListeners"), unit="%", at_most=5.0),
    Row(number="23", label="200 finished sessions of 1 000 segments, 20 000 stray files: `burst_magic.sessions()`",
        work="sessions_listed", value=_of("wall"), at_most=1.0),
    Row(number="", label="… `burst sessions --all`", work="sessions_listed", value=_of("command")),
    Row(number="", label="… each cancelled before its last task: `burst_magic.sessions()`", work="sessions_listed_open",
        value=_of("wall")),
    Row(number="24", label="2 results of 400 MB, one worker: its supervisor's peak memory", work="passed",
        value=_of("result"), unit="MB", at_most=100),
    Row(number="", label="… 600 MB printed without a line's end: the slot's peak grows by", work="passed",
        value=_of("slot"), unit="MB", at_most=100),
    Row(number="", label="… its supervisor's peak", work="passed", value=_of("line"), unit="MB", at_most=100),
)  # fmt: skip

PEER_NAMES = ("multiprocessing", "concurrent.futures", "loky", "joblib", "dask", "ipyparallel")
PEER_WORKS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "import": ("imported", {}),
    "cold": ("cold", {}),
    "noop_10k": ("warm", WORKS["noop_10k"].arguments),
    "naps": ("warm", WORKS["naps"].arguments),
    "array": ("array", _ARRAY),
    **{f"uneven_{shape}": ("uneven", {"shape": shape, **_UNEVEN}) for shape in uneven.SHAPES},
}
_POOLS = {"concurrent.futures", "joblib", "dask", "ipyparallel"}  # who is asked for the long ones
# Where a peer is not run: measured once on the same kind of machine, at rest. import s, cold s, no-op tasks/s at
# N=10k, makespan ÷ ideal, 200 MB s.
REFERENCE: dict[str, tuple[str, ...]] = {
    "multiprocessing": (".03", ".051", "30 000", "1.06", "6.5–7.1"),
    "concurrent.futures": (".04", ".047", "8 700", "1.03", "6.5–7.1"),
    "loky": (".04", ".198", "9 300", "1.06", "6.5–7.1"),
    "joblib": (".18", ".549", "214 000", "1.03", ".32"),
    "dask": (".34", "1.02", "553", "1.41", ".67"),
    "ipyparallel": (".19", "6.9", "437", "2.08", ".94"),
    "ray": (".29", "2.8", "1 700", "2.81", ".14"),
    "parsl": (".34", "7.1", "981", "1.31", "–"),
    "lithops localhost v2": (".11", ".85", "–", "237", "–"),
}


def peer_works(peer: str) -> dict[str, Work]:
    """The same work for a peer: name -> work."""
    return {
        f"{peer}:{name}": Work(
            module=PEERS, case=case, arguments={"peer": peer, **arguments}, runs=_peer_runs(case, arguments)
        )
        for name, (case, arguments) in PEER_WORKS.items()
        if case != "uneven" or peer in _POOLS
    }


def _peer_runs(case: str, arguments: Mapping[str, Any]) -> int | None:
    """Those that take long are run as often as ours where a single draw says nothing."""
    if case != "uneven":
        return None
    return _DRAWS["pareto"] if arguments["shape"] == "pareto" else 1


def tiny(work: Work) -> Work:
    """The same with next to nothing to do: for trying the plumbing."""
    most = {"n": 20, "megabytes": 2, "workers": 2, "rounds": 1, "minutes": 8, "segments": 20, "strays": 20}
    small = {key: min(value, most[key]) if key in most else value for key, value in work.arguments.items()}
    return replace(work, arguments=small)


def shown(value: float, unit: str) -> str:
    """A figure with its unit, to three digits or so."""
    if unit == "/s":
        return f"{round(value, -2):,.0f}/s".replace(",", "\u2009")
    if unit == "ms":
        return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
    if unit == "MB":
        return f"{value:.1f} MB" if value < 10 else f"{value:.0f} MB"
    if unit in {"%", "loops"}:
        return f"{value:.1f} %" if unit == "%" else f"{value:.0f}"
    digits = 4 if unit == "requests" else 2 if unit == "×" or value >= 1 else 3
    return f"{value:.{digits}f}" + {"s": " s", "×": " ×", "requests": ""}[unit]


def targets_table(measured: Measured) -> list[str]:
    """Our own rows as Markdown."""
    lines = [
        "| | what | target | median | min – max | CPU s: client + supervisors + slots | others' cores | |",
        "|" + "---|" * 8,
    ]
    for row in ROWS:
        if runs := measured.get(row.work):
            values = sorted(row.value(figures) for figures in runs)
            middle = median(values)
            spread = f"{shown(values[0], row.unit)} – {shown(values[-1], row.unit)}"
            cells = (
                row.number,
                row.label,
                row.target(),
                f"**{shown(middle, row.unit)}**",
                spread,
                _cpu(runs),
                _others(runs),
            )
            lines.append(f"| {' | '.join(cells)} | {row.verdict(middle)} |")
    return lines + _against_dask(measured)


def _against_dask(measured: Measured) -> list[str]:
    mine, theirs = measured.get("noop_10k"), measured.get("dask:noop_10k")
    if not mine or not theirs:
        return []
    ratio = median(f["wall"] for f in theirs) / median(f["wall"] for f in mine)
    verdict = "met" if ratio >= 20 else "**missed**"
    return [f"| 4 | 10 000 no-op tasks: our rate ÷ dask's | ≥ 20 × | **{ratio:.0f} ×** | | | | {verdict} |"]


def _cpu(runs: Sequence[Figures]) -> str:
    names = ("client_cpu", "children_cpu", "slots_cpu")
    if not all("client_cpu" in figures for figures in runs):
        return ""
    return " + ".join(f"{median(figures.get(name, 0.0) for figures in runs):.2f}" for name in names)


def _others(runs: Sequence[Figures]) -> str:
    """How many cores somebody else had, of those that the figures were measured on."""
    return f"{median(run['others'] for run in runs):.1f}" if all("others" in run for run in runs) else ""


def peers_table(measured: Measured) -> list[str]:
    """All of us side by side; in parentheses the figures of another day, for those that did not run."""
    head = [
        "",
        "import s",
        "cold, import included s",
        "no-op tasks/s, N=10k",
        "naps ÷ ideal",
        "200 MB s",
        "peak ÷ size",
        *(f"{shape} ÷ ideal" for shape in uneven.SHAPES),
    ]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    if measured.get("noop_10k"):
        mine = _peer_cells(measured, {name: name for name in PEER_WORKS})
        lines.append(f"| **burst_magic** | {' | '.join(mine)} |")
    for peer, reference in REFERENCE.items():
        names = {name: f"{peer}:{name}" for name in PEER_WORKS}
        ran = any(measured.get(name) for name in names.values())
        cells = _peer_cells(measured, names) if ran else [*(f"({text})" for text in reference), *[""] * 4]
        lines.append(f"| {peer} | {' | '.join(cells)} |")
    return lines


def _peer_cells(measured: Measured, names: Mapping[str, str]) -> list[str]:
    columns: tuple[tuple[str, Callable[[Figures], float], str], ...] = (
        ("import", lambda figures: figures["wall"] + figures.get("map", 0.0), ""),
        ("cold", _of("wall"), ""),
        ("noop_10k", _rate, "/s"),
        ("naps", _stretch, ""),
        ("array", _of("wall"), ""),
        ("array", _of("peak_ratio"), ""),
        *((f"uneven_{shape}", _stretch, "") for shape in uneven.SHAPES),
    )
    cells = []
    for name, value, unit in columns:
        runs = measured.get(names.get(name, ""))
        middle = median(map(value, runs)) if runs else None
        cells.append("–" if middle is None else shown(middle, unit).removesuffix("/s") if unit else f"{middle:.2f}")
    return cells


def requests_table(measured: Measured) -> list[str]:
    """What the requests of row 6 are."""
    runs = measured.get("requests")
    if not runs:
        return []
    kinds = sorted({name.partition(" ")[2] for figures in runs for name in figures if " " in name})
    lines = ["| request | whole session | next job |", "|---|---|---|"]
    for kind in kinds:
        cold, warm = (median(figures.get(f"{when} {kind}", 0) for figures in runs) for when in ("cold", "warm"))
        lines.append(f"| {kind} | {cold:g} | {warm:g} |")
    return lines
