"""Tables of outside data: what is read, what is refused and why, versions, declared covariates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.adapters.files import FileRegistry
from shoal.adapters.memory_store import MemoryStateStore
from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import Zone, to_us
from shoal.workflows import covariate_rows, covariate_table
from shoal.workflows.covariate_table import Asked, read_table
from shoal.workflows.covariates import Loaded, declared, load, overview, remove

LONDON = Zone("Europe/London")
EPOCH = date(1970, 1, 1)


class Shelf:
    """A shop's tables in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryStateStore()
        self.registry = FileRegistry(folder / "artefacts")

    def file(self, text: str, name: str = "table.csv") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, text: str, name: str = "weather", **options: Any) -> Loaded:
        replace = options.pop("replace", False)
        return load(
            store=self.store, registry=self.registry, path=self.file(text), name=name,
            asked=Asked(**options), zone=LONDON, replace=replace,
        )  # fmt: skip

    def rows(self, name: str = "weather") -> list[dict[str, Any]]:
        found = declared(self.store, self.registry, [f"{name}.*"])
        assert found is not None
        return found.rows.to_pylist()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    yield Shelf(tmp_path)


def day(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH).days


def refused(shelf: Shelf, text: str, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        shelf.load(text, **options)
    assert caught.value.code == "bad_covariates"
    assert not shelf.registry.list("covariates")
    return caught.value


# -- what is read ---------------------------------------------------------------------------------


def test_a_dated_table_is_known_when_its_day_is_over(shelf: Shelf) -> None:
    shelf.load("date,region,temp\n2024-07-01,London,21.5\n2024-12-01,London,\n")
    [row] = shelf.rows()  # nothing told is no row, and never 0
    assert row["covariate"] == "weather.temp"
    assert (row["day"], row["region"], row["country"]) == (day("2024-07-01"), "London", None)
    assert row["micros"] == 21_500_000
    assert row["known_us"] == to_us(datetime(2024, 7, 1, 23, tzinfo=UTC))  # midnight in London


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"always": True}, 0),
        ({"known_days": 0}, to_us(datetime(2024, 1, 31, tzinfo=UTC))),
        ({"known_days": 3}, to_us(datetime(2024, 2, 3, tzinfo=UTC))),
        ({"known_column": "at"}, to_us(datetime(2024, 2, 9, 7, 30, tzinfo=UTC))),
        ({"known_column": "day_told"}, to_us(datetime(2024, 2, 10, tzinfo=UTC))),
    ],
)
def test_when_a_row_is_known(shelf: Shelf, options: dict[str, Any], known: int) -> None:
    shelf.load("date,x,at,day_told\n2024-01-31,1,2024-02-09T07:30:00Z,2024-02-09\n", **options)
    assert {row["known_us"] for row in shelf.rows() if row["covariate"] == "weather.x"} == {known}


def test_weeks_and_months_hold_for_each_of_their_days(shelf: Shelf) -> None:
    shelf.load("week,index\n2024-W09,7\n", "weekly")
    rows = shelf.rows("weekly")
    assert [row["day"] for row in rows] == list(range(day("2024-02-26"), day("2024-03-04")))
    assert {row["known_us"] for row in rows} == {to_us(datetime(2024, 3, 4, tzinfo=UTC))}
    shelf.load("month,country,rate\n2024-02,GB,5.25\n", "monthly")
    assert len(shelf.rows("monthly")) == 29


def test_a_table_without_dates_is_always_true(shelf: Shelf) -> None:
    loaded = shelf.load("country,region,people\nGB,London,8.9\n", "place")
    assert loaded.held.always
    [row] = shelf.rows("place")
    assert (row["day"], row["country"], row["region"]) == (None, "GB", "London")


def test_texts_of_few_names_become_columns_of_their_own(shelf: Shelf) -> None:
    text = (
        "date,holiday,open\n2024-12-24,,yes\n2024-12-25,Christmas Day,no\n2024-12-26,Boxing Day,\n"
    )
    loaded = shelf.load(text, "calendar", always=True)
    names = ["holiday_boxing_day", "holiday_christmas_day", "is_holiday", "open"]
    assert loaded.held.columns == names
    rows = {(r["covariate"].split(".")[1], r["day"]): r["micros"] for r in shelf.rows("calendar")}
    first = day("2024-12-24")
    assert [rows["is_holiday", first + n] for n in range(3)] == [0, 10**6, 10**6]
    assert [rows["holiday_boxing_day", first + n] for n in range(3)] == [0, 0, 10**6]
    assert [rows.get(("open", first + n)) for n in range(3)] == [10**6, 0, None]


def dated(values: list[str], mark: str = ";") -> str:
    rows = (f"2024-03-{n + 1:02d}{mark}{value}" for n, value in enumerate(values))
    return "\n".join([f"date{mark}temp", *rows]) + "\n"


