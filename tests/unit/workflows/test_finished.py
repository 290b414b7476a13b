"""Finished features in memory: who shares a query, what is kept, and what goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.features.tastes import COUNTS_SCHEMA
from shoal.workflows.finished import Finished, Row
from shoal.workflows.known import Known

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def known(customers: Sequence[str], moment: datetime = NOW, orders: int = 3) -> Known:
    n = len(customers)
    table = pa.table(
        {
            "customer_id": pa.array(customers, pa.string()),
            "orders": pa.array([orders] * n, pa.int64()),
            "spend": pa.array([1.5] * n, pa.float64()),
            "gap": pa.array([None] * n, pa.float64()),
            "ratio": pa.array([float("inf")] * n, pa.float64()),
            "trait_plan": pa.array(["gold"] * n, pa.string()),
            "trait_city": pa.array([None] * n, pa.string()),
        }
    )
    return Known(moment, table, COUNTS_SCHEMA.empty_table())


class Shop:
    """Finishes whoever it is asked for, and says of whom it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()

    def finish(self, customers: Sequence[str]) -> Known:
        self.asked.append(sorted(customers))
        self.go.wait(30)
        if "broken" in customers:
            raise RuntimeError("a damaged state")
        return known([name for name in customers if name != "nobody"])


@given(
    numbers=st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(2**53), 2**53)
                     .map(float), min_size=4, max_size=4),
    text=st.text(),
    whole=st.integers(-(2**53), 2**53),
)  # fmt: skip
def test_what_is_written_of_a_row_is_the_json_of_its_values(
    numbers: list[float], text: str, whole: int
) -> None:
    values = np.array([*numbers, float(whole), np.nan, np.nan])
    names = ("a", "b", "c", "d", "n", "text", "none")
    row = Row(NOW, names, values, {5: text}, frozenset({4}))
    wanted = [json.dumps(value, ensure_ascii=False) for value in row.values().values()]
    assert row.written() == wanted


def test_values_come_back_as_they_were() -> None:
    row = Finished(Shop().finish).of("a")
    assert row is not None
    assert row.values() == {
        "orders": 3, "spend": 1.5, "gap": None, "ratio": None, "trait_plan": "gold",
        "trait_city": None,
    }  # fmt: skip
    assert isinstance(row.values()["orders"], int)


def test_who_is_known_costs_no_query_and_who_has_no_state_is_nobody() -> None:
    shop = Shop()
    finished = Finished(shop.finish)
    assert finished.of("nobody") is None
    finished.seen(known(["a", "b"]))
    assert finished.of("a") is not None
    assert shop.asked == [["nobody"]]


def test_who_is_asked_for_meanwhile_shares_the_next_query() -> None:
    shop = Shop()
    shop.go.clear()
    finished = Finished(shop.finish)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(finished.of, "a")
        while not shop.asked:
            pass
        others = [pool.submit(finished.of, name) for name in "bbc"]
        while len(finished._asked) < 2:
            pass
        shop.go.set()
        found = [one.result(30) for one in (first, *others)]
    assert all(row is not None for row in found)
    assert shop.asked == [["a"], ["b", "c"]]


def test_a_failure_reaches_everybody_who_waits_for_it_and_nobody_else() -> None:
    finished = Finished(Shop().finish)
    with pytest.raises(RuntimeError, match="damaged"):
        finished.of("broken")
    assert finished.of("a") is not None


def test_what_is_newer_stays_and_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.workflows import finished as module

    monkeypatch.setattr(module, "FEW", 3)
    finished = Finished(Shop().finish, most=4)
    finished.seen(known(["a", "b"], NOW, orders=9))
    finished.seen(known(["a"], NOW - timedelta(days=1), orders=1))
    row = finished.of("a")
    assert row is not None
    assert row.values()["orders"] == 9
    # A step of everybody takes nobody's place.
    finished.seen(known(list("cdefgh"), NOW))
    assert set(finished._rows) == {"a", "b", "c", "d"}
    finished.seen(known(["z"], NOW))
    assert len(finished._rows) == 4
    assert "z" in finished._rows
    finished.forget(["z"])
    assert "z" not in finished._rows
    finished.clear()
    assert not finished._rows
