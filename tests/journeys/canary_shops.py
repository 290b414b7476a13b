"""Shops in which segments made anew are tried on some customers, and looks that find nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.journeys.test_adjust import drifting_events

import shoal as package
from shoal.adjust.adjustment import KEEP, REFIT, Adjustment, Proposal
from shoal.config import AdjustConfig, Config
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.workflows import adjuster_look, canary
from shoal.workflows.adjust import Job
from shoal.workflows.adjuster import Adjusted
from shoal.workflows.canary import Canary

LEARNED, BEGUN, WEEK, OVER = "2024-03-01", "2024-04-01", "2024-04-08", "2024-04-15"


def decided(evidence: Any, *_: Any) -> tuple[Adjustment, ...]:
    """All segments are made anew wherever they can be."""
    made = [one for one in evidence.proposals if one.action == REFIT]
    kept = Adjustment(KEEP, Proposal(KEEP), 1.0, "test", "nothing_proposed")
    return tuple(Adjustment(REFIT, one, 1.0, "test", "due") for one in made[:1]) or (kept,)


def made(home: Path) -> Path:
    """A shop of three kinds of customers in two segments, half of whom try what is made anew."""
    pq.write_table(drifting_events(), home / "events.parquet")
    dials = AdjustConfig(
        relabel_price=0.0, relabel_budget=1.0, challenger_days=14.0, psi=100.0, moved=1.0,
        canary_share=0.5,
    )  # fmt: skip
    with package.init(home / "shop", Config(adjust=dials)) as opened:
        opened.ingest([home / "events.parquet"], preset="shoal")
        opened.segment(k=2, until=LEARNED, aim="style")
    return home / "shop"


def begun(shop: Path) -> Adjusted:
    """Let a look begin a canary of three segments; what it found."""
    found: list[Adjusted] = []
    with pytest.MonkeyPatch.context() as patch, package.open(shop) as opened:
        usual, learner, adjuster = Job.look, Job.learner, Job.adjuster

        def kept(*given: Any) -> Adjusted:
            found.append(usual(*given))
            return found[-1]

        patch.setattr(adjuster_look, "decide", decided)
        patch.setattr(Job, "look", kept)
        patch.setattr(Job, "learner", lambda job, model=None: replace(learner(job, model), k=3))
        patch.setattr(
            Job, "adjuster",
            lambda job, moment: replace(adjuster(job, moment), actions=frozenset({REFIT})),
        )  # fmt: skip
        answer = opened.adjust(as_of=BEGUN)
    assert answer.document["canary"]["outcome"] == "begun"
    return found[0]


@pytest.fixture(name="shop")
def tried_shop(canary_look: tuple[Path, Adjusted], tmp_path: Path) -> Path:
    """A copy of the shop with the canary."""
    shutil.copytree(canary_look[0], tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture(name="plain")
def plain_shop(canary_base: Path, tmp_path: Path) -> Path:
    """The same shop at the same moment without one."""
    shutil.copytree(canary_base, tmp_path / "plain")
    with package.open(tmp_path / "plain") as opened:
        opened.refresh(as_of=BEGUN)
    return tmp_path / "plain"


def trial_of(shop: Path) -> Canary:
    """The canary that runs."""
    with package.open(shop) as opened:
        found = canary.running(opened._parts.store)
    assert found is not None
    return found


def recorded(shop: Path, name: str = "kmeans-0001") -> pa.Table:
    """What a version says of all its customers."""
    with package.open(shop) as opened:
        return opened.memberships(recorded=True, segmentation=name)


def among(table: pa.Table, trial: Canary, *, own: bool) -> pa.Table:
    """Rows of customers who are in a canary, or of the others."""
    chosen = pa.array(trial.chosen(table["customer_id"]))
    return table.filter(chosen if own else pc.invert(chosen))


def quiet(*blocked: str) -> Callable[..., Adjusted]:
    """`Job.look` that finds nothing but what is broken."""
    kept = Adjustment(KEEP, Proposal(KEEP), 1.0, "test", "blocked" if blocked else "nothing_pays")

    def look(job: Job, adjuster: Any, moment: Any, recorded: pa.Table) -> Adjusted:
        return Adjusted(
            moment, adjuster.live, recorded, (kept,), replace(job.state, looked_at=moment),
            customers=job.placed, blocked=blocked,
        )  # fmt: skip

    return look


def to_and_fro(shop: Path) -> None:
    """Let the customers of the canary leave their segments and come back: it is dropped for it."""
    trial = trial_of(shop)
    with package.open(shop) as opened:
        store = opened._parts.store
        rows = store.get_memberships(trial.segmentation_id).to_pylist()
        segments = sorted({row["segment_id"] for row in rows} - {"new"})
        for days in (1, 2):
            told = [
                {
                    **row, "since": trial.since + timedelta(days=days), "cause": "event",
                    "segment_id": row["segment_id"] if days == 2 else next(
                        one for one in segments if one != row["segment_id"]
                    ),
                }
                for row in rows
            ]  # fmt: skip
            store.put_memberships(pa.Table.from_pylist(told, schema=MEMBERSHIPS_SCHEMA))
