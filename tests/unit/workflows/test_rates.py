"""Files of rates: every layout leads to the same exact rates, and what is wrong is told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.adapters.files import FileRegistry
from shoal.adapters.memory_store import MemoryStateStore
from shoal.domain.errors import InputError, UsageError
from shoal.workflows.rates import Loaded, current, daily_rates, load

EPOCH = date(1970, 1, 1)


class Shop:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryStateStore()
        self.registry = FileRegistry(folder / "artefacts")

    def load(self, text: str, currency: str = "EUR", base: str = "", name: str = "r.csv") -> Loaded:
        path = self.folder / name
        path.write_text(text)
        return self.load_file(path, currency, base)

    def load_file(self, path: Path, currency: str = "EUR", base: str = "") -> Loaded:
        return load(
            store=self.store, registry=self.registry, path=path, currency=currency, base=base
        )

    def rates(self, currency: str = "EUR") -> dict[tuple[str, str], int]:
        rows = daily_rates(self.store, self.registry, 0, currency).to_pylist()
        return {
            (row["currency"], date.fromordinal(EPOCH.toordinal() + row["day"]).isoformat()):
            row["rate_pico"] for row in rows
        }  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


LONG = "date,currency,rate\n2024-03-01,USD,0.925\n2024-03-01,GBP,1.17\n2024-03-04,USD,0.92\n"


def test_a_long_table(shop: Shop) -> None:
    loaded = shop.load(LONG)
    assert (loaded.read, loaded.new, loaded.changed) == (3, 3, 0)
    assert shop.rates() == {
        ("USD", "2024-03-01"): 925_000_000_000,
        ("GBP", "2024-03-01"): 1_170_000_000_000,
        ("USD", "2024-03-04"): 920_000_000_000,
    }
    document = loaded.as_document()
    assert document["schema"] == "shoal.rates/1"
    assert document["currencies"]["USD"] == {
        "days": 2, "from": "2024-03-01", "to": "2024-03-04", "latest": 0.92
    }  # fmt: skip
    assert (document["from"], document["to"]) == ("2024-03-01", "2024-03-04")


@pytest.mark.parametrize(
    "text",
    [
        "Day,From,To,Rate\n2024-03-01,USD,EUR,0.8\n",
        "date,base,quote,rate\n2024-03-01,EUR,USD,1.25\n",
        "date,base_currency,currency,rate\n2024-03-01,eur,usd,1.25\n",
        "CURRENCY,CURRENCY_DENOM,TIME_PERIOD,OBS_VALUE\nUSD,EUR,2024-03-01,1.25\n",
        '{"date": "2024-03-01", "currency": "USD", "rate": 0.8}\n',
    ],
)
def test_every_long_layout_gives_the_same_rate(shop: Shop, text: str) -> None:
    shop.load(text, name="r.jsonl" if text.startswith("{") else "r.csv")
    assert shop.rates() == {("USD", "2024-03-01"): 800_000_000_000}


def test_typed_columns_of_parquet(shop: Shop) -> None:
    table = pa.table({"date": [date(2024, 3, 1)], "currency": ["USD"], "rate": [0.1]})
    pq.write_table(table, shop.folder / "r.parquet")
    shop.load_file(shop.folder / "r.parquet")
    assert shop.rates() == {("USD", "2024-03-01"): 100_000_000_000}


WIDE = "Date,USD,JPY,LTL,GBP,\n2024-03-01,1.25,160,N/A,0.8,\n2024-02-29,N/A,163,3.45,0.85,\n"


def test_the_wide_table_of_reference_rates_is_inverted(shop: Shop) -> None:
    loaded = shop.load(WIDE, base="EUR")
    assert loaded.ignored == ("LTL",)
    assert shop.rates() == {
        ("USD", "2024-03-01"): 800_000_000_000,
        ("JPY", "2024-03-01"): 6_250_000_000,
        ("JPY", "2024-02-29"): 6_134_969_325,
        ("GBP", "2024-03-01"): 1_250_000_000_000,
        ("GBP", "2024-02-29"): 1_176_470_588_235,
    }


def test_the_wide_table_is_crossed_for_a_shop_in_another_currency(shop: Shop) -> None:
    shop.load(WIDE, currency="USD", base="EUR")
    assert shop.rates("USD") == {
        ("EUR", "2024-03-01"): 1_250_000_000_000,
        ("JPY", "2024-03-01"): 7_812_500_000,
        ("GBP", "2024-03-01"): 1_562_500_000_000,
    }


PAIRS = "date,from,to,rate\n"
USD_EUR = "2024-03-01,USD,EUR,0.8\n"
EUR_USD = "2024-03-01,EUR,USD,1.25\n"
EUR_GBP = "2024-03-01,EUR,GBP,0.85\n"
GBP_EUR = "2024-03-01,GBP,EUR,1.25\n"


@pytest.mark.parametrize("dollar", [USD_EUR, EUR_USD])
@pytest.mark.parametrize(("pound", "euro"), [(EUR_GBP, 850), (GBP_EUR, 800)])
@pytest.mark.parametrize("dollar_first", [True, False])
def test_rates_are_crossed_either_way(
    shop: Shop, dollar: str, pound: str, euro: int, dollar_first: bool
) -> None:
    rows = dollar + pound if dollar_first else pound + dollar
    loaded = shop.load(PAIRS + rows, currency="GBP")
    assert shop.rates("GBP") == {
        ("EUR", "2024-03-01"): euro * 10**9,
        ("USD", "2024-03-01"): euro * 8 * 10**8,
    }
    assert (loaded.new, loaded.unused) == (2, ())


def test_rates_are_crossed_over_several_and_what_leads_nowhere_is_named(shop: Shop) -> None:
    loaded = shop.load(
        PAIRS + "2024-03-01,SEK,USD,0.1\n" + USD_EUR + EUR_GBP
        + "2024-03-02,USD,EUR,0.8\n2024-03-03,USD,EUR,0.8\n2024-03-01,JPY,CHF,0.006\n",
        currency="GBP",
    )  # fmt: skip
    assert shop.rates("GBP")["SEK", "2024-03-01"] == 68 * 10**9
    assert loaded.as_document()["unused"] == [
        {"from": "JPY", "to": "CHF", "days": 1, "first": "2024-03-01", "last": "2024-03-01"},
        {"from": "USD", "to": "EUR", "days": 2, "first": "2024-03-02", "last": "2024-03-03"},
    ]
    assert (loaded.read, loaded.new) == (6, 3)


def test_a_rate_that_is_worked_out_has_the_same_bounds(shop: Shop) -> None:
    for row in ("2024-03-01,EUR,USD,0.000000002\n", "2024-03-01,USD,JPY,2\n2024-03-01,JPY,EUR,8e6"):
        with pytest.raises(InputError, match="one USD on 2024-03-01 would be") as caught:
            shop.load(PAIRS + row)
        assert caught.value.code == "bad_rates"


def test_a_later_file_wins_and_the_earlier_version_stays(shop: Shop) -> None:
    shop.load(LONG)
    loaded = shop.load("date,currency,rate\n2024-03-04,USD,0.91\n2024-03-05,USD,0.9\n")
    assert (loaded.new, loaded.changed) == (1, 1)
    assert shop.rates()["USD", "2024-03-04"] == 910_000_000_000
    assert shop.rates()["GBP", "2024-03-01"] == 1_170_000_000_000
    assert shop.registry.list("rates") == ["rates-0001", "rates-0002"]
    assert current(shop.store, shop.registry, "EUR").rates_id == "rates-0002"


def test_rates_into_another_currency_do_not_count(shop: Shop) -> None:
    shop.load(LONG)
    assert shop.rates("USD") == {}
    assert current(shop.store, shop.registry, "USD").rates_id is None
    loaded = shop.load("date,currency,rate\n2024-03-04,EUR,1.1\n", currency="USD")
    assert loaded.replaced == "EUR"
    assert shop.rates("USD") == {("EUR", "2024-03-04"): 1_100_000_000_000}


HEAD = "date,currency,rate\n"


@pytest.mark.parametrize(
    ("text", "where", "received", "allowed"),
    [
        (HEAD + "2024-03-01,USD,1\n2024-03-01,XXX,1\n", "row 2", "currency 'XXX'", "ISO 4217"),
        (HEAD + "2024-03-01,USD,0\n", "row 1", "rate '0'", "0.000000001 to 9000000"),
        (HEAD + "2024-03-01,USD,-1\n", "row 1", "rate '-1'", "from"),
        (HEAD + "2024-03-01,USD,1e99\n", "row 1", "rate '1e99'", "from"),
        (HEAD + "2024-03-01,USD,nan\n", "row 1", "rate 'nan'", "from"),
        (HEAD + '2024-03-01,USD,"0,92"\n', "row 1", "rate '0,92'", "with a point"),
        (HEAD + "2024-03-01,USD,\n", "row 1", "rate None", "from"),
        (HEAD + "01/03/2024,USD,1\n", "row 1", "date '01/03/2024'", "ISO 8601"),
        (HEAD + "0001-03-01,USD,1\n", "row 1", "date '0001-03-01'", "from 1990"),
        (HEAD + "2024-03-01,USD\n", "row 1", "cannot be read", "Mend"),
        (HEAD + "2024-03-01,USD,1\n2024-03-01,USD,2\n", "row 2", "is 1 and 2", "one rate"),
        (HEAD + "2024-03-01,EUR,2\n", "row 1", "is 1 and 2", "one rate"),
        ("date,from,to,rate\n2024-03-01,USD,GBP,1\n", "r.csv", "leads to EUR", "into EUR"),
        ("date,from,to,rate\n2024-03-01,USD,EUR,0.9\n2024-03-01,EUR,USD,0.9\n", "r.csv",
         "one USD in EUR on 2024-03-01 is 0.9 one way and 1.11111 another", "agree"),
        ("month,amount\n1,2\n", "r.csv", "columns 'month', 'amount'", "A long table has"),
        ("Date,USD\n2024-03-01,1.1\n", "r.csv", "no base was told", "--base EUR"),
        ("TIME_PERIOD,CURRENCY,OBS_VALUE\n2024-03-01,USD,1.1\n", "r.csv", "CURRENCY_DENOM", "both"),
    ],
)  # fmt: skip
def test_a_bad_file_changes_nothing_and_says_why(
    shop: Shop, text: str, where: str, received: str, allowed: str
) -> None:
    shop.load(LONG)
    before = shop.rates()
    with pytest.raises(InputError) as caught:
        shop.load(text)
    assert caught.value.code == "bad_rates"
    assert caught.value.where.endswith(where)
    assert received in caught.value.message
    assert allowed in caught.value.hint
    assert shop.rates() == before
    assert shop.registry.list("rates") == ["rates-0001"]


def test_a_shop_without_a_currency_is_told(shop: Shop) -> None:
    with pytest.raises(UsageError, match="no currency to convert into"):
        shop.load(LONG, currency="")
