"""Verbs about money: currency rates and the reconciliation with the books."""

from __future__ import annotations

from shoal.shop.base import Verbs


class MoneyVerbs(Verbs):
    """about money: currency rates and the reconciliation with the books."""
