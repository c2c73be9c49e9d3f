"""The test kit for burst_magic and its plug-ins. Names load on first use.

* ``check_launcher(MyLauncher)``: the contract of a launcher.
* ``SimulatedCloud``: a launcher that is late, partial and loses answers, over real or simulated processes.
* ``Clock``: a manual clock. ``play(seed)``: run a simulated world and check the laws.
"""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "LAUNCHER_CHECKS": "launcher_contract",
    "check_launcher": "launcher_contract",
    "ContractBroken": "rehearsal",
    "Rehearsal": "rehearsal",
    "CloudWeather": "cloud",
    "LocalMachines": "cloud",
    "SimulatedCloud": "cloud",
    "Clock": "clock",
    "play": "simulator",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the table is the list


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
