"""Which events the embeddings of some customers rest on, with the events' own words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.domain.kinds import SEARCH
from shoal.domain.time import to_us
from shoal.features.algebra import CUSTOMER
from shoal.features.queries import Rules
from shoal.features.sequences import read_rows
from shoal.features.tokens import Tokenizer
from shoal.ports import EventTable
from shoal.report.document_model import RestsOn, RestsOnEvent
from shoal.workflows.embed import tokenizer_of

if TYPE_CHECKING:
    from shoal.model.artefact import ModelArtefact


def rests_on(
    counted: EventTable,
    found: ModelArtefact,
    rules: Rules,
    moment: datetime,
    customers: Sequence[str],
    *,
    most: int | None = None,
    version: int | None = None,
) -> dict[str, RestsOn]:
    """What the embeddings of customers at a moment rest on, by customer.

    Customers without an event before the moment are not there.

    Args:
        counted: the events as they count at the moment.
        rules: which events are customers' own.
        most: of each customer's last events are looked at; None: as many as `attribute` takes.

    Raises:
        OperationError: `model_mismatch`, `missing_extra`, as of `tokenizer_of`.
    """
    tokenizer = tokenizer_of(found)
    told: dict[str, RestsOn] = {}
    for rows in read_rows(counted, rules, as_of=moment, customers=customers, version=version):
        told.update(_of_rows(found, tokenizer, rows, moment, most))
    return {name: told[name] for name in dict.fromkeys(customers) if name in told}


def _of_rows(
    found: ModelArtefact, tokenizer: Tokenizer, rows: pa.Table, moment: datetime, most: int | None
) -> Iterator[tuple[str, RestsOn]]:
    from shoal.model.attribution import MOST_EVENTS, attribute

    sequences = tokenizer.encode(rows)
    for row, customer in enumerate(sequences.customers.tolist()):
        seen = attribute(found.model, sequences, row, to_us(moment), most=most or MOST_EVENTS)
        start = int(sequences.offsets[row]) + seen.first
        stop = int(sequences.offsets[row + 1])
        events = rows.slice(start, stop - start)
        assert set(events[CUSTOMER].to_pylist()) == {customer}
        item = sequences.fields["item"][start:stop]
        told = tuple(
            _event(tokenizer, one, int(code), float(occlusion), float(gradient))
            for one, code, occlusion, gradient in zip(
                events.to_pylist(), item, seen.occlusion, seen.gradient, strict=True
            )
        )
        total = int(sequences.lengths[row])
        place = tuple(float(one) for one in seen.embedding)
        yield customer, RestsOn(customer, total, told, dict(seen.fields), place)


def _event(
    tokenizer: Tokenizer, row: dict[str, Any], code: int, occlusion: float, gradient: float
) -> RestsOnEvent:
    title = row["query"] if row["kind"] == SEARCH else row["title"]
    if not title and 0 < code <= len(tokenizer.titles):
        title = tokenizer.titles[code - 1]
    return RestsOnEvent(
        row["event_time"], row["kind"], row["item_id"] or "", title or "", row["category"] or "",
        occlusion, gradient,
    )  # fmt: skip
