"""Forgetting persons: out of every store, with a receipt, and kept out by tombstones.

The request is journaled before anything is removed, in the transaction that takes the persons'
states and memberships away; from then on readers see nothing of them. Every later step may be
repeated, and what it will have removed is journaled beforehand or in the same transaction. So a
request that a kill left under way is finished by the next writer, and shop and receipt are those
of a request that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.domain.errors import OperationError
from shoal.domain.time import Clock, iso, parse_moment, system_clock, to_us
from shoal.events.tombstones import fingerprint
from shoal.features.admission import EVER_US
from shoal.ports import Registry, StateStore, Warehouse
from shoal.workflows import (
    admitted,
    catch_up,
    embed_files,
    forget_again,
    recovery,
    train_site,
    units,
)  # fmt: skip
from shoal.workflows.admission import Admission
from shoal.workflows.carries_noted import follow_erasure
from shoal.workflows.forget_artefacts import in_artefacts, out_of_artefacts
from shoal.workflows.forget_links import trimmed
from shoal.workflows.forget_lists import CLEANING, Lists
from shoal.workflows.forget_people import Belongings, belongings, check_id
from shoal.workflows.forget_quarantine import in_quarantine, out_of_quarantine
from shoal.workflows.forget_receipt import receipt_of, unknown_among
from shoal.workflows.forgotten import DUE, SCRUB, fingerprints_by_person, to_lift
from shoal.workflows.ingest_result import PERIOD
from shoal.workflows.progress import NoProgress, Progress

if TYPE_CHECKING:
    from shoal.events.privacy import Privacy
    from shoal.events.tombstones import RawIds


@dataclass(frozen=True)
class Places:
    """Where a shop keeps what.

    Args:
        directory: the shop's.
        quarantine, exports, work: directories of it.
    """

    directory: Path
    quarantine: Path
    exports: Path
    work: Path


@dataclass(frozen=True)
class Forgetting:
    """Everything that forgetting needs of a shop; `buckets` are those of its event table.

    `privacy` is what the shop hides; ids are then given as the shop knows them.
    """

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    admission: Admission
    fold: catch_up.FoldFactory
    places: Places
    buckets: int | None = None
    clock: Clock = system_clock
    privacy: Privacy | None = None

    def forget(self, ids: Sequence[str], progress: Progress | None = None) -> dict[str, Any]:
        """Forget the persons to whom some ids belong; the receipt, `shoal.forget/1`.

        With the receipt, and nowhere else, come `unknown_ids`, those of which no event told, and
        `finished_before`, receipts of what a kill had left under way and was finished first.

        Everything that came in before is folded first, so that nothing of them is under way. Of an
        id that nobody knows there is nothing to remove; its tombstone keeps it out all the same.

        Raises:
            UsageError: `usage`, an id is that of a device of several persons, or nobody's (empty,
                or a word such as null that says so).
            OperationError: `shop_locked`, `disk_full`, `no_permission`, `erasure_unfinished` (it
                was interrupted); what was begun is finished by the next command that writes.
        """
        for name in ids:
            check_id(name)
        with self.store.lease():
            earlier = self.finish_pending(progress)
            recovery.settle(self.warehouse, self.store, self.places.quarantine)
            self._follow()
            goods = belongings(self.store, ids, self.admission.shared_by)
            unknown = unknown_among(self.warehouse, self.store, ids, self.buckets)
            number = self._begin({"asked": len(set(ids)), "unknown": len(unknown)}, goods)
            receipt = self._run(number, progress)
            return {**receipt, "unknown_ids": unknown, "finished_before": earlier}

    def forget_again(self, progress: Progress | None = None) -> dict[str, Any] | None:
        """Take out whom tombstones name; the receipt, None where the shop holds nobody of them.

        Raises:
            OperationError: as `forget`.
        """
        with self.store.lease():
            self.finish_pending(progress)
            recovery.settle(self.warehouse, self.store, self.places.quarantine)
            self._follow()
            goods = forget_again.found(
                self.warehouse, self.store, self.places.quarantine, self.privacy
            )
            if not (goods.own or goods.shared):
                return None
            return self._run(self._begin({"asked": 0, "unknown": 0}, goods, again=True), progress)

    def finish_pending(self, progress: Progress | None = None) -> list[dict[str, Any]]:
        """Finish what a kill left under way; the receipts."""
        with self.store.lease():
            done = []
            if self.store.get_settings().get(SCRUB) == DUE:
                self._scrub(None)
                done += self.store.erasures.receipts()[-1:]  # of which nobody was told yet
            for number, _ in self.store.erasures.pending():
                self._follow()
                done.append(self._run(number, progress))
            return done

    def lift(self, ids: Sequence[str]) -> int:
        """Take the tombstones of some ids away, so that they may come back; how many there were.

        With a customer's go those of the ids that were forgotten as the same person's.
        """
        with self.store.lease():
            return self.store.erasures.lift(to_lift(self.store, ids))

    def lists_naming(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Files known to the shop that name some ids, each with its entries."""
        lists = self._lists(Belongings(own=tuple(ids)))
        return [{"file": one["file"], "entries": one["entries"]} for one in lists.planned()]

    @property
    def _raw_ids(self) -> RawIds | None:
        return None if self.privacy is None else self.privacy.ids_in

    # --- the request ------------------------------------------------------------------------------

    def _begin(self, given: Mapping[str, int], goods: Belongings, *, again: bool = False) -> int:
        """Journal a request and take the persons out of readers' sight, in one transaction.

        Args:
            again: receipts of before say which ids are of one person.
        """
        ids = frozenset(goods.own)
        quarantine = in_quarantine(self.store, self.places.quarantine, ids, self._raw_ids)
        entries = in_artefacts(self.registry, ids)
        key = self.store.erasures.key()
        stones = self._stones(goods, key)
        lists = self._lists(goods)
        document: dict[str, Any] = {
            **given,
            "asked_at": iso(self.clock()),
            **goods.as_document(),
            "tombstones": sorted({name for name, _, _ in stones}),
            "persons": [] if again else fingerprints_by_person(goods.owners(), key),
            "quarantine": {name: dict(codes) for name, codes in quarantine.items()},
            "files": lists.planned(),
        }
        removed: dict[str, int] = {
            "quarantined": sum(codes.total() for codes in quarantine.values()),
            "artefact_entries": entries,
        }
        with self.store.transaction():
            number = self.store.erasures.begin(document, self.clock())
            self.store.erasures.add_tombstones(stones)
            removed |= self.store.forget(goods.own)
            self.store.erasures.note(number, {**document, "removed": removed})
        return number

    def _stones(self, goods: Belongings, key: bytes) -> list[tuple[str, int, int]]:
        """Tombstones; of a shared device, what happens from now on is the others' again."""
        last = self.store.get_settings().get(PERIOD[1])
        now_us = max(to_us(self.clock()), 0 if last is None else to_us(parse_moment(last)) + 1)
        own = set(goods.own)
        return [
            (fingerprint(key, row["id"]), row["from_us"], row["to_us"])
            if row["id"] in own
            else (
                fingerprint(key, row["id"], shared=True),
                row["from_us"],
                min(row["to_us"], now_us),
            )
            for row in goods.people.to_pylist()
        ]

    def _run(self, number: int, progress: Progress | None) -> dict[str, Any]:
        """What is left of a request; the receipt.

        Raises:
            OperationError: `erasure_unfinished`, it was interrupted.
        """
        try:
            return self._steps(number, progress)
        except KeyboardInterrupt as error:
            raise OperationError(
                "erasure_unfinished",
                "interrupted while persons were being forgotten: nobody sees them any more, but "
                "not everything of them is gone",
                hint="The next command that writes to the shop finishes it, and so does the same "
                "command again; shoal forget SHOP --receipts shows what was done.",
            ) from error

    def _steps(self, number: int, progress: Progress | None) -> dict[str, Any]:
        """Every step that is left of a request, in an order in which a kill loses nothing."""
        document = dict(self.store.erasures.pending())[number]
        goods = Belongings.from_document(document)
        ids = frozenset(goods.own)
        bar = progress or NoProgress()
        bar.start("forgetting", 6, "steps")
        try:
            self._from_events(number, document, goods)
            bar.advance(2)
            without_them = out_of_quarantine(
                self.store, self.places.quarantine, document["quarantine"], ids, self._raw_ids
            )
            with self.store.transaction():
                for unit in without_them:
                    units.put(self.store, unit)
                document["quarantine"] = {}
                self.store.erasures.note(number, document)
            bar.advance()
            out_of_artefacts(self.registry, ids)
            bar.advance()
            document[CLEANING] = True
            self.store.erasures.note(number, document)
            lists = self._lists(goods)
            not_reached = lists.clean(document["files"])
            admitted.sweep(self.places.work)
            train_site.remove_all(self.places.work)
            embed_files.sweep(self.places.work)
            bar.advance()
            receipt = receipt_of(number, document, not_reached, self.clock())
            with self.store.transaction():
                self.store.erasures.finish(number, receipt, self.clock())
                self.store.erasures.drop_exports(lists.names_them())
                self.store.put_setting(SCRUB, DUE)
            self._scrub(goods.own)
            bar.advance()
        finally:
            bar.done()
        return receipt

    def _scrub(self, traces: Sequence[str] | None) -> None:
        self.store.scrub(traces)
        self.store.put_setting(SCRUB, "")

    # --- events -----------------------------------------------------------------------------------

    def _from_events(self, number: int, document: dict[str, Any], goods: Belongings) -> None:
        """Events, what they told of ids, and earlier versions of the event table."""
        if self.warehouse.version() < 0:
            document["purged"] = False
            return
        if "events" not in document["removed"]:
            erased = self.warehouse.erase(goods.people, goods.named, number)
            document["removed"] |= {"events": erased.rows, "cleared": erased.cleared}
            # Whether an earlier version tells of them cannot be asked once these are going.
            some = bool(erased.rows or erased.cleared)
            document["purged"] = some or self.warehouse.remembers(goods.people)
            with self.store.transaction():
                others = self._untie(document, goods)
                before, after = self.store.applied_version(), self.warehouse.version()
                self.store.set_applied_version(after)
                follow_erasure(self.store, before, after)
                if len(others):
                    catch_up.refold(
                        warehouse=self.warehouse,
                        store=self.store,
                        fold=self.fold,
                        admission=self.admission,
                        customers=others,
                    )
                self.store.erasures.note(number, document)
        if document["purged"]:
            self.warehouse.purge()

    def _untie(self, document: dict[str, Any], goods: Belongings) -> pa.Array:
        """Remove links; the customers whose history counts otherwise for it.

        On a shared device nothing of the others' changes but where a device that was nobody's has
        few enough customers now, or is no longer flagged.
        """
        version = self.warehouse.version()
        told = self.store.people.links(customers=goods.own)["id"].to_pylist()
        devices = sorted(set(told) - set(goods.own))
        before = self.store.people.links(ids=devices)
        after, freed = trimmed(before, goods.own, self.admission.shared_by)
        self.store.people.replace_links(devices, after)
        gone = before.num_rows - after.num_rows + self.store.people.forget(goods.own)
        document["removed"]["links"] = gone
        changed = self.admission.judge(devices, version)
        touched = pa.array([*freed, *changed.to_pylist()], pa.string())
        others = self.admission.decisions().owners_of(touched) if len(touched) else touched
        named = goods.named["customer_id"].to_pylist()
        mine = set(goods.own)
        return pa.array(
            sorted({name for name in [*others.to_pylist(), *named] if name not in mine}),
            pa.string(),
        )

    def _follow(self) -> None:
        """Fold what came in before, so that nothing of the persons is under way."""
        applied, latest = self.store.applied_version(), self.warehouse.version()
        if 0 <= applied < latest and not self._units_since(applied):
            self.store.set_applied_version(latest)  # a compaction, an erasure: nothing to fold
        catch_up.catch_up(
            warehouse=self.warehouse, store=self.store, fold=self.fold, admission=self.admission
        )

    def _units_since(self, version: int) -> bool:
        try:
            return any(True for _ in self.warehouse.since(version))
        except OperationError as error:
            if error.code != "shop_damaged":
                raise
            return True  # the log begins later: the table as it is tells

    # --- files ------------------------------------------------------------------------------------

    def _lists(self, goods: Belongings) -> Lists:
        """The shop's lists. What was told of a device tells of whoever has its beginning now."""
        outside, key = self.store.erasures.exports(), self.store.erasures.key()
        begun = [row["id"] for row in goods.people.to_pylist() if row["from_us"] <= EVER_US]
        stones = frozenset(fingerprint(key, name) for name in {*goods.own, *begun})
        ids = frozenset(goods.own)
        return Lists(self.places.directory, self.places.exports, outside, ids, stones)
