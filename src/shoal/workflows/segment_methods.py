"""Which methods segments can be asked of, and what each needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shoal.domain.errors import UsageError
from shoal.segments.methods.density import Density
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.registry import CLUSTERERS
from shoal.segments.methods.seeded import Seeded
from shoal.segments.rules import Rfm

#: Every method; without being asked for one, k-means with the RFM rules beside it.
METHODS: Final = (*CLUSTERERS, Rfm.method)
DEFAULT: Final = (KMeansClusterer.method, Rfm.method)


def beside(methods: Sequence[str]) -> tuple[str, ...]:
    """The methods that were asked for, and the RFM rules beside learned ones.

    >>> beside(("mixture",)), beside(("rfm",))
    (('mixture', 'rfm'), ('rfm',))
    """
    asked = tuple(dict.fromkeys(methods))
    learned = asked and all(method in CLUSTERERS for method in asked)
    return (*asked, Rfm.method) if learned else asked


def check_methods(methods: Sequence[str], labels: str | None = None, k: int | None = None) -> None:
    """Refuse what is no method, none at all, or one that lacks what it needs.

    Args:
        labels: a file or feature of known customers, for `seeded`.
        k: a number of segments that somebody asked for.

    Raises:
        UsageError: `unknown_method`, `usage`.
    """
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        raise UsageError(
            "unknown_method",
            f"no segmentation method {', '.join(map(repr, unknown)) or 'was given'}",
            hint=f"Methods: {', '.join(METHODS)}.",
        )
    if (Seeded.method in methods) != (labels is not None):
        wanted = "needs labels of known customers" if labels is None else "alone takes labels"
        raise UsageError(
            "usage",
            f"the method {Seeded.method} {wanted}; asked for: {', '.join(methods)}",
            hint=f"shoal segment SHOP --method {Seeded.method} --labels FILE, a table with "
            "customer_id and segment, or a text feature such as a trait.",
        )
    if k and Density.method in methods:
        raise UsageError(
            "usage",
            f"k = {k} with the method {Density.method}, which finds the number of segments itself",
            hint="Leave out --k, or cut a hierarchy: --method hierarchy --k K.",
        )
