"""What the noise rules caught: events, visitors, since when, and how to switch a rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import NoiseConfig
from shoal.domain.time import from_us, iso
from shoal.events.noise import PACE_RULES, ROW_RULES, RULES
from shoal.ports import StateStore, Warehouse

#: Examples shown a rule.
_EXAMPLES = 3

_VISITOR = "coalesce(customer_id, anonymous_id)"


@dataclass(frozen=True)
class Caught:
    """What one rule caught.

    Args:
        on: whether the rule is switched on, so that its events are left out of features.
        events, visitors: how many.
        since, until: first and last event caught; None if there is none.
        examples: events (of rules on one row) or visitors with their day (of pace rules).
    """

    rule: str
    meaning: str
    on: bool
    events: int
    visitors: int
    since: datetime | None
    until: datetime | None
    examples: tuple[str, ...]


@dataclass(frozen=True)
class NoiseOverview:
    """All rules, and how many events the shop has."""

    events: int
    rules: tuple[Caught, ...]
    settings: NoiseConfig

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.noise/1`."""
        return {
            "schema": "shoal.noise/1",
            "events": self.events,
            "rules": [
                {
                    "rule": one.rule,
                    "meaning": one.meaning,
                    "on": one.on,
                    "events": one.events,
                    "visitors": one.visitors,
                    "share": one.events / self.events if self.events else None,
                    "since": None if one.since is None else iso(one.since),
                    "until": None if one.until is None else iso(one.until),
                    "examples": list(one.examples),
                    "switch": switch(one, self.settings),
                }
                for one in self.rules
            ],
        }


def switch(one: Caught, settings: NoiseConfig) -> str:
    """The line of `shop.toml` that turns a rule over."""
    rules = [name for name in settings.rules if name != one.rule]
    if not one.on:
        rules = [name for name in RULES if name in settings.rules or name == one.rule]
    return "[noise] rules = [" + ", ".join(f'"{name}"' for name in rules) + "]"


def noise_overview(
    *, warehouse: Warehouse, store: StateStore, settings: NoiseConfig
) -> NoiseOverview:
    """What each rule caught, whether or not it is switched on.

    An event that several rules catch is counted by each pace rule, and by the first row rule.
    """
    if warehouse.version() < 0:
        return NoiseOverview(0, tuple(_none(rule, settings) for rule in RULES), settings)
    flags = store.flags.flags()
    caught = {row["rule"]: row for row in _rows(warehouse)}
    caught |= {row["rule"]: row for row in _flagged(warehouse, flags)}
    examples = {**_row_examples(warehouse), **_flag_examples(flags)}
    events = sum(warehouse.bucket_counts().values())
    found = []
    for rule in RULES:
        row = caught.get(rule)
        if row is None:
            found.append(_none(rule, settings))
            continue
        found.append(
            Caught(
                rule, RULES[rule], rule in settings.rules, row["events"], row["visitors"],
                row["since"], row["until"], tuple(examples.get(rule, ())),
            )
        )  # fmt: skip
    return NoiseOverview(events, tuple(found), settings)


def _none(rule: str, settings: NoiseConfig) -> Caught:
    return Caught(rule, RULES[rule], rule in settings.rules, 0, 0, None, None, ())


def _rows(warehouse: Warehouse) -> list[dict[str, Any]]:
    query = (
        f"SELECT noise AS rule, count(*) AS events, count(DISTINCT {_VISITOR}) AS visitors, "
        "min(event_time) AS since, max(event_time) AS until "
        "FROM events WHERE noise IS NOT NULL GROUP BY noise"
    )
    return warehouse.engine.run(query, {"events": warehouse.events()}).to_pylist()


def _flagged(warehouse: Warehouse, flags: pa.Table) -> list[dict[str, Any]]:
    """Events in the flagged stretches of each pace rule."""
    if not flags.num_rows:
        return []
    query = (
        "WITH stretches AS (SELECT DISTINCT visitor_id, rule, from_us, to_us FROM flags), "
        f"own AS (SELECT {_VISITOR} AS visitor_id, event_id, source, event_time FROM events "
        f"WHERE {_VISITOR} IN (SELECT visitor_id FROM flags)), "
        "hit AS (SELECT DISTINCT rule, own.visitor_id, event_id, source, event_time "
        "FROM own JOIN stretches ON own.visitor_id = stretches.visitor_id "
        "AND epoch_us(event_time) >= from_us AND epoch_us(event_time) < to_us) "
        "SELECT rule, count(*) AS events, count(DISTINCT visitor_id) AS visitors, "
        "min(event_time) AS since, max(event_time) AS until FROM hit GROUP BY rule"
    )
    inputs = {"events": warehouse.events(), "flags": flags}
    return warehouse.engine.run(query, inputs).to_pylist()


def _row_examples(warehouse: Warehouse) -> dict[str, list[str]]:
    query = (
        "SELECT noise, event_id, source, kind, event_time FROM events WHERE noise IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY noise ORDER BY event_time, source, event_id) "
        f"<= {_EXAMPLES} ORDER BY noise, event_time, source, event_id"
    )
    found: dict[str, list[str]] = {rule: [] for rule in ROW_RULES}
    for row in warehouse.engine.run(query, {"events": warehouse.events()}).to_pylist():
        shown = f"{row['kind']} {row['event_id']} of {row['source']}, {iso(row['event_time'])}"
        found.setdefault(row["noise"], []).append(shown)
    return found


def _flag_examples(flags: pa.Table) -> dict[str, list[str]]:
    found = {}
    for rule in PACE_RULES:
        own = flags.filter(pc.equal(flags["rule"], rule)).sort_by("told_us").slice(0, _EXAMPLES)
        found[rule] = [
            f"visitor {row['visitor_id']}, {iso(from_us(row['from_us']))} to "
            f"{iso(from_us(row['to_us']))}"
            for row in own.to_pylist()
        ]
    return found
