"""The door to calls that were accepted and are not in the log yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Arrived:
    """A call that came in, as it is kept.

    Args:
        source: who sent it; with `message_id` it is told from every other call.
        message_id: of the client; None: it has none, and nothing tells it from a second one.
        received_us: by the server's clock, microseconds since 1970.
        line: one line of JSON.
        fault: code of why it cannot be an event; None: it may be one.
    """

    source: str
    message_id: str | None
    received_us: int
    line: bytes
    fault: str | None = None


class Inbox(Protocol):
    """Calls that were accepted and are not in the log yet; what `append` returned is on disk.

    Positions count from 1 in the order in which calls came, and no position is given twice.
    """

    def append(self, arrived: Sequence[Arrived]) -> list[bool]:
        """Take calls, all of them or none; of each whether it is new.

        A call of a source and message id that came before is none, for as long as `forget_ids`
        does not say otherwise.

        Raises:
            OperationError: `disk_full`, `shop_damaged`, `no_permission`: nothing was taken.
        """

    def after(self, position: int, limit: int) -> list[tuple[int, Arrived]]:
        """The next calls behind a position, in order, each with its own."""

    def last(self) -> int:
        """The highest position that was ever given; 0: none."""

    @property
    def written(self) -> int:
        """The highest position that was given when this was opened, or by its own `append` since.

        It costs nothing to ask.
        """

    def drained(self) -> int:
        """The position up to which calls are in the log."""

    def planned(self) -> int:
        """The position up to which calls were last meant to go into the log; 0: none yet."""

    def plan(self, position: int) -> None:
        """Calls up to a position are on their way into the log.

        Cut off on the way, the same calls go again, and the log knows them as what it has.
        """

    def drain(self, position: int) -> None:
        """Calls up to a position are in the log: they are kept here no longer."""

    def waiting(self) -> int:
        """How many calls are not in the log yet."""

    def forget_ids(self, before_us: int) -> int:
        """Know no longer which ids came before a moment; how many were forgotten."""

    def bookmarks(self, beginning: str) -> dict[str, str]:
        """What is kept of those who read calls out of files, by names with that beginning."""

    def keep_bookmark(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of what was there."""

    def close(self) -> None: ...
