"""The report's texts in Chinese (simplified)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ZH: Final[Mapping[str, str]] = {
    "list.comma": "、",
    "list.and": "和",
    "list.semicolon": "；",
    "punct.colon": "：",
    "punct.quote": "“{text}”",
    "noun.customer.one": "{n} 位客户",
    "noun.customer.many": "{n} 位客户",
    "noun.event.one": "{n} 个事件",
    "noun.event.many": "{n} 个事件",
    "noun.style.one": "{n}\u00a0类风格",
    "noun.style.many": "{n}\u00a0类风格",
    "noun.day.one": "{n}\u00a0天",
    "noun.day.many": "{n}\u00a0天",
    "noun.segment.one": "{n} 个分群",
    "noun.segment.many": "{n} 个分群",
    "noun.row.one": "{n} 行",
    "noun.row.many": "{n} 行",
    "noun.file.one": "{n} 个文件",
    "noun.file.many": "{n} 个文件",
    # page
    "page.title": "{shop}：客户分群",
    "page.period": "事件时间：{first}至{last}",
    "page.made": "由 Shoal {version} 于 {day}生成",
    "page.skip": "跳到正文",
    "page.contents": "目录",
    "page.table": "查看数据表",
    "page.footer": "本文件自成一体：不从网络加载任何内容，也不向外发送任何内容。",
    # key figures
    "key.title": "关键数字",
    "key.customers": "客户",
    "key.events": "事件",
    "key.orders": "订单",
    "key.values.review": "评价时刻",
    "key.values.other": "“{kind}”时刻",
    "key.revenue": "净收入",
    "key.period": "时间跨度",
    # findings
    "found.title": "主要发现",
    "found.placed": (
        "{customers}中有 {placed} 位（{share}）按其行为归入 {segments}。"
        "其余 {tier} 位（{tier_share}）行为太少，尚无法判断。"
    ),
    "found.placed_all": "全部 {customers}按其行为归入 {segments}。",
    "found.none": (
        "{customers}中没有一位的行为多到可以归入分群。需要每位客户有更多事件，分群才有意义。"
    ),
    "found.top_money": "贡献收入最多的分群是{name}：占客户的 {customers}，占收入的 {value}。",
    "found.top_orders": "最活跃的分群是{name}：占客户的 {customers}，占全部{orders}的 {value}。",
    "found.concentrated": (
        "{segments}中的 {count} 个合计带来至少一半的{what}，占客户的 {customers}。"
    ),
    "found.largest": "最大的分群是{name}，占客户的 {customers}。",
    "found.single": "只有一个分群：现有数据无法把这些客户区分开。",
    "found.tier_money": "了解太少的客户仍带来收入的 {value}。",
    "found.quarantined": "读入的 {rows}中有 {bad} 行（{share}）无法使用，原因见“数据”一节。",
    "what.revenue": "收入",
    "what.orders": "订单",
    "what.reviews": "评价时刻",
    "what.values": "“{kind}”时刻",
    # segments
    "segments.title": "分群",
    "segments.lead_money": "收入条长于客户条的分群，其价值高于人数占比。",
    "segments.lead_orders": "{what}条长于客户条的分群，其活跃度高于人数占比。",
    "segments.figure": "各分群占客户与占{what}的比例",
    "segments.alt": (
        "条形图，{segments}各有两条：占全部客户的比例和占{what}的比例。"
        "{what}占比最大的是{name}，为 {value}。"
    ),
    "col.segment": "分群",
    "col.id": "编号",
    "col.customers": "客户数",
    "col.customer_share": "客户占比",
    "col.revenue": "净收入",
    "col.revenue_share": "收入占比",
    "col.orders": "订单",
    "col.value_share": "{what}占比",
    "col.revenue_per_customer": "人均收入",
    "col.orders_per_customer": "人均",
    "segments.foremost": "图中为贡献最多的 {n} 个，全部见下表。",
    "col.trend": "活跃走势",
    "segments.trend_alt": "活跃成员数走势：起初 {first}，最近 {last}，最多 {most}",
    "series.customers": "客户",
    "series.revenue": "收入",
    "series.segment": "本分群",
    "series.shop": "全部客户",
    # one segment
    "profile.title": "逐个分群",
    "profile.line_money": "{customers}（{share}）· 净收入 {revenue}（{revenue_share}）",
    "profile.line_orders": "{customers}（{share}）· {what} {orders}（{orders_share}）",
    "profile.line_each": "人均 {revenue}",
    "profile.apart": "与众不同之处",
    "profile.apart_none": "没有哪一项特征能把这些客户与其他客户明显区分开。",
    "profile.effects": "与其他已归群客户的差异",
    "profile.effects_axis": "与其他客户相差的标准差",
    "profile.effects_alt": (
        "条形图：{name}与其他客户差异最大的特征。差异最大的是“{label}”，{size} 个标准差。"
    ),
    "profile.categories": "首选品类",
    "profile.brands": "首选品牌",
    "profile.first_note": "以其为最常选择的客户所占比例。",
    "profile.categories_alt": (
        "条形图：{name}的客户与其他客户最常选择的品类。第一位是“{label}”，{inside}。"
    ),
    "profile.brands_alt": (
        "条形图：{name}的客户与其他客户最常选择的品牌。第一位是“{label}”，{inside}。"
    ),
    "profile.hours": "一天中的时段",
    "profile.hours_axis": "小时（{zone}）",
    "profile.hours_alt": (
        "折线图：{name}与全部客户的事件在一天各小时的占比。{name}最忙的一小时始于 {peak} 点。"
    ),
    "profile.weekdays": "星期分布",
    "profile.weekdays_alt": (
        "柱状图：{name}与全部客户的事件在一周各天的占比。{name}最忙的一天是{peak}。"
    ),
    "profile.exemplars": "典型客户",
    "profile.exemplars_note": "最接近分群中心的客户，最典型的排在最前。",
    "col.customer": "客户",
    "col.feature": "特征",
    "col.inside": "本分群",
    "col.outside": "其他客户",
    "col.size": "差异",
    "col.interval": "95 % 区间",
    "col.category": "品类",
    "col.brand": "品牌",
    "col.overall": "全部客户",
    "col.hour": "小时",
    "col.weekday": "星期",
    "effect.much_higher": "远高于其他客户",
    "effect.higher": "明显高于其他客户",
    "effect.little_higher": "高于其他客户",
    "effect.slightly_higher": "略高于其他客户",
    "effect.much_lower": "远低于其他客户",
    "effect.lower": "明显低于其他客户",
    "effect.little_lower": "低于其他客户",
    "effect.slightly_lower": "略低于其他客户",
    "effect.values": "{inside}，其他客户 {outside}",
    "effect.values_mean": "平均 {inside}，其他客户 {outside}",
    "effect.note": (
        "差异以聚类所用缩放之后的标准差计（Cohen’s d）：约 0.2 为小，0.5 为中，0.8 为大。"
        "旁边的数值是以各自单位表示的典型值。"
    ),
    # units
    "unit.hours": "{n} 小时",
    "unit.minutes": "{n} 分钟",
    "unit.seconds": "{n} 秒",
    # tier
    "tier.title": "了解太少的客户",
    "tier.name": "了解太少",
    "tier.text": (
        "{customers}（{share}）的事件不足 {minimum}，未归入任何分群。"
        "把他们放进哪个分群都只是猜测；等他们有更多行为后再归入。"
    ),
    "tier.text_unknown": (
        "{customers}（{share}）行为太少，未归入任何分群。"
        "把他们放进哪个分群都只是猜测；等他们有更多行为后再归入。"
    ),
    "tier.value": "他们带来 {revenue}（占净收入的 {share}）。",
    "tier.value_orders": "他们带来 {orders} 个{what}（{share}）。",
    "tier.none": "每位客户的行为都足以归入分群。",
    # rfm
    "grid.title": "近度与频度",
    "grid.lead_money": (
        "通常的 RFM 网格，由规则生成，与上面的分群并列。每位客户按最近一次购买的远近得 1 到 5 分，"
        "按购买的频率与金额再得 1 到 5 分，5 分最好。"
    ),
    "grid.lead_orders": (
        "通常的近度与频度网格，由规则生成，与上面的分群并列。"
        "每位客户按最近一次行为的远近得 1 到 5 分，按行为的频率再得 1 到 5 分，5 分最好。"
    ),
    "grid.customers": "客户数",
    "grid.revenue": "净收入",
    "grid.recency": "近度得分",
    "grid.frequency_money": "频度与金额得分",
    "grid.frequency_orders": "频度得分",
    "grid.customers_alt": (
        "热力图：各近度得分与频度得分下的客户数。客户最多（{n}）的是近度 {r}、频度 {f}。"
    ),
    "grid.revenue_alt": (
        "热力图：各近度得分与频度得分下的净收入。收入最多（{n}）的是近度 {r}、频度 {f}。"
    ),
    "grid.segments": "网格中的分群",
    "grid.none": "本店还没有 RFM 分群；运行 `shoal segment SHOP --method rfm` 即可生成。",
    "grid.rule": "规则或网格单元（R 近度、F 频度、M 金额）",
    "grid.bounds_recency": "近度 5 至 1：最近一次在 {bounds} 天以内，或更久。",
    "grid.bounds_frequency": "频度 1 至 5：{what}数不超过 {bounds}，或更多。",
    "grid.bounds_spend": "金额 1 至 5：净收入不超过 {bounds}，或更多；频度与金额取四舍五入的均值。",
    "col.recency": "近度",
    # activity
    "activity.title": "活跃度随时间的变化",
    "activity.lead": "每个点代表 {days}，最后一段截至 {last}。",
    "activity.customers": "活跃客户",
    "activity.orders": "订单",
    "activity.revenue": "净收入",
    "activity.alt": "折线图：{what}随时间的变化。最高值 {peak} 出现在自 {day}起的一段。",
    "col.from": "起始日",
    # data
    "data.title": "数据",
    "data.lead": "读入的每一行都恰好计入下面的一类。",
    "data.files": "来自 {files}。",
    "data.read": "读入的行",
    "data.stored": "存为事件",
    "data.withdrawn": "其中已撤回：之后的导出重新给出了同一天或同一订单",
    "data.duplicate": "已有的行（同一事件再次出现）",
    "data.conflicting": "冲突（编号相同而内容不同，按固定规则保留其一）",
    "data.quarantined": "隔离（无法使用，连同原因另行保存）",
    "data.skipped": "跳过（映射有意略去）",
    "data.col.rows": "行数",
    "data.col.outcome": "去向",
    "data.col.share": "占比",
    "data.reasons": "行被隔离的原因",
    "data.col.reason": "原因代码",
    "data.col.meaning": "含义",
    "data.clean": "没有任何行被隔离。",
    "data.replay": "`shoal quarantine SHOP` 会列出各类样例，映射修好后可重新读入这些行。",
    "data.guests": "{events}不属于任何已知客户（访客）：已保存，但不计入任何客户。",
    "reason.wrong_field_count": "该行的字段数多于或少于表头",
    "reason.bad_json": "该行不是一个 JSON 对象",
    "reason.bad_encoding": "文本不符合文件的编码",
    "reason.nul_byte": "文本中含有 NUL 字节",
    "reason.too_deep": "该次调用的嵌套超过 64 层",
    "reason.too_many_keys": "该次调用的键超过 1,000 个",
    "reason.call_too_large": "该次调用大于 1 MiB",
    "reason.broken_text": "该次调用的文本含有半个代理对，不是有效文本",
    "reason.bad_message_id": "消息编号不是 1 至 100 个可打印字符的文本",
    "reason.text_too_long": "文本过长：自由文本超过 1 MiB，或其他文本超过 512 字节",
    "reason.bad_call": "该行不是 Segment 规范的一次调用，也不是一批调用",
    "reason.orphan_row": "该行所属的订单或记录不在紧邻的前面",
    "reason.missing_order_id": "该行没有说明属于哪个订单",
    "reason.bad_lines": "订单的明细行无法读取",
    "reason.missing_kind": "该行没有说明发生了什么",
    "reason.unknown_kind": "映射与已知约定中都没有这个事件种类",
    "reason.missing_time": "该行没有事件时间",
    "reason.bad_time": "时间无法读取",
    "reason.absurd_time": "时间早于 1990 年或晚于 2099 年",
    "reason.bad_customer_id": "客户编号是 null、undefined、guest 之类的字面值",
    "reason.bad_anonymous_id": "匿名编号是 null、undefined、guest 之类的字面值",
    "reason.bad_price": "金额不是数字",
    "reason.not_finite": "数值为 NaN 或无穷大",
    "reason.negative_price": "金额小于零",
    "reason.absurd_amount": "金额或单价乘数量超出任何店铺的可能",
    "reason.bad_quantity": "数量不是件数，或对此类事件为负",
    "reason.fractional_quantity": "数量不是整数",
    "reason.absurd_quantity": "数量超过一百万件",
    "reason.bad_rating": "评分不是数字",
    "reason.bad_sequence": "序号不是整数",
    "reason.unknown_currency": "货币不是流通中的 ISO 4217 代码",
    "reason.bad_properties": "附加属性不是一个 JSON 对象",
    "reason.other": "此代码暂无说明；`shoal quarantine SHOP` 可查看样例。",
    # made
    "made.title": "本报告如何生成",
    "made.version": "Shoal 版本",
    "made.at": "报告生成时间",
    "made.as_of": "使用此刻之前的事件",
    "made.period": "事件的时间范围",
    "made.zone": "小时与日期所用时区",
    "made.currency": "货币",
    "made.currency_unknown": "未说明；金额不带单位",
    "made.currency_none": "事件中没有价格",
    "made.value_event": "视为购买的事件",
    "made.table": "事件表版本",
    "made.catalog": "特征目录",
    "made.seed": "随机种子",
    "made.parameters": "参数",
    # caveats
    "caveat.title": "本报告不能说明什么",
    "caveat.snapshot": "它只反映一个时刻。分群从做成之日起就在变旧：客户在变，店铺也在变。",
    "caveat.cause": (
        "分群之间的差异只是描述，不证明因果。想知道某项举措的效果，请对一部分客户实施、"
        "对另一部分不实施，再作比较。"
    ),
    "caveat.apart": (
        "分群正是由描述它们的那些特征形成的，因此在这些特征上必然有差异。"
        "差异的大小用于给特征排序，不是统计检验。"
    ),
    "caveat.short": "事件只覆盖 {days}。更长周期才能显现的习惯（例如季节）不在其中。",
    "caveat.small": "有些分群很小（{names}），其数字比较粗略。",
    "caveat.money": "事件中没有价格，因此本报告不涉及金额。",
    "caveat.occasions": ("本店以“{kind}”类事件视为购买；同一客户同一时刻的此类事件算作一次。"),
    "caveat.currency": "事件未说明货币；金额沿用来源数据的单位。",
    "caveat.left_out": "{currency} 以外的货币金额未计入：{others}。",
    "caveat.mixed": (
        "价格使用了多种货币（{others}），相加时未作换算。请在店铺设置中指明货币，以便只计该货币。"
    ),
    "caveat.categories": "事件中没有品类，因此没有描述兴趣。",
    "caveat.hours": "事件只有日期而没有时刻，因此略去时段。",
    "caveat.tier": "{share} 的客户了解太少而未归群；各分群的占比均以全部客户（含这些客户）为基数。",
    "caveat.revenue": "净收入为单价乘数量，减去折扣和退款，不含税和运费。它不是利润。",
    "weekday.0": "星期一",
    "weekday.1": "星期二",
    "weekday.2": "星期三",
    "weekday.3": "星期四",
    "weekday.4": "星期五",
    "weekday.5": "星期六",
    "weekday.6": "星期日",
    "weekday.short.0": "一",
    "weekday.short.1": "二",
    "weekday.short.2": "三",
    "weekday.short.3": "四",
    "weekday.short.4": "五",
    "weekday.short.5": "六",
    "weekday.short.6": "日",
}
