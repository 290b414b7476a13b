"""Protected traits: what learning leaves out, and how segments fall by them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from shoal.features.catalog import CATALOG
from shoal.features.covariates import CovariateTable
from shoal.features.tastes import Vocabulary
from shoal.segments.inputs import inputs
from shoal.segments.protected import by_trait, cramers_v, left_out, protected_columns

WEATHER = CovariateTable("weather", ("day", "region"), ("degrees",), period="day")
HOLIDAYS = CovariateTable("holidays", ("day",), ("free",), period="day")


def table(**columns: list[object]) -> pa.Table:
    count = len(next(iter(columns.values())))
    return pa.table({"customer_id": [f"c{n}" for n in range(count)], **columns})


def test_what_tells_a_place_is_left_out_with_it() -> None:
    catalog = CATALOG.with_traits(("gender", "plan")).with_covariates((WEATHER, HOLIDAYS))
    aside = left_out(catalog)
    assert aside["trait_gender"] == "gender"
    assert "trait_plan" not in aside
    assert {name for name, trait in aside.items() if trait == "region"} > {"region"}
    assert all("holidays" not in name for name in aside)
    assert any(name.startswith("weather") for name in aside)
    assert left_out(catalog, ("plan",)) == {"trait_plan": "plan"}


def test_learned_segments_are_not_made_on_what_is_left_out() -> None:
    catalog = CATALOG.with_covariates((WEATHER, HOLIDAYS))
    features = table(**{one.name: [1.0, 2.0] for one in catalog if one.type != "text"})
    vocabulary = Vocabulary.of(
        pa.table({"customer_id": pa.array([], pa.string()), "facet": pa.array([], pa.string()),
                  "value": pa.array([], pa.string()), "n": pa.array([], pa.int64())})
    )  # fmt: skip
    names = {one.name for one in inputs(features, catalog, vocabulary)}
    assert not names & set(left_out(catalog))
    assert any(name.startswith("holidays") for name in names)
    allowed = {one.name for one in inputs(features, catalog, vocabulary, protected=())}
    assert allowed - names == set(left_out(catalog)) & set(features.column_names) - {
        one.name for one in catalog if one.window == "now"
    }


def test_counts_shares_and_the_largest_gap() -> None:
    features = table(trait_gender=["f"] * 30 + ["m"] * 30 + [None] * 5)
    segments = ["a"] * 25 + ["b"] * 5 + ["b"] * 30 + ["a"] * 5
    found = by_trait(features, segments)["traits"][0]
    assert found["trait"] == "trait_gender"
    assert (found["known"], found["unknown"]) == (60, 5)
    assert found["values"] == [
        {"value": "f", "customers": 30, "share": 0.5},
        {"value": "m", "customers": 30, "share": 0.5},
    ]
    a, b = found["segments"]
    assert (a["customers"], a["shares"], a["unknown"]) == ([25, 0], [1.0, 0.0], 5)
    assert b["customers"] == [5, 30]
    assert sum(one["known"] + one["unknown"] for one in found["segments"]) == 65
    assert found["largest_gap"] == {
        "segment_id": "a", "value": "f", "share": 1.0, "share_of_all": 0.5, "gap": 0.5
    }  # fmt: skip


def test_a_gap_of_a_few_customers_is_none() -> None:
    features = table(country=["DE"] * 100 + ["AT"] * 3)
    found = by_trait(features, ["a"] * 100 + ["b"] * 3)["traits"][0]
    assert found["segments"][1]["gap"] is None
    assert found["largest_gap"]["segment_id"] == "a"
    assert found["largest_gap"]["value"] == "DE"


def test_ages_are_told_in_bands_and_rare_names_together() -> None:
    ages = [str(18 + n) for n in range(40)]
    found = by_trait(table(trait_age=ages), ["a"] * 40)["traits"][0]
    assert [one["value"] for one in found["values"]] == [
        "10 to 19", "20 to 29", "30 to 39", "40 to 49", "50 to 59"
    ]  # fmt: skip
    towns = [f"town {n}" for n in range(30)] * 2 + ["big"] * 10
    found = by_trait(table(region=towns), ["a"] * 70)["traits"][0]
    assert len(found["values"]) == 13
    assert found["values"][-1] == {
        "value": "other",
        "customers": 38,
        "share": pytest.approx(38 / 70),
    }


def test_a_trait_that_nobody_has_is_not_told() -> None:
    found = by_trait(table(country=[None, ""], region=["x", None]), ["a", "b"])
    assert [one["trait"] for one in found["traits"]] == ["region"]


def test_columns_of_traits() -> None:
    assert protected_columns(["orders", "region", "trait_age", "trait_plan"], ("age",)) == [
        "trait_age"
    ]


def test_association_is_none_of_independence_and_one_of_identity() -> None:
    import numpy as np

    assert cramers_v(np.array([[30, 30], [30, 30]])) == 0.0
    assert cramers_v(np.array([[60, 0], [0, 60]])) == pytest.approx(1.0)
    assert cramers_v(np.array([[60, 40]])) is None
    assert cramers_v(np.array([[45, 15], [15, 45]])) == pytest.approx(0.49, abs=0.02)
