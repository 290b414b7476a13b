"""Interest: in what, how broadly, how new, how sought after and how dear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import ibis
from ibis import Deferred, _

from shoal.domain import kinds
from shoal.domain.text import Text
from shoal.features.algebra import (
    Feature,
    Summary,
    ValueType,
    commonest,
    days,
    fixed,
    named,
    ratio,
    total,
)
from shoal.features.catalog_behaviour import count_of

#: Floats are summed as integers: engines add in any order, and the same events must give the same
#: features to the last bit. n ln n in billionths, ranks in trillionths.
_SCALE: Final = 10**9
_RANK_SCALE: Final = 10**12


def _feature(
    name: str,
    unit: str,
    formula: str,
    en: str,
    zh: str,
    finish: Deferred,
    type: ValueType = "number",
) -> Feature:
    return Feature(name, "interest", unit, "all", formula, Text(en, zh), finish, type)


def _spread(grain: str, key: Deferred) -> Iterator[Summary]:
    """Summaries of how events and purchases spread over the keys of a grain."""
    n = _.n.cast("float64")
    bought = _.bought.cast("float64")
    yield Summary(f"{grain}_kinds", grain, _.count())
    yield Summary(f"{grain}_events", grain, total(_.n))
    yield Summary(f"{grain}_max", grain, _.n.max(), default=None)
    yield Summary(f"{grain}_nlogn", grain, total(fixed(n * n.ln(), _SCALE)), default=None)
    yield Summary(f"{grain}_top", grain, commonest(key, _.n), default=None)
    yield Summary(f"{grain}_kinds_bought", grain, total(1, where=_.bought > 0))
    yield Summary(f"{grain}_bought", grain, total(_.bought))
    yield Summary(f"{grain}_bought_max", grain, bought.max(where=_.bought > 0), default=None)


SUMMARIES: Final = (
    *_spread("category", _.top_category),
    *_spread("brand", _.brand),
    count_of(kinds.SEARCH),
    Summary("items", "item", _.count()),
    Summary("items_bought", "item", total(1, where=_.bought > 0)),
    Summary("items_again", "item", total(1, where=_.bought > 1)),
    Summary("item_lines", "item", total(_.bought)),
    Summary("item_age_us", "item", (_.first_us - _.item_first_us).mean(), default=None),
    Summary("item_popularity", "item", fixed(_.popularity, _RANK_SCALE).mean(), default=None),
    Summary("item_price_rank", "item", fixed(_.price_rank, _RANK_SCALE).mean(), default=None),
    Summary(
        "bought_price_rank",
        "item",
        fixed(_.price_rank, _RANK_SCALE).mean(where=_.bought > 0),
        default=None,
    ),
)


def _entropy(grain: str) -> Deferred:
    """H = ln N - sum(n ln n) / N, in nats (Shannon 1948); never below 0 by rounding."""
    count = _[f"{grain}_events"]
    entropy = count.nullif(0).cast("float64").ln() - ratio(_[f"{grain}_nlogn"], count) / _SCALE
    return ibis.ifelse(entropy > 0, entropy, entropy * 0.0)


def _interest_in(grain: str, en: str, zh: str, plural: str) -> Iterator[Feature]:
    yield _feature(
        f"top_{grain}", "", f"{en} with most events; of equals the greater text",
        f"The {en} looked at most.", f"最关注的{zh}。", named(_[f"{grain}_top"]), "text",
    )  # fmt: skip
    yield _feature(
        f"top_{grain}_share", "share", f"events of the top {en} / events with a {en}",
        f"Share of events in the top {en}.", f"最关注{zh}的事件占比。",
        ratio(_[f"{grain}_max"], _[f"{grain}_events"]),
    )  # fmt: skip
    yield _feature(
        f"{grain}_entropy", "nats", f"-sum p ln p over the shares of events by {en}",
        f"Breadth of interest: 0 is a single {en}.", f"兴趣广度：0 表示只关注一个{zh}。",
        _entropy(grain),
    )  # fmt: skip
    yield _feature(
        plural, plural, f"distinct {en} of events", f"Different {plural} looked at.",
        f"关注过的{zh}数。", _[f"{grain}_kinds"], "count",
    )  # fmt: skip
    yield _feature(
        f"{plural}_bought", plural, f"distinct {en} of value events",
        f"Different {plural} bought.", f"购买过的{zh}数。", _[f"{grain}_kinds_bought"], "count",
    )  # fmt: skip
    yield _feature(
        f"bought_{grain}_share", "share", f"most lines of a {en} / lines with a {en}",
        f"Share of purchases in the {en} bought most.", f"购买最多的{zh}占比。",
        ratio(_[f"{grain}_bought_max"], _[f"{grain}_bought"]),
    )  # fmt: skip


FEATURES: Final = (
    *_interest_in("category", "category", "品类", "categories"),
    *_interest_in("brand", "brand", "品牌", "brands"),
    _feature(
        "items_kept", "items", "distinct items bought, put into the cart or kept as favourites",
        "Different items taken up.", "购买、加购或收藏过的商品数。", _["items"], "count",
    ),
    _feature(
        "items_bought", "items", "distinct items of value events",
        "Different items bought.", "购买过的商品数。", _.items_bought, "count",
    ),
    _feature(
        "repeat_item_share", "share", "items bought more than once / items bought",
        "Share of the bought items that were bought again.", "重复购买的商品比例。",
        ratio(_.items_again, _.items_bought),
    ),
    _feature(
        "repeat_line_share", "share", "1 - items bought / lines with an item",
        "Share of the lines that repeat an earlier item.", "重复购买的行数比例。",
        ratio(_.item_lines - _.items_bought, _.item_lines),
    ),
    _feature(
        "item_age_days", "days",
        "mean over items taken up of (first taken up by the customer - first seen in the shop)",
        "How old items are when taken up: small is a hunter of novelties.",
        "首次选择商品时商品的上架天数：越小越追新。", days(_.item_age_us),
    ),
    _feature(
        "item_popularity", "share", "mean popularity rank of the items taken up",
        "How sought after the items are: 100 % is the bestseller.",
        "所选商品的热门程度：100% 为最热门。",
        _.item_popularity / _RANK_SCALE,
    ),
    _feature(
        "price_level", "share", "mean price rank within category of the items taken up",
        "Price level within the category: 0 % the cheapest, 100 % the dearest.",
        "品类内的价格档次：0% 最便宜，100% 最贵。", _.item_price_rank / _RANK_SCALE,
    ),
    _feature(
        "price_level_bought", "share", "mean price rank within category of the items bought",
        "Price level of what is bought: 0 % the cheapest, 100 % the dearest.",
        "所购商品在品类内的价格档次：0% 最便宜，100% 最贵。", _.bought_price_rank / _RANK_SCALE,
    ),
    _feature(
        "searches", "events", "number of `search` events", "Searches.", "搜索次数。",
        _.n_search, "count",
    ),
    _feature(
        "search_share", "share", "search / events", "Share of events that are searches.",
        "搜索事件比例。", ratio(_.n_search, _.events),
    ),
)  # fmt: skip
