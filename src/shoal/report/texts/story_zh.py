"""Texts on what moved, who went quiet, who comes back and how looking becomes buying: Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STORY_ZH: Final[Mapping[str, str]] = {
    "punct.between": "",
    "worth.orders": "{n} 个{what}",
    # what to look at
    "look.title": "变化与关注点",
    "look.moved": "自 {day}以来",
    "look.first": "值得关注",
    "look.none": "与店铺其余部分及此前相比，没有特别突出之处。",
    "look.see": "见“{section}”。",
    "moved.known": "目前共有 {customers}，其中 {new} 位是 {day}之后新出现的。",
    "moved.active": "这 {days}里有 {now} 位活跃，此前 {days}为 {then} 位（{change}）。",
    "moved.worth": "他们带来 {now}，此前 {days}为 {then}（{change}）。",
    "moved.changed": "两个日期都已归群的 {kept}中，有 {changed} 位（{share}）换了分群。",
    "moved.changed_before": "再往前的 {days}里，{kept}中有 {changed} 位换了分群（{share}）。",
    "moved.placed": "当时了解太少、此后归入了分群的：{placed}。",
    "moved.gain": "从其他分群净流入最多的是{name}：{joined} 位转入，{left} 位转出。",
    "moved.loss": "向其他分群净流出最多的是{name}：{left} 位转出，{joined} 位转入。",
    "moved.gone": "不再是独立客户（已与其他客户合并，或已被遗忘）的：{gone}。",
    "look.quality": "数据检查发现 {errors}，依赖这些数据的数字可能有误。",
    "look.quarantined": "读入的 {rows}中有 {bad} 行（{share}）无法使用。",
    "look.quiet": (
        "{customers}原本有下单习惯，如今的沉默已超出其自身规律。"
        "他们在最近 {days}带来 {worth}，占全部{what}的 {share}。"
    ),
    "look.quiet_most": "其中最大的一部分 {worth} 来自{name}。",
    "look.worth": (
        "{name}现有的客户自 {day}以来的 {days}里带来 {now}；"
        "当时的客户在此前 {days}里带来 {then}（{change}；全部客户合计 {whole}）。"
    ),
    "look.flow": "{customers}从{source}转到了{target}，占原在{source}的客户的 {share}。",
    "look.funnel": (
        "{name}看得多、走下去的少：有浏览的日子里，“{step}”的占 {share}，全部客户为 {all}。"
    ),
    "look.return": (
        "首次出现在 {period}的 {customers}中，{share} 在下一{unit}再次光顾；"
        "此前 {n} 组平均为 {mean}。这一差异超出偶然。"
    ),
    # moves
    "moves.title": "分群之间的流动",
    "moves.lead": ("把今天的分群分别应用于 {day}（距末尾 {days}）已知的信息和现在已知的信息。"),
    "moves.foreknown": (
        "分群是用截至末尾的事件学得的，对 {day}而言它已知晓后来之事："
        "这里展示的是客户在今天的分群之间如何流动，而不是当天的报告会显示的内容。"
    ),
    "moves.figure": "{day}与现在各分群的客户",
    "moves.alt": (
        "流向图：{day}与现在各分群的客户。两个日期都已归群的 {kept}中有 {changed} 位换了分群；"
        "最大的一股是从{source}到{target}，{n} 位。"
    ),
    "moves.alt_none": "流向图：{day}与现在各分群的客户。两个日期都已归群的客户无一换群。",
    "moves.now": "现在",
    "moves.unknown": "尚未出现",
    "moves.gone": "已合并或遗忘",
    "moves.others": "其他分群",
    "moves.stayed": "{name}：{customers}未变",
    "moves.went": "{source} → {target}：{customers}",
    "moves.from": "从",
    "moves.to": "到",
    "moves.share": "占当时该群客户",
    "moves.rest": "其余流动合计",
    "moves.standings": "各分群的当时与现在",
    "moves.col.then": "当时客户数",
    "moves.col.stayed": "留下",
    "moves.col.joined": "自他群转入",
    "moves.col.new": "新出现",
    "moves.col.left": "转往他群",
    "moves.col.gone": "已合并或遗忘",
    "moves.col.now": "现在客户数",
    "moves.col.worth_then": "此前{what}",
    "moves.col.worth_now": "此后{what}",
    "moves.col.change": "变化",
    "moves.all": "合计",
    "moves.note": (
        "现在的客户等于当时的客户，加上转入的和新出现的，减去离开的。"
        "“此前”是当时在群的客户在 {day}之前 {days}里的贡献；"
        "“此后”是现在在群的客户在之后 {days}里的贡献。"
        "两段时间处于不同的季节：对所有人都一样的变化，可能只是季节所致。"
    ),
    "moves.not_whole": "{day}之前的记录不足 {days}，因此两段时间的贡献不可比较。",
    "absent.moves.short": "记录太短，无法与更早的日期比较：至少需要八天。",
    "absent.moves.older": (
        "这些分群所用的特征定义与今天不同，无法应用于更早的日期。"
        "运行 `shoal segment SHOP` 可重新分群。"
    ),
    "absent.moves.nobody": "在更早的那个日期，还没有任何已知客户。",
    # gone quiet
    "stake.title": "沉默的客户",
    "stake.lead": (
        "计入的条件：至少在 {order_days} 个不同的日子下过单，且目前的沉默超过其自身平常间隔的"
        " {factor} 倍，并至少 {silent}。若下单时间是随机的，仍活跃的客户出现如此长的沉默，"
        "大约 {chance} 次中有一次。"
    ),
    "stake.sum": (
        "有此习惯的 {habitual}中，{customers} 位已经沉默，而他们在最近 {days}曾带来 {worth}，"
        "占同期全部{what}的 {share}。"
    ),
    "stake.none": "有此习惯的 {habitual}中，没有人沉默这么久。",
    "stake.figure": "现已沉默的客户在最近 {days}的{what}",
    "stake.alt": "条形图：现已沉默的客户带来的贡献，按分群。最多的来自{name}，为 {worth}。",
    "stake.foremost": "贡献最多的沉默客户",
    "stake.silent": "距上次下单的天数",
    "stake.usual": "平常下单间隔（天）",
    "stake.worth": "最近 {days}的{what}",
    "absent.stake.no_habit": "还没有客户在三个不同的日子下过单，因此谈不上习惯，也谈不上沉默。",
    # cohorts
    "cohorts.title": "谁会再来",
    "cohorts.lead_orders": (
        "每一行是首次下单在同一{unit}的客户；每一格是他们在之后某一{unit}再次下单的比例。"
    ),
    "cohorts.lead_events": (
        "每一行是首次出现在同一{unit}的客户；每一格是他们在之后某一{unit}活跃的比例。"
    ),
    "cohorts.unit.week": "周",
    "cohorts.unit.month": "个月",
    "cohorts.unit.quarter": "季度",
    "cohorts.after.week": "几周之后",
    "cohorts.after.month": "几个月之后",
    "cohorts.after.quarter": "几个季度之后",
    "cohorts.first.week": "首周（起始日）",
    "cohorts.first.month": "首月",
    "cohorts.first.quarter": "首季度",
    "cohorts.all": "合计",
    "cohorts.begun": "记录始于 {day}：最前的几行也包含更早的老客户，他们只是看起来像新客户。",
    "cohorts.unfinished": "当前这一{unit}尚未结束，其单元格以虚线框标出。",
    "cohorts.left_out": "略去了更早的 {n} 行，“合计”也不含它们。",
    "cohorts.all_note": "“合计”取已达到该时长的所有行，未结束的不计。",
    "cohorts.figure": "再次下单的比例，按首次下单的时间",
    "cohorts.figure_events": "再次活跃的比例，按首次出现的时间",
    "cohorts.alt": (
        "热力图：客户在之后每一{unit}再次活跃的比例。"
        "全部客户中，{share} 在首次之后的下一{unit}再来。"
    ),
    "cohorts.alt_none": "热力图：客户在之后每一{unit}再次活跃的比例。",
    "cohorts.cell": "{first}，{after}：{share}（{size} 中的 {n}）",
    "absent.cohorts.short": "记录太短，看不出谁会再来。",
    # funnel
    "funnel.title": "从浏览到购买",
    "funnel.lead": (
        "在客户活跃的所有日子里，至少出现一次各步骤的日子所占的比例。这里的一天是一位客户的一天，而不是一次会话，"
        "因为订单与浏览往往来自不同的来源；各步骤不要求先后相接。"
    ),
    "funnel.step.view": "浏览商品",
    "funnel.step.cart_add": "加入购物车",
    "funnel.step.checkout": "开始结账",
    "funnel.step.purchase": "购买",
    "funnel.step.review": "评价",
    "funnel.step.other": "“{kind}”（事件）",
    "funnel.alt": (
        "条形图：{whose}活跃日中各步骤的占比。{first}：{share_first}；{last}：{share_last}。"
    ),
    "funnel.whole": "全部客户",
    "funnel.col.step": "步骤",
    "funnel.col.days": "活跃日",
    "funnel.col.share": "占活跃日",
    "funnel.col.customers": "客户数",
    "funnel.col.customer_share": "占客户",
    "funnel.col.conversion": "有浏览的日子里“{step}”的比例",
    "funnel.by_segment": "按分群",
    # features
    "heat.title": "各分群的特征",
    "heat.lead": (
        "每个分群与其他所有已归群客户相差多少个标准差（Cohen’s d）：蓝色为更高，朱红为更低。"
        "典型值见数据表。"
    ),
    "heat.figure": "与其他已归群客户的差异",
    "heat.alt": "热力图：各分群的特征。差异最大的是{name}的“{label}”，{size} 个标准差。",
    "heat.values": "典型值：中位数；中位数无差异时为均值（以 * 标出）",
    "absent.features.older": (
        "这些分群由较早的版本生成，未保存差异。运行 `shoal segment SHOP` 可重新分群。"
    ),
    # one segment
    "profile.moved_title": "自 {day}以来",
    "profile.moved": (
        "当时 {then}，现在 {now}：{joined} 位来自其他分群，{new} 位当时尚未出现，"
        "{left} 位转往其他分群。"
    ),
    "profile.moved_from": "转入最多的来自{name}：{n} 位。",
    "profile.moved_to": "转出最多的去往{name}：{n} 位。",
    "profile.moved_before": "再往前 {days}，该群有 {customers}。",
    "profile.moved_worth": (
        "现有的客户在此后 {days}带来 {now}；当时的客户在此前 {days}带来 {then}（{change}）。"
    ),
    "profile.trend": "其成员随时间的变化",
    "profile.trend_note": "现在属于本分群的客户在每 {days}里的行为，包括他们归入之前。",
    "profile.trend_alt": (
        "折线图：现属{name}的客户随时间的活动。{what}：最后一段为 {last}；"
        "最高值 {peak} 出现在自 {day}起的一段。"
    ),
    "profile.funnel": "从浏览到购买",
    "profile.funnel_note": "出现各步骤的日子占活跃日的比例。",
    "made.since": "比较日期",
    "made.since_told": "{day}（由人指定）",
    "made.since_chosen": "{day}（按记录长度选定）",
}
