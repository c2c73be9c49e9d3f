"""Values of ``--setenv`` are taken out of everything that tasks print or raise, before it leaves this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from burst_magic.protocol.records import pack_outcome, unpack_outcome

_LEAST = 4  # characters: masking "1" or "yes" would hide more than it protects
_STARS = "****"


class Mask:
    """Knows the values, shows none.

    Args:
        setenv: names and values of the session's environment variables.
    """

    def __init__(self, setenv: Iterable[tuple[str, str]]) -> None:
        self._words = sorted({value for _, value in setenv if len(value) >= _LEAST}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without the values."""
        for word in self._words:
            text = text.replace(word, _STARS)
        return text

    def record(self, record: bytes) -> bytes:
        """A packed outcome whose texts hold none of the values. What a task returns is its own affair."""
        if not self._words:
            return record
        outcome = unpack_outcome(record)
        masked = replace(
            outcome,
            message=self.text(outcome.message),
            traceback=self.text(outcome.traceback),
            item=self.text(outcome.item),
            output=self.text(outcome.output),
        )
        if masked == outcome:
            return record
        told = (masked.message, masked.traceback) != (outcome.message, outcome.traceback)
        if outcome.failed and told:  # then the pickled exception holds it too
            masked = replace(masked, value=b"")
        return pack_outcome(masked)
