"""Old versions of the event table of a shop that is served leave once a day, some at a time."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import ShoalError
from shoal.domain.time import iso, system_clock

if TYPE_CHECKING:
    from shoal.shop import Shop

_LOG: Final = logging.getLogger("shoal.service")
#: The first time is soon after the start: a service that is started every night has no whole day.
_FIRST_S: Final = 60.0
_DAY_S: Final = 86_400.0
#: After a failure it is tried again.
_RETRY_S: Final = 3_600.0
#: Versions, or files, that go in one turn, 0.1 to 4 ms each. Others have as long before the next,
#: and so long at least.
_AT_ONCE: Final = 500
_PAUSE_S: Final = 0.2
_COUNTED: Final = ("versions", "files", "bytes")


class TableRetention:
    """Lets go of what is older than `[table] keep_days`, in a thread of its own.

    Args:
        turn: held by whoever of this process writes to the shop; customers do not move meanwhile.
        first_s, every_s: seconds before the first time, and between two.
        at_once: see `Shop.trim`.
    """

    def __init__(
        self, shop: Shop, turn: AbstractContextManager[object], *, first_s: float = _FIRST_S,
        every_s: float = _DAY_S, at_once: int = _AT_ONCE,
    ) -> None:  # fmt: skip
        self._shop, self._turn, self._at_once = shop, turn, at_once
        self._first_s, self._every_s = first_s, every_s
        self._told: dict[str, Any] = {"at": None, **dict.fromkeys(_COUNTED, 0), "failure": None}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="table-retention", daemon=True)

    def start(self) -> None:
        if self._shop.config.table.keep_days:
            self._thread.start()

    def stop(self) -> None:
        """Begin no other turn; one under way ends."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def told(self) -> dict[str, Any]:
        """When it was done last, what went since the start, and why it could not be done."""
        return dict(self._told)

    def _run(self) -> None:
        wait = self._first_s
        while not self._stopped.wait(wait):
            wait = _RETRY_S
            try:
                began = time.monotonic()
                left = self._some()
                took = time.monotonic() - began
                wait = max(_PAUSE_S, took) if left else self._every_s
            except ShoalError as error:
                self._failed(error.code, error.message)
            except Exception as error:  # the service goes on, whatever happens here
                self._failed("internal", f"{type(error).__name__}: {error}")

    def _some(self) -> bool:
        """One turn; whether there is more to do."""
        from shoal.workflows.table_retention import words

        with self._turn:
            if self._stopped.is_set():
                return False
            found = self._shop.trim(most=self._at_once)
        now = {name: self._told[name] + found[name] for name in _COUNTED}
        self._told = {**now, "at": iso(system_clock()), "failure": None}
        if told := words(found):
            _LOG.debug("event table: %s", told)
        return bool(found["left"])

    def _failed(self, code: str, message: str) -> None:
        self._told["failure"] = {"code": code, "message": message}
        _LOG.error("old versions of the event table stay: %s", message)
