"""Columns that people can read: what an explanation speaks of, and what of it SQL can say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.domain.text import Text
from shoal.features.algebra import Feature
from shoal.features.catalog import Catalog
from shoal.features.portable import portable
from shoal.features.tastes import Vocabulary
from shoal.segments.base import column
from shoal.segments.protected import left_out

Matrix = npt.NDArray[np.float64]

#: Too many and too thin to divide people by; profiles tell of them.
_NO_FACETS: Final = frozenset({"brand"})
#: What the shop does to customers, or what only a part of them was asked.
_NO_GROUPS: Final = frozenset({"profile"})


@dataclass(frozen=True)
class Readable:
    """Customers in columns that a tree may ask of.

    Args:
        names: of the columns; those of tastes as the vocabulary names them.
        values: (n, names) as counted, NaN where undefined. Shares of tastes are not drawn to the
            shop's mean, so that a rule says what anybody can count.
        left_out: columns without a form in SQL, and why.
    """

    names: tuple[str, ...]
    values: Matrix
    left_out: Mapping[str, Text]

    @property
    def columns(self) -> dict[str, Matrix]:
        """(n,) values by name."""
        return dict(zip(self.names, self.values.T, strict=True))

    def rows(self, rows: npt.NDArray[np.int64]) -> Readable:
        """Some customers."""
        return Readable(self.names, self.values[rows], self.left_out)

    @property
    def expressible(self) -> npt.NDArray[np.int64]:
        """Places of the columns with a form in SQL."""
        return np.array(
            [place for place, name in enumerate(self.names) if name not in self.left_out],
            dtype=np.int64,
        )

    def beside(self, more: Mapping[str, Matrix], reason: Text) -> Readable:
        """With (n,) columns more, which for a reason have no form in SQL."""
        varying = {name: values for name, values in more.items() if _varies(values)}
        return Readable(
            (*self.names, *varying),
            np.column_stack([self.values, *varying.values()]),
            {**self.left_out, **dict.fromkeys(varying, reason)},
        )

    def only(self, places: Sequence[int] | npt.NDArray[np.int64]) -> Readable:
        """Some columns."""
        names = tuple(self.names[place] for place in places)
        return Readable(names, self.values[:, list(places)], {})


def telling(catalog: Catalog) -> list[Feature]:
    """The catalog's numeric features that tell of customers at any moment, none protected."""
    aside = left_out(catalog)
    return [
        one
        for one in catalog.numeric_features()
        if one.window != "now" and one.group not in _NO_GROUPS and one.name not in aside
    ]


def readable(
    features: pa.Table, counts: pa.Table, catalog: Catalog, vocabulary: Vocabulary
) -> Readable:
    """Customers in readable columns, those that vary.

    Args:
        features: of a snapshot, one row a customer.
        counts: by name (`shoal.features.tastes.COUNTS_SCHEMA`).
    """
    columns = {
        name: values
        for name, values in columns_of(features, counts, catalog, vocabulary).items()
        if _varies(values)
    }
    no_form = portable(telling(catalog), catalog.summaries, vocabulary).left_out
    values = np.column_stack(list(columns.values())) if columns else _nothing(features)
    reasons = {name: no_form[name] for name in columns if name in no_form}
    return Readable(tuple(columns), values, reasons)


def columns_of(
    features: pa.Table, counts: pa.Table, catalog: Catalog, vocabulary: Vocabulary
) -> dict[str, Matrix]:
    """(n,) values of every readable column by name."""
    found = {
        one.name: column(features, one.name)
        for one in telling(catalog)
        if one.name in features.column_names
    }
    shares = vocabulary.observed(features["customer_id"], counts)
    for place, (facet, _) in enumerate(vocabulary.names):
        if facet not in _NO_FACETS:
            found[vocabulary.columns[place]] = shares[:, place]
    return found


def _nothing(features: pa.Table) -> Matrix:
    return np.empty((features.num_rows, 0))


def _varies(values: Matrix) -> bool:
    known = values[~np.isnan(values)]
    return len(known) > 0 and bool((known != known[0]).any() or len(known) < len(values))
