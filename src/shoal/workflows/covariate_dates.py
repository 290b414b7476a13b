"""Dates of covariate tables: days, ISO weeks and months as stretches of local days."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]

_EPOCH: Final = date(1970, 1, 1)
_FIRST, _AFTER = date(1990, 1, 1), date(2100, 1, 1)
_WEEK: Final = re.compile(r"(\d{4})-?W(\d{2})")
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_DIGITS: Final = re.compile(r"\d{8}")


@dataclass(frozen=True)
class Period:
    """The days (since 1970) that each row stands for, and what they are: day, week or month."""

    kind: str
    first: Ints
    last: Ints

    def take(self, rows: Ints) -> Period:
        """Of some rows."""
        return Period(self.kind, self.first[rows], self.last[rows])


def days_of(text: pa.Array) -> tuple[Period | None, tuple[int, str]]:
    """The days of dates without nulls; None and (row from 1, text) of the first that is none.

    A text of another kind than the first one (a month among days) is none either.

    >>> days_of(pa.array(["2024-02"]))[0].last - days_of(pa.array(["2024-02-01"]))[0].first
    array([28])
    """
    coded = text.dictionary_encode()
    read = [_one(value) for value in coded.dictionary.to_pylist()]
    kind = read[0][0] if read and read[0] else ""
    place = coded.indices.to_numpy()
    wrong = np.array([found is None or found[0] != kind for found in read], dtype=bool)[place]
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        return None, (row + 1, str(text[row].as_py()))
    ends = np.array([found[1:] for found in read if found], np.int64).reshape(-1, 2)
    return Period(kind, ends[place, 0], ends[place, 1]), (0, "")


def _one(text: str) -> tuple[str, int, int] | None:
    try:
        kind, first, last = _stretch(text.strip())
    except ValueError:
        return None
    if not _FIRST <= first <= last < _AFTER:
        return None
    return kind, (first - _EPOCH).days, (last - _EPOCH).days


def _stretch(text: str) -> tuple[str, date, date]:
    if found := _WEEK.fullmatch(text):
        year, week = map(int, found.groups())
        return "week", date.fromisocalendar(year, week, 1), date.fromisocalendar(year, week, 7)
    if found := _MONTH.fullmatch(text):
        year, month = map(int, found.groups())
        first = date(year, month, 1)
        return "month", first, date(year, month, monthrange(year, month)[1])
    if text.isdigit() and not _DIGITS.fullmatch(text):
        raise ValueError(text)
    # the day as written: a time and an offset behind it do not move it
    day = datetime.fromisoformat(text).date()
    return "day", day, day
