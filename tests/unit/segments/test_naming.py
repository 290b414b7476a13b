"""Names say only what is true, and no two segments share one."""

from __future__ import annotations

from shoal.segments.naming import name_all, summary


def profile(segment_id="s01", *effects):
    return {
        "segment_id": segment_id,
        "size": 1200,
        "share": 0.12,
        "revenue_share": 0.3,
        "effects": [
            {
                "feature": feature,
                "effect": effect,
                "direction": "higher" if effect > 0 else "lower",
                "sentence": {"en": f"{feature}.", "zh": f"{feature}。"},
            }
            for feature, effect in effects
        ],
    }


def test_a_name_is_the_strongest_facts():
    name = name_all([profile("s01", ("night_share", 2.0), ("orders", 0.9), ("spend", 0.7))])[0]
    assert (name.en, name.zh) == ("Night-time, frequent customers", "深夜、高频的客户")


def test_weak_effects_are_not_named():
    assert name_all([profile("s01", ("night_share", 0.3))])[0].en == "Average customers"


def test_the_category_that_sets_apart_is_named():
    facts = (("category:books", 1.5), ("night_share", 1.0))
    assert name_all([profile("s01", *facts)])[0].en == "Night-time books shoppers"


def test_two_alike_are_told_apart_by_more_facts_or_a_number():
    same = (("night_share", 2.0), ("orders", 0.9))
    names = name_all([profile("s01", *same, ("spend", 0.8)), profile("s02", *same)])
    assert names[0].en == "Night-time, frequent, high-spending customers"
    names = name_all([profile("s01", *same), profile("s02", *same)])
    assert [name.en[-2:] for name in names] == ["rs", " 2"]


def test_the_tier_of_the_unknown_is_called_so():
    new = profile("new")
    assert name_all([new])[0].en == "Too little known"
    assert "Fewer than 3 events each" in summary(new, 3).en
    assert summary(new, 3).zh.startswith("1,200 位客户")
