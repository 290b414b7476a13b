"""What movement is worth: what segments are expected to bring, and whom to look at first.

A customer of a segment is worth what the next-period head of the shop expected of its members on
average when the version was made; in a shop without a head, what they had brought by then. So both
sides of a move are told by the same measure, and nobody's past is folded again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.segment import TIER_NEW
from shoal.domain.time import Zone, iso
from shoal.features.fold import Fold
from shoal.heads.next_period import ORDERS, SPEND
from shoal.ports import Registry, StateStore
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact, document_of
from shoal.segments.base import CUSTOMER, NET_REVENUE, column
from shoal.workflows import reference
from shoal.workflows.known import from_states
from shoal.workflows.movement_report_log import OWN

#: What a segment's customer is worth: expected spend or orders of the next period, revenue so far.
EXPECTED_SPEND: Final = "expected_spend"
EXPECTED_ORDERS: Final = "expected_orders"
REVENUE: Final = "revenue"

DOWN: Final = "down"
UP: Final = "up"
LEVEL: Final = "level"

#: Customers to look at first that are told, and of whom they are chosen at most.
_FIRST: Final = 20
_ASKED: Final = 20_000
_AT_ONCE: Final = 5_000


@dataclass(frozen=True)
class Worth:
    """What a customer of each segment is worth, in one measure.

    Args:
        measure: `EXPECTED_SPEND`, `EXPECTED_ORDERS` or `REVENUE`.
        horizon_days: of the period that is expected; None of revenue, or where it is not known.
        values: segment -> a customer's worth; a segment of which nothing is known is not there.
    """

    measure: str
    horizon_days: int | None
    values: Mapping[str, float]

    def direction(self, source: str, target: str) -> str:
        """Whether a move is one to a segment worth less, or more, or neither can be told.

        >>> Worth(REVENUE, None, {"s01": 5.0, "s02": 1.0}).direction("s01", "s02")
        'down'
        """
        if not {source, target} <= self.values.keys():
            return LEVEL
        gain = self.values[target] - self.values[source]
        return UP if gain > 0 else DOWN if gain < 0 else LEVEL


def worth_of(registry: Registry, main: SegmentationArtefact, line: Sequence[str]) -> Worth:
    """What a customer of each segment of a line of versions is worth.

    Segments that the main version has are told by it, others by the last version that had them.
    """
    told = list(_values(registry, main, line))
    by_measure: dict[str, dict[str, float]] = {}
    for measure, name in ((EXPECTED_SPEND, SPEND), (EXPECTED_ORDERS, ORDERS), (REVENUE, "")):
        values = by_measure.setdefault(measure, {})
        for document in told:
            for segment_id, one in document.items():
                value = one.get(name or REVENUE)
                if value is not None and segment_id != TIER_NEW:
                    values.setdefault(segment_id, float(value))
    proper = [name for name in main.segmenter.segment_ids if name != TIER_NEW]
    for measure in (EXPECTED_SPEND, EXPECTED_ORDERS):
        values = by_measure[measure]
        if any(values.get(name, 0.0) > 0 for name in proper):
            return Worth(measure, horizon_of(main), values)
    return Worth(REVENUE, None, by_measure[REVENUE])


def horizon_of(main: SegmentationArtefact) -> int | None:
    """Days of the period that a segmentation's own head foretells; None without one."""
    outlook = getattr(main.segmenter, "outlook", None)
    return None if outlook is None else int(outlook.head.horizon_days)


def names_of(registry: Registry, line: Sequence[str]) -> dict[str, dict[str, str]]:
    """The latest name of every segment that a line of versions ever had, by id."""
    found: dict[str, dict[str, str]] = {}
    for name in line:
        for one in (document_of(registry, name) or {}).get("segments", ()):
            found[one["segment_id"]] = dict(one["name"])
    return found


def _values(
    registry: Registry, main: SegmentationArtefact, line: Sequence[str]
) -> Iterator[dict[str, dict[str, float | None]]]:
    """Of the main version, then of others, the latest first: worth of each segment by measure."""
    yield _worths(main.extra("explanation") or {}, main.document)
    for name in reversed([one for one in line if one != main.segmentation_id]):
        path = registry.directory(artefact.KIND, name) / "explanation.json"
        try:
            explained = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # told by other versions, or not at all
            explained = {}
        yield _worths(explained, document_of(registry, name) or {})


