"""What runs in a process of its own: one variant on one world, trained, and how it does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.harness import data
from bench.model.variants import VARIANTS
from bench.track.truth import Truth

Array = npt.NDArray[Any]

#: The period that embeddings are asked to foretell; models are trained on what lies before it.
HORIZON_DAYS = 28
#: Customers with fewer events have no place among the segments.
FEWEST_EVENTS = 3
#: Time is told in processor seconds, which what else the machine does changes less.
Watch = Callable[[], Callable[[], float]]


def processor_watch() -> Callable[[], float]:
    """Seconds of this process's processor time since this call."""
    started = time.process_time()
    return lambda: time.process_time() - started


def train(variant: str, world: dict[str, Any], seed: int, steps: int) -> dict[str, Any]:
    """Train a variant until T - H for some steps; its figures at T - H."""
    import torch

    torch.set_num_threads(1)
    lab = _lab(data.WorldSpec(**{**world, "dials": tuple(world["dials"])}))
    told = VARIANTS[variant].settings(seed)
    train = replace(told.train, minutes=0.0, steps=steps, patience=10**6, checkpoint_minutes=1e6)
    embeddings, log, parameters = lab.trained(replace(told, train=train), VARIANTS[variant].events)
    return {
        "figures": lab.scores(embeddings, told.model.traits_dim),
        "parameters": parameters,
        "steps": log["steps"],
        "events": log["events"],
        "seconds_trained": log["seconds"],
        "losses": log["losses"],
    }


class Lab:
    """A world at T - H: sequences, the planted truth, and what came within H."""

    def __init__(self, spec: data.WorldSpec) -> None:
        import shoal
        from shoal.domain.time import to_us
        from shoal.features.ngrams import NGrams
        from shoal.features.sequences import read_sequences
        from shoal.features.tokens import Tokenizer

        self.source = data.world(spec)
        self.moment = self.source.end - timedelta(days=HORIZON_DAYS)
        self.moment_us = to_us(self.moment)
        parts = shoal.open(self.source.shop_dir)._parts
        self.rules = parts.fold.rules
        counted = parts.admission.at(self.moment)
        self.tokenizer = Tokenizer.learn(
            parts.engine, counted.events(), until=self.moment, rules=self.rules, text=NGrams()
        )
        (self.known,) = read_sequences(counted, self.tokenizer, self.rules, as_of=self.moment)
        (after,) = read_sequences(
            parts.admission.at(self.source.end), self.tokenizer, self.rules,
            as_of=self.source.end, since=self.moment,
        )  # fmt: skip
        self._outcomes(after)

    def _outcomes(self, after: Any) -> None:
        from shoal.domain.kinds import KINDS

        place = {name: row for row, name in enumerate(after.customers)}
        rows = np.array([place.get(name, -1) for name in self.known.customers])
        bought = after.fields["kind"] == 1 + KINDS.index(self.rules.value_event)
        orders = np.add.reduceat(bought, after.offsets[:-1])
        self.active = rows >= 0
        self.ordered = self.active & (orders[rows] > 0)

    def trained(self, settings: Any, share: float) -> tuple[Array, dict[str, Any], int]:
        """Embeddings of all known customers at the moment, the log, and the parameters."""
        import torch

        from shoal.domain.kinds import KINDS
        from shoal.model.behaviour import BehaviourModel
        from shoal.model.train import fit

        tokenizer, config = self.tokenizer, settings.train
        torch.manual_seed(config.seed)
        items = {**tokenizer.items.codes, "price": tokenizer.items.price,
                 "texts": tokenizer.items.texts}  # fmt: skip
        model = BehaviourModel(settings.model, tokenizer.sizes, items, tokenizer.text.to_document())
        drawn = np.random.default_rng(config.seed).permutation(len(self.known))
        learned = self.known.take(np.sort(drawn[: max(1, round(share * len(drawn)))]))
        with tempfile.TemporaryDirectory() as directory:
            log = fit(
                model, learned, config=config, sizes=tokenizer.sizes,
                item_counts=tokenizer.items.counts, until_us=self.moment_us,
                value_kind=1 + KINDS.index(self.rules.value_event), directory=Path(directory),
                watch=processor_watch,
            )  # fmt: skip
        return self.embedded(model), log.as_document(), model.parameters_count

    def embedded(self, model: Any) -> Array:
        """(n, e) embeddings of all known customers at the moment."""
        from shoal.model.embedding import embed

        return embed(model, self.known, self.moment_us)

    def scores(self, Z: Array, traits: int) -> dict[str, float]:
        """Agreement with the planted segments, and linear probes of them and of what came.

        Args:
            Z: (n, e) embeddings.
            traits: dimensions that tell traits; segments are made on them.
        """
        planted = Truth(self.source).at(self.moment)
        names = np.array([planted.get(name, "") for name in self.known.customers])
        rows = (self.known.lengths >= FEWEST_EVENTS) & (names != "")
        spread = np.linalg.svd(Z - Z.mean(axis=0), compute_uv=False)
        share = spread[spread > 0] / spread.sum()
        return {
            **_clustered(Z[rows, :traits], names[rows]),
            "ari_whole": _clustered(Z[rows], names[rows])["ari"],
            "segment_probe": _accuracy(Z[rows], names[rows]),
            "active_auroc": _auroc(Z, self.active),
            "orders_auroc": _auroc(Z, self.ordered),
            "rank": float(np.exp(-(share * np.log(share)).sum())),
        }


@lru_cache(maxsize=1)
def _lab(spec: data.WorldSpec) -> Lab:
    return Lab(spec)


def _clustered(Z: Array, names: Array) -> dict[str, float]:
    """k-means told the planted k: adjusted Rand index and accuracy, mean of three starts."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    known, planted = np.unique(names, return_inverse=True)
    k, agreed, right = len(known), [], []
    for start in range(3):
        labels = KMeans(k, n_init=5, random_state=start).fit_predict(Z)
        together = np.zeros((k, k))
        np.add.at(together, (labels, planted), 1)
        pairs = linear_sum_assignment(-together)
        agreed.append(adjusted_rand_score(planted, labels))
        right.append(together[pairs].sum() / len(names))
    return {"ari": float(np.mean(agreed)), "accuracy": float(np.mean(right))}


def _accuracy(Z: Array, names: Array) -> float:
    from sklearn.linear_model import LogisticRegression

    return float((_foretold(LogisticRegression(max_iter=500), Z, names) == names).mean())


def _auroc(Z: Array, outcome: Array) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    model = LogisticRegression(max_iter=500, C=0.1)
    chance = _foretold(model, Z, outcome, method="predict_proba")[:, 1]
    return float(roc_auc_score(outcome, chance))


def _foretold(model: Any, Z: Array, y: Array, method: str = "predict") -> Array:
    """Of each customer by a model that was fitted on others: three folds."""
    from sklearn.model_selection import cross_val_predict
    from sklearn.preprocessing import StandardScaler

    return cross_val_predict(model, StandardScaler().fit_transform(Z), y, cv=3, method=method)
