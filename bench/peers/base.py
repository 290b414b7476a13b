"""The face of a peer, what it is given, and the preparation that all of them share.

A peer sees `Inputs`: one row a customer with at least `MINIMUM_EVENTS` events, NaN where a feature
is undefined. Peers of inputs `rfm` use three columns, those of `features` all numeric ones of
`bench.harness.data.Source.features` (the catalog's and the tastes). Every peer that
measures distances gets the same preparation, from Shoal's own parts (`shoal.features.prepare`):
missing values filled by the catalog's policy, long tails pulled in by a signed logarithm, robust
scale, near duplicates dropped, groups of features balanced, at most ten principal components of at
most 90 % of the variance. It is fitted where the peer is fitted. `columns="style"` keeps shares and
ratios alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.harness.source import TASTE

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Kind = Literal["rfm", "features"]

MINIMUM_EVENTS = 3
#: Recency, frequency, money.
RFM = ("order_recency_days", "orders", "spend")


@dataclass(frozen=True)
class Inputs:
    """`values` (n, d) of `customers` (n,), columns by `names`, `missing` policy a column."""

    customers: npt.NDArray[Any]
    names: tuple[str, ...]
    missing: tuple[str, ...]
    values: Matrix

    def __len__(self) -> int:
        return len(self.customers)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """One column; KeyError where there is none."""
        if name not in self.names:
            raise KeyError(name)
        return self.values[:, self.names.index(name)]

    def rows(self, which: npt.NDArray[Any]) -> Inputs:
        """Some of the customers, by mask or places."""
        return Inputs(self.customers[which], self.names, self.missing, self.values[which])

    def select(self, names: Sequence[str]) -> Inputs:
        """Some of the columns, in that order."""
        places = [self.names.index(name) for name in names]
        missing = tuple(self.missing[place] for place in places)
        return Inputs(self.customers, tuple(names), missing, self.values[:, places])


def inputs_of(
    features: pa.Table, kind: Kind = "features", minimum_events: int = MINIMUM_EVENTS
) -> Inputs:
    """What a peer of that kind is given of a table of `Source.features`."""
    from shoal.features.catalog import CATALOG
    from shoal.features.matrix import MEDIAN, matrix, numeric_columns

    policy = {one.name: one.missing for one in numeric_columns(features, CATALOG)}
    policy |= {name: MEDIAN for name in features.column_names if name.startswith(TASTE)}
    names = RFM if kind == "rfm" else tuple(policy)
    known = np.asarray(features["events"].to_numpy(), np.float64) >= minimum_events
    kept = features.filter(pa.array(known))
    customers = np.asarray(kept["customer_id"].to_pylist(), dtype=object)
    return Inputs(customers, names, tuple(policy[name] for name in names), matrix(kept, names))


class Peer(Protocol):
    """A way to segment customers.

    `fit` learns k segments (a peer that chooses their number itself ignores k) from the state of
    customers at one moment; `update` may learn from their state at a later one and is called at
    every later cut before `predict`; `predict` gives each customer a label, any integers, which
    keep their meaning from call to call unless the peer says otherwise; `weights` gives (n, m)
    soft weights over labels 0..m-1 whose largest is the label, or None.
    """

    name: str
    inputs: Kind

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        """Learn; `y` (n,) is what supervised peers foretell: an outcome of an earlier period,
        where `X` is the state at that period's start."""
        ...

    def update(self, X: Inputs) -> None:
        """Learn from a later moment; may do nothing."""
        ...

    def predict(self, X: Inputs) -> Labels:
        """(n,) labels."""
        ...

    def weights(self, X: Inputs) -> Matrix | None:
        """(n, m) soft weights, or None where the method has none."""
        ...


