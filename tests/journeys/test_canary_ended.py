"""How a canary ends: by its gates, gone back from, killed on the way, copied, forgotten from."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from tests.journeys.canary_shops import (  # noqa: F401
    OVER,
    WEEK,
    plain_shop,
    quiet,
    recorded,
    to_and_fro,
    trial_of,
    tried_shop,
)
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.domain.errors import UsageError
from shoal.workflows import canary
from shoal.workflows.adjust import Job

PROGRAM = (sys.executable, "-m", "tests.journeys.killed_canary")
MAIN, TRIED = "kmeans-0001", "kmeans-0002"
#: How it ends -> the look that ends it.
ENDS = {"promoted": OVER, "dropped": WEEK}


def test_dropped_by_a_gate_everybody_has_what_they_would_have_had(
    shoal: Shoal, shop: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "look", quiet())
    settings = shop / "shop.toml"
    settings.write_text(settings.read_text().replace("cadence_days = 7.0", "cadence_days = 28.0"))
    with package.open(plain) as opened:
        opened.refresh(as_of=WEEK)
    to_and_fro(shop)
    answer = shoal("adjust", shop, "--as-of", WEEK)
    assert answer.code == 0
    said = " ".join(answer.out.split())
    assert "kmeans-0002, tried on 50%, is dropped." in said
    assert "Gate flicker: Returns to a segment just left" in said
    assert "Next look: 2024-05-06" in said  # its days count no more
    with package.open(shop) as opened, package.open(plain) as other:
        assert opened.current() == MAIN
        assert opened.memberships(recorded=True).equals(other.memberships(recorded=True))
        told = opened.adjustments()
        assert (told["canary"], told["waiting"]) == (None, None)
        assert (told["looks"][1]["canary"]["outcome"], told["looks"][1]["canary"]["shut"]) == (
            "dropped", ["flicker"],
        )  # fmt: skip
        ended = told["looks"][0]["canary"]["ended"]
        assert (ended["outcome"], ended["reason"], ended["by"]) == ("dropped", "gates", "")
        # nothing left to judge; what was tried stays on disk, for its ids are never given again
        assert opened.adjust(as_of=WEEK).document["looked"] is False
        assert TRIED in opened._parts.registry.list("segmentation")
        text = opened.movement_report(since="2024-03-30").text()
    assert "dropped: kmeans-0002" in text
    assert "kmeans-0002 dropped" in " ".join(shoal("adjustments", shop).out.split())
    (row,) = [line for line in shoal("versions", shop).out.splitlines() if TRIED in line]
    assert "dropped" in row


def test_going_back_while_it_runs_is_refused_with_the_word_that_ends_it(
    shoal: Shoal, shop: Path
) -> None:
    before = recorded(shop, TRIED)
    (row,) = [line for line in shoal("versions", shop).out.splitlines() if TRIED in line]
    assert "canary" in row
    for version, word in ((MAIN, "--decline look-0001"), (TRIED, "--approve look-0001")):
        refused = shoal("rollback", shop, version, "--json")
        assert (refused.code, refused.error["code"]) == (2, "usage")
        assert word in refused.error["hint"]
    assert trial_of(shop).segmentation_id == TRIED
    assert recorded(shop, TRIED).equals(before)


def whole(shop: Path) -> dict[str, Any]:
    """All that an adjustment writes."""
    with package.open(shop) as opened:
        store, registry = opened._parts.store, opened._parts.registry
        settings = store.get_settings().items()
        return {
            "settings": {
                name: told for name, told in settings
                if name.startswith(("adjust.", "memberships."))
            },
            "pointers": store.pointers(),
            "memberships": store.membership_history().to_pylist(),
            "position": store.last_membership(),
            "looks": opened.adjustments(),
            "artefacts": {kind: registry.list(kind) for kind in registry.kinds()},
        }  # fmt: skip


@pytest.fixture(scope="module")
def unkilled(
    canary_look: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Any]]:
    """The shop after a look that ended the canary in one way or the other, undisturbed."""

    @cache
    def found(end: str) -> dict[str, Any]:
        shop = tmp_path_factory.mktemp(end) / "shop"
        shutil.copytree(canary_look[0], shop)
        ending(shop, end)
        with pytest.MonkeyPatch.context() as patch, package.open(shop) as opened:
            patch.setattr(Job, "look", quiet())
            told = opened.adjust(as_of=ENDS[end]).document["canary"]
        assert told["outcome"] == end
        return whole(shop)

    return found


def ending(shop: Path, end: str) -> None:
    """Let the next look drop it, or leave it to be promoted."""
    if end == "dropped":
        to_and_fro(shop)


@pytest.mark.parametrize(
    ("end", "point"),
    [
        ("promoted", "all written, not committed"),
        ("promoted", "committed, nobody told"),
        ("dropped", "all written, not committed"),
    ],
)
def test_killed_while_it_ends_by_itself_the_shop_ends_like_one_that_was_not(
    shop: Path,
    unkilled: Callable[[str], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    point: str,
) -> None:
    wanted = unkilled(end)
    ending(shop, end)
    home = Path(__file__).parents[2]
    killed = subprocess.run([*PROGRAM, shop, ENDS[end], point], cwd=home, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    committed = point.startswith("committed")
    with package.open(shop) as opened:
        assert (canary.running(opened._parts.store) is None) == committed
    monkeypatch.setattr(Job, "look", quiet())
    with package.open(shop) as opened:
        told = opened.adjust(as_of=ENDS[end]).document
    assert told["looked"] != committed
    found = whole(shop)
    for name, value in wanted.items():
        assert found[name] == value, name
    assert package.verify(shop)["ok"]


def test_copied_verified_and_forgotten_from_while_it_runs(
    shoal: Shoal, shop: Path, plain: Path, tmp_path: Path
) -> None:
    trial, names = trial_of(shop), recorded(shop)["customer_id"].to_pylist()
    own = [name for name in names if trial.chosen([name])[0]]
    gone = [own[0], next(name for name in names if name not in own)]
    for one in (shop, plain):
        with package.open(one) as opened:
            opened.refresh(as_of=WEEK)
    assert shoal("verify", shop, "--deep", "--customers", "all").code == 0
    with package.open(shop) as opened:
        copied = Path(opened.backup(tmp_path / "backups")["backup"])
    for one in (shop, plain):
        with package.open(one) as opened:
            opened.forget(gone)
    assert shoal("verify", copied, "--deep").code == 0
    assert shoal("restore", copied, tmp_path / "again").code == 0
    with package.open(tmp_path / "again") as again:
        assert canary.running(again._parts.store) == trial
        assert recorded(tmp_path / "again", TRIED).num_rows == len(own)
        again.forget(gone)
    for one in (shop, tmp_path / "again"):
        assert shoal("verify", one, "--deep").code == 0
        with package.open(one) as opened, package.open(plain) as other:
            store = opened._parts.store
            assert canary.running(store) == trial
            assert not store.membership_history(gone).num_rows
            whole_log = opened.memberships(recorded=True)
            assert whole_log.num_rows == len(names) - len(gone)
            tried = pc.equal(whole_log["segmentation_id"], TRIED)
            assert pc.sum(tried).as_py() == len(own) - 1
            opened.adjust(decline="look-0001", by="Ada")
            assert opened.memberships(recorded=True).equals(other.memberships(recorded=True))


def test_where_what_is_tried_is_lost_a_word_stops_it(shoal: Shoal, shop: Path, plain: Path) -> None:
    shutil.rmtree(shop / "artefacts" / "segmentation" / TRIED)
    found = shoal("verify", shop, "--json")
    assert found.code == 1
    (finding,) = found.document["findings"]
    assert (finding["check"], finding["code"]) == ("pointers", "artefact_damaged")
    assert "--decline look-0001" in finding["hint"]
    with package.open(shop) as opened, package.open(plain) as other:
        with pytest.raises(UsageError) as caught:
            opened.refresh(as_of=WEEK)
        assert (caught.value.code, caught.value.where) == ("unknown_segmentation", TRIED)
        opened.adjust(decline="look-0001")
        opened.refresh(as_of=WEEK)
        other.refresh(as_of=WEEK)
        assert opened.memberships(recorded=True).equals(other.memberships(recorded=True))
    assert package.verify(shop)["ok"]
