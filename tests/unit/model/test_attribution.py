"""What an embedding rests on, for models made so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.unit.model import made

from shoal.domain.kinds import KINDS, PURCHASE
from shoal.domain.sequence import EventSequences
from shoal.model.attribution import FIELDS, attribute
from shoal.model.batch import collate
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import BACKBONES
from shoal.model.embedding import embed

BOUGHT = 1 + KINDS.index(PURCHASE)


def moments(of: EventSequences) -> np.ndarray:
    """A day after each customer's last event."""
    return of.fields["us"][of.offsets[1:] - 1] + made.DAY_US


def with_one_purchase(of: EventSequences, place: int) -> EventSequences:
    """The first customer bought at one place and looked at all others."""
    of.fields["kind"][: of.offsets[1]] = 1
    of.fields["kind"][place] = BOUGHT
    return of


def of_kinds_alone() -> BehaviourModel:
    """A model to which an event is its kind, and only a purchase is anything."""
    model = made.tiny_model()
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weights in model.encoder.named_parameters():
            if not name.startswith("norm"):
                weights.zero_()
        kinds = model.encoder.kind.weight
        kinds[BOUGHT] = torch.randn(kinds.shape[1], generator=drawn)
        # the encoder reads the kind before all else
        project = model.encoder.project.weight
        project[:, : kinds.shape[1]] = torch.randn(len(project), kinds.shape[1], generator=drawn)
    return model


@pytest.mark.parametrize("place", [0, 5, 11])
def test_the_one_event_that_matters_is_found(place: int) -> None:
    sequences = with_one_purchase(made.sequences(lengths=[12]), place)
    found = attribute(of_kinds_alone(), sequences, 0, int(moments(sequences)[0]))
    assert found.occlusion.argmax() == place
    assert found.gradient.argmax() == place
    assert np.delete(found.gradient, place).max() < 1e-6  # the others encode to nothing


def test_fields_that_the_model_does_not_read_move_nothing() -> None:
    sequences = with_one_purchase(made.sequences(lengths=[12]), 5)
    found = attribute(of_kinds_alone(), sequences, 0, int(moments(sequences)[0]))
    assert found.fields["kind"] > 0.01
    for name in ("item", "category", "brand", "price", "text", "channel and device"):
        assert found.fields[name] == 0, name


def test_what_the_model_is_not_given_is_not_asked() -> None:
    sequences = made.sequences(lengths=[9])
    found = attribute(made.tiny_model(touch=()), sequences, 0, int(moments(sequences)[0]))
    assert "channel and device" not in found.fields and "category" in found.fields


def test_hiding_what_an_event_does_not_have_is_not_asked() -> None:
    sequences = made.sequences(lengths=[9])
    sequences.fields["brand"][:] = 0
    sequences.fields["rating"][:] = np.nan
    found = attribute(made.tiny_model(), sequences, 0, int(moments(sequences)[0]))
    assert "brand" not in found.fields and "rating" not in found.fields
    assert set(found.fields) <= set(FIELDS)
    assert found.fields["time"] > 0


@pytest.mark.parametrize("backbone", BACKBONES)
def test_leaving_out_is_what_the_shorter_history_gives(backbone: str) -> None:
    model, sequences = made.tiny_model(backbone), made.sequences(lengths=[7])
    now = moments(sequences)
    found = attribute(model, sequences, 0, int(now[0]))
    assert len(found.occlusion) == len(found.gradient) == 7
    with torch.no_grad():
        whole = model.step(collate(sequences, np.array([0]), now_us=now)).embedding[0]
        for place in range(7):
            fields = {k: np.delete(v, place) for k, v in sequences.fields.items()}
            less = EventSequences(sequences.customers, np.array([0, 6]), fields, sequences.texts)
            moved = model.step(collate(less, np.array([0]), now_us=now)).embedding[0]
            expected = (moved - whole).norm() / whole.norm()
            assert found.occlusion[place] == pytest.approx(float(expected), abs=1e-5)
    assert found.embedding == pytest.approx(whole.double().numpy(), abs=1e-5)


