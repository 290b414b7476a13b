"""Outside data from the command line: the worked example of the documentation, items, bad input."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal

from shoal.cli.main import run

PAGE = Path(__file__).parents[2] / "docs/how-to/weather-and-holidays.md"


def page_files(folder: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"`(\w+\.csv)`[^`]*```csv\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in found] == ["events.csv", "weather.csv", "holidays.csv"]
    for name, content in found:
        (folder / name).write_text(content, encoding="utf-8")


def page_commands() -> list[list[str]]:
    found = re.findall(r"^\$ shoal (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) == 7
    return [shlex.split(line) for line in found]


def page_table() -> dict[str, tuple[float | None, float | None]]:
    rows = re.findall(
        r"^\| `(\w+)` \| (\S+) \| (\S+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    told = {name: tuple(None if v == "null" else float(v) for v in own) for name, *own in rows}
    assert len(told) == 8
    return told  # type: ignore[return-value]


def declare(shop: Path, *names: str) -> None:
    listed = ", ".join(f'"{name}"' for name in names)
    path = shop / "shop.toml"
    text = path.read_text(encoding="utf-8")
    changed = re.sub(r"^covariates = .*$", f"covariates = [{listed}]", text, flags=re.MULTILINE)
    assert changed != text
    path.write_text(changed, encoding="utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files and the shop of the how-to, its tables loaded and declared."""
    folder = tmp_path_factory.mktemp("how-to")
    page_files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in page_commands()[:5]:
            assert run(command) == 0
    declare(folder / "shop", "weather.*", "holidays.is_holiday")
    return folder


@pytest.fixture
def example(followed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shop of the how-to in a folder of the test's own, which is the current one."""
    shutil.copytree(followed, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "shop"


def outside(document: dict[str, Any]) -> dict[str, Any]:
    return {
        name: one["value"]
        for name, one in document["features"].items()
        if one["group"] == "outside"
    }


def test_the_how_to_says_what_happens(example: Path, shoal: Shoal) -> None:
    for command in page_commands()[5:]:
        assert shoal(*command).code == 0
    table = pq.read_table(example.parent / "features.parquet")
    assert table["customer_id"].to_pylist() == ["ann", "bob"]
    for name, values in page_table().items():
        assert tuple(table[name].to_pylist()) == values, name
    at_t = outside(shoal("customer", example, "bob", "--json").document)
    assert at_t["weather_temperature_mean"] == 6
    assert at_t["weather_temperature_at_orders"] is None


def test_states_follow_newly_declared_covariates(example: Path, shoal: Shoal) -> None:
    """From events while the states are old, from states afterwards: the same."""
    then = outside(shoal("customer", example, "ann", "--json").document)
    more = example.parent / "more.csv"
    more.write_text(
        "event_id,event_time,kind,customer_id,region\n5,2024-03-29T17:00:00Z,view,cy,Leeds\n",
        encoding="utf-8",
    )
    assert shoal("ingest", example, more, "--preset", "shoal").code == 0
    assert outside(shoal("customer", example, "ann", "--json").document) == then
    assert then["weather_temperature_mean"] == 9
    cy = outside(shoal("customer", example, "cy", "--json").document)
    assert cy["holidays_is_holiday_mean"] == 1


def test_loading_what_became_known_later_changes_no_earlier_snapshot(
    example: Path, shoal: Shoal
) -> None:
    out = example.parent / "a.parquet"
    command = ("features", example, "--as-of", "2024-03-29T20:00", "--out", out)
    assert shoal(*command).code == 0
    then = pq.read_table(out).to_pylist()
    later = example.parent / "later.csv"
    later.write_text("date,region,temperature,rain\n2024-03-30,Leeds,25,0\n", encoding="utf-8")
    assert shoal("covariates", example, later, "--name", "weather").code == 0
    assert shoal(*command).code == 0
    assert pq.read_table(out).to_pylist() == then


def test_tables_are_listed_loaded_again_and_removed(example: Path, shoal: Shoal) -> None:
    listing = shoal("covariates", example, "--json").document
    assert {one["name"]: one["rows"] for one in listing["covariates"]} == {
        "holidays": 366, "weather": 4,
    }  # fmt: skip
    assert listing["declared"] == ["weather.*", "holidays.is_holiday"]
    again = shoal("covariates", example, "weather.csv", "--name", "weather")
    assert again.out.startswith("Nothing changed")
    removed = shoal("covariates", example, "--remove", "weather")
    assert "shop.toml still declares weather.*" in removed.err
    missing = shoal("customer", example, "ann", "--json")
    assert (missing.code, missing.error["code"]) == (2, "unknown_covariate")
    assert missing.error["hint"].startswith("Loaded: holidays.holiday_easter_monday")


def test_segments_are_made_with_covariates(tmp_path: Path, shoal: Shoal) -> None:
    """Customers who differ by the weather of their region alone end in segments that say so."""
    rows = ["event_id,event_time,kind,customer_id,item_id,price,quantity,order_id,region"]
    for n in range(120):
        region = "Wet" if n % 2 else "Dry"
        rows += [
            f"{n}-{k},2024-03-{1 + (n + 3 * k) % 25:02d}T1{k % 9}:00:00Z,purchase,c{n},i{k},"
            f"{5 + k}.00,1,o{n}-{k},{region}"
            for k in range(4)
        ]
    (tmp_path / "e.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    weather = ["date,region,rain"] + [
        f"2024-03-{day:02d},{region},{int(region == 'Wet')}"
        for day in range(1, 26)
        for region in ("Wet", "Dry")
    ]
    (tmp_path / "w.csv").write_text("\n".join(weather) + "\n", encoding="utf-8")
    shop = tmp_path / "shop"
    assert shoal("init", shop, "--buckets", 2, "--currency", "GBP").code == 0
    assert shoal("ingest", shop, tmp_path / "e.csv", "--preset", "shoal").code == 0
    assert shoal("covariates", shop, tmp_path / "w.csv", "--name", "weather").code == 0
    declare(shop, "*")
    # What is looked up by a region tells the region, which is protected unless the shop says no.
    path = shop / "shop.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"^protected = .*$", "protected = []", text, flags=re.MULTILINE))
    assert shoal("segment", shop, "--k", 2, "--aim", "style").code == 0
    found = shoal("segments", shop, "--json").document
    effects = {e["feature"] for one in found["segments"] for e in one.get("effects") or []}
    assert "weather_rain_mean" in effects
    assert not any(name.endswith("_now") for name in effects)
    assert shoal("report", shop).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("--name", "weather"), 2, "usage"),
        (("weather.csv",), 2, "usage"),
        (("--remove", "snow"), 2, "unknown_covariate"),
        (("none.csv", "--name", "w"), 3, "input_missing"),
        (("events.csv", "--name", "w"), 3, "bad_covariates"),
        (("weather.csv", "--name", "w", "--key", "date,country"), 3, "bad_covariates"),
        (("weather.csv", "--name", "weather", "--remove", "weather"), 2, "usage"),
    ],
)
def test_bad_calls_are_told(
    example: Path, shoal: Shoal, arguments: tuple[str, ...], code: int, error: str
) -> None:
    answer = shoal("covariates", example, *arguments, "--json")
    assert (answer.code, answer.error["code"]) == (code, error)


