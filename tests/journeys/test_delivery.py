"""Lists for other systems: forms, consents, differences, control groups, and what they made."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal

from shoal import shop as face
from shoal.cli.main import run
from shoal.features.sequences import read_rows

CUSTOMERS = 120
LATER = datetime(2024, 4, 1, tzinfo=UTC)
#: Who has an odd id: a spreadsheet would take it for a formula.
ODD = "=1+1"


def name_of(n: int) -> str:
    return ODD if n == 7 else f"c{n:03d}"


def refuses(n: int) -> bool:
    """Who said no to the only thing that was asked."""
    return n % 6 == 0


def reachable(n: int) -> bool:
    """Who told an address; customer 10 did before signing in, on a telephone."""
    return n % 10 > 0 or n == 10


def events_of(n: int) -> Iterator[dict[str, Any]]:
    """Customers of three kinds by how often they buy; most can be reached, some said no."""
    who, orders = name_of(n), (1, 3, 8)[n % 3]
    for k in range(orders):
        day = 1 + (n * 7 + k * 5) % 56
        yield {
            "event_time": f"2024-{1 + day // 30:02d}-{1 + day % 28:02d}T{8 + n % 12:02d}:00:00Z",
            "kind": "purchase", "customer_id": who, "order_id": f"o{n}-{k}", "item_id": f"i{k}",
            "price": 5.0 + 20 * (n % 3) + k, "currency": "EUR", "quantity": 1,
        }  # fmt: skip
    if n % 10:
        traits = {"email": f"{n}@shop.example", "firstName": "=Ann" if n == 8 else "Ann"}
        traits |= {"phone": f"+44 20 7946 {n:04d}"} if n % 2 else {}
        yield {"event_time": "2024-01-01T09:00:00Z", "kind": "profile", "customer_id": who,
               "properties": traits}  # fmt: skip
    if n == 10:
        yield {"event_time": "2024-01-01T09:00:00Z", "kind": "profile", "anonymous_id": "phone-10",
               "properties": {"email": "10@shop.example", "first_name": "Ann"}}  # fmt: skip
        yield {"event_time": "2024-01-01T09:30:00Z", "kind": "login", "anonymous_id": "phone-10",
               "customer_id": who}  # fmt: skip
    if n % 5 and not n % 2:
        yield {"event_time": "2024-01-02T09:00:00Z", "kind": "consent", "customer_id": who,
               "channel": "email", "properties": {"granted": not refuses(n)}}  # fmt: skip
    if n == 9:
        for channel, granted in (("marketing", False), ("email", True)):
            yield {"event_time": "2024-01-02T10:00:00Z", "kind": "consent", "customer_id": who,
                   "channel": channel, "properties": {"granted": granted}}  # fmt: skip


def log(rows: list[dict[str, Any]], path: Path, start: int = 0) -> Path:
    full = [{"event_id": f"e{start + n}", "source": "web", **row} for n, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in full))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with RFM segments."""
    folder = tmp_path_factory.mktemp("made")
    rows = [row for n in range(CUSTOMERS) for row in events_of(n)]
    assert run(["init", str(folder / "shop"), "--buckets", "4"]) == 0
    path = log(rows, folder / "log.jsonl")
    assert run(["ingest", str(folder / "shop"), str(path), "--preset", "shoal"]) == 0
    assert run(["segment", str(folder / "shop"), "--method", "rfm"]) == 0
    return folder / "shop"


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shop"))


