"""A shop worth a backup: events, segments, a model's file, refused rows and calls that wait."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tests.shops import purchase, write_csv

import shoal as package
from shoal.config import Config
from shoal.ports import Arrived
from shoal.shop.audited import note

#: Customers of the shop.
CUSTOMERS = 12


def made(home: Path) -> Path:
    """The shop's directory, below a new one."""
    config = replace(Config(), shop=replace(Config().shop, buckets=3))
    rows = [purchase(number, f"c{number % CUSTOMERS}") for number in range(48)]
    rows.append(purchase(900, "null"))  # it is refused
    with package.init(home / "shop", config) as shop:
        shop.ingest(write_csv(home / "orders.csv", rows), preset="shoal")
        shop.segment(method="rfm")
        with shop._parts.registry.create("model", "nano") as directory:
            weights = {"weights": np.arange(64, dtype=np.float32)}
            save_file(weights, directory / "weights.safetensors")
        shop._parts.store.set_pointer("model.main", "nano-0001", datetime(2024, 4, 1, tzinfo=UTC))
        with closing(shop.inbox()) as inbox:
            inbox.append([call(number) for number in range(3)])
    note(home / "shop", "shop.made", customers=CUSTOMERS)
    note(home / "shop", "shop.looked_at")
    return home / "shop"


def call(number: int, customer: str = "c1") -> Arrived:
    """A call as the service keeps it."""
    document = {
        "type": "track", "event": "Product Viewed", "messageId": f"m{number}",
        "userId": customer, "timestamp": f"2024-03-20T10:00:{number % 60:02d}Z",
        "properties": {"product_id": f"p{number}", "price": 9.5},
    }  # fmt: skip
    return Arrived("web", f"m{number}", 1, json.dumps(document).encode())


def states(shop: package.Shop) -> dict[str, bytes]:
    """Each customer's state, byte for byte."""
    return {
        row["customer_id"]: row["body"]
        for batch in shop._parts.store.iter_states()
        for row in batch.to_pylist()
    }
