"""Calibrate a world to a real log: fit its dials, and say honestly how far apart they stay.

Fitting samples small shops under one seed; every figure that is reported comes from samples under
the seed that is written, which fitting never sees.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain import kinds
from shoal.evaluation.log_tally import Tally, tally
from shoal.evaluation.moments import Value, distances, moments
from shoal.evaluation.two_sample import TwoSample, aggregates, two_sample_test
from shoal.events.worlds.base import World, with_dials
from shoal.events.worlds.sample import BLOCK_CUSTOMERS
from shoal.workflows.calibration_result import Calibration, Checked, significant
from shoal.workflows.dial_turns import TURNS
from shoal.workflows.fit_dials import DIRECT_ROUNDS, JOINT_STEPS, fit_dials
from shoal.workflows.progress import NoProgress
from shoal.workflows.simulated_log import simulated_log

if TYPE_CHECKING:
    from shoal.workflows.likeness import Likeness
    from shoal.workflows.progress import Progress

#: Fitting samples about so many events of the compared kinds, and no more than so many days of
#: customers' lives, of between so many customers.
_FIT_EVENTS: Final = 45_000
_FIT_CUSTOMER_DAYS: Final = 1_500_000
_FIT_CUSTOMERS: Final = (1_500, 12_000)
#: Where only these are compared, a world without its views samples faster: they do not depend on
#: what was looked at.
_NOT_OF_VIEWS: Final = frozenset({kinds.PURCHASE, kinds.REFUND, kinds.REVIEW, kinds.CART_ADD})
_NO_VIEWS: Final = {"views_scale": 0.02}


def calibrate(
    like: Likeness, world: World, *, seed: int, fixed: Collection[str] = (),
    progress: Progress | None = None,
) -> Calibration:  # fmt: skip
    """The world with dials under which its log is like another; nothing is written.

    Args:
        world: its own dials are where fitting starts.
        seed: of the log that will be written, and in which the figures are measured. Fitting uses
            another, made from it. Same log, world and seed, same result.
        fixed: names of dials that stay as the world has them.
    """
    bar = progress or NoProgress()
    own = _at_home(world, like, fixed)
    sampler = _Sampler(own, like)
    fit_seed = _fit_seed(seed)
    turns = [turn for turn in TURNS if turn.needs(like.contents) and turn.dial not in fixed]
    bar.start("Fitting dials", 1 + DIRECT_ROUNDS + len(turns) + JOINT_STEPS, "samples")
    real = moments(tally(sampler.fit_log, like.contents))

    def sample(dials: Mapping[str, Any]) -> Mapping[str, Value]:
        found = moments(sampler.fitting(dials, fit_seed))
        bar.advance(1)
        return found

    try:
        free = {name: value for name, value in asdict(own.dials).items() if name not in fixed}
        fit = fit_dials(real, like.contents, sample, free)
    finally:
        bar.done()
    dials = _written(fit.dials)
    return _checked(sampler, like, own, dials, fit_seed, tuple(fit.rounds), seed, bar)


def _at_home(world: World, like: Likeness, fixed: Collection[str]) -> World:
    """The world with the log's first day and currency, and without passers-by it cannot tell."""
    dials = replace(world.dials, start=like.start)
    if like.currency:
        dials = replace(dials, currency=like.currency)
    if not like.contents.views and "one_off" not in fixed:
        dials = replace(dials, one_off=0.0)
    return replace(world, dials=dials)


def _fit_seed(seed: int) -> int:
    """A seed that is made from another and is not it."""
    made = int(np.random.SeedSequence([seed, 1]).generate_state(1, np.uint32)[0])
    return made + (made == seed)


def _written(dials: Mapping[str, Any]) -> dict[str, Any]:
    """Dials with few digits, so that a document says exactly what was used."""
    return {
        name: significant(value) if isinstance(value, float) else value
        for name, value in dials.items()
    }


