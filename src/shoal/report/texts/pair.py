"""Texts of the comparison of two segments, in every language."""

from __future__ import annotations

from typing import Final

PAIR_EN: Final = {
    "pair.title": "Compare two segments",
    "pair.lead": (
        "Typical values of two segments side by side. Each line spans all segments from the least "
        "to the greatest value, with a tick for each of them. Below the totals stand the features "
        "that set the two furthest apart."
    ),
    "pair.first_segment": "First segment (disc)",
    "pair.second_segment": "Second segment (square)",
    "pair.measure": "Measure",
    "pair.place": "Among all segments",
    "pair.first": "{what} chosen most",
    "pair.widest": "{first} and {second} are furthest apart in: {features}.",
    "pair.still": "These are the two largest segments; picking others needs JavaScript.",
}

PAIR_ZH: Final = {
    "pair.title": "比较两个分群",
    "pair.lead": (
        "并列显示两个分群的典型值。每条横线从所有分群中的最小值到最大值，每个分群一个刻度。"
        "总量之下是两者差异最大的特征。"
    ),
    "pair.first_segment": "第一个分群（圆点）",
    "pair.second_segment": "第二个分群（方块）",
    "pair.measure": "指标",
    "pair.place": "在所有分群中的位置",
    "pair.first": "选择最多的{what}",
    "pair.widest": "{first}与{second}差异最大的方面：{features}。",
    "pair.still": "这里显示的是最大的两个分群；选择其他分群需要启用 JavaScript。",
}
