"""Augmentations: each does what it says, keeps the rest, and keeps what is known in step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.model import made
from tests.unit.model.objectives.batches import OWN, training_batch

from shoal.domain.sequence import CODES, MASK, NUMBERS
from shoal.model.augment import SESSION_GAP_US, Similar, augment, strengths
from shoal.model.config import AUGMENTATIONS, TrainConfig
from shoal.model.objectives.base import TrainingBatch

#: The items of the events, at prices near to each other.
ITEMS = {**made.items(), "price": made.items()["price"] * np.float32(0.3)}


@pytest.fixture
def batch() -> TrainingBatch:
    return training_batch(made.sequences(customers=12, length=20, seed=3))


@pytest.fixture
def similar() -> Similar:
    return Similar.of(ITEMS)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(torch.equal(torch.nan_to_num(a, nan=-9.0), torch.nan_to_num(b, nan=-9.0)))


def alike(one: TrainingBatch, other: TrainingBatch, *, but: tuple[str, ...] = ()) -> bool:
    """Whether all parts are equal but those named."""
    pairs = {
        "us": (one.events.us, other.events.us),
        "lengths": (one.events.lengths, other.events.lengths),
        "now_us": (one.events.now_us, other.events.now_us),
        "customer": (one.customer, other.customer),
        "masked": (one.masked, other.masked),
        "known": (one.known, other.known),
        **{
            name: (one.events.fields[name], other.events.fields[name]) for name in one.events.fields
        },
        **{f"next.{name}": (one.next[name], other.next[name]) for name in one.next},
        **{f"own.{name}": (one.own[name], other.own[name]) for name in one.own},
        **{f"future.{name}": (one.future[name], other.future[name]) for name in one.future},
    }
    return all(same(*pair) for name, pair in pairs.items() if name not in but)


def test_nothing_set_changes_nothing(batch: TrainingBatch) -> None:
    assert augment(batch, {}, rng()) is batch
    assert augment(batch, dict.fromkeys(AUGMENTATIONS, 0.0), rng()) is batch


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_seed_gives_the_same_and_another_seed_something_else(
    name: str, batch: TrainingBatch, similar: Similar
) -> None:
    first = augment(batch, {name: 0.5}, rng(1), similar)
    assert alike(first, augment(batch, {name: 0.5}, rng(1), similar))
    other = augment(batch, {name: 0.5}, rng(2), similar)
    assert first.events.us.shape != other.events.us.shape or not alike(first, other)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_batch_given_stays_as_it_was(name: str, similar: Similar) -> None:
    sequences = made.sequences(customers=12, length=20, seed=3)
    batch = training_batch(sequences)
    augment(batch, {name: 1.0}, rng(), similar)
    assert alike(batch, training_batch(sequences))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_lengths_and_padding_stay_consistent(
    name: str, batch: TrainingBatch, similar: Similar
) -> None:
    told = augment(batch, {name: 1.0}, rng(), similar)
    events = told.events
    assert int(events.lengths.max()) <= events.us.shape[1]
    assert (events.lengths >= 1).all()
    for field in CODES:
        assert (events.fields[field][~events.valid] == 0).all(), field
    for field in NUMBERS:
        assert events.fields[field][~events.valid].isnan().all(), field
    assert (events.fields["text"] < len(events.texts)).all()
    assert (events.us.diff(dim=1) >= 0).all()
    last = events.us.gather(1, (events.lengths - 1)[:, None])
    assert (events.us[~events.valid] == last.expand_as(events.us)[~events.valid]).all()
    assert (events.now_us >= events.us[:, -1]).all()
    for group in (told.next, told.own, {"masked": told.masked}):
        assert all(value.shape == events.us.shape for value in group.values())
    assert not told.masked[~events.valid].any()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_slices_without_events_and_of_one_event_pass(name: str, similar: Similar) -> None:
    batch = training_batch(made.sequences(lengths=[0, 1, 1, 0]))
    told = augment(batch, {name: 1.0}, rng(), similar)
    assert told.events.lengths.tolist() == [0, 1, 1, 0]
    assert not told.masked.any()


def test_crop_cuts_the_beginning_and_moves_what_is_known(batch: TrainingBatch) -> None:
    told = augment(batch, {"crop": 0.6}, rng())
    before, after = batch.events, told.events
    cut = before.lengths - after.lengths
    assert (cut >= 0).all()
    assert (cut > 0).sum() >= 4
    assert (cut <= 0.6 * before.lengths).all()
    for row in range(len(before)):
        n, c = int(after.lengths[row]), int(cut[row])
        for name in before.fields:
            assert same(after.fields[name][row, :n], before.fields[name][row, c : c + n]), name
        assert same(after.us[row, :n], before.us[row, c : c + n])
        for name in batch.next:
            assert same(told.next[name][row, :n], batch.next[name][row, c : c + n]), name
        for name in batch.own:
            assert same(told.own[name][row, :n], batch.own[name][row, c : c + n]), name
    assert same(after.now_us, before.now_us)


def test_a_whole_crop_leaves_an_event(batch: TrainingBatch) -> None:
    assert (augment(batch, {"crop": 1.0}, rng()).events.lengths >= 1).all()


def test_mask_hides_a_share_and_tells_which(batch: TrainingBatch) -> None:
    told = augment(batch, {"mask": 0.3}, rng())
    hidden, valid = told.masked, batch.events.valid
    share = float(hidden.sum() / valid.sum())
    assert 0.15 < share < 0.45
    fields = told.events.fields
    assert (fields["kind"][hidden] == MASK).all()
    assert not (fields["kind"][~hidden] == MASK).any()
    for name in CODES:
        assert name == "kind" or (fields[name][hidden] == 0).all()
        assert same(fields[name][~hidden], batch.events.fields[name][~hidden])
    for name in NUMBERS:
        assert fields[name][hidden].isnan().all()
        assert same(fields[name][~hidden], batch.events.fields[name][~hidden])
    assert alike(told, batch, but=("masked", *CODES, *NUMBERS))
    assert all((told.own["kind"][hidden] > 0).tolist())


def test_mask_leaves_every_slice_an_event(batch: TrainingBatch) -> None:
    told = augment(batch, {"mask": 1.0}, rng())
    assert ((told.events.valid & ~told.masked).sum(dim=1) == 1).all()


def test_time_warp_stretches_gaps_and_nothing_else(batch: TrainingBatch) -> None:
    told = augment(batch, {"time_warp": 0.5}, rng())
    assert alike(told, batch, but=("us",))
    assert same(told.events.us[:, -1], batch.events.us[:, -1])
    before, after = batch.events.us.diff(dim=1).double(), told.events.us.diff(dim=1).double()
    inside = batch.events.valid[:, 1:]
    assert (after[inside & (before == 0)] == 0).all()
    far = inside & (before > 60e6)
    ratio = (after / before)[far]
    assert float(ratio.min()) < 0.8
    assert float(ratio.max()) > 1.25
    # the factor changes smoothly: neighbours of one slice are alike, the batch is not
    both = far[:, 1:] & far[:, :-1]
    log = (after / before).log()
    assert float((log[:, 1:] - log[:, :-1])[both].abs().mean()) < 0.3 * float(log[far].std())


def test_reorder_shuffles_within_sessions_only(batch: TrainingBatch) -> None:
    told = augment(batch, {"reorder": 1.0}, rng())
    before, after = batch.events, told.events
    assert same(after.us, before.us)
    session = (before.us.diff(dim=1, prepend=before.us[:, :1]) >= SESSION_GAP_US).cumsum(dim=1)
    key = {b: [(int(s), *(round(float(before.fields[n][b, i].nan_to_num(-1)), 4) for n in
               before.fields)) for i, s in enumerate(session[b, : before.lengths[b]])]
           for b in range(len(before))}  # fmt: skip
    moved = 0
    for b, rows in key.items():
        found = [(int(session[b, i]), *(round(float(after.fields[n][b, i].nan_to_num(-1)), 4)
                 for n in after.fields)) for i in range(len(rows))]  # fmt: skip
        assert sorted(found) == sorted(rows)
        moved += found != rows
    assert moved >= 5
    for name in OWN:
        assert same(told.own[name], after.fields[name])


def test_after_reordering_an_event_foretells_the_one_that_follows_it_now(
    batch: TrainingBatch,
) -> None:
    told = augment(batch, {"reorder": 1.0}, rng())
    inside = batch.events.valid[:, 1:]
    for name in OWN:
        assert same(told.next[name][:, :-1][inside], told.own[name][:, 1:][inside])
    last = (batch.events.lengths - 1)[:, None]
    for name in batch.next:
        assert same(told.next[name].gather(1, last), batch.next[name].gather(1, last))
    assert same(told.next["gap_s"], batch.next["gap_s"])


def test_reordering_tells_nothing_that_was_not_known(batch: TrainingBatch) -> None:
    unknown = replace(batch, next={n: torch.zeros_like(v) for n, v in batch.next.items()})
    told = augment(unknown, {"reorder": 1.0}, rng())
    assert not told.next["kind"].any()
    assert not told.next["item"].any()


def test_a_substitute_is_of_the_same_category_and_about_the_same_price(
    batch: TrainingBatch, similar: Similar
) -> None:
    told = augment(batch, {"substitute": 1.0}, rng(), similar)
    items = ITEMS
    old, new = batch.events.fields["item"], told.events.fields["item"]
    changed = old != new
    assert float(changed.sum() / (old > 0).sum()) > 0.5
    assert not changed[old == 0].any()
    a, b = old[changed].numpy() - 1, new[changed].numpy() - 1
    assert (items["category2"][a] == items["category2"][b]).all()
    apart = np.abs(items["price"][a] - items["price"][b])
    assert (apart <= 0.25).all()
    assert (apart > 0).all()
    assert (told.events.fields["brand"][changed].numpy() == items["brand"][b]).all()
    rows = told.events.texts[told.events.fields["text"][changed]].numpy()
    assert (rows == items["texts"][items["text"][b]]).all()
    kept = ("item", "category1", "category2", "category3", "brand", "text")
    assert alike(told, batch, but=kept)
    for name in kept:
        assert same(told.events.fields[name][~changed], batch.events.fields[name][~changed])


def test_items_without_category_or_company_have_no_substitute() -> None:
    items = {**made.items()}
    for level in ("category1", "category2", "category3"):
        items[level] = np.zeros(made.ITEMS, np.int32)
    codes = np.arange(made.ITEMS + 3)
    assert not Similar.of(items).draw(codes, rng()).any()
    unpriced = {**ITEMS, "price": np.where(np.arange(made.ITEMS) == 0, 1.0, np.nan)}
    drawn = Similar.of(unpriced).draw(codes, rng())
    assert drawn[1] == 0
    assert (drawn[2 : made.ITEMS + 1] > 0).all()
    alone = {**made.items(), "category3": np.arange(1, made.ITEMS + 1)}
    assert not Similar.of(alone).draw(codes, rng()).any()
    none = {name: values[:0] for name, values in made.items().items()}
    assert not Similar.of(none).draw(codes, rng()).any()


def test_substituting_needs_similar_items(batch: TrainingBatch) -> None:
    with pytest.raises(ValueError, match="which items are similar"):
        augment(batch, {"substitute": 0.1}, rng())


def test_an_unknown_augmentation_is_refused(batch: TrainingBatch) -> None:
    with pytest.raises(ValueError, match="no augmentation is called 'blur'"):
        augment(batch, {"blur": 0.1}, rng())


def test_masked_events_come_with_their_objective() -> None:
    assert strengths(TrainConfig()) == {}
    assert strengths(TrainConfig(weights={"masked": 1.0})) == {"mask": 0.15}
    assert strengths(TrainConfig(weights={"masked": 1.0}, augment={"mask": 0.4})) == {"mask": 0.4}
    assert strengths(TrainConfig(augment={"crop": 0.2, "mask": 0.0})) == {"crop": 0.2}
