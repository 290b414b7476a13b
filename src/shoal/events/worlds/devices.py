"""The devices of customers: browsers and apps of their own, and a browser of somebody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.segments import DEVICES

Ints = npt.NDArray[np.int64]

MOBILE: Final = DEVICES.index("mobile")
TABLET: Final = DEVICES.index("tablet")
#: A customer's devices are slots: browsers from 0 on, then the app; a kiosk has its own slot.
BROWSERS: Final = 4
APP_SLOT: Final = BROWSERS
SLOTS: Final = 8
KIOSK_SLOT: Final = 7


@dataclass(frozen=True)
class Devices:
    """The devices of a block of customers.

    `owner` and `type` are (customers, `BROWSERS` + 1): whose device it is (a place in the block; a
    shared one belongs to another customer) and its code in `DEVICES`; `count` how many browsers a
    customer uses.
    """

    owner: Ints
    type: Ints
    count: Ints


def assign(
    main: Ints, counts: tuple[float, ...], shared: float, rng: np.random.Generator
) -> Devices:
    """Draw the devices of customers.

    Args:
        main: code in `DEVICES` of each customer's usual device.
        counts: weights of having 1, 2, ... browsers.
        shared: share of customers who also use the first browser of somebody else.
    """
    n = len(main)
    edges = np.cumsum(counts) / np.sum(counts)
    count = 1 + (rng.random(n)[:, None] >= edges[:-1]).sum(axis=1)
    kind = rng.integers(0, len(DEVICES), (n, BROWSERS + 1))
    kind[:, 0] = main
    kind[:, APP_SLOT] = np.where(main == TABLET, TABLET, MOBILE)
    owner = np.repeat(np.arange(n)[:, None], BROWSERS + 1, axis=1)
    # Households are pairs of a random order: the second uses the first one's browser too.
    order = rng.permutation(n)
    pairs = round(shared * n)
    host, guest = order[:pairs], order[pairs : 2 * pairs]
    host = host[: len(guest)]
    count[guest] = np.minimum(count[guest] + 1, BROWSERS)
    last = count[guest] - 1
    owner[guest, last] = host
    kind[guest, last] = main[host]
    return Devices(owner=owner, type=kind, count=count)
