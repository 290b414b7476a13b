"""Verbs about persons: how they came together, all that is known of them, forgetting them."""

from __future__ import annotations

from shoal.shop.base import Verbs


class PeopleVerbs(Verbs):
    """about persons: how they came together, all that is known of them, forgetting them."""
