"""Exports that are no list of whom to write to: the query of a segment, memberships over time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.features.snapshot import latest_moment
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.segments.ruled.sql import rules_sql
from shoal.segments.rules import Rfm
from shoal.segments.rules_sql import segment_sql
from shoal.workflows.audience import (
    Sources,
    allowing,
    audience_of,
    check_channel,
    resolve,
    told_by,
)
from shoal.workflows.delivery import Order
from shoal.workflows.exported import Exported
from shoal.workflows.history import history
from shoal.workflows.memberships import current, write_table
from shoal.workflows.whole_file import WholeFile, put

#: Every segment of the segmentation, in a history.
EVERY: Final = "all"

_QUERY_WARNING: Final = (
    "A query knows no consents: it selects every customer of the segment, also those who refused."
)


def query(sources: Sources, order: Order, exports_dir: Path, out: Path | None) -> Exported:
    """The SQL that selects the members of a rule segment.

    Raises:
        UsageError: `no_sql_form`.
    """
    found, segment_id = resolve(sources.store, sources.registry, order.segment, order.segmentation)
    segmenter, rules = found.segmenter, sources.fold.rules
    if not isinstance(segmenter, Rfm | RuleSegmenter):
        raise _learned(found, segment_id)
    members = audience_of(sources, found, segment_id)
    if isinstance(segmenter, Rfm):
        assert segmenter.thresholds is not None
        sql = segment_sql(segment_id, segmenter.thresholds, members.as_of, rules)
    else:
        sql = rules_sql(
            segmenter.rules, rules, as_of=members.as_of, zone=sources.zone, segment=segment_id
        )
    path = out or exports_dir / f"{found.segmentation_id}-{segment_id}.sql"
    rows = members.table.num_rows
    put(WholeFile(path, rows, lambda to: to.write_text(sql, encoding="utf-8")))
    return Exported(
        path, rows, "sql", found.segmentation_id, segment_id, members.as_of,
        (*members.warnings, _QUERY_WARNING), members=rows,
    )  # fmt: skip


def _learned(found: SegmentationArtefact, segment_id: str) -> UsageError:
    where = f"{found.segmentation_id}/{segment_id}"
    return UsageError(
        "no_sql_form",
        f"{where} was learned by {found.document['method']} and cannot be written as SQL over "
        "canonical columns",
        where=where,
        hint="Export it as csv or parquet, or take the rule that its tree tells: shoal explain "
        f"SHOP --sql {segment_id}. RFM segments (r01, r02, ...) and those of rules have SQL.",
    )


def memberships_over_time(
    sources: Sources, order: Order, exports_dir: Path, out: Path | None
) -> Exported:
    """The stretches of membership, as the log has them, of customers who allow it."""
    from shoal.features.consent import consents_at

    found, segment_id = _segment_or_all(sources, order)
    table = history(sources.store, found.segmentation_id, segment_id)
    moment = latest_moment(sources.warehouse)
    with told_by(sources, moment) as events:
        consents = consents_at(sources.warehouse.engine, events, moment)
    check_channel(consents, order.channel)
    customers = table[CUSTOMER].combine_chunks().unique()
    kept = customers.filter(pa.array(allowing(consents, customers, order.channel)))
    table = table.filter(pc.is_in(table[CUSTOMER], value_set=kept))
    name = segment_id or EVERY
    path = out or exports_dir / f"{found.segmentation_id}-{name}-history.parquet"
    put(WholeFile(path, table.num_rows, lambda to: write_table(table, to)))
    return Exported(
        path, table.num_rows, "history", found.segmentation_id, name, moment, (), order.channel,
        len(customers), len(customers) - len(kept),
    )  # fmt: skip


def _segment_or_all(sources: Sources, order: Order) -> tuple[SegmentationArtefact, str]:
    named, _, segment = order.segment.rpartition("/")
    if segment == EVERY:
        wanted = named or order.segmentation
        return current(sources.store, sources.registry, wanted), ""
    return resolve(sources.store, sources.registry, order.segment, order.segmentation)
