"""What is damaged is found, named and told what to do about."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.kept_shops import call, made

import shoal as package
from shoal.adapters.high_water import mark_of
from shoal.domain.errors import OperationError
from shoal.shop.keeping import CUSTOMERS
from shoal.workflows import verify as module


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = made(tmp_path_factory.mktemp("kept"))
    with package.open(home) as shop:
        shop.compact()
    return home


@pytest.fixture
def kept(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "shop"))


def flip(file: Path, place: int) -> None:
    """Change one bit of a file."""
    held = bytearray(file.read_bytes())
    held[place] ^= 1
    file.write_bytes(held)


def sql(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for one in statements:
            connection.execute(one)


def log_entry(shop: Path, number: int) -> Path:
    return shop / "events" / "_delta_log" / f"{number:020d}.json"


def cut_parquet(shop: Path) -> None:
    file = next(shop.glob("events/bucket=*/compact-*.parquet"))
    file.write_bytes(file.read_bytes()[:-10])


#: Damage -> what it does, and the check and a part of the message that must tell of it.
DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a data file cut short": (cut_parquet, "event table", "was cut short"),
    "a data file gone": (
        lambda shop: next(shop.glob("events/bucket=*/compact-*.parquet")).unlink(),
        "event table", "is missing",
    ),
    "the first entry of the log gone": (
        lambda shop: log_entry(shop, 0).unlink(), "event table", "entry 0 of the event table's log",
    ),
    "a middle entry of the log gone": (
        lambda shop: log_entry(shop, 1).unlink(), "event table", "entry 1 of the event table's log",
    ),
    "the last entries of the log gone": (
        lambda shop: [log_entry(shop, number).unlink() for number in (1, 2)],
        "positions", "the last 1 entries of its log are missing",
    ),
    "the whole log gone": (
        lambda shop: shutil.rmtree(shop / "events" / "_delta_log"), "event table",
        "has files but no log",
    ),
    "a bit of a model flipped": (
        lambda shop: flip(shop / "artefacts/model/nano-0001/weights.safetensors", 200),
        "artefacts", "was changed after it was published",
    ),
    "a file of a model gone": (
        lambda shop: (shop / "artefacts/model/nano-0001/weights.safetensors").unlink(),
        "artefacts", "is missing",
    ),
    "a model gone": (
        lambda shop: shutil.rmtree(shop / "artefacts/model/nano-0001"), "pointers",
        "the pointer model.main names nano-0001",
    ),
    "a pointer to nothing": (
        lambda shop: sql(shop / "shop.sqlite", "UPDATE pointers SET target = 'kmeans-0099' "
                         "WHERE name = 'segmentation.rfm'"),
        "pointers", "names kmeans-0099",
    ),
    "memberships gone": (
        lambda shop: sql(shop / "shop.sqlite", "DELETE FROM memberships WHERE position IN (3, 4)"),
        "memberships", "explains; positions that are missing: 3-4",
    ),
    "refused rows gone": (
        lambda shop: next((shop / "quarantine").iterdir()).unlink(), "quarantine", "is missing",
    ),
    "a page of the state store overwritten": (
        lambda shop: (shop / "shop.sqlite").write_bytes(
            (shop / "shop.sqlite").read_bytes()[:-8192] + b"\x07" * 8192),
        "databases", "shop.sqlite is damaged",
    ),
    "the state store is another file": (
        lambda shop: (shop / "shop.sqlite").write_bytes(b"nothing of the kind" * 999),
        "databases", "not a database",
    ),
    "the state store gone": (
        lambda shop: (shop / "shop.sqlite").unlink(), "state store", "has no state store",
    ),
    "an entry of the audit log changed": (
        lambda shop: sql(shop / "audit.sqlite", "DROP TRIGGER audit_no_update",
                         "UPDATE audit SET entry = replace(entry, '12', '99') WHERE number = 1"),
        "audit log", "does not hold from entry 1 on",
    ),
    "the end of the audit log gone": (
        lambda shop: sql(shop / "audit.sqlite", "DROP TRIGGER audit_no_delete",
                         "DELETE FROM audit WHERE number = 2"),
        "databases", "audit.sqlite holds 1 entries, and 2 were acknowledged",
    ),
    "the inbox taken back": (
        lambda shop: sql(shop / "inbox.sqlite", "UPDATE sqlite_sequence SET seq = 2"),
        "databases", "inbox.sqlite holds 2 calls, and 3 were acknowledged",
    ),
}  # fmt: skip


def findings(shop: Path, *, deep: bool = False) -> list[tuple[str, str]]:
    document = package.verify(shop, deep=deep, customers=None)
    assert document["ok"] == (not document["findings"])
    for one in document["findings"]:
        assert all((one["code"], one["where"], one["hint"])), one
    return [(one["check"], one["message"]) for one in document["findings"]]


def test_a_sound_shop_has_no_findings_and_is_not_touched(kept: Path) -> None:
    def seen() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in kept.rglob("*") if file.is_file()}

    before = seen()
    assert findings(kept, deep=True) == []
    assert seen() == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found(kept: Path, damage: str) -> None:
    work, check, words = DAMAGES[damage]
    work(kept)
    found = findings(kept)
    assert any(name == check and words in message for name, message in found), found


@pytest.mark.parametrize("name", ["kind", "event_time", "price"])
def test_a_bit_of_an_event_is_found_deeply(kept: Path, name: str) -> None:
    file = next(kept.glob("events/bucket=*/compact-*.parquet"))
    group = pq.read_metadata(file).row_group(0)
    (column,) = (
        one for place in range(group.num_columns)
        if (one := group.column(place)).path_in_schema == name
    )  # fmt: skip
    begin = column.dictionary_page_offset or column.data_page_offset
    flip(file, begin + column.total_compressed_size - 1)
    assert findings(kept) == []
    assert findings(kept, deep=True)[0][0] == "event table"


def test_states_that_the_events_do_not_tell_are_found_deeply(kept: Path) -> None:
    sql(kept / "shop.sqlite", "DELETE FROM customer_states WHERE customer_id = 'c3'",
        "UPDATE customer_states SET body = (SELECT body FROM customer_states WHERE "
        "customer_id = 'c5') WHERE customer_id = 'c4'",
        "INSERT INTO customer_states SELECT 'nobody', version, body FROM customer_states LIMIT 1",
        "INSERT INTO identity_links "
        "(id, from_us, sequence, event_id, customer_id, says, source, kind) "
        "VALUES ('x', 1, 1, 'e', 'c1', 'link', 's', 'login')")  # fmt: skip
    assert findings(kept) == []
    (states, message), (links, _) = findings(kept, deep=True)
    assert (states, links) == ("states", "states")
    assert "of 3 of 13 customers" in message
    assert "c3, c4, nobody" in message


def test_a_few_customers_are_compared_unless_more_are_asked_for(kept: Path) -> None:
    (told,) = (
        one for one in package.verify(kept, deep=True, customers=5)["checks"]
        if one["check"] == "states"
    )  # fmt: skip
    assert (told["status"], told["said"]) == ("ok", "5 customers")
    assert module.CUSTOMERS == CUSTOMERS


# --- A log of writes that was cut -----------------------------------------------------------------


@pytest.fixture
def writing(kept: Path, tmp_path: Path) -> Iterator[Path]:
    """A shop as a kill left it: what was written last is in the logs of writes alone."""
    left = tmp_path / "left"
    with package.open(kept) as shop, closing(shop.inbox()) as inbox:
        for number in range(3, 9):
            inbox.append([call(number)])
            shop._parts.store.put_setting("told", str(number))
        shutil.copytree(kept, left)
    assert findings(left) == []
    yield left


@pytest.mark.parametrize("database", ["shop.sqlite", "inbox.sqlite"])
@pytest.mark.parametrize("how", ["cut", "flipped", "removed"])
def test_a_damaged_log_of_writes_is_not_silent(writing: Path, database: str, how: str) -> None:
    log = writing / f"{database}-wal"
    held = log.read_bytes()
    if how == "removed":
        log.unlink()
    elif how == "cut":
        log.write_bytes(held[: len(held) - 9000])
    else:
        flip(log, len(held) - 4096)
    (writing / f"{database}-shm").unlink()
    with closing(sqlite3.connect(writing / database)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]  # it says nothing
    found = findings(writing)
    assert [(check, message.split(" holds ")[0]) for check, message in found][:1] == [
        ("databases", database)
    ]
    with pytest.raises(OperationError) as raised, package.open(writing) as shop:
        shop.status()
        shop.inbox()
    assert raised.value.code == "shop_damaged"
    # Who wants to go on without what is lost can.
    mark_of(writing / database).unlink()
    with package.open(writing) as shop:
        shop.status()
        shop.inbox().close()
