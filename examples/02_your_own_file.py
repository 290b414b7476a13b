"""Bring in a file of one's own: say which column is what, and see what was not stored and why.

python examples/02_your_own_file.py [FOLDER]
"""

import sys
from pathlib import Path

import shoal

here = Path(sys.argv[1] if len(sys.argv) > 1 else "example-02")
here.mkdir(parents=True, exist_ok=True)

# A till's export: one line a sale, two of them unusable.
sales = ["receipt;client;when;article;pieces;price"]
sales += [
    f"{n};client-{n % 40:02d};2025-{1 + n % 6:02d}-{1 + n % 27:02d} 1{n % 10}:30;"
    f"article-{n % 17};{1 + n % 3};{4 + n % 23}.50"
    for n in range(600)
]
sales += ["901;client-01;yesterday;article-3;1;5.00", "902;client-02;2025-03-01 11:00;a;1;cheap"]
(here / "sales.csv").write_text("\n".join(sales) + "\n", encoding="utf-8")
(here / "sales.toml").write_text(
    """\
source = "till"
currency = "GBP"

[columns]
order_id = "receipt"
customer_id = "client"
event_time = "when"
item_id = "article"
quantity = "pieces"
price = "price"

[constants]
kind = "purchase"

[time]
zone = "Europe/London"

[csv]
delimiter = ";"
""",
    encoding="utf-8",
)

with shoal.init(here / "shop") as shop:
    account = shop.ingest([here / "sales.csv"], mapping=here / "sales.toml")
    print(account.as_document()["rows"])
    print("not stored, and why:", account.as_document()["quarantine"])
    features = shop.features(as_of="2025-06-01")
    print(features.select(["customer_id", "orders", "spend"]).slice(0, 3).to_pylist())
