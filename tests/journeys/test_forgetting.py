"""A person is forgotten: no store keeps anything of her, and old files do not bring her back."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from tests.journeys.conftest import Shoal

import shoal as face

HER = "zq-unforgettable-7741"
DEVICE = "zq-device-9902"
SHARED = "zq-shared-5513"
MARKS = (HER, DEVICE, "zq-secret-words", "zq-mail")


def rows() -> list[dict[str, Any]]:
    """A shop of 60 customers with enough events for segments; she signs in on two devices."""
    made: list[dict[str, Any]] = []

    def add(minute: int, kind: str, who: str | None, **more: Any) -> None:
        moment = f"2024-03-{1 + minute // 1440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:00Z"
        made.append(
            {"event_id": f"e{len(made)}", "event_time": moment, "kind": kind, "customer_id": who,
             "source": "web", **more}
        )  # fmt: skip

    for n in range(60):
        who = HER if n == 7 else f"c{n}"
        for k in range(8):
            kind = ("view", "view", "cart_add", "purchase")[k % 4]
            add(
                37 * n + 401 * k, kind, who, item_id=f"i{(n + k) % 9}", price=5.0 + n % 7,
                currency="EUR", category=("home", "toys", "garden")[n % 3],
                order_id=f"o{n}-{k}" if kind == "purchase" else None,
            )  # fmt: skip
    add(100, "view", None, anonymous_id=DEVICE, item_id="i1", query="zq-secret-words")
    add(110, "login", HER, anonymous_id=DEVICE)
    add(120, "view", None, anonymous_id=SHARED, item_id="i1")
    add(130, "login", HER, anonymous_id=SHARED)
    add(140, "login", "c3", anonymous_id=SHARED)
    add(150, "view", None, anonymous_id=SHARED, item_id="i2")
    add(160, "profile", HER, properties={"email": "zq-mail@mail.example"})
    add(170, "review", HER, item_id="i3", text="zq-secret-words and more")
    return made


def write(path: Path, some: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, and a shop that took them in."""
    folder = tmp_path_factory.mktemp("made")
    made = rows()
    half = len(made) // 2
    write(folder / "a.jsonl", made[:half])
    write(folder / "b.jsonl", made[half:])
    bad = [
        {"event_id": "bad1", "event_time": "never", "kind": "view", "customer_id": HER},
        {"event_id": "bad2", "event_time": "never", "kind": "view", "customer_id": "c5"},
        {"event_id": "ok", "event_time": "2024-03-02", "kind": "view", "customer_id": "c5"},
    ]
    write(folder / "c.jsonl", bad)
    with (folder / "c.jsonl").open("a") as file:
        file.write(f'{{"kind": "view", "customer_id": "{HER}"\n')
    with face.init(folder / "shop") as opened:
        for name in ("a", "b", "c"):
            opened.ingest([folder / f"{name}.jsonl"], preset="shoal")
    return folder


@pytest.fixture
def plain(made: Path, tmp_path: Path) -> Path:
    """A shop with her events."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "shop"


@pytest.fixture(scope="module")
def once(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with segments."""
    home = tmp_path_factory.mktemp("once") / "shop"
    shutil.copytree(made / "shop", home)
    with face.open(home) as opened:
        opened.segment(k=3)
    return home


@pytest.fixture
def segmented(once: Path, tmp_path: Path) -> Path:
    """A shop with segments, to be changed."""
    return Path(shutil.copytree(once, tmp_path / "shop"))


@pytest.fixture
def shop(shoal: Shoal, plain: Path, tmp_path: Path) -> Path:
    """A shop with all that verbs make of events."""
    home = plain
    assert shoal("segment", home, "--k", "3").code == 0
    assert shoal("compact", home).code == 0
    for segment in ("s01", "s02", "s03"):
        for form in ("csv", "parquet"):
            assert shoal("export", home, segment, "--format", form).code == 0
    out = tmp_path / "list.csv"
    assert shoal("export", home, "s01", "--out", out).code == 0
    assert shoal("memberships", home, "--out", tmp_path / "members.parquet").code == 0
    assert shoal("features", home, "--out", tmp_path / "features.parquet").code == 0
    for who, name in ((HER, "hers.json"), ("c3", "of-c3.json")):
        assert shoal("person", home, who, "--out", tmp_path / name).code == 0
    assert shoal("export", home, "s02", "--out", tmp_path / "moved.csv").code == 0
    (tmp_path / "moved.csv").rename(tmp_path / "elsewhere.csv")
    assert shoal("report", home).code == 0
    return home


