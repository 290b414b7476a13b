"""How segments adjust: what is spent, what is looked for, and what needs a person's word."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AdjustSettings:
    """The dials of adjustment; section `[adjust]` of a shop's settings.

    Args:
        cadence_days: from one look for drift to the next.
        challenger_days: from one challenger, fitted from several starts, to the next.
        half_life_days: in which what segments learned of a customer loses half its weight.
        relabel_budget: share of customers that adjustments may move in 30 days without a person.
        relabel_price: gain, as a share of the loss within segments, that moving all customers
            would have to bring; moving a share r of them has to bring r times as much.
        refit_growth: by how much longer the log has to be than what segments were learned from, as
            a share, for making them anew to be due; 0: never by itself.
        false_alarms: of all monitors together, expected in a year in which nothing changes.
        retrain_growth: new events, as a share of those the behaviour model has seen, after which
            it is trained on; 0: never by itself.
        retrain_days: the same by time; 0: never.
        largest: greatest share of customers that one segment may have.
        larger_by: by how much it may have more than the largest one before, all the same.
        psi: population stability index of segment sizes beyond which a person approves.
        moved: share of customers moved beyond which a person approves.
        assigned: least share of active customers that have a segment.
        canary_share: share of customers for whom segments made anew are in force first; 0: they are
            for all at once.
        canary_days: how long so, in the time of the log; every weekday comes twice in the default.
    """

    cadence_days: float = 7.0
    challenger_days: float = 28.0
    half_life_days: float = 90.0
    relabel_budget: float = 0.1
    relabel_price: float = 0.1
    refit_growth: float = 0.25
    false_alarms: float = 1.0
    retrain_growth: float = 0.5
    retrain_days: float = 180.0
    largest: float = 0.6
    larger_by: float = 0.1
    psi: float = 0.25
    moved: float = 0.3
    assigned: float = 0.999
    canary_share: float = 0.0
    canary_days: float = 14.0
