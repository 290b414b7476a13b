"""`python -m bench.choice`: how often is the planted number of segments found?

    python -m bench.choice --quick      two data sets a difficulty, writes nothing
    python -m bench.choice              thirty data sets a difficulty

Customers lie in Gaussian clouds of unequal size and shape, at two moments, and do in the next
period what their segment does. Every rule chooses among the same numbers; Shoal sees what was known
a period before and what came, which is what it chooses by, the others see the moment alone, which
is all that they can use. Writes choice.json and choice.md to docs/results.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.harness.results import RESULTS, header, machine_line, table, write
from shoal.segments.choose import choose
from shoal.segments.judge import Future

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

CUSTOMERS, DIMENSIONS = 1_500, 8
PLANTED = tuple(range(3, 10))
KS = tuple(range(2, 13))
#: Standard deviation of the clouds' centres, in deviations of a cloud.
DIFFICULTIES: Mapping[str, float] = {"easy": 2.2, "overlapping": 1.5, "hard": 1.1}
#: Data sets of the seeds before were used while the rule was written.
FIRST_SEED = 100
#: What the figures say, written by hand.
_NOTES = Path(__file__).with_name("choice_notes.md")


@dataclass(frozen=True)
class Planted:
    """Customers `now` and a period `before`, where each belongs, and what came in between."""

    now: Matrix
    before: Matrix
    segment: Labels
    future: Future
    bayes: float


def planted(difficulty: str, seed: int) -> Planted:
    """A data set; the same for the same seed."""
    rng = np.random.default_rng([seed, list(DIFFICULTIES).index(difficulty)])
    k = int(rng.choice(PLANTED))
    sizes = rng.dirichlet(np.full(k, 5.0))
    segment = rng.choice(k, CUSTOMERS, p=sizes).astype(np.int64)
    centers = rng.normal(scale=DIFFICULTIES[difficulty], size=(k, DIMENSIONS))
    shapes = [_shape(rng) for _ in range(k)]
    now, before = (
        centers[segment] + np.stack([shapes[one] @ rng.normal(size=DIMENSIONS) for one in segment])
        for _ in range(2)
    )
    rate, active = rng.gamma(1.0, 1.0, k), rng.uniform(0.2, 0.95, k)
    basket = rng.lognormal(3.0, 0.6, k)
    mixes = rng.dirichlet(np.full(6, 0.7), k)
    is_active = (rng.random(CUSTOMERS) < active[segment]).astype(float)
    orders = is_active * rng.poisson(rate[segment])
    spend = orders * basket[segment] * rng.lognormal(0, 0.5, CUSTOMERS)
    taken = np.stack([
        rng.multinomial(rng.poisson(5) if on else 0, mixes[one])
        for one, on in zip(segment, is_active, strict=True)
    ]).astype(float)  # fmt: skip
    future = Future(before, 28, is_active, orders, spend, taken)
    return Planted(now, before, segment, future, _bayes(now, segment, centers, shapes, sizes))


def _shape(rng: np.random.Generator) -> Matrix:
    """A random rotation with deviations between 0.6 and 1.4."""
    turn, _ = np.linalg.qr(rng.normal(size=(DIMENSIONS, DIMENSIONS)))
    return np.asarray(turn * rng.uniform(0.6, 1.4, DIMENSIONS))


def _bayes(
    X: Matrix, segment: Labels, centers: Matrix, shapes: Sequence[Matrix], sizes: Matrix
) -> float:
    """The share that the rule of Bayes with the true clouds gets wrong."""
    from scipy.stats import multivariate_normal

    told = np.column_stack([
        np.log(size) + multivariate_normal(center, shape @ shape.T).logpdf(X)
        for center, shape, size in zip(centers, shapes, sizes, strict=True)
    ])  # fmt: skip
    return float(np.mean(told.argmax(axis=1) != segment))


# --- Rules ----------------------------------------------------------------------------------------


def _kmeans(X: Matrix, k: int, seed: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(k, n_init=10, random_state=seed).fit(X)


def by_index(name: str) -> Callable[[Planted, int], int]:
    """The k whose k-means has the best silhouette, or Calinski-Harabasz index."""

    def rule(data: Planted, seed: int) -> int:
        from sklearn import metrics

        score = getattr(metrics, name)
        return max(KS, key=lambda k: score(data.now, _kmeans(data.now, k, seed).labels_))

    return rule


def by_bic(data: Planted, seed: int) -> int:
    """The mixture of full Gaussians with the least BIC (Schwarz, 1978)."""
    from sklearn.mixture import GaussianMixture

    return min(
        KS,
        key=lambda k: GaussianMixture(k, n_init=3, random_state=seed).fit(data.now).bic(data.now),
    )


def by_gap(data: Planted, seed: int, references: int = 10) -> int:
    """The gap statistic with references in the box of principal components, and the rule of one
    standard error (Tibshirani, Walther and Hastie, 2001)."""
    X = data.now - data.now.mean(axis=0)
    axes = np.linalg.svd(X, full_matrices=False)[2]
    turned, rng = X @ axes.T, np.random.default_rng(seed)
    low, high = turned.min(axis=0), turned.max(axis=0)
    drawn = [rng.uniform(low, high, X.shape) @ axes for _ in range(references)]
    gaps, errors = [], []
    for k in (*KS, KS[-1] + 1):
        logs = np.array([np.log(_kmeans(one, k, seed).inertia_) for one in drawn])
        gaps.append(logs.mean() - np.log(_kmeans(X, k, seed).inertia_))
        errors.append(logs.std() * np.sqrt(1 + 1 / references))
    for place, k in enumerate(KS):
        if gaps[place] >= gaps[place + 1] - errors[place + 1]:
            return k
    return KS[-1]


def by_shoal(data: Planted, seed: int) -> int:
    """`shoal.segments.choose`: what membership foretells, among what comes back."""
    return choose(data.now, KS, seed=seed, future=data.future).chosen


def by_shoal_alone(data: Planted, seed: int) -> int:
    """The same without a next period: stability alone."""
    return choose(data.now, KS, seed=seed).chosen


RULES: Mapping[str, tuple[str, Callable[[Planted, int], int]]] = {
    "shoal": ("**Shoal**", by_shoal),
    "shoal-alone": ("Shoal without a next period", by_shoal_alone),
    "silhouette": ("silhouette", by_index("silhouette_score")),
    "calinski-harabasz": ("Calinski-Harabasz", by_index("calinski_harabasz_score")),
    "bic": ("mixture by BIC", by_bic),
    "gap": ("gap statistic", by_gap),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="bench.choice", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sets", type=int, default=30, help="data sets a difficulty")
    options = parser.parse_args(arguments)
    count = 2 if options.quick else options.sets
    rows = [
        _row(difficulty, FIRST_SEED + number)
        for difficulty in DIFFICULTIES
        for number in range(count)
    ]
    seeds = [FIRST_SEED, FIRST_SEED + count - 1]
    document = header("bench.choice/1", "bench.choice", seeds, rows=rows)
    print(page(document))
    if not options.quick:
        write("choice", document, page(document), RESULTS)
    return 0


def _row(difficulty: str, seed: int) -> dict[str, Any]:
    data = planted(difficulty, seed)
    row: dict[str, Any] = {
        "difficulty": difficulty, "seed": seed, "planted": len(np.unique(data.segment)),
        "bayes": round(data.bayes, 4),
    }  # fmt: skip
    for name, (_, rule) in RULES.items():
        started = time.process_time()
        row[name] = int(rule(data, seed))
        row[f"{name}_s"] = round(time.process_time() - started, 2)
    sys.stderr.write(f"  {difficulty} {seed}: {row['planted']} planted; "
                     + ", ".join(f"{name} {row[name]}" for name in RULES) + "\n")  # fmt: skip
    return row


def page(document: Mapping[str, Any]) -> str:
    """The page of docs/results/choice.md."""
    rows = document["rows"]
    first, last = document["seeds"][0], document["seeds"][-1]
    how = (
        f"{CUSTOMERS:,} customers in {DIMENSIONS} dimensions, {PLANTED[0]} to {PLANTED[-1]} "
        "planted segments as Gaussian clouds of unequal size and shape; every rule chooses among "
        f"{KS[0]} to {KS[-1]}. Shoal sees a period of outcomes (activity, orders, spend, mix of "
        "categories) that segments differ in; the other rules look at the customers alone. "
        "`exact` is the share of data sets whose planted number was found, `within 1` at most one "
        "off, `bias` the mean of found less planted, `seconds` of processor time a data set."
    )
    command = (
        f"`{document['command']}`, data sets of seeds {first} to {last} a difficulty. "
        f"{machine_line(document['machine'])}"
    )
    parts = ["# How many segments", command, how]
    head = ["rule", "exact", "within 1", "bias", "seconds"]
    for difficulty in dict.fromkeys(row["difficulty"] for row in rows):
        own = [row for row in rows if row["difficulty"] == difficulty]
        wrong = np.mean([row["bayes"] for row in own])
        parts.append(
            f"## {difficulty.capitalize()}: {len(own)} data sets, the rule of Bayes errs in "
            f"{wrong:.1%}\n\n" + table(head, [_told(own, name) for name in RULES])
        )
    parts.append(_NOTES.read_text(encoding="utf-8").strip())
    return "\n\n".join(parts) + "\n"


def _told(rows: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    off = np.array([row[name] - row["planted"] for row in rows])
    seconds = np.mean([row[f"{name}_s"] for row in rows])
    return [
        RULES[name][0], f"{np.mean(off == 0):.0%}", f"{np.mean(abs(off) <= 1):.0%}",
        f"{off.mean():+.1f}", f"{seconds:.1f}",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
