"""The shop's months held against the books: every difference, and what may explain it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import InputError
from shoal.domain.money import MICROS
from shoal.domain.time import Zone
from shoal.features.months import AMOUNTS, MEASURES, ByMonth, Ledger, MonthMoney
from shoal.features.revenue import month_name, month_number
from shoal.ports import StateStore
from shoal.workflows.books import Books
from shoal.workflows.books_causes import LIKELY, Hypothesis, hypotheses, plus
from shoal.workflows.books_quarantine import quarantined

if TYPE_CHECKING:
    from shoal.workflows.reconcile import Reconciliation

#: What two causes together must explain, of all months: more than one, for there are many pairs.
_TOGETHER: Final = 0.95
#: What explains everything, but for rounding.
_ALL: Final = 0.9999
#: Causes named for one difference.
_NAMED: Final = 3


@dataclass(frozen=True)
class Cause:
    """A likely cause: `adds` is what it would add to the shop's figure, `explained` the share of
    the difference that this leaves nothing of."""

    code: str
    text: str
    explained: float
    adds: int


#: One or two hypotheses, and how much they explain.
_Judged = tuple[tuple[Hypothesis, ...], Cause]


@dataclass(frozen=True)
class Difference:
    """A measure of a month (of all compared months where `month` is empty), here and there."""

    month: str
    measure: str
    ours: int
    theirs: int
    causes: tuple[Cause, ...] = ()
    agrees: bool = False

    @property
    def difference(self) -> int:
        return self.theirs - self.ours

    def as_document(self) -> dict[str, Any]:
        unit = MICROS if self.measure in AMOUNTS else 1
        return {
            "month": self.month or None,
            "measure": self.measure,
            "ours": _shown(self.ours, unit),
            "theirs": _shown(self.theirs, unit),
            "difference": _shown(self.difference, unit),
            "agrees": self.agrees,
            "causes": [
                {"code": one.code, "text": one.text, "explained": round(one.explained, 4),
                 "adds": _shown(one.adds, unit)}
                for one in self.causes
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """The shop and the books.

    `differences` holds every month and measure of both, `totals` each measure over the months of
    both; causes of a total are those that explain it over all months. `only_ours` and
    `only_theirs` are months of one side alone, but for those in which that side has nothing but 0.
    `unfilled`: measures of which the books lack a figure for some months of both, where the shop
    has one; with these months.
    """

    file: str
    tolerance: int
    columns: Mapping[str, str]
    ignored: tuple[str, ...]
    differences: tuple[Difference, ...]
    totals: tuple[Difference, ...]
    only_ours: tuple[str, ...] = ()
    only_theirs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unfilled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether every figure of both is within the tolerance, and none stands alone."""
        alone = self.only_ours or self.only_theirs or self.unfilled
        return all(one.agrees for one in self.differences) and not alone

    def as_document(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "tolerance": self.tolerance / MICROS,
            "agrees": self.agrees,
            "columns": dict(self.columns),
            "ignored": list(self.ignored),
            "only_ours": list(self.only_ours),
            "only_theirs": list(self.only_theirs),
            "unfilled": {name: list(months) for name, months in self.unfilled.items()},
            "notes": list(self.notes),
            "totals": [one.as_document() for one in self.totals],
            "differences": [one.as_document() for one in self.differences],
        }


def compare(
    ledger: Ledger,
    found: Reconciliation,
    books: Books,
    *,
    zone: Zone,
    quarantine_dir: Path,
    store: StateStore,
    tolerance: float,
    asked: tuple[int | None, int | None] = (None, None),
) -> Comparison:
    """Every measure that both have, for every month that both have, with likely causes.

    Args:
        found: the shop's months.
        tolerance: amounts that differ by no more agree, in units of the currency.
        asked: the first and last month that count; None: no bound.

    Raises:
        InputError: `bad_books`, there is no figure of both.
    """
    ours = {month_number(one.month): one for one in found.months}
    both = [month for month in books.months if month in ours]
    least = round(tolerance * MICROS)
    columns = [
        _Column(
            measure,
            {m: getattr(ours[m], measure) for m in both if m in books.values[measure]},
            books.values[measure],
            least if measure in AMOUNTS else 0,
        )
        for measure in MEASURES
        if measure in books.values
    ]
    unfilled = _unfilled(columns, {month: ours[month] for month in both})
    columns = [column for column in columns if column.ours]
    if not columns:
        raise _nothing(found, books)
    tried: list[Hypothesis] = []
    notes = _notes(books)
    if any(column.open for column in columns):
        held = quarantined(store, quarantine_dir, zone)
        tried = hypotheses(ledger, held)
        if held.unreadable:
            notes.append(f"{held.unreadable:,} quarantined rows cannot be read as amounts.")
    judged = [column.judged(tried) for column in columns]
    return Comparison(
        file=str(books.path),
        tolerance=least,
        columns=books.columns,
        ignored=books.ignored,
        differences=tuple(
            sorted((one for _, rows in judged for one in rows), key=lambda one: one.month)
        ),
        totals=tuple(total for total, _ in judged),
        only_ours=tuple(
            month_name(m) for m in sorted(ours.keys() - set(both))
            if any(getattr(ours[m], measure) for measure in books.values)
        ),
        only_theirs=tuple(
            month_name(m) for m in books.months
            if m not in ours and _within(m, asked)
            and any(of.get(m) for of in books.values.values())
        ),
        notes=tuple(notes),
        unfilled=unfilled,
    )  # fmt: skip


