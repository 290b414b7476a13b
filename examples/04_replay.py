"""Step through the log: what would have been said at each month's end, with what was known then.

python examples/04_replay.py [FOLDER]
"""

import sys
from pathlib import Path

import shoal

here = Path(sys.argv[1] if len(sys.argv) > 1 else "example-04")
shoal.simulate(here / "world", customers=700, days=120, world="steady", seed=3)

with shoal.init(here / "shop") as shop:
    shop.ingest([here / "world"], preset="shoal")
    for cut in shop.replay("2025-03-01", "2025-05-01", every="30d", k=5):
        members = cut.memberships
        sizes = members.group_by("segment_id").aggregate([("customer_id", "count")])
        shown = dict(zip(*(column.to_pylist() for column in sizes.columns), strict=True))
        print(cut.as_of.date(), dict(sorted(shown.items())))
