"""The map of customers: a fair sample in which small segments are seen, and a plane for any k."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shoal.segments.picture import LEAST_OF_A_SEGMENT, MAP_CUSTOMERS, map_document


def drawn(Z: np.ndarray[Any, Any], places: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The map of customers that lie at Z (n, d), each placed in one of the segments."""
    k = int(places.max()) + 1
    segmenter = SimpleNamespace(
        known=lambda table: np.ones(table.num_rows, dtype=bool),
        embed=lambda table: Z[table["row"].to_numpy()],
        centers=np.array([Z[places == place].mean(axis=0) for place in range(k)]),
        segment_ids=[*(f"s{place + 1:02d}" for place in range(k)), "new"],
    )
    table = pa.table({"row": np.arange(len(Z))})
    return map_document(segmenter, table, SimpleNamespace(places=places))  # type: ignore[arg-type]


def spread(told: dict[str, Any]) -> list[float]:
    return np.array([point[:2] for point in told["points"]]).std(axis=0).tolist()


def groups(sizes: list[int], d: int = 6) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(4)
    places = np.repeat(np.arange(len(sizes)), sizes)
    return random.normal(size=(len(places), d)) + 8 * np.eye(len(sizes), d)[places], places


def test_every_segment_is_drawn_by_its_share_and_a_small_one_is_seen() -> None:
    told = drawn(*groups([9_000, 980, 15, 5]))
    counts = Counter(point[2] for point in told["points"])
    assert counts["s01"] == round(MAP_CUSTOMERS * 0.9)
    assert counts["s02"] == round(MAP_CUSTOMERS * 0.098)
    assert (counts["s03"], counts["s04"]) == (15, 5)
    assert drawn(*groups([30_000, 60]))["least_of_a_segment"] == LEAST_OF_A_SEGMENT
    few = Counter(point[2] for point in drawn(*groups([30_000, 60]))["points"])
    assert few["s02"] == LEAST_OF_A_SEGMENT


def test_few_customers_are_all_drawn_and_the_same_twice() -> None:
    told = drawn(*groups([60, 30, 10]))
    assert Counter(point[2] for point in told["points"]) == {"s01": 60, "s02": 30, "s03": 10}
    assert told == drawn(*groups([60, 30, 10]))


@pytest.mark.parametrize("sizes", [[200], [150, 50], [100, 60, 40]])
def test_any_number_of_segments_spans_a_plane(sizes: list[int]) -> None:
    across, up = spread(drawn(*groups(sizes)))
    assert across > 0.5 and up > 0.5


def test_the_middles_of_segments_lie_apart_on_the_first_direction() -> None:
    told = drawn(*groups([100, 100]))
    means = [
        np.mean([one[0] for one in told["points"] if one[2] == name]) for name in ("s01", "s02")
    ]
    assert abs(means[0] - means[1]) == pytest.approx(8 * np.sqrt(2), rel=0.1)


def test_one_segment_lies_along_what_differs_most() -> None:
    Z, places = groups([300])
    Z[:, 3] *= 20
    told = drawn(Z, places)
    assert spread(told)[0] == pytest.approx(Z[:, 3].std(), rel=0.01)


def test_a_single_direction_leaves_the_other_empty() -> None:
    told = drawn(np.arange(50.0)[:, None], np.zeros(50, dtype=np.int64))
    assert spread(told)[0] > 1 and spread(told)[1] == 0
