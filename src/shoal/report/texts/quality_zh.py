"""The texts of the quality checks in Chinese: what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

QUALITY_ZH: Final[Mapping[str, str]] = {
    "quality.title": "数据质量",
    "quality.lead": "对已入库的{events}逐项检查：哪里不对、从何时起、该怎么办。",
    "quality.lead_since": "只列出{since}以来的问题。",
    "quality.clean": "各项检查均未发现问题。",
    "quality.fine": "未发现问题：{checks}。",
    "quality.off": "已关闭：{checks}。",
    "quality.severity.error": "错误",
    "quality.severity.warning": "警告",
    "quality.severity.note": "提示",
    "quality.severity.ok": "正常",
    "quality.summary": "{errors}、{warnings}、{notes}",
    "noun.error.one": "{n} 个错误",
    "noun.error.many": "{n} 个错误",
    "noun.warning.one": "{n} 个警告",
    "noun.warning.many": "{n} 个警告",
    "noun.note.one": "{n} 条提示",
    "noun.note.many": "{n} 条提示",
    "noun.hour.one": "{n}\u00a0小时",
    "noun.hour.many": "{n}\u00a0小时",
    "noun.minute.one": "{n}\u00a0分钟",
    "noun.minute.many": "{n}\u00a0分钟",
    "noun.second.one": "{n}\u00a0秒",
    "noun.second.many": "{n}\u00a0秒",
    "noun.source.one": "{n} 个来源",
    "noun.source.many": "{n} 个来源",
    "noun.visitor.one": "{n} 位访客",
    "noun.visitor.many": "{n} 位访客",
    "noun.gap.one": "{n} 处断档",
    "noun.gap.many": "{n} 处断档",
    "quality.since": "{since}起",
    "quality.between": "{since}至{until}",
    "quality.example": "例：{example}",
    "quality.more": "另有同类 {n} 条，见下表",
    "quality.findings": "全部发现",
    "quality.figure": "各来源每日事件数；断档已标出",
    "quality.figure_note": "各图刻度不同。橙色区域表示该来源平时有事件而此时没有。",
    "quality.figure_alt": "{sources}的每日事件数，标出{gaps}。",
    "quality.whole_shop": "全店",
    "quality.unnamed": "未命名来源",
    "quality.all_kinds": "事件",
    "quality.kind_events": " {kind} 事件",
    "quality.usual": "其余时间为 {usual}。",
    "quality.in_all": "总计 {total_of} 中的 {total}。",
    "quality.col.severity": "级别",
    "quality.col.check": "检查",
    "quality.col.source": "来源",
    "quality.col.found": "发现",
    "quality.col.since": "时间",
    "quality.col.example": "例子",
    "quality.col.day": "日期",
    "quality.name.future": "时间超前",
    "quality.name.early": "零星的过早时间",
    "quality.name.gap": "时间断档",
    "quality.name.change": "突然变化",
    "quality.name.missing": "缺失字段",
    "quality.name.unknown": "未知顾客",
    "quality.name.orders": "不完整的订单",
    "quality.name.refunds": "退款",
    "quality.name.outliers": "离群值",
    "quality.name.repeated": "重复入库的购买",
    "quality.name.currencies": "币种",
    "quality.name.quarantined": "隔离的行",
    "quality.name.conflicting": "冲突的行",
    "quality.name.duplicate": "重复的行",
    "quality.name.delay": "延迟",
    "quality.name.midnight": "时刻",
    "quality.name.constant": "恒定字段",
    "quality.name.shared": "共用的标识",
    "quality.name.noise": "噪声",
    "quality.found.future.now": (
        "{source} 的 {of} 个事件中有 {count} 个发生在未来（{share}）。"
        "最晚的事件就是本店的“现在”，因此所有人的特征都会偏移。"
    ),
    "quality.todo.future.now": (
        "校正来源的时钟或时区后重新导入；映射中 [time] 的时区或单位有误也会使全部时间偏移。"
    ),
    "quality.found.future.receipt": (
        "{source} 的 {of} 个事件中有 {count} 个晚于其接收时间（{share}）。"
    ),
    "quality.todo.future.receipt": "设备时钟偏快：如果采集端提供校正后的时间，请映射该时间。",
    "quality.found.early": (
        "{source} 的 {of} 个事件中有 {count} 个远早于其余事件，其余事件始于 {starts}。"
    ),
    "quality.todo.early": "检查来源在不知道日期时是否写入默认日期；可在映射规则中跳过这些行。",
    "quality.found.gap.over": "{source}：连续{length}没有事件，平时约有 {expected} 个。",
    "quality.todo.gap.over": (
        "确认当时是否停业。若否，请补取缺失的导出并导入：已有的行不会重复计入。"
    ),
    "quality.found.gap.silent": "{source} 已静默{length}，平时约有 {expected} 个事件。",
    "quality.todo.gap.silent": "检查导出或埋点是否仍在运行；在此期间所有人都会显得不够活跃。",
    "quality.found.gap.ended": "{source} 已终止：{length}没有事件。",
    "quality.todo.gap.ended": "如果已有其他来源接替，则无须处理。",
    "quality.found.change.more": (
        "{source}：在{days}里{events}为前几周的 {factor} 倍：{count} 个，而非约 {expected} 个。"
    ),
    "quality.todo.change.more": (
        "是促销或活动吗？若否，检查导出或标签是否设置了两次，或是否来了机器人。"
    ),
    "quality.found.change.fewer": (
        "{source}：在{days}里{events}仅为前几周的 {factor}：{count} 个，而非约 {expected} 个。"
    ),
    "quality.found.change.none": "{source}：在{days}里没有{events}，平时约有 {expected} 个。",
    "quality.todo.change.none": (
        "确认当时是否停业。若否，请补取缺失的导出并导入：已有的行不会重复计入。"
    ),
    "quality.todo.change.fewer": "如果店铺没有变化，检查标签是否丢失或导出是否缺了一部分。",
    "quality.found.missing": (
        "{source} 的 {of} 个 {kind} 事件中有 {count} 个缺少 {field}（{share}）。"
    ),
    "quality.todo.missing": ("在来源中查看例子：该字段是否改名？请修正映射，或修正发送它的标签。"),
    "quality.found.missing.absent": "{source} 的 {kind} 事件从不包含 {fields}。",
    "quality.todo.missing.absent": ("如果文件中以其他名称存在，请映射它；否则依赖它的特征将为空。"),
    "quality.found.missing.free": "{source} 的 {of} 次购买中有 {count} 次价格为 0（{share}）。",
    "quality.todo.missing.free": "赠品和更正没有问题；否则价格在途中丢失，这些购买不计收入。",
    "quality.found.unknown.nobody": (
        "{source} 的 {of} 个事件中有 {count} 个既没有顾客也没有访客标识（{share}）。"
    ),
    "quality.todo.unknown.nobody": (
        "它们不属于任何人。看看来源是否有可映射到 anonymous_id 的 cookie 或设备标识。"
    ),
    "quality.found.unknown.purchases": (
        "{source} 的 {of} 次购买中有 {count} 次没有顾客（{share}）。"
    ),
    "quality.todo.unknown.purchases": (
        "访客订单不计入任何分群。用邮箱或会员卡作为 customer_id 可以找回它们。"
    ),
    "quality.found.orders.no_item": "{source} 的 {of} 个订单中有 {count} 个没有商品（{share}）。",
    "quality.todo.orders.no_item": "检查订单明细是否与订单头一起导出。",
    "quality.found.orders.no_price": "{source} 的 {of} 个订单中有 {count} 个没有价格（{share}）。",
    "quality.todo.orders.no_price": "这些订单不产生收入：请映射明细行的金额。",
    "quality.found.orders.unexplained": (
        "{source} 的 {of} 个订单中有 {count} 个的明细合计与订单金额不符"
        "（{share}），共相差 {money}。"
    ),
    "quality.todo.orders.unexplained": (
        "检查导出文件是否包含数量、折扣、税、运费和手续费的列；"
        "每个订单的差额记在其首个事件的属性 unexplained 中。"
    ),
    "quality.found.refunds.beyond": (
        "{source} 的 {of} 个有退款的订单中有 {count} 个退款超过其金额，共超出 {money}。"
    ),
    "quality.todo.refunds.beyond": "检查退款是否导出了两次，或与订单的币种、单位不同。",
    "quality.found.refunds.unknown": (
        "{source} 的 {of} 个有退款的订单中有 {count} 个不是本店已知的订单。"
    ),
    "quality.todo.refunds.unknown": (
        "它们仍会减少收入。如果退款有自己的编号，请映射其所属订单的编号；"
        "否则这些订单早于最初的导出。"
    ),
    "quality.found.outliers": (
        "{source} 的 {of} 次购买中有 {count} 次的 {field} 偏离同类（或同来源）常值"
        "超过 {z} 个稳健标准差；最远的为 {worst}，常值为 {usual}。它们占金额的 {money_share}。"
    ),
    "quality.todo.outliers": (
        "查看例子：把分当成了元、批量订单，还是输入错误？离群值会拉动平均值和分群。"
    ),
    "quality.found.repeated": (
        "{source} 的 {of} 次购买中有 {count} 次除编号外与另一次完全相同（{share}）。"
    ),
    "quality.found.repeated.orders": (
        "{source} 的 {of} 个多行订单中有 {count} 个逐行入库了两次（{share}）。"
    ),
    "quality.found.repeated.again": (
        "{source} 的 {of} 个订单中有 {count} 个在另一时间以相同的行再次出现（{share}）；"
        "后来的部分合计 {money}。"
    ),
    "quality.todo.repeated.again": (
        "它们每次都会计入。请让来源只发送一次每笔购买（感谢页被重新加载、客户端与服务器都发送），"
        "或在 [shop] order_sources 中指定以店铺系统的订单为准。"
    ),
    "quality.todo.repeated": (
        "它们会计两次。如果每次导出都生成新编号，请在映射中以不变的列作为 event_id。"
    ),
    "quality.found.currencies.several": "{source} 的金额有多种币种：{amounts}。",
    "quality.todo.currencies.several": (
        "请提供汇率表（shoal rates SHOP FILE）：没有它只计主要币种。"
    ),
    "quality.found.currencies.unstated": (
        "{source} 的 {of} 笔金额中有 {count} 笔没有币种（{share}）。"
    ),
    "quality.todo.currencies.unstated": "请在映射中写明该来源的币种。",
    "quality.found.quarantined": (
        "{source} 的 {of} 行中有 {count} 行不能成为事件（{share}）：{reason}。"
    ),
    "quality.todo.quarantined": ("用 shoal quarantine SHOP 查看；修正映射后加 --replay 重试。"),
    "quality.found.conflicting": (
        "{source} 的 {of} 行中有 {count} 行与另一事件编号相同而内容不同（{share}）；"
        "每组只保留一个。"
    ),
    "quality.todo.conflicting": (
        "如果来源会修改已有的行，请在映射中说明由什么重述；如果编号重复，请用更多列作为 event_id。"
    ),
    "quality.found.duplicate": "{source} 的 {of} 行中有 {count} 行重复出现，只计一次（{share}）。",
    "quality.todo.duplicate": "无须处理：导出有重叠并无妨碍。",
    "quality.found.delay": (
        "{source} 的事件到达所需时间：半数{p50}，95 % {p95}，99 % {p99}，最长{longest}。"
    ),
    "quality.todo.delay": "迟到的事件每天都会略微改变过去。请在通常的最长延迟之后再导入一次。",
    "quality.found.midnight.dates": "{source} 的时间只有日期，没有时刻。",
    "quality.todo.midnight.dates": "该来源的小时和访问没有意义。如果另有时刻，请映射它。",
    "quality.found.midnight.some": (
        "{source} 的 {of} 个事件中有 {count} 个恰在午夜（{share}），其余则否。"
    ),
    "quality.todo.midnight.some": "部分行丢失了时刻：请查看它们从何而来。",
    "quality.found.constant": "{source}：凡有该字段的事件，{values}。",
    "quality.todo.constant": (
        "从不变化的字段没有信息；如果本应变化，则映射取错了列，或来源写入了默认值。"
    ),
    "quality.found.shared.devices": (
        "顾客 {subject} 出现在 {count} 台设备上；合理的上限为 {limit}。"
    ),
    "quality.todo.shared.devices": (
        "可能是本店自己的账号或默认标识。请查看 shoal identity SHOP ID。"
    ),
    "quality.found.shared.people": "有 {count} 位顾客在设备 {subject} 上登录过。",
    "quality.todo.shared.people": "收银台或公用电脑：在其上未登录时发生的事件不属于任何人。",
    "quality.found.shared.events": "标识 {subject} 占全部 {of} 个事件中的 {count} 个（{share}）。",
    "quality.todo.shared.events": (
        "没有顾客会如此频繁：是默认标识或机器人。请用映射规则将其排除。"
    ),
    "quality.found.noise.rows": "{source} 的 {of} 个事件中有 {count} 个被排除（{share}）：{rule}。",
    "quality.found.noise.rows_off": (
        "{source} 的 {of} 个事件中有 {count} 个仍被计入，因为规则已关闭（{share}）：{rule}。"
    ),
    "quality.found.noise.pace": (
        "{of} 个事件中有 {count} 个（来自{visitors}）被排除：快得不像人。"
    ),
    "quality.todo.noise": "用 shoal noise SHOP 查看；规则在 shop.toml 的 [noise] 中开关。",
    "quality.rule.agent": "客户端标识是机器人",
    "quality.rule.address": "地址属于本店",
    "quality.rule.test_order": "来源注明是测试订单",
    "quality.rule.staff_order": "来源注明是员工订单",
    "quality.rule.rate": "一小时内超出人的能力",
    "quality.rule.no_think_time": "长串事件之间没有浏览时间",
}