@dataclass(frozen=True)
class Spec:
    """What a bench knows of a peer before making it.

    Args:
        module, factory, settings: `module.factory(**settings)` makes it.
        title: as tables name it.
        inputs: `rfm` or `features`.
        supervised: `fit` needs `y` and the state at the start of y's period.
        distances: it measures distances, so its columns and their preparation matter.
        moves: it changes in `update`; the rest are the same after every cut.
        environment: name in `bench.harness.environment`; empty: runs in the bench's own.
        needs_shop: it works through a shop instead of `Inputs` (`bench.peers.shoal_`).
        lineage: it can say which segments continue, split, merge.
        settings_from: where its settings come from.
    """

    name: str
    title: str
    module: str
    factory: str
    settings: tuple[tuple[str, Any], ...] = ()
    inputs: Kind = "features"
    supervised: bool = False
    distances: bool = True
    moves: bool = False
    environment: str = ""
    needs_shop: bool = False
    lineage: bool = False
    settings_from: str = ""


Columns = Literal["all", "style"]
#: Units of features that tell how somebody shops and not how much.
_STYLE_UNITS = frozenset({"share", "ratio", "nats"})


def style_names(names: Sequence[str]) -> tuple[str, ...]:
    """Columns that tell how somebody shops: shares, ratios, entropies and tastes; all of the names
    where there is none (RFM)."""
    from shoal.features.catalog import CATALOG

    found = tuple(
        name
        for name in names
        if name.startswith(TASTE) or (name in CATALOG and CATALOG[name].unit in _STYLE_UNITS)
    )
    return found or tuple(names)


#: Principal components of a peer's matrix at most.
MOST_COMPONENTS = 10


class Prepared:
    """The shared preparation, fitted by `fit` and applied by `transform`.

    Args:
        columns: `all`, or `style` alone (`style_names`).
        balanced: near duplicates are dropped, and each group of the catalog (behaviour, interest,
            profile, interaction) and the tastes get the same say (`GroupBalance`). Without it a
            hundred columns of volume drown the rest.
        components_share: share of the variance that principal components keep; 0: none are taken.
        most_components: at most that many.

    Found by k-means on world steady, seed 1 (1,500 customers, 126 days; mean adjusted Rand index):
    all columns as they are 0.08; balanced 0.22, with ten components 0.24; style 0.31, with ten
    components 0.33, with 70 % of the variance 0.34; tastes in each facet balanced apart 0.30.
    """

    def __init__(
        self,
        columns: Columns = "all",
        *,
        balanced: bool = True,
        components_share: float = 0.9,
        most_components: int | None = MOST_COMPONENTS,
    ) -> None:
        self.columns, self.balanced = columns, balanced
        self.components_share, self.most_components = components_share, most_components
        self.names: tuple[str, ...] = ()
        self.parts: list[Any] = []

    def fit(self, X: Inputs) -> Self:
        """Learn from customers at one moment."""
        from shoal.features.prepare import (
            GroupBalance,
            MissingFiller,
            NearDuplicateFilter,
            SkewScaler,
            VariancePCA,
        )

        self.names = style_names(X.names) if self.columns == "style" else X.names
        X = X.select(self.names)
        self.parts = []
        Z: Any = self._add(MissingFiller(list(X.missing)), X.values)
        Z = self._add(SkewScaler(), Z)
        if self.balanced:
            unlike = NearDuplicateFilter(names=self.names)
            Z = self._add(unlike, Z)
            kept = [name for name, is_in in zip(self.names, unlike.support_, strict=True) if is_in]
            Z = self._add(GroupBalance([_group(name) for name in kept]), Z)
        if self.components_share:
            self._add(VariancePCA(self.components_share, self.most_components), Z)
        return self

    def _add(self, part: Any, Z: Any) -> Any:
        self.parts.append(part)
        return part.fit(Z).transform(Z)

    def transform(self, X: Inputs) -> Matrix:
        """(n, d') without NaN."""
        Z: Any = X.select(self.names).values
        for part in self.parts:
            Z = part.transform(Z)
        return np.asarray(Z, dtype=np.float64)


def prepared(inputs: Kind, columns: Columns) -> Prepared:
    """The preparation of a peer: three columns of RFM are only filled and scaled."""
    if inputs == "rfm":
        return Prepared(balanced=False, components_share=0)
    return Prepared(columns)


def _group(name: str) -> str:
    from shoal.features.catalog import CATALOG

    if name.startswith(TASTE):
        return "tastes"
    return CATALOG[name].group if name in CATALOG else "other"
