"""From nothing to a report: simulate a shop whose segments are known, ingest, segment, report.

python examples/01_simulate_segment_report.py [FOLDER]
"""

import sys
from pathlib import Path

import shoal

here = Path(sys.argv[1] if len(sys.argv) > 1 else "example-01")
world = shoal.simulate(here / "world", customers=800, days=120, world="steady", seed=1)
print(f"{world.events:,} events of {world.customers:,} customers")

with shoal.init(here / "shop") as shop:
    account = shop.ingest([world.out], preset="shoal")
    print(f"stored: {account.rows.stored:,} rows")
    shop.segment()
    for segment in shop.segments()["segments"]:
        print(f"{segment['segment_id']}  {segment['size']:>5}  {segment['name']['en']}")
    print("report:", shop.report())
