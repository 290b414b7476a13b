"""Segments made anew for a share of customers first: begun, streamed to, judged, ended, killed."""

from __future__ import annotations

import json
import shutil
import signal
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.journeys.canary_shops import (  # noqa: F401
    BEGUN,
    OVER,
    WEEK,
    among,
    plain_shop,
    quiet,
    recorded,
    trial_of,
    tried_shop,
)
from tests.journeys.conftest import Shoal
from tests.journeys.test_adjust import Killed, killed_in
from tests.journeys.test_serve import serving
from tests.laws.test_live_laws import arrived

import shoal as package
from shoal.adapters.memory_inbox import MemoryInbox
from shoal.config import AdjustConfig
from shoal.domain.errors import UsageError
from shoal.shop import Shop
from shoal.workflows import adjust_canary, adjust_state, canary
from shoal.workflows.adjust import Job
from shoal.workflows.adjuster import Adjusted
from shoal.workflows.canary import Canary
from shoal.workflows.segment_publish import Publisher


def test_a_canary_is_told_and_read_customer_by_customer(shoal: Shoal, shop: Path) -> None:
    trial = trial_of(shop)
    assert (trial.segmentation_id, trial.base_id) == ("kmeans-0002", "kmeans-0001")
    assert trial.until - trial.since == timedelta(days=14)
    with package.open(shop) as opened:
        assert opened.current() == "kmeans-0001"
        whole = opened.memberships(recorded=True)
        asking = opened.asking()
        for row in whole.to_pylist():
            own = bool(trial.chosen([row["customer_id"]])[0])
            assert row["segmentation_id"] == ("kmeans-0002" if own else "kmeans-0001")
        for name in whole["customer_id"].to_pylist()[:12]:
            told = asking.profile(name, features=False)["segment"]
            (row,) = whole.filter(pc.equal(whole["customer_id"], name)).to_pylist()
            assert told["segmentation_id"] == row["segmentation_id"]
            assert told["segment_id"] == row["segment_id"]
            assert told["name"]["en"] != row["segment_id"]
        applied = opened.memberships(as_of=BEGUN)
        same = ["customer_id", "segmentation_id", "segment_id", "since"]
        assert applied.select(same).equals(whole.select(same))
        assert opened.adjustments()["canary"]["adjust_id"] == "look-0001"
        name = next(one for one in whole["customer_id"].to_pylist() if trial.chosen([one])[0])
        assert opened.customer(name, as_of=BEGUN)["memberships"][0]["segmentation_id"] == (
            "kmeans-0002"
        )
    assert "tried on 50%" in " ".join(shoal("adjustments", shop).out.split())


def test_lists_hold_who_was_put_there_by_either(shop: Path, tmp_path: Path) -> None:
    with package.open(shop) as opened:
        told = opened.memberships()
        for segment in sorted(set(told["segment_id"].to_pylist())):
            made = opened.export(segment, out=tmp_path / f"{segment}.csv")
            wanted = told.filter(pc.equal(told["segment_id"], segment))
            assert made.rows == wanted.num_rows, segment


def test_who_is_not_in_it_has_what_they_would_have_without(shop: Path, plain: Path) -> None:
    trial = trial_of(shop)
    for one in (shop, plain):
        with package.open(one) as opened:
            opened.refresh(as_of=WEEK)
    live, wanted = recorded(shop), recorded(plain)
    same = [name for name in live.column_names if name != "segmentation_id"]
    assert live.select(same).equals(wanted.select(same))
    with package.open(shop) as opened:
        whole = opened.memberships(recorded=True)
    assert among(whole, trial, own=False).equals(among(wanted, trial, own=False))


