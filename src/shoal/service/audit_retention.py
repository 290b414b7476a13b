"""Old entries leave the audit log of a shop that is served once a day."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from shoal.domain.errors import ShoalError

if TYPE_CHECKING:
    from shoal.shop import Shop

_LOG: Final = logging.getLogger("shoal.service")
#: The first time is soon after the start: a service that is started every night has no whole day.
_FIRST_S: Final = 60.0
_DAY_S: Final = 86_400.0


class AuditRetention:
    """Takes out what is older than `[service] audit_days`, in a thread of its own.

    Args:
        first_s, every_s: seconds before the first time, and between two.
    """

    def __init__(self, shop: Shop, *, first_s: float = _FIRST_S, every_s: float = _DAY_S) -> None:
        self._shop, self._first_s, self._every_s = shop, first_s, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-retention", daemon=True)

    def start(self) -> None:
        if self._shop.config.service.audit_days:
            self._thread.start()

    def stop(self) -> None:
        """Begin no other time; one under way ends."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        wait = self._first_s
        while not self._stopped.wait(wait):
            wait = self._every_s
            try:
                removed = self._shop.cut_audit()["removed"]
            except ShoalError as error:
                _LOG.error("nothing is taken out of the audit log: %s", error.message)
            except Exception:  # the service goes on, whatever happens here
                _LOG.exception("nothing is taken out of the audit log")
            else:
                if removed:
                    _LOG.info("%d old entries were taken out of the audit log", removed)
