"""Names say only what is true, and no two segments share one."""

from __future__ import annotations

from shoal.domain.text import Text
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


def test_a_segment_is_not_average_for_telling_of_its_last_weeks_alone():
    recent = profile("s01", ("orders_28d", 2.6), ("cart_adds_90d", 2.6), ("views_28d", 2.2))
    assert name_all([recent])[0].en == "Frequent customers"
    more = recent | {"differences": {"spend_90d": 1.8, "night_share": 0.4, "orders": 2.2}}
    assert name_all([more])[0].en == "Frequent, high-spending customers"


def test_a_category_of_few_events_names_nobody_however_many_times_that_of_the_rest():
    facts = profile("s01", ("category:games", 2.5), ("category:books", 1.5), ("orders", 1.0))
    shares = {"category:games": 0.03, "category:books": 0.4}
    assert name_all([facts | {"means": shares}])[0].en == "Frequent books shoppers"
    rare = facts | {"means": {"category:games": 0.03, "category:books": 0.1}}
    assert name_all([rare])[0].en == "Frequent customers"


def test_a_category_stays_in_a_name_until_its_share_has_clearly_fallen():
    old = {"s01": Text("Books shoppers", "books 客户")}
    facts = profile("s01", ("category:books", 1.5), ("orders", 1.0))
    assert name_all([facts | {"means": {"category:books": 0.17}}], kept=old) == [old["s01"]]
    fallen = facts | {"means": {"category:books": 0.14}}
    assert name_all([fallen], kept=old)[0].en == "Frequent customers"


def test_two_alike_are_told_apart_by_more_facts_or_a_number():
    same = (("night_share", 2.0), ("orders", 0.9))
    names = name_all([profile("s01", *same, ("spend", 0.8)), profile("s02", *same)])
    assert names[0].en == "Night-time, frequent, high-spending customers"
    names = name_all([profile("s01", *same), profile("s02", *same)])
    assert [name.en[-2:] for name in names] == ["rs", " 2"]
    many = (*same, ("spend", 0.8), ("weekend_share", 0.7), ("tenure_days", 0.6))
    names = name_all([profile("s01", *many), profile("s02", *many)])
    assert [name.en for name in names] == [
        "Night-time, frequent customers", "Night-time, frequent customers 2",
    ]  # fmt: skip


def test_the_same_facts_in_another_order_are_no_other_name():
    one = profile("s01", ("recency_days", -2.0), ("orders", 1.0), ("night_share", 0.8))
    other = profile("s02", ("orders", 2.0), ("recency_days", -1.0), ("weekend_share", 0.8))
    assert [name.en for name in name_all([one, other])] == [
        "Recently active, frequent, night-time customers",
        "Frequent, recently active, weekend customers",
    ]
    less = profile("s02", ("orders", 2.0), ("recency_days", -1.0))
    alike = profile("s01", ("recency_days", -2.0), ("orders", 1.0))
    assert [name.en for name in name_all([alike, less])] == [
        "Recently active, frequent customers", "Recently active, frequent customers 2",
    ]  # fmt: skip


def test_the_tier_of_the_unknown_is_called_so():
    new = profile("new")
    assert name_all([new])[0].en == "Too little known"
    assert "Fewer than 3 events each" in summary(new, 3).en
    assert summary(new, 3).zh.startswith("1,200 位客户")


def test_a_segment_that_goes_on_keeps_its_name_while_the_facts_hold():
    old = {"s01": name_all([profile("s01", ("night_share", 2.0), ("orders", 0.6))])[0]}
    # the effects have shrunk and changed their order: the facts still hold
    now = profile("s01", ("spend", 1.0), ("night_share", 0.4), ("orders", 0.36))
    assert name_all([now], kept=old) == [old["s01"]]
    assert name_all([now])[0] != old["s01"]


def test_a_name_goes_with_the_fact_behind_it():
    old = {"s01": name_all([profile("s01", ("night_share", 2.0), ("orders", 0.6))])[0]}
    now = profile("s01", ("night_share", 2.0), ("orders", 0.3), ("spend", 1.0))
    assert name_all([now], kept=old)[0].en == "Night-time, high-spending customers"
    turned = profile("s01", ("night_share", 2.0), ("orders", -0.6))
    assert name_all([turned], kept=old)[0].en == "Night-time, occasional customers"


def test_a_category_in_a_kept_name_has_to_hold():
    old = {"s01": name_all([profile("s01", ("category:books, maps", 1.5), ("orders", 1.0))])[0]}
    assert old["s01"].en == "Frequent books, maps shoppers"
    same = profile("s01", ("category:books, maps", 0.4), ("orders", 1.0))
    assert name_all([same], kept=old) == [old["s01"]]
    other = profile("s01", ("category:toys", 1.5), ("orders", 1.0))
    assert name_all([other], kept=old)[0].en == "Frequent toys shoppers"


def test_smaller_effects_of_the_profile_count_for_a_kept_name():
    old = {"s01": name_all([profile("s01", ("night_share", 2.0))])[0]}
    now = profile("s01", ("spend", 1.0)) | {"differences": {"night_share": 0.5, "spend": 1.0}}
    assert name_all([now], kept=old) == [old["s01"]]


def test_average_stays_until_something_stands_out():
    old = {"s01": name_all([profile("s01")])[0]}
    assert old["s01"].en == "Average customers"
    assert name_all([profile("s01", ("orders", 0.6))], kept=old) == [old["s01"]]
    assert name_all([profile("s01", ("orders", 0.7))], kept=old)[0].en == "Frequent customers"


def test_a_new_segment_takes_no_kept_name():
    facts = (("night_share", 2.0), ("orders", 0.9))
    old = {"s02": name_all([profile("s02", *facts)])[0]}
    names = name_all([profile("s01", *facts, ("spend", 0.8)), profile("s02", *facts)], kept=old)
    assert names[1] == old["s02"]
    assert names[0].en == "Night-time, frequent, high-spending customers"
    names = name_all([profile("s01", *facts), profile("s02", *facts)], kept=old)
    assert [name.en for name in names] == [f"{old['s02'].en} 2", old["s02"].en]
    assert len({name.zh for name in names}) == 2


def test_a_numbered_name_is_kept_too():
    facts = (("night_share", 2.0), ("orders", 0.9))
    first = name_all([profile("s01", *facts), profile("s02", *facts)])
    kept = dict(zip(("s01", "s02"), first, strict=True))
    assert name_all([profile("s02", *facts), profile("s01", *facts)], kept=kept) == first[::-1]


def test_a_name_that_somebody_gave_stays():
    facts = profile("s01", ("night_share", 2.0))
    own = Text("Our VIPs", "我们的贵宾")
    assert name_all([facts], kept={"s01": own}) == [own]
    template = Text("Frequent customers", "高频的客户")  # no fact of theirs, but said by a person
    assert name_all([facts], given={"s01": template}) == [template]
    assert name_all([facts], kept={"s01": template})[0].en == "Night-time customers"
