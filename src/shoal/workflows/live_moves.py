"""Where a stream's customers belong after a step: carries, embeddings, memberships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from shoal.domain.errors import InputError, UsageError
from shoal.domain.kinds import ITEM
from shoal.domain.time import from_us, to_us
from shoal.events.schema import BUCKET, TABLE_SCHEMA
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.ports import Engine, EventTable, Registry, Relation, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.inputs import BOTH, EMBEDDING, FEATURES
from shoal.workflows import canary
from shoal.workflows.admission import Admission
from shoal.workflows.advance import record, recorded_until
from shoal.workflows.canary import Canary
from shoal.workflows.carries import Carries
from shoal.workflows.embedded import of_segmentation
from shoal.workflows.known import Known
from shoal.workflows.live_fold import Folded
from shoal.workflows.memberships import current
from shoal.workflows.refresh_going import Going
from shoal.workflows.rule_columns import asks_more

_LINES: Final = (artefact.MAIN, artefact.RFM, artefact.RULES)
#: Pointers by which it is told that something else is in force.
_POINTERS: Final = (*_LINES, canary.POINTER)
_BEGINNING: Final = from_us(0)


@dataclass
class Moves:
    """The segmentations in force, read once; under the shop's lease."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    admission: Admission
    _models: dict[str, Carries | None] = field(default_factory=dict)
    _pointers: tuple[str | None, ...] | None = None
    _found: list[SegmentationArtefact] = field(default_factory=list)
    _trial: Canary | None = None

    def why_not(self) -> str | None:
        """Why a step cannot place customers from their states; None: it can."""
        pointers = tuple(self.store.get_pointer(name) for name in _POINTERS)
        if pointers != self._pointers:
            self._read_anew()
            self._pointers = pointers
        for found in self._found:
            if asks_more(found.segmenter):
                return "rules ask for events"
            carries = self._carries_of(found)
            if carries is None and found.document.get("on", FEATURES) != FEATURES:
                return "the behaviour model keeps no state of a customer"
            if carries is not None and not carries.up_to_date():
                return "states of the behaviour model lag behind"
        return None

    def latest_us(self) -> int:
        """The time of the latest event there is."""
        try:
            return to_us(latest_moment(self.warehouse)) - 1
        except InputError:  # facts of items alone
            return 0

    def until(self) -> datetime:
        """Up to when memberships are recorded; the beginning of time where there are none."""
        return max(
            (recorded_until(self.store, one).until for one in self._found), default=_BEGINNING
        )

    def all_moved(self) -> bool:
        """Whether everybody was moved of whom the event table has events."""
        version = self.warehouse.version()
        return all(recorded_until(self.store, one).table_version == version for one in self._found)

    def carries(self, rows: pa.Table, touched: pa.Array, moved: pa.Array, moment: datetime) -> None:
        """Let the behaviour models' states follow."""
        for carries in filter(None, self._models.values()):
            carries.follow_batch(rows, touched, moved, moment, self._facts)

    @property
    def references(self) -> tuple[str, ...]:
        """The ids of the frozen references of items with which features are finished."""
        return tuple(dict.fromkeys(str(one.document["reference_id"]) for one in self._found))

    def record(
        self,
        folded: Folded,
        moment: datetime,
        seen: Callable[[Known], None],
        *,
        silent: bool = False,
    ) -> int | None:
        """Place customers, and record who is elsewhere.

        Args:
            folded: finished at that moment with `references`.
            silent: there is no news of them, and time alone moves them.

        Returns memberships recorded in the main segmentation; None where there is none.
        """
        touched = folded.customers
        if not self._found or not len(touched):
            return 0 if self._found else None
        names = touched.to_pylist()
        arrived = touched[:0] if silent else touched
        goings = [
            Going(
                one, recorded_until(self.store, one),
                self.store.get_memberships(self._kept(one), customers=names),
                arrived, None, self._carries_of(one), trial=self._trial,
            )
            for one in self._found
        ]  # fmt: skip
        version = self.warehouse.version()
        for going in goings:
            own = Known(moment, folded.features[going.reference_id], folded.counts)
            if going.carries is not None:
                own = replace(own, embeddings=going.carries.embeddings(names, moment))
            going.step(own)
            if going is goings[0]:
                seen(own)
            name = going.found.segmentation_id
            record(self.store, name, going.whole_change, moment, version)
        return goings[0].whole_change.num_rows

    def _kept(self, found: SegmentationArtefact) -> tuple[str, ...]:
        """The ids under which memberships in a segmentation are recorded."""
        if self._trial is None:
            return (found.segmentation_id,)
        return canary.kept(self.store, found.segmentation_id)

    # -- what is read once -------------------------------------------------------------------------

    def _read_anew(self) -> None:
        self._found, self._models, self._trial = [], {}, None
        self.__dict__.pop("_facts", None)
        try:
            self._found = [current(self.store, self.registry)]
        except UsageError as error:
            if error.code != "unknown_segmentation":
                raise
            return
        self._trial = canary.beside(self.store, self._found[0].segmentation_id)
        if self._trial is not None:
            self._found.append(current(self.store, self.registry, self._trial.segmentation_id))
        for name in dict.fromkeys(self.store.get_pointer(one) for one in _LINES[1:]):
            if name not in (None, "", self._found[0].segmentation_id):
                self._found.append(current(self.store, self.registry, name))

    def _carries_of(self, found: SegmentationArtefact) -> Carries | None:
        """The kept states of the model that a segmentation was made on."""
        if found.document.get("on", FEATURES) not in (EMBEDDING, BOTH):
            return None
        model_id = str(found.document["model_id"])
        if model_id not in self._models:
            model = of_segmentation(found.document, self.registry, self.fold)
            assert model is not None
            self._models[model_id] = Carries.of(model, self.warehouse, self.store, self.admission)
        return self._models[model_id]

    @cached_property
    def _facts(self) -> EventTable:
        return _Facts(self.warehouse)


class _Facts:
    """An `EventTable` of the facts of items that the event table tells, read once."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.engine: Engine = warehouse.engine
        self._warehouse = warehouse

    def version(self) -> int:
        return self._warehouse.version()

    def events(self, *, version: int | None = None, buckets: object = None) -> Relation:
        return self._rows

    def bucket_counts(self) -> Mapping[int, int]:
        return {0: self._rows.num_rows}

    @cached_property
    def _rows(self) -> pa.Table:
        files = self._warehouse.events().paths
        scheme = ds.partitioning(pa.schema([TABLE_SCHEMA.field(BUCKET)]), flavor="hive")
        data = ds.dataset(list(files), schema=TABLE_SCHEMA, format="parquet", partitioning=scheme)
        return data.to_table(filter=pc.field("kind") == ITEM)
