"""Redact values of ``--setenv`` in everything that tasks print or raise, before it leaves this machine.

Texts arrive truncated: output to its head and tail, a heartbeat to its last lines, a repr to its two ends. A cut may
split a value, and the rest no longer matches it. So texts are also searched at each cut: the beginning or end of a
value that touches the cut is redacted, down to ``_LEAST`` characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from burst_magic.protocol.terminal import as_seen
from burst_magic.protocol.wire.displays import Display
from burst_magic.protocol.wire.records import pack_outcome, unpack_outcome, without_value
from burst_magic.worker.child.failures import MESSAGE_CHARS, REPR_CHARS

_LEAST = 4  # characters: masking "1" or "yes" would hide more than it protects
_STARS = "****"

# Marks of omitted text: from output.bounded and failures.traceback_of, and from reprlib in an item. In a run of four
# dots, the first or the last is the item's own: hence the lookahead.
_GAP = re.compile(r"(\n… [\d.]+ \w+ left out …\n|\n  …\n)")
_DOTS = re.compile(r"(?=(\.{3}))")

_MARKUP = re.compile(r"[&<>\"']")
_IMAGES = frozenset({"image/png", "image/jpeg"})  # base64

_BROKEN = "\ufffd"  # decoding turns a character that was cut into up to three of these
_MOST_BROKEN = 3


class Mask:
    """Redacts values in texts.

    Args:
        setenv: names and values of the session's environment variables.
    """

    def __init__(self, setenv: Iterable[tuple[str, str]]) -> None:
        values = {value for _, value in setenv}
        values |= {as_seen(value) for value in values}
        values |= {form for value in values if _MARKUP.search(value) for form in _escaped(value)}
        self._words = [word for word in values if len(word) >= _LEAST]
        self._reach = max((len(word.encode("utf-8", "replace")) for word in self._words), default=1) - 1

    def text(self, text: str, *, cut: bool = False, gap: re.Pattern[str] = _GAP) -> str:
        """Redact the values in a text, and partial values at its cuts.

        Args:
            text: possibly a part of a longer one.
            cut: its two ends may be cuts.
            gap: matches marks of omitted text within it.
        """
        shown: list[str] = []
        end = 0
        for start, stop in sorted(self._found(text, cut=cut, gap=gap)):
            if start >= end:
                shown += text[end:start], _STARS
            end = max(end, stop)  # overlapping values are redacted as one
        return "".join(shown) + text[end:]

    def tail(self, read: Callable[[int], str], limit: int) -> str:
        """The masked tail of a growing text.

        Args:
            read: returns that many of its last bytes.
            limit: characters to return. More are read, so that a value at their beginning is seen whole.
        """
        return self.text(read(limit + self._reach), cut=True)[-limit:]

    def record(self, record: bytes | memoryview) -> bytes | memoryview:
        """Redact the texts of a packed outcome, but not its value."""
        if not self._words:
            return record
        told = without_value(record)
        outcome = unpack_outcome(told)
        masked = replace(
            outcome,
            message=self.text(outcome.message, cut=len(outcome.message) >= MESSAGE_CHARS),
            traceback=self.text(outcome.traceback),
            item=self.text(outcome.item, cut=len(outcome.item) >= REPR_CHARS, gap=_DOTS),
            output=self.text(outcome.output, cut=True),  # it may begin or end within a word
            displays=tuple(
                Display(data=self._masked(one.data), metadata=self._masked(one.metadata)) for one in outcome.displays
            ),
        )
        if masked == outcome:
            return record
        raised = (masked.message, masked.traceback) != (outcome.message, outcome.traceback)
        holds = outcome.failed and raised  # then the pickled exception holds it too
        return pack_outcome(masked if holds else replace(masked, value=bytes(record[len(told) :])))

    def _masked(self, value: Any) -> Any:
        """Redact the texts of plain data. What is drawn in an image stays."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): part if name in _IMAGES else self._masked(part) for name, part in value.items()}
        return [self._masked(part) for part in value] if isinstance(value, list) else value

    def _found(self, text: str, *, cut: bool, gap: re.Pattern[str]) -> Iterator[tuple[int, int]]:
        """Spans to redact; unordered, may overlap."""
        gaps = [found.span(1) for found in gap.finditer(text)]
        if cut:
            gaps = [(0, 0), *gaps, (len(text), len(text))]
        ends = [_before_broken(text, start) for start, _ in gaps]
        begins = [_after_broken(text, stop) for _, stop in gaps]
        for word in self._words:
            yield from _wholes(text, word)
            for end in ends:
                yield from _first_part(text, word, end)
            for begin in begins:
                yield from _last_part(text, word, begin)
            for begin, end in zip(begins, ends[1:], strict=False):
                if _LEAST <= end - begin < len(word) and text[begin:end] in word:
                    yield begin, end


def _escaped(value: str) -> Iterator[str]:
    """A value as displayed HTML has it: Python's own, that of templates (MarkupSafe), and XML's."""
    from html import escape  # slow to import, and rarely needed

    plain = escape(value, quote=False)
    for quotes in (('"', "'"), ("&quot;", "&#x27;"), ("&#34;", "&#39;"), ("&quot;", "&#39;"), ("&quot;", "&apos;")):
        yield plain.replace('"', quotes[0]).replace("'", quotes[1])


def _wholes(text: str, word: str) -> Iterator[tuple[int, int]]:
    at = text.find(word)
    while at >= 0:
        yield at, at + len(word)
        at = text.find(word, at + 1)


def _first_part(text: str, word: str, end: int) -> Iterator[tuple[int, int]]:
    """The longest prefix of the word that ends there."""
    at = text.find(word[:_LEAST], max(0, end - len(word) + 1), end)
    while at >= 0 and not word.startswith(text[at:end]):
        at = text.find(word[:_LEAST], at + 1, end)
    if at >= 0:
        yield at, end


def _last_part(text: str, word: str, begin: int) -> Iterator[tuple[int, int]]:
    """The longest suffix of the word that starts there."""
    at = text.rfind(word[-_LEAST:], begin, begin + len(word) - 1)
    while at >= 0 and not word.endswith(text[begin : at + _LEAST]):
        at = text.rfind(word[-_LEAST:], begin, at + _LEAST - 1)
    if at >= 0:
        yield begin, at + _LEAST


def _before_broken(text: str, end: int) -> int:
    least = max(0, end - _MOST_BROKEN)
    while end > least and text[end - 1] == _BROKEN:
        end -= 1
    return end


def _after_broken(text: str, begin: int) -> int:
    most = min(len(text), begin + _MOST_BROKEN)
    while begin < most and text[begin] == _BROKEN:
        begin += 1
    return begin
