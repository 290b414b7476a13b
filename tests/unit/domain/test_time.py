from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, from_us, iso, parse_moment, to_us


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01", "2024-03-01T00:00:00Z"),
        ("2024-03-01T10:00", "2024-03-01T10:00:00Z"),
        ("2024-03-01T10:00:00Z", "2024-03-01T10:00:00Z"),
        ("2024-03-01T10:00:00.5+08:00", "2024-03-01T02:00:00.500000Z"),
    ],
)
def test_no_offset_is_utc_and_a_date_is_midnight(text: str, expected: str) -> None:
    assert iso(parse_moment(text)) == expected


def test_dates_and_datetimes_pass_as_they_are() -> None:
    assert parse_moment(date(2024, 3, 1)) == datetime(2024, 3, 1, tzinfo=UTC)
    assert parse_moment(datetime(2024, 3, 1, 5)) == datetime(2024, 3, 1, 5, tzinfo=UTC)


def test_an_unreadable_time_names_what_it_got_and_what_is_allowed() -> None:
    with pytest.raises(UsageError, match="cannot read 'yesterday' as a time") as caught:
        parse_moment("yesterday")
    assert caught.value.code == "bad_time"
    assert "ISO 8601" in caught.value.hint


def test_microseconds_round_trip_beyond_float_precision() -> None:
    moment = datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert from_us(to_us(moment)) == moment


def test_local_days_follow_the_zone_over_a_clock_change() -> None:
    london = Zone("Europe/London")
    before = datetime(2024, 3, 31, 0, 30, tzinfo=UTC)  # still GMT
    after = datetime(2024, 3, 31, 23, 30, tzinfo=UTC)  # 00:30 of the next local day, BST

    assert london.offset_s(before) == 0
    assert london.offset_s(after) == 3600
    assert london.local_day(after) - london.local_day(before) == 1


def test_an_unknown_zone_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="unknown time zone 'Mars/Olympus'"):
        Zone("Mars/Olympus")
