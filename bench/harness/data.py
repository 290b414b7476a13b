"""Data that benches run on: simulated worlds and public sets, ingested once, features kept.

Everything lies in a cache folder under a name that holds what it was made of: digest of the world,
customers, days, seed, difficulty and dials, and the fingerprint of the feature catalog. A folder
counts as made when its `made.json` exists.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.harness.source import SimulatedWorld, Source, frequent_names, log_of

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("SHOAL_BENCH_CACHE", Path(tempfile.gettempdir()) / "shoal-bench"))
DATA = Path(os.environ.get("SHOAL_DATA", ROOT.parent / "shared" / "data"))

#: Raised when what lies in the cache changes its form.
_FORM = 3


class MissingDataError(Exception):
    """A data set or world is not there; the bench says so in its row."""


@dataclass(frozen=True)
class WorldSpec:
    """A simulated world, told by everything that its bytes depend on."""

    name: str
    customers: int
    days: int
    seed: int
    difficulty: float | None = None
    dials: tuple[tuple[str, float], ...] = ()

    @property
    def label(self) -> str:
        return f"{self.name}-{self.seed}"


@dataclass(frozen=True)
class PublicSpec:
    """A public data set: preset, file under SHOAL_DATA, and the kind that is worth something."""

    name: str
    preset: str
    file: str
    value_event: str = ""


PUBLIC = {
    "online_retail": PublicSpec(
        "online_retail", "online-retail", "online_retail/transactions.parquet"
    ),
    "cdnow": PublicSpec("cdnow", "cdnow", "cdnow/transactions.parquet"),
    "amazon_beauty": PublicSpec(
        "amazon_beauty", "amazon-reviews", "amazon_beauty/actions.parquet", "review"
    ),
}


def world(spec: WorldSpec, cache: Path | None = None) -> SimulatedWorld:
    """The simulated world, made (about 5 s for 100,000 events) or found in the cache.

    Raises:
        MissingDataError: this Shoal has no such world.
    """
    from shoal.domain.errors import UsageError
    from shoal.events import worlds

    try:
        digest = worlds.load(spec.name).digest()
    except UsageError as error:
        raise MissingDataError(f"no world {spec.name!r}: {error.message}") from error
    told = json.dumps([_FORM, asdict(spec), digest], sort_keys=True)
    key = hashlib.sha256(told.encode()).hexdigest()[:12]
    folder = (cache or CACHE) / f"{spec.name}-{spec.customers}-{spec.days}-{spec.seed}-{key}"
    if not (folder / "made.json").exists():
        _make_world(spec, digest, folder)
    return SimulatedWorld(folder, json.loads((folder / "made.json").read_text()))


def public(name: str, cache: Path | None = None) -> Source:
    """A public set, ingested or found in the cache.

    Raises:
        MissingDataError: its file is not under SHOAL_DATA.
    """
    spec = PUBLIC[name]
    file = DATA / spec.file
    if not file.exists():
        raise MissingDataError(f"{name}: no file {spec.file} under SHOAL_DATA")
    size = file.stat().st_size
    key = hashlib.sha256(json.dumps([_FORM, asdict(spec), size]).encode()).hexdigest()[:12]
    folder = (cache or CACHE) / f"{name}-{key}"
    if not (folder / "made.json").exists():
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        fresh(folder)
        ingest(folder, [file], spec.preset, spec.value_event)
        finish(folder, {"spec": asdict(spec), "digest": digest})
    return Source(folder, json.loads((folder / "made.json").read_text()))


def _make_world(spec: WorldSpec, digest: str, folder: Path) -> None:
    from shoal.workflows.simulate import simulate

    fresh(folder)
    more: dict[str, Any] = {}
    if spec.difficulty is not None:
        more["difficulty"] = spec.difficulty
    if spec.dials:
        more["dials"] = dict(spec.dials)
    home = folder / "world"
    simulate(
        home, customers=spec.customers, days=spec.days, world=spec.name, seed=spec.seed, **more
    )
    ingest(folder, [home], "shoal")
    segments = pq.read_table(home / "_truth" / "segments.parquet")
    document = json.loads((home / "_truth" / "world.json").read_text())
    facts = {
        "spec": asdict(spec), "digest": document["world_digest"],
        "version": document["world_version"], "planted": _planted_at_start(segments),
    }  # fmt: skip
    finish(folder, facts)


def _planted_at_start(segments: pa.Table) -> int:
    if "exists_from" not in segments.column_names:
        return segments.num_rows
    since = segments["exists_from"]
    first = pc.min(since)
    there = pc.or_kleene(pc.is_null(since), pc.equal(since, first))
    return int(pc.sum(there).as_py())


def fresh(folder: Path) -> None:
    """An empty folder, whatever a killed run left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def ingest(folder: Path, files: list[Path], preset: str, value_event: str = "") -> None:
    """Make the folder's shop and bring the files into it."""
    import shoal
    from shoal.config import Config, ShopConfig

    config = Config(shop=ShopConfig(value_event=value_event)) if value_event else None
    with shoal.init(folder / "shop", config) as shop:
        shop.ingest(files, preset=preset, confirm=lambda _: True)


def finish(folder: Path, facts: dict[str, Any]) -> None:
    """Write the log and, last, what is known of it: from now on the folder counts as made."""
    log = log_of(folder)
    pq.write_table(log, folder / "log.parquet")
    first, last = (pc.min(log["event_time"]).as_py(), pc.max(log["event_time"]).as_py())
    facts |= {
        "events": log.num_rows, "start": _day(first).isoformat(),
        "end": (_day(last) + timedelta(days=1)).isoformat(),
        "names": facts.get("names") or frequent_names(log),
    }  # fmt: skip
    part = folder / "made.part"
    part.write_text(json.dumps(facts, indent=1) + "\n")
    part.replace(folder / "made.json")


def _day(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
