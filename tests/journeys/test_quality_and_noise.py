"""Quality and noise on the command line: what a person and a scheduler get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.journeys.conftest import Shoal
from tests.shops import write_csv

COLUMNS = (
    "event_id",
    "customer_id",
    "kind",
    "event_time",
    "item_id",
    "price",
    "order_id",
    "ua",
    "ip",
)
MAPPING = """
name = "web"
currency = "EUR"
[columns]
event_id = "event_id"
event_time = "event_time"
customer_id = "customer_id"
kind = "kind"
[optional]
item_id = "item_id"
price = "price"
order_id = "order_id"
[noise]
agent = "ua"
address = "ip"
"""
START = datetime(2024, 3, 1, 8, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """People who buy, a crawler that says so, one that does not, and the shop's own."""
    rows = [
        {"event_id": f"p{n}", "customer_id": f"c{n % 50}", "kind": "purchase",
         "event_time": (START + timedelta(hours=n)).isoformat(), "item_id": f"i{n % 9}",
         "price": f"{9 + n % 40}.99", "order_id": f"o{n}",
         "ip": "10.1.2.3" if n % 100 == 0 else "198.51.100.7"}
        for n in range(1_000)
    ] + [
        {"event_id": f"b{n}", "customer_id": "crawler", "kind": "view", "item_id": f"i{n}",
         "event_time": (START + timedelta(hours=n)).isoformat(),
         "ua": "Mozilla/5.0 (compatible; Googlebot/2.1)"}
        for n in range(60)
    ] + [
        {"event_id": f"f{n}", "customer_id": "hasty", "kind": "view", "item_id": f"i{n}",
         "event_time": (START + timedelta(days=9, milliseconds=600 * n)).isoformat(),
         "ua": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0"}
        for n in range(200)
    ]  # fmt: skip
    mapping = tmp_path / "web.toml"
    mapping.write_text(MAPPING)
    return write_csv(tmp_path / "web.csv", rows, COLUMNS), mapping


def set_noise(shop: Path, line: str) -> None:
    """Replace a setting of [noise] in shop.toml."""
    key = line.split("=")[0].strip()
    text = (shop / "shop.toml").read_text()
    head, mark, tail = text.partition("[noise]")
    lines = [line if one.startswith(f"{key} =") else one for one in tail.split("\n")]
    (shop / "shop.toml").write_text(head + mark + "\n".join(lines))


def test_noise_is_told_by_rule(shoal: Shoal, shop: Path, files: tuple[Path, Path]) -> None:
    set_noise(shop, 'addresses = ["10.0.0.0/8"]')
    assert shoal("ingest", shop, files[0], "--mapping", files[1]).code == 0
    answer = shoal("noise", shop, "--json")
    assert answer.code == 0
    assert answer.document["schema"] == "shoal.noise/1"
    rules = {one["rule"]: one for one in answer.document["rules"]}
    assert (rules["agent"]["events"], rules["agent"]["visitors"]) == (60, 1)
    assert rules["agent"]["since"] == "2024-03-01T08:00:00Z"
    assert len(rules["agent"]["examples"]) == 3
    assert rules["address"]["events"] == 10
    hasty = rules["no_think_time"]
    assert (hasty["events"], hasty["visitors"], hasty["on"]) == (200, 1, True)
    assert "hasty" in hasty["examples"][0]
    assert '"no_think_time"' not in hasty["switch"]
    assert rules["rate"]["events"] == rules["test_order"]["events"] == 0
    shown = shoal("noise", shop)
    assert shown.code == 0
    assert "no_think_time" in shown.out


def test_a_rule_can_be_switched_off(shoal: Shoal, shop: Path, files: tuple[Path, Path]) -> None:
    assert shoal("ingest", shop, files[0], "--mapping", files[1]).code == 0
    set_noise(shop, 'rules = ["agent"]')
    rules = {one["rule"]: one for one in shoal("noise", shop, "--json").document["rules"]}
    assert rules["no_think_time"]["on"] is False
    assert rules["no_think_time"]["events"] == 200
    assert '"no_think_time"' in rules["no_think_time"]["switch"]


def test_quality_gives_one_document_and_an_exit_code(
    shoal: Shoal, shop: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    assert shoal("ingest", shop, files[0], "--mapping", files[1]).code == 0
    answer = shoal("quality", shop, "--json")
    assert answer.code == 0, answer.document["findings"]
    document = answer.document
    assert document["schema"] == "shoal.quality/1"
    assert document["sources"][0]["source"] == "web"
    noise = {one["subject"]: one for one in document["findings"] if one["check"] == "noise"}
    assert set(noise) == {"agent", "no_think_time"}

    lost = [
        {"event_id": f"q{n}", "customer_id": f"c{n % 50}", "kind": "purchase",
         "event_time": (START + timedelta(hours=1_000 + n)).isoformat(), "item_id": "i1",
         "order_id": f"q{n}"}
        for n in range(100)
    ]  # fmt: skip
    later = write_csv(tmp_path / "later.csv", lost, COLUMNS)
    assert shoal("ingest", shop, later, "--mapping", files[1]).code == 0
    failed = shoal("quality", shop, "--json")
    assert failed.code == 1
    assert failed.document["verdict"] == "error"
    missing = next(one for one in failed.document["findings"] if one["check"] == "missing")
    assert (missing["subject"], missing["severity"]) == ("purchase.price", "error")
    assert missing["since"] == (START + timedelta(hours=1_000)).date().isoformat()
    assert missing["example"].startswith("purchase q0")
    assert shoal("quality", shop, "--fail-on", "never").code == 0
    assert shoal("quality", shop, "--fail-on", "warning").code == 1
    shown = shoal("quality", shop)
    assert shown.code == 1
    assert "purchase events of web have no price" in shown.out


def test_quality_since_a_day(shoal: Shoal, shop: Path, files: tuple[Path, Path]) -> None:
    assert shoal("ingest", shop, files[0], "--mapping", files[1]).code == 0
    document = shoal("quality", shop, "--since", "2024-04-01", "--json").document
    assert document["since"] == "2024-04-01T00:00:00Z"
    assert not [one for one in document["findings"] if one["check"] == "noise"
                and one["subject"] == "agent"]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--fail-on", "sometimes"), "usage"), (("--since", "yesterday"), "bad_time")],
)
def test_wrong_arguments_are_told(
    shoal: Shoal, shop: Path, arguments: tuple[str, ...], code: str
) -> None:
    answer = shoal("quality", shop, "--json", *arguments)
    assert answer.code == 2
    assert answer.error["code"] == code


def test_an_empty_shop_has_no_fault(shoal: Shoal, shop: Path) -> None:
    assert shoal("quality", shop, "--json").document["verdict"] == "ok"
    assert shoal("quality", shop).code == 0
    assert shoal("noise", shop, "--json").document["events"] == 0
    assert shoal("noise", shop).code == 0


def test_an_unknown_check_cannot_be_switched_off(shoal: Shoal, shop: Path) -> None:
    text = (shop / "shop.toml").read_text().replace("off = []", 'off = ["gaps"]')
    (shop / "shop.toml").write_text(text)
    answer = shoal("quality", shop, "--json")
    assert answer.code == 2
    assert answer.error["code"] == "bad_setting"
    assert "gap" in answer.error["hint"]
