"""The texts on versions of segments and on the membership log, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LINEAGE_EN: Final[Mapping[str, str]] = {
    "lineage.title": "Where the segments come from",
    "lineage.first": (
        "{version} is the first version of these segments: nothing came before it. The next one "
        "will be matched with it, so that a segment keeps its id as long as it goes on."
    ),
    "lineage.unreadable": (
        "Versions before this one cannot be read, so nothing is told of them. "
        "`shoal lineage SHOP` says why."
    ),
    "lineage.lead": (
        "{n} versions led to these segments. A segment keeps its id as long as most of its "
        "customers go on together. Each band shows how many customers the earlier version had in "
        "one segment and the later one has in another; both are asked about the same customers at "
        "the same moment, so a band that leaves its segment is the model’s doing, not the "
        "customers’."
    ),
    "lineage.figure": "Segments from version to version",
    "lineage.latest": "The latest {n} versions are drawn; the table below has all.",
    "lineage.others": "Other segments",
    "lineage.alt": (
        "Sankey diagram of {n} versions from {first} to {last}. In the last step {moved} of "
        "{compared} were put into another segment. {events}"
    ),
    "lineage.alt_none": "All segments went on.",
    "lineage.alt_events": "Since the first version: {events}.",
    "lineage.said": "{source} to {target}, {version}: {n}",
    "lineage.step": "Version",
    "lineage.from": "From",
    "lineage.to": "To",
    "lineage.share": "Share of “From”",
    "lineage.rest": "All smaller flows",
    "lineage.versions": "Versions",
    "lineage.col.as_of": "As of",
    "lineage.col.causes": "What differs from the one before",
    "lineage.col.moved": "Put elsewhere by the model",
    "lineage.col.moved_share": "Share",
    "lineage.changes": "What became of the segments",
    "lineage.col.change": "Change",
    "lineage.col.became": "What came of it",
    "lineage.col.was": "Out of",
    "lineage.col.confidence": "Confidence",
    "lineage.no_changes": "In every step every segment went on: none split, merged, came or went.",
    "lineage.split": "split",
    "lineage.merge": "merge",
    "lineage.birth": "birth",
    "lineage.death": "death",
    "noun.split.one": "{n} split",
    "noun.split.many": "{n} splits",
    "noun.merge.one": "{n} merge",
    "noun.merge.many": "{n} merges",
    "noun.birth.one": "{n} birth",
    "noun.birth.many": "{n} births",
    "noun.death.one": "{n} death",
    "noun.death.many": "{n} deaths",
    "parted.title": "Who moved since the version before, and why",
    "parted.lead": (
        "Of {common} known at both moments, {stayed} stayed where they were. {behaviour} moved "
        "because they behaved differently: the version before puts them elsewhere at the new "
        "moment. {model} moved because the model is another: it puts them elsewhere in the same "
        "state."
    ),
    "parted.both": "{both} moved by both.",
    "parted.returned": (
        "{returned} moved by their behaviour, and the new model put them back where they were."
    ),
    "parted.arrived": "{arrived} are new since then.",
    "parted.then": "Then",
    "parted.arrived_col": "Arrived",
    "parted.gone": "Gone",
    "parted.by_behaviour": "By behaviour",
    "parted.by_model": "By the model",
    "parted.now": "Now",
    "parted.note": (
        "Then + arrived − gone + by behaviour + by the model = now; the two causes are net of who "
        "came and who left."
    ),
    "parted.large": (
        "Movement is not parted by its cause in a report of so many events. "
        "`shoal lineage SHOP --movement` does it."
    ),
    "parted.same_moment": (
        "This version and the one before speak of the same moment, so all movement between them is "
        "the model’s."
    ),
    "parted.older": (
        "Movement is not parted by its cause: the segments were made with other definitions of "
        "features. `shoal segment SHOP` makes them anew."
    ),
    "parted.unreadable": (
        "Movement is not parted by its cause: the version before cannot be applied any more. "
        "`shoal lineage SHOP --movement` says why."
    ),
    "logged.title": "What the membership log says",
    "logged.lead": (
        "The log holds each change of segment with its moment and its cause. Since {day} it has "
        "{changes}."
    ),
    "logged.only_versions": (
        "All were written when a version was made; between versions nobody was followed. "
        "`shoal refresh SHOP`, run every day, writes down who moves and why."
    ),
    "logged.later": (
        "{n} of these are later than the moment of the segments, of which the rest of this report "
        "speaks."
    ),
    "logged.col.cause": "Cause",
    "logged.col.changes": "Changes",
    "logged.cause.event": "Their own events",
    "logged.cause.silence": "Silence: time without an event",
    "logged.cause.version": "A new version of the segments",
    "logged.cause.rollback": "An earlier version was put back",
    "noun.change.one": "{n} change",
    "noun.change.many": "{n} changes",
}

LINEAGE_ZH: Final[Mapping[str, str]] = {
    "lineage.title": "分群从何而来",
    "lineage.first": (
        "{version} 是这些分群的第一个版本，此前没有其他版本。下一个版本会与它匹配，"
        "分群只要延续下去，编号就保持不变。"
    ),
    "lineage.unreadable": (
        "无法读取之前的版本，因此不作说明。运行 `shoal lineage SHOP` 可查看原因。"
    ),
    "lineage.lead": (
        "这些分群由 {n} 个版本演变而来。只要一个分群的大部分客户仍在一起，它的编号就不变。"
        "每条带表示：前一版本归入某分群、后一版本归入另一分群的客户有多少；"
        "两个版本面对的是同一批客户的同一时刻，因此离开原分群的带是模型造成的，而不是客户造成的。"
    ),
    "lineage.figure": "各版本之间的分群流向",
    "lineage.latest": "图中为最近 {n} 个版本；下表列出全部。",
    "lineage.others": "其他分群",
    "lineage.alt": (
        "从{first}到{last}的 {n} 个版本的桑基图。最近一步中，{compared}里有 {moved} "
        "位被归入另一分群。{events}"
    ),
    "lineage.alt_none": "所有分群都延续了下来。",
    "lineage.alt_events": "自第一个版本以来：{events}。",
    "lineage.said": "{source} 到 {target}，{version}：{n}",
    "lineage.step": "版本",
    "lineage.from": "从",
    "lineage.to": "到",
    "lineage.share": "占“从”的比例",
    "lineage.rest": "其余较小的流向",
    "lineage.versions": "版本",
    "lineage.col.as_of": "截至",
    "lineage.col.causes": "与前一版本的差异",
    "lineage.col.moved": "被模型改归",
    "lineage.col.moved_share": "比例",
    "lineage.changes": "各分群的变化",
    "lineage.col.change": "变化",
    "lineage.col.became": "变为",
    "lineage.col.was": "来自",
    "lineage.col.confidence": "置信度",
    "lineage.no_changes": "每一步中每个分群都延续了下来：没有分裂、合并、新生或消失。",
    "lineage.split": "分裂",
    "lineage.merge": "合并",
    "lineage.birth": "新生",
    "lineage.death": "消失",
    "noun.split.one": "{n} 次分裂",
    "noun.split.many": "{n} 次分裂",
    "noun.merge.one": "{n} 次合并",
    "noun.merge.many": "{n} 次合并",
    "noun.birth.one": "{n} 次新生",
    "noun.birth.many": "{n} 次新生",
    "noun.death.one": "{n} 次消失",
    "noun.death.many": "{n} 次消失",
    "parted.title": "自前一版本以来谁移动了，为什么",
    "parted.lead": (
        "在两个时刻都已知的 {common}中，{stayed} 位留在原处。{behaviour} 位因行为变化而移动："
        "前一版本在新时刻把他们归入别处。{model} 位因模型变化而移动："
        "状态相同，模型却把他们归入别处。"
    ),
    "parted.both": "{both} 位兼有两种原因。",
    "parted.returned": "{returned} 位因行为而移动，又被新模型放回原处。",
    "parted.arrived": "此后新增 {arrived} 位。",
    "parted.then": "当时",
    "parted.arrived_col": "新增",
    "parted.gone": "不再有",
    "parted.by_behaviour": "因行为",
    "parted.by_model": "因模型",
    "parted.now": "现在",
    "parted.note": "当时 + 新增 − 不再有 + 因行为 + 因模型 = 现在；两种原因均为移入与移出之差。",
    "parted.large": (
        "事件太多，报告中不按原因拆分移动。运行 `shoal lineage SHOP --movement` 可拆分。"
    ),
    "parted.same_moment": "本版本与前一版本针对同一时刻，因此其间的移动全部由模型造成。",
    "parted.older": (
        "移动未按原因拆分：分群是用另一套特征定义生成的。运行 `shoal segment SHOP` 可重新生成。"
    ),
    "parted.unreadable": (
        "移动未按原因拆分：前一版本已无法应用。运行 `shoal lineage SHOP --movement` 可查看原因。"
    ),
    "logged.title": "成员日志的记录",
    "logged.lead": "日志记下每次换群的时刻和原因。自{day}以来共有{changes}。",
    "logged.only_versions": (
        "全部是生成新版本时写下的；版本之间没有跟踪任何人。"
        "每天运行 `shoal refresh SHOP` 会记下谁移动了以及原因。"
    ),
    "logged.later": "其中 {n} 次晚于分群的时刻，而报告其余部分以该时刻为准。",
    "logged.col.cause": "原因",
    "logged.col.changes": "换群次数",
    "logged.cause.event": "客户自己的事件",
    "logged.cause.silence": "沉默：一段时间没有事件",
    "logged.cause.version": "分群的新版本",
    "logged.cause.rollback": "恢复了较早的版本",
    "noun.change.one": "{n} 次换群",
    "noun.change.many": "{n} 次换群",
}
