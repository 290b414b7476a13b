"""Verbs of who hides: what collection needs where ids or values are hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.shop.base import Verbs

if TYPE_CHECKING:
    from shoal import bootstrap
    from shoal.events.private_calls import PrivateCalls


class HidingVerbs(Verbs):
    """What is hidden before it is written."""

    def private_calls(self) -> PrivateCalls | None:
        """What hides ids and personal values of calls; None: nothing is hidden.

        Raises:
            UsageError: `no_secret`, `bad_secret`, `wrong_secret`, `privacy_changed`.
        """
        return private_calls(self._parts)


def private_calls(parts: bootstrap.Parts) -> PrivateCalls | None:
    """As `HidingVerbs.private_calls`."""
    privacy = parts.privacy
    if privacy is None:
        return None
    from shoal.events.private_calls import PrivateCalls

    return PrivateCalls(privacy)