def _worths(
    explained: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {
        one["segment_id"]: {} for one in document.get("segments", ())
    }
    for one in explained.get("segments", ()):
        value = one.get("value") or {}
        means = (value.get("next") or {}).get("means", {})
        own = found.setdefault(one["segment_id"], {})
        own.update({SPEND: means.get(SPEND), ORDERS: means.get(ORDERS)})
        own[REVENUE] = value.get("revenue_a_customer")
    return found


# --- Customers to look at first -------------------------------------------------------------------


def first(
    switched: pa.Table,
    worth: Worth,
    main: SegmentationArtefact,
    *,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    moment: datetime,
) -> list[dict[str, Any]]:
    """Customers who changed and went down, those who brought most before first.

    Args:
        switched: `MOVED_SCHEMA`, moves between segments proper.
        moment: not before any event that a stored state holds.
    """
    fallen = np.array(
        [
            row["cause"] in OWN and worth.direction(row["from"], row["to"]) == DOWN
            for row in switched.select(["from", "to", "cause"]).to_pylist()
        ],
        dtype=bool,
    )
    rows = switched.filter(pa.array(fallen, pa.bool_()))
    if not rows.num_rows:
        return []
    lost = np.array(
        [
            worth.values[row["from"]] - worth.values[row["to"]]
            for row in rows.select(["from", "to"]).to_pylist()
        ]
    )
    rows = rows.take(pa.array(np.argsort(-lost, kind="stable")[:_ASKED]))
    told = _told(rows[CUSTOMER].to_pylist(), main, store, registry, fold, zone, moment)
    brought, expected = (_of(rows, told, name) for name in ("brought", "expected"))
    order = np.argsort(-np.nan_to_num(brought), kind="stable")[:_FIRST]
    if (brought > 0).any():  # of who brought nothing yet nothing is lost that was there
        order = order[brought[order] > 0]
    return [
        {
            CUSTOMER: row[CUSTOMER],
            "from": row["from"],
            "to": row["to"],
            "since": iso(row["since"]),
            "cause": row["cause"],
            "brought": _number(brought[place]) or None,
            "expected": _number(expected[place]),
        }
        for place, row in zip(order, rows.take(pa.array(order)).to_pylist(), strict=True)
    ]


def _told(
    customers: Sequence[str],
    main: SegmentationArtefact,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    moment: datetime,
) -> pa.Table:
    """`customer_id`, `brought` (net revenue so far) and `expected` (spend of the next period)."""
    items = reference.read(registry, main.document["reference_id"])
    outlook = getattr(main.segmenter, "outlook", None)
    tables = []
    ordered = sorted(customers)
    for start in range(0, len(ordered), _AT_ONCE):
        known = from_states(store, fold, zone, ordered[start : start + _AT_ONCE], moment, items)
        if not known.features.num_rows:
            continue
        expected = np.full(known.features.num_rows, np.nan)
        if outlook is not None and SPEND in outlook.head.foretold:
            expected = outlook.head.predict(known.table(main.vocabulary))[SPEND]
        brought = np.nan_to_num(column(known.features, NET_REVENUE))
        tables.append(
            pa.table(
                {
                    CUSTOMER: known.features[CUSTOMER],
                    "brought": pa.array(brought),
                    "expected": pa.array(expected),
                }
            )
        )
    if not tables:
        return pa.table({CUSTOMER: pa.array([], pa.string()), "brought": [], "expected": []})
    return pa.concat_tables(tables)


def _of(rows: pa.Table, told: pa.Table, name: str) -> npt.NDArray[np.float64]:
    places = pc.index_in(rows[CUSTOMER], value_set=told[CUSTOMER].combine_chunks())
    values = told[name].cast(pa.float64()).take(places)
    return np.asarray(pc.fill_null(values, float("nan")).to_numpy(), dtype=np.float64)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
