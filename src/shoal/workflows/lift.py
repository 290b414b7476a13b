"""Lift: what an export made, by the control group that its holdout kept out of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import InputError, UsageError
from shoal.domain.money import MICROS
from shoal.domain.time import DAY_US, from_us, iso
from shoal.features.snapshot import latest_moment
from shoal.ports import Registry
from shoal.workflows import deliveries
from shoal.workflows.audience import Sources

SCHEMA: Final = "shoal.lift/1"

#: Fewer customers on a side say little of means with long tails.
_FEW: Final = 30


def lift(sources: Sources, action_id: str, *, days: int | None = None) -> dict[str, Any]:
    """The JSON document `shoal.lift/1`: buyers, orders and net revenue of both groups so far.

    The groups are compared as they were assigned, whether or not a message arrived, so the
    difference is caused by the export and nothing else (intention to treat).

    Args:
        action_id: of an export with a holdout, or the export's id (`export-0001`).
        days: how long after the export something counts; None: until the shop's now.

    Raises:
        UsageError: `unknown_action`.
        InputError: `too_little_data`, nothing happened since, or a group is empty.
    """
    from shoal.features.exposed import outcomes

    known = {one.delivery_id: one for one in deliveries.deliveries(sources.registry)}
    if action_id in known:
        action_id = known[action_id].document["action_id"] or action_id
    now = latest_moment(sources.warehouse)
    counted = sources.admission.at(now)  # its files are there for as long as it is
    table = outcomes(
        sources.warehouse.engine, counted.events(), sources.fold.rules, action_id, before=now,
        span_us=None if days is None else days * DAY_US,
    )  # fmt: skip
    if not table.num_rows:
        raise _unknown(sources.registry, action_id)
    since = from_us(pc.min(table["since_us"]).as_py())
    until = (
        now
        if days is None
        else min(now, from_us(pc.max(table["since_us"]).as_py() + days * DAY_US))
    )
    exposed = np.asarray(table["exposed"].to_numpy(), dtype=bool)
    _enough(exposed, since, until, action_id)
    return _document(table, exposed, action_id, since, until, days, sources)


def _enough(exposed: Any, since: datetime, until: datetime, action_id: str) -> None:
    if until <= since:
        raise InputError(
            "too_little_data",
            f"nothing happened since {action_id} at {iso(since)}",
            where=action_id,
            hint="Ingest what customers did afterwards, then ask again.",
        )
    if exposed.all() or not exposed.any():
        who = "held out" if exposed.all() else "sent to"
        raise InputError(
            "too_little_data",
            f"nobody was {who} by {action_id}, so there is nothing to compare with",
            where=action_id,
            hint="Export to more customers, or with another share: --holdout 10%.",
        )


def _document(
    table: pa.Table,
    exposed: Any,
    action_id: str,
    since: datetime,
    until: datetime,
    days: int | None,
    sources: Sources,
) -> dict[str, Any]:
    from shoal.evaluation.lift import mean_difference, share_difference

    orders, net = table["orders"].to_numpy(), table["net"].to_numpy() / MICROS
    bought = orders > 0
    sides = {"exposed": exposed, "held_out": ~exposed}
    n = {name: int(side.sum()) for name, side in sides.items()}
    buyers = {name: int(bought[side].sum()) for name, side in sides.items()}
    share = share_difference(buyers["exposed"], n["exposed"], buyers["held_out"], n["held_out"])
    spend = mean_difference(net[exposed], net[~exposed])
    warnings = []
    if min(n.values()) < _FEW:
        warnings.append(
            f"A group has fewer than {_FEW} customers: the intervals say little of so few."
        )
    return {
        "schema": SCHEMA,
        "action_id": action_id,
        "since": iso(since),
        "until": iso(until),
        "days": days,
        "currency": sources.fold.rules.currency,
        **{
            name: {
                "customers": n[name],
                "buyers": buyers[name],
                "share_buying": buyers[name] / n[name],
                "orders": int(orders[side].sum()),
                "net_revenue": float(net[side].sum()),
                "net_revenue_per_customer": float(net[side].mean()),
            }
            for name, side in sides.items()
        },
        "share_buying_lift": share.as_document(),
        "net_revenue_per_customer_lift": None if spend is None else spend.as_document(),
        "extra_buyers": share.figure * n["exposed"],
        "extra_net_revenue": None if spend is None else spend.figure * n["exposed"],
        "warnings": warnings,
    }


def _unknown(registry: Registry, action_id: str) -> UsageError:
    known = [
        one.document["action_id"]
        for one in deliveries.deliveries(registry)
        if one.document["action_id"] is not None
    ]
    return UsageError(
        "unknown_action",
        f"no exposure of the shop has the action {action_id!r}",
        where=action_id,
        hint=f"Actions: {', '.join(known[-10:])}."
        if known
        else "Export with a control group first: shoal export SHOP SEGMENT --holdout 10%",
    )
