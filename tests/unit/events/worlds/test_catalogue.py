"""The simulated catalogue and its shelves."""

from __future__ import annotations

import numpy as np

from shoal.events import worlds
from shoal.events.worlds import sample
from shoal.events.worlds.catalogue import Shelf
from shoal.events.worlds.segments import TOPS


def test_a_shelf_draws_by_price_quantile_and_popularity() -> None:
    group = np.array([0, 1, 0, 1])
    shelf = Shelf.stock(group, np.array([20, 5, 10, 9]), np.array([3.0, 1.0, 1.0, 1.0]))
    # Group 0: item 2 (price 10) owns the first quarter, item 0 (price 20) the rest.
    quantile = np.array([0.0, 0.24, 0.25, 0.99, 0.49, 0.5])
    drawn = shelf.draw(np.array([0, 0, 0, 0, 1, 1]), quantile)
    assert drawn.tolist() == [2, 2, 0, 0, 1, 3]


def test_every_leaf_and_brand_is_stocked_and_titles_are_in_two_languages() -> None:
    world = worlds.load("steady")
    goods = sample.build_catalogue(world, 0)
    assert len(goods.leaf) == world.dials.items
    assert len(np.unique(goods.leaf)) == len(goods.leaf_names)
    assert len(np.unique(goods.brand)) == len(goods.brand_names)
    assert set(np.unique(goods.top)) == set(range(len(TOPS)))
    assert all(name.count("/") == 2 for name in goods.leaf_names)
    chinese = np.mean([any("\u4e00" <= letter <= "\u9fff" for letter in t) for t in goods.titles])
    assert 0.15 < chinese < 0.25
    assert goods.price_cents.min() >= 99


def test_a_brand_belongs_to_one_top_category() -> None:
    goods = sample.build_catalogue(worlds.load("steady"), 0)
    for brand in range(len(goods.brand_names)):
        assert len(np.unique(goods.top[goods.brand == brand])) == 1


def test_queries_speak_of_their_leaf() -> None:
    goods = sample.build_catalogue(worlds.load("steady"), 0)
    shoes = goods.leaf_names.index("sports/running/shoes")
    assert goods.queries[3 * shoes : 3 * shoes + 3] == (
        "running shoes", "cheap running shoes", "跑鞋",
    )  # fmt: skip
