"""What segments say of who customers are, which no log holds: age, gender, occupation of MovieLens.

The users of MovieLens-100K have told their age, gender and occupation. Segments are learned from
their ratings alone (when, of what, how good; each film has the rarest of its genres as category)
and then laid beside these labels. There is no period to foretell: methods that learn from an
outcome are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.harness import data
from bench.harness.results import machine, spread
from bench.harness.run import Unit, code_hash, run, say
from bench.harness.source import Source
from bench.harness.splits import horizon
from bench.segments.agreement import FOLDS, SHUFFLES, auc, balanced, by_chance, figures, folds
from bench.segments.embedded import ON
from bench.segments.peers import AIMS, METHODS, PLANTED, Method
from bench.segments.sets import WORLD_HORIZON_DAYS, Log, Opened
from bench.segments.unit import _fits, customers_of, inputs, packed, unpacked

Labels = npt.NDArray[np.int64]
Texts = npt.NDArray[Any]

SET = "movielens_100k"
#: The bands that GroupLens' later sets tell ages in: under 18, 18-24, 25-34, ..., 56 and more.
AGES = (18, 25, 35, 45, 50, 56)
ALL_FEATURES = "all-features"
_DEPENDS = (
    "bench/segments/unit.py", "bench/segments/peers.py", "bench/peers", "src/shoal/segments",
    "src/shoal/features", "src/shoal/heads", "src/shoal/workflows/segment_learn.py",
    "src/shoal/workflows/segment_outlook.py",
)  # fmt: skip


# --- The set --------------------------------------------------------------------------------------


def genre_of(items: pa.Table) -> dict[int, str]:
    """The genre of each film that fewest films have; of equally rare ones the first by name."""
    names = sorted(name for name in items.column_names if name.startswith("genre_"))
    has = np.column_stack([np.asarray(items[name].to_numpy(), bool) for name in names])
    rank = np.argsort(np.argsort(has.sum(axis=0), kind="stable"), kind="stable")
    rarest = np.where(has, rank, len(names)).argmin(axis=1)
    films = items["item_id"].to_pylist()
    return {
        film: names[place].removeprefix("genre_")
        for film, place, some in zip(films, rarest.tolist(), has.any(axis=1), strict=True)
        if some
    }


def events_of(ratings: pa.Table, items: pa.Table) -> pa.Table:
    """Ratings as reviews in canonical columns, with the film's genre as category."""
    genre = genre_of(items)
    films = ratings["item_id"].to_pylist()
    return pa.table(
        {
            "customer_id": pc.cast(ratings["user_id"], pa.string()),
            "kind": pa.array(["review"] * ratings.num_rows),
            "event_time": pc.cast(ratings["timestamp"], pa.timestamp("us", tz="UTC")),
            "item_id": pc.cast(ratings["item_id"], pa.string()),
            "category": pa.array([genre.get(film) for film in films], pa.string()),
            "rating": pc.cast(ratings["rating"], pa.float64()),
        }
    )


def known_of(users: pa.Table) -> dict[str, dict[str, str]]:
    """Of each label the value by user."""
    ids = [str(one) for one in users["user_id"].to_pylist()]
    bands = np.searchsorted(AGES, users["age"].to_numpy(), side="right")
    values = {
        "age": [str(band) for band in bands.tolist()],
        "gender": users["gender"].to_pylist(),
        "occupation": users["occupation"].to_pylist(),
    }
    return {name: dict(zip(ids, of, strict=True)) for name, of in values.items()}


def _file(name: str) -> Path:
    found = data.DATA / SET / f"{name}.parquet"
    if not found.exists():
        raise data.MissingDataError(f"{SET}: no file {SET}/{name}.parquet under SHOAL_DATA")
    return found