def test_decimal_commas_are_numbers(shelf: Shelf) -> None:
    values = [f"{n % 7},5" for n in range(20)] + ["-1,25", "3", "NA", "0,500"]
    loaded = shelf.load(dated(values))
    assert loaded.held.columns == ["temp"]
    rows = {row["day"]: row["micros"] for row in shelf.rows("weather")}
    first = day("2024-03-01")
    assert [rows[first + n] for n in (0, 1, 20, 21, 23)] == [
        500_000, 1_500_000, -1_250_000, 3_000_000, 500_000,
    ]  # fmt: skip
    assert first + 22 not in rows


@pytest.mark.parametrize(
    ("values", "row", "received"),
    [
        (["1,234", "2,345", "7"], 1, "temp is '1,234'"),
        (["0,5", "1.5"] * 5, 2, "temp is '1.5'"),
        (["0,5", "1,234,567"], 2, "temp is '1,234,567'"),
        (["0,5", "1.234,5"], 2, "temp is '1.234,5'"),
        (["0,5"] * 19 + ["cold"], 20, "temp is 'cold'"),
    ],
)
def test_commas_that_may_mean_two_things_are_refused(
    shelf: Shelf, values: list[str], row: int, received: str
) -> None:
    error = refused(shelf, dated(values))
    assert (error.code, received in error.message) == ("bad_covariates", True)
    assert error.where.endswith(f"row {row}")
    assert "point for the decimals" in error.hint


def test_texts_with_commas_stay_texts(shelf: Shelf) -> None:
    loaded = shelf.load(dated(["wet, cold", "dry", "1,5 mm"]))
    assert loaded.held.columns == ["temp_1_5_mm", "temp_dry", "temp_wet_cold"]


def test_absent_days_are_zero_only_where_the_table_says_that_it_tells_all(shelf: Shelf) -> None:
    text = "date,country,name\n2024-12-25,GB,Christmas\n2024-05-01,DE,Labour Day\n"
    shelf.load(text, "sparse", always=True)
    assert len([r for r in shelf.rows("sparse") if r["covariate"] == "sparse.name_christmas"]) == 2
    shelf.load(text, "full", always=True, absent_is_zero=True)
    rows = [r for r in shelf.rows("full") if r["covariate"] == "full.is_name"]
    assert len(rows) == 2 * 366
    assert sum(r["micros"] for r in rows) == 2 * 10**6


def test_columns_are_matched_to_keys_by_request(shelf: Shelf) -> None:
    text = "Tag,Land,region,t\n2024-03-01,DE,7,1.5\n"
    loaded = shelf.load(text, keys={"date": "Tag", "country": "Land"})
    assert loaded.held.keys == ("date", "country")
    assert loaded.held.columns == ["region", "t"]


def test_columns_that_are_no_values_are_left_out_and_said(shelf: Shelf) -> None:
    notes = "".join(f"2024-03-{n:02d},{n},note {n},\n" for n in range(1, 29))
    loaded = shelf.load("date,rain,remark,blank\n" + notes)
    assert loaded.held.columns == ["rain"]
    assert loaded.left_out["blank"] == "empty"
    assert loaded.left_out["remark"] == "28 different texts; at most 24 become columns"


def test_jsonl_and_parquet_are_read_like_csv(shelf: Shelf) -> None:
    csv = shelf.file("date,region,t\n2024-03-01,A,1.5\n2024-03-02,B,\n")
    jsonl = shelf.file(
        '{"date":"2024-03-01","region":"A","t":1.5}\n{"date":"2024-03-02","region":"B"}\n',
        "t.jsonl",
    )
    parquet = shelf.folder / "t.parquet"
    dates = pa.array([date(2024, 3, 1), date(2024, 3, 2)])
    pq.write_table(pa.table({"date": dates, "region": ["A", "B"], "t": [1.5, None]}), parquet)
    read = [read_table(path, Asked(), LONDON).table for path in (csv, jsonl, parquet)]
    assert read[0].equals(read[1])
    assert read[0].equals(read[2])


# -- what is refused ------------------------------------------------------------------------------


def test_two_rows_of_one_key_that_differ_name_key_rows_and_values(shelf: Shelf) -> None:
    text = "date,region,temp\n2024-03-01,Leeds,1\n2024-03-02,Leeds,3\n2024-03-01,Leeds,2.5\n"
    error = refused(shelf, text)
    assert "rows 1 and 3 both speak of day 2024-03-01, region 'Leeds'" in error.message
    assert "temp is 1 and 2.5" in error.message
    assert error.where.endswith("row 3")


