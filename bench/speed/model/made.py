"""Made-up logs and untrained models: what things cost does not depend on what was learned."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import numpy as np

from shoal.domain.kinds import CART_ADD, KINDS, PURCHASE, SEARCH, VIEW
from shoal.domain.sequence import DTYPES, KIND_CODES, NUMBERS, Array, EventSequences
from shoal.features.ngrams import NGrams

ITEMS: Final = 2_000
CATEGORIES: Final = 40
START_US: Final = 1_704_067_200_000_000
DAY_US: Final = 86_400_000_000
PURCHASED: Final = 1 + KINDS.index(PURCHASE)
TEXT: Final = NGrams()

_KINDS: Final = tuple(1 + KINDS.index(kind) for kind in (VIEW, SEARCH, CART_ADD, PURCHASE))
_CODES: Final = {
    "category1": CATEGORIES, "category2": 4 * CATEGORIES, "category3": 1, "brand": 100,
    "price_bucket": 16,
}  # fmt: skip


def sizes() -> dict[str, int]:
    """Rows of each embedding table, as `Tokenizer.sizes`."""
    rest = {"kind": KIND_CODES, "item": 1 + ITEMS + 64, "channel": 4, "device": 4}
    return {**rest, **{name: count + 1 for name, count in _CODES.items()}}


def items() -> dict[str, Array]:
    """Codes, price and texts of the known items, as a model takes them."""
    row = np.arange(ITEMS)
    codes = {name: (1 + row % count).astype(np.int32) for name, count in _CODES.items()}
    titles = [f"item {n} of kind {n % CATEGORIES}" for n in row]
    texts = np.concatenate([np.zeros((1, TEXT.width), np.int32), TEXT.encode(titles)])
    price = np.linspace(0.1, 2.0, ITEMS).astype(np.float32)
    return {**codes, "text": (1 + row).astype(np.int32), "price": price, "texts": texts}


def model(recipe: str = "laptop", **config: Any) -> Any:
    """An untrained model of a recipe for these events."""
    from dataclasses import replace

    import torch

    from shoal.model.behaviour import BehaviourModel
    from shoal.model.config import recipe as recipe_of

    torch.manual_seed(0)
    shape = replace(recipe_of(recipe).model, **config)
    return BehaviourModel(shape, sizes(), items(), TEXT.to_document()).eval()


def sequences(lengths: Array, seed: int) -> EventSequences:
    """Events of customers, sessions of a few events, days apart."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(offsets[-1])
    known = items()
    item = rng.integers(0, ITEMS, n)
    about = rng.random(n) >= 0.1
    fields: dict[str, Array] = {
        name: np.full(n, np.nan if name in NUMBERS else 0, dtype) for name, dtype in DTYPES.items()
    }
    kind = rng.choice(_KINDS, n, p=(0.65, 0.1, 0.15, 0.1))
    fields["kind"][:] = np.where(about, np.where(kind == _KINDS[1], _KINDS[0], kind), _KINDS[1])
    fields["item"][:] = np.where(about, item + 1, 0)
    for name in (*_CODES, "text"):
        fields[name][:] = np.where(about, known[name][item], 0)
    fields["price"][:] = np.where(about, known["price"][item], np.nan)
    fields["channel"][:] = rng.integers(1, 4, n)
    gap = np.where(rng.random(n) < 0.7, 30e6, DAY_US * rng.gamma(1.0, 3.0, n)).astype(np.int64)
    total = np.cumsum(gap)
    first = np.repeat(total[np.minimum(offsets[:-1], max(n - 1, 0))], lengths) if n else total
    fields["us"][:] = START_US + total - first
    fields["hour"][:] = fields["us"] % DAY_US / 3.6e9
    fields["weekday"][:] = fields["us"] % (7 * DAY_US) / DAY_US
    ids = np.array([f"c{row:07d}" for row in range(len(lengths))], dtype=object)
    return EventSequences(ids, offsets, fields, known["texts"])


def ragged(customers: int, mean: float, seed: int) -> Array:
    """(n,) lengths of histories: many short, some long, as in a shop."""
    drawn = np.random.default_rng(seed).lognormal(np.log(mean) - 0.5, 1.0, customers)
    return np.clip(drawn.astype(np.int64), 1, 10_000)


def publish(shop: Any, until: datetime) -> str:
    """Let an untrained model of the recipe `laptop` be a shop's current one; its id."""
    from shoal.domain.time import iso, system_clock
    from shoal.features.tokens import Tokenizer
    from shoal.model import artefact
    from shoal.model.behaviour import BehaviourModel
    from shoal.model.config import recipe as recipe_of

    parts = shop._parts
    tokenizer = Tokenizer.learn(
        parts.engine, parts.admission.at(until).events(), until=until, rules=parts.fold.rules,
        text=TEXT,
    )  # fmt: skip
    known = tokenizer.items
    made = BehaviourModel(
        recipe_of("laptop").model, tokenizer.sizes,
        {**known.codes, "price": known.price, "texts": known.texts}, TEXT.to_document(),
    )  # fmt: skip
    document = {"trained_until": iso(until), "created_at": iso(system_clock())}
    with parts.store.lease():
        model_id = artefact.write(
            parts.registry, made, tokenizer.to_document(), tokenizer.to_arrays(), document, "#\n"
        )
        parts.store.set_pointer(artefact.MAIN, model_id, system_clock())
    return model_id
