"""Export the members of a segment: a list of customers, or the SQL that selects them.

What every list obeys, in this order: consents, an address where the form needs one, the control
group of a holdout. A list for a destination (`Order.delivery`) is recorded, so that the next one
says what changed; with a holdout it is also told as exposures. A file is written aside and put in
its place whole, the exposures of its customers before, the record after: killed in between and run
again, nobody is missed and nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.time import Clock, Zone, iso, system_clock
from shoal.features.contacts import Opened
from shoal.features.fold import Fold
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments.base import CUSTOMER
from shoal.workflows import deliveries, holdout, list_formats
from shoal.workflows.admission import Admission
from shoal.workflows.audience import Now, Sources
from shoal.workflows.delivery import Order, Plan, planned
from shoal.workflows.exported import FORMATS, NO_LISTS, Exported
from shoal.workflows.exposures import FrontDoor
from shoal.workflows.forget_lists import cleanings
from shoal.workflows.memberships import check_ending, write_table
from shoal.workflows.unlisted import memberships_over_time, query
from shoal.workflows.whole_file import WholeFile, aside

#: The longest name that a destination may have.
_LONGEST_NAME: Final = 80


def export(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    segment: str,
    format: str = "csv",
    exports_dir: Path,
    out: Path | None = None,
    segmentation: str | None = None,
    channel: str = "",
    to: str = "",
    since: str = "",
    share: float | None = None,
    holdout_name: str = holdout.MAIN,
    asked_by: str = "",
    buckets: int = 16,
    now: Now | None = None,
    opened: Opened | None = None,
    clock: Clock = system_clock,
) -> Exported:
    """Write the members of a segment as they are now.

    Args:
        segment: an id of the main or the RFM segmentation (`s03`, `r01`, `new`), or both ids
            (`kmeans-0001/s03`); of a history also `all`. Since the `last` export also a segment
            that is gone meanwhile: everybody has left it.
        format: one of `FORMATS`; `sql` for rule segments only.
        exports_dir: where the file goes unless `out` is given, whose ending says the format.
        channel: members who have not granted it now are left out and counted. Empty: those who
            refused all marketing, or all that they were asked.
        to: the destination's name; the export is recorded under it.
        since: what changed since `last`, an export, a segmentation or a moment.
        share: of the customers who could be on the list, held out as a control group.
        asked_by: who wanted it, for the record.
        buckets: the event table's number of customer buckets.
        now: what was read already.
        opened: tells what is sealed; None: nobody's address is told where addresses are.

    Raises:
        UsageError: `unknown_format`, `unknown_segment`, `unknown_segmentation`, `no_sql_form`,
            `unknown_channel`, `unknown_export`, `bad_holdout`, `usage`.
        InputError: `too_little_data`.
        OperationError: `shop_locked` (of a recorded one), `disk_full`, `no_permission`; no half
            file is left and the file that was there before stands.
    """
    order = Order(segment, format, segmentation, channel, to, since, share, holdout_name)
    check(order, out)
    sources = Sources(warehouse, store, registry, fold, zone, admission, now, opened)
    if format == "sql":
        return query(sources, order, exports_dir, out)
    if format == "history":
        return memberships_over_time(sources, order, exports_dir, out)
    door = FrontDoor(warehouse, store, fold, admission, zone, buckets)
    while True:
        seen = cleanings(store.erasures)
        plan = planned(sources, order)
        path = out or exports_dir / _name_of(plan)
        files = _files(plan, path)
        try:
            for file in files:
                file.write()
            if not order.delivery:
                for file in files:
                    file.place()
                return _exported(plan, files, {})
            with store.lease():
                if cleanings(store.erasures) != seen or not _stands(store, plan):
                    continue  # somebody was forgotten meanwhile, or the same holdout was begun
                return _delivered(plan, files, sources, door, asked_by, clock)
        finally:
            for file in files:
                file.abandon()


def _stands(store: StateStore, plan: Plan) -> bool:
    """Whether the holdout that the plan was made with is the shop's."""
    return plan.holdout is None or holdout.keep(store, plan.holdout) == plan.holdout


def check(order: Order, out: Path | None) -> None:
    """Refuse what cannot be asked for together, before anything is worked out.

    Raises:
        UsageError: `unknown_format`, `usage`.
    """
    if order.format not in FORMATS:
        raise UsageError(
            "unknown_format",
            f"no export format {order.format!r}",
            hint=f"Formats: {', '.join(FORMATS)}.",
        )
    if out is not None and FORMATS[order.format]:
        check_ending(out, FORMATS[order.format], f"lists in the format {order.format}")
    if len(order.to) > _LONGEST_NAME or not order.to.isprintable():
        raise UsageError(
            "usage",
            f"{order.to[:_LONGEST_NAME]!r} is no name of a destination",
            where="--to",
            hint=f"Allowed: at most {_LONGEST_NAME} printable characters.",
        )
    if order.format in NO_LISTS and (order.to or order.since or order.share is not None):
        raise UsageError(
            "usage",
            f"the format {order.format} is no list to be sent: --to, --since and --holdout have "
            "no meaning for it",
            hint="Export it as csv, parquet, klaviyo or segment.",
        )
    if order.format == "sql" and order.channel:
        raise UsageError(
            "usage",
            "a query cannot be held to consents",
            hint="Export the list as csv or parquet with --channel.",
        )


