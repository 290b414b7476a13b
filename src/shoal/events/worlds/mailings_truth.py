"""The truth of campaigns: what every customer would have done, and what every policy is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.domain import kinds
from shoal.events.worlds import encode
from shoal.events.worlds.funnel import CODE, PROMOTIONS
from shoal.events.worlds.mailings import ANSWERS, ARMS, MOST_CAMPAIGNS, Schedule
from shoal.events.worlds.mailings_draw import Block
from shoal.events.worlds.mailings_events import COUPON, actions, marked

if TYPE_CHECKING:
    from shoal.events.worlds.layers import Draft

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_DISCOUNT = ARMS.index("discount")


@dataclass(frozen=True)
class Outcomes:
    """Orders and margin in the outcome window, one entry a campaign row; (rows, arms) for `..1`.

    `effect` is the expectation of `orders1 - orders0` over the noise of the answer, given the
    orders that the customer places without a mail. `converted_s` is -1 where no mail brought an
    order. Margins in currency units.
    """

    orders0: Floats
    orders1: Floats
    margin0: Floats
    margin1: Floats
    effect: Floats
    converted_s: Ints


def outcomes(schedule: Schedule, block: Block, draft: Draft) -> Outcomes:
    """What each customer of each campaign orders without a mail and with each of its arms."""
    orders = _Orders.of(schedule, block, draft)
    rows, n = block.rows, len(block.rows.who)
    logged_orders = _in_windows(schedule, block, draft, orders, None)
    logged_margin = _in_windows(schedule, block, draft, orders, orders.margin_logged)
    # A marked order is not background of its own campaign, only of others.
    own = orders.session >= 0
    row = block.row[orders.session[own]]
    extra = block.extra[orders.session[own]]
    campaign = rows.campaign[row]
    moment, logged = orders.time_s[own], orders.logged[own]
    inside = (moment >= schedule.sent_s[campaign]) & (moment < schedule.until_s[campaign])
    margin = orders.margin[own]

    def add(chosen: npt.NDArray[np.bool_], weight: Floats | None = None) -> Floats:
        chosen = chosen & inside
        weights = None if weight is None else weight[chosen]
        return np.bincount(row[chosen], weights=weights, minlength=n).astype(np.float64)

    plain = logged_orders - add(logged)
    plain_margin = logged_margin - add(logged, orders.margin_logged[own])
    orders1, margin1 = np.zeros((n, len(ARMS))), np.zeros((n, len(ARMS)))
    for arm in range(len(ARMS)):
        happens = block.happens(np.full(n, arm))[orders.session[own]]
        money = np.where(extra & (arm == _DISCOUNT), orders.margin_coupon[own], margin)
        orders1[:, arm] = plain + add(happens)
        margin1[:, arm] = plain_margin + add(happens, money)
    losable = add(~extra)
    converted = np.full(n, -1)
    brought = extra & logged
    converted[row[brought]] = moment[brought]
    return Outcomes(
        orders0=plain + losable, orders1=orders1,
        margin0=plain_margin + add(~extra, margin), margin1=margin1,
        effect=rows.chance * rows.reach[:, None] - rows.loss * losable[:, None],
        converted_s=converted,
    )  # fmt: skip


@dataclass(frozen=True)
class _Orders:
    """All orders of a block that may happen, one entry each.

    `session` numbers those of visits that hang on a mail (-1: others), `logged` says whether it
    happened; margins in currency units: with the order's own promotion, with the coupon in its
    place, and as logged.
    """

    who: Ints
    time_s: Ints
    session: Ints
    logged: npt.NDArray[np.bool_]
    margin: Floats
    margin_coupon: Floats
    margin_logged: Floats

    @classmethod
    def of(cls, schedule: Schedule, block: Block, draft: Draft) -> _Orders:
        lines = draft.events[draft.events["kind"] == CODE[kinds.PURCHASE]]
        _, first, order = np.unique(lines["order"], return_index=True, return_inverse=True)
        mark = lines["mark"][first]
        session = np.where(marked(block, mark), mark, -1)
        arm = block.rows.arm
        happens = np.append(block.happens(arm), True)
        coupons = np.append(block.extra & (arm[block.row] == _DISCOUNT), False)
        gross = lines["price"].astype(np.float64) * lines["quantity"]
        goods = (1 - schedule.layer.margin_share) * gross
        coupon = np.rint(gross * PROMOTIONS[COUPON])
        n = len(first)
        margins = [
            np.bincount(order, weights=gross - off - goods, minlength=n) / 100.0
            for off in (lines["discount"], coupon)
        ]
        return cls(
            who=lines["customer"][first] - draft.people.number[0], time_s=lines["time_s"][first],
            session=session, logged=happens[session], margin=margins[0], margin_coupon=margins[1],
            margin_logged=np.where(coupons[session], margins[1], margins[0]),
        )  # fmt: skip


def _in_windows(
    schedule: Schedule, block: Block, draft: Draft, orders: _Orders, weight: Floats | None
) -> Floats:
    """Sum over each row's customer and window of the logged orders (or of their weights)."""
    n, rows = len(draft.people.number), block.rows
    found = np.zeros(len(rows.who))
    for campaign, (since, until) in enumerate(zip(schedule.sent_s, schedule.until_s, strict=True)):
        inside = orders.logged & (orders.time_s >= since) & (orders.time_s < until)
        weights = None if weight is None else weight[inside]
        count = np.bincount(orders.who[inside], weights=weights, minlength=n)
        mine = rows.campaign == campaign
        found[mine] = count[rows.who[mine]]
    return found


