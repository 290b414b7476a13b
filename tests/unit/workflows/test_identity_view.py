"""What is told of how a person came together, and un-merging, over a small shop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.shops import BUCKETS, ZONE, Shop, write_csv

from shoal.config import IdentityConfig
from shoal.domain.errors import InputError, UsageError
from shoal.workflows.admission import Admission
from shoal.workflows.identity_view import Identity
from shoal.workflows.person import person
from shoal.workflows.unmerge import unmerge

START = datetime(2024, 5, 1, 10, tzinfo=UTC)
COLUMNS = ("event_id", "event_time", "kind", "source", "customer_id", "anonymous_id", "item_id",
           "device", "channel", "properties")  # fmt: skip


def row(n: int, us: int, kind: str, who: str = "", on: str = "", **more: str) -> dict[str, Any]:
    """An event `us` microseconds after the start."""
    moment = (START + timedelta(microseconds=us)).isoformat()
    return {"event_id": f"e{n}", "event_time": moment, "kind": kind, "source": "web",
            "customer_id": who, "anonymous_id": on, **more}  # fmt: skip


MINUTE = 60_000_000


class People:
    """A shop, with what tells of its persons."""

    def __init__(self, directory: Path, shared_by: int = 20) -> None:
        self.directory = directory
        self.shop = Shop(directory / "shop")
        settings = IdentityConfig(shared_by=shared_by)
        admission = Admission(
            self.shop.warehouse, self.shop.store, people=settings, buckets=BUCKETS
        )
        self.identity = Identity(
            self.shop.warehouse, self.shop.store, admission, self.shop.fold, ZONE, BUCKETS
        )

    def tell(self, *rows: dict[str, Any]) -> None:
        """Bring rows in, as one file."""
        name = f"{rows[0]['event_id']}.csv"
        self.shop.ingest(write_csv(self.directory / name, rows, COLUMNS))

    def id(self, asked: str, name: str) -> dict[str, Any]:
        """What the view of `asked` says of one of the ids."""
        return next(one for one in self.identity.view(asked)["ids"] if one["id"] == name)

    def known(self, asked: str) -> dict[str, Any]:
        """`shoal person` without what `shoal customer` tells."""
        return person(self.identity, asked, None, self.shop.quarantine_dir)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    made = People(tmp_path)
    yield made
    made.shop.close()


SHARED = (
    row(1, 0, "view", on="phone", item_id="i1"),
    row(2, 5 * MINUTE, "login", "ann", "phone", device="ios"),
    row(3, 20 * MINUTE, "profile", on="phone", properties='{"plan":"free"}'),
    row(4, 30 * MINUTE + 1, "login", "bob", "phone"),
    row(5, 30 * MINUTE + 1, "view", on="phone", item_id="i2"),
    row(6, 30 * MINUTE + 2, "profile", on="phone", properties='{"plan":"gold"}'),
)


def test_each_id_brings_its_own_part_of_a_shared_device(people: People) -> None:
    people.tell(*SHARED)
    assert people.id("ann", "phone")["events"] == 2
    assert people.id("bob", "phone")["events"] == 2
    assert people.id("ann", "ann")["events"] == 1
    assert people.id("ann", "ann")["devices"] == ["ios"]
    assert people.identity.view("phone")["customer_id"] == "bob"


def test_traits_are_those_of_the_persons_own_part(people: People) -> None:
    people.tell(*SHARED)
    found = {who: people.identity.view(who)["traits"][0]["value"] for who in ("ann", "bob")}
    assert found == {"ann": "free", "bob": "gold"}
    assert [one["value"] for one in people.known("ann")["traits"]] == ["free"]


def test_what_is_known_of_a_person_ends_at_the_microsecond(people: People) -> None:
    people.tell(*SHARED)
    ids = {who: [one["event_id"] for one in people.known(who)["events"]] for who in ("ann", "bob")}
    assert ids == {"ann": ["e1", "e2", "e3"], "bob": ["e4", "e5", "e6"]}


def test_what_is_known_of_a_person_names_nobody_else(people: People) -> None:
    people.tell(*SHARED)
    broken = row(7, 0, "view", "bob", "phone", item_id="i3") | {"event_time": "not a time"}
    mine = row(8, 0, "view", "ann", "phone", item_id="i4") | {"event_time": "not a time"}
    good = row(9, 31 * MINUTE, "view", "ann", item_id="i5")
    people.tell(broken, mine, good)
    known = people.known("ann")
    assert len(known["quarantined"]) == 1
    assert '"e8"' in known["quarantined"][0]["raw"]
    assert "bob" not in str(known)
    assert "bob" in str(people.identity.view("ann"))


def test_a_device_of_many_is_told_as_refused(tmp_path: Path) -> None:
    people = People(tmp_path, shared_by=2)
    people.tell(
        row(1, 0, "login", "ann", "till"),
        row(2, 1, "login", "bob", "till"),
        row(3, 2, "login", "cid", "till"),
        row(4, 3, "view", on="till", item_id="i1"),
    )
    found = people.identity.view("ann")
    assert found["refused"] == [{"id": "till", "customers": 3}]
    assert [one["id"] for one in found["ids"]] == ["ann"]
    assert {one["customer_id"] for one in found["told"]} == {"ann"}
    till = people.identity.view("till")
    assert (till["customer_id"], till["refused"]) == ("till", [{"id": "till", "customers": 3}])
    assert till["ids"][0]["events"] == 1
    with pytest.raises(UsageError, match="'till' is not joined to 'ann'"):
        unmerge(people.identity, "ann", "till")
    people.shop.close()


def test_an_earlier_owner_of_a_device_is_taken_off_it(people: People) -> None:
    people.tell(*SHARED)
    told = unmerge(people.identity, "ann", "phone")
    assert told["customer_id"] == "bob"
    # who is first on the device now also gets what came before
    assert people.id("bob", "phone")["events"] == 4
    assert [one["id"] for one in people.identity.view("ann")["ids"]] == ["ann"]
    assert [one["says"] for one in people.identity.view("ann")["told"]] == ["link", "cut"]


def test_unmerging_leaves_states_as_if_they_had_never_been_joined(tmp_path: Path) -> None:
    before = (row(1, 0, "view", on="phone", item_id="i1"), row(2, 9, "view", "ann"))
    people, apart = People(tmp_path / "a"), People(tmp_path / "b")
    people.tell(*before)
    apart.tell(*before)
    assert set(people.shop.states()) == {"ann"}
    people.tell(row(3, MINUTE, "login", "ann", "phone"))
    joined = people.shop.states()
    unmerge(people.identity, "ann", "phone")
    # the sign-in is an event of the customer's own; on the device it tells nothing any more
    apart.tell(row(3, MINUTE, "login", "ann"))
    assert people.shop.states() == apart.shop.states() != joined
    people.shop.rebuild()
    assert people.shop.states() == apart.shop.states()
    people.tell(row(4, 2 * MINUTE, "login", "ann", "phone"))
    assert people.id("ann", "phone")["events"] == 1
    for one in (people, apart):
        one.shop.close()


def test_a_circle_of_aliases_comes_apart(people: People) -> None:
    says = '{"alias":true}'
    people.tell(
        row(1, 0, "login", "ann", "old", properties=says),
        row(2, 1, "login", "old", "ann", properties=says),
        row(3, 2, "login", "ann", "old", properties=says),
        row(4, 3, "view", "old", item_id="i"),
    )
    assert people.identity.view("old")["customer_id"] == "old"
    assert people.id("old", "ann")["role"] == "merged"
    unmerge(people.identity, "old", "ann")
    assert people.identity.view("ann")["customer_id"] == "ann"
    assert people.identity.view("old")["customer_id"] == "old"


def test_a_customer_whose_id_is_also_a_device_stays_a_customer(people: People) -> None:
    people.tell(
        row(1, 0, "purchase", "ann", item_id="i1"),
        row(2, 1, "login", "bob", "ann"),
        row(3, 2, "view", on="ann", item_id="i2"),
    )
    assert people.identity.view("ann")["customer_id"] == "ann"
    assert people.id("ann", "ann")["events"] == 1
    assert people.id("bob", "ann")["events"] == 1


def test_an_id_of_which_nothing_is_told(people: People) -> None:
    with pytest.raises(InputError, match="holds no event yet"):
        people.identity.view("ann")
    people.tell(row(1, 0, "view", on="phone", item_id="i1"))
    assert people.id("phone", "phone")["role"] == "anonymous"
    with pytest.raises(UsageError, match="the shop knows no id 'ann'") as raised:
        people.identity.view("ann")
    assert raised.value.code == "unknown_customer"
    with pytest.raises(UsageError, match="with an event before 2024-05-01T10:00:00Z"):
        people.identity.view("phone", START)
    with pytest.raises(UsageError, match="'tablet' is not joined to 'phone'"):
        unmerge(people.identity, "phone", "tablet")
