"""Consents: the latest statement counts, and a withdrawal where nobody knows which was later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from tests.shops import engine

from shoal.events.schema import TABLE_SCHEMA
from shoal.features.consent import consents_at

START = datetime(2024, 5, 1, 10, tzinfo=UTC)
NAMES = ("customer_id", "kind", "event_time", "channel", "properties")
SCHEMA = pa.schema([TABLE_SCHEMA.field(name) for name in NAMES])


def said(us: int, granted: str | None, who: str | None = "ann", **more: Any) -> dict[str, Any]:
    """A statement `us` microseconds after the start; `granted` as JSON."""
    text = None if granted is None else f'{{"granted":{granted}}}'
    return {"customer_id": who, "kind": "consent", "channel": "email", "properties": text,
            "event_time": START + timedelta(microseconds=us), **more}  # fmt: skip


def consents(*rows: dict[str, Any], after_us: int = 3_600_000_000) -> list[tuple[str, str, bool]]:
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    found = consents_at(engine(), table, START + timedelta(microseconds=after_us)).to_pylist()
    return [(row["customer_id"], row["channel"], row["granted"]) for row in found]


@pytest.mark.parametrize("word", ["true", "1", '"yes"', '"granted"', '"Granted"', '"TRUE"', '"1"'])
def test_words_that_grant(word: str) -> None:
    assert consents(said(0, word)) == [("ann", "email", True)]


@pytest.mark.parametrize("word", ["false", "0", '"no"', '"denied"', "null", '"maybe"', '""', None])
def test_what_does_not_grant_denies(word: str | None) -> None:
    assert consents(said(0, word)) == [("ann", "email", False)]


def test_a_property_that_is_no_json_grants_nothing() -> None:
    assert consents(said(0, "true", properties="granted")) == [("ann", "email", False)]


@pytest.mark.parametrize(("gap_us", "granted"), [(0, False), (1_000_000, False), (1_000_001, True)])
def test_a_withdrawal_wins_within_a_second(gap_us: int, granted: bool) -> None:
    rows = [said(0, "false"), said(gap_us, "true")]
    assert consents(*rows) == consents(*reversed(rows)) == [("ann", "email", granted)]


def test_a_withdrawal_ends_a_consent() -> None:
    rows = [said(0, "true"), said(5_000_000, "false")]
    assert consents(*rows) == [("ann", "email", False)]
    assert consents(*rows, after_us=5_000_000) == [("ann", "email", True)]
    assert consents(*rows, after_us=0) == []


def test_each_customer_and_channel_for_itself() -> None:
    rows = [
        said(0, "true"), said(0, "false", channel="sms"), said(1, "true", "bob"),
        said(2, "true", None), said(3, "true", channel=None), said(4, "true", kind="profile"),
    ]  # fmt: skip
    assert consents(*rows) == [
        ("ann", "email", True), ("ann", "sms", False), ("bob", "email", True),
    ]  # fmt: skip
