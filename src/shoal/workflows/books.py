"""Books: a table of months and amounts, as a shop system, an accountant or a spreadsheet writes it.

Columns go by the names of Shopify's report "Sales over time" (by month: Orders, Gross sales,
Discounts, Returns, Net sales, Shipping charges, Taxes, Total sales) or plain ones. Amounts may have
currency signs, marks between thousands, a decimal comma, parentheses or a trailing minus.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from shoal.domain.errors import InputError
from shoal.domain.money import MICROS, micros
from shoal.events.reading import open_source
from shoal.events.texts import as_text
from shoal.features.months import AMOUNTS, ByMonth
from shoal.features.revenue import month_name

#: measure -> headings, lower case, words alone; the first that is there counts.
_HEADINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "month": ("month", "order month", "month of year", "period", "date", "day", "monat",
                  "月份"),
        "orders": ("orders", "order count", "number of orders", "total orders", "orders placed"),
        # not "net items sold" and the like: those are less what came back, units are not
        "units": ("units", "units sold", "items", "items sold", "quantity", "product units sold"),
        "gross": ("gross", "gross sales", "gross revenue", "gross amount"),
        "discounts": ("discounts", "discount", "total discounts", "discount amount"),
        "refunds": ("refunds", "returns", "refund", "refunded", "sales reversals",
                    "returns and refunds", "refund amount"),
        "net": ("net", "net sales", "net revenue", "revenue", "sales", "turnover"),
        "shipping": ("shipping", "shipping charges", "postage"),
        "tax": ("tax", "taxes", "vat", "sales tax"),
        "total": ("total", "total sales", "total revenue"),
        "customers": ("customers", "number of customers", "unique customers", "buyers"),
        "new_customers": ("new customers", "first time customers", "customers new",
                          "customers first time"),
    }
)  # fmt: skip
_WANTED: Final = (
    "A table with a column of months (2024-03, 2024-03-01, Mar 2024 or 03/2024) and any of: "
    "orders, units, gross, discounts, refunds, net, shipping, tax, total, customers, "
    "new_customers, by these names or those of Shopify's report of sales over time (Gross sales, "
    "Returns, Net sales, ...)."
)
_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_FORMS: Final = (
    re.compile(r"(?P<y>\d{4})[-/.年 ](?P<m>\d{1,2})(?:月|[-/.](?P<d>\d{1,2})(?:[T ].*)?)?"),
    re.compile(r"(?P<y>\d{4})(?P<m>0[1-9]|1[0-2])"),
    re.compile(r"(?P<m>\d{1,2})[-/.](?P<y>\d{4})"),
    re.compile(r"(?P<n>[a-z]{3})[a-z]*\.?[ \-/,]+(?P<y>\d{4})", re.IGNORECASE),
    re.compile(r"(?P<n>[a-z]{3})[a-z]*\.?[ \-/']+(?P<s>\d{2})", re.IGNORECASE),
    re.compile(r"(?P<y>\d{4})[ \-/,]+(?P<n>[a-z]{3})[a-z]*\.?", re.IGNORECASE),
)
#: Rows that add up the others.
_SUMS: Final = re.compile(r"(grand |sub)?totals?|sum|summe|all|overall|合计|总计", re.IGNORECASE)
_BLANKS: Final = str.maketrans({"\u00a0": "", "\u202f": "", "\u2009": "", " ": "", "'": "", "’": "",
                                "−": "-", "–": "-"})  # fmt: skip
_SIGNS: Final = re.compile(r"^[^\d\-+(.,]{0,5}|[^\d\-).,%]{0,5}$")
_NONE: Final = frozenset({"", "-", "--", "n/a", "null", "none"})
_THOUSANDS: Final = {",": re.compile(r"\d{1,3}(,\d{3})+"), ".": re.compile(r"\d{1,3}(\.\d{3})+")}
_SHOWN: Final = 40
#: Measures whose figures of two times do not add up.
_OF_A_TIME: Final = ("customers", "new_customers")


@dataclass(frozen=True)
class Books:
    """Months and measures of the books; amounts are micro-units, discounts and refunds positive.

    `columns` names the heading of each measure; `ignored` the headings that were not read: no
    measure, without a figure, or customers of days. `by_day`: the table has rows of days, which
    were added up.
    """

    path: Path
    values: Mapping[str, ByMonth]
    columns: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    by_day: bool = False

    @property
    def months(self) -> list[int]:
        """The months that the books have, in order."""
        return sorted({month for column in self.values.values() for month in column})


def read_books(path: Path) -> Books:
    """The months and amounts of a file (CSV, JSON Lines or Parquet).

    Raises:
        InputError: `bad_books`: another layout, or a cell that cannot be read; names what was found
            and what is wanted. `input_missing`, `input_unreadable`, `input_empty`.
    """
    source = open_source(path)
    headings = _headings(path, source.columns)
    cells: dict[str, list[str | None]] = {name: [] for name in headings}
    written: set[str] = set()
    for chunk in source.chunks():
        if chunk.rejected.num_rows:
            row = int(chunk.rejected["row"][0].as_py())
            raise _bad(path, row, "the row has another number of fields than the header")
        for measure, heading in headings.items():
            cells[measure] += as_text(chunk.table[heading]).to_pylist()
            if _is_text(chunk.table[heading].type):
                written.add(measure)
    rows, days = _months(path, cells.pop("month"))
    if not rows:
        raise _bad(path, 0, "not one row with a month")
    by_day = len(days) > 0
    texts = [plain(cells[one][row]) for one in sorted(written & cells.keys()) for row in rows]
    mark = _decimal_mark([text for text in texts if text])
    values: dict[str, ByMonth] = {}
    for measure, column in cells.items():
        if by_day and measure in _OF_A_TIME:
            continue  # those of days do not add up
        found = _column(path, measure, rows, column, mark if measure in written else ".")
        if found:
            values[measure] = found
    if not values:
        raise _bad(path, 0, _no_figure([(name, headings[name]) for name in cells], by_day))
    columns = {name: headings[name] for name in values}
    used = {headings["month"], *columns.values()}
    ignored = tuple(name for name in source.columns if name not in used)
    return Books(path, values, columns, ignored, by_day)


def _no_figure(columns: Sequence[tuple[str, str]], by_day: bool) -> str:
    told = ", ".join(
        f"{heading!r} has "
        + ("customers of days, which do not add up to those of a month"
           if by_day and measure in _OF_A_TIME else "empty cells only")
        for measure, heading in columns
    )  # fmt: skip
    return f"not one figure: {told}"


def _headings(path: Path, columns: Sequence[str]) -> dict[str, str]:
    named = {re.sub(r"[\W_]+", " ", name).strip().lower(): name for name in columns}
    found = {
        measure: next(named[name] for name in names if name in named)
        for measure, names in _HEADINGS.items()
        if any(name in named for name in names)
    }
    if "month" not in found or len(found) < 2:
        lacking = "months" if "month" not in found else "orders or amounts"
        listed = ", ".join(map(repr, columns[:_SHOWN]))
        raise _bad(path, 0, f"no column of {lacking} among {listed}")
    return found


def _months(path: Path, column: Sequence[str | None]) -> tuple[dict[int, int], set[int]]:
    """Row -> month of the rows that have one, and the days of the month if rows are days.

    Rows of sums and empty rows are left out.
    """
    rows: dict[int, int] = {}
    days: list[int] = []
    for place, text in enumerate(column):
        if text is None or _SUMS.fullmatch(text.strip()):
            continue
        read = _month(text.strip())
        if read is None:
            raise _bad(path, place + 1, f"the month {text!r}")
        rows[place] = read[0]
        days.append(read[1])
    seen = list(rows.values())
    if len(set(zip(seen, days, strict=True))) < len(seen):
        twice = next(month for month in seen if seen.count(month) > 1)
        raise _bad(path, 0, f"the month {month_name(twice)} stands in more than one row")
    return rows, set(days) if len(set(seen)) < len(seen) else set()


def _month(text: str) -> tuple[int, int] | None:
    """The number of a month and the day in it (1 where none is told).

    >>> _month("Mar 2024") == _month("2024-03-01T00:00:00") == _month("03/2024") == (24290, 1)
    True
    """
    for form in _FORMS:
        found = form.fullmatch(text)
        if found is None:
            continue
        parts = found.groupdict()
        year = int(parts.get("y") or 2000 + int(parts["s"]))
        name = (parts.get("n") or "").lower()
        month = _MONTHS.index(name) + 1 if name in _MONTHS else int(parts.get("m") or 0)
        if 1990 <= year < 2100 and 1 <= month <= 12:
            return year * 12 + month - 1, int(parts.get("d") or 1)
    return None


def _column(
    path: Path,
    measure: str,
    rows: Mapping[int, int],
    column: Sequence[str | None],
    decimal_mark: str,
) -> ByMonth:
    found: ByMonth = {}
    for place, month in rows.items():
        text = plain(column[place])
        if text is None:
            continue
        value = _number(text, decimal_mark)
        if value is None or (measure not in AMOUNTS and value % MICROS):
            what = "an amount" if measure in AMOUNTS else "a whole number"
            raise _bad(path, place + 1, f"{measure} {column[place]!r}, which is not {what}")
        found[month] = found.get(month, 0) + value
    if measure in ("discounts", "refunds") and sum(found.values()) < 0:  # written as what they do
        found = {month: -value for month, value in found.items()}
    return found if measure in AMOUNTS else {m: value // MICROS for m, value in found.items()}


def plain(text: str | None) -> str | None:
    """A number without signs of currency and blanks, its minus in front; None where empty.

    >>> plain("(£ 1,234.50)"), plain("1.234,50-"), plain("–")
    ('-1,234.50', '-1.234,50', None)
    """
    if text is None:
        return None
    bare = text.translate(_BLANKS)
    if bare.lower() in _NONE:
        return None
    minus = bare.startswith("(") and bare.endswith(")")
    bare = bare.strip("()") if minus else bare
    head = "-" if bare.startswith("-") else ""
    bare = head + _SIGNS.sub("", bare.removeprefix("-"))
    if bare.endswith("-"):
        minus, bare = True, bare[:-1]
    return f"-{bare.lstrip('-')}" if minus else bare


def _decimal_mark(texts: Sequence[str]) -> str:
    """The decimal mark of a table: the last of two marks, else one that cannot part thousands.

    Where every mark might part thousands it does: amounts of three decimals are rare.

    >>> _decimal_mark(["1.234,5"]), _decimal_mark(["1,234", "12,5"]), _decimal_mark(["1,234", "7"])
    (',', ',', '.')
    """
    for text in texts:
        if "." in text and "," in text:
            return max(".,", key=text.rfind)
    for mark, other in ((",", "."), (".", ",")):
        own = [text.lstrip("+-") for text in texts if mark in text]
        if own:
            return other if all(_THOUSANDS[mark].fullmatch(text) for text in own) else mark
    return "."


def _number(text: str, decimal_mark: str) -> int | None:
    thousands = "," if decimal_mark == "." else "."
    number = text.replace(thousands, "").replace(decimal_mark, ".")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", number):
        return None
    try:
        return micros(number)
    except ValueError:
        return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _bad(path: Path, row: int, received: str) -> InputError:
    where = f"{path}, row {row}" if row else str(path)
    return InputError(
        "bad_books", f"the books cannot be read: {received}", where=where, hint=_WANTED
    )
