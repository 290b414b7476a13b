"""Spells: segments as a semi-Markov chain, stages, lineage; recomputed from pieces and events."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.unit.events.worlds.drawn import Drawn, drawn

from shoal.domain import kinds
from shoal.events import worlds
from shoal.events.worlds import truth
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.spells import CAUSES, FADING, PAUSED, RETURN, TRANSITION


@pytest.mark.parametrize("name", ["steady", "drift", "lineage"])
def test_spells_follow_each_other_from_birth_to_the_end(name: str) -> None:
    shop = drawn(name)
    spells = shop.spells()
    who = spells["customer_id"].to_pylist()
    since = spells["since"].cast(pa.int64()).to_numpy() // 1_000_000
    until = spells["until"].cast(pa.int64()).to_numpy() // 1_000_000
    start = int(shop.world.dials.start.timestamp())
    same = np.array([a == b for a, b in pairwise(who)])
    assert np.all(since[1:][same] == until[:-1][same])
    assert np.all(until > since)
    first = np.append(True, ~same)
    born = shop.people.birth_s // DAY_S
    assert np.array_equal(since[first] - start, born * DAY_S)
    end = np.minimum(np.ceil(shop.people.end_s / DAY_S), shop.days)
    last = np.append(~same, True)
    assert np.array_equal(until[last] - start, np.maximum(end, born + 1) * DAY_S)
    # Two spells in a row differ: otherwise they would be one.
    told = list(zip(who, spells["segment"].to_pylist(), spells["stage"].to_pylist(), strict=True))
    cause = spells["cause"].to_pylist()
    for (one, other), why in zip(pairwise(told), cause[1:], strict=True):
        assert one != other or why == "death" or why in ("transition", "split", "merge", "birth")


@pytest.mark.parametrize("name", ["steady", "drift", "lineage", "awkward"])
def test_visits_lie_in_the_life_of_their_customer_and_outside_pauses(name: str) -> None:
    shop = drawn(name)
    visits = shop.sessions()
    day = visits["time_s"] // DAY_S
    piece = shop.piece_at(visits["customer"], day)
    assert np.all(shop.pieces.person[piece] == visits["customer"])
    assert np.all(shop.people.end_s[visits["customer"]] > day * DAY_S)
    # One visit is planted for those who would else never be seen; it may fall into a pause.
    paused = shop.pieces.stage[piece] == PAUSED
    assert paused.mean() < 0.002


@pytest.mark.parametrize("name", ["steady", "lineage"])
def test_every_visit_begins_in_a_spell_of_its_customer(name: str) -> None:
    shop = drawn(name)
    visits = shop.sessions()
    spells = shop.spells()
    who = np.array([int(one[1:]) for one in spells["customer_id"].to_pylist()])
    start = int(shop.world.dials.start.timestamp())
    since, until = (
        spells[name].cast(pa.int64()).to_numpy() // 1_000_000 - start for name in ("since", "until")
    )
    reach = 1 << 32
    place = np.searchsorted(who * reach + since, visits["customer"] * reach + visits["time_s"],
                            side="right") - 1  # fmt: skip
    assert np.array_equal(who[place], visits["customer"])
    assert np.all(visits["time_s"] < until[place])


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_so_many_leavers_fade_as_the_dial_says(share: float) -> None:
    shop = drawn("steady", dials=(("fading", share),))
    faded = np.zeros(len(shop.people.number), bool)
    faded[shop.pieces.person[shop.pieces.stage == FADING]] = True
    end = np.ceil(shop.people.end_s / DAY_S)
    # Who comes once or stays less than a newcomer's weeks and a month has no time to.
    since = np.where(shop.people.established, 0, shop.people.birth_s // DAY_S + 21)
    gone = shop.people.end_s < shop.days * DAY_S
    leaves = ~shop.people.one_off & gone & (end - 30 > since)
    assert not faded[~leaves].any()
    # A pause that lasts to the end hides it.
    assert faded[leaves].mean() == pytest.approx(share, abs=0.07)


def test_pauses_end_with_a_return_and_look_like_drop_out() -> None:
    shop = drawn("steady")
    pieces = shop.pieces
    spell = np.flatnonzero(pieces.opens)
    until = pieces.until[np.append(spell[1:], len(pieces.person)) - 1]
    away = np.flatnonzero(pieces.stage[spell] == PAUSED)
    follows = np.append(pieces.person[spell][1:] == pieces.person[spell][:-1], False)[away]
    # The others leave, or the log ends, while they are away.
    end = np.minimum(np.ceil(shop.people.end_s / DAY_S), shop.days)
    assert np.all(until[away[~follows]] == end[pieces.person[spell[away[~follows]]]])
    assert len(away) > 1_000
    assert np.all(pieces.cause[spell[away[follows] + 1]] == RETURN)
    length = until[away] - pieces.since[spell[away]]
    assert 25 <= np.median(length[follows]) <= 45
    # A regular customer silent for 30 days at the end: paused, or gone, or neither.
    end = shop.days - 1
    at_end = shop.piece_at(
        np.arange(len(shop.people.number)), np.full(len(shop.people.number), end)
    )
    regular = ~shop.people.one_off
    last_seen = np.full(len(regular), -1)
    np.maximum.at(last_seen, shop.rows["customer"], shop.rows["time_s"] // DAY_S)
    silent = regular & (last_seen < end - 30) & (last_seen >= end - 60)
    gone = shop.people.end_s[silent] < end * DAY_S
    paused = ~gone & (pieces.stage[at_end[silent]] == PAUSED)
    assert gone.mean() > 0.1
    assert paused.mean() > 0.1


def test_customers_move_by_the_declared_weights_and_not_without_memory() -> None:
    shop = drawn("drift", blocks=4)
    world, pieces = shop.world, shop.pieces
    moves = np.flatnonzero(pieces.cause == TRANSITION)
    moves = moves[pieces.opens[moves]]
    k = len(world.segments)
    seen = np.zeros((k, k))
    np.add.at(seen, (pieces.segment[moves - 1], pieces.segment[moves]), 1)
    wanted = np.array(world.transitions, float)
    assert np.all(seen[wanted == 0] == 0)
    wanted /= wanted.sum(axis=1, keepdims=True)
    n = seen.sum(axis=1, keepdims=True)
    error = 4.5 * np.sqrt(np.maximum(wanted * (1 - wanted), 1e-9) / n) + 1 / n
    assert np.all(np.abs(seen / n - wanted) < error)
    # Stays that began and ended in the log: a gamma of shape 3 has few short ones.
    stay = np.unique(pieces.stay[moves])
    assert len(stay) > 1_000
    began = pieces.since[moves]
    again = np.append(pieces.person[moves][1:] == pieces.person[moves][:-1], False)
    length = np.append(began[1:] - began[:-1], 0)[again]
    assert np.mean(length < 12) < 0.05


def members(shop: Drawn, day: int) -> np.ndarray:
    """Segment of every customer there on a day, -1 for the others."""
    people = shop.people
    n = len(people.number)
    piece = shop.piece_at(np.arange(n), np.full(n, day))
    here = (people.birth_s < day * DAY_S) & (people.end_s > (day + 1) * DAY_S) & ~people.one_off
    return np.where(here, shop.pieces.segment[piece], -1)


def test_segments_split_merge_appear_and_vanish_on_their_dates() -> None:
    shop = drawn("lineage", blocks=3)
    world = shop.world
    place = world.place
    for change in world.changes:
        day = change.day(shop.days)
        before, after = members(shop, day - 1), members(shop, day)
        both = (before >= 0) & (after >= 0)
        before, after = before[both], after[both]
        parents = [place(name) for name in change.parents]
        children = [place(name) for name in change.children]
        concerned = np.isin(before, parents)
        assert not np.isin(members(shop, day + 20), parents).any()
        if change.change == "split":
            assert np.all(np.isin(after[concerned], children))
            share = np.mean(after[concerned] == children[0])
            assert share == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(concerned.sum()))
        if change.change == "merge":
            assert concerned.sum() > 100
            assert np.all(after[concerned] == children[0])
        if change.change == "birth":
            concerned = after == children[0]
            error = 4 * np.sqrt(0.12 * 0.88 / len(after))
            assert concerned.mean() == pytest.approx(0.12, abs=error)
        if change.change == "death":
            assert len(np.unique(after[concerned])) == 7  # all others that exist
        if change.change != "birth":
            assert np.array_equal(before[~concerned], after[~concerned])


def test_the_lineage_table_says_what_happened_and_when() -> None:
    world = worlds.load("lineage")
    rows = truth.truth_lineage(world, 200).to_pylist()
    assert [(row["change"], (row["at"] - world.dials.start).days) for row in rows] == [
        ("split", 90), ("merge", 116), ("birth", 142), ("death", 168),
    ]  # fmt: skip
    assert rows[0]["parents"] == ["fashion_returners"]
    assert rows[0]["children"] == ["trend_followers", "wardrobe_refreshers"]
    table = truth.truth_segments(world, 200).to_pylist()
    days = {
        row["name"]: ((row["exists_from"] - world.dials.start).days,
                      (row["exists_until"] - world.dials.start).days)
        for row in table
    }  # fmt: skip
    assert days["trend_followers"] == (90, 200)
    assert days["fashion_returners"] == (0, 90)
    assert days["weekend_browsers"] == (0, 168)


def test_children_of_a_split_behave_apart() -> None:
    shop = drawn("lineage", blocks=3)
    rows = shop.of(kinds.VIEW)
    day = shop.world.changes[0].day(shop.days)
    rows = rows[rows["time_s"] > day * DAY_S]
    segment = shop.segment_of(rows)
    a, b = (segment == shop.world.place(n) for n in ("trend_followers", "wardrobe_refreshers"))
    evening = rows["time_s"] % DAY_S >= 20 * 3600
    assert evening[a].mean() > evening[b].mean() + 0.3


def test_who_is_where_at_a_moment() -> None:
    shop = drawn("lineage")
    spells = shop.spells()
    for day in (0, 57, 131, 199):
        found = truth.segment_at(spells, shop.world.dials.start + timedelta(days=day, seconds=1))
        number = np.array([int(one[1:]) for one in found["customer_id"].to_pylist()])
        assert len(np.unique(number)) == len(number)
        piece = shop.piece_at(number, np.full(len(number), day))
        names = [shop.world.segments[place].name for place in shop.pieces.segment[piece]]
        assert found["segment"].to_pylist() == names
        people = shop.people
        there = (people.birth_s // DAY_S <= day) & (people.end_s > day * DAY_S)
        assert np.array_equal(np.sort(number), np.flatnonzero(there))


def test_causes_are_those_documented() -> None:
    causes = pc.unique(drawn("lineage").spells()["cause"]).to_pylist()
    assert set(causes) <= set(CAUSES)
    assert {"start", "split", "merge", "birth", "death", "pause", "return", "fades"} <= set(causes)
