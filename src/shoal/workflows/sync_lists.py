"""The lists of a sync: who entered and who left each segment since the last list of it.

Every segment of the main segmentation has a list at the destination, whole the first time. A list
of a segment that is gone is emptied. Where nothing changed, nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from shoal.domain.segment import TIER_NEW
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.workflows import deliveries
from shoal.workflows.audience import Now, Sources, consents_of
from shoal.workflows.delivery import FIRST, LAST, Order, planned
from shoal.workflows.exported import FORMATS, Exported
from shoal.workflows.memberships import SCHEMA, current, recorded
from shoal.workflows.sync_steps import SyncOrder

#: Writes one list: the order, its file, and what is known of now.
Write = Callable[[Order, Path, Now], Exported]

#: What is told of each list.
_TOLD: Final = ("segment_id", "entered", "exited", "path")


def lists(sources: Sources, order: SyncOrder, stem: str, write: Write) -> dict[str, Any]:
    """Write what changed on each list.

    Args:
        stem: what names of files begin with. A list that was recorded in a file of that name is not
            written again.

    Raises:
        As of an export.
    """
    main = current(sources.store, sources.registry)
    now = _now(sources)
    told = replace(sources, now=now)
    written: list[dict[str, Any]] = []
    unchanged: list[str] = []
    warnings: list[str] = []
    for segment_id in _segments(sources, main, order):
        asked = Order(
            segment_id, order.format, channel=order.channel, to=order.to, since=LAST
        )  # fmt: skip
        path = _path(order, stem, segment_id)
        last = deliveries.latest(sources.registry, asked.destination, segment_id)
        if last is not None and last.document["path"] == str(path):
            written.append(_list(last.document, last.delivery_id))
        elif planned(told, asked).nothing:
            unchanged.append(segment_id)
        else:
            made = write(asked, path, now)
            # That every list is whole the first time goes without saying.
            warnings += [one for one in made.warnings if not one.startswith(FIRST)]
            written.append(_list(made.as_document(), made.delivery["delivery_id"]))
    return {"to": order.to, "lists": written, "unchanged": unchanged, "warnings": warnings}


def _now(sources: Sources) -> Now:
    """What the log says, which the step before brought to now, and consents."""
    found = recorded(store=sources.store, registry=sources.registry)
    table = found.table.select(SCHEMA.names).sort_by(CUSTOMER)
    return Now(replace(found, table=table), consents_of(sources, found.as_of))


def _segments(sources: Sources, main: SegmentationArtefact, order: SyncOrder) -> Iterator[str]:
    """Segments proper, then those that are gone and still have a list."""
    ids = [name for name in main.segmenter.segment_ids if name != TIER_NEW]
    yield from ids
    latest: dict[str, deliveries.Delivery] = {}
    for one in deliveries.deliveries(sources.registry):
        if one.document["destination"] == order.to:
            latest[str(one.document["segment_id"])] = one
    for name in sorted(latest):
        if name not in main.segmenter.segment_ids and latest[name].document["listed"]:
            yield name


def _path(order: SyncOrder, stem: str, segment_id: str) -> Path:
    assert order.export_dir is not None
    return order.export_dir / f"{stem}-{segment_id}{FORMATS[order.format][0]}"


def _list(document: Mapping[str, Any], delivery_id: str) -> dict[str, Any]:
    return {**{name: document[name] for name in _TOLD}, "delivery_id": delivery_id}
