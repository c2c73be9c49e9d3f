"""Resolves the kernel's packages for the workers' platform, before anything is billed.

Every package keeps its version. What has no wheel for the platform, or comes from where no worker can get it, is packed
as it is installed here if it is pure Python. Otherwise the cell is refused if it needs it; if not, the package is left
out, and said.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from pathlib import Path

from burst_magic.dataclass import dataclass
from burst_magic.environment.bundle import Archive
from burst_magic.environment.indexes import Indexes
from burst_magic.environment.installed import Installed, PackageOrigin
from burst_magic.environment.uv import Target, UvError, refusal, run
from burst_magic.environment.wheels import can_pack, pack
from burst_magic.errors import PlanError
from burst_magic.protocol.wire.lock import Lock

_AT_ONCE = 4  # runs of uv
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_FROM = re.compile(r"\s*# from (?P<url>\S+)")
_FORMAT = 1
_NAMED = 6  # packages in a message, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A lock, and what is said about it.

    Attributes:
        lock: the document.
        wheels: files that it names.
        left_out: packages that workers don't get, each with the reason.
    """

    lock: Lock
    wheels: tuple[Archive, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """What is known so far.

    Attributes:
        pinned: names that come from an index.
        packed: names that are sent as wheels.
        missing: names that workers cannot have -> why.
    """

    pinned: set[str]
    packed: dict[str, Archive] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Locker:
    """Makes locks for one platform.

    Args:
        target: the platform.
        installed: what is here.
        indexes: where packages come from.
        folder: where locks and wheels are kept.
        installer: sha256 of the archive with uv, for the document.
        tell: hears of what takes seconds, before it begins.
    """

    target: Target
    installed: Installed
    indexes: Indexes
    folder: Path
    installer: str
    tell: Callable[[str], object] = lambda _: None

    def lock(self, wanted: Collection[str], needed: Collection[str]) -> Resolved:
        """Resolve these packages.

        Args:
            wanted: their names.
            needed: those of them that the cell cannot do without.

        Raises:
            PlanError: a needed one has no wheel there, or no index answers.
        """
        packages = self.installed.packages
        local = {name for name in wanted if packages[name].origin is not PackageOrigin.INDEX}
        attempt = _Attempt(pinned=set(wanted) - local)
        for name in sorted(local):
            self._send(attempt, name, f"{packages[name].pin} was installed from a folder or a repository")
        kept = self.folder / f"lock-{self._digest(attempt)}.json"
        resolved = _read(kept, attempt.packed.values())
        if resolved is None:
            if attempt.pinned:
                count = len(attempt.pinned)
                some = f"{count} package{'s' * (count > 1)}"
                self.tell(f"resolving {some} for {self._platform}, once until one changes")
            resolved = self._resolve(attempt)
            _keep(kept, resolved)
        refused = [why for name, why in resolved[2] if name in needed]
        if refused:
            raise self._refusal(refused)
        lock, wheels, missing = resolved
        return Resolved(lock=lock, wheels=wheels, left_out=tuple(why for _, why in missing))

    def _refusal(self, reasons: list[str]) -> PlanError:
        more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
        return PlanError(
            f"{len(reasons)} package{'s' * (len(reasons) > 1)} that this cell needs cannot be installed on workers",
            context="; ".join(reasons[:_NAMED]) + more,
            way_out="--env image:URI with an image that has them"
            + (", or another --arch" if self.target.arch == "arm64" else "")
            + "; nothing was started",
        )

    def _digest(self, attempt: _Attempt) -> str:
        packages = self.installed.packages
        facts = [
            _FORMAT,
            self.target.python,
            self.target.arch,
            [packages[name].pin for name in sorted(attempt.pinned)],
            sorted(each.pin for each in packages.values()),
            sorted((name, archive.sha256) for name, archive in attempt.packed.items()),
            sorted(attempt.missing.items()),
            self.indexes.facts,
            self.installer,
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def _send(self, attempt: _Attempt, name: str, why: str) -> None:
        """Pack a package as it is here, or say that workers cannot have it."""
        package = self.installed.packages[name]
        attempt.pinned.discard(name)
        if can_pack(package):
            attempt.packed[name] = pack(package, self.folder / "wheels")
        else:
            attempt.missing[name] = f"{why}, and it is compiled for this machine"

    def _resolve(self, attempt: _Attempt) -> tuple[Lock, tuple[Archive, ...], tuple[tuple[str, str], ...]]:
        try:
            text = self._compile(attempt)
        except UvError as error:
            if error.unreachable:
                raise refusal(error, "the environment of the workers") from None
            for name in self._without_wheel(attempt.pinned):
                self._send(attempt, name, f"{self.installed.packages[name].pin} has no wheel for {self._platform}")
            text = self._again(attempt)
        closed = [name for name, url in _sources(text).items() if not self.indexes.is_open(url)]
        for name in closed:
            if name in self.installed.packages:
                self._send(
                    attempt, name, f"{self.installed.packages[name].pin} is from an index that asks for credentials"
                )
        if closed:
            text = self._again(attempt)
        return self._document(attempt, text), tuple(attempt.packed.values()), tuple(sorted(attempt.missing.items()))

    @property
    def _platform(self) -> str:
        return f"Python {self.target.python} on Linux {self.target.arch}"

    def _again(self, attempt: _Attempt) -> str:
        try:
            return self._compile(attempt)
        except UvError as error:
            raise refusal(error, "the environment of the workers") from None

    def _compile(self, attempt: _Attempt) -> str:
        """What uv resolves: these versions, and whatever they need on the platform that is not installed here."""
        packages = self.installed.packages
        lines = [packages[name].pin for name in sorted(attempt.pinned)]
        # Whatever a package asks of another one, that one keeps its version; what workers cannot have nobody asks for.
        overrides = [each.pin for name, each in sorted(packages.items()) if name not in attempt.missing]
        sent = {*attempt.packed, *attempt.missing}
        overrides = [pin for pin in overrides if pin.partition("==")[0] not in sent]
        overrides += [f"{name} ; sys_platform == 'never'" for name in sorted(sent)]
        lines += sorted({text for name in attempt.packed for text in packages[name].lacks})
        if not lines:
            return ""
        with tempfile.TemporaryDirectory(prefix="burst-lock-") as place:
            file = Path(place) / "overrides.txt"
            file.write_text("\n".join(overrides), encoding="utf-8")
            return run(
                *("pip", "compile", "-", "--quiet", "--override", str(file), *self.target.options),
                *("--generate-hashes", "--emit-index-annotation", "--no-annotate", "--no-header"),
                stdin="\n".join(lines),
                environ=self.indexes.here,
            )

    def _without_wheel(self, names: Iterable[str]) -> list[str]:
        """Those of the packages that have none, each asked for by itself; all of them, not the first only."""

        def lacks(name: str) -> bool:
            try:
                run(
                    *("pip", "compile", "-", "--quiet", "--no-deps", *self.target.options),
                    stdin=self.installed.packages[name].pin,
                    environ=self.indexes.here,
                )
            except UvError as error:
                if error.unreachable:
                    raise refusal(error, "the environment of the workers") from None
                return True
            return False

        ordered = sorted(names)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [name for name, lacking in zip(ordered, pool.map(lacks, ordered), strict=True) if lacking]

    def _document(self, attempt: _Attempt, text: str) -> Lock:
        # A user's configuration may let uv write options, too, such as addresses of indexes with their passwords.
        lines = [line for line in text.splitlines() if not line.startswith("--") and not line.lstrip().startswith("#")]
        versions = dict(_versions(text))
        sent = {name: self.installed.packages[name].version for name in attempt.packed}
        return Lock(
            python=self.target.python,
            platform=self.target.arch,
            requirements="\n".join(lines),
            wheels=tuple((archive.path.name, archive.sha256) for _, archive in sorted(attempt.packed.items())),
            indexes=self.indexes.there,
            installer=self.installer,
            versions=tuple(sorted({**versions, **sent}.items())),
        )


def _versions(text: str) -> list[tuple[str, str]]:
    found = map(_PINNED.match, text.splitlines())
    return [(match["name"], match["version"]) for match in found if match]


def _sources(text: str) -> Mapping[str, str]:
    """Name -> address of the index that it came from."""
    sources, name = {}, ""
    for line in text.splitlines():
        if match := _PINNED.match(line):
            name = match["name"]
        elif match := _FROM.match(line):
            sources[name] = match["url"]
    return sources


_Kept = tuple[Lock, tuple[Archive, ...], tuple[tuple[str, str], ...]]


def _keep(path: Path, resolved: _Kept) -> None:
    lock, wheels, missing = resolved
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "lock": lock.to_bytes().decode(),
        "wheels": [(archive.sha256, str(archive.path)) for archive in wheels],
        "missing": missing,
    }
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(said), encoding="utf-8")
    draft.replace(path)


def _read(path: Path, packed: Iterable[Archive]) -> _Kept | None:
    """What was kept, if all of its wheels are still there."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        lock = Lock.from_bytes(said["lock"].encode())
        wheels = tuple(Archive(sha256=sha256, path=Path(place)) for sha256, place in said["wheels"])
        missing = tuple((name, why) for name, why in said["missing"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (lock, wheels, missing) if all(each.path.exists() for each in (*wheels, *packed)) else None
