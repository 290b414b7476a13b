"""Verbs about data from outside the event log: covariates and items."""

from __future__ import annotations

from shoal.shop.base import Verbs


class OutsideVerbs(Verbs):
    """about data from outside the event log: covariates and items."""
