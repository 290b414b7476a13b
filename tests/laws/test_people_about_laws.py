"""Laws: what is read of one person alone is what is told of everybody, and what is forgotten."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.memory import MemoryWarehouse
from shoal.adapters.memory_store import MemoryStateStore
from shoal.config import IdentityConfig
from shoal.domain.errors import UsageError
from shoal.domain.time import from_us
from shoal.features.admission import ALIAS, CUT, LINK, LINKS_SCHEMA, NEVER_US
from shoal.workflows.admission import Admission
from shoal.workflows.forget_people import Belongings, belongings

NAMES = ("ann", "bob", "cid", "old", "phone", "desk")
TIMES = 12
WAREHOUSE = MemoryWarehouse(DuckEngine(threads=1))

statements = st.lists(
    st.tuples(
        st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(1, TIMES),
        st.sampled_from((LINK, LINK, ALIAS, ALIAS, CUT)),
    ).filter(lambda told: told[0] != told[1]),
    max_size=14,
)  # fmt: skip


def links(told: list[tuple[str, str, int, str]]) -> pa.Table:
    rows = [
        {"id": name, "customer_id": customer, "from_us": us, "sequence": 0, "event_id": f"e{n}",
         "says": says, "source": "web", "kind": "login"}
        for n, (name, customer, us, says) in enumerate(told)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=LINKS_SCHEMA)


@given(statements, st.sampled_from(NAMES), st.integers(1, TIMES + 1), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_one_person_alone_is_the_person_among_all(
    told: list[tuple[str, str, int, str]], asked: str, before_us: int, shared_by: int
) -> None:
    store = MemoryStateStore()
    store.people.replace_links(None, links(told))
    settings = IdentityConfig(shared_by=shared_by)
    admission = Admission(WAREHOUSE, store, people=settings, buckets=4)
    moment = from_us(before_us)
    everybody = admission.decisions(moment).people
    alone = admission.people_about(asked, moment)
    owner = admission.owner_among(everybody, asked)
    assert admission.customer_of(asked, moment) == owner
    for column, name in (("customer_id", owner), ("id", owner), ("id", asked)):
        whole = everybody.filter(pc.equal(everybody[column], name))
        assert alone.filter(pc.equal(alone[column], name)).equals(whole)


def goods(store: MemoryStateStore, asked: str, shared_by: int) -> Belongings | None:
    try:
        return belongings(store, [asked], shared_by)
    except UsageError:
        return None


@given(statements, st.sampled_from(NAMES), st.integers(1, 3))
@settings(max_examples=500, deadline=None)
def test_what_is_forgotten_is_what_is_the_persons(
    told: list[tuple[str, str, int, str]], asked: str, shared_by: int
) -> None:
    store = MemoryStateStore()
    store.people.replace_links(None, links(told))
    found = goods(store, asked, shared_by)
    if found is None:
        return
    people = IdentityConfig(shared_by=shared_by)
    admission = Admission(WAREHOUSE, store, people=people, buckets=4)
    owner = found.own[0]
    everybody = admission.decisions().people
    about = admission.people_about(owner)
    theirs = {row["id"] for row in about.to_pylist() if row["customer_id"] == owner} | {owner}
    nobodys = {row["id"] for row in everybody.to_pylist() if row["customer_id"] is None}
    assert not nobodys & set(found.own)
    # of an id of too many customers the person's stretches go, though they are nobody's
    assert {*found.own, *found.shared} - nobodys == theirs
    assert set(found.people["id"].to_pylist()) == {*found.own, *found.shared}
    for row in found.people.to_pylist():
        if row["id"] in nobodys:
            assert not row["merged"]
            said = [us for name, _, us, says in told if name == row["id"] and says == LINK]
            assert row["from_us"] in said


def test_an_id_told_twice_leads_on() -> None:
    """An id that led to the person as a device first, and was merged then, still leads on."""
    store = MemoryStateStore()
    told = [("d2", "x", 1, LINK), ("x", "A", 2, LINK), ("x", "B", 3, ALIAS), ("B", "A", 4, ALIAS)]
    store.people.replace_links(None, links(told))
    assert set(belongings(store, ["A"], 3).own) == {"A", "B", "x", "d2"}


def test_an_address_of_many_is_nobodys() -> None:
    store = MemoryStateStore()
    many = [("info", f"c{n}", n + 1, ALIAS) for n in range(4)]
    store.people.replace_links(None, links([*many, ("own", "c3", 9, ALIAS)]))
    found = belongings(store, ["c3"], 3)
    assert (set(found.own), found.shared) == ({"c3", "own"}, ())
    assert goods(store, "info", 3) is None
    # where so many may share an id, it is that of the latest
    assert set(belongings(store, ["info"], 4).own) == {"c3", "own", "info"}


def test_an_alias_of_another_ends_a_stretch_on_a_device_of_many() -> None:
    store = MemoryStateStore()
    told = [("till", "ann", 3, LINK), ("till", "bob", 5, ALIAS), ("till", "cid", 8, LINK)]
    store.people.replace_links(None, links(told))

    def spans(name: str) -> list[tuple[int, int]]:
        rows = belongings(store, [name], 2).people.to_pylist()
        return [(row["from_us"], row["to_us"]) for row in rows if row["id"] == "till"]

    assert (spans("ann"), spans("bob"), spans("cid")) == ([(3, 5)], [], [(8, NEVER_US)])