def test_stopped_by_a_person_everybody_has_what_they_would_have_had(
    shoal: Shoal, shop: Path, plain: Path
) -> None:
    for one in (shop, plain):
        with package.open(one) as opened:
            opened.refresh(as_of=WEEK)
    answer = shoal("adjust", shop, "--decline", "look-0001")
    assert answer.code == 0
    assert "kmeans-0002, tried on 50%, is dropped" in answer.out
    with package.open(shop) as opened, package.open(plain) as other:
        assert opened.memberships(recorded=True).equals(other.memberships(recorded=True))
        assert opened.current() == "kmeans-0001"
        told = opened.adjustments()
        assert told["canary"] is None
        assert told["looks"][0]["canary"]["ended"]["outcome"] == "dropped"
        entries = [one["action"] for one in opened.audit()["entries"]]
        assert "adjust.decline" in entries
        with pytest.raises(UsageError) as caught:
            opened.rollback("kmeans-0002")
        assert "share of customers" in caught.value.message
    assert "dropped by" in " ".join(shoal("adjustments", shop).out.split())


def test_promoted_by_a_person_its_customers_stay_where_they_are(shoal: Shoal, shop: Path) -> None:
    trial, before = trial_of(shop), recorded(shop, "kmeans-0002")
    answer = shoal("adjust", shop, "--approve", "look-0001", "--json")
    assert answer.code == 0
    assert answer.document["published"] == "kmeans-0002"
    after = recorded(shop, "kmeans-0002")
    assert after.num_rows == 150
    with package.open(shop) as opened:
        assert opened.current() == "kmeans-0002"
        moved = opened.memberships(recorded=True)
        assert moved.equals(after)
        same = ["customer_id", "segment_id"]
        assert among(after, trial, own=True).num_rows == before.num_rows
        assert before.select(same).num_rows
        live = opened.memberships(recorded=True, segmentation="kmeans-0001")
        begin = time.perf_counter()
        opened.rollback("kmeans-0001")
        assert time.perf_counter() - begin < 5
        back = opened.memberships(recorded=True)
    columns = ["customer_id", "segment_id", "weight"]
    assert back.select(columns).equals(live.select(columns))


def test_going_back_ends_it_and_is_bit_identical(shop: Path, plain: Path) -> None:
    """Another version in force before: the canary of the one that is left is dropped with it."""
    with package.open(shop) as opened:
        opened.segment(k=4, aim="style")
        assert opened.current() == "kmeans-0003"
        assert canary.running(opened._parts.store) is None
        begin = time.perf_counter()
        opened.rollback("kmeans-0001")
        assert time.perf_counter() - begin < 5
        back = opened.memberships(recorded=True)
    wanted = recorded(plain)
    columns = ["customer_id", "segment_id", "weight", "margin"]
    assert back.select(columns).equals(wanted.select(columns))


def test_its_days_over_it_is_judged_and_in_force_for_all(shop: Path) -> None:
    """Two looks: one that lets it go on, one that judges; nothing else is changed meanwhile."""
    with package.open(shop) as opened:
        early = opened.adjust(as_of=WEEK).document
        assert early["canary"]["outcome"] == "goes_on"
        assert early["published"] is None
        assert {one["action"] for one in early["adjustments"]} == {"keep"}
        assert opened.adjust(as_of="2024-04-14", if_due=True).document["looked"] is False
        made = opened.adjust(as_of=OVER, if_due=True).document
        told = made["canary"]
        assert (told["outcome"], told["reason"]) == ("promoted", "passed")
        assert {"assigned", "largest", "moved", "flicker", "foretold"} <= {
            one["code"] for one in told["gates"]
        }
        assert told["customers"] == recorded_customers(opened, trial_id="kmeans-0002")
        assert opened.current() == made["published"] == "kmeans-0002"
        assert opened.memberships(recorded=True).num_rows == 150
        assert "kmeans-0002" in opened.movement_report(since="2024-04-10").text()


def recorded_customers(opened: Shop, *, trial_id: str) -> int:
    (one,) = canary.canaries(opened._parts.store.get_settings())
    assert one.segmentation_id == trial_id
    members = opened.memberships(recorded=True)["customer_id"]
    return int(one.chosen(members).sum())


