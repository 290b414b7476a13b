"""The diagram of versions: who went from which segment to which, and the same as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from shoal.domain.segment import TIER_NEW
from shoal.report.document_lineage import Lineage, Version
from shoal.report.draw import Flow, Node, flows
from shoal.report.names import clean
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table

#: What happens to segments beside going on.
CHANGES: Final = ("split", "merge", "birth", "death")
#: Versions that the diagram shows, the latest; segments of each by name; rows of its table.
_VERSIONS: Final = 6
_NODES: Final = 12
_ROWS: Final = 150
#: Pixels that a step takes at least where there are several.
_STEP: Final = 230
_OTHERS: Final = "\x00others"


def plot(teller: Teller, found: Lineage) -> Plot:
    """The diagram of the latest versions, with its table of flows."""
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
        one.kind for version in found.versions for one in version.changes if one.kind in CHANGES
    )
    events = [
        texts.counted(kind, counted[kind], numbers.count(counted[kind]))
        for kind in CHANGES
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
                "lineage.said", source=name_of(teller, shown[step], source),
                target=name_of(teller, shown[step + 1], target),
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
    label = name_of(teller, version, name)
    if not ends and name not in (_OTHERS, TIER_NEW):
        label = clean(name, 12)
    return Node(label, teller.wording.numbers.short_count(size))


def name_of(teller: Teller, version: Version, name: str) -> str:
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
                    clean(after.segmentation_id, 40), name_of(teller, before, one.source),
                    name_of(teller, after, one.target), numbers.count(one.customers),
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
