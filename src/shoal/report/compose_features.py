"""The main features across the segments: for the heat map and for comparing any two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal.report.document_story import MainFeature
from shoal.segments.wording import Described

#: Features that most shops ask for first, in the order in which they are told.
_MAIN: Final = (
    "orders", "spend", "basket_value_mean", "basket_units_mean", "unit_price_mean",
    "order_gap_mean_days", "order_recency_days", "recency_days", "tenure_days", "events", "views",
    "cart_adds", "active_days_90d", "session_minutes_90d", "purchase_per_view",
    "discounted_order_share", "coupon_share", "refund_share", "night_share", "weekend_share",
)  # fmt: skip
#: Each segment's strongest differences are added where they are not among the main ones.
_OWN: Final = 2
_MOST_OWN: Final = 16


def features(
    profiles: Sequence[Mapping[str, Any]], described: Mapping[str, Described], lang: str
) -> tuple[MainFeature, ...]:
    """Typical values and differences of each segment; empty where profiles hold no differences.

    Args:
        profiles: of the segments proper (`shoal.profiles/1`), the tier left out.
    """
    compared = {name for one in profiles for name in one.get("differences") or ()}
    wanted = [name for name in _MAIN if name in compared] + _strongest(profiles, set(_MAIN))
    return tuple(
        _feature(name, profiles, described[name], lang) for name in wanted if name in described
    )


def _strongest(profiles: Sequence[Mapping[str, Any]], known: set[str]) -> list[str]:
    """What sets single segments apart most, strongest first."""
    best: dict[str, float] = {}
    for one in profiles:
        differences = one.get("differences") or {}
        own = [name for name in differences if name not in known]
        for name in sorted(own, key=lambda name: (-abs(differences[name]), name))[:_OWN]:
            best[name] = max(best.get(name, 0.0), abs(differences[name]))
    return sorted(best, key=lambda name: (-best[name], name))[:_MOST_OWN]


def _feature(
    name: str, profiles: Sequence[Mapping[str, Any]], known: Described, lang: str
) -> MainFeature:
    medians = {one["segment_id"]: one["medians"].get(name) for one in profiles}
    # Medians of rare things are the same everywhere, often 0; tastes have none.
    average = len(set(medians.values())) == 1
    values = {one["segment_id"]: (one.get("means") or {}).get(name) for one in profiles}
    return MainFeature(
        name,
        known.text.zh if lang == "zh" else known.text.en,
        known.unit,
        values if average else medians,
        {
            one["segment_id"]: one["differences"][name]
            for one in profiles
            if name in (one.get("differences") or {})
        },
        average,
    )
