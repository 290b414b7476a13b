"""Every method from the command line, on one small shop; and what it says to a wrong call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.domain.errors import InputError
from shoal.segments.methods.registry import CLUSTERERS

START = datetime(2024, 1, 1, tzinfo=UTC)
KINDS = ("books", "grocery", "fashion")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shoal.segments.methods.deep._STEPS", 200)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of three kinds of customers, of whom every tenth has told which one."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(150):
        kind = number % 3
        for place in range(int(rng.integers(6, 14))):
            day = timedelta(days=int(rng.integers(90)), hours=(2, 10, 19)[kind], minutes=place)
            rows.append(
                {
                    "event_id": f"{number}-{place}", "customer_id": f"c{number:03d}",
                    "kind": str(rng.choice(["view", "cart_add", "purchase"], p=[0.5, 0.2, 0.3])),
                    "event_time": START + day, "item_id": f"i{kind}{int(rng.integers(9))}",
                    "category": KINDS[kind], "channel": ("app", "web", "app")[kind],
                    "price": float(rng.integers(1, 60) * (1 + kind)), "quantity": 1 + kind,
                    "currency": "EUR",
                }
            )  # fmt: skip
    folder = tmp_path_factory.mktemp("methods")
    pq.write_table(pa.Table.from_pylist(rows), folder / "events.parquet")
    with package.init(folder / "shop") as made:
        made.ingest([folder / "events.parquet"], preset="shoal")
    known = [f"c{number:03d},{KINDS[number % 3]}" for number in range(0, 150, 4)]
    (folder / "labels.csv").write_text(
        "\n".join(["customer_id,segment", *known, "nobody,books", known[0], "c001,books",
                   "c001,fashion"]) + "\n"
    )  # fmt: skip
    return folder


def flags(home: Path) -> dict[str, list[str]]:
    """What each method is told beside its name; k-means alone asks what customers will do next."""
    style = ["--aim", "style"]
    return {
        "kmeans": ["--k", "3"],
        "hierarchy": ["--levels", "2,6", "--k", "3", *style],
        "density": style,
        "seeded": ["--labels", str(home / "labels.csv"), "--k", "3"],
        "consensus": ["--k", "3", "--of", "kmeans,mixture", *style],
    }


@pytest.mark.parametrize("method", CLUSTERERS)
def test_every_method_finds_the_planted_kinds(method: str, home: Path, shoal: Shoal) -> None:
    from sklearn.metrics import adjusted_rand_score

    told = flags(home).get(method, ["--k", "3", "--aim", "style"])
    answer = shoal("segment", home / "shop", "--method", method, *told, "--json")
    assert answer.code == 0, answer.err
    main, rfm = answer.document["segmentations"]
    assert (main["method"], rfm["method"]) == (method, "rfm")
    assert main["segmentation_id"].startswith(f"{method}-0")
    assert sum(one["size"] for one in main["segments"]) == 150
    assert main["method_facts"] is not None
    shown = shoal("segments", home / "shop", "--json").document
    assert shown["segmentation_id"] == main["segmentation_id"]
    names = [one["name"]["en"] for one in shown["segments"]]
    assert len(set(names)) == len(names)
    if method == "seeded":
        assert set(KINDS) <= set(names)
    elif method != "density":
        with package.open(home / "shop") as shop:
            table = shop.memberships(segmentation=main["segmentation_id"])
        truth = [int(one[1:]) % 3 for one in table["customer_id"].to_pylist()]
        assert adjusted_rand_score(truth, table["segment_id"].to_pylist()) > 0.9


def test_known_customers_are_counted_and_found_again(home: Path, shoal: Shoal) -> None:
    told = flags(home)["seeded"]
    answer = shoal("segment", home / "shop", "--method", "seeded", *told)
    assert answer.code == 0
    assert "known customers, left out in 5 turns" in answer.out
    assert "macro recall" in answer.out and "F1" in answer.out
    warning = "Of the labels, 38 customers are used; left out are 1 of customers the shop does not"
    assert warning in " ".join(answer.err.split())
    made = shoal("segments", home / "shop", "--json").document["segmentation_id"]
    file = home / "shop" / "artefacts" / "segmentation" / made / "segmentation.json"
    facts = json.loads(file.read_text(encoding="utf-8"))["method_facts"]
    assert facts["labels"]["conflicting_customers"] == 1 and facts["labels"]["repeated"] == 1
    assert facts["held_out"]["accuracy"] > 0.9


def test_levels_are_kept_with_their_parents(home: Path, shoal: Shoal) -> None:
    told = ("--method", "hierarchy", "--levels", "2,6", "--aim", "style")
    document = shoal("segment", home / "shop", *told, "--json").document
    [main, _] = document["segmentations"]
    assert main["k"] == 6
    fine = main["method_facts"]["levels"][-1]
    assert fine["k"] == 6 and set(fine["parents"]) == {0, 1}
    told = ("--method", "hierarchy", "--levels", "2,3,6", "--k", 3, "--aim", "style")
    shown = shoal("segment", home / "shop", *told)
    assert "levels 2 > 3 > 6" in shown.out
    assert "group of 2   of 6 in it" in shown.out


def test_of_several_methods_the_first_is_the_main_one(home: Path, shoal: Shoal) -> None:
    told = ("--method", "mixture,kmeans", "--k", "3", "--aim", "style")
    made = shoal("segment", home / "shop", *told, "--json")
    methods = [one["method"] for one in made.document["segmentations"]]
    assert methods == ["mixture", "kmeans", "rfm"]
    shown = shoal("segments", home / "shop", "--json").document
    assert shown["segmentation_id"] == made.document["segmentations"][0]["segmentation_id"]


def _few(folder: Path, customers: int, *, alike: bool) -> package.shop.Shop:
    """A shop of few customers; alike in all they do, or with one who buys for millions."""
    rows = []
    for number in range(customers):
        for place in range(5):
            of = 0 if alike else number
            rows.append(
                {
                    "event_id": f"{number}-{place}", "customer_id": f"c{number:02d}",
                    "kind": "purchase", "event_time": START + timedelta(days=7 * place, hours=of),
                    "item_id": f"i{of}", "category": f"k{of % 2}", "quantity": 1,
                    "price": 1e8 if of == 2 else 5.0 + of, "currency": "EUR",
                }
            )  # fmt: skip
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "events.parquet")
    made = package.init(folder / "shop")
    made.ingest([folder / "events.parquet"], preset="shoal")
    return made


@pytest.mark.parametrize(("customers", "alike"), [(3, False), (12, True)])
def test_few_or_equal_customers_get_segments_or_a_reason(
    customers: int, alike: bool, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("customer_id,segment\nc00,first\nc01,second\n")
    with _few(tmp_path / "few", customers, alike=alike) as shop:
        for method in CLUSTERERS:
            told = {"density": {}, "seeded": {"k": 2, "labels": labels}}.get(method, {"k": 2})
            made = shop.segment(method=method, **told)
            main = made.documents[0]
            assert sum(one["size"] for one in main["segments"]) == customers, method
            assert all(one["size"] for one in main["segments"])
        with pytest.raises(InputError, match=f"only {customers} customers"):
            shop.segment(method="mixture", k=customers + 1)


WRONG: dict[str, tuple[Callable[[Path], list[str]], int, str, str]] = {
    "unknown method": (lambda _: ["--method", "magic"], 2, "unknown_method", "'magic'"),
    "one of two unknown": (
        lambda _: ["--method", "kmeans,magic"], 2, "unknown_method", "mixture, hierarchy, density",
    ),
    "no method": (lambda _: ["--method", ","], 2, "unknown_method", "was given"),
    "seeded without labels": (lambda _: ["--method", "seeded"], 2, "usage", "needs labels"),
    "labels without seeded": (
        lambda home: ["--labels", str(home / "labels.csv")], 2, "usage", "alone takes labels",
    ),
    "labels nowhere": (
        lambda home: ["--method", "seeded", "--labels", str(home / "no.csv")],
        3, "input_missing", "no.csv",
    ),
    "a feature of numbers as label": (
        lambda _: ["--method", "seeded", "--labels", "orders"], 2, "usage", "main_channel",
    ),
    "fewer segments than names": (
        lambda home: ["--method", "seeded", "--labels", str(home / "labels.csv"), "--k", "2"],
        2, "usage", "the labels name 3",
    ),
    "k of density": (
        lambda _: ["--method", "density", "--k", "4"], 2, "usage", "finds the number",
    ),
    "levels that are no numbers": (
        lambda _: ["--method", "hierarchy", "--levels", "3,many"], 2, "usage", "'3,many'",
    ),
    "a consensus of rules": (
        lambda _: ["--method", "consensus", "--of", "rfm"], 2, "unknown_method", "'rfm'",
    ),
    "more segments than customers": (
        lambda _: ["--method", "mixture", "--k", "500"],
        3, "too_little_data", "only 150 customers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_told_what_is_allowed(case: str, home: Path, shoal: Shoal) -> None:
    told, code, error, words = WRONG[case]
    before = shoal("segments", home / "shop", "--json").out
    answer = shoal("segment", home / "shop", *told(home), "--json")
    assert answer.code == code
    assert answer.error["code"] == error
    assert words in answer.error["message"] + answer.error["hint"]
    assert shoal("segments", home / "shop", "--json").out == before
