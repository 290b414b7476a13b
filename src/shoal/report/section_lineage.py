"""The section on the versions that led to the segments, and what became of each segment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from shoal.domain.segment import TIER_NEW
from shoal.report.document_lineage import Lineage, Parted, Version, VersionChange
from shoal.report.draw import Flow, Node, flows
from shoal.report.names import clean
from shoal.report.numbers import MISSING
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table

#: Versions that the diagram shows, the latest; segments of each by name; rows of its table.
_VERSIONS: Final = 6
_NODES: Final = 12
_ROWS: Final = 150
#: Versions and changes that the tables hold, the latest.
_LISTED: Final = 60
#: Pixels that a step takes at least where there are several.
_STEP: Final = 230
_OTHERS: Final = "\x00others"
_CHANGES: Final = ("split", "merge", "birth", "death")


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
        _plot(teller, found),
        _versions(teller, found),
        changes,
        "" if changes else texts("lineage.no_changes"),
        _parted(teller, found),
    )


# --- The diagram ----------------------------------------------------------------------------------


def _plot(teller: Teller, found: Lineage) -> Plot:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    shown = found.versions[-_VERSIONS:]
    columns, links = _diagram(teller, shown)
    left_out = len(found.versions) - len(shown)
    return Plot(
        key="lineage",
        title=texts("lineage.figure"),
        drawing=flows(
            columns,
            links,
            _alt(teller, found),
            heads=[clean(teller.day(one.as_of)) for one in shown],
            height=max(260, 26 * max(len(one) for one in columns)),
            width=_STEP * (len(shown) - 1) if len(shown) > 2 else 0,
        ),
        table=_flows(teller, shown),
        note=texts("lineage.latest", n=numbers.count(len(shown))) if left_out else "",
        wide=True,
    )


def _alt(teller: Teller, found: Lineage) -> str:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    last = found.versions[-1]
    counted = Counter(
        one.kind for version in found.versions for one in version.changes if one.kind in _CHANGES
    )
    events = [
        texts.counted(kind, counted[kind], numbers.count(counted[kind]))
        for kind in _CHANGES
        if counted[kind]
    ]
    told = texts("lineage.alt_events", events=texts.listed(events))
    return texts(
        "lineage.alt",
        n=numbers.count(len(found.versions)),
        first=teller.day(found.versions[0].as_of),
        last=teller.day(last.as_of),
        moved=numbers.count(last.moved),
        compared=teller.customers(last.compared),
        events=told if events else texts("lineage.alt_none"),
    )


def _diagram(teller: Teller, shown: Sequence[Version]) -> tuple[list[list[Node]], list[Flow]]:
    """Nodes of each version, in the same order, and the bands between them.

    Sizes are of the flows that touch a node; the tier of the too little known is there only where
    somebody crosses its border.
    """
    steps = [_merged(before, after) for before, after in pairwise(shown)]
    ids: dict[str, None] = {}
    for step in steps:
        ids |= dict.fromkeys(name for pair in step for name in pair)
    order = sorted(ids, key=lambda name: (name == TIER_NEW, name == _OTHERS, name))
    columns, places = [], []
    for place, version in enumerate(shown):
        sizes = _sizes(steps, place)
        names = [name for name in order if sizes.get(name)]
        ends = place in (0, len(shown) - 1)
        columns.append([_node(teller, version, name, sizes[name], ends) for name in names])
        places.append({name: at for at, name in enumerate(names)})
    links = [
        Flow(
            step, places[step][source], places[step + 1][target], float(n),
            teller.wording.texts(
                "lineage.said", source=_name(teller, shown[step], source),
                target=_name(teller, shown[step + 1], target),
                version=clean(shown[step + 1].segmentation_id, 40),
                n=teller.wording.numbers.count(n),
            ),
            quiet=source == target,
        )
        for step, merged in enumerate(steps)
        for (source, target), n in sorted(merged.items())
    ]  # fmt: skip
    return columns, links


def _merged(before: Version, after: Version) -> dict[tuple[str, str], int]:
    """Flows of a step, those of small segments together."""
    crossed = any((one.source == TIER_NEW) != (one.target == TIER_NEW) for one in after.flows)
    own = [_kept(before, crossed), _kept(after, crossed)]
    merged: dict[tuple[str, str], int] = {}
    for one in after.flows:
        if one.source == one.target == TIER_NEW:
            continue
        pair = (
            one.source if one.source in own[0] else _OTHERS,
            one.target if one.target in own[1] else _OTHERS,
        )
        merged[pair] = merged.get(pair, 0) + one.customers
    return merged


def _kept(version: Version, crossed: bool) -> set[str]:
    proper = [one for one in version.segments if one.segment_id != TIER_NEW]
    ranked = sorted(proper, key=lambda one: (-one.customers, one.segment_id))
    kept = ranked if len(ranked) <= _NODES + 1 else ranked[:_NODES]
    return {one.segment_id for one in kept} | ({TIER_NEW} if crossed else set())


def _sizes(steps: Sequence[dict[tuple[str, str], int]], place: int) -> dict[str, int]:
    """The greater of what reaches and what leaves each node of a column."""
    found: dict[str, int] = {}
    for step, side in ((place - 1, 1), (place, 0)):
        if not 0 <= step < len(steps):
            continue
        sums: dict[str, int] = {}
        for pair, n in steps[step].items():
            sums[pair[side]] = sums.get(pair[side], 0) + n
        for name, n in sums.items():
            found[name] = max(found.get(name, 0), n)
    return found


def _node(teller: Teller, version: Version, name: str, size: int, ends: bool) -> Node:
    """A node; between the first and the last column there is room for the id alone."""
    label = _name(teller, version, name)
    if not ends and name not in (_OTHERS, TIER_NEW):
        label = clean(name, 12)
    return Node(label, teller.wording.numbers.short_count(size))


def _name(teller: Teller, version: Version, name: str) -> str:
    """Id and name of a segment as a version had it."""
    if name == _OTHERS:
        return teller.wording.texts("lineage.others")
    if name == TIER_NEW:
        return teller.wording.texts("tier.name")
    known = next((one.name for one in version.segments if one.segment_id == name), "")
    return f"{clean(name, 12)} {clean(known, 60)}" if known else clean(name, 12)


def _flows(teller: Teller, shown: Sequence[Version]) -> Table:
    """Every flow of the versions that are drawn, the latest step and the largest first."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    rows: list[list[str]] = []
    rest = 0
    for before, after in reversed(list(pairwise(shown))):
        whole: dict[str, int] = {}
        for one in after.flows:
            whole[one.source] = whole.get(one.source, 0) + one.customers
        for one in sorted(after.flows, key=lambda one: (-one.customers, one.source, one.target)):
            if len(rows) >= _ROWS:
                rest += one.customers
                continue
            rows.append(
                [
                    clean(after.segmentation_id, 40), _name(teller, before, one.source),
                    _name(teller, after, one.target), numbers.count(one.customers),
                    numbers.share(one.customers / whole[one.source]),
                ]
            )  # fmt: skip
    if rest:
        rows.append([texts("lineage.rest"), "", "", numbers.count(rest), ""])
    columns = [
        texts("lineage.step"), texts("lineage.from"), texts("lineage.to"), texts("col.customers"),
        texts("lineage.share"),
    ]  # fmt: skip
    return Table(columns, rows, text_columns=frozenset({0, 1, 2}))


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
            if change.kind in _CHANGES:
                yield before, after, change


def _listed(teller: Teller, version: Version, names: Sequence[str]) -> str:
    if not names:
        return MISSING
    return teller.wording.texts.listed([_name(teller, version, name) for name in names])


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
                _name(teller, known, name), numbers.count(then), numbers.count(arrived),
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