ITEMS = """sku,name,product_type,vendor,price,currency,image_url,description,valid_from
lamp,Lamp,home/lamp,acme,30.00,GBP,https://shop.example/lamp.jpg,A lamp.,2024-01-01
lamp,Lamp,home/lamp,acme,33.00,GBP,https://shop.example/lamp.jpg,A lamp.,2024-03-01
tin,Tin,kitchen,zeta,4.50,GBP,,,2024-01-01
"""


def test_item_tables_are_kept_as_facts_with_dates(tmp_path: Path, shop: Path, shoal: Shoal) -> None:
    table = tmp_path / "items.csv"
    table.write_text(ITEMS, encoding="utf-8")
    stored = shoal("ingest", shop, table, "--preset", "items", "--json").document
    assert stored["rows"]["stored"] == 3
    again = shoal("ingest", shop, table, "--preset", "items", "--json").document
    assert again["rows"]["stored"] == 0
    now = shoal("items", shop, "--item", "lamp", "--json").document
    assert [one["price"] for one in now["history"]] == [30, 33]
    assert now["item"]["image"] == "https://shop.example/lamp.jpg"
    assert now["item"]["text"] == "A lamp."
    then = shoal("items", shop, "--item", "lamp", "--as-of", "2024-03-01", "--json").document
    assert (then["item"]["price"], then["item"]["valid_to"]) == (30, None)
    out = tmp_path / "i.parquet"
    assert shoal("items", shop, "--out", out, "--json").document["items"] == 2
    assert pq.read_table(out)["price"].to_pylist() == [33_000_000, 4_500_000]
    assert "2 items; known are: title of 2" in shoal("items", shop).out
    unknown = shoal("items", shop, "--item", "lamp", "--as-of", "2024-01-01", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "unknown_item")


def test_an_item_table_without_dates_needs_one(tmp_path: Path, shop: Path, shoal: Shoal) -> None:
    table = tmp_path / "items.csv"
    table.write_text("item_id,title,category\nlamp,Lamp,home\n", encoding="utf-8")
    refused = shoal("ingest", shop, table, "--preset", "items", "--json")
    assert (refused.code, refused.error["code"]) == (3, "unknown_columns")
    assert "--valid-from" in refused.error["hint"]
    taken = shoal(
        "ingest", shop, table, "--preset", "items", "--valid-from", "2024-01-01", "--json"
    )
    assert taken.document["rows"]["stored"] == 1
    [row] = shoal("items", shop, "--json").document["first"]
    assert (row["title"], row["valid_from"]) == ("Lamp", "2024-01-01T00:00:00Z")
