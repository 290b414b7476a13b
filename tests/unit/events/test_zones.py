"""Zone tables against the standard library, moment by moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal.domain.time import Zone, from_us, to_us
from shoal.events.zones import zone_table

ZONES = ["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai",
         "Africa/Casablanca", "America/Sao_Paulo"]  # fmt: skip
_MOMENTS = st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30))


@given(st.sampled_from(ZONES), st.lists(_MOMENTS, min_size=1, max_size=20))
def test_offsets_are_those_of_the_standard_library(name: str, moments: list[datetime]) -> None:
    zone = Zone(name)
    aware = [moment.replace(tzinfo=UTC) for moment in moments]
    found = zone_table(zone).offset_s(np.array([to_us(moment) for moment in aware], np.int64))
    assert found.tolist() == [zone.offset_s(moment) for moment in aware]


@given(st.sampled_from(ZONES), st.lists(_MOMENTS, min_size=1, max_size=20))
def test_local_times_are_read_as_by_the_standard_library(
    name: str, moments: list[datetime]
) -> None:
    local = np.array([to_us(moment.replace(tzinfo=UTC)) for moment in moments], np.int64)
    found = [from_us(int(us)) for us in zone_table(Zone(name)).to_utc(local)]
    expected = [moment.replace(tzinfo=ZoneInfo(name)).astimezone(UTC) for moment in moments]
    assert found == expected


def test_both_changes_of_a_year_minute_by_minute() -> None:
    zone, name = Zone("Europe/London"), "Europe/London"
    for day in (datetime(2024, 3, 31), datetime(2024, 10, 27)):
        moments = [day + timedelta(minutes=m) for m in range(240)]
        local = np.array([to_us(moment.replace(tzinfo=UTC)) for moment in moments], np.int64)
        expected = [to_us(moment.replace(tzinfo=ZoneInfo(name))) for moment in moments]
        assert zone_table(zone).to_utc(local).tolist() == expected
