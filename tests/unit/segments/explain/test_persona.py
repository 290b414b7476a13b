"""A paragraph about a segment says nothing that its profile does not hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shoal.domain.text import Text
from shoal.features.catalog import CATALOG
from shoal.features.tastes import Vocabulary
from shoal.segments.explain.persona import persona, shown_at, unsupported
from shoal.segments.explain.tree import Bounds
from shoal.segments.explain.words import exactly, rule_in_words
from shoal.segments.naming import name_all
from shoal.segments.profile import Placed, profiles
from shoal.segments.wording import Described, describe

WORDS = Vocabulary((("category", "books 24"), ("category", "toys")), (0.5, 0.5))
KNOWN = describe(CATALOG, WORDS)


def told(seed: int = 0):
    """Profiles of random customers of three segments and the too little known."""
    rng = np.random.default_rng(seed)
    n = 300
    places = rng.integers(0, 4, n)
    features = pa.table(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "events": rng.poisson(5 + 20 * places),
            "orders": rng.poisson(1 + 3 * places),
            "order_recency_days": np.where(rng.random(n) < 0.2, np.nan, rng.exponential(30, n)),
            "spend": rng.exponential(80 * (1 + places)),
            "night_share": rng.beta(1 + places, 5),
            "views_28d": rng.poisson(2 + places),
        }
    )
    books = rng.beta(1 + 3 * (places == 1), 3)
    ids = ("s01", "s02", "s03", "new")
    placed = Placed(features, ids, np.eye(4)[places], WORDS, np.column_stack([books, 1 - books]))
    found = profiles(placed, KNOWN)
    for profile, name in zip(found, name_all(found), strict=True):
        profile["name"] = name.as_document()
    return found


def test_every_number_is_a_fact_of_the_profile():
    seen = 0
    for seed in range(5):
        for profile in told(seed):
            found = persona(profile, KNOWN, "EUR")
            for fact in found["facts"]:
                assert shown_at(profile, fact["path"], fact["unit"]) == fact["shown"]
            for lang in ("en", "zh"):
                assert unsupported(found[lang], found["facts"], found["labels"]) == []
                assert len(
                    [fact for fact in found["facts"] if fact["shown"] in found[lang]]
                ) == len(found["facts"])
            seen += len(found["facts"])
    assert seen > 100


def test_a_number_that_is_no_fact_is_found_out():
    found = persona(told()[0], KNOWN, None)
    made_up = found["en"] + " They come back after 17.25 days, 93% of them."
    assert unsupported(made_up, found["facts"], found["labels"]) == ["17.25", "93%"]
    made_up = found["zh"] + "平均消费9999元。"
    assert unsupported(made_up, found["facts"], found["labels"]) == ["9999"]


def test_the_too_little_known_are_only_counted():
    found = persona(next(one for one in told() if one["segment_id"] == "new"), KNOWN, "EUR")
    assert found["en"].startswith("Too little known: ")
    assert len(found["facts"]) == 3


def test_a_rule_in_words_has_its_thresholds_to_the_last_digit():
    orders = Described("orders", "behaviour", "orders", Text("Orders placed", "下单次数"))
    night = Described("night", "behaviour", "share", Text("Share at night", "夜间比例"))
    known = {"orders": orders, "night": night}
    paths = [
        [Bounds("orders", 3.0, None, False), Bounds("night", None, 0.125, True)],
        [Bounds("orders", None, 3.0, False)],
    ]
    words = rule_in_words(paths, known, {"night"})
    assert words.en == (
        "Either [Orders placed] more than 3 and [Share at night] at most 12.5% or unknown; "
        "or [Orders placed] at most 3."
    )
    assert (
        words.zh
        == "满足其一：[下单次数]大于 3，且[夜间比例]不超过 12.5%或未知；或[下单次数]不超过 3。"
    )
    assert "unknown" not in rule_in_words(paths, known).en
    assert rule_in_words([[]], known).en == "Every customer."
    assert rule_in_words([], known).en == "No customer is put here by the tree."


def test_thresholds_are_not_rounded():
    assert exactly(0.0051, "share") == "0.51%"
    assert exactly(1234.5678, "currency") == "1,234.5678"
    assert exactly(1e-07, "nats") == "1e-07"
