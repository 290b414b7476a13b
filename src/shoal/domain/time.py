"""Time: UTC microseconds in storage, the shop's zone for hours and days; alone asks the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shoal.domain.errors import UsageError

DAY_US: Final = 86_400_000_000
SECOND_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
}

#: An event may not lie outside these: earlier is a damaged date, later is a damaged clock.
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC of an aware datetime.

    >>> to_us(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=us)


def parse_moment(text: str | datetime | date) -> datetime:
    """A moment from ISO 8601: no offset means UTC, a bare date means 00:00.

    Raises:
        UsageError: `bad_time`, the text is not ISO 8601.

    >>> parse_moment("2024-03-01").isoformat(), parse_moment("2024-03-01T02:00+02:00").isoformat()
    ('2024-03-01T00:00:00+00:00', '2024-03-01T00:00:00+00:00')
    """
    if isinstance(text, datetime):
        moment = text
    elif isinstance(text, date):
        moment = datetime(text.year, text.month, text.day)
    else:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError as error:
            raise UsageError(
                "bad_time",
                f"cannot read {text!r} as a time",
                hint="Give ISO 8601, for example 2024-03-01 or 2024-03-01T14:30:00+01:00.",
            ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def parse_span(text: str | timedelta) -> timedelta:
    """A length of time: whole weeks, days, hours or minutes, as `2w`, `7d`, `12h`, `30m`.

    Raises:
        UsageError: `bad_time`, the text is no such length or the length is not above 0.

    >>> parse_span("7d"), parse_span("36h")
    (datetime.timedelta(days=7), datetime.timedelta(days=1, seconds=43200))
    """
    span = timedelta()
    if isinstance(text, timedelta):
        span = text
    else:
        number, unit = text.strip()[:-1], _UNITS.get(text.strip()[-1:])
        if unit and number.isascii() and number.isdigit() and len(number) <= 5:
            span = int(number) * unit
    if span <= timedelta():
        raise UsageError(
            "bad_time",
            f"cannot read {str(text)!r} as a length of time above 0",
            hint="Give a whole number of weeks, days, hours or minutes: 2w, 7d, 12h, 30m.",
        )
    return span


def span_text(span: timedelta) -> str:
    """A length of time as `parse_span` reads it: in days where they are whole, else hours, minutes.

    A span that is none of these is told in seconds.

    >>> span_text(timedelta(weeks=1)), span_text(timedelta(hours=36))
    ('7d', '36h')
    """
    for name in ("d", "h", "m"):
        if not span % _UNITS[name]:
            return f"{span // _UNITS[name]}{name}"
    return f"{span.total_seconds():g}s"


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with a Z.

    >>> iso(datetime(2024, 3, 1, tzinfo=UTC))
    '2024-03-01T00:00:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Zone:
    """The shop's time zone, by IANA name."""

    name: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise UsageError(
                "bad_setting",
                f"unknown time zone {self.name!r}",
                hint="Use an IANA name such as Europe/London or Asia/Shanghai.",
            ) from error

    def offset_s(self, moment: datetime) -> int:
        """Seconds to add to UTC to get the shop's local time at that moment."""
        offset = moment.astimezone(ZoneInfo(self.name)).utcoffset()
        assert offset is not None
        return int(offset.total_seconds())

    def local_day(self, moment: datetime) -> int:
        """Days since 1970-01-01 of the shop's local calendar day that holds the moment."""
        return (to_us(moment) // SECOND_US + self.offset_s(moment)) // 86_400


def stopwatch() -> Callable[[], float]:
    """A function that returns the seconds elapsed since this call."""
    started = time.perf_counter()
    return lambda: time.perf_counter() - started
