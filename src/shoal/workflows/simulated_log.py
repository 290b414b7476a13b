"""A simulated shop as the log that moments are computed from, without writing it to disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import SECOND_US, to_us
from shoal.evaluation.log_tally import LOG_SCHEMA
from shoal.events.worlds import encode, sample
from shoal.events.worlds.base import World
from shoal.events.worlds.funnel import CODE


def simulated_log(
    world: World, *, customers: int, days: int, seed: int, kinds: Sequence[str],
    block_customers: int = sample.BLOCK_CUSTOMERS,
) -> pa.Table:  # fmt: skip
    """The events that `simulate` writes with the same arguments, of some kinds, as `LOG_SCHEMA`.

    Events before a visitor was known count as the customer's, as identity joins them. The world's
    times are the shop's local times.

    Args:
        block_customers: another size than the usual one is another draw of the same world.
    """
    catalogue = sample.build_catalogue(world, seed)
    codes = np.array([CODE[kind] for kind in kinds if kind in CODE])
    parts = [LOG_SCHEMA.empty_table()]
    for block in sample.blocks(
        world, catalogue, customers=customers, days=days, seed=seed, block_customers=block_customers
    ):
        rows = block.events[np.isin(block.events["kind"], codes)]
        if not len(rows):
            continue
        events = encode.encode_events(world, catalogue, rows, 0, "")
        quantity = pc.fill_null(events["quantity"], 1)
        spent = pc.multiply(events["price"], quantity)
        columns = {
            "customer": encode.numbered("c", rows["customer"], 8),
            "kind": events["kind"],
            "local_us": pa.array(rows["time_s"] * SECOND_US + to_us(world.dials.start)),
            "sequence": pa.array(rows["step"].astype(np.int64)),
            "item": events["item_id"],
            "category": events["category"],
            "paid": pc.subtract(spent, pc.fill_null(events["discount"], 0.0)),
            "quantity": events["quantity"],
            "order": events["order_id"],
            "session": events["session_id"],
        }
        parts.append(
            pa.table([columns[name].cast(LOG_SCHEMA.field(name).type) for name in columns],
                     schema=LOG_SCHEMA)
        )  # fmt: skip
    return pa.concat_tables(parts)
