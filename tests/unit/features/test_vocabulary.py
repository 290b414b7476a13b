"""Names with codes: which get one of their own, what the rest shares, and what is counted."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.features.token_logs import START, engine, event, table

from shoal.features.queries import Rules
from shoal.features.vocabulary import Names, learn_counts


def names(counts: dict[str, int], most: int = 10, least: int = 1, buckets: int = 4) -> Names:
    rows = {"name": list(counts), "n": list(counts.values())}
    return Names.of(pa.table(rows), most, least, buckets)


def test_the_commonest_have_codes_of_their_own_ties_by_name() -> None:
    got = names({"c": 5, "b": 5, "a": 1, "d": 9, "e": 2}, most=3, least=2)
    assert got.known == ("d", "b", "c")
    assert got.size == 1 + 3 + 4
    codes = got.codes(pa.array(["d", "b", "c", None, "a", "unheard of"]))
    assert codes.tolist()[:4] == [1, 2, 3, 0]
    assert all(4 <= code < got.size for code in codes[4:])


def test_no_names_at_all() -> None:
    got = names({})
    assert got.codes(pa.array([None, None], pa.string())).tolist() == [0, 0]
    assert 1 <= got.codes(pa.array(["x"]))[0] <= 4
    assert got.codes(pa.array([], pa.string())).tolist() == []
    assert got.codes(pa.chunked_array([], pa.string())).tolist() == []


@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=150), st.integers(1, 5))
def test_codes_do_not_depend_on_neighbours_or_chunks(values: list[str | None], chunks: int) -> None:
    vocabulary = names({"": 3, "a": 2, "\x00": 2, "客": 1})
    whole = vocabulary.codes(pa.array(values, pa.string())).tolist()
    assert whole == [int(vocabulary.codes(pa.array([one], pa.string()))[0]) for one in values]
    size = -(-len(values) // chunks) or 1
    parts = [pa.array(values[i : i + size], pa.string()) for i in range(0, len(values), size)]
    assert vocabulary.codes(pa.chunked_array(parts, pa.string())).tolist() == whole


def test_few_and_many_names_are_looked_up_alike() -> None:
    vocabulary = names({f"n{i}": i + 1 for i in range(300)}, most=200)
    asked = [f"n{i}" for i in range(320)]
    whole = vocabulary.codes(pa.array(asked)).tolist()
    assert whole == [int(vocabulary.codes(pa.array([one]))[0]) for one in asked]
    assert sorted(set(whole) & set(range(1, 201))) == list(range(1, 201))


def test_a_document_gives_the_names_back() -> None:
    vocabulary = names({"a/b": 2, "çé": 1, '"quoted"': 1})
    assert Names.from_document(vocabulary.to_document()) == vocabulary


def test_only_customers_own_events_before_the_moment_are_counted() -> None:
    events = [
        event(1, 0, item_id="lamp", brand="acme", category="home/lamp", channel="web"),
        event(2, 1, item_id="lamp", customer_id=None),
        event(3, 2, item_id="tin", device="phone"),
        event(4, 3, item_id="lamp"),
        event(5, 0.5, item_id="lamp"),
    ]
    rows = table(events, noise=[None, None, None, None, "agent"])
    got = learn_counts(engine(), rows, START + timedelta(days=3), Rules())
    assert got["item_id"].to_pylist() == [{"name": "lamp", "n": 1}, {"name": "tin", "n": 1}]
    assert got["brand"].to_pylist() == [{"name": "acme", "n": 1}]
    assert got["category"].to_pylist() == [{"name": "home/lamp", "n": 1}]
    assert got["channel"].to_pylist() == [{"name": "web", "n": 1}]
    assert got["device"].to_pylist() == [{"name": "phone", "n": 1}]


def test_items_are_told_by_facts_then_by_events() -> None:
    events = [
        event(1, 0, item_id="lamp", title="A lamp", brand="zeta", price=10),
        event(2, 1, item_id="lamp", price=21),
        event(3, 0, item_id="tin", title="Tin"),
        event(4, 1, kind="item", item_id="lamp", title="Red lamp", category="home"),
        event(5, 2, kind="item", item_id="tin", price=7, currency="GBP"),
        event(6, 9, kind="item", item_id="lamp", title="told later", brand="later", price=99),
        event(7, 1, kind="item", item_id="nobody looked"),
    ]
    got = learn_counts(engine(), table(events), START + timedelta(days=9), Rules())
    assert got["items"].to_pylist() == [
        {"item_id": "lamp", "title": "Red lamp", "category": "home", "brand": "zeta", "price": 16},
        {"item_id": "tin", "title": "Tin", "category": None, "brand": None, "price": 7},
    ]


@pytest.mark.parametrize(("currency", "price"), [(None, 50), ("GBP", 20), ("EUR", None)])
def test_prices_of_another_currency_are_unknown(currency: str | None, price: int | None) -> None:
    events = [
        event(1, 0, item_id="lamp", price=10, currency="GBP"),
        event(2, 0, item_id="lamp", price=30),
        event(3, 0, item_id="lamp", price=110, currency="USD"),
        event(4, 0, kind="item", item_id="lamp", title="Lamp", price=99, currency="USD"),
    ]
    if currency is None:
        events = events[:3]
    if currency == "EUR":
        events = [events[0], *events[2:]]
    got = learn_counts(engine(), table(events), START + timedelta(days=1), Rules(currency=currency))
    assert got["items"]["price"].to_pylist() == [price]
    kept = {None: [10, 30, 110], "GBP": [10, 30], "EUR": []}[currency]
    assert got["price"]["price"].to_pylist() == kept
