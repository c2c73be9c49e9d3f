"""Faults as answers: what is wrong, where, and a way out, with a status that says whose turn it is."""

from __future__ import annotations

import json

from burst_magic.errors import (
    AttachError,
    BurstError,
    Denied,
    Missing,
    OptionError,
    PlanError,
    RecordError,
    SignatureError,
    StoreError,
    visible,
)


class WrongRequest(BurstError):
    """A request that makes no sense, whatever the state of the session."""


class KeyNeeded(BurstError):
    """Only who has the session's key may ask this of it."""


_STATUS: tuple[tuple[type[BurstError], int], ...] = (  # the first that fits
    (WrongRequest, 400),
    (KeyNeeded, 403),
    (Missing, 404),
    (Denied, 403),
    (StoreError, 503),
    (AttachError, 404),
    (OptionError, 409),
    (PlanError, 409),
    (SignatureError, 409),
    (RecordError, 409),
)


def status_of(problem: BurstError) -> int:
    """The HTTP status."""
    return next((status for kind, status in _STATUS if isinstance(problem, kind)), 503)


def as_json(problem: BurstError) -> str:
    """The body of the answer; with ``missing_from``, a store's URL, if that has nothing of the session."""
    texts = {"problem": problem.problem, "context": problem.context, "way_out": problem.way_out}
    if isinstance(problem, AttachError) and problem.missing_from:
        texts["missing_from"] = problem.missing_from
    return json.dumps({name: visible(text) for name, text in texts.items()})
