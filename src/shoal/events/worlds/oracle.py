"""What the generator itself would say: segments by Bayes' rule from the planted parameters.

An oracle that knows every dial of the world, and when a customer's stay in a segment began, reads
the events of that stay and asks which segment makes them likeliest. Personal dials are independent
given the segment, so each is integrated out alone: by Gauss-Hermite quadrature, tastes in closed
form (Dirichlet-multinomial). It reads counts, hours and prices, not the order of events nor the
gaps between visits, so in world `awkward` it says what counts can tell: nothing. Elsewhere no
method without its knowledge can be expected to do better; what it leaves out beside (how often,
ratings, brands) overlaps on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from shoal.domain import kinds
from shoal.events.worlds.base import World
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import CHANCES, DAY_S, MEANS, drift_factor, drifted_tastes
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.segments import TOPS
from shoal.events.worlds.sessions import hour_weights, sale_on, sale_pull
from shoal.events.worlds.spells import shares_on

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.void]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())
#: Refunds and reviews have come when a line is so old.
_SETTLED_DAYS = 25
_TINY = 1e-12


@dataclass(frozen=True)
class Reading:
    """Counts of each group's events that tell segments apart; one entry a group."""

    hours: Ints  # (groups, 24) visits
    weekend: Ints  # (groups, 2) visits on other days and on weekends
    channels: Ints
    devices: Ints
    payments: Ints
    focus: Ints  # (groups, categories) visits
    buys: Ints  # (groups, 2, 2): no sale or sale, no order or order
    views: Ints  # (groups, 3): visits of one view without order; others; their views
    trials: dict[str, Ints]  # dial -> (groups, 2) misses and hits
    lines: Ints  # (groups, 2) orders, lines beyond the first
    extra: Floats  # (groups, 2) exposure, and things put in the cart and not bought
    price: Floats  # (groups, 2) number and mean price quantile of what was viewed


