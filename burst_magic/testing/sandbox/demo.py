"""The demonstration: a notebook on the sandbox, with a Spot interruption and a killed kernel in the middle of it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from burst_magic import config
from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError
from burst_magic.testing.sandbox.lives import EcsStopCode, SandboxTask, TaskState
from burst_magic.testing.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from nbclient import NotebookClient
    from nbformat import NotebookNode

NOTEBOOK = Path(__file__).with_name("demo.ipynb")
_CELL_SECONDS = 300  # a cell takes seconds; this only ends a hang
_PATIENCE = 120.0  # seconds until the fleet works, or a task has gone
_LAG = 0.1  # seconds between two looks
_TROUBLE = "trouble"  # tag of the cell after which it comes
_PRIVATE = {
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "jupyter/config",
    "JUPYTER_DATA_DIR": "jupyter/data",
    "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What came of it.

    Attributes:
        shown: what the cells tagged ``result`` show.
        tasks: of ECS, all stopped.
        wall: seconds, kernels included.
    """

    shown: tuple[str, ...]
    tasks: tuple[SandboxTask, ...]
    interrupted: SandboxTask
    wall: float

    def __str__(self) -> str:
        """For a terminal."""
        others = len([task for task in self.tasks if task.id != self.interrupted.id])
        providers = ", ".join(sorted({task.provider for task in self.tasks}))
        states = ", ".join(sorted({task.state.value for task in self.tasks}))
        facts = (
            f"tasks of ECS           {len(self.tasks)} on {providers}: 1 interrupted, {others} others; all {states}\n"
            "kernels                2: the first was killed while workers ran\n"
            f"wall time              {self.wall:.1f} s, kernels included"
        )
        return "\n\n".join([*(text.rstrip() for text in self.shown), facts])


def play(cloud: Sandbox, *, home: Path, out: Path, tell: Callable[[str], None]) -> DemoReport:
    """Execute the notebook and write it to ``out``, also when a cell fails.

    Args:
        cloud: a sandbox of its own.
        home: folder for what kernels write beside it.
        out: the executed notebook.
        tell: shows one line of progress.

    Raises:
        BurstError: a cell failed, or nbclient is not installed.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        way_out = "pip install 'burst_magic[sandbox]'"
        raise BurstError("the demonstration needs nbclient", context=str(error), way_out=way_out) from error
    began = time.monotonic()
    notebook: NotebookNode = cast("Any", nbformat).read(NOTEBOOK, as_version=4)  # it has types, but for these two
    client = NotebookClient(
        notebook,
        timeout=_CELL_SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # it warns of TCP without encryption; this is the loopback
        resources={"metadata": {"path": str(home)}},
        store_widget_state=True,
        coalesce_streams=True,
    )
    try:
        interrupted = asyncio.run(_Demo(cloud, client, _environ(cloud, home), tell).run())
    except CellExecutionError as error:
        raise BurstError("a cell of the demonstration failed", context=str(error)) from error
    finally:
        cast("Any", nbformat).write(notebook, out)
    tasks = tuple(cloud.wait_for(task.id, TaskState.STOPPED, within=_PATIENCE) for task in cloud.tasks())
    return DemoReport(shown=_shown(notebook), tasks=tasks, interrupted=interrupted, wall=time.monotonic() - began)


class _Demo:
    """One run."""

    def __init__(
        self, cloud: Sandbox, client: NotebookClient, environ: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        self._cloud = cloud
        self._client = client
        self._environ = environ
        self._tell = tell

    async def run(self) -> SandboxTask:
        """All cells; the interrupted task."""
        cells = list(enumerate(self._client.nb.cells))
        at = next(index for index, cell in cells if _TROUBLE in cell.metadata.get("tags", ())) + 1
        async with self._client.async_setup_kernel(env=dict(self._environ), cleanup_kc=True):
            await self._execute(cells[:at])
            interrupted = await self._trouble()
            await self._kill_kernel()
        async with self._client.async_setup_kernel(env=dict(self._environ), cleanup_kc=True):
            self._tell("a new kernel attaches by the job's name")
            await self._execute(cells[at:])
        return interrupted

    async def _execute(self, cells: list[tuple[int, NotebookNode]]) -> None:
        for index, cell in cells:
            await self._client.async_execute_cell(cell, index)

    async def _trouble(self) -> SandboxTask:
        """Interrupt a task that works, when all have come up and there are results."""
        await self._until(lambda: all(task.pid is not None for task in self._cloud.tasks()) and self._has_results())
        task = next(task for task in self._cloud.tasks() if task.state is TaskState.RUNNING)
        self._tell(f"{len(self._cloud.tasks())} tasks run on {task.provider}; Spot takes {task.id[:8]} back")
        self._cloud.interrupt(task.id)
        await self._until(lambda: self._cloud.task(task.id).is_over)
        ending = self._cloud.task(task.id).ending
        if ending is None or ending.code is not EcsStopCode.SPOT:
            raise BurstError("the task ended before Spot took it back", context=str(ending))
        return self._cloud.task(task.id)

    async def _kill_kernel(self) -> None:
        self._tell("the notebook's kernel is killed; the workers go on")
        manager = self._client.km
        provisioner = None if manager is None else manager.provisioner
        if provisioner is None:
            raise BurstError("the notebook has no kernel")
        await provisioner.send_signal(signal.SIGKILL)
        await provisioner.wait()

    def _has_results(self) -> bool:
        s3, stack = self._cloud.server.clients.of("s3"), self._cloud.stack
        listed = s3.list_objects_v2(Bucket=stack.bucket, Prefix="burst/sessions/")
        return any("/results/" in entry["Key"] for entry in listed.get("Contents", ()))

    async def _until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE
        while not await asyncio.to_thread(condition):
            if time.monotonic() > end:
                states = ", ".join(sorted({task.state.value for task in self._cloud.tasks()}))
                raise BurstError("the workers don't get on", context=f"tasks are {states or 'none'}")
            await asyncio.sleep(_LAG)


def _environ(cloud: Sandbox, home: Path) -> dict[str, str]:
    """The kernels' environment: the sandbox, and nothing of the user's settings."""
    kept = {name: value for name, value in config.environment().items() if not name.startswith(("BURST_", "AWS_"))}
    private = {name: str(home / folder) for name, folder in _PRIVATE.items()}
    for folder in _PRIVATE.values():
        (home / folder).mkdir(parents=True, exist_ok=True)
    return {**kept, **private, **cloud.environ()}


def _shown(notebook: NotebookNode) -> tuple[str, ...]:
    return tuple(
        text
        for cell in notebook.cells
        if "result" in cell.metadata.get("tags", [])
        for output in cell.outputs
        if (text := output.get("text") or output.get("data", {}).get("text/plain", ""))
    )
