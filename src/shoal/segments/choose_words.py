"""Why a number of segments was taken, in words."""

from __future__ import annotations

from shoal.domain.text import Text
from shoal.segments.evidence import Candidate
from shoal.segments.judge import LEAST_FORETOLD, Limits


def untrusted(chosen: Candidate, limits: Limits, *, stays: bool = False) -> Text:
    """Why no candidate passed the limits, by what keeps the most stable one from it."""
    ari, needed, why = f"{chosen.stability:.2f}", limits.stability, chosen.why_not
    if chosen.stability >= limits.stability and why is not None:
        en = (
            f"No stable candidate (bootstrap ARI of at least {needed}) is free of tiny segments; "
            f"k = {chosen.k} is the most stable (ARI {ari}), but {why.en}."
        )
        zh = (
            f"稳定的候选（自助法 ARI ≥ {needed}）都含有过小的分群；k = {chosen.k} 最稳定"
            f"（ARI {ari}），但{why.zh}。"
        )
    elif stays:
        en = (
            f"No candidate is stable (bootstrap ARI of at least {needed}), nor foretells more than "
            f"k = {chosen.k}, which stays as it was (ARI {ari})."
        )
        zh = (
            f"没有候选稳定（自助法 ARI ≥ {needed}），也没有候选的预测优于 k = {chosen.k}，"
            f"因此保持不变（ARI {ari}）。"
        )
    else:
        en = (
            f"No candidate is stable (bootstrap ARI of at least {needed}); k = {chosen.k} is the "
            f"most stable (ARI {ari})."
        )
        zh = f"没有候选稳定（自助法 ARI ≥ {needed}）；k = {chosen.k} 最稳定（ARI {ari}）。"
    return Text(
        f"{en} Take these segments as a description, not as groups that exist.",
        f"{zh}请将这些分群视为描述，而非客观存在的群体。",
    )


def foretold(chosen: Candidate, best: Candidate, horizon_days: int | None, *, stays: bool) -> Text:
    """What the segments foretell, and why no other number was taken."""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in (chosen.shares or {}).items())
    en = f"Membership foretells the next {horizon_days} days ({shares} of what varies)."
    zh = f"分群能预测未来 {horizon_days} 天的行为（解释比例：{shares}）。"
    if max((best.shares or {}).values(), default=0.0) < LEAST_FORETOLD:
        en = f"No number of segments foretells the next {horizon_days} days ({shares})."
        zh = f"任何分群数量都不能预测未来 {horizon_days} 天的行为（{shares}）。"
    if stays:
        return Text(
            f"{en} k = {chosen.k} stays as it was: no stable number foretells clearly more (best: "
            f"k = {best.k}); bootstrap ARI {chosen.stability:.2f}.",
            f"{zh}k = {chosen.k} 保持不变：没有稳定的候选预测得明显更好（最佳为 k = {best.k}）；"
            f"自助法 ARI {chosen.stability:.2f}。",
        )
    return Text(
        f"{en} k = {chosen.k} is the smallest within one standard error of the best stable "
        f"candidate (k = {best.k}); bootstrap ARI {chosen.stability:.2f}.",
        f"{zh}k = {chosen.k} 是与最佳稳定候选（k = {best.k}）相差不超过一个标准误的最小值；"
        f"自助法 ARI {chosen.stability:.2f}。",
    )
