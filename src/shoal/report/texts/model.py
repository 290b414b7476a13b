"""The texts of the section on the behaviour model, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MODEL_EN: Final[Mapping[str, str]] = {
    "model.title": "What the model sees",
    "model.lead": (
        "The behaviour model ({model}, trained on events before {day}) turns what a customer did "
        "into an embedding. Below is which events it rests on, for the customer nearest the "
        "middle of each segment: how far the embedding moves when one event is left out. "
        "0 is not at all, 2 is to the opposite."
    ),
    "model.apart": (
        "For comparison: the embeddings of these {n} customers lie {distance} apart on average."
    ),
    "model.more": "There are more segments; these are the {n} that bring most.",
    "model.foreknown": (
        "It was trained on events after {day}, the moment of this report, and so has seen what "
        "was still to come."
    ),
    "model.unreadable": (
        "The shop has a behaviour model ({model}), but it could not be used here. "
        "`shoal probe SHOP` says why."
    ),
    "model.fields": "How far the embedding moves when a fact is hidden",
    "model.fields_note": "In all events shown below; the mean of the customers who have it.",
    "model.fields_alt": (
        "Bar chart of how far the embedding moves when a fact of the events is hidden. "
        "It moves most without: {name}, {value}."
    ),
    "model.example": "Customer {customer} of {name}",
    "model.all_events": "All {n} events are shown.",
    "model.last_events": "The last {n} of {total} events are shown.",
    "model.held": "The {k} weightiest hold {share} of the weight of these events.",
    "model.strip": "Events in order; the higher, the more the embedding rests on it",
    "model.strip_alt": (
        "Timeline of {n} events from {first} to {last}. The embedding rests most on: {event}, "
        "{day} ({value})."
    ),
    "model.now": "Now",
    "model.about": "{kind}: {what}",
    "model.when": "When",
    "model.what": "Event",
    "model.which": "Of what",
    "model.occlusion": "Moves without it",
    "model.gradient": "Moves as it fades",
    "model.field": "Fact of the events",
    "model.field.kind": "What was done",
    "model.field.item": "Which item (its id)",
    "model.field.category": "Category",
    "model.field.brand": "Brand",
    "model.field.price": "Price and discount",
    "model.field.quantity": "Quantity",
    "model.field.rating": "Rating",
    "model.field.time": "When it was",
    "model.field.text": "Title or search words",
    "model.field.channel and device": "Channel and device",
    "kind.view": "View",
    "kind.search": "Search",
    "kind.click": "Click",
    "kind.cart_add": "Into the cart",
    "kind.cart_remove": "Out of the cart",
    "kind.favourite": "Favourite",
    "kind.checkout": "Checkout",
    "kind.purchase": "Purchase",
    "kind.refund": "Refund",
    "kind.review": "Review",
    "kind.share": "Share",
    "kind.refer": "Referral",
    "kind.survey": "Survey",
    "kind.sign_up": "Sign-up",
    "kind.login": "Login",
    "kind.profile": "Profile",
    "kind.consent": "Consent",
    "kind.item": "Item fact",
    "kind.exposure": "Exposure",
    "kind.open": "Opened",
    "kind.response": "Response",
    "kind.custom": "Other",
}

MODEL_ZH: Final[Mapping[str, str]] = {
    "model.title": "模型看到了什么",
    "model.lead": (
        "行为模型（{model}，用{day}之前的事件训练）把客户的行为变成一个向量表示。"
        "下面以每个分群中最靠近中心的客户为例，说明该表示依据哪些事件："
        "去掉某个事件后，表示移动了多远。0 表示完全不动，2 表示变为相反方向。"
    ),
    "model.apart": "作为对照：这 {n} 位客户的表示之间平均相距 {distance}。",
    "model.more": "还有更多分群；这里是贡献最大的 {n} 个。",
    "model.foreknown": (
        "模型的训练用到了本报告时刻（{day}）之后的事件，因此已经看到当时尚未发生的事。"
    ),
    "model.unreadable": (
        "店铺有一个行为模型（{model}），但这里无法使用。运行 `shoal probe SHOP` 可查看原因。"
    ),
    "model.fields": "隐去某类信息后，表示移动了多远",
    "model.fields_note": "针对下面展示的所有事件；取具有该信息的客户的平均值。",
    "model.fields_alt": (
        "条形图：隐去事件的某类信息后表示移动的距离。移动最大的是：{name}，{value}。"
    ),
    "model.example": "{name}的客户 {customer}",
    "model.all_events": "展示全部 {n} 个事件。",
    "model.last_events": "共 {total} 个事件，展示最近 {n} 个。",
    "model.held": "其中最重要的 {k} 个占这些事件总权重的 {share}。",
    "model.strip": "按先后排列的事件；越高，表示越依据它",
    "model.strip_alt": (
        "时间线：从{first}到{last}的 {n} 个事件。表示最依据的是：{event}，{day}（{value}）。"
    ),
    "model.now": "现在",
    "model.about": "{kind}：{what}",
    "model.when": "时间",
    "model.what": "事件",
    "model.which": "对象",
    "model.occlusion": "去掉后移动",
    "model.gradient": "减弱时移动",
    "model.field": "事件的信息",
    "model.field.kind": "做了什么",
    "model.field.item": "哪件商品（编号）",
    "model.field.category": "品类",
    "model.field.brand": "品牌",
    "model.field.price": "价格与折扣",
    "model.field.quantity": "数量",
    "model.field.rating": "评分",
    "model.field.time": "发生时间",
    "model.field.text": "标题或搜索词",
    "model.field.channel and device": "渠道与设备",
    "kind.view": "浏览",
    "kind.search": "搜索",
    "kind.click": "点击",
    "kind.cart_add": "加入购物车",
    "kind.cart_remove": "移出购物车",
    "kind.favourite": "收藏",
    "kind.checkout": "结账",
    "kind.purchase": "购买",
    "kind.refund": "退款",
    "kind.review": "评价",
    "kind.share": "分享",
    "kind.refer": "推荐他人",
    "kind.survey": "问卷",
    "kind.sign_up": "注册",
    "kind.login": "登录",
    "kind.profile": "资料",
    "kind.consent": "授权",
    "kind.item": "商品信息",
    "kind.exposure": "曝光",
    "kind.open": "打开",
    "kind.response": "响应",
    "kind.custom": "其他",
}
