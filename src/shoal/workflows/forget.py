"""Forgetting persons: out of every store, with a receipt, and kept out by tombstones.

The request is journaled before anything is removed; every step may be repeated. So a request that
a kill left under way is finished by the next writer, and the shop is then as if nothing had come
between. Meanwhile readers may still see some of the person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import Clock, iso, system_clock
from shoal.events.tombstones import fingerprint
from shoal.features.admission import EVER_US, NEVER_US, PEOPLE_SCHEMA
from shoal.ports import ParquetFiles, Registry, StateStore, Warehouse
from shoal.workflows import admission as admissions
from shoal.workflows import catch_up, units
from shoal.workflows.admission import Admission
from shoal.workflows.forget_files import without, without_quarantined
from shoal.workflows.progress import NoProgress, Progress

SCHEMA: Final = "shoal.forget/1"
#: Setting that says whether the state store's files must still be cleared of what was deleted.
SCRUB: Final = "scrub"
DUE: Final = "due"
#: Files of the shop's own that name customers and are made again by their verb.
REPORTS: Final = ("report.html",)


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
    """Everything that forgetting needs of a shop."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    admission: Admission
    fold: catch_up.FoldFactory
    places: Places
    clock: Clock = system_clock

    def forget(self, ids: Sequence[str], progress: Progress | None = None) -> dict[str, Any]:
        """Forget the persons to whom some ids belong; the receipt, `shoal.forget/1`.

        Everything that came in before is folded first, so that nothing of them is under way. Of an
        id that nobody knows there is nothing to remove; its tombstone keeps it out all the same.

        Raises:
            OperationError: `shop_locked`, `disk_full`, `no_permission`, `interrupted`; what was
                begun is finished at the next start.
        """
        with self.store.lease():
            self.finish_pending(progress)
            self._follow()
            people = self._people(ids)
            number = self.store.erasures.begin(
                {"asked": list(ids), "people": people.to_pylist()}, self.clock()
            )
            return self._run(number, people, list(ids), progress or NoProgress())

    def finish_pending(self, progress: Progress | None = None) -> list[dict[str, Any]]:
        """Finish what a kill left under way; the receipts."""
        if self.store.get_settings().get(SCRUB) == DUE:
            self._scrub()
        done = []
        for number, document in self.store.erasures.pending():
            people = pa.Table.from_pylist(document["people"], schema=PEOPLE_SCHEMA)
            done.append(self._run(number, people, document["asked"], progress or NoProgress()))
        return done

    def _scrub(self) -> None:
        self.store.scrub()
        self.store.put_setting(SCRUB, "")

    def lift(self, ids: Sequence[str]) -> int:
        """Take the tombstones of some ids away, so that they may come back; how many there were."""
        with self.store.lease():
            key = self.store.erasures.key()
            return self.store.erasures.lift([fingerprint(key, name) for name in ids])

    def _people(self, ids: Sequence[str]) -> pa.Table:
        """Whose events go (`PEOPLE_SCHEMA`): every id of each person, while it was theirs."""
        people = self.admission.decisions().people
        rows: list[dict[str, Any]] = []
        for name in dict.fromkeys(ids):
            owner = self.admission.customer_of(name)
            theirs = people.filter(pc.equal(people["customer_id"], owner)).to_pylist()
            own = {"from_us": EVER_US, "to_us": NEVER_US, "customer_id": owner, "merged": True}
            merged = dict.fromkeys((owner, *(row["id"] for row in theirs if row["merged"])))
            rows += [{"id": one, **own} for one in merged]
            rows += [row for row in theirs if not row["merged"]]
            if not any(row["id"] == name for row in rows):
                rows.append({"id": name, **own})
        return pa.Table.from_pylist(rows, schema=PEOPLE_SCHEMA)

    def _run(
        self, number: int, people: pa.Table, asked: Sequence[str], bar: Progress
    ) -> dict[str, Any]:
        """Every step, in an order in which a kill loses nothing: tombstones first."""
        own = _exclusive(people)
        key = self.store.erasures.key()
        stones = [
            (fingerprint(key, row["id"]), row["from_us"], row["to_us"])
            for row in people.to_pylist()
        ]
        ids = frozenset(own)
        bar.start("forgetting", 6, "steps")
        try:
            with self.store.transaction():
                self.store.erasures.add_tombstones(stones)
            bar.advance()
            removed: dict[str, int] = {"events": self.warehouse.erase(people)}
            bar.advance()
            removed |= self._from_store(people)
            bar.advance()
            removed["quarantined"] = self._from_quarantine(ids)
            removed["artefact_entries"] = self._from_artefacts(ids)
            bar.advance()
            files, unreached = self._from_exports(ids)
            bar.advance()
            self.warehouse.purge()
            admissions.sweep(self.places.work)
            receipt = {
                "schema": SCHEMA,
                "number": number,
                "finished_at": iso(self.clock()),
                "asked": len(asked),
                "ids": people.num_rows,
                "tombstones": sorted({stone[0] for stone in stones}),
                "removed": removed,
                "files": files,
                "not_reached": unreached,
            }
            with self.store.transaction():
                self.store.erasures.finish(number, receipt, self.clock())
                self.store.put_setting(SCRUB, DUE)
            self._scrub()
            bar.advance()
        finally:
            bar.done()
        return receipt

    def _from_store(self, people: pa.Table) -> Mapping[str, int]:
        """States, memberships, links, flags; others on the same devices are folded anew."""
        ids = people["id"].unique().to_pylist()
        own = _exclusive(people)
        version = self.warehouse.version()
        with self.store.transaction():
            nothing = ParquetFiles((), self.warehouse.events().schema)
            moved = self.admission.update(nothing, ids, version)
            gone = self.store.forget(own)
            others = moved.filter(pc.invert(pc.is_in(moved, value_set=pa.array(own, pa.string()))))
            self.store.set_applied_version(version)
        if len(others):
            catch_up.refold(
                warehouse=self.warehouse,
                store=self.store,
                fold=self.fold,
                admission=self.admission,
                customers=others,
            )
        return gone

    def _follow(self) -> None:
        catch_up.catch_up(
            warehouse=self.warehouse, store=self.store, fold=self.fold, admission=self.admission
        )

    def _from_quarantine(self, ids: frozenset[str]) -> int:
        total = 0
        for unit in units.all_units(self.store):
            path = self.places.quarantine / str(unit.quarantine)
            if unit.quarantine is None or not path.exists():
                continue
            gone, by_code = without_quarantined(path, ids)
            total += gone
            if gone:
                account = unit.account
                left = {c: n - by_code.get(c, 0) for c, n in account.quarantine.items()}
                account = replace(
                    account,
                    quarantined=account.quarantined - gone,
                    skipped=account.skipped + gone,
                    quarantine=MappingProxyType({c: n for c, n in left.items() if n}),
                )
                kept = unit.quarantine if path.exists() else None
                with self.store.transaction():
                    units.put(self.store, replace(unit, account=account, quarantine=kept))
        return total

    def _from_artefacts(self, ids: frozenset[str]) -> int:
        return sum(
            self.registry.redact(kind, name, lambda path: without(path, ids))
            for kind in self.registry.kinds()
            for name in self.registry.list(kind)
        )

    def _from_exports(self, ids: frozenset[str]) -> tuple[list[dict[str, Any]], list[str]]:
        """Files that list customers: (what became of each, those that are not there any more)."""
        files: list[dict[str, Any]] = []
        unreached: list[str] = []
        own = sorted(self.places.exports.glob("*")) if self.places.exports.is_dir() else []
        outside = [Path(path) for path, _, _ in self.store.erasures.exports()]
        for path in [*own, *outside]:
            if not path.exists():
                unreached.append(str(path))
                continue
            if path.suffix == ".html":
                path.unlink()
                files.append({"path": str(path), "removed": 1, "file": "removed"})
            elif gone := without(path, ids):
                files.append({"path": str(path), "removed": gone, "file": "written anew"})
        for name in REPORTS:
            path = self.places.directory / name
            if path.exists():
                path.unlink()
                files.append({"path": str(path), "removed": 1, "file": "removed"})
        return files, unreached


def _exclusive(people: pa.Table) -> list[str]:
    """Ids that were nobody else's: of a device that others use too only the events go."""
    rows = people.to_pylist()
    alone = [r for r in rows if r["merged"] or (r["from_us"], r["to_us"]) == (EVER_US, NEVER_US)]
    return list(dict.fromkeys(row["id"] for row in alone))
