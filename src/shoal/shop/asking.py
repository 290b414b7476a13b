"""What a service asks of a shop whose customers its own driver moves: `shop.asking()`.

Nothing here writes, waits for who writes, or catches up: states and memberships are read as the
last step left them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal import bootstrap
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import iso
from shoal.shop.base import Verbs
from shoal.shop.hiding import private_calls

if TYPE_CHECKING:
    from datetime import datetime

    from shoal.events.collected import Judged
    from shoal.segments.artefact import SegmentationArtefact
    from shoal.workflows.finished import Finished
    from shoal.workflows.known import Known
    from shoal.workflows.members import Place
    from shoal.workflows.profile import Profiles
    from shoal.workflows.quarantine import CodeCounts, Listing
    from shoal.workflows.quarantine_pages import Behind
    from shoal.workflows.segment_counts import SegmentCounts
    from shoal.workflows.timeline import Before
    from shoal.workflows.units_followed import Summary, UnitsFollowed

_PRESET: Final = "segment-spec"
#: How artefacts are called.
_ID: Final = re.compile(r"[a-z0-9_-]{1,80}")
#: Published segmentations that are kept read.
_KEPT: Final = 4


class AskingVerbs(Verbs):
    """What a service asks."""

    def asking(self) -> ShopAsking:
        """Questions to a shop that is served; refreshes from now on keep what they see of
        customers at hand for them."""
        found = ShopAsking(self)
        self._seen = found.seen
        return found


class ShopAsking:
    """Questions about customers and segments, safe to ask from several threads."""

    def __init__(self, shop: Verbs) -> None:
        self._shop = shop
        self._parts = shop._parts
        self._read: dict[str, tuple[int, SegmentationArtefact]] = {}
        self._sizes: dict[str, tuple[tuple[int, int], Mapping[str, int]]] = {}
        self._embedding: tuple[str, Any] | None = None

    # -- customers ---------------------------------------------------------------------------------

    def seen(self, known: Known) -> None:
        """Keep what a step finished of customers."""
        self._finished.seen(known)

    def forget(self, customers: Sequence[str]) -> None:
        """Let nothing in memory be known of some customers."""
        self._finished.forget(customers)
        self._read.clear()

    def profile(self, customer_id: str, *, features: bool = True) -> dict[str, Any]:
        """Where a customer is, traits and features: the document `shoal.profile/1`.

        Raises:
            UsageError: `unknown_customer`.
        """
        return self.profiles.of(self._named(customer_id), features=features)

    def owner(self, customer_id: str) -> str:
        """The customer whom an id stands for, as the shop knows them.

        Raises:
            UsageError: `unknown_customer`; where ids are hidden `no_secret`, `wrong_secret`.
        """
        return self.profiles.owner(self._named(customer_id))

    def _named(self, raw_id: str) -> str:
        return self._shop._named(raw_id)

    def profile_at_hand(self, customer_id: str, *, features: bool = True) -> str | None:
        """What `profile` tells, as JSON, if it is told in well under a millisecond; else None."""
        return self.profiles.at_hand(self._named(customer_id), features=features)

    def why(self, customer_id: str, *, as_of: datetime | None = None) -> dict[str, Any]:
        """Where a customer is in each segmentation and why: `shoal.customer/1` and, under `why`,
        `shoal.explain_customer/1` of the main one. Takes a second or more.

        Raises:
            UsageError: `unknown_customer`, `unknown_segmentation`.
        """
        from shoal.workflows.customer import customer
        from shoal.workflows.explain import Explaining
        from shoal.workflows.explain_customer import explain_customer

        name = self._named(customer_id) if as_of is not None else self.owner(customer_id)
        told = customer(**self._shop._applied(), customer_id=name, as_of=as_of)
        del told["features"]
        explaining = Explaining(**self._shop._applied())
        return {**told, "why": explain_customer(explaining, name, as_of=as_of)}

    def embedding(self, customer_id: str) -> dict[str, Any]:
        """What the current behaviour model makes of a customer: `shoal.embedding/1`.

        Raises:
            UsageError: `unknown_customer`; `unknown_model`, the shop has none.
        """
        from shoal.features.snapshot import latest_moment
        from shoal.workflows.embedded import has_model

        parts, name = self._parts, self.owner(customer_id)
        if not has_model(parts.store):  # before anything of it is loaded
            raise UsageError(
                "unknown_model", "the shop has no behaviour model yet",
                hint="Train one with: shoal train SHOP",
            )  # fmt: skip
        model = self._model()
        until = self.profiles.current().until.values()
        moment = max([latest_moment(parts.warehouse), *until])
        table = self._carried(model, name, moment)
        if table is None or not table.num_rows:
            counted = parts.admission.at(moment)
            table = model.embeddings(counted, moment, customers=[name])
        values = [table[one][0].as_py() for one in table.column_names[1:]] if table else None
        return {
            "schema": "shoal.embedding/1", "customer_id": name, "as_of": iso(moment),
            "model_id": model.model_id, "embedding": values if table.num_rows else None,
        }  # fmt: skip

    def spells(self, customer_id: str, *, as_of: datetime | None = None) -> list[dict[str, Any]]:
        """A customer's stretches in segments of every line, latest first.

        Raises:
            UsageError: `unknown_customer`.
        """
        import pyarrow.compute as pc

        from shoal.workflows.membership_log import line, spells
        from shoal.workflows.profile import LINES

        name, store = self.owner(customer_id), self._parts.store
        told = []
        for title, pointer in LINES.items():
            rows = store.membership_history(name, segmentations=line(store, pointer))
            if as_of is not None:
                rows = rows.filter(pc.less_equal(rows["since"], as_of))
            told += [
                {
                    "line": title, "segmentation_id": row["segmentation_id"],
                    "segment_id": row["segment_id"],
                    "name": self.profiles.name(row["segmentation_id"], row["segment_id"]),
                    "since": iso(row["since"]),
                    "until": None if row["until"] is None else iso(row["until"]),
                    "cause": row["cause"], "weight": row["weight"], "margin": row["margin"],
                }
                for row in (spells(rows).to_pylist() if rows.num_rows else ())
            ]  # fmt: skip
        return sorted(told, key=lambda one: (one["since"], one["line"]), reverse=True)

    def timeline(
        self,
        customer_id: str,
        *,
        before: Before | None = None,
        as_of: datetime | None = None,
        kind: str | None = None,
        limit: int = 100,
        personal: bool = False,
    ) -> tuple[str, list[dict[str, Any]], Before | None]:
        """A customer's events, newest first; see `shoal.workflows.timeline`.

        Args:
            personal: also what is personal in them; else it is masked.

        Raises:
            UsageError: `unknown_customer`.
        """
        from shoal.workflows.identity_view import Identity
        from shoal.workflows.timeline import timeline

        parts, name = self._parts, self.owner(customer_id)
        identity = Identity(
            parts.warehouse, parts.store, parts.admission, parts.fold_of, self._shop.zone,
            self._shop.config.shop.buckets,
        )  # fmt: skip
        told, behind = timeline(identity, name, before=before, as_of=as_of, kind=kind, limit=limit)
        if (reading := parts.reading) is not None:
            told = [
                {**one, "properties": reading.members(one["properties"], may=personal)}
                if isinstance(one.get("properties"), dict) else one
                for one in told
            ]  # fmt: skip
        return name, told, behind

    @cached_property
    def judge(self) -> Callable[[Any, datetime | None, datetime], Judged]:
        """What judges posted calls, as collection does."""
        from shoal.events.collected import judge

        private = private_calls(self._parts)
        return judge if private is None else private.judge

    @property
    def addresses_are_personal(self) -> bool:
        """Whether a list of addresses tells what is personal."""
        from shoal.workflows.hiding import addresses_are_personal

        return addresses_are_personal(self._parts.store)

    def assign(
        self, lines: Sequence[bytes], *, as_of: datetime | None = None, history: bool = False
    ) -> dict[str, Any]:
        """Where calls would lead to, nothing of them being kept: `shoal.assign/1`.

        Raises:
            UsageError: `unknown_segmentation`, there is none yet.
            InputError: `too_little_data`.
        """
        from shoal.events.presets import load
        from shoal.workflows.assign_calls import Assigning

        shop: Any = self._shop
        assigning = Assigning(
            **shop._applied(), buckets=shop.config.shop.buckets, noise=shop.row_noise,
            work_dir=shop.directory / bootstrap.WORK_DIR, privacy=self._parts.privacy,
        )  # fmt: skip
        found = {line: self.segmentation(one) for line, one in self.lines().items()}
        return assigning.assign(lines, load(_PRESET), found, as_of=as_of, history=history)

    # -- segments ----------------------------------------------------------------------------------

    def lines(self) -> Mapping[str, str]:
        """Line -> the segmentation in force.

        Raises:
            UsageError: `unknown_segmentation`, there is none yet.
        """
        found = self.profiles.current().lines
        if not found:
            raise UsageError(
                "unknown_segmentation", "the shop has no segmentation yet",
                hint="Make one with: shoal segment SHOP",
            )  # fmt: skip
        return found

    def segmentation(self, segmentation_id: str) -> SegmentationArtefact:
        """A published segmentation, read again where persons were taken out of it.

        Raises:
            UsageError: `unknown_segmentation`.
            OperationError: `artefact_damaged`.
        """
        from shoal.segments import artefact

        stamp = self._stamp(segmentation_id)
        kept = self._read.get(segmentation_id)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        found = artefact.read(self._parts.registry, segmentation_id)
        self._read[segmentation_id] = (stamp, found)
        for name in list(self._read)[:-_KEPT]:
            self._read.pop(name, None)
        return found

    def in_force(self, segment_id: str, segmentation: str | None = None) -> SegmentationArtefact:
        """The segmentation in force that has a segment, the main one first, or the one named.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`.
        """
        if segmentation is not None:
            found = self.segmentation(segmentation)
            if not _has(found, segment_id):
                raise _no_segment(segment_id, [found])
            return found
        several = [self.segmentation(one) for one in dict.fromkeys(self.lines().values())]
        trial = self.profiles.current().trial
        if trial is not None and _has(self.segmentation(trial), segment_id):
            # a segment that is tried has members of the main one alone who are in the canary
            several.append(self.segmentation(trial))
        for found in several:
            if _has(found, segment_id):
                return found
        raise _no_segment(segment_id, several)

    def position(self) -> int:
        """The position of the last row of the membership log."""
        return self._parts.store.last_membership()

    def sizes(self, segmentation_id: str) -> Mapping[str, int]:
        """How many customers each segment has now; counted once as long as nobody moves.

        Of the version in force customers of a canary count where they are by the one that is tried.
        """
        from shoal.workflows.members import sizes

        position, cleanings = self.position(), self.profiles.current().cleanings
        kept = self._sizes.get(segmentation_id)
        if kept is None or kept[0] != (position, cleanings):
            counted = sizes(self._parts.store, segmentation_id, position)
            kept = self._sizes[segmentation_id] = ((position, cleanings), counted)
        return kept[1]

    def members(
        self, place: Place, segment_id: str, limit: int
    ) -> tuple[list[dict[str, Any]], Place | None]:
        """Members of a segment; see `shoal.workflows.members`."""
        from shoal.workflows.members import page

        told, behind = page(self._parts.store, place, segment_id, limit)
        hidden = self.profiles.current().hidden
        return [one for one in told if one["customer_id"] not in hidden], behind

    def trend(
        self,
        segment_id: str,
        *,
        segmentation: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        every_days: int = 1,
    ) -> dict[str, Any]:
        """How many customers a segment had over time: `shoal.trend/1`.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`, `bad_period`.
        """
        from shoal.workflows.members import trend

        found = self.in_force(segment_id, segmentation)
        counts = self._counts.of(found.segmentation_id, self._erasures())
        return trend(
            self._parts.store, counts, found, segment_id, since=since, until=until,
            every_days=every_days,
        )  # fmt: skip

    def explained(self, segment_id: str, found: SegmentationArtefact) -> dict[str, Any]:
        """The document `shoal.explain_segment/1` of one of its segments.

        Raises:
            UsageError: `unknown_segment`.
        """
        from shoal.workflows.explain import Explaining

        return Explaining(**self._shop._applied()).segment(segment_id, found.segmentation_id)

    def sql(
        self, segment_id: str, segmentation_id: str, *, dialect: str, as_of: datetime | None
    ) -> dict[str, Any]:
        """A segment's rule as SQL: `shoal.explain_sql/1`.

        Raises:
            UsageError: `unknown_segment`, `unknown_dialect`, `no_sql_form`.
        """
        from shoal.workflows.explain import Explaining

        explaining = Explaining(**self._shop._applied())
        return explaining.sql(segment_id, dialect, segmentation=segmentation_id, as_of=as_of)

    def catalog(self) -> list[dict[str, Any]]:
        """Every feature: name, unit, group and what it says."""
        return [
            {
                "name": one.name, "unit": one.unit, "group": one.group,
                "sentence": {"en": one.sentence.en, "zh": one.sentence.zh},
            }
            for one in self._parts.fold.catalog
        ]  # fmt: skip

    # -- data --------------------------------------------------------------------------------------

    def quarantined(
        self, *, code: str | None, behind: Behind | None, limit: int
    ) -> tuple[list[dict[str, Any]], Behind | None]:
        """Rows that were not stored; see `shoal.workflows.quarantine_pages`.

        Raises:
            UsageError: `usage`, there is no such reason.
        """
        from shoal.workflows.quarantine_pages import page

        return page(
            self._parts.store, self._shop.directory / bootstrap.QUARANTINE_DIR, code=code,
            behind=behind, limit=limit, every=self._units,
        )  # fmt: skip

    def quarantine(self, code: str | None = None) -> Listing:
        """How many rows were not stored, by reason, without samples.

        Raises:
            UsageError: `usage`, there is no such reason.
            OperationError: `shop_damaged`, a file is missing.
        """
        from shoal.workflows.quarantine import listing

        asked: dict[str, Any] = {
            "store": self._parts.store, "code": code, "samples": 0,
            "quarantine_dir": self._shop.directory / bootstrap.QUARANTINE_DIR,
        }  # fmt: skip
        try:
            return listing(**asked, every=self._units, kept=self._codes)
        except OperationError:  # an erasure that just ended put another file in a file's place
            return listing(**asked)

    def status(self) -> dict[str, Any]:
        """The document `shoal.status/1`."""
        from shoal.workflows.status import status

        return status(store=self._parts.store, known=self._units)

    def _units(self) -> Summary:
        return self._followed.read(self._erasures())

    def _erasures(self) -> tuple[int, frozenset[str]]:
        """Changes when an erasure begins and when it ends."""
        current = self.profiles.current()
        return current.cleanings, current.hidden

    @property
    def exports_dir(self) -> Path:
        """Where lists lie."""
        return self._shop.directory / bootstrap.EXPORTS_DIR

    # -- what is kept ------------------------------------------------------------------------------

    @cached_property
    def profiles(self) -> Profiles:
        from shoal.workflows.profile import Profiles

        parts = self._parts
        return Profiles(parts.store, parts.registry, parts.admission, self._finished)

    @cached_property
    def _followed(self) -> UnitsFollowed:
        from shoal.workflows.units_followed import UnitsFollowed

        return UnitsFollowed(self._parts.store)

    @cached_property
    def _codes(self) -> CodeCounts:
        from shoal.workflows.quarantine import CodeCounts

        return CodeCounts()

    @cached_property
    def _counts(self) -> SegmentCounts:
        from shoal.workflows.segment_counts import SegmentCounts

        return SegmentCounts(self._parts.store)

    @cached_property
    def _finished(self) -> Finished:
        from shoal.workflows.finished import Finished

        return Finished(self._finish)

    def _finish(self, customers: Sequence[str]) -> Known:
        """What is known of some customers, by their stored states."""
        from shoal.features.snapshot import latest_moment
        from shoal.workflows import reference
        from shoal.workflows.known import from_states

        parts = self._parts
        pointer = parts.store.get_pointer(reference.POINTER)
        items = None if pointer is None else reference.read(parts.registry, pointer)
        moment = max([latest_moment(parts.warehouse), *self.profiles.current().until.values()])
        return from_states(parts.store, parts.fold, self._shop.zone, customers, moment, items)

    def _model(self) -> Any:
        """The current behaviour model, kept read."""
        from shoal.model.artefact import MAIN
        from shoal.workflows.embed import current
        from shoal.workflows.embedded import ModelInUse

        pointer = self._parts.store.get_pointer(MAIN)
        kept = self._embedding
        if kept is None or kept[0] != pointer:
            model = ModelInUse(
                current(self._parts.store, self._parts.registry), self._parts.fold.rules
            )
            kept = self._embedding = (model.model_id, model)
        return kept[1]

    def _carried(self, model: Any, name: str, moment: datetime) -> Any:
        """An embedding by the state that the model keeps of a customer; None: it keeps none.

        Such states follow the log where a segmentation in force is made on the model.
        """
        from shoal.workflows.carries import Carries

        used = {
            self.segmentation(one).document.get("model_id")
            for one in self.profiles.current().lines.values()
        }
        if model.model_id not in used:
            return None
        parts = self._parts
        carries = Carries.of(model, parts.warehouse, parts.store, parts.admission)
        return None if carries is None else carries.embeddings([name], moment)

    def _stamp(self, segmentation_id: str) -> int:
        """Changes when persons are taken out of an artefact."""
        from shoal.segments import artefact

        registry = self._parts.registry
        if not _ID.fullmatch(segmentation_id):
            return -1  # reading it says what there is
        manifest = registry.directory(artefact.KIND, segmentation_id) / "manifest.json"
        return manifest.stat().st_mtime_ns if manifest.exists() else -1


def _has(found: SegmentationArtefact, segment_id: str) -> bool:
    told = {one["segment_id"] for one in found.document["segments"]}
    return segment_id in told or segment_id in found.segmenter.segment_ids


def _no_segment(segment_id: str, found: Sequence[SegmentationArtefact]) -> UsageError:
    known = [one["segment_id"] for own in found for one in own.document["segments"]]
    told = segment_id[:80]
    return UsageError(
        "unknown_segment", f"there is no segment {told!r}", where=told,
        hint=f"Segments: {', '.join(dict.fromkeys(known))}.",
    )  # fmt: skip
