"""What a block's campaigns leave in the log: mails, opens, clicks, withdrawals, coupons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from shoal.domain import kinds
from shoal.events.worlds.funnel import CODE, PROMOTIONS, RECORD
from shoal.events.worlds.mailings import ARMS, MOST_CAMPAIGNS, Schedule
from shoal.events.worlds.mailings_draw import Block, Rows
from shoal.events.worlds.segments import CHANNELS

if TYPE_CHECKING:
    from shoal.events.worlds.layers import Draft

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Records = npt.NDArray[np.void]

#: The `source` code of mails (see `encode.SOURCES`).
_SOURCE: Final = 3
_DISCOUNT: Final = ARMS.index("discount")
#: The coupon of the discount mail: a place in `funnel.PROMOTIONS`.
COUPON: Final = 2
#: Chance that a mail is opened, and that an opened one is clicked, by answer.
_OPENS: Final = np.array([0.55, 0.50, 0.12, 0.45])
_CLICKS: Final = np.array([0.25, 0.20, 0.08, 0.10])
_CLICKS_BEFORE_ORDER: Final = 0.75
_OPEN_HOURS: Final = 7.0
_OPENED_BY_S: Final = 20 * 3600


def actions(number: Ints, campaign: Ints) -> Ints:
    """Numbers of the mails of campaigns to customers, each once in a shop."""
    return number * MOST_CAMPAIGNS + campaign


def with_coupon(lines: Records, tax_rate: float, free_from: int, fee: int) -> Records:
    """Order lines (and their refunds) bought with the mail's coupon instead of what they had.

    `lines` hold whole orders, told apart by `order`.
    """
    lines = lines.copy()
    gross = lines["price"].astype(np.int64) * lines["quantity"]
    lines["discount"] = np.rint(gross * PROMOTIONS[COUPON])
    net = gross - lines["discount"]
    lines["tax"] = np.rint(net * tax_rate)
    bought = lines["kind"] == CODE[kinds.PURCHASE]
    lines["code"] = np.where(bought, COUPON, lines["code"])
    _, first, order = np.unique(lines["order"], return_index=True, return_inverse=True)
    total = np.bincount(order, weights=net * bought, minlength=len(first))
    lines["shipping"] = np.where(bought, 0, lines["shipping"])
    # Purchases come before their refunds, so that the first line of an order is one of them.
    lines["shipping"][first] = np.where(total < free_from, fee, 0)
    return lines


def happened_events(schedule: Schedule, block: Block, draft: Draft) -> Records:
    """The block's events without those of visits that did not happen, coupons applied."""
    events = draft.events
    mark = events["mark"]
    mine = marked(block, mark)
    happens = block.happens(block.rows.arm)
    kept = ~mine | happens[np.where(mine, mark, 0)] if len(happens) else ~mine
    events = events[kept]
    mark, mine = mark[kept], mine[kept]
    money = np.isin(events["kind"], (CODE[kinds.PURCHASE], CODE[kinds.REFUND]))
    place = np.flatnonzero(mine & money)
    session = mark[place]
    place = place[block.extra[session] & (block.rows.arm[block.row[session]] == _DISCOUNT)]
    dials = schedule.setting.world.dials
    events[place] = with_coupon(
        events[place], dials.tax_rate, dials.free_shipping_from_cents, dials.shipping_fee_cents
    )
    return events


def marked(block: Block, mark: Ints) -> npt.NDArray[np.bool_]:
    """Which events belong to visits that hang on a mail."""
    return np.asarray((mark >= 0) & (mark < len(block.row)), bool)


def mail_events(
    schedule: Schedule, block: Block, converted_s: Ints, draft: Draft, rng: np.random.Generator
) -> Records:
    """Exposures, opens, responses and withdrawn consents of the mails that were sent.

    Args:
        converted_s: second of the order that each row's mail brought; -1 for none.
    """
    rows = block.rows
    n = len(rows.who)
    opens, clicks, haste = (rng.random(n) for _ in range(3))
    wait = 60 + np.minimum(rng.exponential(_OPEN_HOURS, n) * 3600, _OPENED_BY_S).astype(np.int64)
    sent, there = rows.arm >= 0, rows.piece >= 0
    converted = converted_s >= 0
    opened = sent & there & (converted | rows.withdraws | (opens < _OPENS[rows.answer]))
    # Who orders has opened before, and mostly comes by the link in the mail.
    visit_s = rows.sent_s + rows.delay_s
    opened_s = rows.sent_s + np.where(
        converted, np.minimum(wait, (haste * rows.delay_s).astype(np.int64)), wait
    )
    clicked = np.where(
        converted, clicks < _CLICKS_BEFORE_ORDER, opened & (clicks < _CLICKS[rows.answer])
    )
    clicked_s = np.where(converted, visit_s - 1, opened_s + 5 + (haste * 240).astype(np.int64))
    device = draft.pieces.device[rows.piece]
    parts = [
        _mails(block, kinds.EXPOSURE, sent, rows.sent_s, np.full(n, -1), draft),
        _mails(block, kinds.OPEN, opened, opened_s, device, draft),
        _mails(block, kinds.RESPONSE, clicked, clicked_s, device, draft),
        _mails(block, kinds.CONSENT, rows.withdraws, opened_s + 20, device, draft),
    ]
    return np.concatenate(parts)


def _mails(
    block: Block, kind: str, chosen: npt.NDArray[np.bool_], moment: Ints, device: Ints,
    draft: Draft,
) -> Records:  # fmt: skip
    place = np.flatnonzero(chosen)
    rows: Rows = block.rows
    events = np.zeros(len(place), RECORD)
    for name in ("session", "order", "item", "price", "discount", "tax", "shipping", "quantity",
                 "code", "rating", "payment", "visitor", "card", "mark"):  # fmt: skip
        events[name] = -1
    events["told"], events["source"], events["kind"] = 1, _SOURCE, CODE[kind]
    events["time_s"], events["customer"] = moment[place], rows.number[place]
    events["channel"], events["device"] = CHANNELS.index("email"), device[place]
    events["region"] = draft.people.region[rows.who[place]]
    events["action"] = actions(rows.number[place], rows.campaign[place])
    said = rows.campaign[place] * len(ARMS) + rows.arm[place]
    events["code"] = 0 if kind == kinds.CONSENT else said
    return events
