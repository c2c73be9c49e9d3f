"""The stand-in cloud as a whole: start it, use it as AWS, change its weather, look at its tasks, end it."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from burst_magic.aws.template import Whereabouts
from burst_magic.errors import BurstError
from burst_magic.testing.sandbox.lives import EcsStopCode, Ending, SandboxTask, TaskState
from burst_magic.testing.sandbox.weather import SandboxWeather
from burst_magic.testing.servers import Keys, Server

if TYPE_CHECKING:
    from burst_magic.testing.sandbox.aws_call import AskedRight, AwsCall
    from burst_magic.testing.sandbox.builds import BuildRecord, Builds
    from burst_magic.testing.sandbox.engine import Engine
    from burst_magic.testing.sandbox.limits import Limits
    from burst_magic.testing.sandbox.quota_api import QuotaDesk
    from burst_magic.testing.sandbox.stack import SandboxStack

_WORKER = ("python", "-m", "burst_magic.worker.watchdog")
_STOP_TIMEOUT = 10  # seconds from SIGTERM to SIGKILL
_PATIENCE = 30.0  # seconds that killed tasks may take to be over


class Sandbox:
    """AWS on 127.0.0.1, in this process; a context manager.

    Args:
        home: folder for its configuration, users' data and containers' files.
        port: to listen on; 0 for any.
        region: that it pretends to be.
        weather: at the start.
        command: of the worker's container in the task definition.
        stop_timeout: of that container, in seconds.
        now: seconds since the epoch, for the times that ECS tells.
        heard: called with each request, before it is answered and in a thread of its own: to count requests, or to
            answer as late as a distant server.
        empty: make no stack; its user may run ``burst setup``.

    Attributes:
        endpoint: its address, ``http://127.0.0.1:PORT``.
        stack: what it has made for itself: bucket, cluster, roles, user.
        administrator: may do everything.
        judged: called with each right that a request needs, before it is judged; exchange it at any time.
        builder: podman or buildah, with which CodeBuild's docker builds images; "": it only looks whether there is
            everything to build.
    """

    endpoint: str
    stack: SandboxStack
    administrator: Server
    judged: Callable[[AskedRight], object]
    builder: str

    def __init__(
        self,
        *,
        home: Path,
        port: int = 0,
        region: str = "us-east-1",
        weather: SandboxWeather | None = None,
        command: Sequence[str] = _WORKER,
        stop_timeout: int = _STOP_TIMEOUT,
        now: Callable[[], float] = time.time,
        heard: Callable[[AwsCall], object] = lambda _: None,
        empty: bool = False,
    ) -> None:
        self._home = home
        self._port = port
        self._region = region
        self._first_weather = weather or SandboxWeather()
        self._command = tuple(command)
        self._stop_timeout = stop_timeout
        self._now = now
        self._heard = heard
        self.judged = lambda _: None
        self._empty = empty
        self.builder = ""
        self._exits = contextlib.ExitStack()
        self._engine: Engine
        self._limits: Limits
        self._desk: QuotaDesk
        self._builds: Builds
        self._user: Keys

    def __enter__(self) -> Sandbox:  # noqa: PYI034 - Self needs Python 3.11, or a dependency
        """Start it, with a stack and a user in it. Raises ``BurstError`` without the extra."""
        _check_installed()
        with contextlib.ExitStack() as exits:
            self._start(exits)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill its tasks and end it."""
        self._exits.close()

    def _start(self, exits: contextlib.ExitStack) -> None:
        from burst_magic.testing.sandbox.agent import AgentTools
        from burst_magic.testing.sandbox.apps import Apps
        from burst_magic.testing.sandbox.builds import Builds
        from burst_magic.testing.sandbox.cfn_stacks import Stacks
        from burst_magic.testing.sandbox.engine import Engine
        from burst_magic.testing.sandbox.front import Door, Front
        from burst_magic.testing.sandbox.limits import Limits
        from burst_magic.testing.sandbox.network import Network
        from burst_magic.testing.sandbox.policies import enforced
        from burst_magic.testing.sandbox.quota_api import QuotaDesk
        from burst_magic.testing.sandbox.roles import Roles
        from burst_magic.testing.sandbox.s3_api import free
        from burst_magic.testing.sandbox.stack import build, empty, furnish

        account = f"{secrets.randbelow(10**11) + 10**11}"
        exits.enter_context(enforced())
        exits.callback(free, account)
        roles = Roles(account, self._region, judged=self._tell_judged)
        network = Network(account, self._region)
        self._limits = Limits(self._first_weather, clock=time.monotonic)
        door = Door(self._port)
        exits.callback(door.close)
        self.endpoint = door.endpoint
        tools = AgentTools(
            roles=roles,
            network=network,
            logs=_once_each(lambda role: self._server(roles.assume(role, task="awslogs")).clients.of("logs")),
            weather=lambda: self._limits.weather,
            endpoint=door.endpoint,
            region=self._region,
            folder=self._home / "containers",
            now=self._now,
        )
        self._engine = Engine(tools=tools, limits=self._limits)
        self._desk = QuotaDesk(limits=self._limits, used=self._engine.used, now=self._now)
        stacks = Stacks(Whereabouts(account=account, region=self._region))
        self._builds = Builds(
            tools,
            as_role=lambda role: self._server(roles.assume(role, task="codebuild")),
            account=account,
            builder=lambda: self.builder,
        )
        apps = Apps(
            engine=self._engine,
            roles=roles,
            network=network,
            desk=self._desk,
            stacks=stacks,
            builds=self._builds,
            clients=lambda access, headers: self._of(roles.keys_of(access, headers)).clients,
        )
        front = Front(
            apps,
            account=account,
            engine=self._engine,
            roles=roles,
            limits=self._limits,
            heard=self._heard,
            judged=self._tell_judged,
        )
        door.open(front)
        exits.callback(stacks.close)
        exits.callback(self._engine.close, within=_PATIENCE)
        exits.callback(self._builds.close)
        self.administrator = self._server(roles.administrator())
        furnish(self.administrator)
        self.stack = (
            empty(self.administrator, account=account)
            if self._empty
            else build(self.administrator, command=self._command, stop_timeout=self._stop_timeout)
        )
        self._user = self.stack.user
        if not self._empty:
            self._write_config()
        self._write_credentials()

    def _tell_judged(self, right: AskedRight) -> None:
        self.judged(right)

    def _of(self, keys: Keys) -> Server:
        """Somebody's view; the administrator's clients are there already."""
        return self.administrator if keys.access == self.administrator.keys.access else self._server(keys)

    def _server(self, keys: Keys) -> Server:
        return Server(endpoint=self.endpoint, keys=keys, pid=0, region=self._region)

    def _write_config(self) -> None:
        import tomlkit

        folder = self._home / "config"
        folder.mkdir(parents=True, exist_ok=True)
        document = tomlkit.document()
        document["env"] = "image"  # its workers have what this process has: nothing is downloaded
        document["aws"] = self.aws
        (folder / "config.toml").write_text(tomlkit.dumps(document), encoding="utf-8")

    def _write_credentials(self) -> None:
        folder = self._home / "aws"
        folder.mkdir(parents=True, exist_ok=True)
        keys = f"aws_access_key_id = {self._user.access}\naws_secret_access_key = {self._user.secret}\n"
        draft = folder / "credentials.new"
        draft.touch(mode=0o600)
        draft.write_text(f"[default]\n{keys}", encoding="utf-8")
        draft.replace(folder / "credentials")  # a reader sees the old file or the new one
        (folder / "config").write_text(f"[default]\nregion = {self._region}\n", encoding="utf-8")

    @property
    def aws(self) -> dict[str, str]:
        """The ``[aws]`` table of config.toml."""
        return dict(self.stack.aws)

    @property
    def server(self) -> Server:
        """The sandbox as its user sees it: keys, environment, clients."""
        return self._server(self._user)

    def environ(self, *, files: bool = False) -> dict[str, str]:
        """What to export to use it as AWS.

        Args:
            files: name AWS's files with the user's keys, which ``renew`` rewrites, instead of the keys.
        """
        said = self.server.environ
        if files:
            folder = self._home / "aws"
            said = {
                "AWS_ENDPOINT_URL": self.endpoint,
                "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
                "AWS_CONFIG_FILE": str(folder / "config"),
            }
        return {
            **said,
            "BURST_CONFIG_DIR": str(self._home / "config"),
            "BURST_DATA_DIR": str(self._home / "data"),
            **({"BURST_STORE": self.stack.store} if self.stack.store else {}),
        }

    @property
    def weather(self) -> SandboxWeather:
        """What it is like; exchange it at any time."""
        return self._limits.weather

    @weather.setter
    def weather(self, weather: SandboxWeather) -> None:
        self._limits.weather = weather

    def expire(self) -> None:
        """The user's keys are over: everything answers that the token is expired until ``renew``."""
        self.weather = replace(self.weather, expired=self.weather.expired | {self._user.access})

    def renew(self) -> None:
        """Give the user new keys, as ``aws sso login`` would, and write them into AWS's file."""
        iam = self.administrator.clients.of("iam")
        iam.delete_access_key(UserName=self.stack.user_name, AccessKeyId=self._user.access)
        made = iam.create_access_key(UserName=self.stack.user_name)["AccessKey"]
        self._user = Keys(access=made["AccessKeyId"], secret=made["SecretAccessKey"])
        self._write_credentials()

    def tasks(self) -> list[SandboxTask]:
        """Every task so far as it is now, oldest first."""
        return [life.task for life in self._engine.lives]

    def builds(self) -> list[BuildRecord]:
        """Every build of CodeBuild so far, oldest first."""
        return list(self._builds.all)

    def task(self, ident: str) -> SandboxTask:
        """One task by id or ARN; raises ``KeyError``."""
        return self._engine.life(ident).task

    def wait_for(self, ident: str, state: TaskState, *, within: float = 60.0) -> SandboxTask:
        """The task once it has reached a state or a later one; raises ``TimeoutError``."""
        return self._engine.life(ident).wait_for(state, within=within)

    def interrupt(self, ident: str) -> None:
        """Take a Spot task back: SIGTERM, and SIGKILL after its stop timeout."""
        self._end(ident, Ending(code=EcsStopCode.SPOT, reason="Your Spot Task was interrupted."))

    def retire(self, ident: str) -> None:
        """Retire the host of a task."""
        reason = "ECS is performing maintenance on the underlying infrastructure hosting the task."
        self._end(ident, Ending(code=EcsStopCode.RETIRED, reason=reason))

    def out_of_memory(self, ident: str) -> None:
        """Kill a task's container as the kernel does when its memory is used up: at once, exit code 137."""
        killed = "OutOfMemoryError: Container killed due to memory usage"
        ending = Ending(
            code=EcsStopCode.EXITED, reason="Essential container in task exited", at_once=True, of_container=killed
        )
        self._end(ident, ending)

    def decide_quota(self, status: str) -> None:
        """AWS's answer to the latest request for a larger quota: ``DENIED``, or ``APPROVED``, which raises it."""
        self._desk.decide(self._desk.requests[-1].ident, status)

    def _end(self, ident: str, ending: Ending) -> None:
        self._engine.life(ident).end(ending)


def _once_each(make: Callable[[str], Any]) -> Callable[[str], Any]:
    """What ``make`` has made for a name: a client of boto3 takes a third of a second."""
    made: dict[str, Any] = {}
    lock = threading.Lock()

    def of(name: str) -> Any:
        with lock:
            if name not in made:
                made[name] = make(name)
            return made[name]

    return of


def _check_installed() -> None:
    try:
        import flask  # noqa: F401 - asked for its presence
        import moto  # noqa: F401 - the same
    except ImportError as error:
        raise BurstError(
            "the sandbox is not installed",
            context=str(error),
            way_out="pip install 'burst_magic[sandbox]'; in a clone: pip install '.[sandbox]' or make cloud-demo",
        ) from error
