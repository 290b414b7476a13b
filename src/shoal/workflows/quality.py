"""Quality: is the shop's data what it seems? Every check, gravest finding first.

The event table is counted in a few scans over narrow columns (`quality_tables`), small pure checks
judge the counts (`quality_checks_*`), and one more scan finds an example for each finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import Config, QualityConfig
from shoal.domain.quality import CHECKS, NOTE, SEVERITIES, Finding, Quality, SourceFacts
from shoal.domain.time import Clock, Zone, iso, system_clock
from shoal.events.noise import PACE_RULES, ROW_RULES
from shoal.ports import StateStore, Warehouse
from shoal.report.quality_texts import plainly
from shoal.workflows import quality_amounts as amounts
from shoal.workflows import quality_checks_fields as fields
from shoal.workflows import quality_checks_files as files
from shoal.workflows import quality_checks_orders as orders
from shoal.workflows import quality_checks_rhythm as rhythm
from shoal.workflows import quality_checks_time as clocks
from shoal.workflows import quality_notes as notes
from shoal.workflows import quality_tables as tables
from shoal.workflows import rates, units
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.quality_judging import FEW_AT_ONCE
from shoal.workflows.quarantine import listing

#: Findings for which an example is looked up, the gravest first.
_EXAMPLES: Final = 60


def check_quality(
    *,
    warehouse: Warehouse,
    store: StateStore,
    quarantine_dir: Path,
    zone: Zone,
    config: Config,
    since: datetime | None = None,
    clock: Clock = system_clock,
    progress: Progress | None = None,
) -> Quality:
    """Everything that is wrong, or may be, with the shop's events.

    Args:
        zone: the shop's time zone, in whose days things are counted.
        since: only what happened since then is told of; what is usual is learnt from all events.

    Raises:
        OperationError: `shop_damaged`, a file of the table or of the quarantine is missing.
    """
    now = clock()
    version = warehouse.version()
    bar = progress or NoProgress()
    bar.start("quality", 8, "steps")
    try:
        if version < 0:
            return Quality(now, version, 0, since, (), (), config.quality.off)
        scope = tables.Scope(warehouse.engine, warehouse.events(version=version), now, since)
        found = _Checked(scope, store, quarantine_dir, zone, config, bar)
        findings = _with_examples(scope, _sorted(found.findings()))
        bar.advance()
        sources = tuple(_facts(found.all_days, source) for source in found.all_days.sources)
        events = sum(one.events for one in sources)
        return Quality(now, version, events, since, sources, findings, config.quality.off)
    finally:
        bar.done()


class _Checked:
    """The counts of one run, and all checks on them."""

    def __init__(
        self,
        scope: tables.Scope,
        store: StateStore,
        quarantine_dir: Path,
        zone: Zone,
        config: Config,
        bar: Progress,
    ) -> None:
        self._scope = scope
        self._store = store
        self._quarantine_dir = quarantine_dir
        self._zone = zone
        self._config = config
        self._bar = bar
        self.all_days = tables.days(scope, ROW_RULES)
        bar.advance()

    def findings(self) -> list[Finding]:
        scope, settings = self._scope, self._config.quality
        since_day = None if scope.since is None else self._zone.local_day(scope.since)
        days = self.all_days if since_day is None else self.all_days.since(since_day)
        usual = self.all_days.between(
            clocks.starts(self.all_days), self._zone.local_day(scope.now) + 1
        )
        lately = usual if since_day is None else usual.since(since_day)
        found = [
            *clocks.future(days, scope.now, settings),
            *clocks.early(days),
            *self._midnight(lately.behaviour()),
            *fields.missing(days, settings),
            *fields.unknown(days, settings),
            *self._rhythm(usual.behaviour(), since_day, settings),
            *self._amounts(settings),
            *self._ids(days, settings),
            *self._accounts(settings),
            *self._noise(days, settings),
        ]
        return [one for one in found if one.check not in settings.off]

    def _midnight(self, days: tables.Days) -> list[Finding]:
        """Times at midnight; one order of many lines that was placed then is no loss of times."""
        return [
            one for one in clocks.midnight(days)
            if one.severity == NOTE or tables.tellers(self._scope, one.where) >= FEW_AT_ONCE
        ]  # fmt: skip

    def _rhythm(
        self, days: tables.Days, since_day: int | None, settings: QualityConfig
    ) -> list[Finding]:
        """Gaps and changes of behaviour, on days that are neither stray nor of the future."""
        scope = self._scope
        hours = tables.hours(scope)
        self._bar.advance()
        if not days.series:
            return []
        gone = rhythm.gaps(hours, days, scope.now, scope.since, settings)
        last = max(one.first_day + int(np.flatnonzero(one.n)[-1]) for one in days.series)
        return [*gone, *rhythm.changes(days, gone, last, since_day, settings)]

    def _amounts(self, settings: QualityConfig) -> list[Finding]:
        scope = self._scope
        counted = amounts.orders(scope)
        self._bar.advance()
        found = [*orders.orders(counted, settings), *orders.refunds(counted, settings)]
        found += notes.unexplained(scope, settings)
        for name in ("price", "quantity"):
            found += orders.outliers(
                amounts.outliers(scope, name, settings.outlier_z), name, settings
            )
        self._bar.advance()
        found += orders.repeated(amounts.repeated(scope), settings)
        found += orders.told_again(amounts.told_again(scope), settings)
        known = self._store.get_pointer(rates.POINTER) is not None
        found += orders.currencies(amounts.currencies(scope), settings, rates=known)
        return found

    def _ids(self, days: tables.Days, settings: QualityConfig) -> list[Finding]:
        scope = self._scope
        events = int(sum(one.n.sum() for one in days.series))
        people = self._config.identity.shared_by
        found = fields.shared(tables.shared(scope), events, people, settings)
        self._bar.advance()
        found += fields.constant(tables.constants(scope), days)
        found += clocks.delay(tables.delays(scope), settings)
        self._bar.advance()
        return found

    def _accounts(self, settings: QualityConfig) -> list[Finding]:
        listed = listing(store=self._store, quarantine_dir=self._quarantine_dir, samples=1)
        samples = {
            reason.code: f"{one.file} row {one.row}: {one.raw}"
            for reason in listed.reasons
            for one in reason.samples
        }
        dated = self._scope.since is not None
        return files.accounts(
            units.all_units(self._store), samples, settings, dated=dated,
            restated=listed.restated,
        )  # fmt: skip

    def _noise(self, days: tables.Days, settings: QualityConfig) -> list[Finding]:
        flags = self._store.flags.flags()
        on = [rule for rule in PACE_RULES if rule in self._config.noise.rules]
        flags = flags.filter(pc.is_in(flags["rule"], value_set=pa.array(on, pa.string())))
        caught = tables.flagged_events(self._scope, flags) if flags.num_rows else 0
        self._bar.advance()
        return files.noise(days, flags, caught, self._config.noise.rules, settings)


def _sorted(found: Sequence[Finding]) -> list[Finding]:
    """Gravest first, then in order of the checks, then the most first."""
    order = {code: place for place, code in enumerate(CHECKS)}
    return sorted(
        found,
        key=lambda one: (
            -SEVERITIES.index(one.severity), order[one.check], -one.count, one.source,
            one.subject, one.variant,
        ),
    )  # fmt: skip


def _with_examples(scope: tables.Scope, found: Sequence[Finding]) -> tuple[Finding, ...]:
    asked = [place for place, one in enumerate(found) if one.where and not one.example]
    asked = asked[:_EXAMPLES]
    shown = dict(zip(asked, tables.examples(scope, [found[p].where for p in asked]), strict=True))
    return tuple(
        replace(one, example=_shown(row)) if (row := shown.get(place)) else one
        for place, one in enumerate(found)
    )


def _shown(row: Mapping[str, Any]) -> str:
    return f"{row['kind']} {row['event_id']}, {iso(row['event_time'])}"


def _facts(days: tables.Days, source: str) -> SourceFacts:
    whole = days.whole(source)
    first, last = days.spans[source]
    return SourceFacts(
        source,
        int(whole.n.sum()),
        first,
        last,
        clocks.resolution(whole),
        whole.first_day,
        tuple(whole.n.tolist()),
    )


def as_document(quality: Quality) -> dict[str, Any]:
    """The JSON document `shoal.quality/1`."""
    return {
        "schema": "shoal.quality/1",
        "checked_at": iso(quality.checked_at),
        "table_version": quality.table_version,
        "events": quality.events,
        "since": None if quality.since is None else iso(quality.since),
        "verdict": quality.verdict,
        "counts": {
            severity: sum(one.severity == severity for one in quality.findings)
            for severity in SEVERITIES[1:]
        },
        "sources": [
            {
                "source": one.source,
                "events": one.events,
                "from": iso(one.first),
                "to": iso(one.last),
                "resolution": one.resolution,
            }
            for one in quality.sources
        ],
        "checks": {
            code: "off" if code in quality.off else quality.severity(code) for code in CHECKS
        },
        "findings": [_finding(one) for one in quality.findings],
    }


def _finding(one: Finding) -> dict[str, Any]:
    said = plainly(one)
    return {
        "check": one.check,
        "severity": one.severity,
        "source": one.source or None,
        "subject": one.subject or None,
        "case": one.variant or None,
        "count": one.count,
        "of": one.of or None,
        "share": one.share,
        "since": _moment(one.since),
        "until": _moment(one.until),
        "example": one.example or None,
        "figures": dict(one.figures),
        "message": said.found,
        "what_to_do": said.todo,
    }


def _moment(value: date | datetime | None) -> str | None:
    """A moment as ISO 8601 in UTC, a local day as a date."""
    if value is None:
        return None
    return iso(value) if isinstance(value, datetime) else value.isoformat()
