"""The event encoder: what is told changes an encoding, items are known by content, NOW and gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (as torch names it)
from tests.unit.model import made

from shoal.domain.sequence import CODES, NUMBERS
from shoal.model.batch import collate
from shoal.model.config import TOUCH, ModelConfig
from shoal.model.encoder import EventEncoder, ItemEncoder, moments

CONFIG = ModelConfig(d_model=32, heads=2, text_dim=8, table_dim=8)


def encoder(**config):
    torch.manual_seed(0)
    own = replace(CONFIG, **{"touch": TOUCH, **config})
    return EventEncoder(own, made.sizes(), made.TEXT.to_document()).eval()


def item_encoder(**config):
    torch.manual_seed(0)
    return ItemEncoder(replace(CONFIG, **config), made.sizes(), made.TEXT.to_document())


def known_items():
    """Fields of the known items and their texts."""
    told = made.items()
    fields = {name: torch.as_tensor(told[name]).long() for name in CODES if name in told}
    fields["item"] = torch.arange(1, made.ITEMS + 1)
    fields["price"] = torch.as_tensor(told["price"])
    return fields, torch.as_tensor(told["texts"])


def read(net, batch):
    zeros = torch.zeros(len(batch), dtype=torch.int64)
    with torch.no_grad():
        return net(batch, zeros, zeros)[0]


def changed(batch, name, value):
    fields = {**batch.fields, name: batch.fields[name].clone()}
    fields[name][0, 2] = value
    return replace(batch, fields=fields)


@pytest.mark.parametrize("name", [*CODES, *NUMBERS])
def test_every_field_is_told_at_its_event_only(name):
    batch = collate(made.sequences(lengths=[6]), np.arange(1))
    net = encoder()
    some = (0.123, 0.456) if name in NUMBERS else (1, 2)
    one, other = (read(net, changed(batch, name, value)) for value in some)
    moved = (one - other).abs().amax(dim=-1)[0]
    assert moved[2] > 1e-4
    assert moved.count_nonzero() == 1


@pytest.mark.parametrize("name", TOUCH)
def test_where_a_customer_was_met_is_not_told_unless_asked(name):
    batch = collate(made.sequences(lengths=[6]), np.arange(1))
    net = encoder(touch=())
    assert torch.equal(read(net, changed(batch, name, 1)), read(net, changed(batch, name, 2)))


@pytest.mark.parametrize("name", ["quantity", "discount", "rating", "price"])
def test_unknown_is_not_zero(name):
    batch = collate(made.sequences(lengths=[6]), np.arange(1))
    net = encoder()
    one, other = (read(net, changed(batch, name, value)) for value in (0.0, float("nan")))
    assert (one - other).abs().max() > 1e-4


def test_midnight_follows_the_last_hour_and_monday_follows_sunday():
    batch = collate(made.sequences(lengths=[6]), np.arange(1))
    net = encoder()
    for name, period in (("hour", 24.0), ("weekday", 7.0)):
        start, end = (read(net, changed(batch, name, at)) for at in (0.0, period - 1e-4))
        half = read(net, changed(batch, name, period / 2))
        assert (start - end).abs().max() < 1e-3 < (start - half).abs().max()


def test_now_stands_after_the_last_event_and_tells_no_item():
    batch = collate(made.sequences(lengths=[6, 2, 0]), np.arange(3))
    x = read(encoder(), replace(batch, now_us=batch.us[:, -1] + made.DAY_US))
    assert x.shape == (3, 7, 32)
    # NOW a day after an event is the same whatever the event was
    torch.testing.assert_close(x[0, 6], x[1, 2])
    assert (x[0, 6] - x[2, 0]).abs().max() > 1e-4  # without an event there is no gap


def test_moments_and_gaps():
    batch = collate(made.sequences(lengths=[3, 0]), np.arange(2))
    first, second, third = batch.us[0].tolist()
    now = torch.tensor([third + 5_000_000, 77_000_000])
    batch = replace(batch, now_us=now)
    us, gap_s, is_first = moments(batch, torch.tensor([first - 2_000_000, 0]), torch.tensor([4, 0]))
    assert us.tolist() == [[first, second, third, now[0]], [77_000_000] * 4]
    expected = [2.0, (second - first) / 1e6, (third - second) / 1e6, 5.0]
    torch.testing.assert_close(gap_s[0], torch.tensor(expected))
    assert gap_s[1].tolist() == [0.0] * 4
    assert is_first.tolist() == [[False] * 4, [True, False, False, False]]


def test_none_is_zeros_and_stays_so_in_training():
    net = encoder().train()
    batch = collate(made.sequences(lengths=[6, 3]), np.arange(2))
    optimizer = torch.optim.SGD(net.parameters(), 1.0)
    zeros = torch.zeros(2, dtype=torch.int64)
    net(batch, zeros, zeros)[0].square().sum().backward()
    optimizer.step()
    tables = [one for one in net.modules() if isinstance(one, torch.nn.Embedding)]
    assert len(tables) == 1 + 1 + 5 + 2 + 1  # item, kind, content, touch, n-grams
    for table in tables:
        assert not table.weight[0].any()


def test_the_id_of_an_item_is_dropped_in_training_only_and_as_often_as_told():
    fields, texts = known_items()
    many = {name: values.repeat(100) for name, values in fields.items()}
    net = item_encoder(id_dropout=0.3)
    nameless = {**many, "item": torch.zeros_like(many["item"])}
    with torch.no_grad():
        by_content = net.eval()(nameless, texts)
        torch.testing.assert_close(net(many, texts), net(many, texts))
        told = net.train()(many, texts)
    dropped = torch.isclose(told, by_content, atol=1e-5).all(dim=-1).float().mean()
    assert 0.25 < dropped < 0.35


def test_item_vectors_are_those_of_events_with_the_items():
    model = made.tiny_model()
    fields, texts = known_items()
    some = torch.tensor([3, 3, 24, 1])
    with torch.no_grad():
        vectors = model.item_vectors()
        torch.testing.assert_close(vectors, model.encoder.items(fields, texts))
        torch.testing.assert_close(model.item_vectors(some), vectors[some - 1])


def learned(id_dropout):
    """An item encoder that learned to tell vectors which categories and brands have."""
    fields, texts = known_items()
    net = item_encoder(id_dropout=id_dropout).train()
    chance = torch.Generator().manual_seed(5)
    by_category, by_brand = (torch.randn(9, 32, generator=chance) for _ in range(2))
    aim = by_category[fields["category1"]] + by_brand[fields["brand"]]
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(150):
        loss = F.mse_loss(net(fields, texts), aim)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval(), aim


def test_an_unseen_item_of_known_content_is_near_the_same_item_without_its_id():
    fields, texts = known_items()
    unseen = {**fields, "item": torch.full_like(fields["item"], made.ITEMS + 1)}
    nameless = {**fields, "item": torch.zeros_like(fields["item"])}
    net, aim = learned(0.5)
    with torch.no_grad():
        new, content = net(unseen, texts), net(nameless, texts)
    alike = F.cosine_similarity(new[:, None], content[None], dim=-1)
    own = alike.diagonal()
    assert own.min() > 0.9
    # nearer than to items of another category or brand
    others = (aim[:, None] - aim[None]).norm(dim=-1) > 1e-3
    assert (own > torch.where(others, alike, -torch.ones(())).amax(dim=1)).all()


def test_dropping_ids_is_what_lets_content_work_alone():
    fields, texts = known_items()
    unseen = {**fields, "item": torch.full_like(fields["item"], made.ITEMS + 1)}
    errors = []
    for share in (0.0, 0.5):
        net, aim = learned(share)
        with torch.no_grad():
            errors.append(F.mse_loss(net(unseen, texts), aim).item())
    assert errors[1] < 0.5 * errors[0]