def posterior(
    world: World, catalogue: Catalogue, rows: Rows, group: Ints, groups: int, day: int, days: int
) -> Floats:
    """(groups, segments) probability of each segment given the events of a group.

    Args:
        rows: `funnel.RECORD` events, all before local midnight of `day`.
        group: of each event, a number below `groups`; -1 leaves it out.
        day: on which drifted dials are taken; a log of `days` days.
    """
    read = _read(world, catalogue, rows[group >= 0], group[group >= 0], groups, day)
    prior = shares_on(world, np.array([min(day, days - 1)]), days)[0]
    found: Floats = np.full((groups, len(prior)), -np.inf)
    for place in np.flatnonzero(prior > 0).tolist():
        likelihood = _log_likelihood(world, read, place, day, days)
        found[:, place] = np.log(prior[place]) + likelihood
    found -= found.max(axis=1, keepdims=True)
    chance = np.exp(found)
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def _read(
    world: World, catalogue: Catalogue, rows: Rows, group: Ints, groups: int, day: int
) -> Reading:
    """The counts of every group."""

    def table(of: Ints, code: Ints, width: int) -> Ints:
        return np.bincount(of * width + code, minlength=groups * width).reshape(groups, width)

    def by(kind: str) -> npt.NDArray[np.bool_]:
        return np.asarray(rows["kind"] == CODE[kind])

    visit = np.flatnonzero(rows["session"] >= 0)
    _, first, of = np.unique(rows["session"][visit], return_index=True, return_inverse=True)
    opening, who = rows[visit[first]], group[visit[first]]
    n = len(first)

    def each(mask: npt.NDArray[np.bool_]) -> Ints:
        return np.bincount(of[mask[visit]], minlength=n)

    bought, viewed, added = by(kinds.PURCHASE), by(kinds.VIEW), by(kinds.CART_ADD)
    views, lines, adds = each(viewed), each(bought), each(added)
    buys = lines > 0
    when = opening["time_s"].astype(np.int64)
    weekday = (when // DAY_S + world.dials.start.weekday()) % 7
    sale = sale_on(world.dials, when // DAY_S)
    about = np.flatnonzero((rows["item"] >= 0) & (rows["session"] >= 0))
    met = np.unique(rows["session"][about], return_index=True)[1]
    focus = catalogue.top[rows["item"][about[met]]]
    single = ~buys & (views <= 1)
    searched = each(by(kinds.SEARCH))
    opened = np.minimum(searched, 1)
    order_line = rows[bought]
    _, order, order_of = np.unique(order_line["order"], return_index=True, return_inverse=True)
    owner = group[bought][order]
    reduced = np.bincount(order_of, order_line["discount"] > 0, minlength=len(order)) > 0
    coupon = order_line["code"][order] >= 0
    old = order_line["time_s"] < (day - _SETTLED_DAYS) * DAY_S
    settled = table(group[bought][old], np.zeros(int(old.sum()), np.int64), 1)[:, 0]
    all_views = table(group[viewed], np.zeros(int(viewed.sum()), np.int64), 1)[:, 0]

    def hits(of_group: Ints, hit: npt.NDArray[np.bool_]) -> Ints:
        return table(of_group, hit.astype(np.int64), 2)

    def out_of(total: Ints, kind: str) -> Ints:
        mask = by(kind)
        hit = table(group[mask], np.zeros(int(mask.sum()), np.int64), 1)[:, 0]
        hit = np.minimum(hit, total)
        return np.stack([total - hit, hit], axis=1)

    quantile = _price_quantile(catalogue)[np.maximum(rows["item"], 0)]
    seen = np.bincount(group[viewed], quantile[viewed], minlength=groups)
    exposure = np.where(buys, 0.3, 1.0)
    left = np.maximum(adds - lines, 0)
    return Reading(
        hours=table(who, when % DAY_S // 3600, 24), weekend=table(who, (weekday >= 5) * 1, 2),
        channels=table(who, opening["channel"].astype(np.int64), 6),
        devices=table(who, opening["device"].astype(np.int64), 3),
        payments=table(owner, order_line["payment"][order].astype(np.int64), 4),
        focus=table(group[about[met]], focus, len(TOPS)),
        buys=table(who, sale * 2 + buys, 4).reshape(groups, 2, 2),
        views=np.stack(
            [
                np.bincount(who[single], minlength=groups),
                np.bincount(who[~single], minlength=groups),
                np.bincount(who[~single], views[~single], minlength=groups).astype(np.int64),
            ],
            axis=1,
        ),
        trials={
            "search": hits(who, opened > 0), "click": out_of(all_views, kinds.CLICK),
            "favourite": out_of(all_views, kinds.FAVOURITE), "discount": hits(owner, reduced),
            "coupon": hits(owner[reduced], coupon[reduced]),
            "refund": out_of(settled, kinds.REFUND), "review": out_of(settled, kinds.REVIEW),
        },
        lines=np.stack(
            [
                np.bincount(owner, minlength=groups),
                np.bincount(group[bought], minlength=groups) - np.bincount(owner, minlength=groups),
            ],
            axis=1,
        ),
        extra=np.stack(
            [
                np.bincount(who, exposure, minlength=groups),
                np.bincount(who, left, minlength=groups),
            ],
            axis=1,
        ),
        price=np.stack([all_views, seen / np.maximum(all_views, 1)], axis=1),
    )  # fmt: skip


def _price_quantile(catalogue: Catalogue) -> Floats:
    """Where each item stands in its leaf by price, as shares of popularity."""
    order = np.lexsort((catalogue.price_cents, catalogue.leaf))
    leaf, weight = catalogue.leaf[order], catalogue.popularity[order]
    total = np.bincount(leaf, weights=weight)
    before = np.concatenate(([0.0], np.cumsum(total)[:-1]))
    found = np.empty(len(order))
    found[order] = (np.cumsum(weight) - weight / 2 - before[leaf]) / total[leaf]
    return found


def _log_likelihood(world: World, read: Reading, place: int, day: int, days: int) -> Floats:
    """(groups,) log likelihood of the counts in one segment."""
    segment = world.segments[place]
    spread = world.effective_spread

    def nodes(dial: str) -> Floats:
        """The dial's values at the quadrature's nodes."""
        factor = drift_factor(world, dial, place, day, days)
        centre = getattr(segment, dial)
        if dial in CHANCES:
            odds = centre / (1 - centre) * factor * np.exp(spread * CHANCES[dial] * _NODES)
            return np.asarray(odds / (1 + odds))
        if dial == "lines":
            centre = 1 + (centre - 1) * world.dials.lines_scale
        width = spread * MEANS[dial]
        return np.asarray(centre * factor * np.exp(width * _NODES - width**2 / 2))

    found: Floats = np.asarray(read.hours @ np.log(hour_weights(segment, world.dials)))
    found = found + read.channels @ np.log(_shares(segment.channels))
    found = found + _devices(read.devices, _shares(segment.devices))
    paid = read.payments.sum(axis=1) > 0
    found = found + np.where(
        paid, np.log(_shares(segment.payments))[read.payments.argmax(axis=1)], 0.0
    )
    tightness = world.dials.taste_concentration / spread
    found = found + _dirichlet(read.focus, tightness * drifted_tastes(world, place, day, days))
    weekend = nodes("weekend")
    found = found + _integrated(partial(_binomial, read.weekend), 2 * weekend / (5 + 2 * weekend))
    conversion = nodes("conversion")
    pull = sale_pull(world, place)
    odds = conversion / (1 - conversion) * pull
    found = found + _integrated(
        lambda p, q: _binomial(read.buys[:, 0], p) + _binomial(read.buys[:, 1], q),
        conversion, odds / (1 + odds),
    )  # fmt: skip
    found = found + _integrated(partial(_geometric_views, read.views), nodes("views"))
    found = found + _integrated(
        partial(_geometric, read.lines), np.maximum(nodes("lines") - 1, 0.02)
    )
    found = found + _integrated(partial(_poisson, read.extra), nodes("abandoned"))
    for dial, trials in read.trials.items():
        found = found + _integrated(partial(_binomial, trials), nodes(dial))
    if not any(one.crescent for one in world.segments):
        found = found + _integrated(partial(_normal, read.price), nodes("price_level"))
    return np.asarray(found)


def _shares(weights: tuple[float, ...]) -> Floats:
    return np.asarray(weights, np.float64) / sum(weights)


def _integrated(log_likelihood: Callable[..., Floats], *values: Floats) -> Floats:
    """(groups,) log of the mean likelihood over a personal dial, whose nodes are `values`."""
    terms = log_likelihood(*(value[None, :] for value in values)) + _LOG_WEIGHTS
    top = terms.max(axis=1, keepdims=True)
    return np.asarray(top[:, 0] + np.log(np.exp(terms - top).sum(axis=1)))


def _binomial(trials: Ints, chance: Floats) -> Floats:
    """Misses and hits (groups, 2) under chances (1, nodes)."""
    return np.asarray(
        trials[:, :1] * np.log(np.maximum(1 - chance, _TINY))
        + trials[:, 1:] * np.log(np.maximum(chance, _TINY))
    )


def _geometric(counts: Ints, mean: Floats) -> Floats:
    """So many counts 0, 1, 2, ... of a total, under geometric means."""
    return np.asarray(counts[:, 1:] * np.log(mean / (1 + mean)) - counts[:, :1] * np.log1p(mean))


def _geometric_views(counts: Ints, mean: Floats) -> Floats:
    """Views of visits; of those without an order, none counts as one."""
    none_or_one = np.log((1 + 2 * mean) / (1 + mean) ** 2)
    return np.asarray(counts[:, :1] * none_or_one + _geometric(counts[:, 1:], mean))


def _poisson(counts: Floats, mean: Floats) -> Floats:
    return np.asarray(counts[:, 1:] * np.log(mean) - counts[:, :1] * mean)


def _normal(counts: Floats, level: Floats) -> Floats:
    """The mean quantile of so many views, each 0.16 around the level."""
    return np.asarray(-0.5 * counts[:, :1] * ((counts[:, 1:] - level) / 0.16) ** 2)


def _devices(counts: Ints, shares: Floats) -> Floats:
    """A customer's own device (85 % of visits, any else) is integrated out."""
    terms = np.log(shares) + counts @ np.log(0.05 + 0.85 * np.eye(3))
    top = terms.max(axis=1, keepdims=True)
    return np.asarray(top[:, 0] + np.log(np.exp(terms - top).sum(axis=1)))


def _dirichlet(counts: Ints, alpha: Floats) -> Floats:
    """Log of the Dirichlet-multinomial, but for what segments have in common."""
    total = counts.sum(axis=1)
    return np.asarray(
        gammaln(alpha.sum())
        - gammaln(total + alpha.sum())
        + (gammaln(counts + alpha) - gammaln(alpha)).sum(axis=1)
    )