def test_identical_rows_are_one_and_counted(shelf: Shelf) -> None:
    loaded = shelf.load(
        "date,temp,rain\n2024-03-01,1,\n2024-03-02,3,\n2024-03-01,1.0,\n2024-03-03,,1\n"
    )
    assert (loaded.read, loaded.same, loaded.held.table.num_rows) == (4, 1, 3)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("date,t\n01/03/2024,1\n", {}, "date is '01/03/2024'"),
        ("date,t\n2024-03-01,1\n2024-03,1\n", {}, "date is '2024-03'"),
        ("date,t\n2024-02-30,1\n", {}, "date is '2024-02-30'"),
        ("date,t\n1812-06-24,1\n", {}, "date is '1812-06-24'"),
        ("date,t\n,1\n", {}, "date is empty"),
        ("date,t\n2024-03-01,inf\n", {}, "t is 'inf'"),
        ("date,t\n2024-03-01,nan\n", {}, "t is 'nan'"),
        ("date,t\n2024-03-01,4e12\n", {}, "t is '4e12'"),
        ("date,t\n" + "2024-03-01,1\n" * 19 + "2024-03-02,1.5x\n", {}, "t is '1.5x'"),
        ("date,t\n2024-03-01,\n", {}, "no column of numbers (t: empty)"),
        ("date\n2024-03-01\n", {}, "no column of numbers"),
        ("when,t\n2024-03-01,1\n", {}, "none of its columns is a key: 'when', 't'"),
        ("date,t\n2024-03-01,1\n", {"keys": {"date": "day"}}, "no column 'day' for the key date"),
        ("date,t\n2024-03-01,1\n", {"keys": {"shop": "t"}}, "key 'shop' is no key"),
        ("date,t\n2024-03-01,1\n", {"known_column": "at"}, "there is no column 'at'"),
        ("date,t,at\n2024-03-01,1,soon\n", {"known_column": "at"}, "at is 'soon'"),
        ("category,t\nhome,1\nhome/lamp,2\n", {}, "category 'home' where others have 2 names"),
        ("category,t\n/home,1\n", {}, "category '/home'"),
        ("date,T,t\n2024-03-01,1,2\n", {}, "column 't' gives a second column 't'"),
        ("region,t\nLeeds,1\n", {"absent_is_zero": True}, "needs dates"),
        ("date," + ",".join(f"c{n}" for n in range(70)) + "\n2024-03-01" + ",1" * 70 + "\n", {},
         "70 columns of values"),
        ("date,t\n2024-03-01,1,9\n", {}, "the row cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_reason(
    shelf: Shelf, text: str, options: dict[str, Any], message: str
) -> None:
    error = refused(shelf, text, **options)
    assert message in error.message
    assert error.hint
    assert "table.csv" in error.where


