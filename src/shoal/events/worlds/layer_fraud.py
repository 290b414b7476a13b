"""Fraud laid over a world: rings of accounts, lone fraudsters, taken-over accounts, look-alikes.

Here every visit shows its device (the anonymous id) and every purchase by card or wallet its card.
Rings share both; so do families, which are honest. See `fraud_cases` for who does what and
`fraud_traces` for what it leaves in the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.domain.errors import UsageError
from shoal.events.worlds.fraud_cases import Cases, draw_cases
from shoal.events.worlds.fraud_traces import chargebacks, leave_traces, truth_tables
from shoal.events.worlds.layers import Draft, Setting

#: Dials that are shares or probabilities.
_SHARES: Final = (
    "share", "rings", "lone", "takeovers", "accounts_more_share", "orders_more", "devices", "cards",
    "night", "electronics", "price_level", "elsewhere", "charged_back", "family", "family_device",
    "family_card", "night_spenders", "gifts", "disputed",
)  # fmt: skip


@dataclass(frozen=True)
class Fraud:
    """How much fraud there is, and what it looks like at difficulty 0.5.

    Towards difficulty 1 the odds of every telling trait fall to a quarter, and fraudsters browse
    2.5 times as much, use twice the devices and cards and take three times as long; towards 0 the
    other way round.
    """

    #: share of all orders, and how it divides among the kinds
    share: float = 0.010
    rings: float = 0.65
    lone: float = 0.20
    takeovers: float = 0.15
    #: accounts of a ring: the least, and the mean number more (binomial of at most `accounts_more`)
    accounts: int = 3
    accounts_more: int = 6
    accounts_more_share: float = 0.4
    #: days within which a ring opens its accounts, and mean days from an account to an order
    burst_days: float = 4.0
    order_days: float = 3.0
    #: orders of an account: one, and a binomial number of at most two more
    orders_more: float = 0.4
    #: devices and cards of a ring, for each of its accounts
    devices: float = 0.3
    cards: float = 0.35
    #: telling traits: ordered at night, electronics, price level, shipped to another region
    night: float = 0.6
    electronics: float = 0.75
    price_level: float = 0.75
    elsewhere: float = 0.45
    #: views before a fraudulent order, on average
    browse: float = 1.2
    #: share charged back, and median days until then (logarithm's standard deviation 0.5)
    charged_back: float = 0.65
    charged_back_days: float = 25.0
    #: honest: share of customers in families of two to four, of visits on the family's device, of
    #: members who pay with its card
    family: float = 0.06
    family_device: float = 0.6
    family_card: float = 0.7
    #: honest: regular customers who order dear electronics at night, gifts, disputed orders
    night_spenders: float = 0.012
    gifts: float = 0.04
    disputed: float = 0.001

    def __post_init__(self) -> None:
        for name in _SHARES:
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    "bad_dial", f"dial {name} of fraud cannot be {getattr(self, name)!r}",
                    hint="Give a share: at least 0 and below 1.",
                )  # fmt: skip

    def plan(self, setting: Setting, rng: np.random.Generator) -> _Plan:
        """Nothing holds for the whole shop: a ring lives in one block of customers."""
        return _Plan(self, setting)


@dataclass
class _Plan:
    """The frauds of one shop."""

    layer: Fraud
    setting: Setting
    _cases: Cases | None = None

    def shape_sessions(self, draft: Draft, rng: np.random.Generator) -> None:
        """Put the visits of fraudsters and of their look-alikes among those of customers."""
        self._cases = draw_cases(self.layer, draft, rng)

    def shape_visits(
        self, draft: Draft, rows: npt.NDArray[np.void], rng: np.random.Generator
    ) -> npt.NDArray[np.void]:
        """Nothing: orders of fraudsters are ordinary ones."""
        return rows

    def shape_events(self, draft: Draft, rng: np.random.Generator) -> None:
        """Show devices and cards, ship elsewhere, charge back, and write down who did what."""
        cases = self._cases
        if cases is None:
            return
        leave_traces(self.layer, cases, draft, rng)
        refunds, when = chargebacks(self.layer, cases, draft, rng)
        for name, table in truth_tables(cases, draft, when).items():
            draft.truth.setdefault(name, []).append(table)
        draft.events = np.concatenate((draft.events, refunds))
        self._cases = None

    def tables(self) -> dict[str, pa.Table]:
        """No table of the whole shop: every one is by customer."""
        return {}
