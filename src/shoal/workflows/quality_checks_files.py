"""Checks of what ingest counted, and of what is left out as noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from shoal.config import QualityConfig
from shoal.domain.quality import ERROR, NOTE, WARNING, Finding
from shoal.events.noise import ROW_RULES
from shoal.workflows import units
from shoal.workflows.quality_judging import FEW, judged, level, mildest
from shoal.workflows.quality_tables import Days, of_source, text_sql

#: Rows that came before are told of from this share on: overlapping exports are no fault.
_DUPLICATE_TOLD = 0.01


def accounts(
    ingested: Sequence[units.Unit],
    samples: Mapping[str, str],
    settings: QualityConfig,
    *,
    dated: bool,
    restated: Mapping[str, Counter[str]] = MappingProxyType({}),
) -> list[Finding]:
    """Quarantined, conflicting and duplicate rows of each source, from the files' accounts.

    Args:
        samples: for each quarantine reason one row as it was received.
        dated: whether only events since some moment are looked at; files have no moment, so what
            they say is a note then.
        restated: of each source the quarantined rows that later files stated again, by reason.
    """
    at_most = NOTE if dated else ERROR
    found = []
    for source, (read, counts, reasons) in sorted(_totals(ingested, restated).items()):
        for check, low, high in (
            ("conflicting", settings.conflicting_warning, settings.conflicting_error),
            ("duplicate", 1.1, 1.1),
        ):
            share = counts[check] / read
            if share and (check == "conflicting" or share >= _DUPLICATE_TOLD):
                severity = mildest(level(share, low, high), at_most)
                found.append(Finding(check, severity, source, count=counts[check], of=read))
        for code, count in reasons.most_common():
            share = count / read
            severity = level(share, settings.quarantined_warning, settings.quarantined_error)
            if count < FEW:
                severity = NOTE
            found.append(
                Finding(
                    "quarantined", mildest(severity, at_most), source, code, count=count, of=read,
                    example=samples.get(code, ""),
                )
            )  # fmt: skip
    return found


def _totals(
    ingested: Sequence[units.Unit], restated: Mapping[str, Counter[str]]
) -> dict[str, tuple[int, Counter[str], Counter[str]]]:
    """Rows read, counts by outcome and quarantine reasons of each source, replays settled.

    What a file states again counts once: rows that are as before are no duplicates.
    """
    read: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {}
    reasons: dict[str, Counter[str]] = {}
    for unit in ingested:
        if unit.status != units.COMMITTED:
            continue
        own = counts.setdefault(unit.source, Counter())
        if unit.replaces:  # a replay reads all quarantined rows of its source again
            reasons[unit.source] = Counter(unit.account.quarantine)
        else:
            read[unit.source] += unit.account.read - _stated_again(unit)
            reasons.setdefault(unit.source, Counter()).update(unit.account.quarantine)
        for name in ("conflicting", "duplicate"):
            own[name] += getattr(unit.account, name)
        own["duplicate"] -= unit.account.duplicate if _restates(unit) else 0
    for source, gone in restated.items():
        reasons[source].subtract(gone)
        read[source] -= gone.total()
    return {
        source: (read[source], counts[source], +reasons[source]) for source in read if read[source]
    }


def _restates(unit: units.Unit) -> bool:
    """Whether its rows are of days or orders that are stated as a whole."""
    return unit.scopes is None or bool(unit.scopes)


def _stated_again(unit: units.Unit) -> int:
    """Rows of earlier files whose place a file's rows took, or that it holds as they were."""
    return unit.withdrawn + (unit.account.duplicate if _restates(unit) else 0)


def noise(
    days: Days,
    flagged: pa.Table,
    flagged_events: int,
    on: Sequence[str],
    settings: QualityConfig,
) -> list[Finding]:
    """The share of events that a row rule marked (each source) or a pace rule flagged (the shop).

    Args:
        flagged: pace flags (`FLAGS_SCHEMA`) of the rules that are on.
        flagged_events: events in the flagged stretches.
        on: rules that are switched on.
    """
    found = []
    for source in days.sources:
        whole = days.whole(source)
        for code in ROW_RULES:
            finding = judged(
                "noise", whole.counts[f"noise_{code}"], whole.n, whole.first_day,
                warning=settings.noise_warning, error=settings.noise_error,
                source=source, subject=code, variant="rows" if code in on else "rows_off",
                where=f"{of_source(source)} AND noise = {text_sql(code)}",
            )  # fmt: skip
            if finding is not None:
                found.append(finding)
    if flagged_events:
        total = int(sum(np.int64(one.n.sum()) for one in days.series))
        visitors = len(flagged["visitor_id"].unique())
        rules = sorted(flagged["rule"].unique().to_pylist())
        share = flagged_events / total if total else 0.0
        severity = level(share, settings.noise_warning, settings.noise_error)
        found.append(
            Finding(
                "noise", mildest(severity, WARNING), "", ", ".join(rules), "pace",
                flagged_events, total, figures={"visitors": visitors},
                example=f"visitor {flagged['visitor_id'][0].as_py()}",
            )
        )  # fmt: skip
    return found
