"""Replay: what would have been said then, cut by cut; the shop stays as it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.config import Config, ShopConfig
from shoal.workflows.replay_cut import MEMBERSHIPS_SCHEMA

START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 60
#: A moment in the middle, and cuts around it.
MIDDLE = "2024-04-01"
SPAN = ("--from", "2024-03-18", "--to", "2024-04-15")
KIND = ("books", "grocery", "fashion")


def rows(days: int = DAYS) -> list[dict[str, Any]]:
    """Three kinds of customers for some days; a tablet of which it is told late whose it is."""
    random = np.random.default_rng(4)
    found = []
    for number in range(DAYS * 60):
        customer = int(random.integers(90))
        kind = customer % 3
        day, minute = number // 60, int(random.integers(0, 60))
        found.append(
            {
                "event_id": f"e{number}", "customer_id": f"c{customer:03d}",
                "event_time": START + timedelta(days=day, hours=(2, 10, 19)[kind], minutes=minute),
                "kind": str(random.choice(["view", "cart_add", "purchase"], p=[0.5, 0.2, 0.3])),
                "category": KIND[kind], "item_id": f"i{kind}{int(random.integers(20))}",
                "price": int(random.integers(1, 60) * (1 + kind)), "quantity": 1 + kind,
                "currency": "EUR",
            }
        )  # fmt: skip
        if number % 7 == 0:
            found[-1] |= {"customer_id": None, "anonymous_id": f"tablet{customer:03d}"}
    for customer in range(0, 90, 2):
        when = START + timedelta(days=10 if customer % 4 else 50, minutes=customer)
        found.append(
            {"event_id": f"l{customer}", "kind": "login", "event_time": when,
             "customer_id": f"c{customer:03d}", "anonymous_id": f"tablet{customer:03d}"}
        )  # fmt: skip
    end = START + timedelta(days=days)
    return [row for row in found if row["event_time"] < end]


def made(home: Path, days: int = DAYS) -> Path:
    """A shop of the first days of the log."""
    log = home.with_suffix(".jsonl")
    log.write_text(
        "".join(json.dumps(row, default=datetime.isoformat) + "\n" for row in rows(days))
    )
    with package.init(home, Config(shop=ShopConfig(buckets=2))) as shop:
        shop.ingest([log], preset="shoal")
    return home


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop without a segmentation: the first one's ids are its own, as those of a replay are."""
    return made(tmp_path_factory.mktemp("bare") / "shop")


