"""A shop whose customers drift: looked at, adjusted, asked about, gone back; killed and locked."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.adjust.lineage import adds_up
from shoal.config import AdjustConfig, Config
from shoal.domain.errors import OperationError
from shoal.segments import artefact
from shoal.workflows import adjust_state
from shoal.workflows.adjust import Job
from shoal.workflows.adjuster import Adjusted, Waiting
from shoal.workflows.segment_publish import Publisher

START = datetime(2024, 1, 1, tzinfo=UTC)
KINDS = ("books", "grocery", "fashion")
HOURS = (2, 10, 19)
LEARNED, FIRST, SECOND, THIRD = "2024-05-20", "2024-06-03", "2024-06-24", "2024-07-15"


def drifting_events(customers: int = 150, days: int = 200, start: datetime = START) -> pa.Table:
    """Three kinds of customers; one after the other those of the first turn to groceries."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(customers):
        kind = number % 3
        for place in range(int(random.integers(20, 40))):
            day = int(random.integers(days))
            late = kind == 0 and day >= 130 + number % 40
            price = float(random.integers(1, 20)) * (1 + kind)
            rows.append(
                {
                    "event_id": f"{number}-{place}", "customer_id": f"c{number:03d}",
                    "kind": str(random.choice(["view", "cart_add", "purchase"], p=[0.5, 0.2, 0.3])),
                    "event_time": start + timedelta(
                        days=day, hours=22 if late else HOURS[kind], minutes=place
                    ),
                    "item_id": f"i{kind}{int(random.integers(9))}",
                    "category": KINDS[1 if late else kind], "price": price, "quantity": 1,
                    "currency": "EUR",
                }
            )  # fmt: skip
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with segments of May; relabelling costs nothing, so that what gains is done."""
    home = tmp_path_factory.mktemp("adjust")
    pq.write_table(drifting_events(), home / "events.parquet")
    dials = AdjustConfig(relabel_price=0.0, relabel_budget=1.0, challenger_days=3650.0)
    with package.init(home / "shop", Config(adjust=dials)) as made:
        made.ingest([home / "events.parquet"], preset="shoal")
        made.segment(k=3, until=LEARNED, aim="style")
    return home / "shop"


@pytest.fixture(scope="module")
def adjusted(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after looks at three moments."""
    shop = tmp_path_factory.mktemp("adjusted") / "shop"
    shutil.copytree(base, shop)
    with package.open(shop) as opened:
        for moment in (FIRST, SECOND, THIRD):
            opened.adjust(as_of=moment)
    return shop


@pytest.fixture
def copied(base: Path, tmp_path: Path) -> Path:
    shop = tmp_path / "shop"
    shutil.copytree(base, shop)
    return shop


