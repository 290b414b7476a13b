"""Training in place: budget, best weights, what stops it, what is kept then."""

from __future__ import annotations

import math
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.model import made

from shoal.domain.errors import InputError, OperationError
from shoal.domain.kinds import KINDS, PURCHASE
from shoal.domain.sequence import EventSequences
from shoal.domain.time import DAY_US
from shoal.model import checkpoint
from shoal.model.adamw import AdamW
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import TrainConfig
from shoal.model.interrupts import undisturbed
from shoal.model.schedule import Budget, rate, validates
from shoal.model.train import fit

PURCHASE_CODE = 1 + KINDS.index(PURCHASE)
CONFIG = TrainConfig(
    batch_customers=8, slices=2, slice_min=4, slice_max=12, steps=12, learning_rate=1e-2,
    validation_customers=24, checkpoint_minutes=60.0, patience=99,
)  # fmt: skip


@pytest.fixture(scope="module")
def sequences():
    return made.sequences(customers=60, length=40, seed=2)


def trained(sequences, directory, config=CONFIG, *, model=None, until_us=None, **more):
    model = model or made.tiny_model(seed=config.seed)
    log = fit(
        model, sequences, config=config, sizes=model.sizes,
        item_counts=np.ones(len(model.known_item)),
        until_us=until_us or int(sequences.fields["us"].max()) + 1, value_kind=PURCHASE_CODE,
        directory=directory, **more,
    )  # fmt: skip
    return model, log


