"""What happens in a session, and after it: search, view, cart, order, refund, review.

Each session has numbered *slots*, one item each. The first `views` slots are looked at, the first
`added` put in the cart, the first `lines` of those bought; the next `removed` are taken out again.
A kind of event is a mask over the slots, so everything is a few array operations a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shoal.domain import kinds
from shoal.events.worlds.base import World
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import DAY_S, Customers
from shoal.events.worlds.sessions import Sessions

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: One event in compact form: codes instead of texts, cents instead of amounts, -1 for null.
#: `step` is the place among the customer's events; `code` is the query (search), coupon (purchase),
#: text (review) or traits (profile). `visitor` numbers the device seen (its anonymous id), `action`
#: what of ours it answers, `card` what a purchase was paid with; `told` is 0 where the event does
#: not say who the customer is. `blank` has a bit a column of `BLANKS` that the event lacks by a
#: fault; `mark` is its session's and is not written.
RECORD = np.dtype(
    [
        ("time_s", "<i8"), ("customer", "<i8"), ("session", "<i8"), ("order", "<i8"),
        ("item", "<i4"), ("price", "<i4"), ("discount", "<i4"), ("tax", "<i4"), ("shipping", "<i4"),
        ("step", "<i4"), ("quantity", "<i2"), ("code", "<i2"), ("kind", "i1"), ("rating", "i1"),
        ("channel", "i1"), ("device", "i1"), ("region", "i1"), ("payment", "i1"),
        ("visitor", "<i8"), ("action", "<i8"), ("card", "<i8"), ("mark", "<i8"), ("blank", "<i2"),
        ("source", "i1"), ("told", "i1"),
    ]
)  # fmt: skip
#: Columns that can be blank, in the order of their bits.
BLANKS = (
    "item_id", "category", "brand", "price", "currency", "quantity", "query", "session_id",
    "order_id", "channel", "device",
)  # fmt: skip
CODE = {name: place for place, name in enumerate(kinds.KINDS)}

#: Share off the list price of a discounted line, and whether a coupon gave it: code = coupon - 1.
PROMOTIONS = np.array([0.10, 0.15, 0.20, 0.30, 0.40])
_PROMOTION_WEIGHTS = np.array([0.25, 0.2, 0.3, 0.15, 0.1])
#: During a sale the odds that an order has a promotion are so many times those of other days.
_SALE_ODDS = 4.0

#: Changes what happens in visits, before orders are priced.
Shaper = Callable[[npt.NDArray[np.void]], npt.NDArray[np.void]]


@dataclass(frozen=True)
class Slots:
    """One entry a slot: `session` an index into the block's sessions, `place` 0.. inside it."""

    session: Ints
    place: Ints
    item: Ints


def draw_events(
    world: World, catalogue: Catalogue, customers: Customers, sessions: Sessions,
    first_session: int, span_days: int, rng: np.random.Generator,
    shapers: Sequence[Shaper] = (),
) -> npt.NDArray[np.void]:  # fmt: skip
    """All events of a block's sessions as `RECORD` rows, ordered by customer and time.

    Sessions are numbered from `first_session`; an order has the number of its session.

    Args:
        shapers: change what happens in the visits before orders are priced; rows ordered by
            session, whose `session` and `order` are still places in `sessions`.
    """
    slots = _draw_slots(world, catalogue, customers, sessions, span_days, rng)
    during = _during(catalogue, customers, sessions, slots, rng)
    for shape in shapers:
        during = shape(during)
    _price_orders(world, customers, sessions, during, rng)
    later = _afterwards(customers, catalogue, sessions, during, rng)
    rows = np.concatenate((during, later))
    who = customers.take(sessions.customer[rows["session"]])
    rows["customer"] = who.number
    rows["region"] = who.region
    rows["channel"] = sessions.channel[rows["session"]]
    rows["device"] = sessions.device[rows["session"]]
    rows["mark"] = sessions.mark[rows["session"]]
    visit = rows["step"] >= 0
    rows["session"] = np.where(visit, rows["session"] + first_session, -1)
    rows["order"] = np.where(rows["order"] >= 0, rows["order"] + first_session, -1)
    return in_order(rows, span_days)


