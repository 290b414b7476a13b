"""The harness of the benches of quality: cuts, units in processes, environments, results."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.harness import environment
from bench.harness.data import MissingDataError, WorldSpec, public, world
from bench.harness.environment import EnvironmentMissingError, python_of
from bench.harness.results import as_lines, spread, table, told
from bench.harness.run import Unit, _turns, code_hash, run
from bench.harness.source import smoothed_shares
from bench.harness.splits import (
    LeakError,
    cuts,
    horizon,
    refuse_later,
    refuse_unordered,
)

START = datetime(2025, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)


def test_cuts_begin_after_learning_and_end_with_the_log() -> None:
    found = cuts(START, START + 30 * DAY, learn_days=16, every_days=7)
    assert [(moment - START).days for moment in found.moments] == [16, 23, 30]
    assert found.pairs()[0] == (found.first, found.first + 7 * DAY)
    with pytest.raises(ValueError, match="no cut after 40 days"):
        cuts(START, START + 30 * DAY, learn_days=40, every_days=7)
    with pytest.raises(ValueError, match="at least 1"):
        cuts(START, START + 30 * DAY, learn_days=7, every_days=0)


def test_what_knows_the_future_is_refused() -> None:
    refuse_later(START, START, "k-means")
    with pytest.raises(LeakError, match="k-means was trained until 2025-01-07"):
        refuse_later(START + DAY, START, "k-means")
    with pytest.raises(LeakError, match="does not lie after"):
        refuse_unordered([START, START])


def test_a_target_period_is_a_quarter_of_the_log_at_most() -> None:
    assert horizon(START, START + 200 * DAY, 28) == 28
    assert horizon(START, START + 40 * DAY, 28) == 10
    with pytest.raises(ValueError, match="too short"):
        horizon(START, START + 3 * DAY, 28)


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "probe_units.py").write_text(
        "import os, time\n"
        "def call(do):\n"
        "    print('noise on stdout')\n"
        "    if do == 'raise': raise ValueError('no such thing')\n"
        "    if do == 'crash': os._exit(7)\n"
        "    if do == 'sleep': time.sleep(60)\n"
        "    if do == 'threads': return {'threads': os.environ['OMP_NUM_THREADS']}\n"
        "    return {'did': do, 'pid': os.getpid()}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "probe_units:call"


def _units(*does: str, **stamp: str) -> list[Unit]:
    return [Unit(f"peer{n}", f"w-{do}", 1, {"do": do}, stamp) for n, do in enumerate(does)]


def _same_peer(*does: str) -> list[Unit]:
    return [Unit("peer", f"w-{n}", 1, {"do": do}) for n, do in enumerate(does)]


def test_a_failing_unit_says_why_and_the_rest_runs(probe: str, tmp_path: Path) -> None:
    rows = run(probe, _same_peer("a", "raise", "crash", "b"), kept=tmp_path / "k", tell=False)
    assert [row.get("did") for row in rows] == ["a", None, None, "b"]
    assert rows[1]["failed"] == "ValueError: no such thing"
    assert rows[2]["failed"].startswith("the process ended with 7")
    assert rows[0]["pid"] != rows[3]["pid"]


def test_a_unit_that_takes_too_long_is_ended(probe: str, tmp_path: Path) -> None:
    rows = run(probe, _same_peer("sleep", "a"), kept=tmp_path / "k", timeout_s=3, tell=False)
    assert rows[0]["failed"] == "took longer than 3 s"
    assert rows[1]["did"] == "a"


def test_finished_units_are_kept_until_what_they_depend_on_changes(
    probe: str, tmp_path: Path
) -> None:
    kept = tmp_path / "k"
    first = run(probe, _units("a", "raise", code="1"), kept=kept, tell=False)
    again = run(probe, _units("a", "raise", code="1"), kept=kept, tell=False)
    assert again[0]["kept"] and again[0]["pid"] == first[0]["pid"]
    assert "failed" in again[1] and "kept" not in again[1]
    other = run(probe, _units("a", code="2"), kept=kept, tell=False)
    assert other[0]["pid"] != first[0]["pid"]
    anew = run(probe, _units("a", code="1"), kept=kept, keep=False, tell=False)
    assert anew[0]["pid"] != first[0]["pid"]


def test_children_have_one_thread(probe: str, tmp_path: Path) -> None:
    assert run(probe, _units("threads"), kept=tmp_path, tell=False)[0]["threads"] == "1"


def test_processes_take_turns_over_seeds_and_peers() -> None:
    units = [Unit(peer, world, seed, {}) for seed in (1, 2) for peer in "ab" for world in "xy"]
    order = [[units[place].peer + str(units[place].seed) for place in turn] for turn in
             _turns(range(len(units)), units)]  # fmt: skip
    assert order == [["a1"] * 2, ["b1"] * 2, ["b2"] * 2, ["a2"] * 2]


def test_the_hash_of_code_is_of_its_content() -> None:
    assert code_hash("bench/harness/run.py") != code_hash("bench/harness/child.py")
    assert code_hash("bench/harness") == code_hash("bench/harness")


def test_an_environment_that_cannot_be_made_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        EnvironmentMissingError, match="no environment 'moon'; there are faiss, river"
    ):
        python_of("moon", tmp_path)

    def refuse(command: list[str], **_: Any) -> Any:
        return subprocess.CompletedProcess(command, 1, "", "No matching distribution for river")

    monkeypatch.setattr(environment.subprocess, "run", refuse)
    with pytest.raises(EnvironmentMissingError, match="could not be made: No matching distrib"):
        python_of("river", tmp_path)
    assert not list(tmp_path.glob("environments/*/made.json"))


def test_missing_data_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDataError, match="no world 'atlantis'"):
        world(WorldSpec("atlantis", 10, 10, 1), tmp_path)
    monkeypatch.setattr("bench.harness.data.DATA", tmp_path)
    with pytest.raises(MissingDataError, match="cdnow: no file"):
        public("cdnow", tmp_path)


def test_shares_start_from_one_event_of_the_mean() -> None:
    counts = np.array([[3.0, 1.0], [0.0, 0.0]])
    assert smoothed_shares(counts).tolist() == [[3.75 / 5, 1.25 / 5], [0.75, 0.25]]


def test_a_spread_leaves_out_what_is_missing() -> None:
    assert spread([1.0, None, float("nan"), 3.0]) == {"mean": 2.0, "min": 1.0, "max": 3.0, "n": 2}
    assert spread([None]) is None
    assert told(spread([1.0]), 1) == "1.0"
    assert told(spread([1.0, 2.0]), 1) == "1.5 (1.0-2.0)"
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_document_is_json_with_a_line_a_row() -> None:
    document = {"a": {"b": [1, 2]}, "rows": [{"x": 1.5, "y": None}, {"x": 2}], "none": []}
    text = as_lines(document)
    assert json.loads(text) == document
    assert '  {"x": 2}' in text.splitlines()
