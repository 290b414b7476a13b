"""Profile: where the customer is, since when signed up, and the traits the shop declares."""

from __future__ import annotations

from typing import Final

from ibis import _

from shoal.domain import kinds
from shoal.domain.text import Text
from shoal.features.algebra import Feature, Summary, commonest, days, named, total

SUMMARIES: Final = (
    Summary("signed_up_us", "kind", _.first_us.min(where=_.kind == kinds.SIGN_UP), default=None),
    Summary("n_profile", "kind", total(_.n, where=_.kind == kinds.PROFILE)),
    # the latest is the "commonest" by time: the greatest moment, of equals the greater text
    Summary("latest_country", "touch", commonest(_.country, _.last_us), default=None),
    Summary("latest_region", "touch", commonest(_.region, _.last_us), default=None),
)

FEATURES: Final = (
    Feature(
        "country", "profile", "", "all", "country of the latest event that has one",
        Text("Country, as last seen.", "最近一次记录的国家。"),
        named(_.latest_country), "text",
    ),
    Feature(
        "region", "profile", "", "all", "region of the latest event that has one",
        Text("Region, as last seen.", "最近一次记录的地区。"),
        named(_.latest_region), "text",
    ),
    Feature(
        "sign_up_days", "profile", "days", "all", "T - first `sign_up` event",
        Text("Days since signing up.", "注册天数。"), days(_.now_us - _.signed_up_us),
    ),
    Feature(
        "profile_updates", "profile", "events", "all", "number of `profile` events",
        Text("Changes of the customer's profile.", "资料更新次数。"), _.n_profile, "count",
    ),
)  # fmt: skip


def trait_summary(trait: str) -> Summary:
    """Latest value of a declared trait, behind its time."""
    told = commonest(_.value, _.last_us, where=_.trait == trait)
    return Summary(f"latest_trait_{trait}", "trait", told, default=None)


def trait_feature(trait: str) -> Feature:
    """Feature `trait_<name>` of a trait that shop.toml declares."""
    return Feature(
        f"trait_{trait}", "profile", "", "all", f"latest `{trait}` of `profile` events",
        Text(f"Trait {trait}, as last told.", f"最近一次记录的属性 {trait}。"),
        named(_[f"latest_trait_{trait}"]), "text",
    )  # fmt: skip
