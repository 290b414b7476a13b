"""The one face of every segmenter, and the columns that all of them know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Weights = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]

CUSTOMER: Final = "customer_id"

#: Catalog features that methods, tiers and profiles know by name.
EVENTS: Final = "events"
ORDERS: Final = "orders"
SINCE_LAST_ORDER: Final = "order_recency_days"
NET_REVENUE: Final = "spend"


class Segmenter(Protocol):
    """Divides customers by their features.

    A features table has `customer_id` and one column a feature (null = undefined), one row a
    customer. Segments are places 0..k-1 in `segment_ids`. Rows are independent: neither their
    order nor which others are present changes what a fitted segmenter says of a customer.
    """

    @property
    def method(self) -> str:
        """The name of the method, such as kmeans."""
        ...

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """Ids of the segments in order of their places, such as s01, s02, ..., new."""
        ...

    def fit(self, features: pa.Table) -> Self:
        """Learn the segments.

        Raises:
            InputError: `too_little_data`.
        """
        ...

    def predict(self, features: pa.Table) -> npt.NDArray[np.int64]:
        """(n,) place of each customer's segment: where `transform` is largest."""
        ...

    def transform(self, features: pa.Table) -> Weights:
        """(n, k) soft weights; each row sums to one."""
        ...

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """The fitted segmenter as JSON parameters and named arrays (for safetensors)."""
        ...

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """The segmenter that `to_artefact` described; it says the same of every customer."""
        ...


def column(features: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A numeric column as float64 with NaN where undefined; all NaN where the table lacks it."""
    if name not in features.column_names:
        return np.full(features.num_rows, np.nan)
    values = features[name].combine_chunks()
    if values.type != pa.float64():
        values = values.cast(pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