def in_order(rows: npt.NDArray[np.void], span_days: int) -> npt.NDArray[np.void]:
    """The events within the log, ordered by customer and time (ties keep their order)."""
    end = span_days * DAY_S
    if len(rows) and rows["time_s"].max() >= end:
        rows = rows[rows["time_s"] < end]
    key = rows["customer"] * end + rows["time_s"]
    if np.any(key[1:] < key[:-1]):
        rows = rows[np.argsort(key, kind="stable")]
    rows["step"] = np.arange(len(rows))
    return rows


def _draw_slots(
    world: World, catalogue: Catalogue, customers: Customers, sessions: Sessions, span_days: int,
    rng: np.random.Generator,
) -> Slots:  # fmt: skip
    """Items of every slot: category by taste, price by the customer's level, brand by habit."""
    count = np.maximum(sessions.views, sessions.added)
    session = np.repeat(np.arange(len(count)), count)
    place = np.arange(len(session)) - np.repeat(np.cumsum(count) - count, count)
    who = sessions.customer[session]
    n = len(session)
    other = (rng.random(n)[:, None] >= np.cumsum(customers.tastes, axis=1)[:, :-1][who]).sum(axis=1)
    top = np.where(rng.random(n) < world.dials.focus, sessions.focus[session], other)
    quantile = customers.price_level[who] + 0.16 * rng.standard_normal(n)
    quantile = np.abs(quantile)
    quantile = np.clip(np.where(quantile >= 1, 2 - quantile, quantile), 0.0, 1 - 1e-9)
    by_leaf = catalogue.by_leaf.draw(catalogue.leaf_shelf.draw(top, rng.random(n)), quantile)
    # A loyal customer has one brand a category, found from their number.
    brands = len(catalogue.brand_names) // customers.tastes.shape[1]
    habit = top * brands + (customers.number[who] * 2654435761 + top * 40503) % 1_000_003 % brands
    loyal = rng.random(n) < customers.brand_loyalty[who]
    item = np.where(loyal, catalogue.by_brand.draw(habit, quantile), by_leaf)
    # What has not arrived yet cannot be met: an item like it stands in its place.
    early = catalogue.arrives[item] * (span_days * DAY_S) > sessions.start_s[session]
    item = np.where(early, catalogue.stand_in[item], item)
    return Slots(session=session, place=place, item=item)


def _during(
    catalogue: Catalogue, customers: Customers, sessions: Sessions, slots: Slots,
    rng: np.random.Generator,
) -> npt.NDArray[np.void]:  # fmt: skip
    """Events inside sessions, ordered by session and time, without money of orders."""
    s, place, n = slots.session, slots.place, len(slots.session)
    lines, added = sessions.lines[s], sessions.added[s]
    once = sessions.one_off[s]
    who = sessions.customer[s]
    viewed = place < sessions.views[s]
    last_add = sessions.lines + sessions.removed
    every = np.arange(len(sessions.customer))
    none = np.full(len(every), -1)
    searched = viewed & (place > 0) & (rng.random(n) < 0.3 * customers.search[who]) & ~once
    clicked = viewed & (rng.random(n) < customers.click[who]) & ~once
    liked = viewed & (rng.random(n) < customers.favourite[who]) & ~once
    shared = viewed & (rng.random(n) < 0.008) & ~once
    pay = (sessions.lines > 0) & ~sessions.one_off
    refers = (sessions.lines > 0) & ~sessions.one_off & (rng.random(len(every)) < 0.03)
    # kind, mask or index, session, item, place in the session (slots take ten ticks each)
    from_session = [
        (kinds.SIGN_UP, sessions.sign_up, -900), (kinds.PROFILE, sessions.profile, -800),
        (kinds.LOGIN, sessions.login, -700),
        (kinds.SEARCH, sessions.search & ~sessions.late, -600),
        (kinds.SEARCH, sessions.search & sessions.late, 890_000),
        (kinds.CHECKOUT, pay | sessions.checkout, 900_000), (kinds.REFER, refers, 900_002),
    ]  # fmt: skip
    from_slots = [
        (kinds.SEARCH, searched, 0), (kinds.CLICK, clicked, 1), (kinds.VIEW, viewed, 2),
        (kinds.FAVOURITE, liked, 3), (kinds.SHARE, shared, 4),
        (kinds.CART_ADD, place < added, 5),
        (kinds.CART_REMOVE, (place >= lines) & (place < last_add[s]), 6),
    ]  # fmt: skip
    parts = [_rows(kind, every[mask], none[mask], tick) for kind, mask, tick in from_session]
    parts += [
        _rows(kind, s[mask], slots.item[mask], place[mask] * 10 + tick)
        for kind, mask, tick in from_slots
    ]
    bought = place < lines
    parts.append(_rows(kinds.PURCHASE, s[bought], slots.item[bought], 900_001))
    rows = np.concatenate(parts)
    rows = rows[np.argsort(rows["session"] * 1_000_000 + rows["step"] + 1_000, kind="stable")]
    _set_times(sessions, rows, rng)
    _set_details(catalogue, customers, sessions, rows, slots, rng)
    return rows


