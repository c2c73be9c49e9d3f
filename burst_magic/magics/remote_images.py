"""``burst image --remote``: CodeBuild builds the image in the user's account, and pushes it from there."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from burst_magic.aws.ecr import RepositoryPlace
from burst_magic.errors import BurstError, LaunchError, OptionError
from burst_magic.units import format_size

if TYPE_CHECKING:
    from burst_magic.aws.clients import Clients
    from burst_magic.aws.codebuild import BuildFacts
    from burst_magic.config import Settings
    from burst_magic.environment.image import Recipe

_CONTAINER = "[Container] "  # begins the lines that CodeBuild adds of its own
_LAST = 8  # lines of the log in an error
_KIB = 1 << 10
_PRICES = "aws.amazon.com/codebuild/pricing"
_WORDS = {
    "QUEUED": "waiting for a machine",
    "PROVISIONING": "starting the machine",
    "DOWNLOAD_SOURCE": "fetching what to build",
    "INSTALL": "installing the packages",
    "PRE_BUILD": "logging in to the repository",
    "BUILD": "building the image",
    "POST_BUILD": "pushing the image",
}
_WAYS_OUT = {
    "QUEUED": "the account builds as much at a time as it may: try again later, or raise CodeBuild's quota",
    "DOWNLOAD_SOURCE": "the store must be the bucket of burst setup; burst setup --repository renews the build's role",
    "INSTALL": "CodeBuild must reach the package indexes; burst image builds here",
    "PRE_BUILD": "burst setup --repository renews the build's role",
    "POST_BUILD": "the build's role may push only to the repository of burst setup: check aws.repository",
}


def check(settings: Settings, base: str) -> None:
    """Raises what is missing in the settings, or what the build's role may not reach: of ECR, it knows one registry."""
    from burst_magic.environment.image_check import ImageAddress

    if not settings.aws.get("repository") or not settings.aws.get("build_project"):
        name = next(key for key in ("repository", "build_project") if not settings.aws.get(key))
        raise OptionError(
            "--remote needs a repository and a CodeBuild project in your account",
            context=f"aws.{name} is not set",
            way_out="burst setup --repository makes both, and costs nothing until something is built",
        )
    if not settings.store.startswith("s3://"):
        raise OptionError(
            "--remote needs a store in S3: CodeBuild fetches there what it builds",
            context=f"store is {settings.store}",
            way_out="burst setup sets it; or BURST_STORE=s3://bucket/prefix, the bucket that burst setup made",
        )
    place, below = map(RepositoryPlace.of, (settings.aws["repository"], ImageAddress.of(base).repository))
    if place is None:
        raise OptionError(
            "--remote pushes to a repository of ECR only",
            context=f"aws.repository is {settings.aws['repository']}",
            way_out="burst setup --repository makes one; burst image builds here and pushes to any",
        )
    if below is not None and below.server != place.server:
        raise OptionError(
            "--remote cannot pull the base image from another registry of ECR",
            context=base,
            way_out=f"push it to {place.server} first; burst image builds here",
        )