def everything(directory: Path) -> dict[str, str]:
    """The content of every file, as bytes and decompressed, as text."""
    found: dict[str, str] = {}
    for path in sorted(directory.rglob("*")):
        if not path.is_file():
            continue
        raw = path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                raw += str(file.metadata.to_dict()) + str(file.read().to_pydict())
                texts = [one.name for one in file.schema_arrow if pa.types.is_string(one.type)]
            # a dictionary may hold what no row has any more
            with pq.ParquetFile(path, read_dictionary=texts) as file:
                coded = file.read().select(texts)
            raw += str([part.dictionary for column in coded.columns for part in column.chunks])
        found[path.relative_to(directory).as_posix()] = raw
    return found


def places(directory: Path, mark: str) -> list[str]:
    return [name for name, text in everything(directory).items() if mark in text]


def events(shop: Path) -> list[tuple[Any, ...]]:
    """Whose and what each event of the table is."""
    files = DeltaTable(str(shop / "events")).file_uris()
    query = f"SELECT customer_id, anonymous_id, kind FROM read_parquet({files})"
    return duckdb.sql(query).fetchall()


def test_nothing_of_her_is_left_and_old_files_do_not_bring_her_back(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    assert {name.split("/")[0] for name in places(shop, HER)} >= {
        "events", "shop.sqlite", "quarantine", "artefacts", "exports",
    }  # fmt: skip
    told = shoal("person", shop, HER, "--json").document
    assert len(told["events"]) == 14
    assert [row["code"] for row in told["quarantined"]].count("bad_time") == 1
    assert {Path(one["file"]).name for one in told["lists"]} >= {
        "list.csv", "members.parquet", "features.parquet", "hers.json",
    }  # fmt: skip
    before = len(events(shop))
    asked = shoal("forget", shop, HER, "--json")
    assert asked.code == 2
    assert "not confirmed" in asked.error["message"]
    answer = shoal("forget", shop, HER, "--yes", "--json")
    assert answer.code == 0
    receipt = answer.document
    # 8 of her own, 2 sign-ins, profile, review; the view on her device, the first on the shared one
    assert receipt["removed"]["events"] == 14
    assert receipt["removed"]["quarantined"] == 2
    assert receipt["removed"]["states"] == 1
    assert HER not in answer.out
    for mark in MARKS:
        assert places(shop, mark) == [], mark
    assert len(events(shop)) == before - 14
    assert HER not in (tmp_path / "list.csv").read_text()
    for name in ("members.parquet", "features.parquet"):
        assert HER not in str(pq.read_table(tmp_path / name)["customer_id"])
    assert not (tmp_path / "hers.json").exists()
    assert (tmp_path / "of-c3.json").exists()
    assert [Path(one["file"]).name for one in receipt["not_reached"]] == ["moved.csv"]
    # others on the shared device keep what is theirs
    assert ("c3", SHARED, "login") in events(shop)
    assert (None, SHARED, "view") in events(shop)
    counts = shoal("customer", shop, "c3", "--json").document["features"]["events"]["value"]
    assert counts == 10

    for name in ("a", "b", "c"):
        copy = tmp_path / f"again-{name}.jsonl"
        copy.write_text((tmp_path / f"{name}.jsonl").read_text() + "\n")
        again = shoal("ingest", shop, copy, "--preset", "shoal", "--json")
        assert again.code == 0
        assert again.document["rows"]["stored"] == 0
        assert sum(again.document["rows"].values()) == 2 * again.document["rows"]["read"]
    assert len(events(shop)) == before - 14
    for mark in MARKS:
        assert places(shop, mark) == [], mark
    assert shoal("customer", shop, HER, "--json").code == 2
    assert shoal("segment", shop, "--k", "3").code == 0
    assert shoal("status", shop, "--json").code == 0


def test_a_person_may_come_back(shoal: Shoal, plain: Path, tmp_path: Path) -> None:
    shoal("forget", plain, HER, "--yes")
    new = {"event_id": "n1", "event_time": "2024-06-01", "kind": "view", "customer_id": HER}
    path = write(tmp_path / "new.jsonl", [new, {**new, "event_id": "n2", "customer_id": "c1"}])
    answer = shoal("ingest", plain, path, "--preset", "shoal", "--json")
    assert (answer.document["rows"]["stored"], answer.document["forgotten"]) == (1, 1)
    assert shoal("forget", plain, HER, "--lift", "--json").document["lifted"] >= 1
    path = write(tmp_path / "newer.jsonl", [{**new, "event_id": "n3"}])
    answer = shoal("ingest", plain, path, "--preset", "shoal", "--json")
    assert answer.document["rows"]["stored"] == 1


def test_an_unknown_id_leaves_a_tombstone_and_what_there_is(
    shoal: Shoal, plain: Path, tmp_path: Path
) -> None:
    before = sorted(events(plain), key=str)
    (plain / "report.html").write_text("<td>c3</td>")
    answer = shoal("forget", plain, "nobody-knows", "--yes", "--json")
    assert answer.code == 0
    assert sum(answer.document["removed"].values()) == 0
    assert answer.document["earlier_versions"] == "kept"
    assert len(answer.document["tombstones"]) == 1
    again = shoal("forget", plain, "nobody-knows", "--yes", "--json")
    assert again.document["tombstones"] == answer.document["tombstones"]
    listed = shoal("forget", plain, "--receipts", "--json").document["receipts"]
    assert [one["number"] for one in listed] == [1, 2]
    out = tmp_path / "f.parquet"
    assert shoal("features", plain, "--table-version", "1", "--out", out).code == 0
    assert sorted(events(plain), key=str) == before
    assert (plain / "report.html").read_text() == "<td>c3</td>"
    assert places(plain, "nobody-knows") == []


def test_earlier_versions_are_gone_and_said_so(shoal: Shoal, plain: Path, tmp_path: Path) -> None:
    shoal("forget", plain, HER, "--yes")
    out = tmp_path / "f.parquet"
    answer = shoal("features", plain, "--table-version", "1", "--out", out, "--json")
    assert answer.code == 2
    assert "is not kept any more" in answer.error["message"]
    assert "erasure" in answer.error["hint"]
    again = shoal("forget", plain, HER, "--yes", "--json").document
    assert sum(again["removed"].values()) == 0


def test_a_shared_device_is_nobodys_name(shoal: Shoal, plain: Path) -> None:
    answer = shoal("forget", plain, SHARED, "--yes", "--json")
    assert answer.code == 2
    assert "a device on which 2 customers signed in" in answer.error["message"]
    assert shoal("customer", plain, HER).code == 0


def test_her_device_names_her(shoal: Shoal, plain: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text(f"{DEVICE}\n\n")
    answer = shoal("forget", plain, "--file", tmp_path / "ids.txt", "--yes", "--json")
    assert answer.document["removed"]["events"] == 14
    for mark in MARKS:
        assert places(plain, mark) == [], mark


def test_a_file_of_ids_may_begin_with_a_byte_order_mark(
    shoal: Shoal, plain: Path, tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_bytes(f"\ufeff{HER}\r\nc3\r\n".encode())
    answer = shoal("forget", plain, "--file", tmp_path / "ids.txt", "--yes", "--json").document
    assert (answer["unknown_ids"], answer["unknown"]) == ([], 0)
    assert places(plain, HER) == []


def test_ids_of_which_no_event_told_are_named_and_not_kept(
    shoal: Shoal, plain: Path, tmp_path: Path
) -> None:
    only = {"event_id": "y1", "event_time": "2024-03-01", "kind": "view", "anonymous_id": "lone"}
    assert (
        shoal("ingest", plain, write(tmp_path / "y.jsonl", [only]), "--preset", "shoal").code == 0
    )
    answer = shoal("forget", plain, DEVICE, "lone", "c30", "c-30", "--yes", "--json").document
    assert (answer["unknown_ids"], answer["unknown"]) == (["c-30"], 1)
    again = shoal("forget", plain, "c30", "c-31", "--yes")
    assert "no event told of c-31" in again.err
    assert "no event told of c30" in again.err
    kept = shoal("forget", plain, "--receipts", "--json").document["receipts"]
    assert [one["unknown"] for one in kept] == [1, 2]
    assert "unknown_ids" not in kept[0]
    assert places(plain, "c-3") == []


def test_wrong_use_is_told(shoal: Shoal, plain: Path, tmp_path: Path) -> None:
    assert shoal("forget", plain, "--yes", "--json").error["message"] == "no id was given"
    missing = shoal("forget", plain, "--file", tmp_path / "none.txt", "--yes", "--json")
    assert (missing.code, missing.error["code"]) == (3, "input_unreadable")
    for nobody in ("", " ", "NULL", "guest"):
        answer = shoal("forget", plain, nobody, "--yes", "--json")
        assert (answer.code, answer.error["message"]) == (2, f"{nobody!r} is nobody's id")
    assert shoal("forget", plain, "\udcff", "--yes", "--json").code == 2
    empty = tmp_path / "empty"
    assert shoal("init", empty).code == 0
    answer = shoal("forget", empty, HER, "--yes", "--json")
    assert (answer.code, answer.document["removed"]["events"]) == (0, 0)


def test_a_file_of_the_forgotten_alone_is_no_bad_file(
    shoal: Shoal, plain: Path, tmp_path: Path
) -> None:
    shoal("forget", plain, HER, "--yes")
    hers = [row for row in rows() if row["customer_id"] == HER]
    answer = shoal(
        "ingest", plain, write(tmp_path / "h.jsonl", hers), "--preset", "shoal", "--json"
    )
    assert (answer.code, answer.document["forgotten"]) == (0, len(hers))
    said = shoal("ingest", plain, write(tmp_path / "i.jsonl", hers[1:]), "--preset", "shoal").out
    assert f"Forgotten: {len(hers) - 1} rows skipped" in said


def test_an_artefact_that_cannot_be_read_is_told_before_anything_goes(
    shoal: Shoal, plain: Path
) -> None:
    home = plain / "artefacts" / "segmentation" / "kmeans-0009"
    home.mkdir(parents=True)
    (home / "members.parquet").write_text("PAR1")
    answer = shoal("forget", plain, HER, "--yes", "--json")
    assert (answer.code, answer.error["code"]) == (1, "artefact_damaged")
    assert "Nothing was removed" in answer.error["hint"]
    assert shoal("customer", plain, HER).code == 0
    shutil.rmtree(home)
    assert shoal("forget", plain, HER, "--yes").code == 0


#: A verb that writes a file naming customers, and what it calls once all is worked out.
LATE = {
    "export": (["export", "SEGMENT"], "shoal.workflows.export.write_table"),
    "export elsewhere": (
        ["export", "SEGMENT", "--out", "l.csv"], "shoal.workflows.export.write_table"
    ),
    "memberships": (["memberships", "--out", "l.csv"], "shoal.workflows.memberships.write_table"),
    "features": (["features", "--out", "l.parquet"], "shoal.workflows.features.write_snapshot"),
    "report": (["report", "--out", "l.html"], "shoal.workflows.report._write"),
    "person": (["person", HER, "--out", "l.json"], "shoal.workflows.person.as_text"),
}  # fmt: skip


@pytest.mark.parametrize("verb", LATE)
def test_a_list_under_way_does_not_bring_her_back(
    shoal: Shoal, segmented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    with face.open(segmented) as opened:
        members = opened.memberships().to_pylist()
    hers = next(row["segment_id"] for row in members if row["customer_id"] == HER)
    call, place = LATE[verb]
    call = [str(tmp_path / one) if one.startswith("l.") else one for one in call]
    call = [hers if one == "SEGMENT" else one for one in call]
    module, _, name = place.rpartition(".")
    real = getattr(importlib.import_module(module), name)
    receipts = []

    def late(*values: Any, **named: Any) -> Any:
        if not receipts:
            with face.open(segmented) as other:
                receipts.append(other.forget([HER]))
        return real(*values, **named)

    monkeypatch.setattr(place, late)
    answer = shoal(call[0], segmented, *call[1:], "--json")
    assert len(receipts) == 1
    assert answer.code == (2 if verb == "person" else 0)
    for mark in MARKS:
        assert places(segmented, mark) == [], mark
    written = list(tmp_path.glob("l.*"))
    assert len(written) == (0 if verb in ("export", "person") else 1)
    for path in written:
        assert HER not in (
            str(pq.read_table(path).to_pydict()) if path.suffix == ".parquet" else path.read_text()
        )


def test_a_list_is_remembered_before_it_is_written(
    shoal: Shoal, segmented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known() -> dict[str, str]:
        with face.open(segmented) as opened:
            return {path: kind for path, kind, _ in opened._parts.store.erasures.exports()}

    before = known()
    mine = tmp_path / "mine.csv"
    mine.write_text("customer_id\n1\n")
    assert shoal("export", segmented, "s99", "--out", mine).code == 2
    assert shoal("export", segmented, "s99", "--out", tmp_path / "none.csv").code == 2
    assert known() == before
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(
        "shoal.workflows.export.write_table", lambda *_: seen.append(known()) or 1 / 0
    )
    assert shoal("export", segmented, "s01", "--out", mine).code == 1
    assert shoal("export", segmented, "s01", "--out", tmp_path / "none.csv").code == 1
    assert seen[0][str(mine.resolve())] == "export"
    assert set(known()) - set(before) == {str(mine.resolve())}  # who knows what was written there
    mine.unlink()
    assert shoal("export", segmented, "s01", "--out", mine).code == 1
    assert str(mine.resolve()) in known()


def test_what_was_told_of_a_shared_device_goes_with_whose_it_is(
    shoal: Shoal, plain: Path, tmp_path: Path
) -> None:
    for name in (SHARED, "c3"):
        assert shoal("person", plain, name, "--out", plain / f"of-{name}.json").code == 0
    assert "c3" in (plain / f"of-{SHARED}.json").read_text()
    assert shoal("forget", plain, HER, "--yes").code == 0
    assert (plain / f"of-{SHARED}.json").exists()  # all of it is of c3, who signed in last
    answer = shoal("forget", plain, "c3", "--yes", "--json").document
    assert sorted(one["what"] for one in answer["files"]) == ["removed", "removed"]
    assert answer["not_reached"] == []
    assert list(plain.glob("*.json")) == []


def test_what_was_told_of_a_device_goes_with_whoever_has_its_beginning(
    shoal: Shoal, plain: Path, tmp_path: Path
) -> None:
    early = {"event_id": "x1", "event_time": "2024-03-01", "kind": "view", "source": "web",
             "anonymous_id": "tab", "item_id": "i1"}  # fmt: skip
    logins = [
        {"event_id": f"x{n}", "event_time": f"2024-03-0{n}", "kind": "login", "source": "web",
         "anonymous_id": "tab", "customer_id": who}
        for n, who in ((2, "c1"), (3, "c2"))
    ]  # fmt: skip
    path = write(tmp_path / "early.jsonl", [early])
    assert shoal("ingest", plain, path, "--preset", "shoal").code == 0
    assert shoal("person", plain, "tab", "--out", tmp_path / "tab.json").code == 0
    path = write(tmp_path / "logins.jsonl", logins)
    assert shoal("ingest", plain, path, "--preset", "shoal").code == 0
    assert shoal("forget", plain, "c2", "--yes").code == 0
    assert (tmp_path / "tab.json").exists()
    assert shoal("forget", plain, "c1", "--yes").code == 0
    assert not (tmp_path / "tab.json").exists()


def test_a_list_has_the_ending_of_what_is_in_it(
    shoal: Shoal, segmented: Path, tmp_path: Path
) -> None:
    for call in (
        ["export", "s01", "--out", "vip.txt"], ["export", "s01", "--out", "vip.parquet"],
        ["export", "s01", "--format", "parquet", "--out", "vip.pq"],
        ["report", "--out", "r.htm"], ["memberships", "--out", "vip.tsv"],
        ["consent", "--out", "vip.txt"], ["features", "--out", "vip.pq"],
    ):  # fmt: skip
        answer = shoal(call[0], segmented, *call[1:-1], tmp_path / call[-1], "--json")
        assert (answer.code, answer.error["code"]) == (2, "unknown_format"), call
        assert not (tmp_path / call[-1]).exists()
    with face.open(segmented) as opened:
        assert opened._parts.store.erasures.exports() == []
    for call in (["export", "s01", "--out", "VIP.CSV"], ["report", "--out", "R.HTML"]):
        assert shoal(call[0], segmented, *call[1:-1], tmp_path / call[-1]).code == 0


def test_what_a_killed_segmentation_left_is_swept(shoal: Shoal, plain: Path) -> None:
    aside = plain / "artefacts" / "segmentation" / ".0123abcd" / "kmeans-0001"
    aside.mkdir(parents=True)
    pq.write_table(pa.table({"customer_id": [HER]}), aside / "members.parquet")
    (plain / "artefacts" / "notes.txt").write_text("no kind of artefact")
    assert shoal("forget", plain, HER, "--yes").code == 0
    assert not aside.parent.exists()
    assert places(plain, HER) == []


def test_a_quarantine_file_that_cannot_be_read_is_told_before_anything_goes(
    shoal: Shoal, plain: Path
) -> None:
    file = next((plain / "quarantine").glob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(b"PAR1")
    answer = shoal("forget", plain, HER, "--yes", "--json")
    assert (answer.code, answer.error["code"]) == (1, "shop_damaged")
    assert answer.error["where"] == str(file)
    assert "Nothing was removed" in answer.error["hint"]
    assert shoal("customer", plain, HER).code == 0
    file.write_bytes(whole)
    assert shoal("forget", plain, HER, "--yes").code == 0
