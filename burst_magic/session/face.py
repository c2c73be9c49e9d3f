"""``burst.map``, ``burst.attach``, ``burst.sessions``: the magics' functions in Python."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from burst_magic import config, launchers
from burst_magic.errors import OptionError
from burst_magic.protocol.wire.keys import is_label
from burst_magic.session import attach as attaching
from burst_magic.session.differing import about_packages
from burst_magic.session.machine import this_machine
from burst_magic.session.outlook import price_list, room
from burst_magic.session.session import Session
from burst_magic.session.submit import Labels, checked_image, environment_of, submit

if TYPE_CHECKING:
    from burst_magic.capture.cell import Capture


def map(  # noqa: A001 - the name users type
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    name: str = "",
    session: Session | str | None = None,
    **options: Any,
) -> Session:
    """Run ``function(item)`` for each item on workers. Returns at once.

    Args:
        function: any callable with one argument; a coroutine function is awaited. Its dependencies are sent along.
        items: any iterable; a generator is consumed during the upload.
        name: a label for the job.
        session: run on this running session, or the one with this id or name.
        **options: ``workers``, ``launcher``, ``store``, ``cpu``, ``memory``, ``slots``, ``threads``, ``timeout``,
            ``retries``, ``deadline``, ``idle``, ``budget``, ``seed``: as for ``%%burst``.

    Returns:
        The session; ``session.results()`` are the values in item order.

    Raises:
        CaptureError: the function or an item cannot be pickled.
        OptionError: wrong option.

    Warns:
        UserWarning: a secret would be sent, a module differs from its file, and the like.
    """
    from burst_magic.capture.cell import capture_call
    from burst_magic.capture.mapping import count
    from burst_magic.plan.planner import plan

    settings = config.load(options)
    if name and not is_label(name):
        raise OptionError(f"name: {name!r} is not a valid label", way_out="no slashes, no session id, no option")
    if session is not None:
        fixed = ", ".join(sorted({*config.OF_THE_SESSION, "store"} & options.keys()))
        if fixed:
            raise OptionError(f"{fixed}: fixed when the session starts", way_out=f"leave out {fixed}, or session=")
    if isinstance(session, str):
        session = attach(session)
    home = vars(sys.modules["__main__"])
    capture = capture_call(function, items, namespace=home)
    _tell(*_about(capture, session, settings))
    terms = launchers.traits(settings.launcher, fallback=settings.spot_fallback)
    own_arch = "" if settings.arch else launchers.own_arch(terms, settings.aws)
    prices = price_list(settings, terms)
    made = plan(settings, terms, tasks=count(items), own_arch=own_arch, price_list=prices, machine=this_machine())
    labels = Labels(name=name)
    synced = None
    if session is None:
        _tell(*made.warnings, *room(made, terms, settings))
        synced = environment_of(made, settings, capture, labels)
        _tell(*(synced.warnings if synced is not None else ()), *checked_image(made))
    return submit(capture, made, settings, home=home, labels=labels, into=session, synced=synced)


def _about(capture: Capture, session: Session | None, settings: config.Settings) -> list[str]:
    """The warnings that a cell would print."""
    from burst_magic.capture.settings import about_environment

    said = list(capture.warnings)
    if session is not None:
        set_there = {name for name, _ in session.manifest.setenv}
        said.append(about_environment(capture.settings, session.fleet.environment, set_there))
        said.append(about_packages(session, capture, settings))
    return said


def _tell(*texts: str) -> None:
    for text in filter(None, texts):
        warnings.warn(text, stacklevel=3)


def attach(session_id: str, *, key: str | None = None, store: str | None = None) -> Session:
    """Attach to a session, from any kernel on any machine.

    Args:
        session_id: an id, ``session/job`` or a name.
        key: the session's key, from ``burst key show``, if this machine doesn't have it.
        store: where to look; by default the configured store.

    Raises:
        AttachError: the session doesn't exist or has expired, or its key is not on this machine.
    """
    settings = config.load({"store": store})
    session = attaching.attach(session_id, settings=settings, home=vars(sys.modules["__main__"]), key=key)
    session.status()  # refreshes, so that its repr shows the current state
    return session


def sessions(store: str | None = None) -> list[attaching.SessionRow]:
    """All sessions of the store and of this user, oldest first."""
    return attaching.sessions(config.load({"store": store}))
