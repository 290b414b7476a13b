"""The texts on why segments are as they are, in both languages: number, rules, traits, map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REASONS_EN: Final[Mapping[str, str]] = {
    # how many
    "choice.title": "Why this number of segments",
    "choice.none_found": (
        "No segments here: customers differ one by one, not by groups, so all are one segment."
    ),
    "choice.axis_k": "Number of segments",
    "choice.axis_styles": "Segments that differ by style",
    "choice.alt": (
        "Dots for each number of segments tried, from {low} to {high}: {what}. {k} was chosen."
    ),
    "choice.next_period": "How well segments foretell the next {days}: 1 is the best number tried",
    "choice.next_period_share": "Share of the next {days} foretold",
    "choice.stability": "Stability over resamples (adjusted Rand index)",
    "choice.chosen": "chosen: {k}",
    "choice.left_out": "Crosses were left out; the table says why.",
    "choice.error": "Whiskers are one standard error.",
    "choice.told": "The number of segments was told, not searched for.",
    "choice.how": (
        "Each number was judged by segments made {days} before the end: how well the segment that "
        "a customer was in foretells what they did since. Trusted are numbers whose segments come "
        "back when customers are drawn again and are not tiny."
    ),
    "choice.how_chosen": (
        "Chosen is the smallest trusted one within one standard error of the best, or that of the "
        "version before if it is as good."
    ),
    "choice.note": (
        "No measure of “how many segments” is sure. Read the chosen number as a working choice, "
        "not as a fact about your customers."
    ),
    "choice.trust": "Do the same segments come back?",
    "choice.trust_note": (
        "Stability: agreement of segments made of customers drawn again. Prediction strength: "
        "pairs of the worst segment of one half that the other half keeps together. 1 is always."
    ),
    "choice.trust_alt": (
        "Line chart of stability and prediction strength for {low} to {high} segments. At {k}: "
        "stability {stability}, prediction strength {strength}."
    ),
    "choice.strength": "Prediction strength",
    "choice.aim_staged": (
        "Customers are divided by how they shop first ({styles}), and each style into stages by "
        "what is expected of them next. Of as many segments in all, this is the largest number of "
        "styles within one standard error of the best, or that of the version before if it is as "
        "good."
    ),
    "choice.aim_best": (
        "Customers are divided by how they shop first ({styles}), and each style into stages by "
        "what is expected of them next. Of as many segments in all, this is the number of styles "
        "that foretells best, or that of the version before if it is as good."
    ),
    "choice.aim_none": (
        "Dividing customers further by what is expected of them next was tried: it foretells no "
        "better beyond one standard error, so segments are made on how customers shop."
    ),
    "choice.aim_no_head": (
        "Nothing could be learned of what is expected of customers next (the log is short, or the "
        "number was told), so segments are made on how they shop."
    ),
    "choice.aim_style": "Segments are made on how customers shop, as was asked for.",
    "choice.aim_outlook": (
        "Segments are made on what is expected of customers next and on nothing else, as was asked "
        "for."
    ),
    "choice.outlook": "How well as many segments foretell, by how many of them differ by style",
    "choice.outlook_alt": (
        "Dots for each number of styles that was tried, with its score. The best is {best}."
    ),
    "choice.taken": "taken: {styles}",
    "choice.styles": "Styles",
    "choice.head": "What the expectation was worth on the last period",
    "choice.head_note": (
        "An expectation learned without the last period, set against what came. Area under the ROC "
        "curve: 0.5 is guessing, 1 is knowing. Rank correlation: 0 is guessing, 1 is knowing."
    ),
    "choice.outcome": "Outcome",
    "choice.outcome.next_active": "Active at all",
    "choice.outcome.next_ordered": "Ordered",
    "choice.outcome.next_orders": "Orders a customer",
    "choice.outcome.next_spend": "Spend a customer",
    "choice.outcome.other": "{name}",
    "choice.came": "Came",
    "choice.foretold": "Had been expected",
    "choice.worth": "How good",
    "choice.area": "area {value}",
    "choice.rank": "rank correlation {value}",
    "col.k": "Segments",
    "col.score": "Score",
    "col.spread": "Standard error",
    "col.stability": "Stability (ARI)",
    "col.smallest": "Smallest segment",
    "col.note": "Note",
    "col.chosen": "chosen",
    # explanation
    "rules.title": "The segments as rules",
    "rules.lead": (
        "A tree of {leaves} leaves over {features} tells the segments apart in words; each "
        "segment’s part has its rules. `shoal explain SHOP --sql all` writes them as a query."
    ),
    "rules.true": (
        "The rules are true to the segments: they find {found} of a segment’s members on average, "
        "of customers they were not learned from ({goal} is called true)."
    ),
    "rules.untrue": (
        "The rules are not true enough to stand for the segments: they find only {found} of a "
        "segment’s members on average, of customers they were not learned from ({goal} is called "
        "true). Read them as a sketch, and take members from the segment itself."
    ),
    "rules.majority": "Always naming the largest segment would find {majority}.",
    "rules.cost": "What the rules put together lies {more} further apart than the segments do.",
    "rules.left_out": (
        "{features} that no query over events can tell are left out of the rules; with them {lost} "
        "more would be found."
    ),
    "rules.steady": (
        "Of {asked} that the tree asks, that of {previous} asked {kept} as well; both put "
        "{agreement} of customers into the same segment."
    ),
    "rules.looked": "Learned from {customers}.",
    "rules.table": "How much of each segment its rules find",
    "rules.found": "Members found",
    "rules.ways": "Ways in",
    "rules.none": "With one segment there is nothing to tell apart, so there are no rules.",
    "noun.question.one": "{n} question",
    "noun.question.many": "{n} questions",
    "noun.feature.one": "{n} feature",
    "noun.feature.many": "{n} features",
    "profile.rule": "Its rules",
    "profile.rule_own": "Its rule",
    "profile.path": "{words} – {share} of placed customers, {right} of them rightly",
    "profile.path_nobody": "{words} – nobody",
    "profile.recall": "The rules find {recall} of its members.",
    "profile.recall_low": "The rules find only {recall} of its members: they are a sketch of it.",
    "profile.rule_nobody": "The tree puts nobody here: no rule tells these customers from others.",
    "profile.expected": "In the next {days} are expected: {what}.",
    "profile.expected_period": "the next period",
    "profile.expected_active": "{share} of its customers active",
    "profile.expected_orders": "{n} orders",
    "profile.expected_spend": "{money} spent",
    "profile.borderline": "Borderline customers",
    "profile.borderline_note": (
        "Members for whom another segment weighs almost as much; the closest comes first."
    ),
    "profile.weight": "Weight here",
    "profile.next": "Next best segment",
    "profile.next_weight": "Weight there",
    # protected traits
    "traits.title": "Protected traits",
    "traits.note": (
        "Segments were learned without the traits marked as protected ({marked}) and without "
        "features that tell them: {features}. Other features may still go along with a trait, as "
        "hours do with a time zone; below is whether segments do."
    ),
    "traits.note_none": (
        "Segments were learned without the traits marked as protected ({marked}). Other features "
        "may still go along with a trait, as hours do with a time zone; below is whether segments "
        "do."
    ),
    "traits.used": (
        "These segments were learned with features that tell traits marked as protected "
        "({marked}): {features}. `shoal segment SHOP` makes them anew without. Below is how "
        "segments fall by the traits."
    ),
    "traits.ruled": (
        "These segments are made by rules, and rules may ask for anything, protected traits "
        "({marked}) too. Below is how segments fall by them."
    ),
    "traits.nobody": "No protected trait is known of any customer, so there is nothing to compare.",
    "traits.gap": (
        "Largest gap: {value} is {share} of {name}, against {all} of all customers ({gap} points)."
    ),
    "traits.no_gap": "No segment and value hold the {fewest} known customers that a gap needs.",
    "traits.association": (
        "Segment and trait go together by {v} (Cramer’s V: 0 not at all, 1 entirely)."
    ),
    "traits.known": "Known of {known}, unknown of {unknown}.",
    "traits.figure": "Share of each segment’s customers",
    "traits.figure_note": (
        "Of customers whose {trait} is known. Blue is more than among all customers, vermilion "
        "less; the darkest are {reach} points away or more."
    ),
    "traits.alt": "Heat map of {trait} by segment. {gap}",
    "traits.all": "All customers",
    "traits.known_col": "Known",
    "traits.other": "Other",
    "traits.value.other": "all others",
    "traits.trait.country": "Country",
    "traits.trait.region": "Region",
    "traits.trait.gender": "Gender",
    "traits.trait.sex": "Sex",
    "traits.trait.age": "Age",
    "traits.trait.birth_date": "Date of birth",
    "traits.trait.birth_year": "Year of birth",
    "traits.trait.birthday": "Birthday",
    # map
    "map.title": "Map of the customers",
    "map.lead": (
        "Each dot is a customer. The plane is laid so that the middles of segments lie as far "
        "apart as a plane allows; what it cannot show overlaps here and is apart in truth. "
        "Directions have no unit and each its own scale; who lies outside stands on the edge."
    ),
    "map.lead_one": (
        "Each dot is a customer, on the two directions in which customers differ most. There is "
        "one segment. Directions have no unit and each its own scale; who lies outside stands on "
        "the edge."
    ),
    "map.all": "All {customers} who were placed are drawn.",
    "map.sampled": (
        "{customers} of the {placed} who were placed were drawn at random, every segment by its "
        "share, of a small one at least {floor}, so that it is seen: small segments look larger "
        "than they are."
    ),
    "map.sampled_plain": (
        "{customers} of the {placed} who were placed were drawn at random, every segment by its "
        "share: very small segments may have no dot."
    ),
    "map.figure": "Customers by segment",
    "map.alt": (
        "Scatter plot of {customers} in {segments}; the table says how many of each are drawn."
    ),
    "map.others": "Other segments",
    "map.drawn": "Drawn",
}

REASONS_ZH: Final[Mapping[str, str]] = {
    # how many
    "choice.title": "为什么是这个分群数",
    "choice.none_found": "这里没有分群：客户各不相同，但不成群体，因此全部归为一群。",
    "choice.axis_k": "分群数",
    "choice.axis_styles": "按风格区分的分群数",
    "choice.alt": "点图：分群数从 {low} 到 {high} 时的{what}。选定 {k} 个。",
    "choice.next_period": "分群对未来 {days}的预示程度：1 为所试分群数中的最佳",
    "choice.next_period_share": "对未来 {days}的预示程度",
    "choice.stability": "重抽样下的稳定性（调整兰德指数）",
    "choice.chosen": "选定：{k}",
    "choice.left_out": "叉号表示被排除，原因见数据表。",
    "choice.error": "竖线为一个标准误。",
    "choice.told": "分群数由人指定，未作搜索。",
    "choice.how": (
        "每个分群数都用结束前 {days}时形成的分群来评判：客户当时所在的分群能多好地预示其后的行为。"
        "可信的是重新抽取客户后仍能复现、且没有过小分群的数目。"
    ),
    "choice.how_chosen": (
        "选定的是与最佳者相差不超过一个标准误的最小可信数目；若前一版本的数目同样好，则沿用。"
    ),
    "choice.note": (
        "没有哪种指标能确定“该有几个分群”。请把选定的数目当作可用的选择，而不是关于客户的事实。"
    ),
    "choice.trust": "同样的分群会再次出现吗？",
    "choice.trust_note": (
        "稳定性：重新抽取客户后所得分群的一致程度。"
        "预测强度：一半客户中最差分群的成对客户，有多少在另一半的分群中仍在一起。1 表示总是。"
    ),
    "choice.trust_alt": (
        "折线图：{low} 到 {high} 个分群的稳定性和预测强度。{k} 个时：稳定性 {stability}，"
        "预测强度 {strength}。"
    ),
    "choice.strength": "预测强度",
    "choice.aim_staged": (
        "先按购物方式划分客户（{styles}），再按对其未来行为的预期把每类风格分为若干阶段。"
        "在分群总数相同的情况下，这是与最佳者相差不超过一个标准误的最大风格数；"
        "若前一版本的风格数同样好，则沿用。"
    ),
    "choice.aim_best": (
        "先按购物方式划分客户（{styles}），再按对其未来行为的预期把每类风格分为若干阶段。"
        "在分群总数相同的情况下，这是预示能力最好的风格数；若前一版本的风格数同样好，则沿用。"
    ),
    "choice.aim_none": (
        "试过再按对未来行为的预期细分客户：预示能力的提高不超过一个标准误，因此分群依据客户的购物方式。"
    ),
    "choice.aim_no_head": (
        "无法学得对客户未来行为的预期（日志较短，或分群数由人指定），因此分群依据客户的购物方式。"
    ),
    "choice.aim_style": "按要求，分群依据客户的购物方式。",
    "choice.aim_outlook": "按要求，分群只依据对客户未来行为的预期。",
    "choice.outlook": "分群总数相同、风格数不同时的预示程度",
    "choice.outlook_alt": "点图：所试的各个风格数及其得分。最佳为 {best}。",
    "choice.taken": "采用：{styles}",
    "choice.styles": "风格数",
    "choice.head": "预期在上一时期的价值",
    "choice.head_note": (
        "不用上一时期学得的预期，与实际发生的情况对照。ROC 曲线下面积：0.5 为猜测，1 为全知。"
        "秩相关：0 为猜测，1 为全知。"
    ),
    "choice.outcome": "结果",
    "choice.outcome.next_active": "有任何活动",
    "choice.outcome.next_ordered": "有下单",
    "choice.outcome.next_orders": "人均订单",
    "choice.outcome.next_spend": "人均消费",
    "choice.outcome.other": "{name}",
    "choice.came": "实际",
    "choice.foretold": "预期",
    "choice.worth": "好坏",
    "choice.area": "面积 {value}",
    "choice.rank": "秩相关 {value}",
    "col.k": "分群数",
    "col.score": "得分",
    "col.spread": "标准误",
    "col.stability": "稳定性（ARI）",
    "col.smallest": "最小分群",
    "col.note": "备注",
    "col.chosen": "选定",
    # explanation
    "rules.title": "用规则描述分群",
    "rules.lead": (
        "一棵有 {leaves} 个叶子、用到{features}的决策树用文字区分各分群；规则见各分群的部分。"
        "运行 `shoal explain SHOP --sql all` 可写成查询。"
    ),
    "rules.true": (
        "规则忠实于分群：对未参与学习的客户，平均能找到每个分群 {found} 的成员"
        "（达到 {goal} 才算忠实）。"
    ),
    "rules.untrue": (
        "规则不足以代表分群：对未参与学习的客户，平均只能找到每个分群 {found} 的成员"
        "（达到 {goal} 才算忠实）。请把它们当作草图，成员名单以分群本身为准。"
    ),
    "rules.majority": "若总是回答最大的分群，则为 {majority}。",
    "rules.cost": "规则归在一起的客户，彼此差异比分群内大 {more}。",
    "rules.left_out": "{features}无法用事件查询得出，未用于规则；用上它们可多找到 {lost}。",
    "rules.steady": (
        "树中 {asked}里，有 {kept} 个也出现在 {previous} 的树中；"
        "两棵树把 {agreement} 的客户归入同一分群。"
    ),
    "rules.looked": "由 {customers}学得。",
    "rules.table": "规则能找到每个分群的多少成员",
    "rules.found": "找到的成员",
    "rules.ways": "途径数",
    "rules.none": "只有一个分群，没有可区分的对象，因此没有规则。",
    "noun.question.one": "{n} 个问题",
    "noun.question.many": "{n} 个问题",
    "noun.feature.one": " {n} 个特征",
    "noun.feature.many": " {n} 个特征",
    "profile.rule": "它的规则",
    "profile.rule_own": "它的规则",
    "profile.path": "{words}——占已归群客户的 {share}，其中 {right} 归对",
    "profile.path_nobody": "{words}——无人",
    "profile.recall": "规则能找到其 {recall} 的成员。",
    "profile.recall_low": "规则只能找到其 {recall} 的成员：只是它的草图。",
    "profile.rule_nobody": "决策树未将任何人归入此群：没有规则能把这些客户与其他人区分开。",
    "profile.expected": "未来 {days}预期：{what}。",
    "profile.expected_period": "下一时期",
    "profile.expected_active": "{share} 的客户有活动",
    "profile.expected_orders": "{n} 个订单",
    "profile.expected_spend": "消费 {money}",
    "profile.borderline": "边界客户",
    "profile.borderline_note": "另一分群的权重几乎同样大的成员；最接近的排在最前。",
    "profile.weight": "在此的权重",
    "profile.next": "次优分群",
    "profile.next_weight": "在彼的权重",
    # protected traits
    "traits.title": "受保护的特征",
    "traits.note": (
        "分群的学习没有使用标为受保护的特征（{marked}），也没有使用会透露它们的特征：{features}。"
        "其他特征仍可能与之相伴，例如活跃时段与时区；下面给出分群是否如此。"
    ),
    "traits.note_none": (
        "分群的学习没有使用标为受保护的特征（{marked}）。"
        "其他特征仍可能与之相伴，例如活跃时段与时区；下面给出分群是否如此。"
    ),
    "traits.used": (
        "这些分群的学习用到了会透露受保护特征（{marked}）的特征：{features}。"
        "运行 `shoal segment SHOP` 可在不使用它们的情况下重新生成。下面给出分群在这些特征上的分布。"
    ),
    "traits.ruled": (
        "这些分群由规则生成，规则可以使用任何条件，包括受保护的特征（{marked}）。"
        "下面给出分群在这些特征上的分布。"
    ),
    "traits.nobody": "没有任何客户的受保护特征是已知的，因此无可比较。",
    "traits.gap": "最大差距：{value}占{name}的 {share}，占全部客户的 {all}（{gap} 个百分点）。",
    "traits.no_gap": "没有哪个分群和取值达到比较差距所需的 {fewest} 位已知客户。",
    "traits.association": "分群与该特征的关联为 {v}（Cramer’s V：0 为完全无关，1 为完全相关）。",
    "traits.known": "{known}已知，{unknown} 位未知。",
    "traits.figure": "各分群客户中的比例",
    "traits.figure_note": (
        "按{trait}已知的客户计算。蓝色表示高于全部客户，朱红色表示低于；"
        "最深的颜色相差 {reach} 个百分点或以上。"
    ),
    "traits.alt": "热力图：各分群的{trait}。{gap}",
    "traits.all": "全部客户",
    "traits.known_col": "已知",
    "traits.other": "其他",
    "traits.value.other": "其余所有",
    "traits.trait.country": "国家",
    "traits.trait.region": "地区",
    "traits.trait.gender": "性别",
    "traits.trait.sex": "性别",
    "traits.trait.age": "年龄",
    "traits.trait.birth_date": "出生日期",
    "traits.trait.birth_year": "出生年份",
    "traits.trait.birthday": "生日",
    # map
    "map.title": "客户分布图",
    "map.lead": (
        "每个点是一位客户。平面的取法使各分群的中心尽可能分开；平面无法表现的差异在图上会重叠，"
        "实际上是分开的。两个方向没有单位，各有刻度；落在图外的客户画在边缘。"
    ),
    "map.lead_one": (
        "每个点是一位客户，画在客户差异最大的两个方向上。只有一个分群。"
        "两个方向没有单位，各有刻度；落在图外的客户画在边缘。"
    ),
    "map.all": "已归群的 {customers}全部画出。",
    "map.sampled": (
        "从已归群的 {placed} 位中随机抽取 {customers}，各分群按比例抽取，"
        "小分群至少 {floor} 位以便看见：因此小分群看起来比实际大。"
    ),
    "map.sampled_plain": (
        "从已归群的 {placed} 位中随机抽取 {customers}，各分群按比例抽取：很小的分群可能没有点。"
    ),
    "map.figure": "按分群显示的客户",
    "map.alt": "散点图：{segments}中的{customers}；表中给出每个分群画出的人数。",
    "map.others": "其他分群",
    "map.drawn": "画出",
}