def _unfilled(
    columns: Sequence[_Column], ours: Mapping[int, MonthMoney]
) -> dict[str, tuple[str, ...]]:
    """Months of both in which a measure of the shop has no figure in the books."""
    found = {
        column.measure: tuple(
            one.month
            for month, one in sorted(ours.items())
            if month not in column.ours and getattr(one, column.measure)
        )
        for column in columns
    }
    return {measure: months for measure, months in found.items() if months}


def _nothing(found: Reconciliation, books: Books) -> InputError:
    """The error of books that have no figure for any of the shop's months."""
    own = f"{found.months[0].month} to {found.months[-1].month}"
    theirs = f"{month_name(books.months[0])} to {month_name(books.months[-1])}"
    return InputError(
        "bad_books",
        f"there is nothing to compare: the books have figures of {theirs}, the shop's months that "
        f"were asked for are {own}",
        where=str(books.path),
        hint="Give books of these months, or choose other months with --from and --to.",
    )


def _within(month: int, asked: tuple[int | None, int | None]) -> bool:
    first, last = asked
    return (first is None or month >= first) and (last is None or month <= last)


@dataclass(frozen=True)
class _Column:
    """One measure of the months of both."""

    measure: str
    ours: ByMonth
    theirs: ByMonth
    tolerance: int
    differences: ByMonth = field(init=False)

    def __post_init__(self) -> None:
        found = {month: self.theirs[month] - own for month, own in self.ours.items()}
        object.__setattr__(self, "differences", found)

    @property
    def open(self) -> list[int]:
        """Months whose difference is beyond the tolerance."""
        return [m for m, value in self.differences.items() if abs(value) > self.tolerance]

    def judged(self, tried: Sequence[Hypothesis]) -> tuple[Difference, list[Difference]]:
        """The measure over all months, and each month."""
        own = [one for one in tried if any(one.deltas.get(self.measure, {}).values())]
        named = self._of_all(own)
        rows = [self._month(month, own, named) for month in sorted(self.ours)]
        total = Difference(
            "",
            self.measure,
            sum(self.ours.values()),
            sum(self.theirs[month] for month in self.ours),
            tuple(cause for _, cause in named),
            agrees=not self.open,
        )
        return total, rows

    def _of_all(self, tried: Sequence[Hypothesis]) -> list[_Judged]:
        """What explains all months together, the best first.

        Pairs are named where no single cause does, or where a pair explains all to the last unit
        and no single cause that much: of many pairs one explains most by chance, but not all.
        """
        if not self.open:
            return []
        singles: list[_Judged] = [((one,), self._cause((one,), self.ours)) for one in tried]
        most = [
            (which, cause)
            for which, cause in singles
            if cause.explained >= which[0].least
            or (not which[0].of_all and self._explains_most(which[0]))
        ]
        if not any(cause.explained > _ALL for _, cause in most):
            pairs = combinations([one for one in tried if not one.of_all], 2)
            each: list[_Judged] = [(pair, self._cause(pair, self.ours)) for pair in pairs]
            least = _ALL if most else _TOGETHER
            most = [*most, *((pair, cause) for pair, cause in each if cause.explained >= least)]
        return _best(most)

    def _explains_most(self, one: Hypothesis) -> bool:
        months = self.open
        done = [m for m in months if self._cause((one,), [m]).explained >= one.least]
        return 2 * len(done) > len(months) > 1

    def _month(
        self,
        month: int,
        tried: Sequence[Hypothesis],
        named: Sequence[_Judged],
    ) -> Difference:
        causes: list[Cause] = []
        if month in self.open:
            causes = self._likely(self._acting([which for which, _ in named], month), month)
            alone = [(one,) for one in tried if not one.of_all]
            causes = causes or self._likely(alone, month)
        return Difference(
            month_name(month),
            self.measure,
            self.ours[month],
            self.theirs[month],
            tuple(causes),
            agrees=month not in self.open,
        )

    def _acting(
        self, named: Sequence[tuple[Hypothesis, ...]], month: int
    ) -> list[tuple[Hypothesis, ...]]:
        """Of causes named together, those that change the month at all."""
        acting = [
            tuple(one for one in which if one.deltas.get(self.measure, {}).get(month))
            for which in named
        ]
        return list(dict.fromkeys(which for which in acting if which))

    def _likely(self, among: Sequence[tuple[Hypothesis, ...]], month: int) -> list[Cause]:
        each = [(which, self._cause(which, [month])) for which in among]
        likely = [(which, cause) for which, cause in each if cause.explained >= LIKELY]
        return [cause for _, cause in _best(likely)]

    def _cause(self, which: tuple[Hypothesis, ...], months: Sequence[int] | ByMonth) -> Cause:
        """How much of the differences of some months one or two hypotheses explain."""
        deltas: ByMonth = {}
        for one in which:
            deltas = plus(deltas, one.deltas.get(self.measure, {}))
        whole = sum(abs(self.differences[month]) for month in months)
        left = sum(abs(self.differences[month] - deltas.get(month, 0)) for month in months)
        return Cause(
            "+".join(one.code for one in which),
            " and ".join(one.text for one in which),
            1 - left / whole if whole else 0.0,
            sum(deltas.get(month, 0) for month in months),
        )


def _best(
    likely: Sequence[_Judged],
) -> list[_Judged]:
    """The best few; where one explains everything, only those that do."""
    ranked = sorted(likely, key=lambda one: -one[1].explained)
    exact = [one for one in ranked if one[1].explained > _ALL]
    return (exact or ranked)[:_NAMED]


def _notes(books: Books) -> list[str]:
    """What a reader must know of the months compared."""
    notes = []
    if books.by_day:
        notes.append("The books have rows of days; they were added up by month.")
    return notes


def _shown(value: int, unit: int) -> float | int:
    return value / unit if unit > 1 else value
