"""Sources that know people by different ids are joined by the e-mail addresses that they tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.flat_events import FIXTURES
from tests.shops import Shop

from shoal.events.presets import load
from shoal.features.people import links_query, resolve

NEVER = 2**62


@pytest.mark.parametrize("first", ["segment-spec", "shopify-orders"])
def test_orders_by_e_mail_belong_to_the_user_who_has_it(tmp_path: Path, first: str) -> None:
    files = {
        "segment-spec": FIXTURES / "segment-spec" / "calls.jsonl",
        "shopify-orders": FIXTURES / "shopify-orders" / "orders.csv",
    }
    shop = Shop(tmp_path / "shop")
    for preset in sorted(files, key=lambda name: name != first):
        shop.ingest(files[preset], mapping=load(preset))
    links = shop.engine.run(
        shop.engine.compile(links_query(False)), {"events": shop.warehouse.events()}
    )
    owners = {
        row["id"]: (row["customer_id"], row["merged"])
        for row in resolve(links, NEVER, shared_by=10).to_pylist()
    }
    # Merged: also events that bear the address as their customer, such as orders of an export.
    assert owners["ada@example.com"] == ("u-1", True)
    assert owners["bo@example.com"] == ("u-2", True)
    assert owners["anon-1"] == ("u-1", True)  # an alias call
    shop.close()


def test_guest_orders_belong_to_the_registered_customer(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    bulk = FIXTURES / "shopify-bulk"
    shop.ingest(bulk / "customers.jsonl", bulk / "orders.jsonl", mapping=load("shopify-bulk"))
    links = shop.engine.run(
        shop.engine.compile(links_query(False)), {"events": shop.warehouse.events()}
    )
    owners = {row["id"]: row["customer_id"] for row in resolve(links, NEVER, 10).to_pylist()}
    assert owners == {"ada@example.com": "7001", "bo@example.com": "7002"}
    shop.close()
