"""Every feature of the catalog once more, slowly, in plain Python: what the fold is held against.

Nothing here comes from `shoal.features`: two readings of the same sentences, one in SQL and one in
loops, must give the same numbers.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from shoal.domain.event import Event

Value = float | int | str | None
Row = dict[str, Value]

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Item:
    """What the reference knows of an item."""

    first_seen: datetime
    popularity: float
    price_rank: float | None


@dataclass(frozen=True)
class Told:
    """One row of a covariate table: what it belongs to, its values, when it could be known."""

    at: Mapping[str, object]
    values: Mapping[str, float]
    known: datetime | None = None


@dataclass(frozen=True)
class Outside:
    """A covariate table; `now_days` is how old the value now may be, None for today's alone."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Told, ...]
    now_days: int | None = None
    depth: int = 1


@dataclass(frozen=True)
class Shop:
    """The settings that change features."""

    zone: str = "UTC"
    value_event: str = "purchase"
    currency: str | None = None
    traits: tuple[str, ...] = ()
    outside: tuple[Outside, ...] = ()


def reference(events: Iterable[Event], as_of: datetime) -> dict[str, Item]:
    """Items with an event before `as_of`; guests count, facts of items are no popularity."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.event_time < as_of and event.item_id is not None:
            groups[event.item_id].append(event)
    seen = {item: sum(e.kind != "item" for e in group) for item, group in groups.items()}
    price = {
        item: statistics.fmean(prices)
        for item, group in groups.items()
        if (prices := [e.price for e in group if e.price is not None and e.price > 0])
    }
    category = {
        item: max((e.category for e in group if e.category is not None), default=None)
        for item, group in groups.items()
    }
    met = {
        item: own
        for item, group in groups.items()
        if (own := [e for e in group if e.kind != "item"])
    }
    items = {}
    for item, group in groups.items():
        rank = None
        if item in price:
            peers = [price[other] for other in price if category[other] == category[item]]
            if len(peers) > 1:
                rank = sum(peer < price[item] for peer in peers) / (len(peers) - 1)
        items[item] = Item(
            first_seen=min(e.event_time for e in met.get(item, group)),
            popularity=sum(count <= seen[item] for count in seen.values()) / len(seen),
            price_rank=rank,
        )
    return items


def features(events: Sequence[Event], as_of: datetime, shop: Shop) -> dict[str, Row]:
    """Customer -> feature -> value, of the events before `as_of`, in any order."""
    items = reference(events, as_of)
    own: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.customer_id is None or event.kind == "item" or event.event_time >= as_of:
            continue
        own[event.customer_id].append(event)
    return {
        customer: _Customer(mine, as_of, shop, items).row()
        for customer, mine in sorted(own.items())
    }


def ratio(part: float | None, whole: float | None) -> float | None:
    if part is None or whole is None or whole == 0:
        return None
    return part / whole


def mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def span_days(later: datetime, earlier: datetime | None) -> float | None:
    return None if earlier is None else (later - earlier) / DAY


def commonest(values: Iterable[str | None]) -> str | None:
    counts = Counter(value for value in values if value is not None)
    return max(counts, key=lambda value: (counts[value], value), default=None)


def latest(told: Iterable[tuple[datetime, str | None]]) -> str | None:
    return max(((when, what) for when, what in told if what is not None), default=(None, None))[1]


class _Customer:
    def __init__(
        self, events: list[Event], as_of: datetime, shop: Shop, items: Mapping[str, Item]
    ) -> None:
        self.events = events
        self.as_of = as_of
        self.shop = shop
        self.items = items
        self.value = [e for e in events if e.kind == shop.value_event]
        self.refunds = [e for e in events if e.kind == "refund"]
        self.today = self.local(as_of - MICROSECOND).date()
        orders: dict[object, list[Event]] = defaultdict(list)
        for e in self.value:
            orders[e.order_id if e.order_id is not None else e.event_time].append(e)
        self.orders = list(orders.values())
        self.order_times = [min(e.event_time for e in lines) for lines in self.orders]
        self.money_known = not self.value or any(
            e.price is not None and not self.foreign(e) for e in self.value
        )

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self.shop.zone)).replace(tzinfo=None)

    def foreign(self, e: Event) -> bool:
        main = self.shop.currency
        return main is not None and e.currency is not None and e.currency != main

    def units(self, e: Event) -> int:
        if e.quantity is not None:
            return e.quantity
        return 1 if e.price is not None else 0

    def gross(self, e: Event) -> int:
        return 0 if e.price is None or self.foreign(e) else e.price * self.units(e)

    def discount(self, e: Event) -> int:
        return 0 if self.foreign(e) else e.discount or 0

    def returned(self, e: Event) -> int:
        return abs(self.gross(e)) - self.discount(e)

    def net(self, events: Iterable[Event]) -> int:
        total = 0
        for e in events:
            if e.kind == self.shop.value_event:
                total += self.gross(e) - self.discount(e)
            elif e.kind == "refund":
                total -= self.returned(e)
        return total

    def n(self, kind: str) -> int:
        return sum(e.kind == kind for e in self.events)

    def money(self, micros: float | None) -> float | None:
        return micros / 1e6 if self.money_known and micros is not None else None

    def row(self) -> Row:
        return {
            **self.counts(), **self.times(), **self.spending(), **self.hours(),
            **self.sessions(), **self.windows(), **self.interest("category"),
            **self.interest("brand"), **self.kept_items(), **self.profile(), **self.interaction(),
            **self.covariates(),
        }  # fmt: skip

    def counts(self) -> Row:
        n, lines, views, carts = self.n, len(self.value), self.n("view"), self.n("cart_add")
        return {
            "events": len(self.events), "views": views, "clicks": n("click"), "cart_adds": carts,
            "cart_removes": n("cart_remove"), "checkouts": n("checkout"), "logins": n("login"),
            "orders": len(self.orders), "order_lines": lines,
            "units": sum(map(self.units, self.value)), "refunds": len(self.refunds),
            "foreign_lines": sum(map(self.foreign, self.value)),
            "cart_per_view": ratio(carts, views), "purchase_per_cart": ratio(lines, carts),
            "purchase_per_view": ratio(lines, views),
            "cart_remove_rate": ratio(n("cart_remove"), carts),
            "searches": n("search"), "search_share": ratio(n("search"), len(self.events)),
        }  # fmt: skip

    def times(self) -> Row:
        moments = sorted(e.event_time for e in self.events)
        ordered = sorted(set(self.order_times))
        gaps = [(b - a) / DAY for a, b in itertools.pairwise(ordered)]
        gap, std = mean(gaps), statistics.stdev(gaps) if len(gaps) > 1 else None
        since_order = span_days(self.as_of, max(ordered, default=None))
        tenure = (self.as_of - moments[0]) / DAY
        return {
            "tenure_days": tenure, "recency_days": span_days(self.as_of, moments[-1]),
            "order_recency_days": since_order,
            "active_span_days": span_days(moments[-1], moments[0]),
            "orders_per_month": len(self.orders) * 30 / max(tenure, 30),
            "order_gap_mean_days": gap, "order_gap_std_days": std,
            "order_gap_cv": ratio(std, gap), "order_overdue": ratio(since_order, gap),
        }  # fmt: skip

    def spending(self) -> Row:
        gross, off = sum(map(self.gross, self.value)), sum(map(self.discount, self.value))
        back = sum(map(self.returned, self.refunds))
        units, orders = sum(map(self.units, self.value)), len(self.orders)
        baskets = [sum(self.gross(e) - self.discount(e) for e in order) for order in self.orders]
        pieces = [sum(map(self.units, order)) for order in self.orders]
        months = max((self.as_of - min(e.event_time for e in self.events)) / DAY, 30) / 30
        net = self.money(gross - off - back)
        with_off = sum(sum(map(self.discount, order)) > 0 for order in self.orders)
        with_coupon = sum(any(e.coupon is not None for e in order) for order in self.orders)
        paid = [e.payment for e in self.value if e.payment is not None]
        return {
            "spend": net, "gross_spend": self.money(gross), "refund_amount": self.money(back),
            "spend_per_month": ratio(net, months),
            "basket_value_mean": ratio(self.money(gross - off), orders),
            "basket_value_max": self.money(max(baskets, default=None)),
            "basket_units_mean": ratio(units, orders),
            "basket_units_max": max(pieces, default=None),
            "basket_lines_mean": ratio(len(self.value), orders),
            "unit_price_mean": ratio(self.money(gross), units),
            "discount_share": ratio(off, gross), "discounted_order_share": ratio(with_off, orders),
            "coupon_share": ratio(with_coupon, orders), "refund_share": ratio(back, gross - off),
            "refund_rate": ratio(len(self.refunds), len(self.value)),
            "payment_kinds": len(set(paid)), "main_payment": commonest(paid),
            "channels": len({e.channel for e in self.events} - {None}),
            "main_channel": commonest(e.channel for e in self.events),
            "main_device": commonest(e.device for e in self.events),
        }  # fmt: skip

    def hours(self) -> Row:
        parts: Counter[str] = Counter()
        for e in self.events:
            when = self.local(e.event_time)
            parts[
                "night"
                if when.hour < 6 or when.hour >= 22
                else "morning"
                if when.hour < 12
                else "afternoon"
                if when.hour < 18
                else "evening"
            ] += 1
            parts["weekend"] += when.weekday() >= 5
        names = ("night", "morning", "afternoon", "evening", "weekend")
        return {f"{name}_share": parts[name] / len(self.events) for name in names}

    def age(self, e: Event) -> int:
        """Local days between an event and today; 0 is today."""
        return (self.today - self.local(e.event_time).date()).days

    def sessions(self) -> Row:
        visits: dict[tuple[date, str | None], list[Event]] = defaultdict(list)
        for e in self.events:
            if self.age(e) < 90:
                visits[self.local(e.event_time).date(), e.session_id].append(e)
        lengths = [
            (max(e.event_time for e in v) - min(e.event_time for e in v)) / timedelta(minutes=1)
            for v in visits.values()
        ]
        depths = [len(v) for v in visits.values()]
        bought = [any(e.kind == self.shop.value_event for e in v) for v in visits.values()]
        return {
            "sessions_90d": len(visits), "active_days_90d": len({day for day, _ in visits}),
            "session_minutes_90d": mean(lengths), "session_depth_90d": mean(depths),
            "session_depth_max_90d": max(depths, default=None),
            "buying_session_share_90d": mean(bought),
        }  # fmt: skip

    def measure(self, name: str, first_age: int, ages: int) -> float:
        """A measure over the local days of age `first_age` and `ages - 1` older ones."""
        chosen = [e for e in self.events if 0 <= self.age(e) - first_age < ages]
        if name == "spend":
            return self.net(chosen)
        if name == "orders":
            opened = (min(order, key=lambda e: e.event_time) for order in self.orders)
            return sum(0 <= self.age(e) - first_age < ages for e in opened)
        kind = {"views": "view", "searches": "search", "cart_adds": "cart_add"}.get(name)
        return sum(kind is None or e.kind == kind for e in chosen)

    def windows(self) -> Row:
        row: Row = {}
        for name in ("events", "views", "searches", "cart_adds", "orders", "spend"):
            for days in (7, 28, 90):
                value = self.measure(name, 0, days)
                row[f"{name}_{days}d"] = self.money(value) if name == "spend" else value
            for last, before in ((7, 21), (28, 62)):
                a = self.measure(name, 0, last) / last
                b = self.measure(name, last, before) / before
                if name == "spend":
                    a, b = max(a, 0), max(b, 0)
                row[f"{name}_trend_{last}d"] = ratio(a - b, a + b)
        return row

    def interest(self, what: str) -> Row:
        def key(e: Event) -> str | None:
            if what == "brand":
                return e.brand
            return None if e.category is None else e.category.split("/")[0]

        plural = {"category": "categories", "brand": "brands"}[what]
        keys = [k for e in self.events if (k := key(e)) is not None]
        bought = Counter(k for e in self.value if (k := key(e)) is not None)
        shares = [count / len(keys) for count in Counter(keys).values()]
        return {
            f"top_{what}": commonest(keys), f"top_{what}_share": max(shares, default=None),
            f"{what}_entropy": -sum(p * math.log(p) for p in shares) if shares else None,
            plural: len(shares), f"{plural}_bought": len(bought),
            f"bought_{what}_share": ratio(max(bought.values(), default=None), bought.total()),
        }  # fmt: skip

    def kept_items(self) -> Row:
        firsts: dict[str, datetime] = {}
        for e in self.events:
            kept = e.kind in ("cart_add", "favourite", self.shop.value_event)
            if kept and e.item_id is not None:
                firsts[e.item_id] = min(firsts.get(e.item_id, e.event_time), e.event_time)
        bought = Counter(e.item_id for e in self.value if e.item_id is not None)
        again = sum(count > 1 for count in bought.values())
        rank = {item: self.items[item].price_rank for item in firsts}
        return {
            "items_kept": len(firsts), "items_bought": len(bought),
            "repeat_item_share": ratio(again, len(bought)),
            "repeat_line_share": ratio(bought.total() - len(bought), bought.total()),
            "item_age_days": mean(
                [(when - self.items[item].first_seen) / DAY for item, when in firsts.items()]
            ),
            "item_popularity": mean([self.items[item].popularity for item in firsts]),
            "price_level": mean([r for r in rank.values() if r is not None]),
            "price_level_bought": mean([r for i in bought if (r := rank[i]) is not None]),
        }  # fmt: skip

    def profile(self) -> Row:
        signed = [e.event_time for e in self.events if e.kind == "sign_up"]
        told = [
            (e.event_time, json.loads(e.properties))
            for e in self.events
            if e.kind == "profile" and e.properties is not None
        ]
        return {
            "country": latest((e.event_time, e.country) for e in self.events),
            "region": latest((e.event_time, e.region) for e in self.events),
            "sign_up_days": span_days(self.as_of, min(signed, default=None)),
            "profile_updates": self.n("profile"),
            **{
                f"trait_{name}": latest(
                    (when, None if (v := known.get(name)) is None else str(v))
                    for when, known in told
                )
                for name in self.shop.traits
            },
        }  # fmt: skip

    def interaction(self) -> Row:
        n = self.n
        ratings = [e.rating for e in self.events if e.rating is not None]
        return {
            "reviews": n("review"), "shares": n("share"), "favourites": n("favourite"),
            "referrals": n("refer"), "surveys": n("survey"), "exposures": n("exposure"),
            "opens": n("open"), "responses": n("response"), "rating_mean": mean(ratings),
            "review_rate": ratio(n("review"), len(self.value)),
            "favourite_share": ratio(n("favourite"), len(self.events)),
            "open_rate": ratio(n("open"), n("exposure")),
            "response_rate": ratio(n("response"), n("exposure")),
        }  # fmt: skip

    def covariates(self) -> Row:
        row: Row = {}
        for table in self.shop.outside:
            known = [told for told in table.rows if told.known is None or told.known <= self.as_of]
            for column in table.columns:
                name = f"{table.name}_{column}"
                row[f"{name}_mean"] = mean(self.met(table, known, self.events, column))
                row[f"{name}_at_orders"] = mean(self.met(table, known, self.value, column))
                if known and not {"category", "item_id"} & set(known[0].at):
                    row[f"{name}_now"] = self.now(table, known, column)
        return row

    def met(
        self, table: Outside, known: Sequence[Told], events: Sequence[Event], column: str
    ) -> list[float]:
        """The values of a column that events met."""
        found = []
        for e in events:
            path = None if e.category is None else e.category.split("/")
            short = path is None or len(path) < table.depth or "" in path[: table.depth]
            own = {
                "date": self.local(e.event_time).date(), "country": e.country, "region": e.region,
                "item_id": e.item_id,
                "category": None if short else "/".join(path[: table.depth]),
            }  # fmt: skip
            found += [
                told.values[column]
                for told in known
                if column in told.values and all(own[key] == at for key, at in told.at.items())
            ]
        return found

    def now(self, table: Outside, known: Sequence[Told], column: str) -> float | None:
        """The latest value known for today, or for some days before, where the customer was."""
        place = {key: self.profile()[key] for key in ("country", "region")}
        days = {
            told.at.get("date", self.today): told.values[column]
            for told in known
            if column in told.values
            and all(told.at[key] == place[key] for key in place if key in told.at)
        }
        for age in range((table.now_days or 0) + 1):
            day = self.today - timedelta(days=age)
            if day in days:
                return days[day]
        return None