@pytest.fixture(scope="module")
def look(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Adjusted:
    """What a look in the middle of June finds: something that is worth doing."""
    shop = tmp_path_factory.mktemp("look") / "shop"
    shutil.copytree(base, shop)
    found: list[Adjusted] = []
    with pytest.MonkeyPatch.context() as patch, package.open(shop) as opened:
        usual = Job.look

        def kept(*given: Any) -> Adjusted:
            found.append(usual(*given))
            return found[-1]

        patch.setattr(Job, "look", kept)
        opened.adjust(as_of=SECOND, dry_run=True)
    assert found[0].changed
    return found[0]


@pytest.fixture
def found_already(monkeypatch: pytest.MonkeyPatch, look: Adjusted) -> None:
    """Looks find what was found already: what is made of it is asked."""
    monkeypatch.setattr(Job, "look", lambda *_: look)


def _in_force(shop: Path) -> str | None:
    with package.open(shop) as opened:
        return opened.current()


def _recorded(shop: Path, name: str | None = None) -> pa.Table:
    with package.open(shop) as opened:
        return opened.memberships(recorded=True, segmentation=name)


def test_looks_at_three_moments_change_segments_and_say_why(shoal: Shoal, adjusted: Path) -> None:
    found = shoal("adjustments", adjusted, "--json").document
    assert found["schema"] == "shoal.adjustments/1"
    assert [one["adjust_id"] for one in found["looks"]] == ["look-0001", "look-0002", "look-0003"]
    assert [one["as_of"][:10] for one in found["looks"]] == [FIRST, SECOND, THIRD]
    changed = [one for one in found["looks"] if one["published"]]
    assert changed, "half of the log is after the drift"
    for one in changed:
        done = [each for each in one["adjustments"] if each["action"] != "keep"]
        assert done
        assert all(0 < each["probability"] <= 1 and each["words"]["en"] for each in done)
        assert {gate["code"] for gate in one["gates"]} >= {"finite", "assigned", "psi", "moved"}
    last = changed[-1]["published"]
    assert _in_force(adjusted) == last
    shown = shoal("adjustments", adjusted).out
    assert "look-0003" in shown
    assert last in shown


def test_every_change_has_a_lineage_that_adds_up(adjusted: Path) -> None:
    with package.open(adjusted) as opened:
        line = opened.lineage()
        versions = [one["segmentation_id"] for one in line["versions"]]
        assert versions[0] == "kmeans-0001"
        assert len(versions) >= 2
        for name in versions[1:]:
            found = opened._parts.registry.directory("segmentation", name) / "lineage.json"
            document = adjust_state._read(found)
            assert adds_up(document)
            assert document["causes"][0]["en"].startswith("segment")
            members = opened.memberships(recorded=True, segmentation=name)
            sizes = {one["segment_id"]: one["customers"] for one in document["segments"]}
            assert sum(sizes.values()) <= members.num_rows


def test_a_customer_tells_which_version_moved_it(adjusted: Path) -> None:
    members = _recorded(adjusted)
    assert set(members["cause"].to_pylist()) <= {"version", "event", "silence"}
    assert members.num_rows == 150
    assert len(set(members["customer_id"].to_pylist())) == 150


def test_the_same_moment_is_looked_at_once_and_an_earlier_one_never(
    shoal: Shoal, adjusted: Path
) -> None:
    again = shoal("adjust", adjusted, "--as-of", THIRD, "--json").document
    assert again["looked"] is False
    assert "looked at as of 2024-07-15" in again["notes"][0]["en"]
    early = shoal("adjust", adjusted, "--as-of", FIRST, "--json")
    assert (early.code, early.error["code"]) == (2, "bad_period")
    due = shoal("adjust", adjusted, "--as-of", "2024-07-17", "--if-due", "--json").document
    assert due["looked"] is False
    assert due["next_look"].startswith("2024-07-22")
    assert len(shoal("adjustments", adjusted, "--json").document["looks"]) == 3


def test_rollback_is_quick_and_bit_identical(adjusted: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shutil.copytree(adjusted, shop)
    versions = [one for one in _versions(shop) if one != _in_force(shop)]
    before = _recorded(shop, versions[-1])
    with package.open(shop) as opened:
        opened.catch_up()
        begin = time.perf_counter()
        opened.rollback(versions[-1])
        seconds = time.perf_counter() - begin
        after = opened.memberships(recorded=True, segmentation=versions[-1])
    same = ["customer_id", "segment_id", "weight"]
    assert after.select(same).equals(before.select(same))
    assert _in_force(shop) == versions[-1]
    assert seconds < 5


def _versions(shop: Path) -> list[str]:
    with package.open(shop) as opened:
        return [one["segmentation_id"] for one in opened.lineage()["versions"]]


def test_a_dry_run_says_it_and_writes_nothing(
    shoal: Shoal, copied: Path, found_already: None
) -> None:
    before = _artefacts(copied), _recorded(copied)
    found = shoal("adjust", copied, "--as-of", SECOND, "--dry-run", "--json").document
    assert found["dry_run"]
    assert found["changed"]
    assert (found["published"], found["adjust_id"]) == (None, None)
    assert (_artefacts(copied), _recorded(copied)) == before
    assert shoal("adjustments", copied, "--json").document["looks"] == []
    assert "Nothing was written" in shoal("adjust", copied, "--as-of", SECOND, "--dry-run").out


def _artefacts(shop: Path) -> list[str]:
    return sorted(str(path.relative_to(shop)) for path in (shop / "artefacts").rglob("*"))


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch, copied: Path, look: Adjusted) -> Path:
    """A shop with a change that waits."""
    live = replace(look.live, name="kmeans-0001")
    asked = replace(
        look,
        lineage=None,
        done=(),
        waiting=Waiting(live, ("psi",), look.done, look.lineage or {}, None, look.gates, 0.1),
    )
    monkeypatch.setattr(Job, "look", lambda *_: asked)
    with package.open(copied) as opened:
        made = opened.adjust(as_of=SECOND)
    assert (made.published, made.waiting) == (None, "look-0001")
    return copied


def test_a_change_that_waits_is_put_in_force_by_a_person(shoal: Shoal, waiting: Path) -> None:
    assert _in_force(waiting) == "kmeans-0001"
    assert "waits" in shoal("adjustments", waiting).out
    wrong = shoal("adjust", waiting, "--approve", "look-0007", "--json")
    assert (wrong.code, wrong.error["code"]) == (2, "usage")
    assert "look-0001 waits" in wrong.error["hint"].lower()
    both = shoal("adjust", waiting, "--approve", "look-0001", "--dry-run", "--json")
    assert (both.code, both.error["code"]) == (2, "usage")
    with package.open(waiting) as opened:
        made = opened.adjust(approve="look-0001", by="Ada")
    assert made.published == _in_force(waiting) == "kmeans-0002"
    row = shoal("adjustments", waiting, "--json").document["looks"][0]
    assert (row["approved_by"], row["approved_as"], row["waits"]) == ("Ada", "kmeans-0002", False)
    assert _recorded(waiting).num_rows == 150
    again = shoal("adjust", waiting, "--approve", "look-0001", "--json")
    assert (again.code, again.error["code"]) == (2, "usage")


def test_a_change_that_is_declined_is_dropped(shoal: Shoal, waiting: Path) -> None:
    answer = shoal("adjust", waiting, "--decline", "look-0001")
    assert answer.code == 0
    assert "was declined" in answer.out
    assert _in_force(waiting) == "kmeans-0001"
    row = shoal("adjustments", waiting, "--json").document["looks"][0]
    assert row["declined_by"] is not None
    assert row["approved_by"] is None
    gone = shoal("adjust", waiting, "--approve", "look-0001", "--json")
    assert (gone.code, gone.error["code"]) == (2, "usage")


def test_a_change_of_segments_that_are_gone_is_refused(shoal: Shoal, waiting: Path) -> None:
    with package.open(waiting) as opened:
        opened.segment(k=3, aim="style")
    answer = shoal("adjust", waiting, "--approve", "look-0001", "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert "kmeans-0002 is in force now" in answer.error["message"]
    # It cannot be carried out, so nobody is asked any more; gone back to, it can.
    listed = shoal("adjustments", waiting, "--json").document
    assert (listed["waiting"], listed["looks"][0]["waits"]) == (None, False)
    assert shoal("rollback", waiting, "kmeans-0001").code == 0
    assert shoal("adjustments", waiting, "--json").document["waiting"] == "look-0001"
    assert shoal("adjust", waiting, "--approve", "look-0001").code == 0


class Killed(BaseException):
    """The process is gone."""


def killed_in(place: object, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Let the process die when it is about to call something."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        def die(*_: object, **__: object) -> None:
            raise Killed

        monkeypatch.setattr(place, name, die)

    return patch


@pytest.mark.parametrize(
    "killed",
    [
        killed_in(Publisher, "write"),
        killed_in(adjust_state, "write"),
        killed_in(Publisher, "remember"),
        killed_in(adjust_state, "remember"),
    ],
    ids=["before the segmentation", "before the look", "before the pointers", "in the transaction"],
)
def test_killed_at_any_point_the_last_version_stays_and_the_next_look_finishes(
    copied: Path,
    found_already: None,
    look: Adjusted,
    killed: Callable[[pytest.MonkeyPatch], None],
) -> None:
    with pytest.MonkeyPatch.context() as patch, package.open(copied) as opened:
        killed(patch)
        with pytest.raises(Killed):
            opened.adjust(as_of=SECOND)
    assert _in_force(copied) == "kmeans-0001"
    half_made = copied / "artefacts" / "adjustments" / ".half-made"
    half_made.mkdir(parents=True)
    with package.open(copied) as opened:
        assert opened.adjustments()["looks"] == []
        made = opened.adjust(as_of=SECOND)
        assert (made.published, made.document["adjust_id"]) == ("kmeans-0002", "look-0001")
        assert opened.current() == "kmeans-0002"
        names = opened._parts.registry.list("segmentation")
        assert [one for one in names if one.startswith("kmeans")] == ["kmeans-0001", "kmeans-0002"]
        members = opened.memberships(recorded=True)
    assert not half_made.exists()
    wanted = look.memberships.select(["customer_id", "segment_id"])
    assert members.select(["customer_id", "segment_id"]).equals(wanted)


@pytest.mark.parametrize("module", [artefact, adjust_state], ids=["version", "look"])
def test_a_full_disk_leaves_the_last_version_in_force(
    copied: Path, found_already: None, module: Any
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch, package.open(copied) as opened:
        patch.setattr(module, "save_file", full)
        with pytest.raises(OperationError) as caught:
            opened.adjust(as_of=SECOND)
    assert caught.value.code == "disk_full"
    assert _in_force(copied) == "kmeans-0001"
    with package.open(copied) as opened:
        assert opened.adjust(as_of=SECOND).published == "kmeans-0002"


def test_two_adjusters_at_once_are_one(shoal: Shoal, copied: Path, found_already: None) -> None:
    with package.open(copied) as other, other._parts.store.lease():
        answer = shoal("adjust", copied, "--as-of", SECOND, "--json")
    assert (answer.code, answer.error["code"]) == (1, "shop_locked")
    assert _in_force(copied) == "kmeans-0001"


def test_rules_learn_nothing(shoal: Shoal, tmp_path: Path, base: Path) -> None:
    shop = tmp_path / "rules"
    with package.init(shop) as made:
        made.ingest([base.parent / "events.parquet"], preset="shoal")
        made.segment(method="rfm")
    answer = shoal("adjust", shop, "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert "rules" in answer.error["message"]


def test_a_shop_without_segments_says_how_to_make_them(shoal: Shoal, shop: Path) -> None:
    answer = shoal("adjust", shop, "--json")
    assert answer.code in (2, 3)
    assert "Nobody looked yet" in shoal("adjustments", shop).out


def test_silence_of_months_is_no_fault_and_no_traceback(shoal: Shoal, copied: Path) -> None:
    """Nobody did anything for 200 days: everybody has aged, and nothing is made of it blindly."""
    answer = shoal("adjust", copied, "--as-of", "2025-02-01", "--json")
    assert answer.code == 0
    found = answer.document
    assert found["looked"]
    assert _recorded(copied).num_rows == 150
