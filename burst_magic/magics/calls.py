"""Parsed commands: one small frozen dataclass per verb.

Settings (``--workers``, ``--deadline`` …) stay text, already checked: ``config.load(call.settings)`` puts them above
the other layers. Everything else is parsed: durations are seconds, money is micro-dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, TypeVar

from burst_magic.dataclass import dataclass

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.plan.planner import Wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One verb with its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Help(Call):
    """``--help``: the text to show."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstCall(Call):
    """``%%burst``.

    Attributes:
        map: EXPR, ``x in xs`` or ``i, row in df.iterrows()``; empty: the cell runs once.
        setenv: (name, value); ``None`` stands for the kernel's value.
        settings: key of ``config.Settings`` -> text as typed.
    """

    map: str = ""
    out: str = ""
    wait: bool = False
    name: str = ""
    gpus: int = 0
    instance_type: str = ""
    include: tuple[str, ...] = ()
    setenv: tuple[tuple[str, str | None], ...] = field(default=(), repr=False)
    dry_run: bool = False
    sample: int = 0
    session: str = ""
    fresh: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def wishes(self) -> Wishes:
        """Options that only a cloud can satisfy, for ``plan``."""
        from burst_magic.plan.planner import Wishes

        return Wishes(gpus=self.gpus, instance_type=self.instance_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCall(Call):
    """``%burst_status``; ``json``: the facts as JSON."""

    id: str = ""
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectCall(Call):
    """``%burst_collect``; ``errors`` is raise, return or skip, ``pending`` keep or skip; ``json``: a JSON array."""

    id: str = ""
    nowait: bool = False
    timeout: float | None = None
    errors: str = "raise"
    pending: str = "keep"
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachCall(Call):
    """``%burst_attach``; ``key`` as typed: a key, a file that holds it, or - to be asked."""

    id: str = ""
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsCall(Call):
    """``%burst_sessions``; ``all``: not only the newest; ``json``: the rows as JSON; ``account``: what runs in the AWS
    account instead."""

    all: bool = False
    account: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsCall(Call):
    """``%burst_logs``; ``lines`` is ``-n``."""

    id: str = ""
    task: int | None = None
    worker: str = ""
    follow: bool = False
    lines: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleCall(Call):
    """``%burst_scale``."""

    workers: int
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendCall(Call):
    """``%burst_extend``: a later deadline (by seconds), a larger budget (micro-dollars), or both."""

    duration: float | None = None
    id: str = ""
    budget: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelCall(Call):
    """``%burst_cancel``."""

    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupCall(Call):
    """``%burst_cleanup``; ``blobs`` (terminal only) deletes values and environments that no session uses.

    Attributes:
        more: further IDs.
        finished: all sessions of the user's list whose jobs have ended.
        older_than: all of these without activity for so many seconds.
    """

    id: str = ""
    more: tuple[str, ...] = ()
    finished: bool = False
    older_than: float | None = None
    force: bool = False
    blobs: bool = False
    yes: bool = False

    @property
    def by_age(self) -> bool:
        """Sessions are chosen by what they are, not by ID."""
        return self.finished or self.older_than is not None

    @property
    def several(self) -> bool:
        """It may mean more than one session."""
        return bool(self.more) or self.by_age


@dataclass(frozen=True, slots=True, kw_only=True)
class CostCall(Call):
    """``%burst_cost``: the bill of a session, or the list of sessions; ``refresh``: ask AWS for prices.

    Attributes:
        all: the list, and not only of the newest.
        csv: a file to write the list to.
        json: the list as JSON.
    """

    id: str = ""
    all: bool = False
    csv: str = ""
    json: bool = False
    refresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaCall(Call):
    """``%burst_quota``; ``request``: ask AWS for a larger one, of ``wanted`` vCPU or what the settings need.

    Attributes:
        settings: ``launcher``, as typed.
        json: the quotas as JSON.
    """

    request: str = ""
    wanted: int | None = None
    json: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigCall(Call):
    """``%burst_config``: settings to write; empty to show them."""

    changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCall(Call):
    """``%burst_doctor``; ``json``: the findings as JSON."""

    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectCall(Call):
    """``burst inspect``."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchCall(Call):
    """``burst watch``."""

    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxCall(Call):
    """``burst sandbox``; ``port`` 0 takes any; ``demo`` runs a notebook on it and ends; ``empty``: without a stack."""

    port: int = 0
    demo: bool = False
    empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupCall(Call):
    """``%burst_setup``.

    Attributes:
        name: of the stack; "" for the one in the settings, or else ``burst``.
        allow_read, allow_write: URLs of buckets or folders in them.
        policy: ARNs.
        revoke: forget those of earlier calls.
    """

    plan: bool = False
    name: str = ""
    region: str = ""
    vpc: str = ""
    subnets: tuple[str, ...] = ()
    allow_read: tuple[str, ...] = ()
    allow_write: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    revoke: bool = False
    repository: bool = False
    no_trial: bool = False
    yes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TeardownCall(Call):
    """``%burst_teardown``; ``name`` as in setup."""

    name: str = ""
    region: str = ""
    yes: bool = False


AboutStack = TypeVar("AboutStack", bound="SetupCall | TeardownCall")


def of_stack(call: AboutStack, settings: Settings) -> AboutStack:
    """The call with the name of its stack: without ``--name``, whoever has a stack of their own means that one."""
    return replace(call, name=call.name or settings.aws.get("stack") or "burst")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCall(Call):
    """``burst image``: build and push; with ``prune``, delete old ones instead.

    Attributes:
        settings: the architecture, if given.
        base: the image below it; "" for the stock one.
        remote: build in CodeBuild.
        older_than: seconds after which ``prune`` deletes an image; ``all``: whatever their age.
        yes: don't ask.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    remote: bool = False
    prune: bool = False
    older_than: float = 30 * 86400.0
    all: bool = False
    yes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCall(Call):
    """``burst key show``."""

    id: str
