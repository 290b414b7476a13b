"""Who may not be told of, for webhooks: consents as they are now, read again as they change."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from shoal.domain.time import Clock, system_clock
from shoal.features.consent import CONSENTS_SCHEMA
from shoal.workflows.audience import Sources, consents_of
from shoal.workflows.webhooks_payload import refusing

#: They are read from the event table: not for each message of a shop where events never stop.
FRESH: Final = timedelta(seconds=30)


class Consents:
    """Consents of a shop, no older than half a minute; safe to ask from several threads."""

    def __init__(self, sources: Sources, clock: Clock = system_clock) -> None:
        self._sources, self._clock = sources, clock
        self._guard = threading.Lock()
        self._read: tuple[int, datetime, pa.Table] | None = None

    def refusing(
        self, customers: Sequence[str], channel: str = ""
    ) -> Mapping[str, datetime | None]:
        """Those of some customers who may not be told of, and since when they refuse.

        Raises:
            OperationError: the event table cannot be read.
        """
        return refusing(self._now(), customers, channel)

    def _now(self) -> pa.Table:
        with self._guard:
            version, now = self._sources.warehouse.version(), self._clock()
            if version < 0:
                return CONSENTS_SCHEMA.empty_table()
            if self._read is not None:
                known, moment, table = self._read
                if known == version or now - moment < FRESH:
                    return table
            table = consents_of(self._sources, now)
            self._read = (version, now, table)
            return table
