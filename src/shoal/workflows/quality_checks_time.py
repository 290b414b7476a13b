"""Checks of clocks: events from the future or from long ago, delays, dates without a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from shoal.config import QualityConfig
from shoal.domain.kinds import ITEM
from shoal.domain.quality import ERROR, NOTE, WARNING, Finding
from shoal.domain.time import DAY_US, to_us
from shoal.workflows.quality_judging import between_sql, judged, local_date
from shoal.workflows.quality_tables import LENIENT_US, LOCAL, Days, Series, of_source, text_sql

#: From this share on all times are taken to be dates without a time of day.
_DATES: Final = 0.9
#: Midnight's share of a source with times of day from which it is suspicious: a day has 86,400
#: seconds, and even sources told to the minute put one event in 1,440 there.
_MIDNIGHT: Final = 0.02
#: What lies before a hole of so many days and is so small a share of all is stray.
_STRAY_DAYS: Final = 365
_STRAY_SHARE: Final = 0.001


def resolution(whole: Series) -> str:
    """What a source's times are told to: `day`, `hour`, `minute`, `second` or `fraction`."""
    n = int(whole.n.sum())
    for name, unit in (
        ("midnight", "day"),
        ("whole_hour", "hour"),
        ("whole_minute", "minute"),
        ("whole_second", "second"),
    ):
        if int(whole.counts[name].sum()) > 0.99 * n:
            return unit
    return "fraction"


def future(days: Days, now: datetime, settings: QualityConfig) -> list[Finding]:
    """Events later than now (they move the shop's now), and events later than their receipt."""
    found: list[Finding | None] = []
    for source in days.sources:
        whole = days.whole(source)
        for variant, name, of in (
            ("now", "future", whole.n),
            ("receipt", "ahead", whole.counts["received_at"]),
        ):
            found.append(
                judged(
                    "future",
                    whole.counts[name],
                    of,
                    whole.first_day,
                    warning=settings.future_error / 100,
                    error=settings.future_error,
                    at_most=ERROR if variant == "now" else WARNING,
                    source=source,
                    variant=variant,
                    where=_future_where(source, variant, now),
                )
            )
    return [one for one in found if one is not None]


def _future_where(source: str, variant: str, now: datetime) -> str:
    beyond = "epoch_us(received_at)" if variant == "receipt" else str(to_us(now))
    return f"{of_source(source)} AND epoch_us(event_time) > {beyond} + {LENIENT_US}"


def starts(days: Days) -> dict[str, int]:
    """The first local day of each source without the stray events long before it."""
    found = {}
    for source in days.sources:
        whole = days.whole(source)
        busy = np.flatnonzero(whole.n)
        holes = np.flatnonzero(np.diff(busy) > _STRAY_DAYS)
        found[source] = whole.first_day + int(busy[0])
        for hole in holes[::-1]:
            before = int(whole.n[busy[: hole + 1]].sum())
            if before <= _STRAY_SHARE * int(whole.n.sum()):
                found[source] = whole.first_day + int(busy[hole + 1])
                break
    return found


def early(days: Days) -> list[Finding]:
    """A handful of events long before all others: default dates and broken clocks."""
    found = []
    for source, start in starts(days).items():
        whole = days.whole(source)
        before = np.flatnonzero(whole.n[: start - whole.first_day])
        if not len(before):
            continue
        begins = local_date(start)
        found.append(
            Finding(
                "early", WARNING, source, count=int(whole.n[before].sum()), of=int(whole.n.sum()),
                since=local_date(whole.first_day + int(before[0])),
                until=local_date(whole.first_day + int(before[-1])),
                figures={"starts": begins.isoformat()},
                where=f"{of_source(source)} AND NOT ({between_sql(begins, None)})",
            )
        )  # fmt: skip
    return found


def midnight(days: Days) -> list[Finding]:
    """Sources whose times are dates, and sources in which some events lost their time of day.

    Args:
        days: of behaviour: facts of items are dated to the day on purpose.
    """
    found = []
    for source in days.sources:
        whole = days.whole(source)
        bad, n = whole.counts["midnight"], whole.n
        share = int(bad.sum()) / int(n.sum())
        told: dict[str, Any] = {
            "source": source,
            "where": f"{of_source(source)} AND kind <> {text_sql(ITEM)} AND {LOCAL} % {DAY_US} = 0",
        }
        if share >= _DATES:
            count, of = int(bad.sum()), int(n.sum())
            found.append(Finding("midnight", NOTE, variant="dates", count=count, of=of, **told))
            continue
        finding = judged(
            "midnight", bad, n, whole.first_day, warning=_MIDNIGHT, error=1.1,
            unless_below=_MIDNIGHT, variant="some", **told,
        )  # fmt: skip
        if finding is not None and finding.severity != NOTE:
            found.append(finding)
    return found


def delay(rows: Sequence[dict[str, Any]], settings: QualityConfig) -> list[Finding]:
    """How late events arrive: a warning where one in twenty is later than allowed."""
    found = []
    for row in rows:
        half, most, nearly_all = (value / 3600 for value in row["quantiles"])
        late = most > settings.delay_hours
        if row["longest"] < 60:
            continue
        found.append(
            Finding(
                "delay", WARNING if late else NOTE, row["source"], count=row["n"], of=row["n"],
                figures={"p50_hours": half, "p95_hours": most, "p99_hours": nearly_all,
                         "longest_hours": row["longest"] / 3600},
                where=f"{of_source(row['source'])} AND epoch_us(received_at) >= "
                f"epoch_us(event_time) + {int(row['quantiles'][1] * 1e6)}",
            )
        )  # fmt: skip
    return found
