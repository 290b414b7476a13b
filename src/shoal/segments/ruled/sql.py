"""Rules as one SQL statement over the canonical columns of a deduplicated `events` table.

Its `events` are those that count: persons joined, noise left out, amounts in the shop's currency,
money in micro-units. Moments, days, texts and numbers are literal. It is written once, as DuckDB
reads it, and generated for a dialect by sqlglot. What such a table does not tell (features that
are no count of events, traits, other segments, the shop's local hours) has no SQL and is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, from_us, iso, to_us
from shoal.features.queries import Rules
from shoal.segments.ruled.batch import unread
from shoal.segments.ruled.comparison import condition, scale_of
from shoal.segments.ruled.document import REST
from shoal.segments.ruled.known import suggestion
from shoal.segments.ruled.language import (
    AGES,
    LATEST,
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
    Where,
    leaves,
)
from shoal.segments.ruled.language import Sequence as Chain
from shoal.segments.ruled.measured import condition_of
from shoal.segments.ruled.sql_features import FEATURES, columns_of, with_features
from shoal.segments.ruled.sql_parts import (
    compared,
    field_sql,
    float_sql,
    moment_sql,
    text_sql,
)
from shoal.segments.ruled.sql_values import Measures, number

DIALECTS: Final = ("duckdb", "bigquery", "snowflake", "spark")


def rules_sql(
    rules: RuleSet,
    shop: Rules,
    *,
    as_of: datetime,
    zone: Zone,
    dialect: str = "duckdb",
    segment: str | None = None,
    since: datetime | None = None,
) -> str:
    """SQL whose rows are `customer_id` and `segment_id` of everybody, in order.

    Args:
        rules: read from a file, or `checked`.
        shop: what the shop settles about its events.
        as_of: T; only events before it count.
        zone: the shop's, for the days of windows.
        dialect: one of `DIALECTS`.
        segment: only the `customer_id` of its members.
        since: no later than the first event, where it is known: clock changes before it are then
            left out of features of local days and hours.

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
    tree = _parsed(statement.text(segment), dialect)
    if statement.features:
        tree = with_features(tree, statement.features, shop, as_of, zone, dialect, since)
    what = f"Segment {segment}" if segment else "Segments"
    head = [
        f"{what} by rules, customers as of {iso(as_of)}.",
        "events: one row an event (deduplicated, persons joined, no noise), canonical columns,",
        "money in micro-units.",
    ]
    return "\n".join([*(f"-- {line}" for line in head), tree.sql(dialect, pretty=True), ""])


def _parsed(text: str, dialect: str) -> Any:
    """The statement as a tree; microseconds of a moment are named differently in each dialect."""
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

    return sqlglot.parse_one(text, read="duckdb").transform(micros)


class _Statement:
    """One statement, part by part."""

    def __init__(self, shop: Rules, as_of: datetime, zone: Zone, rules: RuleSet) -> None:
        self.shop, self.as_of, self.rules = shop, as_of, rules
        self.values = Measures(shop, as_of, zone)
        things = dict.fromkeys(self.values.thing_of(leaf) for leaf in leaves(*rules.rules.values()))
        self.names = {thing: f"v{place}" for place, thing in enumerate(things)}
        self.features = [thing.name for thing in things if isinstance(thing, Feature)]

    def text(self, segment: str | None) -> str:
        summed = {
            thing: name
            for thing, name in self.names.items()
            if isinstance(thing, Events) and thing.measure != LATEST
        }
        values = [f"{self.values.measure(thing)} AS {name}" for thing, name in summed.items()]
        own = ["customer_id", *values]
        parts = [f"measured AS (SELECT {', '.join(own)} FROM counted GROUP BY customer_id)"]
        joins, told = [], []
        columns = columns_of(self.features)
        if columns:
            joins.append(f"JOIN {FEATURES} ON measured.customer_id = {FEATURES}.customer_id")
        for thing, name in self.names.items():
            if thing in summed:
                told.append(f"measured.{name}")
                continue
            if isinstance(thing, Feature):
                told.append(f"{FEATURES}.{columns[thing.name]} AS {name}")
                continue
            parts += self.values.chain(thing, name) if isinstance(thing, Chain) else [
                self.values.latest(thing, name)
            ]  # fmt: skip
            found = f"{name}_found"
            joins.append(f"LEFT JOIN {found} ON measured.customer_id = {found}.customer_id")
            told.append(f"{found}.{name}")
        known = ", ".join(["measured.customer_id", *told])
        parts.append(f"known AS (SELECT {known} FROM measured {' '.join(joins)})")
        parts.append(f"flags AS (SELECT customer_id, {self._flags()} FROM known)")
        return f"WITH {self._counted()}, {', '.join(parts)} {self._answer(segment)}"

    def _counted(self) -> str:
        """The events that count, with the fields that are asked for; last, when they are known."""
        fields = [f"{field_sql(name, self.shop)} AS f_{name}" for name in self.values.fields]
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
            f"counted AS (SELECT {columns} FROM events WHERE customer_id IS NOT NULL "
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
            flags = [(one, f"r{place} = 1") for place, one in enumerate(ids)] + [(REST, none)]
            rows = [
                f"SELECT customer_id, {text_sql(one)} AS segment_id FROM flags WHERE {held}"
                for one, held in flags
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
        thing = self.values.thing_of(rule)
        if isinstance(thing, Feature):
            found = condition(rule.test, None)
            return compared(self.names[thing], found, float_sql, nullable=True)
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
        return compared(name, found, number, nullable=nullable)

    def _moment_before(self, us: Any) -> str:
        return moment_sql(from_us(to_us(self.as_of) - int(us)))
