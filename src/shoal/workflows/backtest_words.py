"""A backtest in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shoal.domain.text import Text

_NAMES: Final[Mapping[str, Text]] = {
    "frozen": Text("Frozen segments", "冻结的分群"),
    "monthly": Text("Segments made anew each month", "每月重新生成的分群"),
    "shoal": Text("Segments adjusted by Shoal", "由 Shoal 调整的分群"),
}


def sentences(document: Mapping[str, Any]) -> list[Text]:
    """What the figures say, a sentence a strategy, and whether differences are beyond chance."""
    told = [_strategy(name, one) for name, one in document["strategies"].items()]
    difference = _difference(document)
    return [*told, *([difference] if difference else [])]


def _strategy(name: str, one: Mapping[str, Any]) -> Text:
    name_en, name_zh = _NAMES[name].en, _NAMES[name].zh
    share, segments = one["of_attainable"], one["segments"]
    moved, model = one["turnover_a_month"], one["relabelled_by_model_a_month"]
    foretold = (
        Text("foretold nothing that can be told", "无可预测的内容")
        if share is None
        else Text(
            f"foretold {share:.0%} of what could be foretold of the next period",
            f"预测了下一时期可预测内容的 {share:.0%}",
        )
    )
    return Text(
        f"{name_en} {foretold.en}; {moved:.1%} of customers changed segment a month, {model:.1%} "
        f"because the segments changed; {segments['kept']} of {segments['first']} segments are "
        f"there still, of {segments['last']}.",
        f"{name_zh}{foretold.zh}；每月 {moved:.1%} 的客户更换分群，其中 {model:.1%} "
        f"因分群本身变化；最初 {segments['first']} 个分群中 {segments['kept']} 个仍在，"
        f"现共 {segments['last']} 个。",
    )


def _difference(document: Mapping[str, Any]) -> Text | None:
    """Whether Shoal's segments foretell more than frozen ones, outcome by outcome."""
    if not {"frozen", "shoal"} <= set(document["strategies"]):
        return None
    better, worse = [], []
    for outcome, one in document["outcomes"].items():
        told = one["strategies"]["shoal"]["difference"]
        if told["low"] > 0:
            better.append(outcome)
        elif told["high"] < 0:
            worse.append(outcome)
    if not better and not worse:
        return Text(
            "Between frozen segments and those adjusted by Shoal no outcome shows a difference "
            "beyond chance.",
            "冻结分群与 Shoal 调整的分群之间，没有任何结果的差异超出偶然。",
        )
    return Text(
        f"Beside frozen segments those adjusted by Shoal foretell more of {_list(better)} and less "
        f"of {_list(worse)}, beyond chance.",
        f"与冻结分群相比，Shoal 调整的分群对 {_list(better, '无')} 预测更好，"
        f"对 {_list(worse, '无')} 预测更差（超出偶然）。",
    )


def _list(names: list[str], nothing: str = "nothing") -> str:
    return ", ".join(names) or nothing
