"""The section on the versions that led to the segments, and what became of each segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from shoal.domain.segment import TIER_NEW
from shoal.report.document_lineage import Lineage, Parted, Version, VersionChange
from shoal.report.lineage_diagram import CHANGES, name_of, plot
from shoal.report.names import clean
from shoal.report.numbers import MISSING
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table

#: Versions and changes that the tables hold, the latest.
_LISTED: Final = 60


@dataclass(frozen=True)
class PartedView:
    """Movement by cause; without a table, the sentences say why there is none."""

    sentences: Sequence[str]
    table: Table | None = None


@dataclass(frozen=True)
class LineageView:
    """What the template shows; without a plot, `lead` says why there is none."""

    lead: str
    plot: Plot | None = None
    versions: Table | None = None
    changes: Table | None = None
    no_changes: str = ""
    parted: PartedView | None = None


def lineage(teller: Teller, found: Lineage | None) -> LineageView | None:
    """The section; None for segments of rules."""
    if found is None:
        return None
    texts, numbers = teller.wording.texts, teller.wording.numbers
    if not found.versions:
        return LineageView(texts("lineage.unreadable"))
    if len(found.versions) == 1:
        name = clean(found.versions[0].segmentation_id, 60)
        return LineageView(texts("lineage.first", version=name))
    changes = _changes(teller, found)
    return LineageView(
        texts("lineage.lead", n=numbers.count(len(found.versions))),
        plot(teller, found),
        _versions(teller, found),
        changes,
        "" if changes else texts("lineage.no_changes"),
        _parted(teller, found),
    )


# --- Tables ---------------------------------------------------------------------------------------


def _versions(teller: Teller, found: Lineage) -> Table:
    """The versions, the latest first."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    rows = []
    for one in reversed(found.versions[-_LISTED:]):
        proper = [each for each in one.segments if each.segment_id != TIER_NEW]
        rows.append(
            [
                clean(one.segmentation_id, 40), clean(teller.day(one.as_of)),
                clean(texts("list.semicolon").join(one.causes), 300) if one.causes else MISSING,
                numbers.count(len(proper)), numbers.count(one.customers),
                numbers.count(one.moved) if one.compared else MISSING,
                numbers.share(one.moved / one.compared) if one.compared else MISSING,
            ]
        )  # fmt: skip
    columns = [
        texts("lineage.step"), texts("lineage.col.as_of"), texts("lineage.col.causes"),
        texts("segments.title"), texts("col.customers"), texts("lineage.col.moved"),
        texts("lineage.col.moved_share"),
    ]  # fmt: skip
    return Table(columns, rows, text_columns=frozenset({0, 1, 2}))


def _changes(teller: Teller, found: Lineage) -> Table | None:
    """Splits, merges, births and deaths, the latest first; None where there were none."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    rows = [
        [
            texts(f"lineage.{change.kind}"), clean(after.segmentation_id, 40),
            _listed(teller, before, change.parents), _listed(teller, after, change.children),
            numbers.count(change.customers), numbers.share(change.confidence),
        ]
        for before, after, change in _happened(found)
    ]  # fmt: skip
    if not rows:
        return None
    columns = [
        texts("lineage.col.change"), texts("lineage.step"), texts("lineage.col.was"),
        texts("lineage.col.became"), texts("col.customers"), texts("lineage.col.confidence"),
    ]  # fmt: skip
    return Table(columns, rows[:_LISTED], text_columns=frozenset({0, 1, 2, 3}))


def _happened(found: Lineage) -> Iterator[tuple[Version, Version, VersionChange]]:
    for before, after in reversed(list(pairwise(found.versions))):
        for change in after.changes:
            if change.kind in CHANGES:
                yield before, after, change


def _listed(teller: Teller, version: Version, names: Sequence[str]) -> str:
    if not names:
        return MISSING
    return teller.wording.texts.listed([name_of(teller, version, name) for name in names])


# --- Movement by cause ----------------------------------------------------------------------------


def _parted(teller: Teller, found: Lineage) -> PartedView | None:
    if found.parted is None:
        key = f"parted.{found.why_not_parted}"
        return PartedView([teller.wording.texts(key)]) if found.why_not_parted else None
    texts, numbers, one = teller.wording.texts, teller.wording.numbers, found.parted
    said = [
        texts(
            "parted.lead",
            common=teller.customers(one.common),
            **{
                name: numbers.count(getattr(one, name)) for name in ("stayed", "behaviour", "model")
            },
        )
    ]
    said += [
        texts(f"parted.{name}", **{name: numbers.count(getattr(one, name))})
        for name in ("both", "returned", "arrived")
        if getattr(one, name)
    ]
    return PartedView(said, _parts(teller, found.versions, one))


def _parts(teller: Teller, versions: Sequence[Version], one: Parted) -> Table:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    rows = []
    for name, then, arrived, gone, behaviour, model, now in one.segments:
        here = any(each.segment_id == name for each in versions[-1].segments)
        known = versions[-1] if here else versions[-2]
        rows.append(
            [
                name_of(teller, known, name), numbers.count(then), numbers.count(arrived),
                numbers.count(gone), numbers.signed(behaviour, 0), numbers.signed(model, 0),
                numbers.count(now),
            ]
        )  # fmt: skip
    columns = [
        texts("col.segment"), texts("parted.then"), texts("parted.arrived_col"),
        texts("parted.gone"), texts("parted.by_behaviour"), texts("parted.by_model"),
        texts("parted.now"),
    ]  # fmt: skip
    return Table(columns, rows)
