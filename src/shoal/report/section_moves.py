"""The section on movement: who was in which segment at an earlier date, and who is where now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.domain.segment import TIER_NEW, VERSION
from shoal.report.document_lineage import Logged
from shoal.report.document_story import Flow, Moves
from shoal.report.draw import Flow as Link
from shoal.report.draw import Node, flows
from shoal.report.names import clean, clipped
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table

#: Segments that the diagram shows by name, and rows of its table.
_NODES: Final = 12
_ROWS: Final = 150
#: A place for all segments that have none of their own in the diagram.
_OTHERS: Final = "\x00others"


@dataclass(frozen=True)
class MovesView:
    """What the template shows; without a plot, `lead` says why there is none."""

    lead: str
    plot: Plot | None = None
    standings: Table | None = None
    notes: Sequence[str] = ()
    logged: Sequence[str] = ()
    causes: Table | None = None


def moves(teller: Teller, found: Moves | None, logged: Logged | None = None) -> MovesView | None:
    """The section; None where there is nothing to say."""
    log = (_logged(teller, logged), _causes(teller, logged)) if logged else ((), None)
    if found is None:
        why = teller.absent("moves")
        return MovesView(why, None, None, (), *log) if why else None
    texts = teller.wording.texts
    span = teller.span(found)
    lead = texts("moves.lead", **span)
    end = texts("moves.foreknown", day=span["day"]) if found.foreknown else ""
    note = texts("moves.note", **span)
    if not found.whole:
        note = texts("moves.not_whole", **span)
    lead = texts("punct.between").join(filter(None, (lead, end)))
    return MovesView(lead, _plot(teller, found), _standings(teller, found), [note], *log)


def _logged(teller: Teller, found: Logged) -> list[str]:
    """What the membership log holds since the date, in sentences."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    count = sum(one.changes for one in found.causes)
    changes = texts.counted("change", count, numbers.count(count))
    said = [texts("logged.lead", day=teller.day(found.since), changes=changes)]
    if count and {one.cause for one in found.causes} == {VERSION}:
        said.append(texts("logged.only_versions"))
    if found.later:
        said.append(texts("logged.later", n=numbers.count(found.later)))
    return said


def _causes(teller: Teller, found: Logged) -> Table | None:
    """Changes by their recorded cause, and what these customers brought of late."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    if not found.causes:
        return None
    rows = []
    for one in found.causes:
        key = f"logged.cause.{one.cause}"
        rows.append(
            [
                texts(key) if texts.known(key) else clean(one.cause, 40),
                numbers.count(one.changes), numbers.count(one.customers),
                teller.worth_cell(one.worth),
            ]
        )  # fmt: skip
    days = teller.days(found.window_days)
    columns = [
        texts("logged.col.cause"), texts("logged.col.changes"), texts("col.customers"),
        texts("stake.worth", what=teller.worth_noun(), days=days),
    ]  # fmt: skip
    return Table(columns, rows)


def _plot(teller: Teller, found: Moves) -> Plot:
    texts = teller.wording.texts
    day = teller.day(found.since)
    return Plot(
        key="moves",
        title=texts("moves.figure", day=day),
        drawing=flows(
            *_diagram(teller, found),
            _alt(teller, found, day),
            heads=[clean(day), texts("moves.now")],
        ),
        table=_table(teller, found),
        wide=True,
    )


def _alt(teller: Teller, found: Moves, day: str) -> str:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    if not found.changes:
        return texts("moves.alt_none", day=day)
    first = found.changes[0]
    return texts(
        "moves.alt",
        day=day,
        kept=teller.customers(found.kept),
        changed=numbers.count(found.changed),
        n=numbers.count(first.customers),
        source=teller.quoted(first.source),
        target=teller.quoted(first.target),
    )


def _diagram(teller: Teller, found: Moves) -> tuple[list[list[Node]], list[Link]]:
    """Nodes of both dates in the same order, and the bands between them."""
    own = _shown(teller, found)
    merged: dict[tuple[str, str], int] = {}
    for one in found.flows:
        pair = (own.get(one.source, _OTHERS), own.get(one.target, _OTHERS))
        merged[pair] = merged.get(pair, 0) + one.customers
    order = [*dict.fromkeys(own[name] for name in teller.order if name in own), _OTHERS]
    columns, places = [], []
    for side, nobody in ((0, "moves.unknown"), (1, "moves.gone")):
        sums: dict[str, int] = {}
        for pair, n in merged.items():
            sums[pair[side]] = sums.get(pair[side], 0) + n
        names = [name for name in (*order, "") if sums.get(name)]
        columns.append(
            [
                Node(_label(teller, name, nobody), teller.wording.numbers.short_count(sums[name]))
                for name in names
            ]
        )
        places.append({name: place for place, name in enumerate(names)})
    links = [
        Link(
            0, places[0][source], places[1][target], float(n), _said(teller, source, target, n),
            quiet=source == target,
        )
        for (source, target), n in sorted(merged.items())
    ]  # fmt: skip
    return columns, links


def _shown(teller: Teller, found: Moves) -> dict[str, str]:
    """Which place each segment has in the diagram: its own, or that of all the others."""
    sizes = {one.segment_id: one.then + one.now for one in found.standings}
    ranked = sorted(sizes, key=lambda name: (name != TIER_NEW, -sizes[name], name))
    kept = set(ranked if len(ranked) <= _NODES + 1 else ranked[:_NODES])
    return {"": "", **{name: name for name in ranked if name in kept}}


def _label(teller: Teller, name: str, nobody: str) -> str:
    texts = teller.wording.texts
    if name == _OTHERS:
        return texts("moves.others")
    return teller.name(name) if name else texts(nobody)


def _said(teller: Teller, source: str, target: str, n: int) -> str:
    texts = teller.wording.texts
    customers = teller.customers(n)
    if source == target:
        return texts(
            "moves.stayed", name=_label(teller, source, "moves.unknown"), customers=customers
        )
    return texts(
        "moves.went",
        source=_label(teller, source, "moves.unknown"),
        target=_label(teller, target, "moves.gone"),
        customers=customers,
    )


def _table(teller: Teller, found: Moves) -> Table:
    """Every flow, the largest first; where there are very many, the small ones in one row."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    then = {one.segment_id: one.then for one in found.standings}
    ranked = sorted(found.flows, key=lambda one: (-one.customers, one.source, one.target))
    rows = [
        [
            clipped(_label(teller, one.source, "moves.unknown")),
            clipped(_label(teller, one.target, "moves.gone")),
            numbers.count(one.customers),
            numbers.share(one.customers / then[one.source] if then.get(one.source) else None),
        ]
        for one in ranked[:_ROWS]
    ]
    rest = sum(one.customers for one in ranked[_ROWS:])
    if rest:
        rows.append([texts("moves.rest"), "", numbers.count(rest), ""])
    columns = [
        texts("moves.from"), texts("moves.to"), texts("col.customers"), texts("moves.share"),
    ]  # fmt: skip
    return Table(columns, rows, text_columns=frozenset({0, 1}))


