"""How a workflow tells a person how far it is, without knowing who shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """One bar at a time: `start`, any number of `advance` and `tell`, `done`; then again."""

    def start(self, label: str, total: float | None, unit: str = "") -> None:
        """Begin a piece of work of `total` units (None: unknown)."""

    def advance(self, amount: float = 1) -> None:
        """That much more of it is done."""

    def tell(self, text: str) -> None:
        """How it goes, in a few words."""

    def done(self) -> None:
        """The piece of work is over, whether or not it reached its total."""


class NoProgress:
    """Shows nothing.

    >>> bar = NoProgress()
    >>> bar.start("reading", 10, "rows"), bar.advance(3), bar.done()
    (None, None, None)
    """

    def start(self, label: str, total: float | None, unit: str = "") -> None:
        return None

    def advance(self, amount: float = 1) -> None:
        return None

    def tell(self, text: str) -> None:
        return None

    def done(self) -> None:
        return None
