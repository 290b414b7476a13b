"""Rules from the command line: checked, previewed, published, exported, written as SQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pytest
from tests.journeys.conftest import Shoal
from tests.shops import purchase, write_csv

RULES: dict[str, Any] = {
    "segments": [
        {
            "id": "big", "name": {"en": "Big spenders", "zh": "大客户"},
            "rule": {"events": "value", "measure": "sum", "of": "net", "op": ">", "value": 300},
        },
        {"id": "two", "rule": {"feature": "orders", "op": ">=", "value": 2}},
    ]
}  # fmt: skip


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(RULES))
    return path


@pytest.fixture
def full(shoal: Shoal, shop: Path, tmp_path: Path) -> Path:
    """A shop of ten customers; c0 to c3 bought more than the others."""
    rows = [purchase(n, f"c{n % 10}") for n in range(60)]
    rows += [purchase(100 + n, f"c{n % 4}", price="99.99") for n in range(12)]
    assert shoal("ingest", shop, write_csv(tmp_path / "events.csv", rows), "--yes").code == 0
    return shop


def test_rules_from_file_to_list(shoal: Shoal, full: Path, rules: Path, tmp_path: Path) -> None:
    checked = shoal("rules", "check", full, rules, "--json").document
    assert checked["schema"] == "shoal.rules.check/1"
    assert [one["segment_id"] for one in checked["segments"]] == ["big", "two", "rest"]
    preview = shoal("rules", "preview", full, rules, "--json").document
    big = preview["segments"][0]
    assert 0 < big["customers"] < 10
    assert sum(one["customers"] for one in preview["segments"]) == preview["customers"] == 10
    made = shoal("segment", full, "--rules", rules, "--json").document["segmentations"][0]
    assert made["method"] == "rules"
    out = tmp_path / "big.csv"
    listed = shoal("export", full, f"{made['segmentation_id']}/big", "--out", out, "--json")
    assert listed.document["customers"] == big["customers"]
    assert set(big["sample"]) == set(pa_csv.read_csv(out)["customer_id"].to_pylist())
    told = shoal("rules", "sql", full, rules, "--segment", "big", "--dialect", "spark", "--json")
    assert told.document["query"].startswith("-- Segment big by rules")
    shown = shoal("rules", "sql", full, rules).out
    assert shown.startswith("-- Segments by rules")


def test_people_get_tables(shoal: Shoal, full: Path, rules: Path) -> None:
    checked = shoal("rules", "check", full, rules)
    assert checked.code == 0
    assert "Big spenders" in checked.out
    assert "the first that holds counts" in checked.out
    preview = shoal("rules", "preview", full, rules)
    assert "10 customers as of" in preview.out
    assert "big: the rule holds for" in preview.out
    shoal("segment", full, "--rules", rules)
    told = shoal("protected", full)
    assert told.code == 0
    assert "No protected trait is known of anybody." in told.out


@pytest.mark.parametrize(
    ("content", "code", "name", "where", "words"),
    [
        ('{"all": [{"feature": "ordres", "op": ">", "value": 1}]}', 2, "bad_rule",
         "$.all[0].feature", "no feature is called 'ordres'"),
        ("{}", 2, "bad_rule", "$", "the rule is empty"),
        ("", 3, "input_unreadable", "", "the rules are no JSON"),
        ("[1, 2", 3, "input_unreadable", "", "the rules are no JSON"),
        ('{"not":' * 5000 + "1" + "}" * 5000, 2, "bad_rule", "$", "nested too deep"),
        ('{"feature": "orders", "op": "; DROP TABLE events", "value": 1}', 2, "bad_rule",
         "$.op", "no comparison is called"),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_and_nothing_is_made(
    shoal: Shoal, shop: Path, tmp_path: Path, content: str, code: int, name: str, where: str,
    words: str,
) -> None:  # fmt: skip
    path = tmp_path / "rules.json"
    path.write_text(content)
    for verb in (["rules", "check", shop, path], ["segment", shop, "--rules", path]):
        answer = shoal(*verb, "--json")
        assert answer.code == code
        assert answer.error["code"] == name
        assert answer.error["where"] == (f"{path}: {where}" if where else str(path))
        assert words in answer.error["message"]
    assert not (shop / "artefacts").exists() or not list((shop / "artefacts").rglob("*.json"))


def test_a_contradiction_is_a_warning(shoal: Shoal, full: Path, tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    clause = {"all": [{"feature": "orders", "op": op, "value": 3} for op in (">", "<")]}
    path.write_text(json.dumps(clause))
    answer = shoal("rules", "check", full, path)
    assert answer.code == 0
    assert "nobody can fulfil this: orders is above 3 and orders is below 3" in answer.err
    made = shoal("segment", full, "--rules", path, "--json").document
    assert "nobody can fulfil this" in made["warnings"][0]
    assert made["segmentations"][0]["segments"][0]["segment_id"] == "rest"


def test_what_has_no_sql_is_refused_by_name(shoal: Shoal, full: Path, tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text('{"feature": "price_level", "op": ">", "value": 0.5}')
    answer = shoal("rules", "sql", full, path, "--json")
    assert (answer.code, answer.error["code"]) == (2, "no_sql_form")
    assert answer.error["where"] == "feature price_level"
    wrong = shoal("rules", "sql", full, path, "--dialect", "mysql", "--json")
    assert wrong.error["code"] == "unknown_dialect"
    assert "snowflake" in wrong.error["hint"]


def test_what_rules_do_not_need_is_refused(shoal: Shoal, shop: Path, rules: Path) -> None:
    for more in (["--k", "4"], ["--method", "mixture"], ["--seed", "3"]):
        answer = shoal("segment", shop, "--rules", rules, *more, "--json")
        assert (answer.code, answer.error["code"]) == (2, "usage")
        assert "no method, number or seed goes with --rules" in answer.error["message"]


def test_a_shop_without_events_says_so(shoal: Shoal, shop: Path, rules: Path) -> None:
    assert shoal("rules", "check", shop, rules).code == 0
    answer = shoal("rules", "preview", shop, rules, "--json")
    assert (answer.code, answer.error["code"]) == (3, "too_little_data")