def test_what_asks_for_a_person_waits_for_one(
    shoal: Shoal, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "look", quiet())
    path = shop / "shop.toml"
    path.write_text(path.read_text().replace("moved = 1.0", "moved = 0.01"))
    answer = shoal("adjust", shop, "--as-of", OVER)
    assert answer.code == 0
    assert "--approve look-0001" in answer.out
    with package.open(shop) as opened:
        told = opened.adjustments()
        assert (told["waiting"], told["looks"][0]["waits"]) == ("look-0001", True)
        assert told["looks"][1]["canary"]["outcome"] == "asks"
        assert told["looks"][1]["canary"]["asks"] == ["moved"]
        assert canary.running(opened._parts.store) is not None
        assert opened.adjust(approve="look-0001", by="Ada").published == "kmeans-0002"
        assert opened.adjustments()["waiting"] is None


def test_on_broken_data_it_is_neither_promoted_nor_dropped(
    shoal: Shoal, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "look", quiet("orders"))
    with package.open(shop) as opened:
        told = opened.adjust(as_of=OVER).document
    assert (told["canary"]["outcome"], told["canary"]["reason"]) == ("goes_on", "blocked")
    refused = shoal("adjust", shop, "--approve", "look-0001", "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
    assert "orders" in refused.error["message"]
    assert shoal("adjust", shop, "--decline", "look-0001").code == 0


@pytest.mark.parametrize(
    "killed",
    [killed_in(Publisher, "write"), killed_in(adjust_state, "write"), killed_in(canary, "begin"),
     killed_in(adjust_state, "remember")],
    ids=["before the version", "before the look", "before the memberships", "in the transaction"],
)  # fmt: skip
def test_killed_while_it_begins_none_runs_and_the_next_look_begins_it(
    canary_base: Path,
    tmp_path: Path,
    canary_look: tuple[Path, Adjusted],
    monkeypatch: pytest.MonkeyPatch,
    killed: Callable[[pytest.MonkeyPatch], None],
) -> None:
    shop = tmp_path / "shop"
    shutil.copytree(canary_base, shop)
    monkeypatch.setattr(Job, "look", lambda *_: canary_look[1])
    with pytest.MonkeyPatch.context() as patch, package.open(shop) as opened:
        killed(patch)
        with pytest.raises(Killed):
            opened.adjust(as_of=BEGUN)
    with package.open(shop) as opened:
        store = opened._parts.store
        assert canary.running(store) is None
        assert set(opened.memberships(recorded=True)["segmentation_id"].to_pylist()) == {
            "kmeans-0001"
        }
        made = opened.adjust(as_of=BEGUN)
        assert made.document["adjust_id"] == "look-0001"
        found = canary.running(store)
    assert found is not None
    assert found == trial_of(canary_look[0])
    assert recorded(shop, "kmeans-0002").equals(recorded(canary_look[0], "kmeans-0002"))


def said(opened: Shop, word: str) -> None:
    """A person's word."""
    if word == "approve":
        opened.adjust(approve="look-0001")
    else:
        opened.adjust(decline="look-0001")


@pytest.mark.parametrize("word", ["approve", "decline"])
@pytest.mark.parametrize(
    "killed",
    [
        killed_in(adjust_state, "write"),
        killed_in(canary, "end"),
        killed_in(adjust_state, "remember"),
    ],
    ids=["before the word", "before the memberships", "in the transaction"],
)
def test_killed_while_it_ends_it_runs_on(
    shop: Path, word: str, killed: Callable[[pytest.MonkeyPatch], None]
) -> None:
    before = trial_of(shop)
    with pytest.MonkeyPatch.context() as patch, package.open(shop) as opened:
        opened.catch_up()
        whole = opened.memberships(recorded=True)
        killed(patch)
        with pytest.raises(Killed):
            said(opened, word)
    with package.open(shop) as opened:
        assert canary.running(opened._parts.store) == before
        assert opened.current() == "kmeans-0001"
        told = opened.memberships(recorded=True)
        columns = ["customer_id", "segmentation_id"]
        assert told.select(columns).equals(whole.select(columns))
        said(opened, word)
        assert opened.current() == ("kmeans-0002" if word == "approve" else "kmeans-0001")
        assert canary.running(opened._parts.store) is None


def calls(first: int, moment: datetime) -> list[dict[str, Any]]:
    """Views of forty customers, some of them new."""
    return [
        {"type": "track", "event": "Product Viewed", "messageId": f"m{first + place}",
         "userId": f"c{3 * place:03d}" if place < 35 else f"n{first + place}",
         "timestamp": (moment + timedelta(minutes=place)).isoformat(),
         "properties": {"product_id": "i11", "category": "grocery", "price": 9.0,
                        "currency": "EUR"}}
        for place in range(40)
    ]  # fmt: skip


def test_it_begins_and_ends_between_two_batches_of_a_stream(
    canary_base: Path,
    tmp_path: Path,
    plain: Path,
    canary_look: tuple[Path, Adjusted],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = tmp_path / "shop"
    shutil.copytree(canary_base, shop)
    monkeypatch.setattr(Job, "look", lambda *_: canary_look[1])
    found: dict[Path, pa.Table] = {}
    trial: Canary | None = None
    for one in (shop, plain):
        with package.open(one) as opened, opened.lease():
            opened.refresh(as_of=BEGUN)
            inbox = MemoryInbox()
            stream = opened.streaming(inbox, flush_s=0.0)
            if one is shop:
                opened.adjust(as_of=BEGUN)
                trial = canary.running(opened._parts.store)
                assert trial is not None
            end = datetime(2024, 7, 19, tzinfo=UTC)
            for number in range(3):
                moment = end + timedelta(days=number)
                inbox.append(arrived(calls(100 * number, moment)))
                stepped = stream.step(moment + timedelta(hours=2))
                assert stepped is not None, stream.detour
                assert stepped.calls == 40
                if one is shop and number == 1:
                    assert trial is not None
                    told = opened.memberships(recorded=True)
                    own = pc.equal(told["segmentation_id"], "kmeans-0002").to_numpy()
                    assert (own == trial.chosen(told["customer_id"])).all()
                    fresh = pc.starts_with(told["customer_id"], "n").to_numpy()
                    assert own[fresh].any()
                    assert not own[fresh].all()
                    stream.flush()
                    opened.adjust(decline="look-0001")
            stream.flush()
            found[one] = opened.memberships(recorded=True)
    assert found[shop].equals(found[plain])


def test_a_served_shop_tells_by_which_version_and_takes_a_word(shop: Path) -> None:
    trial = trial_of(shop)
    with package.open(shop) as opened:
        names = opened.memberships(recorded=True)["customer_id"].to_pylist()
        key, admin = opened.make_key("web")["key"], opened.make_key("ada", role="admin")["key"]
    own = next(one for one in names if trial.chosen([one])[0])
    other = next(one for one in names if not trial.chosen([one])[0])

    def ask(address: str, path: str, method: str = "GET") -> dict[str, Any]:
        request = urllib.request.Request(
            f"{address}{path}", method=method, headers={"authorization": f"Bearer {admin}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    with serving(shop, key) as service:

        def version(name: str) -> str:
            told = ask(service.address, f"/v1/customers/{name}")
            return str(told["segment"]["segmentation_id"])

        assert version(own) == "kmeans-0002"
        assert version(other) == "kmeans-0001"
        listed = ask(service.address, "/v1/segments")
        assert listed["customers"] == 150
        assert ask(service.address, "/v1/adjustments")["canary"]["segmentation_id"] == "kmeans-0002"
        call = {"type": "track", "event": "Product Viewed", "userId": own, "messageId": "m1",
                "properties": {"product_id": "i01"}}  # fmt: skip
        assert service.send({"batch": [call]})[0] == 200
        said = ask(service.address, "/v1/adjustments/look-0001/approve", "POST")
        assert (said["published"], said["by"]) == ("kmeans-0002", "ada")
        deadline = time.monotonic() + 10
        while version(other) != "kmeans-0002":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert version(own) == "kmeans-0002"
        assert service.stop(signal.SIGTERM) == 0


def test_too_few_customers_are_no_canary_and_that_is_said() -> None:
    dials = AdjustConfig(canary_share=0.05)
    assert not adjust_canary.possible(dials, 500)
    assert adjust_canary.possible(dials, 600)
    assert "25 customers" in adjust_canary.too_few(dials, 500).en
