"""Bad input through the command line: what, where, what is allowed, what next; no harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.domain.errors import OperationError, UsageError

HEAD = "customer_id,kind,event_time,price,quantity,currency,title\n"
GOOD = "good,purchase,2024-01-01T10:00:00Z,5,1,EUR,lamp\n"


def _written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _truncated_parquet(path: Path) -> Path:
    pq.write_table(pa.table({"customer_id": ["a"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:300])
    return path


UNREADABLE: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "missing": (lambda d: d / "nowhere.csv", "input_missing", "no file, folder or match"),
    "empty file": (lambda d: _written(d / "a.csv", ""), "input_empty", "the file is empty"),
    "only a header": (lambda d: _written(d / "a.csv", HEAD), "input_empty", "no rows"),
    "unknown columns": (
        lambda d: _written(d / "a.csv", "foo,bar\n1,2\n"),
        "unknown_columns",
        "found 2 columns: 'foo', 'bar'",
    ),
    "duplicate headers": (
        lambda d: _written(d / "a.csv", "kind,kind,event_time\nview,view,2024-01-01\n"),
        "duplicate_headers",
        "more than one column is named 'kind'",
    ),
    "wrong encoding": (
        lambda d: _written(d / "a.csv", (HEAD + GOOD.replace("lamp", "café")).encode("latin-1")),
        "input_unreadable",
        "line 2 holds the byte 0xE9",
    ),
    "truncated Parquet": (
        lambda d: _truncated_parquet(d / "a.parquet"),
        "input_unreadable",
        "the file cannot be read",
    ),
    "folder without events": (
        lambda d: d,
        "input_missing",
        "holds no event files",
    ),
    "nothing usable": (
        lambda d: _written(d / "a.csv", HEAD + "a,purchase,yesterday,5,1,EUR,x\n"),
        "input_unusable",
        "bad_time",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_unusable_input_is_named_and_the_shop_is_as_before(
    shoal: Shoal, shop: Path, tmp_path: Path, case: str
) -> None:
    make, code, words = UNREADABLE[case]
    folder = tmp_path / "input"
    folder.mkdir()
    before = shoal("status", shop, "--json").document

    answer = shoal("ingest", shop, make(folder), "--preset", "shoal", "--json")

    assert answer.code == 3, answer
    assert answer.error["code"] == code
    assert words in answer.error["message"] + answer.error["hint"]
    assert answer.error["where"]
    assert answer.error["hint"]
    assert shoal("status", shop, "--json").document == before


BAD_ROWS = {
    "bad_time": "a,purchase,yesterday,5,1,EUR,x",
    "absurd_time": "a,purchase,1800-01-01,5,1,EUR,x",
    "negative_price": "a,purchase,2024-01-01,-5,1,EUR,x",
    "bad_price": "a,purchase,2024-01-01,five,1,EUR,x",
    "not_finite": "a,purchase,2024-01-01,NaN,1,EUR,x\na,purchase,2024-01-01,-inf,1,EUR,x",
    "bad_customer_id": "null,purchase,2024-01-01,5,1,EUR,x\nUndefined,purchase,2024-01-01,5,1,EUR,x"
    "\nguest,purchase,2024-01-01,5,1,EUR,x",
    "fractional_quantity": "a,purchase,2024-01-01,5,1.5,EUR,x",
    "unknown_currency": "a,purchase,2024-01-01,5,1,XYZ,x",
    "unknown_kind": "a,teleport,2024-01-01,5,1,EUR,x",
    "wrong_field_count": "a,purchase,2024-01-01,5,1,EUR,x,and more",
    "nul_byte": "a,purchase,2024-01-01,5,1,EUR,x\0y",
    "text_too_long": "a,purchase,2024-01-01,5,1,EUR," + "x" * 10_000_000,
}


@pytest.mark.parametrize("code", BAD_ROWS)
def test_a_bad_row_is_quarantined_with_its_reason_and_costs_no_other(
    shoal: Shoal, shop: Path, tmp_path: Path, code: str
) -> None:
    rows = BAD_ROWS[code]
    path = _written(tmp_path / "a.csv", HEAD + GOOD + rows + "\n" + GOOD.replace("good", "fine"))

    answer = shoal("ingest", shop, path, "--preset", "shoal", "--json")

    assert answer.code == 0
    bad = rows.count("\n") + 1
    assert answer.document["rows"] == {
        "read": 2 + bad, "stored": 2, "duplicate": 0, "conflicting": 0, "quarantined": bad,
        "skipped": 0,
    }  # fmt: skip
    assert answer.document["quarantine"] == {code: bad}
    listing = shoal("quarantine", shop, "--json").document
    reason = listing["reasons"][0]
    assert (reason["code"], reason["count"]) == (code, bad)
    assert reason["meaning"]
    assert reason["samples"][0]["row"] == 2
    assert reason["samples"][0]["file"].endswith("a.csv")


def test_another_delimiter_is_seen(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    path = _written(tmp_path / "a.csv", (HEAD + GOOD).replace(",", ";"))
    assert (
        shoal("ingest", shop, path, "--preset", "shoal", "--json").document["rows"]["stored"] == 1
    )


def test_mixed_types_in_json_lines_are_kept_exactly(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    path = _written(
        tmp_path / "a.jsonl",
        '{"customer_id": 12345678901234567890123, "kind": "view", '
        '"event_time": "2024-01-01T10:00:00Z"}\n'
        '{"customer_id": "a", "kind": "view", "event_time": "2024-01-01T10:00:00Z", "x": [1]}\n'
        '{"customer_id": "a", "kind": ["view"], "event_time": "2024-01-01T10:00:00Z"}\n'
        "not json\n",
    )
    answer = shoal("ingest", shop, path, "--preset", "shoal", "--json")
    assert answer.document["rows"]["stored"] == 2
    assert answer.document["quarantine"] == {"bad_json": 1, "unknown_kind": 1}
    known = shoal("customer", shop, "12345678901234567890123", "--json")
    assert known.code == 0
    assert known.document["customer_id"] == "12345678901234567890123"


def test_an_unknown_preset_lists_the_known_ones(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    path = _written(tmp_path / "a.csv", HEAD + GOOD)
    answer = shoal("ingest", shop, path, "--preset", "amazn", "--json")
    assert answer.code == 2
    assert answer.error["code"] == "unknown_preset"
    assert "amazon-reviews" in answer.error["hint"]


def test_a_guessed_mapping_waits_for_a_yes(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    path = _written(
        tmp_path / "a.csv", "user,action,when,amount\nu1,purchase,2024-01-01 10:00:00,5.50\n"
    )
    asked = shoal("ingest", shop, path, "--json")
    assert asked.code == 2
    assert asked.error["code"] == "mapping_unconfirmed"
    assert "--yes" in asked.error["hint"]

    taken = shoal("ingest", shop, path, "--yes", "--json")
    assert taken.code == 0
    assert taken.document["rows"]["stored"] == 1


def test_a_preset_and_a_mapping_together_are_wrong_usage(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    answer = shoal("ingest", shop, "a.csv", "--preset", "shoal", "--mapping", "m.toml")
    assert answer.code == 2
    assert "--preset and --mapping were both given" in answer.err


def test_a_bad_file_keeps_the_files_before_it(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    good = _written(tmp_path / "1.csv", HEAD + GOOD)
    bad = _written(tmp_path / "2.csv", "")
    answer = shoal("ingest", shop, good, bad, "--preset", "shoal", "--json")
    assert answer.code == 3
    assert shoal("status", shop, "--json").document["events"] == 1


def test_an_unexpected_failure_names_the_file_and_debug_shows_where_it_arose(
    shoal: Shoal, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _written(tmp_path / "1.csv", HEAD + GOOD)

    def broken(*_: object, **__: object) -> object:
        raise IndexError("out of bounds")

    monkeypatch.setattr("shoal.workflows.ingest.clean", broken)
    answer = shoal("ingest", shop, path, "--preset", "shoal", "--json")
    assert (answer.code, answer.error["code"], answer.error["where"]) == (1, "internal", str(path))
    assert "unexpected IndexError: out of bounds" in answer.error["message"]
    assert "--debug" in answer.error["hint"]
    with pytest.raises(OperationError) as told:
        shoal("ingest", shop, path, "--preset", "shoal", "--debug")
    assert isinstance(told.value.__cause__, IndexError)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_file_without_permission(
    shoal: Shoal, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _written(tmp_path / "a.csv", HEAD + GOOD)
    path.chmod(0)
    if os.geteuid() == 0:  # permissions do not bind root: refuse as the system would
        opened = Path.open

        def refuse(self: Path, *args: object, **kwargs: object) -> object:
            if self == path:
                raise PermissionError(13, "Permission denied", str(self))
            return opened(self, *args, **kwargs)

        monkeypatch.setattr(Path, "open", refuse)
    answer = shoal("ingest", shop, path, "--preset", "shoal", "--json")
    assert answer.code in {1, 3}
    assert "permission" in answer.error["message"].lower()
    assert str(path) in answer.error["where"] + answer.error["message"]


@pytest.mark.parametrize("kind", [str, Path])
def test_one_path_need_not_stand_in_a_list(
    kind: type[str] | type[Path], shop: Path, tmp_path: Path
) -> None:
    file = _written(tmp_path / "events.csv", HEAD + GOOD)
    with package.open(shop) as opened:
        assert opened.ingest(kind(file), preset="shoal").rows.stored == 1


@pytest.mark.parametrize(
    ("files", "said"),
    [(7, "7 is no path but of type int"), ([None], "None is no path but of type NoneType"),
     (b"log.csv", "b'log.csv' is no path but of type bytes")],
)  # fmt: skip
def test_what_is_no_path_is_said_to_be_none(files: Any, said: str, shop: Path) -> None:
    with package.open(shop) as opened, pytest.raises(UsageError, match=said) as told:
        opened.ingest(files, preset="shoal")
    assert told.value.code == "usage" and "a list of them" in told.value.hint
