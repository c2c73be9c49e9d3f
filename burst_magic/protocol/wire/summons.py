"""The birth of a worker that no pipe reaches: variables of its environment, which name the key and don't contain it."""

from __future__ import annotations

from collections.abc import Mapping

from burst_magic.dataclass import dataclass
from burst_magic.errors import LaunchError

PREFIX = "BURST_BIRTH_"  # of the variables; no task sees them
GRACE = 30.0  # seconds from SIGTERM to SIGKILL unless a launcher gives another number: the default of ECS and Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Summons:
    """What a launcher puts into the environment of its worker: ``BURST_BIRTH_STORE``, ``…_SESSION`` and so on.

    Attributes:
        fingerprint: of the session's key (``sign.fingerprint``), which is an object in the store.
        launcher: name of the launcher.
        number: the worker's place in the fleet, where the launcher knows it.
        bundle: sha256 of what stage 0 fetches; "" where the worker is in the image.
        deadline: seconds since the epoch; 0: none. The watchdog starts no worker without one.
        grace: seconds that the engine leaves a worker between SIGTERM and SIGKILL. A task definition that sets another
            ``stopTimeout`` sets ``BURST_BIRTH_GRACE`` beside it.
    """

    store: str
    sid: str
    token: str
    fingerprint: str
    launcher: str
    number: int | None = None
    bundle: str = ""
    deadline: float = 0.0
    grace: float = GRACE

    @classmethod
    def found(cls, variables: Mapping[str, str]) -> Summons:
        """From the variables of a process; raises ``LaunchError`` where one is missing."""
        said = {name.removeprefix(PREFIX): value for name, value in variables.items() if name.startswith(PREFIX)}
        try:
            return cls(
                store=said["STORE"],
                sid=said["SESSION"],
                token=said["TOKEN"],
                fingerprint=said["FINGERPRINT"],
                launcher=said["LAUNCHER"],
                number=int(said["NUMBER"]) if said.get("NUMBER") else None,
                bundle=said.get("BUNDLE", ""),
                deadline=float(said.get("DEADLINE") or 0),
                grace=float(said.get("GRACE") or GRACE),
            )
        except (KeyError, ValueError) as error:
            raise LaunchError(f"the environment of this worker is incomplete: {PREFIX}… {error}") from None

    def variables(self) -> dict[str, str]:
        """The inverse of ``found``."""
        said = {
            "STORE": self.store,
            "SESSION": self.sid,
            "TOKEN": self.token,
            "FINGERPRINT": self.fingerprint,
            "LAUNCHER": self.launcher,
            "NUMBER": "" if self.number is None else str(self.number),
            "BUNDLE": self.bundle,
            "DEADLINE": f"{self.deadline:.3f}" if self.deadline else "",
            "GRACE": "" if self.grace == GRACE else f"{self.grace:g}",
        }
        return {f"{PREFIX}{name}": value for name, value in said.items() if value}
