"""One customer: which segment, why, and where the segments of two dates differ.

python examples/03_one_customer.py [FOLDER]
"""

import sys
from pathlib import Path

import shoal

here = Path(sys.argv[1] if len(sys.argv) > 1 else "example-03")
shoal.simulate(here / "world", customers=700, days=120, world="drift", seed=2)

with shoal.init(here / "shop") as shop:
    shop.ingest([here / "world"], preset="shoal")
    shop.segment(k=6)
    now = shop.memberships()
    earlier = shop.memberships(as_of="2025-04-01")
    then = dict(
        zip(earlier["customer_id"].to_pylist(), earlier["segment_id"].to_pylist(), strict=True)
    )
    moved = [
        (customer, then[customer], segment)
        for customer, segment in zip(
            now["customer_id"].to_pylist(), now["segment_id"].to_pylist(), strict=True
        )
        if customer in then and "new" not in (then[customer], segment) and then[customer] != segment
    ]
    print(f"{len(moved)} customers changed their segment since April")
    customer, before, after = moved[0]
    print(f"{customer}: {before} -> {after}")
    for reason in shop.customer(customer)["reasons"]:
        print("  because:", reason["sentence"]["en"])
