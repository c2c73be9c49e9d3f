"""What the kernel's environment holds, and which part of it workers need.

Left out is what only the notebook's side needs: Jupyter, burst_magic and their dependencies, unless a cell imports it
or another package asks for it. What packages ask for is read for the workers' platform: what is only for macOS stays
here, and what is only for Linux is found when the lock is resolved.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from burst_magic.dataclass import dataclass
from burst_magic.environment.uv import Target

_FORMAT = 2  # of the cached facts
# Roots of the notebook's side, and installers. What else asks for one of them keeps it.
_NOTEBOOK = re.compile(
    r"(jupyter(lab)?(-.*)?|notebook(-shim)?|nb(classic|client|convert|dime|format)|ipykernel|ipython|ipywidgets"
    r"|widgetsnbextension|qtconsole|voila|debugpy|burst-magic|pip|setuptools|wheel|uv)\Z"
)
_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
_COMPILED = (".so", ".pyd", ".dylib", ".dll")
_MODULE = re.compile(r"(?P<top>[^/.]+)(?:/.*)?(?:\.py|\.so|\.pyd)\Z")


class PackageOrigin(str, Enum):
    """Where a package was installed from."""

    INDEX = "index"  # as far as can be told: by name and version
    HERE = "here"  # a folder, a file or a repository, which a worker cannot install from
    EDITABLE = "editable"  # its sources are sent with the cells that import them


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One installed distribution.

    Attributes:
        name: normalized, as ``scikit-learn``.
        info: its metadata's folder.
        needs: normalized names of installed packages that it asks for on the workers' platform.
        asks: the same on this platform.
        lacks: requirements for the workers' platform that are not installed here.
        modules: top-level names that it installs.
        pure: no compiled code.
    """

    name: str
    version: str
    origin: PackageOrigin
    info: str
    needs: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    pure: bool = True

    @property
    def pin(self) -> str:
        """The requirement for exactly this one."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The packages of an environment, by name.

    Attributes:
        roots: names that no other package asks for.
    """

    packages: Mapping[str, Package]
    roots: frozenset[str]

    def wanted(self, imported: Collection[str], always: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Names of the packages that workers get, and of those among them that the cell cannot do without.

        Args:
            imported: top-level modules that the cell and its helpers import.
            always: names that workers get in any case, where they are installed.
        """
        by_module = {module: package.name for package in self.packages.values() for module in package.modules}
        named = {by_module.get(module, canonicalize_name(module)) for module in imported} | set(always)
        needed = self._closure(named & self.packages.keys())
        notebook = {name for name in self.roots if _NOTEBOOK.match(name)}
        others = self._closure(self.roots - notebook) | needed
        reached = self._closure(self.roots, here=True)
        circles = self.packages.keys() - others - reached  # they ask for each other, so none is a root
        return frozenset(others | self._closure(circles)), frozenset(needed)

    def _closure(self, names: Iterable[str], *, here: bool = False) -> set[str]:
        """With whatever they ask for on the workers' platform, or on both."""
        found, todo = set[str](), list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                package = self.packages[name]
                todo.extend((*package.needs, *package.asks) if here else package.needs)
        return found


def read(target: Target, cache: Path, *, path: Iterable[str] | None = None) -> Installed:
    """The packages of this interpreter, or of other folders. In milliseconds unless one was installed or removed.

    Args:
        target: the workers' platform.
        cache: a folder for what was found out before.
        path: instead of ``sys.path``.
    """
    places = list(dict.fromkeys(sys.path if path is None else path))
    facts = [_FORMAT, target.python, target.arch, *_listed(places)]
    kept = cache / f"installed-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.json"
    try:
        said = json.loads(kept.read_text(encoding="utf-8"))
        packages = [Package(**{**each, "origin": PackageOrigin(each["origin"])}) for each in said["packages"]]
        return Installed(packages={each.name: _tupled(each) for each in packages}, roots=frozenset(said["roots"]))
    except (OSError, ValueError, TypeError, KeyError):  # not there yet, or of another version
        found = _examine(places, target)
    cache.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(f".{os.getpid()}")
    values = [dataclasses.asdict(each) for each in found.packages.values()]
    draft.write_text(json.dumps({"packages": values, "roots": sorted(found.roots)}), encoding="utf-8")
    draft.replace(kept)
    return found


def _tupled(package: Package) -> Package:
    return dataclasses.replace(
        package,
        needs=tuple(package.needs),
        asks=tuple(package.asks),
        lacks=tuple(package.lacks),
        modules=tuple(package.modules),
    )


def _listed(places: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    """The metadata folders, which change when anything is installed."""
    for place in places:
        try:
            with os.scandir(place or ".") as entries:
                inside = sorted((each.name, each.stat().st_mtime_ns) for each in entries if "-info" in each.name[-10:])
        except OSError:
            continue
        yield from ((place, name, time) for name, time in inside)


def _examine(places: list[str], target: Target) -> Installed:
    found: dict[str, importlib.metadata.Distribution] = {}
    for each in importlib.metadata.distributions(path=places):
        name = each.metadata["Name"]
        if name:
            found.setdefault(canonicalize_name(name), each)
    there, here = _environment(target), {name: str(value) for name, value in default_environment().items()}
    needs, asked_here = _requirements(found, there), _requirements(found, here)
    asked = {need for each in (needs, asked_here) for name, some in each.items() for need in some if need != name}
    packages = {}
    for name, each in found.items():
        mine = needs[name]
        files = [str(file) for file in each.files or ()]
        packages[name] = Package(
            name=name,
            version=each.version,
            origin=_origin(each),
            info=str(_info(each)),
            needs=tuple(sorted(need for need in mine if need in found)),
            asks=tuple(sorted(need for need in asked_here[name] if need in found)),
            lacks=tuple(sorted(text for need, text in mine.items() if need not in found)),
            modules=tuple(sorted(_modules(each, files))),
            pure=bool(files) and not any(file.endswith(_COMPILED) for file in files),
        )
    return Installed(packages=packages, roots=frozenset(found.keys() - asked))


def _environment(target: Target) -> dict[str, str]:
    """What requirements are asked about the workers' platform."""
    linux = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"}
    machine = {"platform_machine": _MACHINES[target.arch], "python_version": target.python}
    return {name: str(value) for name, value in default_environment().items()} | linux | machine


def _requirements(
    found: Mapping[str, importlib.metadata.Distribution], environment: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Name -> (name -> requirement) that holds in the environment."""
    parsed = {name: list(_parsed(each)) for name, each in found.items()}
    extras: dict[str, set[str]] = {name: {""} for name in found}
    needs: dict[str, dict[str, str]] = {}
    changed = True
    while changed:
        changed = False
        for name, requirements in parsed.items():
            holds = [each for each in requirements if _holds(each, extras[name], environment)]
            needs[name] = {canonicalize_name(each.name): _plain(each) for each in holds}
            for each in holds:
                more = each.extras - extras.get(canonicalize_name(each.name), each.extras)
                if more:
                    extras[canonicalize_name(each.name)] |= more
                    changed = True
    return needs


def _parsed(distribution: importlib.metadata.Distribution) -> Iterator[Requirement]:
    for text in distribution.requires or ():
        try:
            yield Requirement(text)
        except InvalidRequirement:
            continue  # of an old package; pip ignores it too


def _holds(requirement: Requirement, extras: Collection[str], environment: Mapping[str, str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras)


def _plain(requirement: Requirement) -> str:
    """Without its marker, which holds."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _origin(distribution: importlib.metadata.Distribution) -> PackageOrigin:
    installer = (distribution.read_text("INSTALLER") or "").strip()
    said = distribution.read_text("direct_url.json")
    if not said or installer == "conda":  # conda notes the folder on the machine that built the package
        return PackageOrigin.INDEX
    try:
        facts: dict[str, Any] = json.loads(said)
        editable = bool(facts.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return PackageOrigin.HERE
    return PackageOrigin.EDITABLE if editable else PackageOrigin.HERE


def _info(distribution: importlib.metadata.Distribution) -> Path:
    """The metadata's folder."""
    return Path(str(getattr(distribution, "_path", "")))


def _modules(distribution: importlib.metadata.Distribution, files: Iterable[str]) -> set[str]:
    said = (distribution.read_text("top_level.txt") or "").split()
    inside = {match["top"] for file in files if (match := _MODULE.match(file))}
    return {*said, *inside}
