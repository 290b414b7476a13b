"""Interaction: what the customer tells the shop and others, and answers to what the shop sends."""

from __future__ import annotations

from typing import Final

from ibis import Deferred, _

from shoal.domain import kinds
from shoal.domain.text import Text
from shoal.features.algebra import Feature, Summary, ValueType, ratio, total
from shoal.features.catalog_behaviour import count_of

_RATING_SCALE: Final = 1_000_000

_COUNTED: Final = (
    (kinds.REVIEW, "reviews", "Reviews written.", "评价次数。"),
    (kinds.SHARE, "shares", "Items shared.", "分享次数。"),
    (kinds.FAVOURITE, "favourites", "Items kept as favourites.", "收藏次数。"),
    (kinds.REFER, "referrals", "People referred.", "推荐他人的次数。"),
    (kinds.SURVEY, "surveys", "Surveys answered.", "参与问卷的次数。"),
    (kinds.EXPOSURE, "exposures", "Campaign messages shown.", "营销触达次数。"),
    (kinds.OPEN, "opens", "Campaign messages opened.", "营销消息打开次数。"),
    (kinds.RESPONSE, "responses", "Answers to campaigns.", "营销响应次数。"),
)

SUMMARIES: Final = (
    *(count_of(kind) for kind, *_rest in _COUNTED),
    Summary("rated", "kind", total(_.rated)),
    Summary("rating_micros", "kind", total(_.rating_micros)),
)


def _feature(
    name: str,
    unit: str,
    formula: str,
    en: str,
    zh: str,
    finish: Deferred,
    type: ValueType = "number",
) -> Feature:
    return Feature(name, "interaction", unit, "all", formula, Text(en, zh), finish, type)


FEATURES: Final = (
    *(
        _feature(
            name, "events", f"number of `{kind}` events", en, zh, _[f"n_{kind}"], "count"
        )
        for kind, name, en, zh in _COUNTED
    ),
    _feature(
        "rating_mean", "rating", "mean rating over all events with a rating",
        "Mean rating given.", "平均评分。", ratio(_.rating_micros, _.rated) / _RATING_SCALE,
    ),
    _feature(
        "review_rate", "ratio", "review / value events", "Reviews for each line bought.",
        "每行购买对应的评价次数。", ratio(_.n_review, _.lines),
    ),
    _feature(
        "favourite_share", "share", "favourite / events",
        "Share of events that keep an item as favourite.", "收藏事件比例。",
        ratio(_.n_favourite, _.events),
    ),
    _feature(
        "open_rate", "ratio", "open / exposure", "Messages opened for each one shown.",
        "每次触达对应的打开次数。", ratio(_.n_open, _.n_exposure),
    ),
    _feature(
        "response_rate", "ratio", "response / exposure", "Answers for each message shown.",
        "每次触达对应的响应次数。", ratio(_.n_response, _.n_exposure),
    ),
)  # fmt: skip