@pytest.mark.parametrize(
    "options",
    [
        {"always": True, "known_days": 2},
        {"always": True, "known_column": "t"},
        {"absent_is_zero": True, "known_column": "t"},
        {"known_days": -1},
    ],
)
def test_options_that_exclude_each_other(shelf: Shelf, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        shelf.load("date,t\n2024-03-01,1\n", **options)
    assert caught.value.code == "usage"


@pytest.mark.parametrize("name", ["", "Weather", "a b", "1st", "气温", "a.b"])
def test_names_of_tables_are_plain(shelf: Shelf, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a table"):
        shelf.load("date,t\n2024-03-01,1\n", name)


def test_a_table_that_is_too_long_is_refused(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covariate_rows, "MAX_ROWS", 30)
    monkeypatch.setattr(covariate_table, "MAX_ROWS", 30)
    assert "rows of days and places" in refused(shelf, "month,t\n2024-01,1\n").message
    days = "".join(f"2024-01-{n:02d},1\n" for n in range(1, 32))
    assert "31 rows" in refused(shelf, "date,t\n" + days).message
    monkeypatch.setattr(covariate_table, "MAX_CELLS", 5)
    assert "6 rows of 1 columns" in refused(shelf, "date,t\n" + days[: 13 * 6]).message


def test_a_table_of_a_million_rows_is_taken(shelf: Shelf) -> None:
    n = 1_000_000
    path = shelf.folder / "big.parquet"
    days = np.arange(n) % 2_000 + day("2019-01-01")
    items = pa.array([f"i{k}" for k in range(500)]).take(pa.array(np.arange(n) // 2_000))
    dates = pa.array(days.astype(np.int32)).cast(pa.date32())
    pq.write_table(pa.table({"date": dates, "item_id": items, "price": np.arange(n) % 97}), path)
    read = read_table(path, Asked(), LONDON)
    assert read.table.num_rows == n
    assert read.same == 0


# -- versions -------------------------------------------------------------------------------------


def test_the_same_file_again_changes_nothing(shelf: Shelf) -> None:
    text = "date,t,u\n2024-03-02,1,\n2024-03-01,2,3\n"
    assert shelf.load(text).mode == "new"
    again = shelf.load(text)
    assert (again.changed, again.mode) == (False, "unchanged")
    assert shelf.load(text, replace=True).mode == "unchanged"
    assert shelf.registry.list("covariates") == ["weather-0001"]


def test_a_later_file_is_merged_and_its_rows_count(shelf: Shelf) -> None:
    shelf.load("date,t,sky\n2024-03-01,1,grey\n2024-03-02,2,\n2024-03-03,5,blue\n")
    loaded = shelf.load("date,t,sky\n2024-03-02,2.5,\n2024-03-03,5,blue\n2024-03-04,4,red\n")
    assert (loaded.mode, loaded.new, loaded.other) == ("merged", 1, 1)
    assert loaded.held.covariates_id == "weather-0002"
    rows = {(r["covariate"], r["day"]): r["micros"] for r in shelf.rows()}
    first = day("2024-03-01")
    temps = [rows["weather.t", first + n] / 1e6 for n in range(4)]
    assert temps == [1, 2.5, 5, 4]
    # a name that the first file did not have was nowhere in it
    assert [rows["weather.sky_red", first + n] for n in range(4)] == [0, 0, 0, 10**6]
    assert shelf.load("date,t\n2024-03-05,5\n", replace=True).mode == "replaced"
    assert len(shelf.rows()) == 1


def test_a_file_of_other_keys_is_not_merged(shelf: Shelf) -> None:
    shelf.load("date,t\n2024-03-01,1\n")
    with pytest.raises(InputError, match="it has keys date, region; the table 'weather' has keys"):
        shelf.load("date,region,t\n2024-03-01,Leeds,1\n")
    with pytest.raises(InputError, match="it has dates by month"):
        shelf.load("date,t\n2024-03,1\n")


def test_tables_are_listed_and_removed(shelf: Shelf) -> None:
    shelf.load("date,t\n2024-03-01,1\n2024-03-09,1\n")
    shelf.load("region,people\nLeeds,0.8\n", "place")
    listing = overview(shelf.store, shelf.registry, ["weather.t"])
    assert listing["schema"] == "shoal.covariates/1"
    assert [one["name"] for one in listing["covariates"]] == ["place", "weather"]
    weather = listing["covariates"][1]
    assert (weather["from"], weather["to"], weather["rows"]) == ("2024-03-01", "2024-03-09", 2)
    assert (
        remove(store=shelf.store, registry=shelf.registry, name="place")["removed"] == "place-0001"
    )
    after = overview(shelf.store, shelf.registry, [])
    assert [one["name"] for one in after["covariates"]] == ["weather"]
    with pytest.raises(UsageError, match="no table 'place'") as caught:
        remove(store=shelf.store, registry=shelf.registry, name="place")
    assert (caught.value.code, caught.value.hint) == ("unknown_covariate", "Loaded: weather.t.")


# -- declared -------------------------------------------------------------------------------------


def test_declared_covariates_are_found_by_name_table_or_all(shelf: Shelf) -> None:
    shelf.load("date,t,rain\n2024-03-01,1,0\n2024-03-02,2,1\n")
    shelf.load("region,people\nLeeds,0.8\n", "place")

    def columns(*names: str) -> list[tuple[str, tuple[str, ...]]]:
        found = declared(shelf.store, shelf.registry, names)
        assert found is not None
        return [(table.name, table.columns) for table in found.tables]

    assert columns("weather.t") == [("weather", ("t",))]
    assert columns("weather.*") == columns("weather") == [("weather", ("rain", "t"))]
    assert columns("*") == [("place", ("people",)), ("weather", ("rain", "t"))]
    assert declared(shelf.store, shelf.registry, ()) is None
    found = declared(shelf.store, shelf.registry, ["*"])
    assert found is not None
    assert found.ids == ("place-0001", "weather-0001")
    assert found.tables[1].shares == ("rain",)


@pytest.mark.parametrize("name", ["snow", "snow.depth", "weather.snow"])
def test_a_covariate_that_is_not_loaded_is_told_with_those_that_are(
    shelf: Shelf, name: str
) -> None:
    shelf.load("date,t\n2024-03-01,1\n")
    with pytest.raises(UsageError, match="which is not loaded") as caught:
        declared(shelf.store, shelf.registry, [name])
    assert caught.value.code == "unknown_covariate"
    assert caught.value.hint == "Loaded: weather.t."


def test_all_of_nothing_is_nothing(shelf: Shelf) -> None:
    assert declared(shelf.store, shelf.registry, ["*"]) is None


def test_two_features_of_one_name_are_refused(shelf: Shelf) -> None:
    shelf.load("date,b_c\n2024-03-01,1\n", "a")
    shelf.load("date,c\n2024-03-01,1\n", "a_b")
    with pytest.raises(UsageError, match="second feature 'a_b_c_mean'") as caught:
        declared(shelf.store, shelf.registry, ["*"])
    assert caught.value.code == "bad_setting"
