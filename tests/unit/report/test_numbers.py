"""Numbers, texts from data, and round ticks."""

from __future__ import annotations

import pytest
from markupsafe import escape

from shoal.report.draw import round_ticks
from shoal.report.names import clean, clipped
from shoal.report.numbers import Numbers

NB = "\u00a0"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, f"0{NB}%"), (1.0, f"100{NB}%"), (0.0004, f"<0.1{NB}%"), (0.99996, f">99.9{NB}%"),
     (0.4567, f"45.7{NB}%"), (-0.02, f"−2.0{NB}%"), (None, "–"), (float("nan"), "–")],
)  # fmt: skip
def test_shares_are_never_rounded_to_none_or_all(value: float | None, shown: str) -> None:
    assert Numbers().share(value) == shown


@pytest.mark.parametrize(
    ("currency", "value", "shown"),
    [("GBP", 1234567.8, f"GBP{NB}1,234,568"), ("GBP", 0.5, f"GBP{NB}0.50"), ("", 12.3, "12.30"),
     ("JPY", 12.3, f"JPY{NB}12"), ("EUR", -5.0, f"EUR{NB}−5.00"), ("EUR", None, "–")],
)  # fmt: skip
def test_money_has_its_currency_and_right_cents(
    currency: str, value: float | None, shown: str
) -> None:
    assert Numbers(currency=currency).money(value) == shown


def test_large_amounts_are_short_in_each_languages_own_steps() -> None:
    assert Numbers("en", "USD").short_money(2.5e9) == f"USD{NB}2.50bn"
    assert Numbers("zh", "CNY").short_money(2.5e9) == f"CNY{NB}25.00亿"
    assert Numbers("zh").short_count(123_456) == "12.3万"
    assert Numbers("en").short_count(60_000) == "60k"


def test_names_are_cut_before_they_are_looked_at_and_keep_no_control_marks() -> None:
    assert clean("W" * 10_000_000, 60) == "W" * 59 + "…"
    assert clean("a\x00\u202e\u2066b\n c") == "a b c"
    assert clean("   ") == "–"


def test_what_was_cut_can_be_read_by_pointing_and_nowhere_else() -> None:
    name = clipped('"><script>' + "x" * 100, 20)
    assert str(escape(name)).startswith('<span title="&quot;&gt;&lt;script&gt;xxx')
    assert "title" not in f"{name}"
    assert str(escape(clipped("<b>", 20))) == "&lt;b&gt;"


@pytest.mark.parametrize("top", [0.0, 0.4, 1, 3, 7.5, 10, 99, 870, 12_345, 9.9e9])
def test_ticks_are_few_round_and_inside(top: float) -> None:
    places = round_ticks(0, top)
    assert places[0] == 0
    assert len(places) <= 6
    assert all(place <= top for place in places)
    assert top == 0 or places[-1] > top / 2
