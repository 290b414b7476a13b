"""The flush: events that waited behind the event table go into it, once.

States hold them already, so a flush changes nothing but where events lie and which version of the
table states are of. A source's batches are one commit unit. It is named before it is begun; killed
at any moment and run again, the event table alone says whether it was committed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from shoal.domain.account import RowAccount
from shoal.events.mapping import SourceMapping
from shoal.ports import LiveBatch, StateStore, UnitWriter, Warehouse
from shoal.workflows import units
from shoal.workflows.advance import follow_flush
from shoal.workflows.carries_noted import follow_erasure
from shoal.workflows.collected_rows import INBOX
from shoal.workflows.forgotten import id_columns
from shoal.workflows.live_rows import columns_of
from shoal.workflows.live_waiting import as_account
from shoal.workflows.quarantine_file import QuarantineFile
from shoal.workflows.units import Unit

_LOG: Final = logging.getLogger("shoal.service")
#: Setting with the flush that was begun: source, number of its last batch, name of the unit.
_PLAN: Final = "live.flush"
_NAME: Final = "live-"


def begun(store: StateStore) -> tuple[str, int, str] | None:
    """The flush that was begun and not finished: source, last batch, unit; None: there is none."""
    told = store.get_settings().get(_PLAN)
    if not told:
        return None
    source, upto, unit = json.loads(told)
    return source, upto, unit


def flush(
    warehouse: Warehouse, store: StateStore, quarantine_dir: Path, mapping: SourceMapping
) -> int:
    """Bring all that waits into the event table; how many events it was.

    Under the shop's lease.

    Args:
        warehouse: the event table; what it gives as its latest events includes what waits.
        mapping: by which calls were read.

    Raises:
        OperationError: `disk_full`, `no_permission`, `shop_damaged`; what waits goes on waiting.
    """
    flushed = 0
    while True:
        plan = begun(store) or _next(store)
        if plan is None:
            return flushed
        flushed += _Flush(warehouse, store, quarantine_dir, mapping, *plan).run()


def _next(store: StateStore) -> tuple[str, int, str] | None:
    """Begin with the source of the oldest batch."""
    numbers = store.live.numbers()
    if not numbers:
        return None
    source = numbers[0][1]
    upto = max(number for number, whose in numbers if whose == source)
    plan = (source, upto, f"{_NAME}{upto:012d}")
    store.put_setting(_PLAN, json.dumps(plan))
    return plan


@dataclass(frozen=True)
class _Flush:
    """One source's batches on their way."""

    warehouse: Warehouse
    store: StateStore
    quarantine_dir: Path
    mapping: SourceMapping
    source: str
    upto: int
    name: str

    def run(self) -> int:
        unit = units.find(self.store, self.name)
        if unit is not None and self.warehouse.committed(self.name):
            self._finish(unit, whole=True)  # killed just after it was committed
            return unit.account.stored
        mine = [
            number
            for number, source in self.store.live.numbers()
            if source == self.source and number <= self.upto
        ]
        return self._bring(self.store.live.read(mine))

    def _bring(self, batches: Sequence[LiveBatch]) -> int:
        mapping = replace(self.mapping, name=self.source, source=self.source)
        writer = self.warehouse.unit(self.name)
        quarantined = QuarantineFile(
            self.quarantine_dir, f"{self.name}.parquet", columns_of(batches), id_columns(mapping)
        )
        try:
            account = RowAccount()
            for batch in batches:
                account += as_account(batch.account)
                quarantined.append(batch.quarantined)
                if batch.events.num_rows:
                    writer.append(batch.events)
            found = writer.resolve() if account.stored else {"stored": 0}
            unit = self._unit(account, quarantined.publish())
            units.put(self.store, unit)
            self._commit(writer, unit)
        except BaseException:
            if not self.warehouse.committed(self.name):
                quarantined.abandon()
                writer.discard()
            raise
        self._finish(unit, whole=found["stored"] == account.stored)
        return account.stored

    def _unit(self, account: RowAccount, quarantine: str | None) -> Unit:
        return Unit(
            self.name, units.STAGED, f"{INBOX}{self.source}", self.source, account, quarantine,
            number=self.store.last_unit_number() + 1,
        )  # fmt: skip

    def _commit(self, writer: UnitWriter, unit: Unit) -> None:
        if unit.changes:
            writer.commit({"file": unit.file, "rows": unit.account.as_document()})
        else:
            writer.discard()

    def _finish(self, unit: Unit, *, whole: bool) -> None:
        """Say that the event table has them, in one transaction.

        Args:
            whole: the table took every event. Where it had some of them already, states count them
                twice and are made anew.
        """
        applied, latest = self.store.applied_version(), self.warehouse.version()
        later = [one.unit for one in self.warehouse.since(applied)] if applied >= 0 else []
        sound = whole and later in ([], [unit.name])
        if not sound:
            _LOG.warning(
                "customer states are made anew: of %s the event table had some already", unit.file
            )
        with self.store.transaction():
            units.finish(self.store, unit)
            self.store.live.drop(self.source, self.upto)
            self.store.set_applied_version(latest if sound else -1)
            if sound:
                follow_erasure(self.store, applied, latest)
                follow_flush(self.store, applied, latest)
            self.store.put_setting(_PLAN, "")
