"""The bench of drift: what its panels plant, its peers, and its page."""

from __future__ import annotations

import numpy as np
import pytest
from bench.drift import peers, report
from bench.drift.panel import HABITS, SHIFTS, Panel
from bench.drift.runs import ASKS, SHOAL

DAYS = 140


def panel(shift: str = "", seed: int = 1, watched: int = 14) -> Panel:
    return Panel(400, DAYS, watched, seed, shift=shift)


@pytest.fixture(scope="module")
def calm() -> Panel:
    return panel()


def test_a_panel_has_thirty_features_and_is_the_same_again(calm):
    table = calm.table(DAYS)
    assert table.num_columns == 1 + 30
    assert table.equals(panel().table(DAYS))
    assert not table.equals(panel(seed=2).table(DAYS))


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_changes_nothing_before_its_day_and_something_after(shift, calm):
    shifted = panel(shift)
    assert shifted.table(DAYS).equals(calm.table(DAYS))
    assert not shifted.table(DAYS + 14).equals(calm.table(DAYS + 14))


def test_a_planted_correlation_leaves_every_feature_alone_as_it_was(calm):
    names = HABITS[:2]
    tables = [one.table(DAYS + 14) for one in (calm, panel("correlation"))]
    columns = [[np.array(table[name]) for name in names] for table in tables]
    for before, after in zip(*columns, strict=True):
        assert np.mean(after) == pytest.approx(np.mean(before), abs=0.02)
        assert np.std(after) == pytest.approx(np.std(before), abs=0.02)
    together = [np.corrcoef(pair)[0, 1] for pair in columns]
    assert abs(together[1] - together[0]) > 0.2


def test_the_tests_of_peers_tell_a_change_and_the_index_of_no_change_is_small(calm):
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 5_000))
    assert peers.stability_index(one, other) < 0.02
    assert peers.stability_index(one, other + 1) > 0.25
    broken = panel("null")
    assert peers.KS in peers.tests(broken.look(DAYS + 7), broken.look(DAYS - 21))
    assert not {"events", "orders", "tenure_days"} & set(peers.names_of(calm.look(DAYS)))


def test_the_page_counts_alarms_and_delays():
    def row(days: list[int], **more: object) -> dict[str, object]:
        told = {name: [] for name in (ASKS, *peers.TESTS)} | {SHOAL: days}
        return {"every_7": {"days": told}, "every_1": {"days": told}, **more}

    document = {
        "command": "python -m bench.drift",
        "machine": {"cores": 1, "processor": "p", "memory_gib": 1, "system": "s", "python": "3",
                    "packages": {}},
        "settings": {"customers": 10, "watched": {"none": 30}},
        "false": [row([], season=False, shift=""), row([7, 14], season=False, shift="")],
        "power": [row([7], shift="mean"), row([21], shift="mean"), row([], shift="mean")],
    }  # fmt: skip
    page = report.markdown(document)
    assert f"| every week | {SHOAL} | 1.0 | 1/2 | – | – |" in page
    assert "| 3 | 0.67 (14 d) | 0.67 (14 d) | 0.00 |" in page