def _rows(kind: str, session: Ints, item: Ints, tick: Ints | int) -> npt.NDArray[np.void]:
    rows = np.zeros(len(session), RECORD)
    for name in ("price", "discount", "tax", "shipping", "quantity", "code", "rating", "payment",
                 "visitor", "action", "card"):  # fmt: skip
        rows[name] = -1
    rows["order"], rows["told"] = -1, 1
    rows["kind"], rows["session"], rows["item"], rows["step"] = CODE[kind], session, item, tick
    return rows


def _set_times(sessions: Sessions, rows: npt.NDArray[np.void], rng: np.random.Generator) -> None:
    """Whole seconds, growing inside a session; the lines of one order share one moment."""
    session = rows["session"]
    first = np.append(True, session[1:] != session[:-1])
    line = rows["kind"] == CODE[kinds.PURCHASE]
    same = np.append(False, line[1:] & line[:-1]) & ~first
    gap = np.minimum(rng.exponential(35.0, len(rows)), 900.0).astype(np.int64) + 1
    gap[first | same] = 0
    total = np.cumsum(gap)
    rows["time_s"] = sessions.start_s[session] + total - total[first][np.cumsum(first) - 1]
    rows["step"] = 0


def _set_details(
    catalogue: Catalogue, customers: Customers, sessions: Sessions, rows: npt.NDArray[np.void],
    slots: Slots, rng: np.random.Generator,
) -> None:  # fmt: skip
    """List prices, quantities, search texts and traits."""
    kind, item, session = rows["kind"], rows["item"].astype(np.int64), rows["session"]
    who = sessions.customer[session]
    about_item = item >= 0
    rows["price"] = np.where(about_item, catalogue.price_cents[np.maximum(item, 0)], -1)
    # The quantity of a slot's cart event and of its order line agree: drawn from session and item.
    mixed = (session * 1_000_003 + item) * 2654435761 % 4_294_967_296 / 4_294_967_296
    extra = np.maximum(customers.units[who] - 1, 1e-3)
    units = 1 + np.log1p(-mixed) // np.log(extra / (1 + extra))
    carried = np.isin(kind, [CODE[k] for k in (kinds.CART_ADD, kinds.CART_REMOVE, kinds.PURCHASE)])
    rows["quantity"] = np.where(carried, np.minimum(units, 24), -1)
    bought = kind == CODE[kinds.PURCHASE]
    rows["order"] = np.where(bought | (kind == CODE[kinds.CHECKOUT]), session, -1)
    rows["order"][(kind == CODE[kinds.CHECKOUT]) & (sessions.lines[session] == 0)] = -1
    searching = kind == CODE[kinds.SEARCH]
    traits = customers.age_group[who] * 2 + customers.newsletter[who]
    query = _queries(catalogue, customers, sessions, rows, slots, rng)
    rows["code"] = np.where(searching, query, -1)
    rows["code"] = np.where(kind == CODE[kinds.PROFILE], traits, rows["code"])
    rows["item"][searching] = -1
    rows["price"][searching] = -1


