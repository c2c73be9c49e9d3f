"""Bound the time that user code may take to describe a failure: a repr, a str, a pickle of an exception."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from signal import setitimer  # before `Touched` wraps it
from signal import signal as handle
from typing import NoReturn

_DESCRIBING = 3.0  # seconds that the parts of a description may take
_AGAIN = 1.0  # seconds for each further part after that


class TookTooLong(BaseException):
    """Raised within user code; what catches everything catches it, and hears it again."""


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Interrupt what is done inside when it takes too long, then again and again. C code is heard when it returns.

    A timer and a handler of the task end here: it has failed, and does nothing more.
    """
    before = handle(signal.SIGALRM, _interrupt)
    setitimer(signal.ITIMER_REAL, _DESCRIBING, _AGAIN)
    try:
        yield
    finally:
        setitimer(signal.ITIMER_REAL, 0)
        if before is not None:
            handle(signal.SIGALRM, before)


def _interrupt(*_: object) -> NoReturn:
    raise TookTooLong
