"""Verbs about the state of the data: quality checks and noise."""

from __future__ import annotations

from shoal.shop.base import Verbs


class QualityVerbs(Verbs):
    """about the state of the data: quality checks and noise."""