@dataclass
class _Sampler:
    """Samples of a world that are as large as the log, or as the part of it used for fitting."""

    own: World
    like: Likeness

    def __post_init__(self) -> None:
        read, log = self.like.log.read, self.like.log.log
        least, most = _FIT_CUSTOMERS
        enough = min(_FIT_EVENTS * read // max(len(log), 1), _FIT_CUSTOMER_DAYS // self.like.days)
        self.fit_customers = min(read, max(least, min(most, enough)))
        self.fit_log = some_customers(log, self.fit_customers)
        #: Simulated customers a visible one: who never does anything that is compared is not seen.
        self.per_visible = 1.1

    def fitting(self, dials: Mapping[str, Any], seed: int) -> Tally:
        """A sample for fitting."""
        fast = _NO_VIEWS if _NOT_OF_VIEWS.issuperset(self.like.contents.kinds) else {}
        log = self._log({**fast, **dials}, self.fit_customers, seed, fitting=True)
        return tally(log, self.like.contents)

    def checking(self, dials: Mapping[str, Any], seed: int) -> tuple[Tally, int]:
        """A sample as large as the log, and how many customers were simulated for it."""
        log = self._log(dials, self.like.log.read, seed)
        return tally(log, self.like.contents), self.simulated

    def _log(
        self, dials: Mapping[str, Any], visible: int, seed: int, *, fitting: bool = False
    ) -> pa.Table:
        """The log of the first customers who are seen, so many if there are.

        For fitting no more customers are drawn than are wanted.
        """
        world = with_dials(self.own, dict(dials))
        for _ in range(3):
            self.simulated = math.ceil(visible * self.per_visible)
            block = min(BLOCK_CUSTOMERS, self.simulated) if fitting else BLOCK_CUSTOMERS
            log = simulated_log(
                world, customers=self.simulated, days=self.like.days, seed=seed,
                kinds=self.like.contents.kinds, block_customers=block,
            )  # fmt: skip
            seen = len(log["customer"].unique())
            if seen >= 0.97 * visible or self.per_visible > 20:
                break
            self.per_visible *= 1.05 * visible / max(seen, visible / 4)
        names = log["customer"].unique().sort()[:visible]
        return log.filter(pc.is_in(log["customer"], names))


def some_customers(log: pa.Table, count: int, *, part: int = 0) -> pa.Table:
    """The events of `count` customers of a log, chosen at random; other `part`s, other ones."""
    names = log["customer"].unique().sort()
    order = np.random.default_rng(11).permutation(len(names))
    chosen = names.take(pa.array(order[part * count : (part + 1) * count]))
    return log.filter(pc.is_in(log["customer"], chosen))


def _checked(
    sampler: _Sampler, like: Likeness, own: World, dials: dict[str, Any], fit_seed: int,
    rounds: tuple[float, ...], seed: int, bar: Progress,
) -> Calibration:  # fmt: skip
    """The figures of a fit, under the seed that is written."""
    bar.start("Measuring how far apart they are", 6, "steps")
    whole = like.log.log
    real = tally(whole, like.contents)
    bar.advance(1)
    before, _ = sampler.checking({}, seed)
    bar.advance(1)
    after, simulated = sampler.checking(dials, seed)
    bar.advance(1)
    half = like.log.read // 2
    halves = [tally(some_customers(whole, half, part=part), like.contents) for part in (0, 1)]
    tests: dict[str, TwoSample | None] = {}
    for name, (one, other) in {
        "before": (real, before), "after": (real, after), "null": (halves[0], halves[1]),
    }.items():  # fmt: skip
        tests[name] = two_sample_test(
            aggregates(one), aggregates(other), seed=seed, telling=name != "null"
        )
        bar.advance(1)
    bar.done()
    return Calibration(
        world=with_dials(own, dials), own=own, like=like, dials=dials, rounds=rounds,
        fit_seed=fit_seed,
        checked=Checked(simulated, len(after.kinds), like.days, seed),
        real=moments(real), before=moments(before), after=moments(after),
        floor=distances(moments(halves[0]), moments(halves[1])), two_sample=tests,
    )  # fmt: skip
