"""An order's amounts on its lines: sums are exact, parts stay within what they are parts of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.domain.money import micros
from shoal.events.shapes.order_lines import (
    allocated,
    amount_text,
    line_discounts,
    micros_of,
    priced,
    refund_parts,
    units_of,
)

_AMOUNTS = st.integers(0, 10**12)


@given(_AMOUNTS, st.lists(st.integers(-(10**6), 10**12), min_size=1, max_size=9))
def test_a_total_is_spread_exactly(total: int, weights: list[int]) -> None:
    parts = allocated(total, weights)
    assert sum(parts) == total and min(parts) >= 0
    if 0 < sum(max(w, 0) for w in weights) >= total:
        assert all(part <= max(weight, 0) for part, weight in zip(parts, weights, strict=True))


@given(_AMOUNTS, st.integers(1, 1000))
def test_an_amount_is_price_times_units_less_discount(amount: int, units: int) -> None:
    found = priced(amount, units)
    assert found.price * units - found.discount == amount
    assert 0 <= found.discount < units


@given(st.integers(-(10**15), 10**15))
def test_amounts_are_written_exactly(amount: int) -> None:
    assert micros(amount_text(amount) or "") == amount


@given(
    st.lists(st.tuples(_AMOUNTS, _AMOUNTS), min_size=1, max_size=6),
    st.integers(0, 100),
)
def test_the_subtotal_decides_what_was_taken_off(
    lines: list[tuple[int, int]], percent: int
) -> None:
    gross = [cost for cost, _ in lines]
    own = [min(cost, off) for cost, off in lines]
    subtotal = sum(gross) * percent // 100
    discounts, unexplained = line_discounts(gross, own, None, subtotal)
    assert sum(gross) - sum(discounts) == subtotal and unexplained == 0
    assert all(0 <= off <= cost for off, cost in zip(discounts, gross, strict=True))


def test_a_subtotal_beyond_all_lines_is_named_and_takes_nothing_off() -> None:
    assert line_discounts([10, 20], [0, 0], None, 45) == ([0, 0], 15)


def test_without_a_subtotal_the_larger_statement_counts() -> None:
    assert line_discounts([100, 100], [10, 0], 40, None)[0] == [24, 16]
    assert sum(line_discounts([100, 100], [10, 20], 5, None)[0]) == 30


@given(_AMOUNTS, _AMOUNTS, _AMOUNTS, _AMOUNTS)
def test_a_refund_comes_apart_without_loss(amount: int, products: int, tax: int, rest: int) -> None:
    parts = refund_parts(amount, products, tax, rest)
    assert parts.products + parts.tax + parts.rest == amount
    assert 0 <= parts.tax <= tax and 0 <= parts.rest <= rest
    assert parts.beyond == max(amount - products - tax - rest, 0)
    if amount == products + tax + rest:
        assert parts.products == products


@pytest.mark.parametrize(
    ("value", "expected"),
    [("19.99", 19_990_000), (19.99, 19_990_000), (3, 3_000_000), ("", None), (None, None),
     ("free", None), (True, None), ([1], None), ("nan", None), ("1e300", None)],
)  # fmt: skip
def test_amounts_of_a_file(value: object, expected: int | None) -> None:
    assert micros_of(value) == expected


def test_quantities_of_a_file() -> None:
    found = [units_of(value) for value in (None, "", "2", 2.0, "2.5", "x", -1)]
    assert found == [1, 1, 2, 2, 0, 0, -1]