def test_gradients_are_how_fast_the_embedding_moves_as_an_event_fades() -> None:
    model, sequences = made.tiny_model().double(), made.sequences(lengths=[6])
    now = moments(sequences)
    batch = collate(sequences, np.array([0]), now_us=now)
    batch = type(batch)(
        batch.us, batch.lengths, batch.now_us,
        {k: v.double() if v.is_floating_point() else v for k, v in batch.fields.items()},
        batch.texts,
    )  # fmt: skip
    step = 1e-4

    def faded(place: int, by: float) -> torch.Tensor:
        def fade(_module: object, _given: object, told: tuple[torch.Tensor, torch.Tensor]):
            x = told[0].clone()
            x[:, place] *= 1 + by
            return x.double(), told[1]

        handle = model.encoder.register_forward_hook(fade)
        with torch.no_grad():
            z = model.step(batch).embedding[0]
        handle.remove()
        return z / z.norm()

    found = attribute(made.tiny_model(), sequences, 0, int(now[0]))
    for place in range(6):
        slope = (faded(place, step) - faded(place, -step)).norm() / (2 * step)
        assert found.gradient[place] == pytest.approx(float(slope), rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_long_history_is_read_whole_and_its_last_events_are_looked_at(backbone: str) -> None:
    model, sequences = made.tiny_model(backbone), made.sequences(lengths=[40])
    now = int(moments(sequences)[0])
    whole, late = (attribute(model, sequences, 0, now, most=most) for most in (64, 5))
    assert (whole.first, late.first) == (0, 35)
    assert late.embedding == pytest.approx(whole.embedding, abs=1e-5)
    assert late.occlusion == pytest.approx(whole.occlusion[-5:], abs=1e-5)
    assert late.gradient == pytest.approx(whole.gradient[-5:], abs=1e-5)
    assert len(late.occlusion) == 5


def test_of_a_backbone_that_looks_back_so_far_no_earlier_event_is_looked_at() -> None:
    model, sequences = made.tiny_model("bidirectional", context=8), made.sequences(lengths=[40])
    now = int(moments(sequences)[0])
    found = attribute(model, sequences, 0, now)
    assert (found.first, len(found.occlusion)) == (32, 8)
    assert found.embedding == pytest.approx(embed(model, sequences, now)[0], abs=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_customer_of_one_event_rests_on_it(backbone: str) -> None:
    model, sequences = made.tiny_model(backbone), made.sequences(lengths=[1])
    now = moments(sequences)
    found = attribute(model, sequences, 0, int(now[0]))
    with torch.no_grad():
        batch = collate(sequences, np.array([0]), np.array([0]), np.array([0]), now)
        nobody = model.step(batch).embedding[0].double().numpy()
    expected = np.linalg.norm(nobody - found.embedding) / np.linalg.norm(found.embedding)
    assert found.occlusion == pytest.approx([expected], abs=1e-5)


def test_others_of_the_batch_change_nothing() -> None:
    model, sequences = made.tiny_model(), made.sequences(customers=4, length=10)
    row = 2
    alone = sequences.take(np.array([row]))
    now = int(moments(sequences)[row])
    among, single = attribute(model, sequences, row, now), attribute(model, alone, 0, now)
    assert among.occlusion == pytest.approx(single.occlusion, abs=1e-6)
    assert among.fields == pytest.approx(single.fields, abs=1e-6)


def test_the_model_is_left_as_it_was() -> None:
    model, sequences = made.tiny_model(), made.sequences(lengths=[5])
    attribute(model, sequences, 0, int(moments(sequences)[0]))
    assert not model.encoder._forward_hooks
    assert all(one.grad is None for one in model.parameters())


def test_nothing_to_look_at_is_said() -> None:
    sequences = made.sequences(lengths=[3, 0])
    with pytest.raises(ValueError, match="no event"):
        attribute(made.tiny_model(), sequences, 1, made.START_US)
    with pytest.raises(ValueError, match="evaluation mode"):
        attribute(made.tiny_model().train(), sequences, 0, made.START_US)
