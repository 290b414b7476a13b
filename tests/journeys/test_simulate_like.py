"""`shoal simulate --like`: a log goes in, a shop like it comes out, and bad logs are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal

from shoal.domain.errors import OperationError

START = np.datetime64("2024-03-04T08:00:00")


def _log(path: Path, customers: int = 160, *, kind: str = "purchase", days: int = 20) -> Path:
    """Customers who each buy three times at random."""
    rng = np.random.default_rng(1)
    n = customers * 3
    seconds = np.sort(rng.integers(0, max(days, 1) * 86_400, n)) if days else np.zeros(n, int)
    table = pa.table(
        {
            "customer_id": [f"k{number}" for number in rng.permutation(np.arange(n) % customers)],
            "kind": [kind] * n,
            "event_time": pa.array(START + seconds.astype("timedelta64[s]")),
            "price": rng.exponential(30.0, n).round(2) + 1,
            "quantity": rng.integers(1, 4, n),
            "currency": ["GBP"] * n,
            "item_id": [f"i{number}" for number in rng.integers(0, 90, n)],
            "order_id": [f"o{number}" for number in range(n)],
        }
    )
    pq.write_table(table, path)
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few samples, few customers for the classifier: how near it comes is not tested here."""
    from shoal.evaluation import two_sample
    from shoal.workflows import fit_dials

    monkeypatch.setattr(two_sample, "MOST", 600)
    monkeypatch.setattr(fit_dials, "DIRECT_ROUNDS", 2)
    monkeypatch.setattr(fit_dials._Run, "jointly", lambda self: None)


def test_a_shop_like_a_log_is_written_and_described(
    shoal: Shoal, tmp_path: Path, quick: None
) -> None:
    log = _log(tmp_path / "log.parquet")
    before = log.read_bytes()
    call = ("simulate", "--like", log, "--preset", "shoal", "--seed", 3)
    answer = shoal(*call, "--out", tmp_path / "a", "--json")
    assert answer.code == 0, answer.out + answer.err
    document = answer.document
    assert document["schema"] == "shoal.calibration/1"
    assert document["like"]["customers"] == 160
    assert document["like"]["kinds"] == ["purchase"]
    assert document["total_distance"]["after"] < document["total_distance"]["before"]
    moments = {one["name"]: one for one in document["moments"]}
    assert moments["orders_per_buyer"]["real"] == 3.0
    assert moments["order_value_p50"]["unit"] == "GBP"
    assert moments["views_per_visit"]["untold"] == "no views"
    assert document["simulated"]["customers"] == 160
    assert document["simulated"]["days"] == document["like"]["days"]

    truth = tmp_path / "a" / "_truth"
    world = json.loads((truth / "world.json").read_text())
    assert world["world_digest"] == document["world"]["digest"]
    assert world["definition"]["dials"]["price_scale"] == document["dials"]["price_scale"]
    assert world["definition"]["dials"]["start"].startswith("2024-03-04")
    assert json.loads((truth / "calibration.json").read_text()) == document
    events = pq.read_table(tmp_path / "a" / "events.parquet", columns=["currency"])
    assert events["currency"].drop_null().unique().to_pylist() == ["GBP"]
    assert log.read_bytes() == before

    again = shoal(*call, "--out", tmp_path / "b")
    assert "Total distance" in again.out and "halves" in again.out
    assert "cannot tell (no views)" in again.out
    same = (tmp_path / "b" / "events.parquet").read_bytes()
    assert same == (tmp_path / "a" / "events.parquet").read_bytes()


def test_a_shop_can_be_what_to_be_like_and_stays_as_it_is(
    shoal: Shoal, shop: Path, tmp_path: Path, quick: None
) -> None:
    assert shoal("ingest", shop, _log(tmp_path / "log.parquet"), "--preset", "shoal").code == 0
    before = {p: p.read_bytes() for p in sorted(shop.rglob("*")) if p.is_file()}
    out = tmp_path / "out"
    answer = shoal("simulate", "--like", shop, "--out", out, "--customers", 50, "--days", 7,
                   "--dial", "rate_scale=0.5", "--json")  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    assert answer.document["simulated"]["customers"] == 50
    assert answer.document["simulated"]["days"] == 7
    assert "rate_scale" not in answer.document["dials"]
    world = json.loads((out / "_truth" / "world.json").read_text())
    assert world["definition"]["dials"]["rate_scale"] == 0.5
    changed = [p for p, held in before.items() if p.read_bytes() != held]
    assert not changed
    refused = shoal("simulate", "--like", shop, "--out", out, "--preset", "shoal", "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")


