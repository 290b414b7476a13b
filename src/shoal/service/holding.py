"""The right to write to the shop: held while it is served, and given out of hand for a look."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Final

from shoal.domain.errors import OperationError

_LOG: Final = logging.getLogger("shoal.service")
_AGAIN_S: Final = 0.2
#: Whoever else took the shop meanwhile is named once in so many attempts.
_TOLD_EVERY: Final = 150


class Holding:
    """The shop's lease as a thing that may be laid down and taken up again.

    Args:
        lease: a block that holds it.
    """

    def __init__(self, lease: Callable[[], AbstractContextManager[None]]) -> None:
        self._lease = lease
        self._stack = ExitStack()

    def __enter__(self) -> Holding:
        self._stack.enter_context(self._lease())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stack.close()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """A block in which another process may hold the shop; waited for is that it lets go."""
        self._stack.close()
        try:
            yield
        finally:
            self._again()

    def _again(self) -> None:
        attempt = 0
        while True:
            try:
                self._stack.enter_context(self._lease())
                return
            except OperationError as error:
                if error.code != "shop_locked":
                    raise
                if attempt % _TOLD_EVERY == 0:
                    _LOG.warning("customers do not move: %s", error.message)
            attempt += 1
            time.sleep(_AGAIN_S)