def weights(model):
    return {name: one.clone() for name, one in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


class Clock:
    """A stopwatch that each look moves by a second."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.look

    def look(self):
        self.seconds += 1.0
        return self.seconds


def test_a_training_learns_and_keeps_the_best_weights(sequences, tmp_path):
    told = []
    config = replace(CONFIG, steps=24)
    model, log = trained(
        sequences,
        tmp_path,
        config,
        report=lambda step, planned, figures: told.append((step, planned, figures)),
    )
    assert (log.steps, log.planned, log.stopped, log.timed) == (24, 24, "planned", False)
    first, best = log.validations[0], log.best
    scores = [one.score for one in log.validations]
    assert first.score == 1.0 and min(scores) < 0.95
    told_of = {name: one for name, one in CONFIG.weights.items() if first.losses[name]}
    shares = [one * best[name] / first.losses[name] for name, one in told_of.items()]
    assert len(shares) > 1
    assert min(scores) == pytest.approx(sum(shares) / sum(told_of.values()))
    kept = checkpoint.within("best.model", checkpoint.read(tmp_path, _fingerprint(tmp_path))[0])
    assert same(weights(model), kept) and not model.training
    assert [step for step, _, _ in told] == list(range(1, 25))
    assert {"done", "eta_s", "events_s", "loss", "contrastive", "validation"} <= told[-1][2].keys()
    assert told[-1][2]["eta_s"] == 0.0 and told[11][2]["done"] == 0.5
    document = log.as_document()
    assert document["losses"]["total"] == best["loss"] and document["forgetting"] is None
    assert log.events == sum(_events(sequences, config)) and 0 <= log.padded_share < 0.5


def _fingerprint(directory):
    import json

    from safetensors import safe_open

    with safe_open(directory / checkpoint.FILE, framework="pt") as file:
        return json.loads(file.metadata()["document"])["fingerprint"]


def _events(sequences, config):
    from shoal.model.training_data import TrainingData

    data = TrainingData.split(
        made.tiny_model(), sequences, config, made.sizes(), int(sequences.fields["us"].max()) + 1,
        PURCHASE_CODE, None,
    )  # fmt: skip
    return [int(data.train.batch(step).events.lengths.sum()) for step in range(config.steps)]


def test_the_callers_random_numbers_go_on_as_before(sequences, tmp_path):
    model = made.tiny_model()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(sequences, tmp_path, replace(CONFIG, steps=2), model=model)
    assert torch.equal(torch.rand(3), expected)


def test_time_ends_a_training_and_is_told(sequences, tmp_path):
    config = replace(CONFIG, steps=0, passes=1e3, minutes=1.0)
    _, log = trained(sequences, tmp_path, config, watch=Clock())
    assert log.stopped == "time" and log.timed
    assert log.steps < log.planned and log.validations[-1].step == log.steps
    # exactly so many steps were asked for: time has no say
    _, log = trained(sequences, tmp_path, replace(config, steps=3, minutes=1e-9), watch=Clock())
    assert (log.steps, log.stopped, log.timed) == (3, "planned", False)


def test_steps_are_planned_from_the_data(sequences, tmp_path):
    config = replace(CONFIG, steps=0, passes=1.0, minutes=0.0)
    _, log = trained(sequences, tmp_path, config)
    seen = int((sequences.fields["us"] < log.valid_from_us).sum())
    assert log.stopped == "planned" and not log.timed
    assert 0.8 * seen < log.events < 1.2 * seen


def test_no_better_validation_for_long_ends_a_training(sequences, tmp_path):
    config = replace(CONFIG, steps=60, learning_rate=0.0, validate_every_steps=2, patience=3)
    _, log = trained(sequences, tmp_path, config)
    assert log.stopped == "patience" and log.steps == 8
    assert [one.step for one in log.validations] == [2, 4, 6, 8] and log.best_step == 2


def test_an_interrupted_training_goes_on_as_if_nothing_had_been(sequences, tmp_path):
    def interrupts(step, planned, figures):
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(OperationError, match="after step 7 of 12") as caught:
        trained(sequences, tmp_path / "a", report=interrupts)
    assert caught.value.code == "interrupted" and "--resume" in caught.value.hint
    resumed, log = trained(sequences, tmp_path / "a", resume=True)
    whole, expected = trained(sequences, tmp_path / "b")
    assert same(weights(resumed), weights(whole))
    assert log.resumed_from == 7 and log.validations == expected.validations
    assert (log.events, log.padded_share) == (expected.events, expected.padded_share)
    # what is over stays over
    again, log = trained(sequences, tmp_path / "a", resume=True)
    assert same(weights(again), weights(whole)) and log.steps == 12
    with pytest.raises(OperationError, match="other settings") as refused:
        trained(sequences, tmp_path / "a", replace(CONFIG, seed=1), resume=True)
    assert refused.value.code == "checkpoint_unusable"


def test_a_checkpoint_of_another_model_structure_is_refused(sequences, tmp_path, monkeypatch):
    trained(sequences, tmp_path, replace(CONFIG, steps=2))
    read = checkpoint.read

    def older(directory, expected):
        tensors, document = read(directory, expected)
        return {name: one for name, one in tensors.items() if "readout" not in name}, document

    monkeypatch.setattr(checkpoint, "read", older)
    with pytest.raises(OperationError, match="other parts than this version's model") as refused:
        trained(sequences, tmp_path, replace(CONFIG, steps=2), resume=True)
    assert refused.value.code == "checkpoint_unusable" and "--resume" in refused.value.hint


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    sequences = made.sequences(customers=60, length=40, seed=2)
    config = replace(CONFIG, checkpoint_minutes=0.0)
    odd = 17
    events = slice(*sequences.offsets[odd : odd + 2])
    sequences.fields["quantity"][events] = np.inf
    with pytest.raises(OperationError) as caught:
        trained(sequences, tmp_path, config, resume=True)
    assert caught.value.code == "training_diverged"
    assert "c00017" in caught.value.message and "8 customers" in caught.value.message
    assert "last good checkpoint was kept" in caught.value.hint
    tensors, document = checkpoint.read(tmp_path, _fingerprint(tmp_path))
    assert document["step"] >= 1
    assert f"step {document['step'] + 1}" in caught.value.message
    assert all(bool(one.isfinite().all()) for one in tensors.values())


def test_a_validation_that_is_no_number_stops_too(tmp_path):
    sequences = made.sequences(customers=60, length=40, seed=2)
    late = sequences.fields["us"] > sequences.fields["us"].max() - DAY_US
    sequences.fields["quantity"][late] = np.inf
    with pytest.raises(OperationError, match="the validation after step") as caught:
        trained(sequences, tmp_path, replace(CONFIG, validation_customers=60))
    assert caught.value.code == "training_diverged"


def test_a_full_disk_ends_a_training_and_leaves_the_checkpoint_before(
    sequences, tmp_path, monkeypatch
):
    config = replace(CONFIG, checkpoint_minutes=0.0)
    usual, written = checkpoint._synchronise, []

    def full(path):
        written.append(path)
        if len(written) > 4:  # two of each checkpoint: the file and its directory
            raise OSError(28, "No space left on device")
        usual(path)

    monkeypatch.setattr(checkpoint, "_synchronise", full)
    with pytest.raises(OperationError) as caught:
        trained(sequences, tmp_path / "a", config)
    assert caught.value.code == "disk_full"
    monkeypatch.setattr(checkpoint, "_synchronise", usual)
    resumed, log = trained(sequences, tmp_path / "a", config, resume=True)
    assert log.resumed_from == 2
    assert same(weights(resumed), weights(trained(sequences, tmp_path / "b", config)[0]))


# -- fine-tuning -----------------------------------------------------------------------------------


def test_training_on_measures_what_was_forgotten(sequences, tmp_path):
    until_us = int(sequences.fields["us"].max()) + 1
    from_us = until_us - 12 * DAY_US
    old, first = trained(sequences, tmp_path / "old", until_us=from_us)
    start = weights(old)
    config = replace(CONFIG, steps=10, learning_rate=1e-3)
    new, log = trained(
        sequences, tmp_path / "new", config, start=start, start_heads=first.heads, from_us=from_us
    )
    assert not same(weights(new), start)
    forgetting = log.forgetting
    assert forgetting is not None and forgetting.before.keys() == forgetting.after.keys()
    assert set(CONFIG.weights) < forgetting.before.keys()
    assert forgetting.before["horizon"] == pytest.approx(first.best["horizon"], rel=0.3)
    assert all(math.isfinite(one) for one in forgetting.after.values())
    assert log.as_document()["forgetting"]["total before"] == forgetting.before["loss"]
    # without its heads only what has no parameters can be compared
    _, bare = trained(sequences, tmp_path / "bare", config, start=start, from_us=from_us)
    assert bare.forgetting is not None and "horizon" not in bare.forgetting.before
    assert bare.forgetting.before["contrastive"] == forgetting.before["contrastive"]


def test_a_lower_rate_changes_less(sequences, tmp_path):
    start = weights(made.tiny_model())
    moved = []
    for share in (0.01, 1.0):
        config = replace(CONFIG, steps=3, fine_tune_rate=share)
        model, _ = trained(sequences, tmp_path / str(share), config, start=start)
        moved.append(
            sum(float((one - start[name]).abs().sum()) for name, one in weights(model).items())
        )
    assert moved[0] < 0.05 * moved[1]


# -- odd shops -------------------------------------------------------------------------------------


def _changed(name: str, sequences: EventSequences) -> EventSequences:
    fields = dict(sequences.fields)
    if name == "single_kind":
        fields["kind"] = np.full_like(fields["kind"], PURCHASE_CODE)
    elif name == "one_item":
        fields["item"] = np.ones_like(fields["item"])
    elif name == "constant_prices":
        fields["price"] = np.full_like(fields["price"], np.log1p(1.0))
        fields["price_bucket"] = np.ones_like(fields["price_bucket"])
    elif name == "nothing_known":
        for field in fields:
            if field not in ("us", "kind"):
                odd = np.nan if fields[field].dtype == np.float32 else 0
                fields[field] = np.full_like(fields[field], odd)
    elif name == "one_moment":
        fields["us"] = np.full_like(fields["us"], made.START_US)
    return EventSequences(sequences.customers, sequences.offsets, fields, sequences.texts)


@pytest.mark.parametrize(
    "shop", ["single_kind", "one_item", "constant_prices", "nothing_known", "one_moment"]
)
def test_odd_shops_train(sequences, tmp_path, shop):
    config = replace(
        CONFIG, steps=3, augment={"crop": 0.3, "substitute": 0.3, "time_warp": 0.3, "reorder": 0.3},
        weights={"contrastive": 1, "next_event": 1, "horizon": 1, "masked": 1, "order": 1},
    )  # fmt: skip
    odd = _changed(shop, sequences)
    model, log = trained(odd, tmp_path, config)
    assert log.steps == 3 and all(math.isfinite(one) for one in log.losses.values())
    assert all(bool(one.isfinite().all()) for one in weights(model).values())
    # with all events at one moment nobody was there before a validation window
    assert bool(log.validations) == (shop != "one_moment")


def test_customers_of_one_event_train_what_needs_no_pair(tmp_path):
    lone, until_us = made.sequences(lengths=[1] * 60), made.START_US + 90 * DAY_US
    _, log = trained(lone, tmp_path, replace(CONFIG, steps=3), until_us=until_us)
    assert log.losses["contrastive"] == 0.0 and log.losses["horizon"] != 0.0


def test_all_customers_new_leaves_nothing_to_validate_on(tmp_path):
    sequences = made.sequences(customers=40, length=20)
    until_us = int(sequences.fields["us"].max()) + 1
    config = replace(CONFIG, steps=3, validation_days=10_000)
    lone = made.sequences(lengths=[5] * 40)
    lone.fields["us"][:] = made.START_US + np.tile(np.arange(5), 40)
    _, log = trained(lone, tmp_path, config, until_us=made.START_US + 400 * DAY_US)
    assert log.validations and log.steps == 3  # half of the log at most validates
    _, log = trained(lone, tmp_path / "b", config, until_us=made.START_US + 5)
    assert log.steps == 3
    with pytest.raises(InputError, match="no customer has an event"):
        trained(sequences, tmp_path / "c", config, until_us=until_us - 4_000 * DAY_US)


def test_a_vocabulary_of_a_million_items(tmp_path):
    n = 1_000_000
    known = {
        name: np.resize(one, n) if name != "texts" else one for name, one in made.items().items()
    }
    sequences = made.sequences(customers=30, length=12)
    rng = np.random.default_rng(0)
    sequences.fields["item"][:] = rng.integers(1, n + 1, sequences.events)
    config = replace(made.tiny_model().config, d_model=4, heads=2)
    model = BehaviourModel(config, {**made.sizes(), "item": n + 1}, known, made.TEXT.to_document())
    few = replace(CONFIG, steps=1, validation_customers=2)
    _, log = trained(sequences, tmp_path, few, model=model)
    assert log.steps == 1 and math.isfinite(log.losses["next_event"])


# -- parts -----------------------------------------------------------------------------------------


def test_the_rate_of_learning_falls_by_time_when_time_is_short():
    budget = Budget(1000, 60.0)
    assert budget.done(10, 30.0) == 0.5 and budget.done(900, 30.0) == 0.9
    assert rate(budget.done(10, 30.0), 0.05) < rate(budget.done(10, 6.0), 0.05)
    assert budget.done(2000, 0.0) == 1.0 and Budget(10).done(5, 1e9) == 0.5


def test_validations_come_every_so_many_steps_at_each_tenth_and_at_the_end():
    due = [step for step in range(1, 101) if validates((step - 1) / 100, step / 100, step, 25)]
    assert due == sorted({*range(10, 101, 10), 25, 50, 75, 100})


@pytest.fixture
def interruptible():
    """Interrupts raise, also where the tests run in the background and ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_waits_until_what_must_be_whole_is():
    done = []
    with pytest.raises(KeyboardInterrupt), undisturbed():
        signal.raise_signal(signal.SIGINT)
        done.append("all of it")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_adamw_follows_its_formula():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    table = torch.nn.Embedding(4, 3)
    optimizer = AdamW({"a": module, "b": table}, decay=0.1)
    before = {name: one.detach().clone() for name, one in module.named_parameters()}
    rows = table.weight.detach().clone()
    means = dict.fromkeys(before, (0.0, 0.0))
    for step in (1, 2, 3):
        optimizer.forget_gradients()
        module(table(torch.tensor([1, 2]))).square().sum().backward()
        for name, one in module.named_parameters():
            mean, square = means[name]
            mean, square = 0.9 * mean + 0.1 * one.grad, 0.999 * square + 0.001 * one.grad**2
            means[name] = mean, square
            decayed = before[name] * (1 - 0.01 * 0.1) if name == "0.weight" else before[name]
            before[name] = decayed - 0.01 * (mean / (1 - 0.9**step)) / (
                (square / (1 - 0.999**step)).sqrt() + 1e-8
            )
        optimizer.step(0.01)
    for name, one in module.named_parameters():
        torch.testing.assert_close(one.detach(), before[name])
    assert torch.equal(table.weight[0], rows[0]) and not torch.equal(table.weight[1], rows[1])
