"""Rules in words, English and Chinese, for previews and for the rule of a segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from shoal.domain.text import Text
from shoal.segments.ruled.language import (
    EVERY,
    MAIN,
    VALUE,
    All,
    AnyOf,
    AtLeast,
    Compare,
    Events,
    Feature,
    Member,
    Named,
    Not,
    Rule,
    Sequence,
    Sets,
    Step,
    Test,
    Trait,
    Where,
    Window,
)

#: Longer rules are cut: their JSON tells them.
LONGEST: Final = 1_000

_KINDS: Final[Mapping[str, Text]] = {
    EVERY: Text("event", "事件"),
    VALUE: Text("buying event", "购买行为"),
    "view": Text("view", "浏览"),
    "search": Text("search", "搜索"),
    "click": Text("click", "点击"),
    "cart_add": Text("cart addition", "加购"),
    "cart_remove": Text("cart removal", "移出购物车"),
    "favourite": Text("favourite", "收藏"),
    "checkout": Text("checkout", "结账"),
    "purchase": Text("purchase", "购买"),
    "refund": Text("refund", "退款"),
    "review": Text("review", "评价"),
    "share": Text("share", "分享"),
    "refer": Text("referral", "推荐"),
    "survey": Text("survey", "问卷"),
    "sign_up": Text("sign-up", "注册"),
    "login": Text("login", "登录"),
    "profile": Text("profile change", "资料更新"),
    "consent": Text("consent", "授权"),
    "exposure": Text("exposure", "曝光"),
    "open": Text("open", "打开"),
    "response": Text("response", "响应"),
    "custom": Text("custom event", "自定义事件"),
}
_OPS: Final[Mapping[str, Text]] = {
    "=": Text("is {}", "为 {}"),
    "!=": Text("is known and not {}", "已知且不为 {}"),
    "<": Text("is below {}", "小于 {}"),
    "<=": Text("is at most {}", "不超过 {}"),
    ">": Text("is above {}", "大于 {}"),
    ">=": Text("is at least {}", "不少于 {}"),
    "between": Text("is {} to {}", "介于 {} 和 {} 之间"),
    "in": Text("is one of {}", "为 {} 之一"),
    "not_in": Text("is known and none of {}", "已知且不是 {}"),
    "known": Text("is known", "已知"),
    "unknown": Text("is unknown", "未知"),
    "contains": Text("contains {}", "包含 {}"),
    "starts_with": Text("starts with {}", "以 {} 开头"),
    "under": Text("is {} or below it", "属于 {}"),
}
_MEASURES: Final[Mapping[str, Text]] = {
    "count": Text("number of {}", "{}的次数"),
    "days": Text("days with {}", "有{}的天数"),
    "orders": Text("orders among {}", "{}的订单数"),
    "items": Text("different items of {}", "{}的不同商品数"),
    "sum": Text("total {of} of {}", "{}的 {of} 合计"),
    "min": Text("smallest {of} of {}", "{}的 {of} 最小值"),
    "max": Text("largest {of} of {}", "{}的 {of} 最大值"),
    "latest": Text("latest {of} of {}", "{}最近一次的 {of}"),
    "days_since_first": Text("days since the first of {}", "距首次{}的天数"),
    "days_since_last": Text("days since the last of {}", "距最近一次{}的天数"),
}
_SETS: Final[Mapping[str, Text]] = {
    "union": Text(" or ", " 或 "),
    "intersect": Text(" and ", " 且 "),
    "except": Text(" but not ", " 但不包括 "),
}
_SHOWN: Final = 6


def words(rule: Rule) -> Text:
    """A rule as a sentence without its full stop."""
    found = _clause(rule, outer=True)
    return Text(_cut(found.en), _cut(found.zh))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _clause(rule: Rule, *, outer: bool = False) -> Text:
    match rule:
        case Compare(Member(segment_id, of, "days"), Test("known" | "unknown" as op)):
            en, zh = ("is in", "属于") if op == "known" else ("is not in", "不属于")
            return Text(f"{en} {_segment(segment_id, of)}", f"{zh} {_segment(segment_id, of)}")
        case Compare(subject, test):
            return _compare(_subject(subject), test)
        case Sequence():
            return _sequence(rule)
        case Not(clause):
            inner = _clause(clause)
            return Text(f"not ({inner.en})", f"非（{inner.zh}）")
        case Named(rule_id):
            return Text(f"rule {rule_id}", f"规则 {rule_id}")
        case AtLeast(count, members):
            inner = _joined(members, Text("; ", "；"))
            return Text(f"at least {count} of: {inner.en}", f"满足以下至少 {count} 项：{inner.zh}")
        case All(members):
            found = _joined(members, Text(" and ", " 且 "))
        case AnyOf(members):
            found = _joined(members, Text(" or ", " 或 "))
        case Sets(word, members):
            found = _joined(members, _SETS[word])
        case _:
            raise TypeError(f"{rule!r} is no clause")
    if outer or len(members) == 1:
        return found
    return Text(f"({found.en})", f"（{found.zh}）")


def _joined(members: Iterable[Rule], by: Text) -> Text:
    told = [_clause(one) for one in members]
    return Text(by.en.join(one.en for one in told), by.zh.join(one.zh for one in told))


def _subject(subject: Any) -> Text:
    match subject:
        case Feature(name):
            return Text(name, name)
        case Trait(name):
            return Text(f"trait {name}", f"属性 {name}")
        case Member(segment_id, of, measure):
            en, zh = ("days in", "停留天数：") if measure == "days" else ("weight in", "权重：")
            return Text(f"{en} {_segment(segment_id, of)}", f"{zh}{_segment(segment_id, of)}")
        case Events(kinds, where, window, measure, of):
            told = _events(kinds, where, plural=True)
            when = _window(window)
            pattern = _MEASURES[measure]
            return Text(
                pattern.en.format(told.en, of=of) + when.en,
                when.zh + pattern.zh.format(told.zh, of=of),
            )
    raise TypeError(f"{subject!r} is nothing that a rule asks about")


def _segment(segment_id: str, of: str) -> str:
    return segment_id if of == MAIN else f"{of}/{segment_id}"


def _events(kinds: tuple[str, ...], where: tuple[Where, ...], *, plural: bool) -> Text:
    ending = "s" if plural else ""
    names = [_KINDS.get(one, Text(one, one)) for one in kinds]
    en = " or ".join(_plural(one.en) if ending else one.en for one in names)
    zh = "或".join(one.zh for one in names)
    if not where:
        return Text(en, zh)
    told = [_compare(Text(one.field, one.field), one.test) for one in where]
    return Text(
        f"{en} where {' and '.join(one.en for one in told)}",
        f"{zh}（{'，'.join(one.zh for one in told)}）",
    )


def _plural(word: str) -> str:
    return f"{word}es" if word.endswith("rch") else f"{word}s"


def _compare(what: Text, test: Test) -> Text:
    pattern = _OPS[test.op]
    told: tuple[str, ...] = ()
    if test.op == "between":
        told = tuple(map(_value, test.value))
    elif isinstance(test.value, tuple):
        shown = ", ".join(map(_value, test.value[:_SHOWN]))
        told = (shown + (", …" if len(test.value) > _SHOWN else ""),)
    elif test.value is not None:
        told = (_value(test.value),)
    return Text(f"{what.en} {pattern.en.format(*told)}", f"{what.zh} {pattern.zh.format(*told)}")


def _value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:,}"


def _window(window: Window) -> Text:
    if window.last_days is not None:
        days = window.last_days
        en, zh = f" in the last {days} day{'s' if days > 1 else ''}", f"最近 {days} 天内"
        if window.skip_days:
            skip = window.skip_days
            en += f" without the latest {skip}"
            zh += f"（不含最近 {skip} 天）"
        return Text(en, zh)
    if window.first and window.last:
        return Text(f" from {window.first} to {window.last}", f"{window.first} 至 {window.last} ")
    if window.first:
        return Text(f" since {window.first}", f"自 {window.first} 起")
    if window.last:
        return Text(f" up to {window.last}", f"截至 {window.last} ")
    return Text("", "")


def _sequence(chain: Sequence) -> Text:
    en, zh = [], []
    for place, step in enumerate(chain.steps):
        told = _events(step.kinds, step.where, plural=False)
        if not place:
            when = _window(chain.window)
            en.append(f"{told.en}{when.en}")
            zh.append(f"{when.zh}{told.zh}")
            continue
        then, after = _within(step)
        en.append(f"{then.en}{told.en}{after.en}")
        zh.append(f"{after.zh}{then.zh}{told.zh}")
    same = f" of the same {chain.same}" if chain.same else ""
    alike = f"（同一 {chain.same}）" if chain.same else ""
    return Text(f"{', '.join(en)}{same}", f"{'，'.join(zh)}{alike}")


def _within(step: Step) -> tuple[Text, Text]:
    then = Text("then no ", "没有") if step.absent else Text("then ", "再")
    if step.within_days is None:
        return then, Text(" since" if step.absent else " later", "此后" if step.absent else "随后")
    days = step.within_days
    return then, Text(f" within {days:g} day{'s' if days != 1 else ''}", f"{days:g} 天内")
