"""A machine's pending requests to the store. No request is made while the same one is pending."""

from __future__ import annotations

from burst_magic.protocol import effects as fx


class Questions:
    """Collects effects until the driver takes them, and tracks which are pending.

    Attributes:
        outstanding: folders and keys of pending requests.
    """

    __slots__ = ("_effects", "outstanding")

    def __init__(self) -> None:
        self.outstanding: set[str] = set()
        self._effects: list[fx.Effect] = []

    def list_folder(self, folder: str, after: str = "") -> None:
        """List a folder, unless that is pending."""
        if folder not in self.outstanding:
            self.outstanding.add(folder)
            self.tell(fx.List(folder, after))

    def read(self, key: str, kind: type[fx.Record]) -> None:
        """Read a record, unless that is pending."""
        if key not in self.outstanding:
            self.outstanding.add(key)
            self.tell(fx.Read(key, kind))

    def create(self, key: str, record: fx.Record) -> None:
        """Create a record."""
        self.outstanding.add(key)
        self.tell(fx.Create(key, record))

    def tell(self, effect: fx.Effect) -> None:
        """Add an effect that has no answer."""
        self._effects.append(effect)

    def answered(self, event: fx.Event) -> None:
        """Note an answer."""
        if isinstance(event, fx.Listed):
            self.outstanding.discard(event.folder)
        elif isinstance(event, fx.Got | fx.Created):
            self.outstanding.discard(event.key)

    def take(self) -> list[fx.Effect]:
        """The effects since the last call."""
        effects, self._effects = self._effects, []
        return effects

    def drop(self) -> None:
        """Forget all pending requests."""
        self.outstanding.clear()
        self._effects.clear()