@pytest.fixture(scope="module")
def whole(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a segmentation of its own, and a page where its report stands."""
    home = shutil.copytree(bare, tmp_path_factory.mktemp("replay") / "shop")
    with package.open(home) as shop:
        shop.segment(k=3, aim="style")
    (home / "report.html").write_text("<p>a report</p>")
    return home


@pytest.fixture(scope="module")
def cuts(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an uninterrupted replay wrote."""
    out = tmp_path_factory.mktemp("cuts") / "weekly"
    with package.open(whole) as shop:
        shop.write_replay(out, SPAN[1], SPAN[3], k=4, aim="style")
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def placed(table: Any) -> dict[str, tuple[str, float]]:
    return {
        row["customer_id"]: (row["segment_id"], row["weight"])
        for row in table.select(["customer_id", "segment_id", "weight"]).to_pylist()
    }


@pytest.mark.parametrize("k", [4, None])
def test_a_cut_is_what_segment_says_of_a_copy(
    bare: Path, whole: Path, tmp_path: Path, k: int | None
) -> None:
    home = shutil.copytree(bare, tmp_path / "copy")
    with package.open(whole) as shop:
        last = list(shop.replay("2024-03-25", MIDDLE, every="7d", k=k))[-1]
    with package.open(home) as copy:
        # as somebody would who segments every week: the second goes on from the first
        copy.segment(until="2024-03-25", k=k)
        copy.segment(until=MIDDLE, k=k)
        told = copy.memberships(as_of=MIDDLE)
    assert last.as_of == datetime(2024, 4, 1, tzinfo=UTC)
    assert last.segmentation == "kmeans@2024-04-01T00:00:00Z"
    assert last.memberships.schema == MEMBERSHIPS_SCHEMA
    assert placed(last.memberships) == placed(told)


def test_an_applied_cut_is_what_memberships_say(bare: Path, whole: Path, tmp_path: Path) -> None:
    home = shutil.copytree(bare, tmp_path / "copy")
    with package.open(whole) as shop:
        first, _, third = shop.replay(MIDDLE, "2024-04-15", k=4, refit="first", margin=0.0)
    with package.open(home) as copy:
        copy.segment(until=MIDDLE, k=4)
        # of each customer's segments the heaviest comes last
        told = copy.memberships(as_of="2024-04-15", soft=True).sort_by("weight")
    assert (first.learned, third.learned) == (True, False)
    assert third.trained_until == first.as_of
    assert placed(third.memberships) == placed(told)


def test_memberships_move_on_from_cut_to_cut(whole: Path) -> None:
    with package.open(whole) as shop:
        cuts = list(
            shop.replay("2024-03-11", "2024-04-15", k=4, aim="style", refit="first", margin=0.3)
        )
    assert set(cuts[0].changed["cause"].to_pylist()) == {"version"}
    for before, cut in pairwise(cuts):
        weights = cut.segmenter.transform(cut.features)
        place = {name: number for number, name in enumerate(cut.segment_ids)}
        was = {row["customer_id"]: row for row in before.memberships.to_pylist()}
        for row, weight in zip(cut.memberships.to_pylist(), weights, strict=True):
            then = was.get(row["customer_id"])
            heaviest = cut.segment_ids[int(weight.argmax())]
            if then is None or then["segment_id"] == "new":
                expected = heaviest
            else:
                gain = weight.max() - weight[place[then["segment_id"]]]
                expected = heaviest if gain > 0.3 else then["segment_id"]
            assert row["segment_id"] == expected
            moved = then is None or then["segment_id"] != expected
            assert (row["since"] == cut.as_of) == moved
            if not moved:
                assert (row["since"], row["cause"]) == (then["since"], then["cause"])
    document = cuts[-1].as_document()
    assert sum(document["changed"].values()) == cuts[-1].changed.num_rows


def test_the_last_cut_of_a_replay_is_the_batch_whatever_lies_between(whole: Path) -> None:
    def last(every: str) -> dict[str, tuple[str, float]]:
        with package.open(whole) as shop:
            cuts = list(shop.replay("2024-03-21", "2024-04-11", k=4, every=every, refit="first",
                                    margin=0.0))  # fmt: skip
        return placed(cuts[-1].memberships)

    assert last("21d") == last("7d") == last("3d")


def test_rfm_is_replayed_too(whole: Path, tmp_path: Path) -> None:
    home = shutil.copytree(whole, tmp_path / "copy")
    with package.open(whole) as shop:
        [cut] = shop.replay(MIDDLE, MIDDLE, method="rfm")
    with package.open(home) as copy:
        name = copy.segment(until=MIDDLE, method="rfm").ids[0]
        told = copy.memberships(as_of=MIDDLE, segmentation=name)
    assert placed(cut.memberships) == placed(told)


def test_nothing_at_or_after_a_cut_changes_it(whole: Path, tmp_path: Path) -> None:
    until = (datetime(2024, 4, 1, tzinfo=UTC) - START).days
    with package.open(whole) as shop, package.open(made(tmp_path / "then", until)) as then:
        now, before = (
            list(one.replay("2024-03-18", MIDDLE, k=4, refit="14d")) for one in (shop, then)
        )
    assert len(now) == len(before) == 3
    for one, other in zip(now, before, strict=True):
        assert placed(one.memberships) == placed(other.memberships)
        assert one.events == other.events


def test_refits_fall_where_so_long_has_passed(whole: Path) -> None:
    week = timedelta(days=7)
    with package.open(whole) as shop:
        found = list(
            shop.replay("2024-03-18", "2024-04-15", every=week, k=3, aim="style", refit=2 * week)
        )
    assert [cut.as_of - found[0].as_of for cut in found] == [place * week for place in range(5)]
    assert [cut.learned for cut in found] == [True, False, True, False, True]


def test_events_of_the_cuts_are_those_of_the_log(whole: Path) -> None:
    with package.open(whole) as shop:
        found = list(shop.replay("2024-03-18", "2024-04-15", k=3, aim="style", refit="first"))
    for before, cut in pairwise(found):
        counted = sum(
            row["customer_id"] is not None and before.as_of <= row["event_time"] < cut.as_of
            for row in rows()
        )
        # what a tablet saw counts as well, once it is known whose it is
        assert counted <= cut.events <= counted * 1.2


def test_the_shop_stays_as_it_is(whole: Path, shoal: Shoal, tmp_path: Path) -> None:
    def state() -> Any:
        with package.open(whole) as shop:
            kept = {path: path.read_bytes() for path in (whole / "artefacts").rglob("*.*")}
            page = (whole / "report.html").read_bytes()
            return shop.status(), placed(shop.memberships()), kept, page

    before = state()
    answer = shoal("replay", whole, *SPAN, "--k", 3, "--out", tmp_path / "m.parquet", "--json")
    assert answer.code == 0
    assert state() == before


def test_one_file_holds_the_cuts_of_the_folder(whole: Path, cuts: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    with package.open(whole) as shop:
        made = shop.write_replay(out, SPAN[1], SPAN[3], k=4, aim="style")
    table = pq.read_table(out)
    assert table.schema == MEMBERSHIPS_SCHEMA
    rows = made.as_document()["cuts"]
    assert [row["customers"] for row in rows] == [
        pq.read_metadata(file).num_rows for file in sorted(cuts.glob("*.parquet"))
    ]
    for file in cuts.glob("*.parquet"):
        one = pq.read_table(file)
        assert table.filter(pc.equal(table["as_of"], one["as_of"][0])).equals(one)


def test_a_document_has_a_row_a_cut(whole: Path, shoal: Shoal) -> None:
    document = shoal("replay", whole, *SPAN, "--k", 3, "--aim", "style", "--json").document
    assert document["schema"] == "shoal.replay/1"
    assert [row["as_of"][:10] for row in document["cuts"]] == [
        "2024-03-18", "2024-03-25", "2024-04-01", "2024-04-08", "2024-04-15",
    ]  # fmt: skip
    for row in document["cuts"]:
        assert sum(row["segments"].values()) == row["customers"]
        assert (row["k"], row["learned"], row["skipped"]) == (3, True, None)
        assert row["changed"] == {"version": row["customers"]}, "each cut learned anew"


# --- Interrupted ----------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
import shoal
from shoal.workflows.progress import NoProgress

class Dying(NoProgress):
    done_cuts = 0
    def advance(self, amount=1):
        self.done_cuts += bool(amount)
        if self.done_cuts == 2:
            os.kill(os.getpid(), signal.SIGKILL)

with shoal.open(sys.argv[1]) as shop:
    more = dict(zip(sys.argv[3::2], sys.argv[4::2]))
    shop.write_replay(
        sys.argv[2], "2024-03-18", "2024-04-15", k=4, aim="style", progress=Dying(), **more
    )
"""


def test_killed_and_run_again_gives_the_same_files(whole: Path, tmp_path: Path) -> None:
    out, smooth, more = tmp_path / "killed", tmp_path / "smooth", {"refit": "14d"}
    told = [text for pair in more.items() for text in pair]
    done = subprocess.run([sys.executable, "-c", _KILLED, str(whole), str(out), *told], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(out.glob("*.parquet"))) == 2
    third = out / "memberships-20240401T000000Z.parquet"
    third.write_bytes(b"half a file")
    os.utime(out / "memberships-20240318T000000Z.parquet", (1, 1))
    with package.open(whole) as shop:
        again = shop.write_replay(out, SPAN[1], SPAN[3], k=4, aim="style", **more)
        shop.write_replay(smooth, SPAN[1], SPAN[3], k=4, aim="style", **more)
    assert again.kept == 2
    assert (out / "memberships-20240318T000000Z.parquet").stat().st_mtime == 1  # not made again
    assert content(out) == content(smooth)


def test_what_is_finished_is_kept_until_the_log_changes(
    whole: Path, cuts: Path, tmp_path: Path, shoal: Shoal
) -> None:
    home, out = shutil.copytree(whole, tmp_path / "copy"), shutil.copytree(cuts, tmp_path / "cuts")
    again = shoal("replay", home, *SPAN, "--k", 4, "--aim", "style", "--out", out)
    assert again.code == 0
    assert "5 cuts were finished before and are kept." in again.out
    late = tmp_path / "late.jsonl"
    row = {"event_id": "late", "kind": "view", "customer_id": "late", "event_time": "2024-03-20"}
    late.write_text(json.dumps(row) + "\n")
    assert shoal("ingest", home, late, "--preset", "shoal").code == 0
    document = shoal(
        "replay", home, *SPAN, "--k", 4, "--aim", "style", "--out", out, "--json"
    ).document
    assert document["kept"] == 0
    first, second = document["cuts"][:2]
    assert second["segments"]["new"] == 1 + first["segments"]["new"]


def test_a_folder_of_other_steps_is_refused(whole: Path, cuts: Path, shoal: Shoal) -> None:
    before = content(cuts)
    answer = shoal("replay", whole, *SPAN, "--k", 5, "--aim", "style", "--out", cuts, "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert "k 4" in answer.error["message"]
    assert content(cuts) == before


def test_a_damaged_journal_is_told(whole: Path, tmp_path: Path, shoal: Shoal) -> None:
    (tmp_path / "cuts").mkdir()
    (tmp_path / "cuts" / "replay.json").write_text("{")
    answer = shoal(
        "replay", whole, *SPAN, "--k", 4, "--aim", "style", "--out", tmp_path / "cuts", "--json"
    )
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert "replay.json there cannot be read" in answer.error["message"]


# --- Persons --------------------------------------------------------------------------------------


def test_forgetting_finds_the_files_of_a_replay(whole: Path, tmp_path: Path, shoal: Shoal) -> None:
    home, out = shutil.copytree(whole, tmp_path / "copy"), tmp_path / "cuts"
    for where in (out, tmp_path / "all.parquet"):
        assert shoal("replay", home, *SPAN, "--k", 3, "--aim", "style", "--out", where).code == 0
    assert shoal("forget", home, "c001", "--yes").code == 0
    files = [*out.glob("*.parquet"), tmp_path / "all.parquet"]
    assert len(files) == 6
    for file in files:
        assert "c001" not in pq.read_table(file)["customer_id"].to_pylist()
    assert b"c001" not in (out / "replay.json").read_bytes()


# --- Too little, and wrong calls ------------------------------------------------------------------


def test_a_cut_with_too_few_customers_is_said_and_skipped(
    whole: Path, tmp_path: Path, shoal: Shoal
) -> None:
    out = tmp_path / "cuts"
    call = (
        "replay", whole, "--from", "2024-03-01T02:20", "--to", "2024-03-03T02:20", "--every", "2d",
        "--k", 12, "--aim", "style", "--out", out,
    )  # fmt: skip
    answer = shoal(*call, "--json")
    assert answer.code == 0
    skipped, *others = answer.document["cuts"]
    assert "12 segments were asked for" in skipped["skipped"] or "no customer" in skipped["skipped"]
    assert skipped["customers"] == 0
    assert skipped["file"] is None
    assert [row["skipped"] for row in others] == [None]
    assert len(list(out.glob("*.parquet"))) == 1
    told = [json.loads(line) for line in answer.err.splitlines()]
    assert any("no segments" in line["message"] for line in told)
    assert "skipped" in shoal(*call).out


def test_only_skipped_cuts_are_too_little_data(whole: Path, tmp_path: Path, shoal: Shoal) -> None:
    period = ("--from", "2024-03-01T02:20", "--to", "2024-03-01T02:20")
    for out in ("all.parquet", "cuts"):
        where = tmp_path / out
        answer = shoal(
            "replay", whole, *period, "--k", 50, "--aim", "style", "--out", where, "--json"
        )
        assert (answer.code, answer.error["code"]) == (3, "too_little_data")
        assert not list(tmp_path.rglob("*.parquet"))


WRONG = {
    "reversed": (("--from", "2024-04-01", "--to", "2024-03-01"), "bad_period", "reversed"),
    "before the log": (("--from", "2024-03-01", "--to", "2024-04-01"), "bad_period", "outside"),
    "after the log": (("--from", "2024-03-20", "--to", "2024-06-01"), "bad_period", "outside"),
    "no time": (("--from", "yesterday", "--to", "2024-04-01"), "bad_time", "'yesterday'"),
    "every nothing": ((*SPAN, "--every", "0d"), "bad_time", "'0d'"),
    "every negative": ((*SPAN, "--every=-7d"), "bad_time", "'-7d'"),
    "every without unit": ((*SPAN, "--every", "7"), "bad_time", "'7'"),
    "every month": ((*SPAN, "--every", "1 month"), "bad_time", "'1 month'"),
    "every empty": ((*SPAN, "--every", ""), "bad_time", "''"),
    "refit sometimes": ((*SPAN, "--refit", "sometimes"), "bad_time", "'sometimes'"),
    "one segment": ((*SPAN, "--k", "1"), "usage", "--k is 1"),
    "no margin": ((*SPAN, "--margin", "1"), "usage", "the margin is 1.0"),
    "rfm with k": ((*SPAN, "--method", "rfm", "--k", "5"), "usage", "k is 5"),
    "unknown method": ((*SPAN, "--method", "magic"), "unknown_method", "'magic'"),
    "another ending": ((*SPAN, "--k", "3", "--out", "x.csv"), "unknown_format", "'x.csv'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_are_told_before_anything_is_done(
    name: str, whole: Path, shoal: Shoal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags, code, words = WRONG[name]
    answer = shoal("replay", whole, *flags, "--json")
    assert (answer.code, answer.error["code"]) == (2, code)
    assert words in answer.error["message"]
    assert answer.error["hint"]
    assert not list(tmp_path.iterdir())


def test_an_out_below_a_file_is_told(whole: Path, tmp_path: Path, shoal: Shoal) -> None:
    (tmp_path / "file").write_text("")
    for out in ("file", "file/cuts", "file/all.parquet"):
        answer = shoal(
            "replay", whole, *SPAN, "--k", 3, "--aim", "style", "--out", tmp_path / out, "--json"
        )
        assert (answer.code, answer.error["code"]) == (2, "usage")
        assert "is no folder" in answer.error["message"]


def test_an_empty_shop_has_nothing_to_replay(shop: Path, shoal: Shoal) -> None:
    answer = shoal("replay", shop, *SPAN, "--json")
    assert (answer.code, answer.error["code"]) == (3, "too_little_data")
    assert "holds no event yet" in answer.error["message"]


def test_too_many_segments_for_every_cut_is_told(whole: Path, shoal: Shoal) -> None:
    answer = shoal("replay", whole, *SPAN, "--k", 1000, "--aim", "style", "--json")
    assert (answer.code, answer.error["code"]) == (3, "too_little_data")
    assert "1000 segments were asked for" in answer.error["message"]
