"""Verbs of the live shop: keys of the service, the inbox, and what brings it into the log."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from shoal import bootstrap
from shoal.domain.time import system_clock
from shoal.shop.audit import AuditVerbs

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from shoal.domain.access import Key
    from shoal.domain.time import Clock
    from shoal.events.mapping import SourceMapping
    from shoal.ports import Inbox
    from shoal.shop.streaming import Stream
    from shoal.workflows.collected_rows import Collected
    from shoal.workflows.draining import Drained
    from shoal.workflows.ingest_result import IngestResult
    from shoal.workflows.live_fold import Folder, Folding

#: What is kept in the audit log of what somebody typed.
_SHOWN: Final = 40


class LiveVerbs(AuditVerbs):
    """What `shoal serve` stands on."""

    def keys(self) -> dict[str, Any]:
        """Keys of the service, without what opens anything."""
        from shoal.workflows.keys import listed

        return listed(self._parts.store, system_clock())

    def make_key(
        self, source: str, *, role: str = "write", days: float | None = None, audit: bool = True
    ) -> dict[str, Any]:
        """A new key; `key` in the answer is told this once.

        Args:
            source: of the events that it sends; of a key that reads, whose it is.
            days: after which it opens nothing any more; None: keys of `admin` and `privacy` after
                90, others never.
            audit: False: the caller has it in the audit log already.

        Raises:
            UsageError: `usage`: no such role, a name that no source can have, no time to live.
        """
        with self._noted("keys.make", audit, role=role[:_SHOWN]) as facts:
            from shoal.workflows.keys import make

            now = system_clock()
            secret, key = make(self._parts.store, now, role=role, source=source, days=days)
            facts["key_id"] = key.key_id
            return {"schema": "shoal.key/1", "key": secret, **key.as_document(now)}

    def load_methods(self) -> None:
        """Load what reads the segmentations in force: that of clusters takes seconds to load."""
        from shoal.segments.artefact import BESIDE, MAIN, class_of, document_of

        for pointer in (MAIN, *BESIDE.values()):
            current = self._parts.store.get_pointer(pointer)
            document = current and document_of(self._parts.registry, current)
            with suppress(KeyError):  # whoever asks for it is told
                if document:
                    class_of(document["method"])

    def revoke_key(
        self, key_id: str, *, keep_admin: bool = False, audit: bool = True
    ) -> dict[str, Any]:
        """Let a key open nothing any more.

        Args:
            keep_admin: refuse the last valid key of an administrator.
            audit: False: the caller has it in the audit log already.

        Raises:
            UsageError: `unknown_key`; `last_admin_key`.
        """
        with self._noted("keys.revoke", audit, key_id=key_id[:_SHOWN]):
            from shoal.workflows.keys import revoke

            now = system_clock()
            found = revoke(self._parts.store, key_id, now, keep_admin=keep_admin)
            return {"schema": "shoal.key/1", **found.as_document(now)}

    def known_keys(self) -> list[Key]:
        """Every key as it is kept."""
        return self._parts.store.keys.all()

    def inbox(self) -> Inbox:
        """The shop's inbox; whoever opens it closes it.

        Raises:
            OperationError: `shop_damaged`, calls that were acknowledged are not there.
        """
        return self._parts.inbox()

    def event_ids(self, source: str) -> pa.ChunkedArray:
        """The ids of the events of a source, one for each event that is stored."""
        query = "SELECT event_id FROM events JOIN asked USING (source)"
        asked = {"events": self._parts.warehouse.events(), "asked": pa.table({"source": [source]})}
        return self._parts.engine.run(query, asked)["event_id"]

    def lease(self) -> AbstractContextManager[None]:
        """Hold the right to write for as long as the block lasts.

        Raises:
            OperationError: `shop_locked`.
        """
        return self._parts.store.lease()

    def drain(self, inbox: Inbox) -> Drained:
        """Bring calls that wait in the inbox into the log, some at a time.

        Raises:
            OperationError: as `ingest`; the calls stay in the inbox.
        """
        from shoal.workflows.draining import drain

        self._finish_erasures()
        return drain(inbox, self._collected, self.collecting, self.directory / bootstrap.WORK_DIR)

    def streaming(
        self,
        inbox: Inbox,
        *,
        flush_s: float,
        clock: Clock = system_clock,
        divided: Callable[[Folding], Folder] | None = None,
    ) -> Stream:
        """Steps that take calls in from the inbox; under the lease, in one thread at a time.

        Args:
            flush_s: so long events may wait to be in the event table.
            divided: see `Stream`.
        """
        from shoal.shop.streaming import Stream

        self._stream = Stream(self, inbox, flush_s=flush_s, clock=clock, divided=divided)
        return self._stream

    def empty_inbox(self) -> int:
        """Bring everything that waits in the inbox into the log; how many calls it was.

        Raises:
            OperationError: as `drain`; `shop_locked`, a service is at work.
        """
        if not self._parts.begun("inbox"):
            return 0
        calls = 0
        with self.lease(), closing(self.inbox()) as inbox:
            while found := self.drain(inbox).calls:
                calls += found
        return calls

    def _collected(self, file: Path, mapping: SourceMapping, calls: Collected) -> IngestResult:
        from shoal.workflows.ingest import ingest

        return ingest(**self._front_door, paths=[str(file)], mapping=mapping, collected=calls)
