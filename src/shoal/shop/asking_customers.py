"""What a service asks of customers: `shop.asking()`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from shoal import bootstrap
from shoal.domain.errors import UsageError
from shoal.domain.time import iso
from shoal.shop.asking_segments import SegmentAsking
from shoal.shop.base import Verbs
from shoal.shop.hiding import private_calls

if TYPE_CHECKING:
    from datetime import datetime

    from shoal.events.collected import Judged
    from shoal.workflows.known import Known
    from shoal.workflows.timeline import Before

_PRESET: Final = "segment-spec"


class CustomerAsking(SegmentAsking):
    """Questions about customers, and where calls would lead to."""

    def __init__(self, shop: Verbs) -> None:
        super().__init__(shop)
        self._embedding: tuple[str, Any] | None = None

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
