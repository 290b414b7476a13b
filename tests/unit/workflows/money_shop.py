"""A shop whose orders have everything that makes books differ, and its months counted naively."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.events.schema import TABLE_SCHEMA
from shoal.features.admission import PEOPLE_SCHEMA, RATES_SCHEMA
from shoal.features.rates import PICO

Event = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2024, 1, 1, tzinfo=UTC)
UNIT = 1_000_000
#: The shop is two hours ahead of UTC.
OFFSET_S = 7_200
#: One dollar in euros, in each month.
DOLLAR = (0.9, 0.91, 0.92, 0.93, 0.94, 0.95)


def orders(seed: int = 1, n: int = 600) -> list[Event]:
    """Half a year of orders: guests, discounts, tax, late refunds, tests, fees, dollars."""
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    for number in range(n):
        moment = START + timedelta(minutes=int(rng.integers(0, 180 * 1440)))
        if number % 12 == 0:  # the last hour of a month, local time
            moment = datetime(2024, 2 + number // 12 % 5, 1, 22, 30, tzinfo=UTC) - timedelta(days=1)
            moment -= timedelta(minutes=number % 60)
        events += _order(rng, number, moment)
    return [{"source": "shop", "event_id": str(place), "utc_offset_s": OFFSET_S} | event
            for place, event in enumerate(events)]  # fmt: skip


def _order(rng: np.random.Generator, number: int, moment: datetime) -> list[Event]:
    shared: Event = {
        "kind": "purchase", "event_time": moment, "order_id": f"#{number}",
        "customer_id": None if number % 9 == 0 else f"c{number % 130}",
        "currency": "USD" if number % 7 == 0 else "EUR",
        "order_status": "cancelled" if number % 17 == 0 else "paid",
        "noise": "test_order" if number % 31 == 0 else "staff_order" if number % 37 == 0 else None,
    }  # fmt: skip
    free = number % 23 == 0
    lines: list[Event] = []
    for line in range(1 + number % 3):
        price = 0 if free else int(rng.integers(100, 20_000)) * 10_000
        lines.append(
            shared
            | {"price": price, "quantity": int(rng.integers(1, 5)), "content_key": len(lines),
                      "item_id": f"i{line}"}
        )  # fmt: skip
        if number % 4 == 0:
            lines[-1]["discount"] = price // 10
    lines[0] |= {"tax": int(lines[0]["price"]) // 5, "shipping": (number % 5) * UNIT}
    if number % 6 == 0 and not free:
        back = {"kind": "refund", "quantity": 1, "event_time": moment + timedelta(days=33),
                "content_key": 99, "discount": None, "shipping": None}  # fmt: skip
        lines.append(lines[0] | back | {"tax": int(lines[0]["price"]) // 5})
    if number % 10 == 0:
        lines.append(_custom(shared, 4 * UNIT + number * 1_000, fee="POST"))
    if number % 40 == 0:
        lines.append(_custom(shared, 30 * UNIT + number * 1_000, note="gift_card"))
    if number % 33 == 0:
        lines.append(
            shared | {"kind": "refund", "price": 5 * UNIT + number * 1_000, "quantity": 1,
                      "properties": json.dumps({"discount": "Discount"})}
        )  # fmt: skip
    return lines


def _custom(shared: Event, price: int, **notes: str) -> Event:
    return shared | {"kind": "custom", "price": price, "quantity": 1,
                     "properties": json.dumps(notes)}  # fmt: skip


def table(events: Iterable[Event]) -> pa.Table:
    """Events as rows of the event table."""
    return pa.Table.from_pylist(list(events), schema=TABLE_SCHEMA)


def rates() -> pa.Table:
    """A rate of the dollar for every day of the half year and a few more."""
    days = [(START - EPOCH).days + day for day in range(-2, 230)]
    rows = [
        {"currency": "USD", "day": day, "rate_pico": round(rate_of(day) * 1_000) * PICO // 1_000}
        for day in days
    ]
    return pa.Table.from_pylist(rows, schema=RATES_SCHEMA)


def rate_of(day: int) -> float:
    return DOLLAR[min((EPOCH + timedelta(days=day)).month, 6) - 1]


def no_people() -> pa.Table:
    return PEOPLE_SCHEMA.empty_table()


Policy = Callable[[Event], bool]


def months(
    events: Iterable[Event],
    *,
    keep: Policy = lambda event: event["noise"] is None,
    hours: float = 2.0,
    convert: bool = True,
) -> dict[str, dict[str, int]]:
    """Months counted the slow way: a loop over events, decimals as Python integers."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    first_line: dict[str, datetime] = {}
    buyers: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if not keep(event):
            continue
        month = month_of(event, hours)
        sums = found[month]
        worth = lambda name, of=event: euros(of, name, convert)  # noqa: E731
        units = event["quantity"]
        if event["kind"] == "purchase":
            sums["units"] += units
            sums["gross"] += worth("price") * units
            sums["discounts"] += worth("discount")
            sums["tax"] += worth("tax")
            sums["shipping"] += worth("shipping")
            known = first_line.get(event["order_id"], event["event_time"])
            first_line[event["order_id"]] = min(known, event["event_time"])
            if event["customer_id"]:
                buyers[event["customer_id"]].add(month)
        elif event["kind"] == "refund":
            sums["refunds"] += worth("price") * units - worth("discount")
            sums["tax"] -= worth("tax")
            sums["shipping"] -= worth("shipping")
    for moment in first_line.values():
        found[f"{moment + timedelta(hours=hours):%Y-%m}"]["orders"] += 1
    for own in buyers.values():
        found[min(own)]["new_customers"] += 1
        for month in own:
            found[month]["customers"] += 1
    for sums in found.values():
        sums["net"] = sums["gross"] - sums["discounts"] - sums["refunds"]
        sums["total"] = sums["net"] + sums["tax"] + sums["shipping"]
    return {month: dict(found[month]) for month in sorted(found)}


def month_of(event: Event, hours: float = 2.0) -> str:
    return f"{event['event_time'] + timedelta(hours=hours):%Y-%m}"


def euros(event: Event, name: str, convert: bool = True) -> int:
    """An amount in euros, half away from zero."""
    value = event.get(name) or 0
    if event["currency"] != "USD" or not convert:
        return int(value)
    local = event["event_time"] + timedelta(seconds=OFFSET_S)
    thousandths = round(rate_of((local - EPOCH).days) * 1_000)
    return int(value * thousandths + 500) // 1_000
