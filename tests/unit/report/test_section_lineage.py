"""The section on versions: what is drawn, what the tables add up to, and what is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.report import reasons
from tests.unit.report.documents import document, segment
from tests.unit.report.svg import Read

from shoal.report.document_lineage import Lineage, Version, VersionFlow, VersionSegment
from shoal.report.numbers import Numbers
from shoal.report.pages import render
from shoal.report.section_lineage import LineageView, lineage
from shoal.report.section_moves import moves
from shoal.report.story_wording import Teller
from shoal.report.texts import Texts
from shoal.report.wording import Wording

SHOP = document(4)
TELLER = Teller(Wording(SHOP, Texts("en"), Numbers("en", "GBP")))


def view(found: Lineage | None) -> LineageView | None:
    return lineage(TELLER, found)


def seen(found: Lineage) -> LineageView:
    one = view(found)
    assert one is not None
    return one


def made() -> Lineage:
    return reasons.lineage(SHOP.segments)


def number(text: object) -> int:
    return int(str(text).replace(",", "").replace("−", "-").replace("+", ""))


def test_nothing_before_is_said_and_rules_have_no_section() -> None:
    first = Lineage(made().versions[:1])
    assert "kmeans-0001 is the first version" in seen(first).lead
    assert seen(first).plot is None
    assert "cannot be read" in seen(Lineage((), why_not_parted="unreadable")).lead
    assert view(None) is None
    assert 'id="lineage"' not in render(replace(SHOP, lineage=None))


def test_every_flow_is_drawn_and_in_the_table() -> None:
    found = made()
    plot = seen(found).plot
    assert plot is not None
    flows = [one for version in found.versions for one in version.flows]
    assert sum(number(row[3]) for row in plot.table.rows) == sum(one.customers for one in flows)
    bands = Read(plot.drawing).marks("path", "flow")
    assert len(bands) == len([one for one in flows if one.source != "new"])
    stay = [one for one in flows if one.source == one.target != "new"]
    assert len(Read(plot.drawing).marks("path", "quiet")) == len(stay)
    assert len(Read(plot.drawing).texts("strong")) == 3


def test_versions_say_what_the_model_moved() -> None:
    found = made()
    table = seen(found).versions
    assert table is not None
    assert [row[0] for row in table.rows] == ["kmeans-0003", "kmeans-0002", "kmeans-0001"]
    last = found.versions[-1]
    tenths = sum(one.customers // 10 for one in SHOP.segments)
    assert last.moved == tenths == number(table.rows[0][5])
    assert last.compared == sum(one.customers for one in SHOP.segments)
    assert table.rows[-1][5] == "–"


def test_changes_are_told_with_their_segments_and_their_absence_too() -> None:
    one = seen(made())
    assert one.changes is not None
    ((kind, version, out, became, count, sure),) = one.changes.rows
    assert (kind, version, count, sure) == ("split", "kmeans-0002", "120", "87.5\xa0%")
    assert str(out).startswith("s01 ") and " and s04 " in str(became)
    assert one.plot is not None and "1 split" in one.plot.alt
    calm = replace(made(), versions=made().versions[1:])
    calm = replace(calm, versions=(replace(calm.versions[0], changes=()), calm.versions[1]))
    assert seen(calm).changes is None
    assert "every segment went on" in seen(calm).no_changes


def test_movement_by_cause_adds_up_in_every_row() -> None:
    one = seen(made()).parted
    assert one is not None and one.table is not None
    assert "1 moved because they behaved differently" in one.sentences[0]
    for _, then, arrived, gone, behaviour, model, now in one.table.rows:
        assert number(then) + number(arrived) - number(gone) + number(behaviour) + number(
            model
        ) == number(now)


@pytest.mark.parametrize(
    ("why", "said"),
    [("large", "--movement"), ("same_moment", "the same moment"), ("older", "definitions"),
     ("unreadable", "cannot be applied")],
)  # fmt: skip
def test_why_movement_is_not_parted_is_said(why: str, said: str) -> None:
    one = seen(replace(made(), parted=None, why_not_parted=why)).parted
    assert one is not None and one.table is None
    assert said in one.sentences[0]


def test_many_segments_and_versions_stay_readable_and_whole() -> None:
    segments = [segment(place, 50) for place in range(50)]
    base = reasons.lineage(segments).versions[-1]
    versions = tuple(
        replace(base, segmentation_id=f"kmeans-{n:04d}", as_of=base.as_of + timedelta(days=n))
        for n in range(1, 11)
    )
    one = seen(Lineage(versions))
    assert one.plot is not None and one.versions is not None
    drawn = Read(one.plot.drawing)
    assert len(drawn.marks("rect", "node")) == 6 * 13  # twelve by name, and the others
    assert len(one.versions.rows) == 10
    assert "latest 6 versions" in one.plot.note
    shown = sum(number(row[3]) for row in one.plot.table.rows)
    assert shown == 5 * sum(flow.customers for flow in base.flows)


def test_the_tier_is_drawn_where_its_border_was_crossed() -> None:
    named = tuple(VersionSegment(name, name, 10) for name in ("s01", "new"))
    start = reasons.START

    def drawn(*flows: tuple[str, str]) -> list[str]:
        versions = (
            Version("a", start, 20, named),
            Version("b", start + timedelta(days=7), 20, named,
                    flows=tuple(VersionFlow(*pair, 10) for pair in flows)),
        )  # fmt: skip
        plot = seen(Lineage(versions)).plot
        assert plot is not None
        return Read(plot.drawing).texts("ink")

    assert "Too little known 10" in drawn(("s01", "s01"), ("new", "s01"))
    assert not any("little" in text for text in drawn(("s01", "s01"), ("new", "new")))


# --- The membership log ---------------------------------------------------------------------------


def test_the_log_tells_causes_with_what_is_at_stake() -> None:
    one = moves(TELLER, SHOP.story.moves, SHOP.logged)
    assert one is not None and one.causes is not None
    assert "it has 55 changes" in one.logged[0]
    assert "4 of these are later than the moment" in one.logged[-1]
    assert [list(row) for row in one.causes.rows] == [
        ["Their own events", "40", "35", "GBP\xa01,250"],
        ["Silence: time without an event", "12", "12", "GBP\xa099.50"],
        ["A new version of the segments", "3", "3", "GBP\xa00"],
    ]
    assert not any("nobody was followed" in text for text in one.logged)


def test_a_log_of_versions_alone_says_that_nobody_was_followed() -> None:
    assert SHOP.logged is not None
    only = replace(SHOP.logged, causes=SHOP.logged.causes[2:], later=0)
    one = moves(TELLER, SHOP.story.moves, only)
    assert one is not None
    assert "nobody was followed" in one.logged[1]
    bare = moves(TELLER, SHOP.story.moves)
    assert bare is not None and bare.causes is None and not bare.logged
