"""Reasons and versions to render in tests; they add up with the document they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from shoal.domain.segment import TIER_NEW
from shoal.report.document import Segment
from shoal.report.document_lineage import (
    Lineage,
    Logged,
    LoggedCause,
    Parted,
    Version,
    VersionChange,
    VersionFlow,
    VersionSegment,
)
from shoal.report.document_reasons import (
    Borderline,
    Candidate,
    Choice,
    CustomerMap,
    Expected,
    Explained,
    Explanation,
    HeadFigure,
    Protected,
    RulePath,
    Trait,
    TraitGap,
    TraitOfSegment,
    TreeTold,
    Tried,
)

START = datetime(2024, 4, 1, tzinfo=UTC)


def choice(chosen: int) -> Choice:
    """Nine numbers of which two are not stable; some are stages."""
    candidates = tuple(
        Candidate(
            k, 0.98 - 0.004 * abs(k - 8), 0.06, 0.97 - 0.02 * (k - 4), 0.2 / k, k < 11,
            "" if k < 11 else "Not stable enough over resamples", 0.9 - 0.05 * (k - 4),
        )
        for k in range(4, 13)
    )  # fmt: skip
    return Choice(
        "next_period", min(max(chosen, 4), 12), candidates,
        "The smallest number within one standard error of the best at foretelling the next 28 "
        "days.",
        28, relative=True, aim="balance", styles=3,
        tried=tuple(Tried(styles, 0.8 - styles / 10, 0.1) for styles in (1, 2, 3, 4)),
        head=(
            HeadFigure("next_active", 0.41, 0.4, area=0.83),
            HeadFigure("next_spend", 12.5, 11.25, rank=0.4),
        ),
    )  # fmt: skip


def lineage(segments: Sequence[Segment], text: str = "") -> Lineage:
    """Three versions: the first segment split off the last one, and a tenth of each was moved."""
    if not segments:
        return Lineage(())
    ids = [one.segment_id for one in segments]
    versions = []
    for place in range(3):
        here = ids if place else ids[:-1] or ids
        versions.append(
            Version(
                f"kmeans-{place + 1:04d}", START + timedelta(days=30 * place),
                sum(one.customers for one in segments),
                tuple(
                    VersionSegment(one.segment_id, text or one.name, one.customers)
                    for one in segments if one.segment_id in here
                ),
                ("later data",) if place else (),
                _changes(ids, place),
                _flows(segments, here if place != 1 else ids[:-1] or ids) if place else (),
            )
        )  # fmt: skip
    return Lineage(tuple(versions), parted(segments))


def _changes(ids: Sequence[str], place: int) -> tuple[VersionChange, ...]:
    if place != 1 or len(ids) < 2:
        return ()
    return (VersionChange("split", (ids[0],), (ids[0], ids[-1]), 120, 0.875),)


def _flows(segments: Sequence[Segment], before: Sequence[str]) -> tuple[VersionFlow, ...]:
    """Nine tenths of each segment stay; the rest goes to the next one."""
    found = {}
    ids = [one.segment_id for one in segments]
    for one in segments:
        if one.segment_id not in before:
            continue
        tenth = one.customers // 10
        other = ids[(ids.index(one.segment_id) + 1) % len(ids)]
        found[one.segment_id, one.segment_id] = one.customers - tenth
        found[one.segment_id, other] = found.get((one.segment_id, other), 0) + tenth
    found[TIER_NEW, TIER_NEW] = 50
    return tuple(VersionFlow(*pair, n) for pair, n in found.items())


def parted(segments: Sequence[Segment]) -> Parted:
    """Two arrived in each segment, one moved by each cause from the first to the second."""
    rows = []
    for place, one in enumerate(segments):
        net = (1 if place == 1 else -1 if place == 0 else 0) if len(segments) > 1 else 0
        rows.append((one.segment_id, one.customers - 2 - 2 * net, 2, 0, net, net, one.customers))
    common = sum(row[1] for row in rows)
    return Parted(common, common - 2, 1, 1, 0, 0, 2 * len(rows), 0, tuple(rows))


def logged(since: datetime) -> Logged:
    """Changes of three causes."""
    causes = (
        LoggedCause("event", 40, 35, 1_250.0), LoggedCause("silence", 12, 12, 99.5),
        LoggedCause("version", 3, 3, 0.0),
    )  # fmt: skip
    return Logged(since, 200, causes, later=4)


def explanation(segments: Sequence[Segment], text: str = "") -> Explanation | None:
    """Every segment with two ways in, of which nobody takes the second."""
    if not segments:
        return None
    ids = [one.segment_id for one in segments]
    found = {
        one.segment_id: Explained(
            text or f"{one.name}: many customers, who buy often.",
            text or "Either [Orders placed] more than 2; or [Views] at most 3.",
            (
                RulePath(text or "[Orders placed] more than 2", 0.21, 0.7),
                RulePath(text or "[Views] at most 3", 0.0, None),
            ),
            0.95 - 0.1 * (place % 2),
            (Borderline(text or f"b{place}", 0.51, ids[(place + 1) % len(ids)], 0.46),),
            Expected(one.customers, 0.41, 123.4, 4_567.8),
        )
        for place, one in enumerate(segments)
    }
    tree = TreeTold(
        8, 5, 0.871, 0.25, 0.9, 4_000, 1.04, left_out=3, lost=0.03, previous="kmeans-0002", kept=5,
        asked=7, agreement=0.912,
    )  # fmt: skip
    return Explanation(found, tree if len(segments) > 1 else None, 28)


def protected(segments: Sequence[Segment], text: str = "") -> Protected:
    """Two countries and a band of ages; the first segment has most of one country."""
    values = (text or "DE", "FR", "other")
    rows = tuple(
        TraitOfSegment(
            one.segment_id, one.customers - 5, 5, (0.8, 0.1, 0.1) if not place else (0.5, 0.4, 0.1)
        )
        for place, one in enumerate(segments)
    )
    gap = TraitGap(segments[0].segment_id, values[0], 0.8, 0.55) if segments else None
    country = Trait("country", 900, 5, values, (0.55, 0.35, 0.1), rows, gap, 0.1234)
    named = Trait(f"trait_{text or 'loyalty'}", 10, 895, ("gold",), (1.0,), (), None, None)
    return Protected(
        ("country", text or "age"),
        (text or "Country, as last seen",),
        (country, named) if segments else (),
        20,
    )


def customer_map(segments: Sequence[Segment]) -> CustomerMap | None:
    """Twenty customers of each segment on a ring of their own, sampled."""
    points = tuple(
        (3.0 * place + number % 5, 2.0 * (place % 3) + number // 5, one.segment_id)
        for place, one in enumerate(segments)
        for number in range(20)
    )
    return CustomerMap(points, sampled=True, floor=20) if points else None