@pytest.fixture(autouse=True)
def drawn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same control groups in every run: of a handful of customers all or none are held out at
    times, which says nothing of what is tested here."""
    drawn = SimpleNamespace(token_bytes=random.Random(1).randbytes)
    monkeypatch.setattr("shoal.workflows.holdout.secrets", drawn)


@pytest.fixture(scope="module")
def members(made: Path) -> dict[str, list[str]]:
    """Customers of each segment, the largest first."""
    with face.open(made) as opened:
        table = opened.memberships(segmentation="rfm-0001").to_pylist()
    found: dict[str, list[str]] = {}
    for row in table:
        found.setdefault(row["segment_id"], []).append(row["customer_id"])
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))


@pytest.fixture(scope="module")
def largest(members: dict[str, list[str]]) -> str:
    return next(iter(members))


def number(customer: str) -> int:
    return 7 if customer in (ODD, "'" + ODD) else int(customer[1:])


def listed(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def names(path: Path) -> set[str]:
    return {row["customer_id"] for row in listed(path)}


def willing(customers: list[str]) -> set[str]:
    """Who did not refuse all that was asked, or all marketing."""
    said_no = {n for n in range(CUSTOMERS) if n % 5 and not n % 2 and refuses(n)} | {9}
    return {name for name in customers if number(name) not in said_no}


# --- forms ----------------------------------------------------------------------------------------


def test_a_list_holds_the_members_that_allow_it_and_says_the_counts(
    shoal: Shoal, shop: Path, members: dict[str, list[str]], tmp_path: Path
) -> None:
    refused = 0
    for segment, whole in list(members.items())[:2]:
        out = tmp_path / f"{segment}.csv"
        answer = shoal("export", shop, segment, "--out", out, "--json").document
        refused += answer["without_consent"]
        assert {one.removeprefix("'") for one in names(out)} == willing(whole)
        assert answer["members"] == len(whole)
        assert answer["without_consent"] == len(whole) - len(willing(whole))
        assert answer["customers"] == len(willing(whole))
        assert answer["delivery"] is None
    assert refused > 0


def test_klaviyo_gets_addresses_first_and_no_formula(
    shoal: Shoal, shop: Path, members: dict[str, list[str]], tmp_path: Path
) -> None:
    for segment, whole in list(members.items())[:2]:
        out = tmp_path / f"{segment}.csv"
        call = ("export", shop, segment, "--format", "klaviyo", "--out", out, "--json")
        answer = shoal(*call).document
        rows = listed(out)
        reached = {name for name in willing(whole) if reachable(number(name))}
        assert [row["Email"] for row in rows] == [
            f"{number(row['customer_id'])}@shop.example" for row in rows
        ]
        assert {row["customer_id"].removeprefix("'") for row in rows} == reached
        assert answer["without_address"] == len(willing(whole)) - len(reached) > 0
        for row in rows:
            phone, odd = row["Phone Number"], number(row["customer_id"])
            assert phone == (f"+442079{46:02d}{odd:04d}" if odd % 2 else "")
            assert row["First Name"] == ("'=Ann" if odd == 8 else "Ann")
        header = out.read_text().splitlines()[0]
        assert header.startswith('"Email","Phone Number","First Name","Last Name"')


def test_a_list_for_text_messages_has_numbers_first(
    shoal: Shoal, shop: Path, largest: str, tmp_path: Path
) -> None:
    row = {"event_time": "2024-02-20T09:00:00Z", "kind": "consent", "customer_id": "c099",
           "channel": "sms", "properties": {"granted": True}}  # fmt: skip
    assert (
        shoal("ingest", shop, log([row], tmp_path / "m.jsonl", 9000), "--preset", "shoal").code == 0
    )
    with face.open(shop) as opened:
        rows = opened.memberships(segmentation="rfm-0001").to_pylist()
    segment = next(one["segment_id"] for one in rows if one["customer_id"] == "c099")
    out = tmp_path / "sms.csv"
    call = ("export", shop, segment, "--format", "klaviyo", "--channel", "sms", "--out", out)
    assert shoal(*call).code == 0
    (one,) = listed(out)
    assert next(iter(one)) == "Phone Number"
    assert one["Phone Number"] == "+442079460099"
    assert one["SMS Marketing Consent Timestamp"] == "2024-02-20T09:00:00Z"


def test_segment_calls_enter_everybody_and_mean_the_same_when_repeated(
    shoal: Shoal, shop: Path, largest: str, members: dict[str, list[str]], tmp_path: Path
) -> None:
    texts = []
    for place in range(2):
        out = tmp_path / f"{place}.jsonl"
        assert shoal("export", shop, largest, "--format", "segment", "--out", out).code == 0
        texts.append(out.read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    calls = [json.loads(line) for line in texts[0].splitlines()]
    key = f"shoal_{largest}"
    tracks = [one for one in calls if one["type"] == "track"]
    assert {one["userId"] for one in tracks} == willing(members[largest])
    assert {one["event"] for one in tracks} == {"Audience Entered"}
    assert all(one["properties"] == {"audience_key": key, key: True} for one in tracks)
    traits = [one["traits"] for one in calls if one["type"] == "identify"]
    assert traits == [{key: True}] * len(tracks)
    assert len({one["messageId"] for one in calls}) == len(calls)
    # our own reader takes them
    assert shoal("init", tmp_path / "other").code == 0
    answer = shoal("ingest", tmp_path / "other", out, "--preset", "segment-spec", "--json").document
    assert answer["rows"]["quarantined"] == 0
    assert answer["customers"] == len(tracks)


def test_a_history_says_from_when_to_when(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "history.parquet"
    answer = shoal("export", shop, "rfm-0001/all", "--format", "history", "--out", out, "--json")
    table = pq.read_table(out)
    assert table.column_names == [
        "customer_id", "segmentation_id", "segment_id", "since", "until", "cause",
    ]  # fmt: skip
    assert answer.document["customers"] == table.num_rows
    assert set(table["customer_id"].to_pylist()) == willing([name_of(n) for n in range(CUSTOMERS)])
    assert set(table["cause"].to_pylist()) == {"version"}
    assert table["until"].null_count == table.num_rows
    out = tmp_path / "history.csv"
    assert shoal("export", shop, "r01", "--format", "history", "--out", out).code == 0
    assert {row["segment_id"] for row in listed(out)} <= {"r01"}


def test_overlapping_rules_list_everybody_for_whom_they_hold(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    rules = {
        "schema": "shoal.rules/1", "overlap": True, "rest": "The rest",
        "segments": [
            {"id": "buyers", "name": "Buyers",
             "rule": {"feature": "orders", "op": ">=", "value": 3}},
            {"id": "regulars", "name": "Regulars",
             "rule": {"feature": "orders", "op": ">=", "value": 8}},
        ],
    }  # fmt: skip
    with face.open(shop) as opened:
        opened.rules.segment(rules)
    everybody = {n: name_of(n) for n in range(CUSTOMERS)}
    for segment, kinds in (("buyers", (1, 2)), ("regulars", (2,))):
        out = tmp_path / f"{segment}.csv"
        assert shoal("export", shop, segment, "--to", "crm", "--out", out).code == 0
        wanted = willing([name for n, name in everybody.items() if n % 3 in kinds])
        assert {one.removeprefix("'") for one in names(out)} == wanted
        assert {row["segment"] for row in listed(out)} == {segment.title()}
    out = tmp_path / "regulars.sql"
    answer = shoal("export", shop, "regulars", "--format", "sql", "--out", out, "--json").document
    assert "SELECT" in out.read_text()
    assert "no consents" in answer["warnings"][-1]


# --- differences ----------------------------------------------------------------------------------


def buys(customer: str, day: int, count: int) -> list[dict[str, Any]]:
    return [
        {"event_time": f"2024-03-{day:02d}T{9 + k % 9:02d}:00:00Z", "kind": "purchase",
         "customer_id": customer, "order_id": f"late-{customer}-{day}-{k}", "item_id": "i1",
         "price": 30.0, "currency": "EUR", "quantity": 1}
        for k in range(count)
    ]  # fmt: skip


def moved_on(shoal: Shoal, shop: Path, folder: Path) -> None:
    """Some become frequent buyers, so that they change segments; one withdraws a consent."""
    rows = [row for n in range(0, 30) for row in buys(name_of(n), 10 + n % 10, 6)]
    rows.append({"event_time": "2024-03-20T09:00:00Z", "kind": "consent", "customer_id": "c041",
                 "channel": "marketing", "properties": {"granted": False}})  # fmt: skip
    path = log(rows, folder / "later.jsonl", 5000)
    assert shoal("ingest", shop, path, "--preset", "shoal").code == 0


def test_first_the_whole_list_then_what_changed(
    shoal: Shoal, shop: Path, members: dict[str, list[str]], tmp_path: Path
) -> None:
    segment = "r01"
    out = tmp_path / "list.csv"
    call = ("export", shop, segment, "--to", "mailer", "--since", "last", "--out", out, "--json")
    first = shoal(*call).document
    on = {row["customer_id"].removeprefix("'") for row in listed(out)}
    assert on == willing(members[segment])
    assert {row["change"] for row in listed(out)} == {"entered"}
    assert (first["entered"], first["exited"]) == (len(on), 0)
    assert first["delivery"]["delivery_id"] == "export-0001"
    assert "first export" in first["warnings"][0]
    again = shoal(*call).document
    assert (again["entered"], again["exited"], listed(out)) == (0, 0, [])
    moved_on(shoal, shop, tmp_path)
    third = shoal(*call).document
    rows = listed(out)
    for row in rows:
        customer = row["customer_id"].removeprefix("'")
        if row["change"] == "entered":
            assert customer not in on
            on.add(customer)
        else:
            assert customer in on
            assert row["weight"] == row["since"] == ""
            on.remove(customer)
    assert third["entered"] + third["exited"] == len(rows)
    assert third["entered"] > 0
    assert third["exited"] > 0
    assert third["delivery"]["since"] == "export-0002"
    whole = tmp_path / "whole.csv"
    assert shoal("export", shop, segment, "--out", whole).code == 0
    assert on == {one.removeprefix("'") for one in names(whole)}
    told = shoal("exports", shop, "--json").document["exports"]
    assert [one["destination"] for one in told] == ["mailer"] * 3
    assert all(one["asked_by"] for one in told)
    assert "export-0003" in shoal("exports", shop).out


def test_changes_since_an_export_a_segmentation_and_a_moment(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    as_of = shoal("export", shop, "r01", "--to", "a", "--json").document["as_of"]
    moved_on(shoal, shop, tmp_path)
    early = shoal("export", shop, "r01", "--channel", "email", "--since", "2024-01-02", "--json")
    assert early.document["entered"] == early.document["customers"]  # before anybody granted it
    found = []
    for since in ("export-0001", "rfm-0001", as_of):
        out = tmp_path / f"{len(found)}.csv"
        answer = shoal("export", shop, "r01", "--since", since, "--out", out, "--json")
        assert answer.code == 0, answer.out
        found.append(sorted((row["customer_id"], row["change"]) for row in listed(out)))
    assert found[0]
    assert found[0] == found[1] == found[2]


def test_who_left_klaviyos_list_is_in_a_file_of_its_own(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "list.csv"
    call = ("export", shop, "r01", "--format", "klaviyo", "--since", "last", "--out", out, "--json")
    first = shoal(*call).document
    assert first["exited_path"] == str(tmp_path / "list-exited.csv")
    assert listed(tmp_path / "list-exited.csv") == []
    moved_on(shoal, shop, tmp_path)
    answer = shoal(*call).document
    assert len(listed(out)) == answer["entered"] > 0
    assert len(listed(tmp_path / "list-exited.csv")) == answer["exited"] > 0
    calls = tmp_path / "calls.jsonl"
    since = ("--since", "export-0001", "--out", calls)
    assert shoal("export", shop, "r01", "--format", "segment", *since).code == 0
    said = [json.loads(line) for line in calls.read_text().splitlines()]
    left = [one for one in said if one.get("event") == "Audience Exited"]
    assert len(left) == answer["exited"]
    assert all(one["properties"]["shoal_r01"] is False for one in left)


# --- control groups -------------------------------------------------------------------------------


def exposures(shop: Path) -> dict[str, dict[str, Any]]:
    """What is told of each customer."""
    with face.open(shop) as opened:
        events = opened._parts.engine.run(
            "SELECT * FROM events WHERE kind = 'exposure' ORDER BY customer_id, action_id",
            {"events": opened._parts.warehouse.events()},
        ).to_pylist()
    found = {}
    for one in events:
        assert one["customer_id"] not in found
        found[one["customer_id"]] = {**one, **json.loads(one["properties"])}
    return found


def test_a_control_group_is_kept_out_and_told(
    shoal: Shoal, shop: Path, members: dict[str, list[str]], largest: str, tmp_path: Path
) -> None:
    out = tmp_path / "list.csv"
    call = ("export", shop, largest, "--channel", "email", "--holdout", "40%", "--out", out)
    answer = shoal(*call, "--json").document
    sent = {one.removeprefix("'") for one in names(out)}
    granted = {
        name for name in members[largest]
        if number(name) % 5 and not number(name) % 2 and not refuses(number(name))
    }  # fmt: skip
    told = exposures(shop)
    held = {name for name, one in told.items() if not one["exposed"]}
    assert sent | held == granted
    assert not sent & held
    assert len(sent) == answer["customers"] > 0
    assert len(held) == answer["held_out"] > 0
    action = answer["delivery"]["action_id"]
    for name, one in told.items():
        assert one["action_id"] == action
        assert one["source"] == "shoal"
        assert one["channel"] == "email"
        assert one["probability"] == (0.6 if name in sent else 0.4)
    assert answer["delivery"]["exposures"] == len(granted)
    again = shoal(*call, "--json").document
    assert again["delivery"]["exposures"] == 0
    assert again["delivery"]["action_id"] == action
    assert {one.removeprefix("'") for one in names(out)} == sent
    assert exposures(shop) == told
    plain = shoal("export", shop, largest, "--channel", "email", "--json").document
    assert f"{len(held)} customers of this list are in the control group" in plain["warnings"][0]


def test_the_same_customers_are_held_out_for_good(
    shoal: Shoal, shop: Path, members: dict[str, list[str]], tmp_path: Path
) -> None:
    def told(*segments: str) -> dict[str, bool]:
        """Who of some segments was sent to, by the exposures of these exports."""
        found: dict[str, bool] = {}
        for segment in segments:
            answer = shoal("export", shop, segment, "--holdout", "0.3", "--json").document
            action = answer["delivery"]["action_id"]
            for one in exposures_of_all(shop):
                if one["action_id"] == action:
                    found[one["customer_id"]] = json.loads(one["properties"])["exposed"]
        return found

    largest, second, *_ = members
    before = told(largest, second)
    assert 0 < list(before.values()).count(False) < len(before) / 2
    moved_on(shoal, shop, tmp_path)
    assert shoal("segment", shop, "--method", "rfm").code == 0
    with face.open(shop) as opened:
        now = opened.memberships(segmentation="rfm-0002").to_pylist()
    homes = {row["segment_id"] for row in now if row["customer_id"] in before}
    after = told(*sorted(homes)[:2])
    both = before.keys() & after.keys()
    assert len(both) > 10
    assert {name: after[name] for name in both} == {name: before[name] for name in both}


def exposures_of_all(shop: Path) -> list[Any]:
    with face.open(shop) as opened:
        return opened._parts.engine.run(
            "SELECT customer_id, action_id, properties FROM events WHERE kind = 'exposure'",
            {"events": opened._parts.warehouse.events()},
        ).to_pylist()


def test_a_control_group_of_a_list_that_is_out_already_is_not_told_of_it(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    call = ("export", shop, "r01", "--to", "mailer", "--since", "last", "--json")
    first = shoal(*call).document
    answer = shoal(*call, "--holdout", "50%").document
    assert answer["held_out"] == answer["exited"] > 0  # who is held out now is taken off the list
    assert answer["entered"] == answer["delivery"]["exposures"] == 0
    assert answer["delivery"]["listed"] == first["delivery"]["listed"] - answer["exited"]
    moved_on(shoal, shop, tmp_path)
    later = shoal(*call, "--holdout", "50%").document
    told = exposures(shop)
    assert len(told) == later["delivery"]["exposures"] > later["entered"] > 0
    assert sum(one["exposed"] for one in told.values()) == later["entered"]


def test_another_holdout_is_another_group(
    shoal: Shoal, shop: Path, largest: str, tmp_path: Path
) -> None:
    groups = []
    for name in ("main", "spring"):
        out = tmp_path / f"{name}.csv"
        call = ("export", shop, largest, "--holdout", "50%", "--holdout-name", name, "--out", out)
        assert shoal(*call).code == 0
        groups.append(names(out))
    assert groups[0] != groups[1]
    other = shoal("export", shop, largest, "--holdout", "20%", "--json")
    assert (other.code, other.error["code"]) == (2, "bad_holdout")
    assert "keeps 50% out" in other.error["message"]


def test_what_an_export_tells_is_nobodys_behaviour(
    shoal: Shoal, shop: Path, largest: str, tmp_path: Path
) -> None:
    def states() -> list[Any]:
        with face.open(shop) as opened:
            return [batch.to_pylist() for batch in opened._parts.store.iter_states()]

    def seen() -> dict[str, Any]:
        with face.open(shop) as opened:
            parts = opened._parts
            return {
                # at a moment after the exposures, so that they could count
                "features": opened.features(as_of="2024-04-01").to_pylist(),
                "sequences": [
                    rows.to_pylist()
                    for rows in read_rows(parts.warehouse, parts.fold.rules, as_of=LATER)
                ],
                "flags": parts.store.flags.flags().to_pylist(),
                "links": parts.store.people.links().to_pylist(),
                "noise": {one.rule: one.events for one in opened.noise().rules},
                "findings": [
                    (one.check, one.where, one.count) for one in opened.quality().findings
                ],
                "states": states(),
                "moves": [one["moves"] for one in opened.refresh().segmentations],
            }

    before = seen()
    answer = shoal("export", shop, largest, "--holdout", "30%", "--json").document
    assert answer["delivery"]["exposures"] > 5
    after = seen()
    for name in before:
        assert after[name] == before[name], name
    again = shoal("export", shop, largest, "--holdout", "30%", "--json").document
    assert again["as_of"] == answer["as_of"]  # it would be later, had the exposures moved it
    with face.open(shop) as opened:
        opened._parts.store.set_applied_version(-1)
        opened.catch_up()
    assert states() == before["states"]
    more = log(buys("c001", 15, 1), tmp_path / "more.jsonl", 7000)
    told = shoal("ingest", shop, more, "--preset", "shoal", "--json").document
    assert told["to"] == "2024-03-15T09:00:00Z"


def test_lift_is_what_the_exposed_did_more_than_the_control_group(
    shoal: Shoal, shop: Path, largest: str, tmp_path: Path
) -> None:
    answer = shoal("export", shop, largest, "--holdout", "40%", "--json").document
    action = answer["delivery"]["action_id"]
    early = shoal("lift", shop, action, "--json")
    assert (early.code, early.error["code"]) == (3, "too_little_data")
    told = exposures(shop)
    buyers = [name for name, one in told.items() if one["exposed"]][:4]
    held = [name for name, one in told.items() if not one["exposed"]]
    rows = [row for name in buyers for row in buys(name, 5, 2)] + buys(held[0], 25, 1)
    path = log(rows, tmp_path / "later.jsonl", 6000)
    assert shoal("ingest", shop, path, "--preset", "shoal").code == 0
    found = shoal("lift", shop, action, "--json").document
    assert found["exposed"]["customers"] == answer["customers"]
    assert found["exposed"]["buyers"] == 4
    assert found["exposed"]["orders"] == 8
    assert found["exposed"]["net_revenue"] == 240
    assert found["held_out"]["customers"] == answer["held_out"]
    assert found["held_out"]["buyers"] == 1
    figure = 4 / answer["customers"] - 1 / answer["held_out"]
    share = found["share_buying_lift"]
    assert share["figure"] == pytest.approx(figure)
    assert share["low"] < figure < share["high"]
    soon = shoal("lift", shop, action, "--days", 10, "--json").document
    assert (soon["exposed"]["buyers"], soon["held_out"]["buyers"]) == (4, 0)
    text = shoal("lift", shop, "export-0001").out
    assert "Share buying: " in text
    unknown = shoal("lift", shop, "none", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "unknown_action")
    assert action in unknown.error["hint"]


# --- who is forgotten -----------------------------------------------------------------------------


def test_who_is_forgotten_goes_from_lists_records_and_exposures(
    shoal: Shoal, shop: Path, largest: str, members: dict[str, list[str]], tmp_path: Path
) -> None:
    for name in ("klaviyo.csv", "segment.jsonl", "history.parquet"):
        out = ["--out", tmp_path / name]
        assert shoal("export", shop, largest, "--format", name.split(".")[0], *out).code == 0
    assert shoal("export", shop, largest, "--format", "segment").code == 0
    assert shoal("export", shop, largest, "--holdout", "30%").code == 0
    gone = next(n for n in sorted(willing(members[largest])) if number(n) % 10 and n != ODD)
    with face.open(shop) as opened:
        told = opened._parts.store.erasures.exports()
    assert {Path(path).name for path, _, _ in told} == {
        "klaviyo.csv", "segment.jsonl", "history.parquet",
    }  # fmt: skip
    answer = shoal("forget", shop, gone, "--yes", "--json").document
    assert answer["not_reached"] == []
    for path in [*tmp_path.glob("*.*"), *shop.rglob("*")]:
        if path.is_file() and path.suffix != ".parquet":
            assert gone.encode() not in path.read_bytes(), path
        elif path.is_file() and "customer_id" in pq.read_schema(path).names:
            assert gone not in pq.read_table(path)["customer_id"].to_pylist(), path
    again = shoal("export", shop, largest, "--to", "csv", "--since", "last", "--json")
    assert again.code == 0


def test_somebody_forgotten_while_a_delivery_is_made_is_on_no_list(
    shoal: Shoal, shop: Path, largest: str, members: dict[str, list[str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from shoal.workflows import export

    gone = next(n for n in sorted(willing(members[largest])) if n != ODD)
    real, done = export.write_table, []

    def late(*values: Any) -> None:
        if not done:
            done.append(1)
            with face.open(shop) as other:
                other.forget([gone])
        real(*values)

    monkeypatch.setattr(export, "write_table", late)
    out = tmp_path / "list.csv"
    call = ("export", shop, largest, "--holdout", "1%", "--out", out, "--json")
    assert shoal(*call).code == 0
    assert gone not in names(out)
    assert gone not in exposures(shop)
    (record,) = (shop / "artefacts" / "delivery").glob("*/customers.parquet")
    assert gone not in pq.read_table(record)["customer_id"].to_pylist()


def test_what_a_kill_left_half_written_is_cleaned_too(
    shoal: Shoal, shop: Path, largest: str, members: dict[str, list[str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from shoal.workflows.whole_file import WholeFile

    def killed(_: Any) -> None:
        raise KeyboardInterrupt

    gone = next(n for n in sorted(willing(members[largest])) if n != ODD)
    folder = tmp_path / "lists"
    with monkeypatch.context() as patch:
        patch.setattr(WholeFile, "place", killed)
        patch.setattr(WholeFile, "abandon", lambda _: None)
        assert shoal("export", shop, largest, "--out", folder / "list.csv").code == 1
    (left,) = folder.iterdir()
    assert gone in names(left)
    answer = shoal("forget", shop, gone, "--yes", "--json").document
    assert answer["not_reached"] == []
    assert gone not in names(left)
    assert shoal("export", shop, largest, "--out", folder / "list.csv").code == 0
    assert [path.name for path in folder.iterdir()] == ["list.csv"]


# --- bad input and bad days -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["s99"], "unknown_segment", "no segment 's99'"),
        (["r01", "--format", "excel"], "unknown_format", "no export format 'excel'"),
        (["r01", "--format", "klaviyo", "--out", "l.jsonl"], "unknown_format", ".csv"),
        (["r01", "--format", "segment", "--out", "l.json"], "unknown_format", ".jsonl"),
        (["r01", "--channel", "fax"], "unknown_channel", "channel 'fax'"),
        (["r01", "--holdout", "0"], "bad_holdout", "'0' is no share"),
        (["r01", "--holdout", "0%"], "bad_holdout", "'0%' is no share"),
        (["r01", "--holdout", "100%"], "bad_holdout", "'100%' is no share"),
        (["r01", "--holdout", "10"], "bad_holdout", "'10' is no share"),
        (["r01", "--holdout", "nan"], "bad_holdout", "'nan' is no share"),
        (["r01", "--holdout", "-5%"], "bad_holdout", "'-5%' is no share"),
        (["r01", "--holdout", "5%", "--holdout-name", "a b"], "bad_holdout", "no name"),
        (["r01", "--since", "export-0099"], "unknown_export", "'export-0099' is no export"),
        (["r01", "--since", "rfm-0099"], "unknown_export", "'rfm-0099' is no export"),
        (["r01", "--since", "2031-01-01"], "bad_period", "later than the shop's now"),
        (["r01", "--to", "a" * 81], "usage", "no name of a destination"),
        (["r01", "--format", "sql", "--holdout", "5%"], "usage", "no list to be sent"),
        (["r01", "--format", "history", "--since", "last"], "usage", "no list to be sent"),
        (["r01", "--format", "sql", "--channel", "email"], "usage", "held to consents"),
    ],
)
def test_what_cannot_be_is_told_and_leaves_nothing(
    shoal: Shoal, made: Path, tmp_path: Path, flags: list[str], code: str, message: str
) -> None:
    flags = [str(tmp_path / one) if one.startswith("l.") else one for one in flags]
    answer = shoal("export", made, *flags, "--json")
    assert (answer.code, answer.error["code"]) == (2, code)
    assert message in answer.error["message"]
    assert answer.error["hint"]
    assert not (made / "exports").exists()
    assert not (made / "artefacts" / "delivery").exists()
    assert list(tmp_path.iterdir()) == []


def test_an_export_of_another_segment_is_no_baseline(shoal: Shoal, shop: Path) -> None:
    assert shoal("export", shop, "r02", "--to", "a").code == 0
    with face.open(shop) as opened:
        opened.rules.segment({"feature": "orders", "op": ">=", "value": 3})
    answer = shoal("export", shop, "r01", "--to", "a", "--since", "rules-0001", "--json")
    assert (answer.code, answer.error["code"]) == (2, "unknown_export")
    assert "no version of rfm-0001" in answer.error["message"]
    answer = shoal("export", shop, "r01", "--to", "a", "--since", "export-0001", "--json")
    assert (answer.code, answer.error["code"]) == (2, "unknown_export")
    assert "another segment" in answer.error["message"]
    record = shop / "artefacts" / "delivery" / "export-0001" / "delivery.json"
    record.write_text("{")
    answer = shoal("exports", shop, "--json")
    assert (answer.code, answer.error["code"]) == (1, "artefact_damaged")


def test_a_failure_in_between_leaves_the_old_file_and_no_half_one(
    shoal: Shoal, shop: Path, largest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal.workflows import export
    from shoal.workflows import exposures as told

    out = tmp_path / "out" / "list.csv"
    call = ("export", shop, largest, "--holdout", "20%", "--out", out, "--json")
    assert shoal(*call).code == 0
    before = out.read_bytes()

    def half(table: Any, path: Path) -> None:
        path.write_text("customer_id\nhalf")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(export, "write_table", half)
    answer = shoal(*call)
    assert (answer.code, answer.error["code"]) == (1, "disk_full")
    assert [path.name for path in out.parent.iterdir()] == ["list.csv"]
    assert out.read_bytes() == before
    monkeypatch.undo()
    moved_on(shoal, shop, tmp_path)

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    places = ((told, "commit"), (told.units, "finish"), (export.deliveries, "write"))
    for module, name in places:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, stopped)
            assert shoal(*call).code == 1
        assert [path.name for path in out.parent.iterdir()] == ["list.csv"]
    answer = shoal(*call).document
    with face.open(shop) as opened:
        statuses = [one["status"] for one in opened._parts.store.units()]
    assert set(statuses) == {"committed"}
    # what was told before the last interrupts is told once
    assert answer["delivery"]["exposures"] == 0
    assert len(exposures_of_all(shop)) == len(
        {(one["customer_id"], one["action_id"]) for one in exposures_of_all(shop)}
    )


def test_while_somebody_writes_to_the_shop_only_plain_lists_are_made(
    shoal: Shoal, shop: Path, largest: str, tmp_path: Path
) -> None:
    out = tmp_path / "lists" / "list.csv"
    with face.open(shop) as other, other._parts.store.lease():
        answer = shoal("export", shop, largest, "--to", "crm", "--out", out, "--json")
        assert (answer.code, answer.error["code"]) == (1, "shop_locked")
        assert list(out.parent.iterdir()) == []
        assert shoal("export", shop, largest, "--out", out).code == 0
    assert shoal("export", shop, largest, "--to", "crm", "--out", out).code == 0
