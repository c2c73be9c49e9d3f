"""What a machine has asked of the store and not yet been answered. It asks nothing twice at a time."""

from __future__ import annotations

from burst_magic.protocol import effects as fx


class Questions:
    """Collects effects until the driver takes them, and remembers which are unanswered.

    Attributes:
        outstanding: folders and keys whose answers have not come.
    """

    __slots__ = ("_effects", "outstanding")

    def __init__(self) -> None:
        self.outstanding: set[str] = set()
        self._effects: list[fx.Effect] = []

    def list_folder(self, folder: str, after: str = "") -> None:
        """Lists a folder, unless that is under way."""
        if folder not in self.outstanding:
            self.outstanding.add(folder)
            self.tell(fx.List(folder, after))

    def read(self, key: str, kind: type[fx.Record]) -> None:
        """Reads a record, unless that is under way."""
        if key not in self.outstanding:
            self.outstanding.add(key)
            self.tell(fx.Read(key, kind))

    def create(self, key: str, record: fx.Record) -> None:
        """Creates a record."""
        self.outstanding.add(key)
        self.tell(fx.Create(key, record))

    def tell(self, effect: fx.Effect) -> None:
        """An effect that is not answered."""
        self._effects.append(effect)

    def answered(self, event: fx.Event) -> None:
        """An answer has come."""
        if isinstance(event, fx.Listed):
            self.outstanding.discard(event.folder)
        elif isinstance(event, fx.Got | fx.Created):
            self.outstanding.discard(event.key)

    def take(self) -> list[fx.Effect]:
        """The effects since the last call."""
        effects, self._effects = self._effects, []
        return effects

    def drop(self) -> None:
        """Expects no answer any more."""
        self.outstanding.clear()
        self._effects.clear()