def treatments_table(schedule: Schedule, block: Block, found: Outcomes) -> pa.Table:
    """`treatments`: one row a campaign, customer it could be sent to, and arm it has."""
    rows, setting = block.rows, schedule.setting
    row, arm = np.nonzero(schedule.used[rows.campaign])
    number, campaign = rows.number[row], rows.campaign[row]
    treated = rows.arm[row] == arm
    action = np.where(treated, actions(number, campaign), -1)
    converted = np.where(treated, found.converted_s[row], -1)
    return pa.table(
        {
            "campaign_id": encode.texts(campaign_names(), campaign).cast(pa.string()),
            "customer_id": encode.numbered("c", number, 8),
            "arm": encode.texts(ARMS, arm).cast(pa.string()),
            "action_id": encode.numbered(f"{setting.prefix}a", action, 9),
            "propensity": pa.array(rows.propensity[row, arm]),
            "treated": pa.array(treated),
            "kind": encode.texts(ANSWERS, rows.answer[row]).cast(pa.string()),
            "exposures_before": pa.array(rows.exposures[row]),
            "effect": pa.array(found.effect[row, arm]),
            "y0": pa.array(found.orders0[row].astype(np.int64)),
            "y1": pa.array(found.orders1[row, arm].astype(np.int64)),
            "y0_margin": pa.array(found.margin0[row]),
            "y1_margin": pa.array(found.margin1[row, arm]),
            "converted_at": _moments(schedule, converted),
        }
    )


def campaign_names() -> tuple[str, ...]:
    """Ids of campaigns, in order of time."""
    return tuple(f"campaign{number:02d}" for number in range(MOST_CAMPAIGNS))


def _moments(schedule: Schedule, second: Ints) -> pa.Array:
    found = encode.moments(schedule.setting.world, np.maximum(second, 0))
    return pa.array(found.to_numpy(zero_copy_only=False), type=found.type, mask=second < 0)


class Tally:
    """Sums over all customers of the shop, by campaign and arm."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._sums: dict[str, Floats] = {}

    def add(self, block: Block, found: Outcomes) -> None:
        """Count one block's rows, as far as their customers belong to the shop."""
        rows, plan = block.rows, self._schedule
        n, arms = len(rows.who), np.arange(len(ARMS))
        kept = rows.number < plan.setting.customers
        cost = np.array([plan.layer.cost_content, plan.layer.cost_discount])
        margin, used = plan.layer.margin, plan.used[rows.campaign]
        none = found.orders0 * margin
        sent = rows.arm[:, None] == arms
        gain = np.where(used, found.effect * margin - cost, -np.inf)
        realised = (found.orders1 - found.orders0[:, None]) * margin - cost
        best = gain.argmax(axis=1) if n else np.zeros(0, np.int64)
        worth = gain.max(axis=1, initial=-np.inf) > 0
        chosen = (best[:, None] == arms) & worth[:, None]
        values = {
            "eligible": used * 1.0, "treated": sent * 1.0,
            "best_treats": chosen * 1.0,
            "value_none": _each(none),
            "value_all": none[:, None] + np.where(used, gain, 0),
            "value_logged": _each(none + (np.where(used, gain, 0) * sent).sum(axis=1)),
            "value_best": _each(none + np.where(chosen, gain, 0).sum(axis=1)),
            "realised_all": none[:, None] + realised,
            "realised_logged": _each(none + (realised * sent).sum(axis=1)),
            "realised_best": _each(none + (realised * chosen).sum(axis=1)),
        }  # fmt: skip
        for name, value in values.items():
            total = np.zeros(plan.used.shape)
            np.add.at(total, rows.campaign[kept], value[kept])
            self._sums[name] = self._sums.get(name, 0) + total

    def table(self) -> pa.Table:
        """`campaigns`: one row a campaign and arm, in order of time."""
        plan = self._schedule
        campaign, arm = np.nonzero(plan.used)
        cost = np.array([plan.layer.cost_content, plan.layer.cost_discount])
        columns = {
            "campaign_id": encode.texts(campaign_names(), campaign).cast(pa.string()),
            "arm": encode.texts(ARMS, arm).cast(pa.string()),
            "at": encode.moments(plan.setting.world, plan.sent_s[campaign]),
            "until": encode.moments(plan.setting.world, plan.until_s[campaign]),
            "cost": pa.array(cost[arm]),
            "margin": pa.array(np.full(len(arm), plan.layer.margin)),
            "margin_share": pa.array(np.full(len(arm), plan.layer.margin_share)),
        }
        none = np.zeros(plan.used.shape)
        for name in _SUMS:
            total = self._sums.get(name, none)[campaign, arm]
            counted = name in ("eligible", "treated", "best_treats")
            columns[name] = pa.array(np.rint(total).astype(np.int64) if counted else total)
        return pa.table(columns)


_SUMS = (
    "eligible", "treated", "best_treats", "value_none", "value_all", "value_logged", "value_best",
    "realised_all", "realised_logged", "realised_best",
)  # fmt: skip


def _each(value: Floats) -> Floats:
    """The same value for every arm."""
    return np.repeat(value[:, None], len(ARMS), axis=1)
