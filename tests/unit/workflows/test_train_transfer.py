"""Weights for another vocabulary: known names keep their rows, new ones begin as they were read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from shoal.domain.errors import UsageError
from shoal.domain.sequence import KIND_CODES
from shoal.features.ngrams import NGrams
from shoal.features.tokens import ItemTable, Tokenizer
from shoal.features.vocabulary import Names
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import ModelConfig, TrainConfig
from shoal.model.objectives import make
from shoal.model.transfer import TABLES, fitting
from shoal.workflows.train_transfer import price_rows, rows_of, transfer

SHAPE = ModelConfig(d_model=8, heads=2, kv_dim=4, embedding_dim=4, text_dim=4, window=4)
OLD = ("a", "b", "c")
NEW = ("c", "new", "a")


def tokenizer(items: tuple[str, ...], edges: tuple[float, ...] = (0.5, 1.0)) -> Tokenizer:
    """Vocabularies of some items and little else."""
    names = {"item": Names(items, 4)}
    few = ("category1", "category2", "category3", "brand", "channel", "device")
    names |= {name: Names(("x",), 2) for name in few}
    n = len(items)
    codes = {
        name: np.ones(n, np.int32)
        for name in ("category1", "category2", "category3", "brand", "price_bucket", "text")
    }
    text = NGrams(buckets=50, width=4)
    table = ItemTable(
        items, codes, np.zeros(n, np.float32), np.full(n, 5), text.encode(["", "lamp"])
    )
    return Tokenizer(names, 1e6, np.array(edges), table, ("lamp",) * n, text)


def model(of: Tokenizer, seed: int, shape: ModelConfig = SHAPE) -> BehaviourModel:
    torch.manual_seed(seed)
    items = {**of.items.codes, "price": of.items.price, "texts": of.items.texts}
    return BehaviourModel(shape, {**of.sizes, "kind": KIND_CODES}, items, of.text.to_document())


def test_names_keep_their_rows_and_new_ones_begin_with_their_bucket() -> None:
    old, new = tokenizer(OLD), tokenizer(NEW)
    before = model(old, 0).state_dict()
    after = transfer(old, new, before, model(new, 1))
    was, now = before[TABLES["item"]], after[TABLES["item"]]
    for name in ("a", "c"):
        assert torch.equal(now[1 + NEW.index(name)], was[1 + OLD.index(name)])
    bucket = int(old.names["item"].codes(pa.array(["new"]))[0])
    assert bucket > len(OLD)
    assert torch.equal(now[1 + NEW.index("new")], was[bucket])
    assert torch.equal(now[1 + len(NEW) :], was[1 + len(OLD) :])
    rest = before.keys() - set(TABLES.values())
    assert all(torch.equal(before[name], after[name]) for name in rest)
    model(new, 2).load_state_dict(after)


def test_the_same_vocabulary_changes_nothing() -> None:
    old = tokenizer(OLD)
    before = model(old, 0).state_dict()
    after = transfer(old, old, before, model(old, 1))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_fewer_buckets_and_more() -> None:
    assert rows_of(Names(("a",), 2), Names(("a",), 4)).tolist() == [0, 1, 2, 3, 2, 3]
    assert rows_of(Names(("a", "b"), 4), Names(("b",), 2)).tolist() == [0, 2, 3, 4]


def test_classes_of_price_are_those_in_which_their_middle_lies() -> None:
    old, same = tokenizer(OLD, (0.5, 1.0)), tokenizer(OLD, (0.5, 1.0))
    assert price_rows(old, same).tolist() == [0, 1, 2, 3]
    finer = tokenizer(OLD, (0.25, 0.5, 1.0))
    assert price_rows(old, finer).tolist() == [0, 1, 1, 2, 3]
    # prices doubled: what is the middle class now was the dearest then
    dearer = replace(same, price_median=2e6)
    assert price_rows(old, dearer).tolist() == [0, 2, 3, 3]
    assert price_rows(old, tokenizer(OLD, ())).tolist() == [0, 1]


def test_texts_told_otherwise_are_learned_anew() -> None:
    old, new = tokenizer(OLD), replace(tokenizer(OLD), text=NGrams(buckets=50, width=3))
    before, fresh = model(old, 0).state_dict(), model(new, 1)
    after = transfer(old, new, before, fresh)
    texts = [name for name in before if name.startswith("encoder.items.text.")]
    assert texts
    assert all(torch.equal(after[name], fresh.state_dict()[name]) for name in texts)


def test_another_shape_is_refused() -> None:
    old = tokenizer(OLD)
    wider = model(old, 0, replace(SHAPE, d_model=16)).state_dict()
    with pytest.raises(UsageError, match="another shape") as told:
        transfer(old, old, wider, model(old, 1))
    assert told.value.code == "model_mismatch"
    deeper = model(old, 0, replace(SHAPE, layers=3))
    with pytest.raises(UsageError, match=r"log_tau is \(2, 8\) there and \(3, 8\) here"):
        transfer(old, old, model(old, 0).state_dict(), deeper)
    attentive = model(old, 0, replace(SHAPE, backbone="recurrence"))
    with pytest.raises(UsageError, match="is absent there"):
        transfer(old, old, model(old, 0).state_dict(), attentive)


def test_heads_are_kept_where_they_fit() -> None:
    sizes = {**tokenizer(OLD).sizes, "kind": KIND_CODES}
    train = TrainConfig()
    heads = make(train.weights, SHAPE, sizes, np.ones(3), train.objective).state_dict()
    assert fitting(heads, SHAPE, train, sizes, np.ones(3)) is heads
    more = {**sizes, "category1": sizes["category1"] + 1}
    assert fitting(heads, SHAPE, train, more, np.ones(3)) is None
    alone = replace(train, weights={"horizon": 1.0})
    assert fitting(heads, SHAPE, alone, sizes, np.ones(3)) is None
