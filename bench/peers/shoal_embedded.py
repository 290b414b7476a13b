"""Shoal's segments on the embedding of its behaviour model: the model, and who belongs where.

A model is trained once a log, moment and seed, in a copy of the log's shop that stays beside the
log; all entries and both benches take it from there. It is trained by a number of steps and on one
thread, so that a run repeats to the last bit on the same machine whatever else it does.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.harness.data import Source
from bench.harness.run import code_hash
from bench.harness.splits import refuse_later
from bench.peers.base import Labels, Matrix
from bench.peers.shoal_ import ShoalFrozen

RECIPE = "laptop"
#: Where models are trained. On `cuda` a run does not repeat to the last bit, and rows say so.
DEVICE = os.environ.get("SHOAL_BENCH_DEVICE", "cpu")
#: How often a training sees an event, on average; how many it sees a step with that recipe; and
#: the least and the most steps that follow. On world steady, seed 1 (1,500 customers, 24,000 events
#: before the first cut; three cuts), 150 steps gave an adjusted Rand index of 0.34 on the embedding
#: and 0.51 on both, 400 steps 0.31 and 0.51. The most is what a run may cost.
PASSES, EVENTS_A_STEP, STEPS = 10, 2_048, (150, 250)
#: What a trained model depends on beside its data and settings.
CODE = (
    "src/shoal/model", "src/shoal/features", "src/shoal/domain/sequence.py",
    "src/shoal/workflows/train.py", "src/shoal/workflows/train_call.py",
    "src/shoal/workflows/train_data.py", "src/shoal/workflows/train_fit.py",
)  # fmt: skip
#: What entries depend on beside: embedding, and learning from it.
ENTRY_CODE = (
    *CODE, "bench/peers/shoal_embedded.py", "src/shoal/segments",
    "src/shoal/workflows/embed.py", "src/shoal/workflows/embedded.py",
    "src/shoal/workflows/segment_learn.py",
)  # fmt: skip
#: Seconds that training and the rest of an entry may take on a busy machine.
TIMEOUT_S = 3_600.0


def steps_of(events: int) -> int:
    """Optimizer steps for a log of so many events.

    >>> steps_of(1_000), steps_of(40_960), steps_of(1_000_000)
    (150, 200, 250)
    """
    least, most = STEPS
    return min(most, max(least, math.ceil(PASSES * events / EVENTS_A_STEP)))


def one_thread() -> None:
    """Let the model compute on one thread; numerical libraries are held to one before they load."""
    import torch

    torch.set_num_threads(1)


@dataclass(frozen=True)
class Trained:
    """A shop with a model: not to be written to, but in a copy."""

    shop: Path
    model_id: str
    trained_until: datetime
    facts: Mapping[str, Any]


def trained(source: Source, until: datetime, *, seed: int) -> Trained:
    """The log's shop with a model of what lies before `until`, made or found beside the log.

    Raises:
        LeakError: the model says that it was trained on later events.
    """
    steps = steps_of(source.events_between(source.start, until))
    name = f"{until:%Y%m%dT%H%M%S}-{seed}-{RECIPE}-{steps}-{_code()}"
    if DEVICE != "cpu":
        name += f"-{DEVICE}"
    folder = source.folder / "models" / name
    if not (folder / "made.json").exists():
        _train(source, until, steps, seed, folder)
    facts = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    ends = datetime.fromisoformat(facts["trained_until"])
    refuse_later(ends, until, "Shoal's model")
    return Trained(folder / "shop", facts["model_id"], ends, facts)


@cache
def _code() -> str:
    """Of the code as this process loaded it."""
    return code_hash(*CODE)


def _train(source: Source, until: datetime, steps: int, seed: int, folder: Path) -> None:
    import shoal

    one_thread()
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with shoal.open(source.copy_shop(part / "shop")) as shop:
        made = shop.train(recipe=RECIPE, until=until, steps=steps, seed=seed, device=DEVICE)
    fit = made.document["fit"]
    facts = {
        "model_id": made.model_id, "recipe": RECIPE, "steps": fit["steps"],
        "best_step": fit["best_step"], "stopped": fit["stopped"], "seconds": fit["seconds"],
        "events_per_s": fit["events_per_s"], "parameters": made.document["parameters"],
        "loss": fit["losses"].get("total"), "trained_until": made.document["trained_until"],
        "device": DEVICE,
    }  # fmt: skip
    (part / "made.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    try:
        part.replace(folder)
    except OSError:  # another process was quicker: its model is the same
        shutil.rmtree(part, ignore_errors=True)


class Lab:
    """A log at many moments by one model: read once a moment, learned from as often as wanted.

    `shop.segment` and `shop.memberships` read a shop anew for every segmentation; here all entries
    share what was read, and learning from customers drawn again costs the learning alone. The parts
    are those that the verbs themselves use.
    """

    def __init__(self, source: Source, until: datetime, seed: int) -> None:
        import shoal
        from shoal.features import reference
        from shoal.segments.inputs import EMBEDDING
        from shoal.workflows.embedded import in_use

        one_thread()
        self.made = trained(source, until, seed=seed)
        self.until = until
        self._shop = shoal.open(self.made.shop)
        parts = self._parts = self._shop._parts
        self._model = in_use(parts.store, parts.registry, parts.fold, EMBEDDING)[1]
        if self._model is None or self._model.model_id != self.made.model_id:
            raise RuntimeError(f"the shop's model is not {self.made.model_id}")
        self._past: dict[datetime, Any] = {}
        self._known: dict[datetime, Any] = {}
        counted = parts.admission.at(until)
        self._items = reference.build(
            counted.engine, counted.events(), until, parts.fold.rules.noise
        )

    def known(self, moment: datetime) -> Any:
        """`shoal.workflows.segment_learn.Known`, with items as they were frozen at `until`.

        Raises:
            LeakError: the model was trained on events at or after the moment.
        """
        refuse_later(self.made.trained_until, moment, "Shoal's model")
        if moment not in self._known:
            learner = self._learner("embedding", 0, 0)
            self._known[moment] = learner.known(moment, learner.admitted(moment), self._items)
        return self._known[moment]

    def learned(self, on: str, k: int, seed: int, moment: datetime) -> tuple[Any, Any]:
        """The segmenter, and the vocabulary that it reads tastes by.

        Args:
            on: `embedding` or `both`.
            k: 0 lets Shoal choose.
        """
        known, learner = self.known(moment), self._learner(on, k, seed)
        vocabulary = learner.vocabulary(known)
        [(segmenter, _)] = learner.learn(known, vocabulary, ("kmeans",))
        return segmenter, vocabulary

    def close(self) -> None:
        """Release the shop."""
        self._shop.close()

    def _learner(self, on: str, k: int, seed: int) -> Any:
        from shoal.workflows.segment_learn import Learner

        parts = self._parts
        return Learner(
            parts.fold, self._shop.zone, parts.admission, self._shop.config.segment, k, seed,
            past=self._past, on=on, model=self._model,
        )  # fmt: skip


def relearned(
    segmenter: Any, table: pa.Table, customers: npt.NDArray[Any], drawn: Labels | None,
    *, k: int, seed: int,
) -> Labels:  # fmt: skip
    """Labels of customers by a segmenter of the same columns, learned with another k or seed, or
    from customers drawn again.

    Args:
        table: what it reads of everybody.
        customers: who is labelled; `drawn` are places among them. None: everybody is learned from.
    """
    from shoal.segments.clustered import ClusterSegmenter
    from shoal.segments.methods.registry import Options, make
    from shoal.segments.methods.staged import Staged

    rows = pc.index_in(
        pa.array(list(customers), pa.string()), table["customer_id"].combine_chunks()
    )
    own, model = table.take(rows), segmenter
    if (k, seed) != (model.k, model.seed) or drawn is not None:
        again = ClusterSegmenter(
            model.columns, k, minimum_events=model.minimum_events,
            preparation=model.preparation, seed=seed, outlook=_same(model.outlook),
        )  # fmt: skip
        learned = table if drawn is None else own.take(pa.array(drawn))
        Z = again.prepare(learned)
        if isinstance(model.clusterer, Staged):
            styles = len(model.clusterer.base.centers)
            again.clusterer = Staged(make(model.method, styles, Options()), k, again.width)
        model = again.cluster(Z)
    return np.asarray(model.predict(own), np.int64)


def _same(outlook: Any) -> Any:
    """The same head and share, to be fitted to other customers."""
    from shoal.segments.outlook import Outlook

    return None if outlook is None else Outlook(outlook.head, outlook.share)


class ShoalEmbedded(ShoalFrozen):
    """`shop.train(until=T)` and `shop.segment(on=..., until=T)` once; memberships of later moments.

    Args:
        on: `embedding` or `both`.
        choose: let Shoal choose the number of segments, whatever k is asked for.
        refit: `first`, or a span such as `28d`: segments are learned anew, the model stays.
    """

    name = "shoal-embedding"

    def __init__(self, on: str = "embedding", choose: bool = False, refit: str = "first") -> None:
        super().__init__(choose)
        self.on, self.refit = on, refit

    def open(self, source: Source, folder: Path) -> Self:
        """Work on a copy of the source's shop in `folder`, which `fit_at` makes."""
        self._source, self._folder = source, folder
        return self

    def fit_at(self, until: datetime, k: int, seed: int) -> Self:
        """Train on what was known before `until` and segment on that."""
        import shoal

        made = self._made = trained(self._source, until, seed=seed)
        self._k, self._seed, self._until = k, seed, until
        shutil.copytree(made.shop, self._folder / "shop")
        self._shop = shoal.open(self._folder / "shop")
        found = self._shop.segment(
            on=self.on, until=until, k=0 if self.choose else k, seed=seed
        ).documents[0]
        if (found["on"], found["model_id"]) != (self.on, made.model_id):
            raise RuntimeError(f"segmented on {found['on']} of {found['model_id']}")
        return self

    def predict_at(self, as_of: datetime) -> tuple[npt.NDArray[Any], Labels, Matrix | None]:
        """Memberships at a moment, by the model and the segments of `fit_at`."""
        one_thread()
        refuse_later(self._made.trained_until, as_of, self.name)
        return super().predict_at(as_of)