def build(made: Recipe, name: str, settings: Settings, *, tell: Callable[[str], object]) -> str:
    """Build and push; returns what was done, and what it cost.

    Args:
        made: what the image is made of.
        name: of the image, with its repository.
        settings: where; checked.
        tell: shows one line of progress.

    Raises:
        LaunchError: the build failed; says in which phase, what it cost, and shows the end of its log.
        Denied: a right is missing.
    """
    from burst_magic.aws.clients import Clients
    from burst_magic.aws.codebuild import SUCCEEDED, BuildProject
    from burst_magic.environment.image_context import zipped
    from burst_magic.protocol.wire import keys
    from burst_magic.session.own_store import open_own_store

    clients = Clients(region=settings.aws.get("region", ""))
    project, price = BuildProject(settings.aws["build_project"], clients=clients), _price(clients, made.target.arch)
    tell(f"CodeBuild builds it, in {settings.aws['build_project']}: {_announced(price)}")
    store, sources = open_own_store(settings.store, settings), zipped(made)
    key = keys.build(f"{made.tag}-{secrets.token_hex(4)}")  # two who build the same image do not delete each other's
    store.put(key, sources)
    tell(f"{format_size(max(1, len(sources) // _KIB // _KIB))} sent to {settings.store}/{key}")
    bucket, _, prefix = settings.store.removeprefix("s3://").partition("/")
    variables = {**made.arguments, "IMAGE": name, "REGISTRY": name.partition("/")[0]}
    log, goes_on = BuildLog(clients, tell), False
    try:
        started = project.start(
            "/".join(filter(None, (bucket, prefix.strip("/"), key))), arch=made.target.arch, variables=variables
        )
        try:
            tell(f"build {started.id}; it ends by itself after {started.limit / 60:.0f} minutes at the latest")
            ended = project.follow(started, log.show)
        except KeyboardInterrupt:
            project.stop(started.id)
            tell(f"the build was stopped; {_bill(price, None)}")
            raise
        except BurstError:
            goes_on = True
            tell(f"build {started.id} goes on; the next burst image --remote finds its image")
            raise
    finally:
        with contextlib.suppress(BurstError):  # the bucket deletes it after a day
            store.delete([] if goes_on else [key])
    if ended.status != SUCCEEDED:
        raise _failure(ended, log.lines, bill=_bill(price, ended.seconds))
    return f"{name} was built by CodeBuild and pushed; {_bill(price, ended.seconds)}"


class BuildLog:
    """Shows a build as it goes: its phases, and what it prints.

    Args:
        clients: make boto3 clients.
        tell: shows one line.

    Attributes:
        lines: the last ones that the build has printed.
    """

    def __init__(self, clients: Clients, tell: Callable[[str], object]) -> None:
        from burst_magic.aws.logs import Logs

        self._logs, self._tell = Logs(clients=clients), tell
        self._phases: set[str] = set()
        self._token = ""  # what the log was read up to
        self.lines: list[str] = []

    def show(self, build: BuildFacts) -> None:
        """Show what is new."""
        if build.log is not None:
            with contextlib.suppress(BurstError):  # a build without its log is a build
                printed, self._token = self._logs.after(build.log, self._token)
                lines = [line.rstrip() for line in printed if not line.startswith(_CONTAINER)]
                for line in lines:
                    self._tell(f"    {line}")
                self.lines = [*self.lines, *lines][-_LAST:]
        for phase in (*(each.name for each in build.phases), build.phase):  # some last less than the time between looks
            if phase in _WORDS and phase not in self._phases:
                self._phases.add(phase)
                self._tell(f"  {_WORDS[phase]}")


def _failure(build: BuildFacts, lines: list[str], *, bill: str) -> LaunchError:
    from burst_magic.aws.codebuild import SUCCEEDED

    failed = build.failed_phase
    phase = failed.name if failed else ""
    word = {"TIMED_OUT": "took too long", "STOPPED": "was stopped"}.get(build.status, "failed")
    what = f"while {_WORDS[phase]} ({phase})" if phase in _WORDS else f"({phase or build.status})"
    done = [f"{each.name} {each.seconds:.0f} s" for each in build.phases if each.status == SUCCEEDED and each.seconds]
    said = [failed.said if failed else "", *lines, f"before: {', '.join(done)}" if done else "", bill]
    place = f"{build.log.group}, {build.log.name}" if build.log else "the CodeBuild console"
    return LaunchError(
        f"the build {word} {what}",
        context=" | ".join(filter(None, said)),
        way_out=f"{_WAYS_OUT.get(phase, 'burst image --remote builds it anew')}. The whole log: {place}",
    )


def _price(clients: Clients, arch: str) -> float | None:
    """Dollars a minute; None if AWS does not tell."""
    from burst_magic.aws import build_prices

    try:
        return build_prices.minute(clients.region, arch)
    except BurstError:
        return None


def _announced(price: float | None) -> str:
    if price is None:
        return f"its price is not known here: {_PRICES}"
    return f"${price:g} a minute at list price; usually a few minutes"


def _bill(price: float | None, seconds: float | None) -> str:
    from burst_magic.aws.build_prices import billed_minutes

    if seconds is None or price is None:
        return f"its minutes are billed: {_PRICES}" if price is None else f"its minutes are billed at ${price:g}"
    minutes = billed_minutes(seconds)
    return f"{minutes} minute{'s' * (minutes > 1)} billed, about ${minutes * price:g} at list price"
