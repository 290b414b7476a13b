"""Wrong usage: a message, a hint, exit code 2, and JSON where JSON was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.journeys.conftest import Shoal


def test_help_names_every_verb(shoal: Shoal) -> None:
    answer = shoal("--help")
    assert answer.code == 0
    for verb in (
        "init", "simulate", "ingest", "quarantine", "compact", "segment", "segments",
        "customer", "features", "memberships", "refresh", "export", "report", "status",
        "sync", "syncs", "movement",
    ):  # fmt: skip
        assert f"  {verb} " in answer.out


def test_help_imports_no_engine() -> None:
    code = (
        "import sys; from shoal.cli.main import run; run(['--help']);"
        "heavy = {'duckdb', 'pyarrow', 'sklearn', 'ibis', 'deltalake', 'sqlalchemy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_serving_a_shop_of_rules_loads_nothing_that_clusters() -> None:
    code = (
        "import sys; import shoal.service.api, shoal.workflows.ingest, shoal.workflows.refresh;"
        "from shoal.segments.artefact import class_of;"
        "print(class_of('rfm').__name__, class_of('rules').__name__, 'sklearn' in sys.modules);"
        "print(class_of('kmeans').__name__, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["Rfm RuleSegmenter False", "ClusterSegmenter True"]


def test_version(shoal: Shoal) -> None:
    answer = shoal("--version")
    assert answer.code == 0
    assert answer.out.startswith("shoal 0.")


def test_an_unknown_verb_is_wrong_usage(shoal: Shoal) -> None:
    answer = shoal("dance")
    assert answer.code == 2
    assert "No such command 'dance'" in answer.err
    assert "shoal --help" in answer.err


def test_a_missing_argument_is_wrong_usage_in_json_too(shoal: Shoal) -> None:
    answer = shoal("ingest", "--json")
    assert answer.code == 2
    assert answer.error["code"] == "usage"
    assert "Missing argument" in answer.error["message"]


@pytest.mark.parametrize("verb", ["status", "segments", "segment", "report", "quarantine"])
def test_a_directory_that_is_no_shop(shoal: Shoal, tmp_path: Path, verb: str) -> None:
    answer = shoal(verb, tmp_path, "--json")
    assert answer.code == 2
    assert answer.error["code"] == "not_a_shop"
    assert answer.error["hint"] == f"Create one with: shoal init {tmp_path}"


def test_a_shop_is_not_made_twice(shoal: Shoal, shop: Path) -> None:
    answer = shoal("init", shop, "--json")
    assert answer.code == 2
    assert answer.error["code"] == "shop_exists"


def test_a_shop_is_not_made_among_other_files(shoal: Shoal, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    answer = shoal("init", tmp_path)
    assert answer.code == 2
    assert "is not an empty directory" in answer.err
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--time-zone", "Mars/Olympus"], "unknown time zone 'Mars/Olympus'"),
        (["--currency", "EURO"], "setting shop.currency has the value 'EURO'"),
        (["--value-event", "buy"], "setting shop.value_event has the value 'buy'"),
        (["--buckets", "0"], "setting shop.buckets has the value 0"),
        (["--recipe", "cluster"], "no recipe is called 'cluster'"),
    ],
)
def test_bad_settings_at_init_leave_nothing(
    shoal: Shoal, tmp_path: Path, flags: list[str], message: str
) -> None:
    answer = shoal("init", tmp_path / "s", *flags)
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "s").exists()


def test_a_misspelt_setting_is_named(shoal: Shoal, shop: Path) -> None:
    text = (shop / "shop.toml").read_text()
    (shop / "shop.toml").write_text(text.replace("[segment]", "[segment]\nmin_event = 4"))
    answer = shoal("status", shop, "--json")
    assert answer.code == 2
    assert answer.error["code"] == "unknown_setting"
    assert "segment.min_event" in answer.error["message"]
    assert "min_events" in answer.error["hint"]


def test_json_is_the_only_thing_on_stdout(shoal: Shoal, shop: Path) -> None:
    answer = shoal("status", shop, "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["schema"] == "shoal.status/1"


def test_before_segmenting_the_verbs_say_what_to_do(
    shoal: Shoal, shop: Path, tmp_path: Path
) -> None:
    for call in (
        ["segments", shop],
        ["memberships", shop, "--out", tmp_path / "m.csv"],
        ["export", shop, "s01"],
    ):
        answer = shoal(*call)
        assert answer.code == 2, call
        assert f"shoal segment {shop}" in answer.err or "shoal segment" in answer.err


def test_an_interrupt_is_exit_code_1_with_a_message(
    shoal: Shoal, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shoal.workflows.status.status", interrupted)
    answer = shoal("status", shop, "--json")
    assert answer.code == 1
    assert answer.error["code"] == "interrupted"
    assert "run it again" in answer.error["hint"]