def source(cache: Path | None = None) -> Source:
    """The log, ingested or found in the cache.

    Raises:
        MissingDataError: the set is not under SHOAL_DATA.
    """
    files = [_file(name) for name in ("ratings", "items")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = (cache or data.CACHE) / f"{SET}-genres-{digest[:12]}"
    if not (folder / "made.json").exists():
        data.fresh(folder)
        events = events_of(*(pq.read_table(file) for file in files))
        pq.write_table(events, folder / "events.parquet")
        data.ingest(folder, [folder / "events.parquet"], "shoal", "review")
        data.finish(folder, {"spec": {"name": SET}, "digest": digest})
    return Source(folder, json.loads((folder / "made.json").read_text()))


def opened(seed: int) -> Opened:
    """The whole log is known; `seed` is of starts."""
    found = source()
    days = horizon(found.start, found.end, WORLD_HORIZON_DAYS)
    return Opened(Log(SET, seed), found, found.end, days)


# --- Units ----------------------------------------------------------------------------------------


def labelled(peer: str, k: int, seed: int) -> dict[str, Any]:
    """(n,) labels of everybody by one method."""
    labels = _fits(opened(seed), METHODS[peer])(k, seed, None)
    return {"labels": packed(labels.astype(np.int16))}


def compared(peers: list[str], k: int, seed: int) -> dict[str, Any]:
    """Labels by each of several methods that take little time, or why there are none."""
    found: dict[str, Any] = {}
    for peer in peers:
        try:
            found[peer] = labelled(peer, k, seed)
        except Exception as error:  # told in the row of the method
            found[peer] = {"failed": f"{type(error).__name__}: {error}"}
    return {"methods": found}


def attained(seed: int) -> dict[str, Any]:
    """What LightGBM tells of each label from all features, out of fold: the same figures."""
    at = opened(seed)
    X, ids = inputs(at).values, customers_of(at)
    return {"figures": {name: _by_lightgbm(X, y, seed) for name, y in _truth(ids).items()}}


def _truth(customers: Texts) -> dict[str, Labels]:
    known = known_of(pq.read_table(_file("users")))
    return {
        name: np.unique([of[one] for one in customers.tolist()], return_inverse=True)[1]
        for name, of in known.items()
    }


def _by_lightgbm(X: npt.NDArray[np.float64], y: Labels, seed: int) -> dict[str, float]:
    from lightgbm import LGBMClassifier

    from bench.segments.settings import SETTINGS

    fold, chances = folds(y, seed), np.zeros((len(y), int(y.max()) + 1))
    for part in range(FOLDS):
        learn, ask = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        model = LGBMClassifier(
            **SETTINGS, n_estimators=100, class_weight="balanced", random_state=seed
        ).fit(X[learn], y[learn])
        chances[np.ix_(ask, model.classes_)] = model.predict_proba(X[ask])
    return {"balanced": balanced(chances.argmax(axis=1), y), "auc": auc(chances, y, fold)}


# --- The part of the document ---------------------------------------------------------------------


def part(
    peers: Sequence[str], seeds: Sequence[int], k: int, *, cache: Path, command: str
) -> dict[str, Any]:
    """The figures of every method that needs no outcome.

    Raises:
        MissingDataError: the set is not under SHOAL_DATA.
    """
    at = opened(seeds[0])
    at.source.features(at.moment)
    customers = customers_of(at)
    stamp = {"data": at.source.digest, "code": code_hash(*_DEPENDS)}
    asked = [name for name in peers if _can(METHODS[name])]
    say("labels of users")
    found = run(
        "bench.segments.outside:labelled",
        [Unit(peer, f"{SET}-{seed}", 0, {"peer": peer, "k": k, "seed": seed}, stamp)
         for peer in asked if peer in AIMS for seed in seeds],
        kept=cache / "segments",
    )  # fmt: skip
    others = [peer for peer in asked if peer not in AIMS]
    together = run(
        "bench.segments.outside:compared",
        [Unit("peers", f"{SET}-{seed}", 0, {"peers": others, "k": k, "seed": seed}, stamp)
         for seed in seeds if others],
        kept=cache / "segments",
    )  # fmt: skip
    for one in together:
        told = one.get("methods", {peer: {"failed": one.get("failed")} for peer in others})
        found += [{"peer": peer, **told[peer]} for peer in others]
    most = run(
        "bench.segments.outside:attained",
        [Unit(ALL_FEATURES, f"{SET}-{seeds[0]}", 0, {"seed": seeds[0]}, stamp)],
        kept=cache / "segments",
    )  # fmt: skip
    truth = _truth(customers)
    return {
        "command": command, "machine": machine(), "k": k, "seeds": list(seeds), "set": SET,
        "customers": len(customers), "events": at.source.facts["events"],
        "digest": at.source.digest, "shuffles": SHUFFLES,
        "labels": {
            name: {"classes": int(y.max()) + 1, "chance": 1 / (int(y.max()) + 1)}
            for name, y in truth.items()
        },
        "rows": rows(found, truth, asked) + _ceiling(most, truth),
        "failed": [{"peer": one["peer"], "reason": one["failed"]}
                   for one in [*found, *most] if "failed" in one],
    }  # fmt: skip


def _can(method: Method) -> bool:
    """Neither what is planted, nor what learns from an outcome, nor river; nor Shoal on a model."""
    aside = method.name == PLANTED or method.name in ON
    return not (aside or method.learns_from or method.environment)


def rows(
    found: Sequence[Mapping[str, Any]], truth: Mapping[str, Labels], peers: Sequence[str]
) -> list[dict[str, Any]]:
    """One row a method and label: mean and range over seeds of each figure, and what chance gives;
    `beyond` of how many seeds a figure is beyond chance."""
    told = []
    for peer in peers:
        done = [one for one in found if one["peer"] == peer and "failed" not in one]
        for name, y in truth.items():
            pairs = []
            for number, one in enumerate(done):
                segments = np.unique(unpacked(one["labels"]), return_inverse=True)[1]
                pairs.append((figures(segments, y, number), by_chance(segments, y, number)))
            told.append({
                "method": peer, "label": name,
                **{key: spread(got[key] for got, _ in pairs) for key in ("ami", "balanced", "auc")},
                "by_chance": {
                    key: spread(chance[key] for _, chance in pairs)
                    for key in ("ami", "balanced", "auc")
                },
                "beyond": {
                    key: sum(got[key] > chance[key] for got, chance in pairs)
                    for key in ("ami", "balanced", "auc")
                },
            })  # fmt: skip
    return told


def _ceiling(
    found: Sequence[Mapping[str, Any]], truth: Mapping[str, Labels]
) -> list[dict[str, Any]]:
    done = [one["figures"] for one in found if "failed" not in one]
    return [
        {"method": ALL_FEATURES, "label": name, "ami": None,
         **{key: spread(one[name][key] for one in done) for key in ("balanced", "auc")}}
        for name in truth
    ]  # fmt: skip
