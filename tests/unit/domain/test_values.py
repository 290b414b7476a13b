from __future__ import annotations

import pytest

from shoal.domain.account import RowAccount
from shoal.domain.kinds import ALIASES, KINDS, kind_of
from shoal.domain.money import micros


def test_every_alias_names_a_kind_and_is_written_as_it_is_looked_up() -> None:
    assert set(ALIASES.values()) <= set(KINDS)
    assert all(name == name.strip().lower() for name in ALIASES)


def test_kind_of_reads_canonical_segment_and_ga4_names() -> None:
    assert kind_of(" Purchase ") == "purchase"
    assert kind_of("Product Added") == "cart_add"
    assert kind_of("view_item") == "view"
    assert kind_of("teleport") is None


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("19.99", 19_990_000), (0.1, 100_000), ("0.0000005", 0), ("0.0000015", 2), ("-3", -3_000_000)],
)
def test_micros_are_exact_and_round_half_to_even(amount: str | float, expected: int) -> None:
    assert micros(amount) == expected


@pytest.mark.parametrize("amount", ["nan", "inf", "1e20", "ten"])
def test_micros_refuse_what_is_no_amount(amount: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        micros(amount)


def test_a_row_account_must_add_up() -> None:
    with pytest.raises(ValueError, match="does not add up: read 5, accounted 4"):
        RowAccount(read=5, stored=4)
    with pytest.raises(ValueError, match="reasons do not add up"):
        RowAccount(read=1, quarantined=1)


def test_row_accounts_add() -> None:
    one = RowAccount(read=3, stored=2, quarantined=1, quarantine={"bad_time": 1})
    two = RowAccount(read=2, duplicate=1, quarantined=1, quarantine={"bad_time": 1})

    assert (one + two).as_document() == {
        "read": 5,
        "stored": 2,
        "duplicate": 1,
        "conflicting": 0,
        "quarantined": 2,
        "skipped": 0,
    }
    assert dict((one + two).quarantine) == {"bad_time": 2}
