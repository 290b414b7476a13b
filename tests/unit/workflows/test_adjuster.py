"""Looks in memory, at clouds of customers whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from shoal.adjust.adjustment import KEEP, MERGE, NUDGE, REFIT, SPLIT, Alarm, Evidence, Proposal
from shoal.adjust.drift.detect import Detection, Monitors
from shoal.adjust.lineage import adds_up
from shoal.adjust.settings import AdjustSettings
from shoal.domain.errors import InputError, UsageError
from shoal.features.matrix import Column
from shoal.features.tastes import COUNTS_SCHEMA, Vocabulary
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.segments.clustered import ClusterSegmenter, Preparation
from shoal.workflows import adjuster_look, adjuster_notice
from shoal.workflows.adjuster import Adjusted, Adjuster, Live
from shoal.workflows.adjuster_challenge import Challenger
from shoal.workflows.adjuster_look import Looking
from shoal.workflows.advance import advance
from shoal.workflows.known import Known
from shoal.workflows.segment_learn import Learner

BEGAN = datetime(2024, 3, 1, tzinfo=UTC)
NOW = BEGAN + timedelta(days=7)
CENTERS = np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
NAMES = ("a", "b", "c")
WORDS = Vocabulary((), ())
DRIFT = np.array([0.9, 0.6, 0.0])

Matrix = npt.NDArray[np.float64]


def _cloud(seed: int, centers: Matrix = CENTERS, rows: int = 600) -> Matrix:
    """Everybody near a centre, the same ones at every moment."""
    random = np.random.default_rng(seed)
    return centers[np.arange(rows) % len(centers)] + random.normal(size=(rows, 3))


def _known(X: Matrix, moment: datetime, *, first: int = 0, days: float = 40.0) -> Known:
    n = len(X)
    values: dict[str, Any] = {
        "customer_id": [f"c{number:05d}" for number in range(first, first + n)],
        "events": np.full(n, 30), "orders": np.full(n, 3), "spend": np.full(n, 90.0),
        "tenure_days": np.full(n, days), "recency_days": np.full(n, 1.0),
        **dict(zip(NAMES, X.T, strict=True)),
    }  # fmt: skip
    return Known(moment, pa.table(values), COUNTS_SCHEMA.empty_table())


def _live(X: Matrix, k: int = 4) -> Live:
    columns = [Column(name, "style", "median") for name in NAMES]
    plain = Preparation(skew="none", correlation_limit=1.0, variance_share=1.0)
    segmenter = ClusterSegmenter(columns, k, preparation=plain).fit(_known(X, BEGAN).features)
    return Live("kmeans-0001", segmenter, WORDS, 0.1, BEGAN, k)


def _nobody(moment: datetime) -> Known:
    raise InputError("too_little_data", f"nobody is known before {moment}")


def _looked(
    live: Live, known: Known, recorded: pa.Table | None = None, **more: Any
) -> tuple[Adjusted, pa.Table]:
    """The look, and the memberships that it began with."""
    told = {"settings": AdjustSettings(), "watch": False, **more}
    before = MEMBERSHIPS_SCHEMA.empty_table() if recorded is None else recorded
    step = advance(known, live.in_force, before)
    learner: Any = SimpleNamespace(seed=0)
    adjuster = Adjuster(live, learner, **told)
    return adjuster.look(known, _nobody, step.memberships), step.memberships


def _begun(live: Live, X: Matrix) -> pa.Table:
    """Where everybody was when the segments were made."""
    return advance(_known(X, BEGAN), live.in_force, MEMBERSHIPS_SCHEMA.empty_table()).memberships


def _actions(found: Adjusted) -> list[str]:
    return [one.action for one in found.adjustments]


def test_customers_who_stay_leave_segments_as_they_are() -> None:
    X = _cloud(0)
    live = _live(X)
    found, before = _looked(live, _known(_cloud(1), NOW), _begun(live, X))
    assert not set(_actions(found)) & {SPLIT, MERGE}
    assert found.moved <= 0.01
    assert found.memberships["segment_id"].equals(before["segment_id"])
    assert found.state.looked_at == NOW
    assert found.state.statistics is not None
    assert found.state.statistics.mass.sum() == pytest.approx(600)


def test_segments_follow_customers_who_drift_and_keep_their_ids() -> None:
    X = _cloud(0)
    live = _live(X)
    found, before = _looked(live, _known(_cloud(1) + DRIFT, NOW), _begun(live, X))
    assert NUDGE in _actions(found)
    assert found.segmenter.ids == live.segmenter.ids
    assert found.live.fitted_at == BEGAN
    assert found.lineage is not None
    assert adds_up(found.lineage)
    assert found.changes == (), "all of them go on"
    assert found.memberships["customer_id"].equals(before["customer_id"])
    assert live.segmenter.centers is not found.segmenter.centers


def test_a_segment_that_became_two_splits_with_a_number_never_used() -> None:
    X = _cloud(0)
    live = replace(_live(X), highest=9)
    apart = _cloud(1)
    apart[::8] += [0.0, 7.0, 7.0]
    settings = AdjustSettings(relabel_budget=0.5)
    found, before = _looked(live, _known(apart, NOW), _begun(live, X), settings=settings)
    assert SPLIT in _actions(found)
    assert found.segmenter.ids == (*live.segmenter.ids, "s10")
    assert found.live.highest == 10
    assert found.lineage is not None
    assert adds_up(found.lineage)
    [change] = found.changes
    assert change["change"] in ("split", "birth")
    assert "s10" in change["children"]
    moved = [
        (was, now)
        for was, now in zip(
            before["segment_id"].to_pylist(), found.memberships["segment_id"].to_pylist(),
            strict=True,
        )
        if was != now
    ]  # fmt: skip
    assert {now for _, now in moved} == {"s10"}
    assert len(moved) == pytest.approx(75, abs=5)
    causes = found.memberships.filter(pa.compute.equal(found.memberships["segment_id"], "s10"))[
        "cause"
    ].to_pylist()
    assert set(causes) == {"version"}
    assert found.state.spent(NOW) == pytest.approx(len(moved) / 600)
    again, _ = _looked(
        found.live, _known(apart, NOW + timedelta(days=7)), found.memberships, state=found.state
    )
    assert SPLIT not in _actions(again), "it has been done"


def test_beyond_the_budget_a_person_is_asked_and_a_backtest_goes_on() -> None:
    X = _cloud(0)
    live = _live(X)
    apart = _cloud(1)
    apart[::8] += [0.0, 7.0, 7.0]
    settings = AdjustSettings(relabel_budget=0.01)
    found, _ = _looked(live, _known(apart, NOW), _begun(live, X), settings=settings)
    assert found.waiting is not None
    assert "over_budget" in found.waiting.reasons
    assert found.waiting.live.segmenter.ids == (*live.segmenter.ids, "s05")
    assert adds_up(found.waiting.lineage)
    assert len(found.segmenter.ids) == 4
    done, _ = _looked(live, _known(apart, NOW), _begun(live, X), settings=settings, approve=True)
    assert done.waiting is None
    assert len(done.segmenter.ids) == 5


def test_what_is_not_allowed_is_not_done() -> None:
    X = _cloud(0)
    live = _live(X)
    apart = _cloud(1) + DRIFT
    found, _ = _looked(live, _known(apart, NOW), _begun(live, X), actions=frozenset({KEEP}))
    assert _actions(found) == [KEEP]
    assert found.live is live


def test_the_order_of_customers_decides_nothing() -> None:
    X = _cloud(0)
    live = _live(X)
    known = _known(_cloud(1) + DRIFT, NOW)
    order = pa.array(np.random.default_rng(3).permutation(600))
    mixed = replace(known, features=known.features.take(order))
    one, _ = _looked(live, known, _begun(live, X))
    other, _ = _looked(live, mixed, _begun(live, X))
    assert _actions(one) == _actions(other)
    assert np.allclose(one.segmenter.centers, other.segmenter.centers)


def test_nothing_is_learned_while_tracking_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Detection((), Monitors(moment=NOW), blocked=("a",))
    monkeypatch.setattr(adjuster_notice, "detect", lambda *_, **__: broken)
    monkeypatch.setattr(adjuster_notice, "daily", lambda *_: None)
    X = _cloud(0)
    live = _live(X)
    found, before = _looked(live, _known(_cloud(1) + 3 * DRIFT, NOW), _begun(live, X), watch=True)
    assert [(one.action, one.reason) for one in found.adjustments] == [(KEEP, "blocked")]
    assert found.blocked == ("a",)
    assert found.live is live
    assert found.state.statistics is None
    assert found.memberships.equals(before)


@pytest.mark.parametrize(
    ("harmful", "cadence", "fitted"), [(None, 7, 1), (False, 7, 0), (False, 3.5, 1), (True, 7, 1)]
)
def test_no_challenger_is_fitted_while_a_change_passes_by_unless_it_is_overdue(
    harmful: bool | None, cadence: float, fitted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Alarm("inputs", "a", 0.5, "deviations", 0.001, 600, NOW, harmful=harmful)
    alarms = () if harmful is None else (told,)
    monkeypatch.setattr(
        adjuster_look, "noticed", lambda *_: Detection(alarms, Monitors(moment=NOW))
    )
    asked: list[int] = []
    monkeypatch.setattr(adjuster_look, "challenge", lambda *_, **__: asked.append(1))
    X = _cloud(0)
    live = _live(X)
    due = AdjustSettings(challenger_days=cadence)
    found, _ = _looked(live, _known(_cloud(1), NOW), _begun(live, X), watch=True, settings=due)
    assert len(asked) == fitted
    # What was not fitted stays due.
    assert (found.state.challenged_at is None) == (not fitted)


@pytest.mark.parametrize(("growth", "due"), [(0.25, False), (0.2, True), (0.0, False)])
def test_a_challenger_is_due_by_how_much_longer_the_log_is(growth: float, due: bool) -> None:
    X = _cloud(0)
    live, known = _live(X), _known(X, NOW, days=40.0)
    adjuster = Adjuster(live, cast(Learner, SimpleNamespace(seed=0)),
                        settings=AdjustSettings(refit_growth=growth))  # fmt: skip
    looking = Looking(adjuster, known, _nobody, _begun(live, X))
    nothing: Any = None
    looking._enters(
        Challenger(known, None, live.segmenter, WORDS, None, nothing, None, {}, nothing,
                   Proposal(REFIT, gain=0.01)),
        Evidence(NOW, 600), {},
    )  # fmt: skip
    proposal = looking.challengers[REFIT].proposal
    assert proposal.due == due
    # 7 of 40 days came after the segments were made of 33.
    assert proposal.evidence["grown"] == pytest.approx(7 / 33)


def test_a_look_before_the_last_one_is_refused() -> None:
    X = _cloud(0)
    live = _live(X)
    found, _ = _looked(live, _known(X, NOW), _begun(live, X))
    with pytest.raises(UsageError, match="looked at as of") as caught:
        _looked(live, _known(X, NOW - timedelta(days=1)), _begun(live, X), state=found.state)
    assert caught.value.code == "bad_period"


def test_customers_who_are_all_new_are_placed_and_nothing_breaks() -> None:
    live = _live(_cloud(0))
    found, before = _looked(live, _known(_cloud(1), NOW, first=10_000))
    assert found.memberships.num_rows == before.num_rows == 600
    assert found.customers == 600


def test_features_without_values_are_no_traceback() -> None:
    X = _cloud(0)
    live = _live(X)
    holed = _cloud(1)
    holed[::3, 0] = np.nan
    holed[::5] = np.nan
    found, _ = _looked(live, _known(holed, NOW), _begun(live, X))
    assert np.isfinite(found.segmenter.centers).all()
    assert found.memberships.num_rows == 600


def test_one_customer_beyond_all_measure_moves_nobody_else() -> None:
    X = _cloud(0)
    live = _live(X)
    flooded = _cloud(1)
    flooded[7] = 1e9
    found, before = _looked(live, _known(flooded, NOW), _begun(live, X))
    same = pa.compute.equal(found.memberships["segment_id"], before["segment_id"])
    assert pa.compute.sum(same).as_py() >= 595


def test_a_segment_that_nobody_is_in_any_more_keeps_its_id_to_itself() -> None:
    X = _cloud(0)
    live = _live(X)
    gone = _cloud(1, CENTERS[[0, 1, 2, 0]])
    found, _ = _looked(live, _known(gone, NOW), _begun(live, X))
    there = set(found.memberships["segment_id"].to_pylist())
    assert len(there) == 3
    assert set(found.segmenter.ids) <= set(live.segmenter.ids), "no id is given again"


def test_a_single_segment_and_two_customers_are_no_traceback() -> None:
    X = _cloud(0, CENTERS[:1])
    alone = _live(X, k=1)
    found, _ = _looked(alone, _known(_cloud(1, CENTERS[:1]), NOW), _begun(alone, X))
    assert not set(_actions(found)) & {MERGE}
    live = _live(_cloud(0))
    few, _ = _looked(live, _known(_cloud(1)[:2], NOW))
    assert _actions(few) == [KEEP]


def test_customers_too_little_known_stay_in_their_tier() -> None:
    X = _cloud(0)
    live = _live(X)
    known = _known(_cloud(1), NOW)
    events = pa.array(np.where(np.arange(600) < 590, 1, 30))
    at = known.features.schema.get_field_index("events")
    nobody = replace(known, features=known.features.set_column(at, "events", events))
    found, _ = _looked(live, nobody)
    assert found.customers == 10
    assert found.memberships["segment_id"].to_pylist().count("new") == 590