REFUSED: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "few customers": (
        lambda d: _log(d / "log.parquet", 20),
        "too_little_data",
        "20 customers with 60 purchases over 20 days",
    ),
    "one moment": (
        lambda d: _log(d / "log.parquet", days=0),
        "too_little_data",
        "all of whose events lie at one moment",
    ),
    "no purchases": (
        lambda d: _log(d / "log.parquet", kind="view"),
        "too_little_data",
        "no purchase; it holds view",
    ),
    "missing": (lambda d: d / "none.parquet", "input_missing", "no file, folder or match"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_log_that_tells_too_little_is_refused(shoal: Shoal, tmp_path: Path, case: str) -> None:
    make, code, said = REFUSED[case]
    out = tmp_path / "out"
    answer = shoal("simulate", "--like", make(tmp_path), "--preset", "shoal", "--out", out,
                   "--json")  # fmt: skip
    assert (answer.code, answer.error["code"]) == (3, code)
    assert said in answer.error["message"]
    if code == "too_little_data":
        assert "100 customers with 50 purchases over 3 days" in answer.error["hint"]
    assert not out.exists()


def test_a_log_of_nobody_is_refused(shoal: Shoal, tmp_path: Path) -> None:
    log = pq.read_table(_log(tmp_path / "log.parquet"))
    nobody = pa.nulls(len(log), pa.string())
    pq.write_table(log.set_column(0, "customer_id", nobody), tmp_path / "guests.parquet")
    answer = shoal("simulate", "--like", tmp_path / "guests.parquet", "--preset", "shoal",
                   "--out", tmp_path / "out", "--json")  # fmt: skip
    assert (answer.code, answer.error["code"]) == (3, "too_little_data")
    assert answer.error["message"] == "the log names no customer"


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--dial", "rate_scale=-1"), "bad_dial"),
        (("--dial", "wishes=1"), "unknown_dial"),
        (("--world", "atlantis"), "unknown_world"),
        (("--customers", "0"), "usage"),
        (("--days", "99999"), "usage"),
        (("--preset", "nonsense"), "unknown_preset"),
    ],
)
def test_impossible_wishes_are_refused_before_the_log_is_read(
    shoal: Shoal, tmp_path: Path, flags: tuple[str, ...], code: str
) -> None:
    answer = shoal("simulate", "--like", tmp_path / "none.parquet", "--out", tmp_path / "out",
                   *flags, "--json")  # fmt: skip
    assert (answer.code, answer.error["code"]) == (2, code)
    assert not (tmp_path / "out").exists()


def test_a_preset_without_a_log_is_refused(shoal: Shoal, tmp_path: Path) -> None:
    answer = shoal("simulate", "--out", tmp_path / "out", "--preset", "cdnow", "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert "--like" in answer.error["hint"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupt_or_a_full_disk_leaves_nothing(
    shoal: Shoal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    from shoal.workflows import calibrate

    def fail(*_: object, **__: object) -> None:
        raise failure

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(calibrate, "fit_dials", fail)
    answer = shoal("simulate", "--like", _log(tmp_path / "log.parquet"), "--preset", "shoal",
                   "--out", tmp_path / "out", "--json")  # fmt: skip
    assert answer.code == 1
    assert answer.error["code"] in {"interrupted", "disk_full"}
    assert not (tmp_path / "out").exists()
    assert [one for one in temporary.rglob("*") if "duckdb" not in str(one)] == []
    assert OperationError.exit_code == answer.code


@pytest.mark.real_data
def test_a_public_log_is_come_near_to(
    shoal: Shoal, tmp_path: Path, real_data: Path, quick: None
) -> None:
    path = real_data / "retailrocket/events.parquet"
    if not path.exists():
        pytest.skip(f"no {path}")
    answer = shoal("simulate", "--like", path, "--preset", "retailrocket", "--out",
                   tmp_path / "out", "--customers", 300, "--json")  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    document = answer.document
    total = document["total_distance"]
    assert total["floor"] < total["after"] < total["before"]
    assert document["like"]["customers"] == 13_118
    assert document["two_sample"]["before"]["auc"] > 0.9
    null = document["two_sample"]["null"]
    assert null["rows"] == 600
    assert null["low"] - 0.02 < 0.5 < null["high"] + 0.02
