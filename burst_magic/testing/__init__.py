"""The test kit for burst_magic and its plug-ins. Names load on first use.

* ``check_launcher(MyLauncher)``, ``check_store(open_mine)``: the contracts of a launcher and of a store.
* ``SimulatedCloud``: a launcher that is late, partial and forgetful, over real processes or simulated ones.
* ``Sandbox``: AWS on 127.0.0.1, whose ECS tasks are real processes; needs the extra ``sandbox``.
* ``Clock``: time that is turned by hand. ``play(seed)``: a simulated world, with the laws watched over.
"""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "LAUNCHER_CHECKS": "launcher_contract",
    "check_launcher": "launcher_contract",
    "STORE_CHECKS": "store_contract",
    "check_store": "store_contract",
    "ContractBroken": "rehearsal",
    "Rehearsal": "rehearsal",
    "CloudWeather": "cloud",
    "LocalMachines": "cloud",
    "SimulatedCloud": "cloud",
    "Sandbox": "sandbox",
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
