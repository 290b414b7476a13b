"""Rules as one SQL statement over the canonical columns of a deduplicated `events` table.

Its `events` are those that count: persons joined, noise left out, amounts in the shop's currency,
money in micro-units. Moments, days, texts and numbers are literal. It is written once, as DuckDB
reads it, and generated for a dialect by sqlglot. What such a table does not tell (features that
are no count of events, traits, other segments, the shop's local hours) has no SQL and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.domain.time import DAY_US, Zone, from_us, iso, to_us
from shoal.features.queries import Rules
from shoal.segments.ruled.batch import asked, unread
from shoal.segments.ruled.comparison import Condition, IsKnown, condition, scale_of
from shoal.segments.ruled.document import REST
from shoal.segments.ruled.known import suggestion
from shoal.segments.ruled.language import (
    AGES,
    EVERY,
    LATEST,
    VALUE,
    All,
    AnyOf,
    AtLeast,
    Compare,
    Events,
    Feature,
    Named,
    Not,
    Rule,
    RuleSet,
    Sets,
    Step,
    Where,
    Window,
    leaves,
)
from shoal.segments.ruled.language import Sequence as Chain
from shoal.segments.ruled.measured import condition_of, day_number, kinds_of
from shoal.segments.ruled.sql_parts import FIELDS, compared, field_sql, moment_sql, text_sql

DIALECTS: Final = ("duckdb", "bigquery", "snowflake", "spark")

_ORDER: Final = "event_time{0}, COALESCE(sequence, 0){0}, COALESCE(event_id, ''){0}, source{0}"
_MICROSECOND: Final = timedelta(microseconds=1)

_COUNTED: Final[Mapping[str, str]] = {
    "views": kinds.VIEW, "clicks": kinds.CLICK, "cart_adds": kinds.CART_ADD,
    "cart_removes": kinds.CART_REMOVE, "checkouts": kinds.CHECKOUT, "logins": kinds.LOGIN,
    "refunds": kinds.REFUND, "reviews": kinds.REVIEW, "shares": kinds.SHARE,
    "favourites": kinds.FAVOURITE, "referrals": kinds.REFER, "surveys": kinds.SURVEY,
    "exposures": kinds.EXPOSURE, "opens": kinds.OPEN, "responses": kinds.RESPONSE,
    "searches": kinds.SEARCH, "profile_updates": kinds.PROFILE,
}  # fmt: skip
_WINDOWED: Final[Mapping[str, str]] = {
    "events": EVERY, "views": kinds.VIEW, "searches": kinds.SEARCH, "cart_adds": kinds.CART_ADD,
}  # fmt: skip

#: Features of the catalog that are a measure of events, to the last digit.
EQUIVALENTS: Final[Mapping[str, Events]] = {
    "events": Events(),
    "orders": Events((VALUE,), measure="orders"),
    "recency_days": Events(measure="days_since_last"),
    "tenure_days": Events(measure="days_since_first"),
    "sign_up_days": Events((kinds.SIGN_UP,), measure="days_since_first"),
    **{name: Events((kind,)) for name, kind in _COUNTED.items()},
    **{
        f"{name}_{days}d": Events((kind,), window=Window(last_days=days))
        for name, kind in _WINDOWED.items()
        for days in (7, 28, 90)
    },
}


def rules_sql(
    rules: RuleSet,
    shop: Rules,
    *,
    as_of: datetime,
    zone: Zone,
    dialect: str = "duckdb",
    segment: str | None = None,
) -> str:
    """SQL whose rows are `customer_id` and `segment_id` of everybody, in order.

    Args:
        rules: read from a file, or `checked`.
        shop: what the shop settles about its events.
        as_of: T; only events before it count.
        zone: the shop's, for the days of windows.
        dialect: one of `DIALECTS`.
        segment: only the `customer_id` of its members.

    Raises:
        UsageError: `unknown_dialect`, `unknown_segment`; `no_sql_form`, with the clause that has
            none.
    """
    if dialect not in DIALECTS:
        raise UsageError(
            "unknown_dialect", f"no SQL dialect {dialect!r}", where=dialect,
            hint=f"Dialects: {', '.join(DIALECTS)}.",
        )  # fmt: skip
    ids = (*rules.rules, REST)
    if segment is not None and segment not in ids:
        raise UsageError(
            "unknown_segment", f"the rules have no segment {segment!r}", where=segment,
            hint=suggestion(segment, ids),
        )  # fmt: skip
    statement = _Statement(shop, as_of, zone, rules)
    text = statement.text(segment)
    what = f"Segment {segment}" if segment else "Segments"
    head = [
        f"{what} by rules, customers as of {iso(as_of)}.",
        "events: one row an event (deduplicated, persons joined, no noise), canonical columns,",
        "money in micro-units.",
    ]
    return "\n".join([*(f"-- {line}" for line in head), _generated(text, dialect), ""])


def _generated(text: str, dialect: str) -> str:
    """The statement in a dialect; microseconds of a moment are named differently in each."""
    import sqlglot
    from sqlglot import exp

    names: dict[str, Callable[[exp.Expression], exp.Expression]] = {
        "bigquery": lambda one: exp.Anonymous(this="UNIX_MICROS", expressions=[one]),
        "spark": lambda one: exp.Anonymous(this="UNIX_MICROS", expressions=[one]),
        "snowflake": lambda one: exp.Anonymous(
            this="DATE_PART", expressions=[exp.var("EPOCH_MICROSECOND"), one]
        ),
    }

    def micros(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Anonymous) and node.name.upper() == "SHOAL_MICROS":
            inner = node.expressions[0]
            if dialect in names:
                return names[dialect](inner)
            return exp.Anonymous(this="EPOCH_US", expressions=[inner])
        return node

    tree = sqlglot.parse_one(text, read="duckdb").transform(micros)
    return tree.sql(dialect, pretty=True)


class _Statement:
    """One statement, part by part."""

    def __init__(self, shop: Rules, as_of: datetime, zone: Zone, rules: RuleSet) -> None:
        self.shop, self.as_of, self.zone, self.rules = shop, as_of, zone, rules
        self.today = zone.local_day(as_of - _MICROSECOND)
        things = dict.fromkeys(self._events_of(leaf) for leaf in leaves(*rules.rules.values()))
        self.names = {thing: f"v{place}" for place, thing in enumerate(things)}
        self.fields: dict[str, None] = {}

    def text(self, segment: str | None) -> str:
        summed = {
            thing: name
            for thing, name in self.names.items()
            if isinstance(thing, Events) and thing.measure != LATEST
        }
        values = [f"{self._measure(thing)} AS {name}" for thing, name in summed.items()]
        own = ["customer_id", *values]
        parts = [f"measured AS (SELECT {', '.join(own)} FROM lines GROUP BY customer_id)"]
        joins, told = [], []
        for thing, name in self.names.items():
            if thing in summed:
                told.append(f"measured.{name}")
                continue
            parts += self._chain(thing, name) if isinstance(thing, Chain) else [
                self._latest(thing, name)
            ]  # fmt: skip
            found = f"{name}_found"
            joins.append(f"LEFT JOIN {found} ON measured.customer_id = {found}.customer_id")
            told.append(f"{found}.{name}")
        known = ", ".join(["measured.customer_id", *told])
        parts.append(f"known AS (SELECT {known} FROM measured {' '.join(joins)})")
        parts.append(f"flags AS (SELECT customer_id, {self._flags()} FROM known)")
        return f"WITH {self._lines()}, {', '.join(parts)} {self._answer(segment)}"

    def _lines(self) -> str:
        """The events that count, with the fields that are asked for; last, when they are known."""
        fields = [f"{field_sql(name, self.shop)} AS f_{name}" for name in self.fields]
        columns = ", ".join(
            ["customer_id", "kind", "event_time", "sequence", "event_id", "source", "order_id",
             "item_id", *fields]
        )  # fmt: skip
        once = ""
        if self.shop.order_sources:
            sources = ", ".join(map(text_sql, self.shop.order_sources))
            money = f"{text_sql(kinds.PURCHASE)}, {text_sql(kinds.REFUND)}"
            once = f" AND (kind NOT IN ({money}) OR source IN ({sources}))"
        return (
            f"lines AS (SELECT {columns} FROM events WHERE customer_id IS NOT NULL "
            f"AND kind <> {text_sql(kinds.ITEM)} AND event_time < {moment_sql(self.as_of)}{once})"
        )

    def _flags(self) -> str:
        return ", ".join(
            f"CASE WHEN {self._truth(one.rule)} THEN 1 ELSE 0 END AS r{place}"
            for place, one in enumerate(self.rules.segments)
        )

    def _answer(self, segment: str | None) -> str:
        ids = list(self.rules.rules)
        none = " AND ".join(f"r{place} = 0" for place in range(len(ids)))
        if segment is not None:
            if segment == REST:
                where = none
            else:
                place = ids.index(segment)
                before = [] if self.rules.overlap else [f"r{n} = 0" for n in range(place)]
                where = " AND ".join([*before, f"r{place} = 1"])
            return f"SELECT customer_id FROM flags WHERE {where} ORDER BY customer_id"
        if self.rules.overlap:
            where = [(one, f"r{place} = 1") for place, one in enumerate(ids)] + [(REST, none)]
            rows = [
                f"SELECT customer_id, {text_sql(one)} AS segment_id FROM flags WHERE {held}"
                for one, held in where
            ]
            return f"{' UNION ALL '.join(rows)} ORDER BY customer_id, segment_id"
        cases = " ".join(f"WHEN r{n} = 1 THEN {text_sql(one)}" for n, one in enumerate(ids))
        return (
            f"SELECT customer_id, CASE {cases} ELSE {text_sql(REST)} END AS segment_id FROM flags "
            "ORDER BY customer_id"
        )

    # -- truth -------------------------------------------------------------------------------------

    def _truth(self, rule: Rule) -> str:
        """A condition over `known` that is never null."""
        match rule:
            case Compare():
                return self._compare(rule)
            case Chain():
                return f"{self.names[rule]} IS NOT NULL"
            case Not(clause):
                return f"NOT ({self._truth(clause)})"
            case Named(rule_id, target):
                if target is None:
                    raise unread(rule_id)
                return self._truth(target)
            case AtLeast(count, members):
                ones = (f"CASE WHEN {self._truth(one)} THEN 1 ELSE 0 END" for one in members)
                return f"({' + '.join(ones)}) >= {count}"
            case All(members) | Sets("intersect", members):
                return self._joined(members, "AND")
            case AnyOf(members) | Sets("union", members):
                return self._joined(members, "OR")
            case Sets("except", members):
                first, others = self._truth(members[0]), self._joined(members[1:], "OR")
                return f"({first}) AND NOT ({others})"
        raise TypeError(f"{rule!r} is no clause")

    def _joined(self, members: tuple[Rule, ...], word: str) -> str:
        """Pair by pair, so that no parser meets a thousand of them within each other."""
        told = [f"({self._truth(one)})" for one in members]
        while len(told) > 1:
            pairs = [told[n : n + 2] for n in range(0, len(told), 2)]
            told = [f"({f' {word} '.join(pair)})" for pair in pairs]
        return told[0]

    def _compare(self, rule: Compare) -> str:
        thing = self._events_of(rule)
        assert isinstance(thing, Events)
        scale = scale_of(thing)
        if thing.measure == LATEST:
            found = condition_of(Where(thing.of, rule.test))
        else:
            found = condition(rule.test, scale)
        name = self.names[thing]
        nullable = thing.measure in (*AGES, "min", "max", LATEST)
        if thing.measure in AGES:
            return compared(name, found, self._moment_before, nullable=True, turned=True)
        return compared(name, found, _number, nullable=nullable)

    def _moment_before(self, us: Any) -> str:
        return moment_sql(from_us(to_us(self.as_of) - int(us)))

    def _events_of(self, leaf: Compare | Chain) -> Events | Chain:
        """What a leaf measures of events.

        Raises:
            UsageError: `no_sql_form`.
        """
        thing = asked(leaf)
        if isinstance(thing, Feature) and thing.name in EQUIVALENTS:
            thing = EQUIVALENTS[thing.name]
        if not isinstance(thing, Events | Chain):
            name = getattr(thing, "name", "") or getattr(thing, "segment_id", "")
            what = type(thing).__name__.lower().replace("member", "segment")
            raise no_sql(
                f"{what} {name}",
                "An events table does not tell it. Ask for events instead, such as "
                '{"events": "value", "measure": "days_since_last", ...}, or export the members as '
                f"csv or parquet. Features with SQL: {', '.join(EQUIVALENTS)}.",
            )
        steps = thing.steps if isinstance(thing, Chain) else (thing,)
        names = {one.field for step in steps for one in step.where}
        names |= {thing.same} if isinstance(thing, Chain) else {thing.of}
        for name in sorted(names - {""}):
            if name not in FIELDS:
                raise no_sql(
                    f"field {name}", "Local hours, weekdays and properties are told differently "
                    "from engine to engine. Leave it out, or export csv or parquet.",
                )  # fmt: skip
        if isinstance(thing, Events) and thing.measure == "days":
            raise no_sql("measure days", "Count events or orders, or export csv or parquet.")
        return thing

    # -- values ------------------------------------------------------------------------------------

    def _measure(self, one: Events) -> str:
        here = self._matches(one.kinds, one.where, one.window)
        match one.measure:
            case "count":
                return f"SUM(CASE WHEN {here} THEN 1 ELSE 0 END)"
            case "orders":
                return (
                    f"COUNT(DISTINCT CASE WHEN {here} THEN order_id END) + COUNT(DISTINCT "
                    f"CASE WHEN {here} AND order_id IS NULL THEN event_time END)"
                )
            case "items":
                return f"COUNT(DISTINCT CASE WHEN {here} THEN item_id END)"
            case "days_since_first":
                return f"MIN(CASE WHEN {here} THEN event_time END)"
            case "days_since_last":
                return f"MAX(CASE WHEN {here} THEN event_time END)"
            case "sum":
                return f"SUM(CASE WHEN {here} THEN COALESCE({self._field(one.of)}, 0) ELSE 0 END)"
        return f"{one.measure.upper()}(CASE WHEN {here} THEN {self._field(one.of)} END)"

    def _latest(self, one: Events, name: str) -> str:
        value = self._field(one.of)
        here = self._matches(one.kinds, one.where, one.window)
        rows = (
            f"SELECT customer_id, {value} AS {name}, ROW_NUMBER() OVER (PARTITION BY customer_id "
            f"ORDER BY {_ORDER.format(' DESC')}) AS place FROM lines "
            f"WHERE {here} AND {value} IS NOT NULL"
        )
        return f"{name}_found AS (SELECT customer_id, {name} FROM ({rows}) AS r WHERE place = 1)"

    def _chain(self, chain: Chain, name: str) -> list[str]:
        """A table a step: its events, and whether the sequence reached them."""
        by = ["customer_id"] + ([self._field(chain.same)] if chain.same else [])
        whole = [self._step(step, Window()) for step in chain.steps]
        some = " OR ".join(f"({one})" for one in whole)
        same = f" AND {by[-1]} IS NOT NULL" if chain.same else ""
        ones = [f"CASE WHEN {one} THEN 1 ELSE 0 END" for one in whole]
        steps = ", ".join(f"{one} AS s{n}" for n, one in enumerate(ones))
        first = self._step(chain.steps[0], chain.window)
        keys = ", ".join([*by, "event_time", "sequence", "event_id", "source"])
        reached = f"CASE WHEN {first} THEN 1 ELSE 0 END AS reached"
        us = "SHOAL_MICROS(event_time) AS us"
        parts = [
            f"{name}_0 AS (SELECT {keys}, {us}, {steps}, {reached} FROM lines WHERE ({some}){same})"
        ]
        passed = ", ".join(f"s{n}" for n in range(len(whole)))
        over = f"OVER (PARTITION BY {', '.join(by)} ORDER BY {_ORDER.format('')}"
        for n, step in enumerate(chain.steps[1:], start=1):
            now = f"CASE WHEN {self._reached(step, f's{n}')} THEN 1 ELSE 0 END AS reached"
            looked = self._looked(step, n, f"{keys}, us, {passed}, reached", over, name)
            parts.append(f"{name}_{n} AS (SELECT {keys}, us, {passed}, {now} FROM ({looked}) AS r)")
        last = len(whole) - 1
        parts.append(
            f"{name}_found AS (SELECT DISTINCT customer_id, 1 AS {name} FROM {name}_{last} "
            "WHERE reached = 1)"
        )
        return parts

    @staticmethod
    def _looked(step: Step, n: int, keys: str, over: str, name: str) -> str:
        if step.absent:
            rows = "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)"
            value = f"MIN(CASE WHEN s{n} = 1 THEN us END) {over} {rows}"
        else:
            rows = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
            value = f"MAX(CASE WHEN reached = 1 THEN us END) {over} {rows}"
        return f"SELECT {keys}, {value} AS other_us FROM {name}_{n - 1}"

    def _reached(self, step: Step, here: str) -> str:
        span = None if step.within_days is None else round(step.within_days * DAY_US)
        if not step.absent:
            late = "" if span is None else f" AND us - other_us <= {span}"
            return f"{here} = 1 AND other_us IS NOT NULL{late}"
        if span is None:
            return "reached = 1 AND other_us IS NULL"
        return (
            f"reached = 1 AND (other_us IS NULL OR other_us - us > {span}) "
            f"AND us < {to_us(self.as_of) - span}"
        )

    def _step(self, step: Step, window: Window) -> str:
        return self._matches(step.kinds, step.where, window)

    def _matches(self, of: tuple[str, ...], where: tuple[Where, ...], window: Window) -> str:
        parts = []
        if EVERY not in of:
            parts.append(f"kind IN ({', '.join(map(text_sql, kinds_of(of, self.shop)))})")
        for one in where:
            found: Condition = condition_of(one)
            name = self._field(one.field)
            parts.append(compared(name, found, _number, nullable=isinstance(found, IsKnown)))
        parts += self._within(window)
        return " AND ".join(parts) or "TRUE"

    def _within(self, window: Window) -> list[str]:
        """Bounds of a window's days as moments."""
        since, until = [], []
        if window.last_days is not None:
            since.append(self.today - window.last_days + 1)
        if window.skip_days:
            until.append(self.today - window.skip_days + 1)
        if window.first is not None:
            since.append(day_number(window.first))
        if window.last is not None:
            until.append(day_number(window.last) + 1)
        return [
            *(f"event_time >= {moment_sql(start_of(day, self.zone))}" for day in since),
            *(f"event_time < {moment_sql(start_of(day, self.zone))}" for day in until),
        ]

    def _field(self, name: str) -> str:
        self.fields.setdefault(name)
        return f"f_{name}"


def _number(value: Any) -> str:
    return text_sql(value) if isinstance(value, str) else str(int(value))


def start_of(day: int, zone: Zone) -> datetime:
    """The first moment of a local day, by its number since 1970-01-01."""
    found = from_us(day * DAY_US - zone.offset_s(from_us(day * DAY_US)) * 1_000_000)
    for _ in range(2):  # the offset at midnight may differ from that at noon UTC
        again = from_us(day * DAY_US - zone.offset_s(found - _MICROSECOND) * 1_000_000)
        if zone.local_day(again) == day and zone.local_day(again - _MICROSECOND) == day - 1:
            return again
        found = again
    return found


def no_sql(what: str, hint: str) -> UsageError:
    """The refusal of a clause that has no SQL."""
    return UsageError(
        "no_sql_form",
        f"{what} cannot be written as SQL over the canonical columns of an events table",
        where=what,
        hint=hint,
    )
