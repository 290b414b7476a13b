"""A simulated log as calls: each event is sent once, and read back it is what was simulated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

import shoal
from shoal.adapters.memory_inbox import MemoryInbox
from shoal.cli.demo_calls import calls
from shoal.cli.demo_live import _counted
from shoal.domain import kinds
from shoal.domain.time import parse_moment
from shoal.events.collected import judge
from shoal.ports import Arrived
from shoal.workflows.simulate import simulate

NOW = parse_moment("2025-12-01")


def test_calls_become_the_events_that_they_were_made_of(tmp_path: Path) -> None:
    simulate(tmp_path / "simulated", customers=60, days=60, world="drift", seed=3)
    events = pq.read_table(tmp_path / "simulated" / "events.parquet").sort_by("event_time")
    told = list(calls(events))
    orders = {kinds.PURCHASE, kinds.REFUND}
    assert len(told) < events.num_rows, "the lines of an order are one call"
    inbox = MemoryInbox()
    judged = [judge(one, None, NOW) for one in told]
    inbox.append([Arrived("web", one.message_id, 1, one.line) for one in judged])
    with shoal.init(tmp_path / "shop") as shop:
        while shop.drain(inbox).calls:
            pass
        query = "SELECT kind, customer_id, item_id, price FROM events"
        stored = shop._parts.engine.run(query, {"events": shop._parts.warehouse.events()})
        ids = shop.event_ids("web")
    names = ("kind", "customer_id", "item_id")
    before, after = (Counter(zip(*(table[name].to_pylist() for name in names), strict=True))
                     for table in (events, stored))  # fmt: skip
    assert after == before
    bought = [row for row in stored.to_pylist() if row["kind"] in orders]
    assert bought
    assert all(row["price"] for row in bought)
    sent = [one["messageId"] for one in told]
    assert _counted(ids, sent) == (0, 0)
    assert _counted(ids, [*sent, "never"]) == (1, 0)
