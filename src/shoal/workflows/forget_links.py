"""What is left of a device's links when some of the customers on it were forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def trimmed(links: pa.Table, gone: Sequence[str], shared_by: int) -> tuple[pa.Table, list[str]]:
    """The links without those to some customers, and the devices that are somebody's again.

    Links are kept where something changes; of what is left those go that now say what the one
    before says. That is what the remaining events tell, too.

    Args:
        links: `LINKS_SCHEMA` of some devices, in order.
        gone: customers.
        shared_by: the most customers of a device before it is nobody's.
    """
    if not links.num_rows:
        return links, []
    from shoal.features.people import customers_an_id, standing

    def crowded(table: pa.Table) -> set[str]:
        known = standing(table)
        names = known["id"].unique().to_pylist()
        counts = customers_an_id(known) if known.num_rows else ()
        return {name for name, count in zip(names, counts, strict=True) if count > shared_by}

    theirs = pc.is_in(links["customer_id"], value_set=pa.array(list(gone), pa.string()))
    rest = links.filter(pc.invert(theirs)).combine_chunks()
    said = [rest[name].to_pylist() for name in ("id", "customer_id", "says")]
    rows = list(zip(*said, strict=True))
    new = [n == 0 or row != rows[n - 1] for n, row in enumerate(rows)]
    rest = rest.filter(pa.array(np.array(new, dtype=bool)))
    return rest, sorted(crowded(links) - crowded(rest))
