"""A person is forgotten: no store keeps anything of her, and old files do not bring her back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from tests.journeys.conftest import Shoal

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


@pytest.fixture
def shop(shoal: Shoal, tmp_path: Path) -> Path:
    home = tmp_path / "shop"
    made = rows()
    half = len(made) // 2
    write(tmp_path / "a.jsonl", made[:half])
    write(tmp_path / "b.jsonl", made[half:])
    bad = [
        {"event_id": "bad1", "event_time": "never", "kind": "view", "customer_id": HER},
        {"event_id": "bad2", "event_time": "never", "kind": "view", "customer_id": "c5"},
        {"event_id": "ok", "event_time": "2024-03-02", "kind": "view", "customer_id": "c5"},
    ]
    write(tmp_path / "c.jsonl", bad)
    with (tmp_path / "c.jsonl").open("a") as file:
        file.write(f'{{"kind": "view", "customer_id": "{HER}"\n')
    assert shoal("init", home).code == 0
    for name in ("a", "b", "c"):
        assert shoal("ingest", home, tmp_path / f"{name}.jsonl", "--preset", "shoal").code == 0
    assert shoal("segment", home, "--k", "3").code == 0
    assert shoal("compact", home).code == 0
    for segment in ("s01", "s02", "s03"):
        for form in ("csv", "parquet"):
            assert shoal("export", home, segment, "--format", form).code == 0
    out = tmp_path / "list.csv"
    assert shoal("export", home, "s01", "--out", out).code == 0
    assert shoal("memberships", home, "--out", tmp_path / "members.parquet").code == 0
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
    assert HER not in str(pq.read_table(tmp_path / "members.parquet").to_pydict())
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


def test_a_person_may_come_back(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    shoal("forget", shop, HER, "--yes")
    new = {"event_id": "n1", "event_time": "2024-06-01", "kind": "view", "customer_id": HER}
    path = write(tmp_path / "new.jsonl", [new, {**new, "event_id": "n2", "customer_id": "c1"}])
    answer = shoal("ingest", shop, path, "--preset", "shoal", "--json")
    assert (answer.document["rows"]["stored"], answer.document["forgotten"]) == (1, 1)
    assert shoal("forget", shop, HER, "--lift", "--json").document["lifted"] >= 1
    path = write(tmp_path / "newer.jsonl", [{**new, "event_id": "n3"}])
    answer = shoal("ingest", shop, path, "--preset", "shoal", "--json")
    assert answer.document["rows"]["stored"] == 1


def test_an_unknown_id_leaves_a_tombstone(shoal: Shoal, shop: Path) -> None:
    answer = shoal("forget", shop, "nobody-knows", "--yes", "--json")
    assert answer.code == 0
    assert sum(answer.document["removed"].values()) == 0
    assert len(answer.document["tombstones"]) == 1
    again = shoal("forget", shop, "nobody-knows", "--yes", "--json")
    assert again.document["tombstones"] == answer.document["tombstones"]
    listed = shoal("forget", shop, "--receipts", "--json").document["receipts"]
    assert [one["number"] for one in listed] == [1, 2]


def test_earlier_versions_are_gone_and_said_so(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    shoal("forget", shop, HER, "--yes")
    answer = shoal(
        "features", shop, "--table-version", "1", "--out", tmp_path / "f.parquet", "--json"
    )
    assert answer.code in (1, 2)
    assert "Traceback" not in answer.err