def _standings(teller: Teller, found: Moves) -> Table:
    """Size and worth of each segment then and now; the last row adds them up."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    known = {one.segment_id: one for one in found.standings}
    order = [name for name in teller.order if name in known]
    counted = ["then", "stayed", "joined", "new", "left", *(["gone"] if found.gone else []), "now"]
    rows, links = [], []
    for name in order:
        one = known[name]
        row = [clipped(teller.name(name)), *(numbers.count(getattr(one, what)) for what in counted)]
        if found.whole:
            row += _worth(teller, one.worth_now, one.worth_then)
        rows.append(row)
        links.append(teller.segments[name][1] if name in teller.segments else None)
    added = [sum(getattr(one, what) for one in found.standings) for what in counted]
    row = [texts("moves.all"), *(numbers.count(value) for value in added)]
    if found.whole:
        then = sum(one.worth_then for one in found.standings)
        row += _worth(teller, sum(one.worth_now for one in found.standings), then)
    columns = [texts("col.segment"), *(texts(f"moves.col.{what}") for what in counted)]
    if found.whole:
        what = teller.worth_title()
        columns += [texts("moves.col.worth_then", what=what),
                    texts("moves.col.worth_now", what=what), texts("moves.col.change")]  # fmt: skip
    return Table(columns, [*rows, row], links=[*links, None])


def _worth(teller: Teller, now: float, then: float) -> list[str]:
    numbers = teller.wording.numbers
    return [numbers.count(then), numbers.count(now), teller.change(now, then)]


def moved(teller: Teller, found: Moves, before: Moves | None, segment_id: str) -> list[str]:
    """What became of one segment since the date, in sentences."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    one = found.standing(segment_id)
    if one is None:
        return []
    said = [
        texts(
            "profile.moved",
            then=teller.customers(one.then),
            now=numbers.count(one.now),
            joined=numbers.count(one.joined),
            new=numbers.count(one.new),
            left=numbers.count(one.left),
        )
    ]
    for key, end, other in (
        ("profile.moved_from", "target", "source"),
        ("profile.moved_to", "source", "target"),
    ):
        most = _most(found.flows, segment_id, end, other)
        if most:
            name = teller.quoted(getattr(most, other))
            said.append(texts(key, name=name, n=numbers.count(most.customers)))
    earlier = before.standing(segment_id) if before else None
    if before and earlier:
        held = teller.customers(earlier.then)
        said.append(texts("profile.moved_before", days=teller.days(before.days), customers=held))
    if found.whole:
        said.append(
            texts(
                "profile.moved_worth",
                now=teller.worth(one.worth_now),
                then=teller.worth(one.worth_then),
                change=teller.change(one.worth_now, one.worth_then),
                days=teller.days(found.days),
            )
        )
    return said


def _most(flows: Sequence[Flow], segment_id: str, end: str, other: str) -> Flow | None:
    """The largest flow of one segment from, or to, another."""
    own = [
        one
        for one in flows
        if getattr(one, end) == segment_id and getattr(one, other) not in ("", segment_id)
    ]
    return max(own, key=lambda one: (one.customers, one.source, one.target), default=None)
