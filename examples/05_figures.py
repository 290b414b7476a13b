"""The report's figures one by one, as SVG in HTML: what a notebook shows of `shop.segments()`.

python examples/05_figures.py [FOLDER]
"""

import sys
from pathlib import Path

import shoal

here = Path(sys.argv[1] if len(sys.argv) > 1 else "example-05")
shoal.simulate(here / "world", customers=700, days=120, world="steady", seed=4)

with shoal.init(here / "shop") as shop:
    shop.ingest([here / "world"], preset="shoal")
    shop.segment(k=5)
    segments = shop.segments()
    page = [segments._repr_html_(), segments.plot()._repr_html_()]
    page += [segments.plot(one["segment_id"])._repr_html_() for one in segments["segments"][:2]]
    page.append(segments.plot(lang="zh")._repr_html_())

out = here / "figures.html"
out.write_text("<!doctype html><meta charset=utf-8>" + "\n".join(page), encoding="utf-8")
print("written:", out)
