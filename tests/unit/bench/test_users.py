"""The bench of users: splits that cannot leak, figures by hand, peers that learn, the whole."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from bench.harness import data
from bench.harness.splits import LeakError
from bench.segments.unit import packed, unpacked
from bench.users import coles, page, shoal_, supervised, text
from bench.users.__main__ import main
from bench.users.gru import EventGru
from bench.users.heads import boosted, linear, parts
from bench.users.histories import Histories, histories
from bench.users.methods import METHODS, SHOAL
from bench.users.outcomes import ACTIVE, MIX, ORDERS, SPEND, Outcome, auroc, outcomes
from bench.users.scores import Scored, Task, counted, drawn, mean, ranks
from bench.users.sets import SETS, Log, Opened, logs
from bench.users.settings import REPORTED, TUNING
from bench.users.unit import Split

DAY = timedelta(days=1)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def opened(cache: Path) -> Opened:
    """The small world of the quick form."""
    return Log("steady", 1, main=True, quick=True).open(cache)


# --- The split ------------------------------------------------------------------------------------


def test_the_two_windows_follow_each_other_and_end_with_the_log(opened: Opened) -> None:
    horizon = timedelta(days=opened.horizon_days)
    assert opened.before + horizon == opened.moment
    assert opened.moment + horizon == opened.until <= opened.source.end
    assert set(opened.customers(opened.before)) <= set(opened.customers(opened.moment))


def test_windows_that_do_not_follow_the_log_are_refused(opened: Opened) -> None:
    with pytest.raises(LeakError, match="does not lie after"):
        Opened(opened.log, opened.source, opened.source.start + DAY, opened.horizon_days)


def test_a_sample_holds_what_its_customers_did_and_nothing_of_others(
    opened: Opened, cache: Path
) -> None:
    """Features of the sampled customers are those that they have among all customers."""
    whole = data.world(data.WorldSpec("steady", 500, 84, 1), cache)
    mine = opened.source.features(opened.moment)
    names = mine["customer_id"].to_pylist()
    assert len(names) == opened.source.facts["sampled"] == 300
    theirs = whole.features(opened.moment)
    rows = [theirs["customer_id"].to_pylist().index(name) for name in names]
    for column in ("events", "orders", "spend", "recency_days"):
        assert mine[column].to_pylist() == theirs[column].take(rows).to_pylist()


def test_most_customers_of_one_visit_are_seen_once(cache: Path) -> None:
    assert Log("one_visit", 1, quick=True).open(cache).once > 0.5


def test_seeds_for_tuning_see_no_reported_cut() -> None:
    reported = {(one.set, one.back) for one in logs(["cdnow"], REPORTED)}
    tuned = {(one.set, one.back) for one in logs(["cdnow"], TUNING)}
    assert len(reported) == 3
    assert not reported & tuned
    assert not set(REPORTED) & set(TUNING)
    assert [one.main for one in logs(["cdnow"], REPORTED)] == [True, False, False]
    assert logs(["cdnow"], REPORTED[1:]) == logs(["cdnow"], REPORTED)[1:]


# --- Outcomes and figures -------------------------------------------------------------------------


def test_outcomes_are_those_of_the_window(opened: Opened) -> None:
    names = opened.customers(opened.moment)
    found = outcomes(opened, names, opened.moment, opened.until)
    assert set(found) == {ACTIVE, ORDERS, SPEND, MIX}
    log = opened.source.events
    there = {
        who
        for who, at in zip(
            log["customer_id"].to_pylist(), log["event_time"].to_pylist(), strict=True
        )
        if opened.moment <= at < opened.until
    }
    assert found[ACTIVE].values[:, 0].tolist() == [float(name in there) for name in names]
    assert (found[ACTIVE].values[found[ORDERS].values > 0] == 1).all()
    assert not found[MIX].known[found[ACTIVE].values[:, 0] == 0].any()


def test_auroc_is_that_of_scikit_learn_with_weights_and_ties() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(1)
    values = (random.random(200) < 0.3).astype(float)
    scores = np.round(random.random(200) + 0.3 * values, 1)
    weights = random.integers(0, 3, (4, 200)).astype(float)
    wanted = [roc_auc_score(values, scores, sample_weight=one) for one in weights]
    assert auroc(values, scores, weights) == pytest.approx(wanted)
    assert np.isnan(auroc(np.ones(3), np.arange(3.0))[0])


def _task(seed: int, better: str) -> Task:
    """Orders of 60 customers; the better row foretells most of them."""
    random = np.random.default_rng(seed)
    values = random.poisson(2.0, (60, 1)).astype(float)
    outcome = Outcome(ORDERS, values, np.ones(60, dtype=bool))
    task = Task(outcome, outcome.deviance(np.full((60, 1), values.mean())))
    for row in ("features", SHOAL):
        good = 0.9 if row == better else 0.3
        task.add(row, good * values + (1 - good) * values.mean())
    return task


def test_figures_ranks_and_intervals_by_hand() -> None:
    names = [f"c{number}" for number in range(60)]
    both = [Scored(Log("steady", seed), names, {ORDERS: _task(seed, SHOAL)}) for seed in (1, 2)]
    cell = ("steady", ORDERS)
    assert mean(both, cell, SHOAL) > mean(both, cell, "features") > 0
    assert np.isnan(mean(both, cell, "rfm"))
    assert ranks(both, ["features", SHOAL, "rfm"], [cell]) == {SHOAL: 1, "features": 2, "rfm": 3}
    assert counted(both, cell, ["features"])
    assert not counted(both, cell, ["rfm"])
    found = drawn(both, [SHOAL, "features", "rfm"], 200, 3)[cell]
    assert set(found) == {SHOAL, "features"}
    assert len(found[SHOAL]) == 200
    assert ((found[SHOAL] - found["features"]) > 0).all()


def test_a_forecast_that_is_not_finite_is_no_figure() -> None:
    task = _task(1, SHOAL)
    task.add("rfm", np.full((60, 1), np.nan))
    assert np.isnan(task.figure("rfm"))


# --- Heads ----------------------------------------------------------------------------------------


def _learnable(n: int = 600) -> tuple[np.ndarray, dict[str, Outcome]]:
    random = np.random.default_rng(3)
    X = random.normal(size=(n, 3))
    everybody = np.ones(n, dtype=bool)
    rate = np.exp(X[:, :1])
    mix = np.column_stack([X[:, 1] > 0, X[:, 1] <= 0, np.zeros(n)]).astype(float)
    return X, {
        ACTIVE: Outcome(ACTIVE, (X[:, :1] > 0.3).astype(float), everybody),
        ORDERS: Outcome(ORDERS, random.poisson(rate).astype(float), everybody),
        SPEND: Outcome(SPEND, 5e6 * rate * (random.random((n, 1)) < 0.7), everybody),
        MIX: Outcome(MIX, mix, random.random(n) < 0.8),
    }


@pytest.mark.parametrize("head", [boosted, linear])
@pytest.mark.parametrize("task", [ACTIVE, ORDERS, SPEND, MIX])
def test_heads_learn_what_there_is(head: Any, task: str) -> None:
    X, found = _learnable()
    learned = found[task].rows(np.arange(400))
    asked = found[task].rows(np.arange(400, 600))
    told = head(X[:400], learned, X[400:], 1)
    assert told.shape == asked.values.shape
    base = learned.values[learned.known].mean(axis=0)
    level = asked.deviance(np.repeat(np.maximum(base, 1e-6)[None], 200, axis=0)).sum()
    assert asked.deviance(told).sum() < 0.75 * level
    assert (told == head(X[:400], learned, X[400:], 1)).all()


@pytest.mark.parametrize("head", [boosted, linear])
def test_a_head_with_nothing_to_learn_tells_the_mean(head: Any) -> None:
    nothing = Outcome(ORDERS, np.zeros((50, 1)), np.ones(50, dtype=bool))
    assert head(np.ones((50, 2)), nothing, np.ones((4, 2)), 1).tolist() == [[0.0]] * 4


def test_a_linear_predictor_stays_within_what_was_seen() -> None:
    X, found = _learnable()
    told = linear(X, found[ORDERS], np.array([[50.0, 0, 0], [0, 0, 0]]), 1)
    assert told[0, 0] <= linear(X, found[ORDERS], X, 1).max() * 1.000001


def test_who_decides_when_to_stop_is_not_learned_from() -> None:
    folds = [parts(100, 4, fold) for fold in range(5)]
    for fitted, held in folds:
        assert len(held) == 20
        assert sorted([*fitted, *held]) == list(range(100))
    assert sorted(place for _, held in folds for place in held) == list(range(100))


# --- Histories and neural peers -------------------------------------------------------------------


def test_histories_hold_what_came_before_a_moment(opened: Opened) -> None:
    known = histories(opened)
    assert known.customers == opened.customers(opened.moment)
    log = opened.source.events
    early = [at < opened.before for at in log["event_time"].to_pylist()]
    ends = known.ends(opened.before)
    assert int((ends - known.offsets[:-1]).sum()) == sum(early)
    rows = known.rows(opened.customers(opened.before))
    assert (known.silence(ends[rows], opened.before) > 0).all()
    codes, numbers, lengths = known.slices(known.offsets[rows], ends[rows])
    assert len(codes) == len(numbers) == int(lengths.sum()) == sum(early)
    for place, size in enumerate(known.sizes):
        assert 0 <= int(codes[:, place].min()) <= int(codes[:, place].max()) < size


def test_a_state_does_not_depend_on_who_stands_beside() -> None:
    torch.manual_seed(0)
    model = EventGru((5, 7), 2, units=8).eval()
    codes, numbers = torch.randint(0, 5, (40, 2)), torch.randn(40, 2)
    lengths = torch.tensor([9, 1, 20, 10])
    together = model(codes, numbers, lengths)
    alone = model(codes[10:30], numbers[10:30], lengths[2:3])
    assert torch.allclose(together[2], alone[0], atol=1e-6)


def test_the_contrastive_loss_by_hand() -> None:
    """Two customers; slices of a agree, those of b stand at a right angle."""
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    customer = torch.tensor([0, 0, 1, 1])
    # pairs of one customer: 0 and 2. Others, four rows: two distances are 0, two sqrt 2 a customer
    # on the side of a; of b the first slice has two of 0, the second two of sqrt 2
    wanted = (0.0 + 2.0 + 4 * coles.MARGIN**2) / (2 + 8)
    assert float(coles.contrast(vectors, customer)) == pytest.approx(wanted, abs=1e-5)


def test_slices_lie_in_their_histories() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(2, 500, 300)
    low, high = coles.sliced(lengths, 5, random)
    assert (low >= 0).all()
    assert (high <= lengths).all()
    assert (high - low >= np.minimum(5, lengths)).all()
    assert (high - low <= coles.MOST).all()


def _two_kinds(n: int = 60, length: int = 12) -> Histories:
    """Customers who keep to one of two kinds, ordered by turns."""
    random = np.random.default_rng(2)
    codes = np.repeat(np.arange(n) % 2 + 2, length)[:, None]
    us = np.tile(np.arange(length) * 86_400_000_000, n)
    numbers = random.normal(size=(n * length, 4)).astype(np.float32)
    names = [f"c{number:03}" for number in range(n)]
    offsets = np.arange(n + 1) * length
    return Histories(names, offsets, us, codes, numbers, (4,))


LATER = datetime(1970, 3, 1, tzinfo=UTC)


def _by_turns(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """A clock that goes on a second each time it is asked, so that budgets are numbers of steps."""
    clock = itertools.count().__next__
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=clock))


def test_coles_brings_customers_of_a_kind_together(monkeypatch: pytest.MonkeyPatch) -> None:
    _by_turns(monkeypatch, coles)
    known = _two_kinds()
    rows = np.arange(60)
    model = coles.train(known, LATER, seed=1, budget_s=40, units=8)
    assert model.steps == 40
    vectors = model.embed(known, LATER, rows)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    near = vectors @ vectors.T
    same = (rows[:, None] - rows[None]) % 2 == 0
    np.fill_diagonal(same, False)
    others = (rows[:, None] - rows[None]) % 2 == 1
    assert near[same].mean() > near[others].mean() + 0.02


def test_coles_says_when_there_is_nobody_to_contrast() -> None:
    with pytest.raises(ValueError, match="too few to contrast"):
        coles.train(_two_kinds(3, 1), LATER, seed=1, budget_s=0.1)


def test_the_supervised_gru_learns_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    _by_turns(monkeypatch, supervised)
    known = _two_kinds(400)
    rows = np.arange(400)
    learn, ask = rows[:320], rows[320:]
    active = Outcome(ACTIVE, (rows % 2)[:, None].astype(float), np.ones(400, dtype=bool))
    orders = Outcome(ORDERS, 5.0 * active.values, active.known)
    told, epochs = supervised.forecast(
        known,
        learn,
        {ACTIVE: active.rows(learn), ORDERS: orders.rows(learn)},
        LATER,
        ask,
        LATER,
        seed=1,
        budget_s=200,
        units=8,
    )
    assert min(epochs.values()) > 1
    for name in (ACTIVE, ORDERS):
        assert auroc(active.values[ask, 0], told[name][:, 0])[0] > 0.9
    assert told[ORDERS][active.values[ask, 0] == 1].mean() > 2


# --- Controls -------------------------------------------------------------------------------------


def _rows() -> pa.Table:
    moments = [datetime(2025, 1, day, tzinfo=UTC) for day in (1, 2, 2, 9, 5)]
    return pa.table(
        {
            "customer_id": ["a", "a", "a", "a", "b"], "event_id": list("12345"),
            "sequence": [0, 1, 2, 3, 0], "item_id": list("wxyzv"),
            "event_time": pa.array(moments, pa.timestamp("us", "UTC")),
        }
    )  # fmt: skip


def test_shuffling_keeps_moments_and_customers_and_moves_what_happened() -> None:
    rows = _rows()
    found = [shoal_.altered(rows, LATER, "shuffled", seed) for seed in range(20)]
    for one in found:
        for name in ("customer_id", "event_id", "sequence", "event_time"):
            assert one[name].equals(rows[name])
        items = one["item_id"].to_pylist()
        assert sorted(items[:4]) == list("wxyz")
        assert items[4] == "v"
    assert len({tuple(one["item_id"].to_pylist()) for one in found}) > 5


def test_without_time_every_gap_and_every_silence_is_a_day() -> None:
    moment = datetime(2025, 2, 1, tzinfo=UTC)
    one = shoal_.altered(_rows(), moment, "no-time", 1)
    assert one["item_id"].to_pylist() == list("wxyzv")
    days = [(moment - at) // DAY for at in one["event_time"].to_pylist()]
    assert days == [4, 3, 2, 1, 1]
    with pytest.raises(ValueError, match="no control 'noise'"):
        shoal_.altered(_rows(), moment, "noise", 1)


def test_sentences_tell_the_newest_first(opened: Opened) -> None:
    names = opened.customers(opened.before)[:30]
    told = text.sentences(opened, names, opened.before)
    assert len(told) == 30
    for one in told:
        ages = [int(part.split(" days ago")[0].split()[-1]) for part in one.split(". ")
                if " days ago" in part]  # fmt: skip
        assert ages
        assert ages == sorted(ages)
        assert len(ages) <= text.EVENTS


def test_text_without_its_packages_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(data.MissingDataError, match="no_such_package_of_weights"):
        text.encoder()


# --- Shoal, by a stub of its face -----------------------------------------------------------------


class _Shop:
    """Embeds a customer as the number of events that it would have known."""

    def __init__(self, opened: Opened, late: bool) -> None:
        self.opened, self.late = opened, late

    def __enter__(self) -> _Shop:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def train(self, *, until: datetime, minutes: float, **_: Any) -> Any:
        moment = until + DAY if self.late else until
        fit = {"steps": 1, "losses": {}, "seconds": 60 * minutes, "stopped": "time"}
        document = {"trained_until": moment.isoformat(), "fit": fit}
        return SimpleNamespace(document=document)

    def embed(self, *, as_of: datetime) -> pa.Table:
        table = self.opened.source.features(as_of)
        return pa.table({"customer_id": table["customer_id"], "e0": table["events"]})


def test_shoal_is_asked_at_both_moments(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    for moment in (opened.before, opened.moment):  # made before the shop is another one
        opened.source.features(moment)
    monkeypatch.setattr("shoal.open", lambda directory: _Shop(opened, late=False))
    found = shoal_.embedded(opened, budget_s=1.0, seed=1)
    split = Split(opened)
    events = split.table("features")
    assert found.before.shape == (len(split.learners), 1)
    assert found.at.shape == (len(split.asked), 1)
    assert found.at[:, 0].sum() > found.before[:, 0].sum()
    assert len(events[0]) == len(split.learners)


def test_a_model_of_later_events_is_refused(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.open", lambda directory: _Shop(opened, late=True))
    with pytest.raises(LeakError, match="would know what was still to come"):
        shoal_.embedded(opened, budget_s=1.0, seed=1)


# --- The whole ------------------------------------------------------------------------------------


def test_the_small_sample_is_the_same_customers_at_both_moments(opened: Opened) -> None:
    split = Split(opened)
    before = [split.learners[place] for place in split.small]
    assert before == [split.asked[place] for place in split.small_asked]


def test_forecasts_survive_packing() -> None:
    values = np.random.default_rng(0).random((5, 2)).astype(np.float32)
    assert (unpacked(json.loads(json.dumps(packed(values)))) == values).all()


def test_every_set_can_be_named_and_every_row_has_a_unit() -> None:
    assert len(SETS) == 6
    assert {one.role for one in METHODS.values()} == {"peer", "shoal", "control"}


def test_a_quick_run_tells_of_everybody_and_of_what_is_missing(
    opened: Opened,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    units_here: None,
) -> None:
    def nowhere(name: str, cache: Path | None = None) -> None:
        raise data.MissingDataError(f"{name}: no such file")

    monkeypatch.setattr("bench.harness.data.public", nowhere)
    monkeypatch.setattr("bench.harness.data.CACHE", cache)
    monkeypatch.setattr("bench.users.heads.ROUNDS", 30)  # what is learned is not asked here
    monkeypatch.setattr("bench.users.heads.MIX_ROUNDS", 10)
    call = ["--quick", "--sets", "steady", "cdnow", "--units", "rfm", "coles", "shoal", "--budget",
            "0.5", "--cache", str(cache), "--out", str(tmp_path)]  # fmt: skip
    assert main(call) == 0
    told = json.loads((tmp_path / "users.json").read_text())
    assert told["schema"] == "bench.users/1"
    assert told["missing"] == {"cdnow-1": "cdnow: no such file"}
    assert told["failed"] == []
    assert {one["task"] for one in told["cells"]} == {ACTIVE, ORDERS, SPEND, MIX}
    for one in told["cells"]:
        assert all(one["rows"][row] is not None for row in ("rfm", "coles+features", SHOAL))
    assert {one["best_peer"] for one in told["differences"]} <= set(METHODS)
    worse = [one for one in told["differences"] if one["figure"] < -told["tolerance"]]
    assert told["goal"]["never_worse"] == (not worse)
    assert len(told["goal"]["places"]) == len(worse)
    written = (tmp_path / "users.md").read_text()
    assert written == page.markdown(told)
    assert "| cdnow | not there |" in written
    assert f"**{'true' if not worse else 'false'}**" in written
    assert capsys.readouterr().out.startswith("# What embeddings foretell")
    assert main([*call, "--units", "rfm", "coles"]) == 0
    assert "2 of 2 units were finished before" in capsys.readouterr().err