def files_of(order: Order, out: Path) -> list[Path]:
    """Every file that an export to `out` may make, also for a moment."""
    files = [out]
    if order.format == "klaviyo" and order.since:
        files.append(_exited_path(out))
    return [path for file in files for path in (file, aside(file))]


# --- lists --------------------------------------------------------------------------------------


def _exited_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}-exited{path.suffix}")


def _name_of(plan: Plan) -> str:
    made = f"{plan.members.segmentation_id}-{plan.members.segment_id}"
    form = plan.order.format
    own = "" if form in ("csv", "parquet") else f"-{form}"
    return f"{made}{own}{FORMATS[form][0]}"


def _files(plan: Plan, path: Path) -> list[WholeFile]:
    """What is written for a plan: one file, or for Klaviyo's changes two."""
    form, members, changes = plan.order.format, plan.members, plan.changes
    if form == "segment":
        calls = changes or list_formats.Changes(
            members.customers, pa.array([], pa.string()), full=True
        )
        rows = len(calls.entered) + len(calls.exited)
        return [
            WholeFile(path, rows, lambda to: list_formats.write_segment_calls(to, members, calls))
        ]
    if form == "klaviyo":
        return _klaviyo_files(plan, path)
    table = list_formats.as_table(members, changes)
    return [WholeFile(path, table.num_rows, lambda to: write_table(table, to))]


def _klaviyo_files(plan: Plan, path: Path) -> list[WholeFile]:
    contacts, granted = plan.standing.contacts, plan.standing.granted
    assert contacts is not None
    if plan.changes is not None:
        fresh = pc.is_in(contacts[CUSTOMER], value_set=plan.changes.entered).combine_chunks()
        contacts, granted = contacts.filter(fresh), granted.filter(fresh)
    told = (plan.members, plan.order.channel)
    files = [
        WholeFile(
            path,
            contacts.num_rows,
            lambda to: list_formats.write_klaviyo(to, contacts, *told, granted),
        )
    ]
    gone = plan.exited_contacts
    if gone is not None:
        never = pa.nulls(gone.num_rows, granted.type)
        files.append(
            WholeFile(
                _exited_path(path),
                gone.num_rows,
                lambda to: list_formats.write_klaviyo(to, gone, plan.members, "", never),
            )
        )
    return files


def _exported(plan: Plan, files: Sequence[WholeFile], delivery: Mapping[str, Any]) -> Exported:
    standing, changes = plan.standing, plan.changes
    warnings = list(plan.warnings)
    large = plan.order.format == "klaviyo" and any(
        file.path.stat().st_size > list_formats.KLAVIYO_BYTES for file in files
    )
    if large:
        warnings.append("The file is larger than the 50 MB that Klaviyo takes at once: split it.")
    return Exported(
        files[0].path,
        sum(file.rows for file in files),
        plan.order.format,
        plan.members.segmentation_id,
        plan.members.segment_id,
        plan.members.as_of,
        tuple(warnings),
        plan.order.channel,
        standing.everybody,
        standing.refusing,
        standing.unreachable if plan.order.format == "klaviyo" else None,
        None if plan.holdout is None else len(standing.held_out),
        None if changes is None else len(changes.entered),
        None if changes is None else len(changes.exited),
        files[1].path if len(files) > 1 else None,
        delivery,
    )


def _delivered(
    plan: Plan,
    files: Sequence[WholeFile],
    sources: Sources,
    door: FrontDoor,
    asked_by: str,
    clock: Clock,
) -> Exported:
    """Tell the exposures, put the files in place, record the delivery; under the lease."""
    told = 0
    if plan.action is not None:
        told = door.tell(plan.action, plan.exposed, plan.unexposed)
    for file in files:
        file.place()
    document = {
        **_exported(plan, files, {}).as_document(),
        "destination": plan.order.destination,
        "since": plan.baseline or None,
        "asked_by": asked_by or None,
        "made_at": iso(clock()),
        "holdout": None
        if plan.holdout is None
        else {"name": plan.holdout.name, "share": plan.holdout.share},
        "action_id": None if plan.action is None else plan.action.action_id,
        "exposures": told,
        "listed": len(plan.standing.listed.customers),
    }
    for name in ("schema", "delivery", "warnings"):
        del document[name]
    delivery_id = deliveries.write(sources.registry, document, plan.standing.listed)
    kept = ("destination", "since", "holdout", "action_id", "exposures", "listed")
    delivery = {"delivery_id": delivery_id, **{name: document[name] for name in kept}}
    return _exported(plan, files, delivery)