def _queries(
    catalogue: Catalogue, customers: Customers, sessions: Sessions, rows: npt.NDArray[np.void],
    slots: Slots, rng: np.random.Generator,
) -> Ints:  # fmt: skip
    """Codes of search texts: the leaf of the item met next, else of the session's category."""
    session, n = rows["session"], len(rows)
    opening = np.full(len(sessions.customer), -1, np.int64)
    opening[slots.session[slots.place == 0]] = slots.item[slots.place == 0]
    item = np.where(rows["item"] >= 0, rows["item"], opening[session])
    wished = catalogue.leaf_shelf.draw(sessions.focus[session], rng.random(n))
    leaf = np.where(item >= 0, catalogue.leaf[np.maximum(item, 0)], wished)
    wording = np.where(rng.random(n) < 0.12, 2, 0)
    cheap = rng.random(n) < customers.discount[sessions.customer[session]] * 0.5
    return np.asarray(leaf * 3 + np.where(cheap & (wording == 0), 1, wording))


def _price_orders(
    world: World, customers: Customers, sessions: Sessions, rows: npt.NDArray[np.void],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Discount, tax, shipping, coupon and payment of the order lines, in place."""
    dials = world.dials
    place = np.flatnonzero(rows["kind"] == CODE[kinds.PURCHASE])
    lines = rows[place]
    who = sessions.customer[lines["session"]]
    first = np.append(True, lines["session"][1:] != lines["session"][:-1])[: len(lines)]
    order = np.cumsum(first) - 1
    # A promotion belongs to the order; most of its lines take part.
    odds = customers.discount[who] / (1 - customers.discount[who])
    odds = odds * np.where(sessions.sale[lines["session"]], _SALE_ODDS, 1.0)
    promoted = (rng.random(len(lines)) < odds / (1 + odds))[first][order]
    promotion = rng.choice(len(PROMOTIONS), len(lines), p=_PROMOTION_WEIGHTS)[first][order]
    coupon = promoted & (rng.random(len(lines)) < customers.coupon[who])[first][order]
    taking_part = promoted & (coupon | (rng.random(len(lines)) < 0.8))
    gross = lines["price"].astype(np.int64) * lines["quantity"]
    discount = np.where(taking_part, np.rint(gross * PROMOTIONS[promotion]), 0).astype(np.int64)
    net = gross - discount
    total = np.bincount(order, weights=net)[order] if len(order) else net
    lines["discount"] = discount
    lines["tax"] = np.rint(net * dials.tax_rate)
    fee = np.where(total < dials.free_shipping_from_cents, dials.shipping_fee_cents, 0)
    lines["shipping"] = np.where(first, fee, 0)
    lines["code"] = np.where(coupon, promotion, -1)
    lines["payment"] = customers.payment[who]
    rows[place] = lines


def _afterwards(
    customers: Customers, catalogue: Catalogue, sessions: Sessions, rows: npt.NDArray[np.void],
    rng: np.random.Generator,
) -> npt.NDArray[np.void]:  # fmt: skip
    """Refunds and reviews of order lines, days later and outside any session (`step` -1)."""
    lines = rows[(rows["kind"] == CODE[kinds.PURCHASE]) & ~sessions.one_off[rows["session"]]]
    who = sessions.customer[lines["session"]]
    returned = rng.random(len(lines)) < customers.refund[who]
    refunds = lines[returned].copy()
    refunds["kind"], refunds["code"], refunds["step"] = CODE[kinds.REFUND], -1, -1
    refunds["time_s"] += rng.integers(3 * DAY_S, 21 * DAY_S, len(refunds))
    refunds["shipping"] = -1
    reviewed = rng.random(len(lines)) < customers.review[who]
    reviews = lines[reviewed].copy()
    reviews["kind"], reviews["step"], reviews["order"] = CODE[kinds.REVIEW], -1, -1
    reviews["time_s"] += rng.integers(2 * DAY_S, 25 * DAY_S, len(reviews))
    for name in ("discount", "tax", "shipping", "quantity", "payment", "price"):
        reviews[name] = -1
    liking = customers.rating[who[reviewed]] + catalogue.quality[reviews["item"]]
    liking = liking - 0.8 * returned[reviewed] + 0.6 * rng.standard_normal(len(reviews))
    reviews["rating"] = np.clip(np.rint(liking), 1, 5)
    reviews["code"] = (reviews["rating"] - 1) * 2 + rng.integers(0, 2, len(reviews))
    return np.concatenate((refunds, reviews))
