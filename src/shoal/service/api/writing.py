"""What writes through the API takes turns with the driver: two writers of one process would mix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from shoal.service.api.problems import Refused

#: A request waits so long for its turn.
_PATIENCE_S: Final = 20.0


class Lock(Protocol):
    """Held by whoever writes."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...


class Writing:
    """The turn to write.

    Args:
        turn: that of the driver.
    """

    def __init__(self, turn: Lock) -> None:
        self._turn = turn

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block in which nobody else of this process writes.

        Raises:
            Refused: `shop_locked`, it is somebody else's turn for too long.
        """
        if not self._turn.acquire(timeout=_PATIENCE_S):
            raise Refused(
                503, "shop_locked", "The shop is being written to, and that takes long.",
                hint="Come again in a moment.", retry_s=10,
            )  # fmt: skip
        try:
            yield
        finally:
            self._turn.release()
