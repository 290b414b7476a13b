"""The section on retention: which share of each cohort comes back, period after period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from shoal.report.document_story import Cohorts, CohortUnit
from shoal.report.draw import heat
from shoal.report.numbers import MISSING, NBSP, grouped
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table


@dataclass(frozen=True)
class CohortsView:
    """What the template shows."""

    lead: str
    plot: Plot | None = None
    notes: Sequence[str] = ()


def cohorts(teller: Teller, found: Cohorts | None) -> CohortsView | None:
    """The section; None where there is nothing to say."""
    if found is None:
        why = teller.absent("cohorts")
        return CohortsView(why) if why else None
    texts, numbers = teller.wording.texts, teller.wording.numbers
    unit = texts(f"cohorts.unit.{found.unit}")
    lead = texts("cohorts.lead_orders" if found.orders else "cohorts.lead_events", unit=unit)
    notes = [
        texts("cohorts.begun", day=numbers.day(teller.wording.document.first)),
        texts("cohorts.all_note"),
    ]
    if found.unfinished:
        notes.insert(1, texts("cohorts.unfinished", unit=unit))
    if found.left_out:
        notes.append(texts("cohorts.left_out", n=numbers.count(found.left_out)))
    return CohortsView(lead, _plot(teller, found, unit), notes)


def period_name(start: date, unit: CohortUnit) -> str:
    """A period in few characters that any reader knows.

    >>> period_name(date(2024, 4, 1), "month"), period_name(date(2024, 4, 1), "quarter")
    ('2024-04', '2024 Q2')
    """
    if unit == "week":
        return start.isoformat()
    month = f"{start.year:04d}-{start.month:02d}"
    return month if unit == "month" else f"{start.year:04d} Q{(start.month + 2) // 3}"


def whole(found: Cohorts, after: int) -> tuple[int, int]:
    """Customers of all cohorts who were active `after` periods later, and how many there were.

    Cells of a period that is not over are left out, since they will still grow.
    """
    ready = [
        one
        for one in found.cohorts
        if len(one.active) > after
        and not (found.unfinished and after > 0 and len(one.active) == after + 1)
    ]
    return sum(one.active[after] for one in ready), sum(one.size for one in ready)


def _plot(teller: Teller, found: Cohorts, unit: str) -> Plot:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    longest = max(len(one.active) for one in found.cohorts)
    names = [period_name(one.start, found.unit) for one in found.cohorts]
    later = [f"+{after}" for after in range(1, longest)]
    rows: list[list[float | None]] = []
    cells, said, unfinished = [], [], set()
    # Of the current period's cohort there is nothing to draw yet.
    drawn = [one for one in found.cohorts if len(one.active) > 1]
    for row, one in enumerate(drawn):
        share = [active / one.size if one.size else None for active in one.active[1:]]
        rows.append(share)
        cells.append([f"{grouped(100 * (value or 0.0))}{NBSP}%" for value in share])
        said.append(
            [
                texts(
                    "cohorts.cell", first=names[row], after=later[place],
                    share=numbers.share(value), n=numbers.count(one.active[place + 1]),
                    size=numbers.count(one.size),
                )
                for place, value in enumerate(share)
            ]
        )  # fmt: skip
        if found.unfinished:
            unfinished.add((row, len(share) - 1))
    came, of = whole(found, 1)
    alt = texts("cohorts.alt_none", unit=unit)
    if of:
        alt = texts("cohorts.alt", unit=unit, share=numbers.share(came / of))
    return Plot(
        key="cohorts",
        title=texts("cohorts.figure" if found.orders else "cohorts.figure_events"),
        drawing=heat(
            names[: len(drawn)], later, rows, cells, alt, said=said, unfinished=unfinished,
            row_title=texts(f"cohorts.first.{found.unit}"),
            column_title=texts(f"cohorts.after.{found.unit}"),
        ),
        table=_table(teller, found, names, later),
        wide=True,
    )  # fmt: skip


def _table(
    teller: Teller, found: Cohorts, names: Sequence[str], later: Sequence[str]
) -> Table:  # fmt: skip
    texts, numbers = teller.wording.texts, teller.wording.numbers
    rows = []
    for name, one in zip(names, found.cohorts, strict=True):
        shares = [
            numbers.share(active / one.size if one.size else None) for active in one.active[1:]
        ]
        rows.append([name, numbers.count(one.size), *shares, *[""] * (len(later) - len(shares))])
    everyone = []
    for after in range(1, len(later) + 1):
        came, of = whole(found, after)
        everyone.append(numbers.share(came / of) if of else MISSING)
    size = sum(one.size for one in found.cohorts)
    rows.append([texts("cohorts.all"), numbers.count(size), *everyone])
    columns = [texts(f"cohorts.first.{found.unit}"), texts("col.customers"), *later]
    return Table(columns, rows)
