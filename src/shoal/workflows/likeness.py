"""A real log that a simulated world is to be like: read, and checked for what it can tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain import kinds
from shoal.domain.errors import InputError
from shoal.domain.time import DAY_US
from shoal.evaluation.log_tally import Contents, contents_of
from shoal.features.behaviour_log import BehaviourLog, behaviour_log, currencies_of
from shoal.features.queries import Rules
from shoal.ports import Engine, Relation

#: What a log must hold for its moments to mean anything.
LEAST_CUSTOMERS: Final = 100
LEAST_ORDERS: Final = 50
LEAST_DAYS: Final = 3


@dataclass(frozen=True)
class Likeness:
    """A log to be like.

    `first_day` is its first local day, days since 1970, and `days` the number of its local days;
    `currency` is empty where the log states none.
    """

    where: str
    zone: str
    currency: str
    log: BehaviourLog
    contents: Contents
    first_day: int
    days: int

    @property
    def start(self) -> datetime:
        """Local midnight of the first day."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=self.first_day)

    def as_document(self) -> dict[str, Any]:
        """What was read, as plain JSON values."""
        last = self.start + timedelta(days=self.days - 1)
        return {
            "log": self.where, "zone": self.zone, "currency": self.currency or None,
            "customers": self.log.customers, "events": self.log.events,
            "customers_read": self.log.read, "from": self.start.date().isoformat(),
            "to": last.date().isoformat(), "days": self.days,
            "kinds": list(self.contents.kinds), "kinds_left_out": list(self.contents.left_out),
        }  # fmt: skip


def read_likeness(
    engine: Engine, events: Relation, rules: Rules, *, where: str, zone: str
) -> Likeness:
    """The log of a shop's events as they count.

    Amounts of several currencies are not added: then the log tells no prices.

    Args:
        events: of the event table, admitted.
        where: what the log is called.
        zone: the shop's, in which the events' local times are.

    Raises:
        InputError: `too_little_data`, with what is there and what is needed.
    """
    if rules.value_event != kinds.PURCHASE:
        raise _too_little(
            where, f"the shop buys by {rules.value_event!r} and not by purchases",
            "Simulated shops sell: a log of purchases is needed to be like.",
        )  # fmt: skip
    log = behaviour_log(engine, events, rules)
    currencies = currencies_of(engine, events, rules)
    if len(set(currencies)) > 1:
        unpriced = pa.nulls(len(log.log), pa.float64())
        table = log.log.set_column(log.log.column_names.index("paid"), "paid", unpriced)
        log = BehaviourLog(table, log.customers, log.events, log.read)
    contents = contents_of(log.log)
    first, last = _days(log)
    _check(log, contents, first, last, where)
    return Likeness(
        where=where, zone=zone, currency=currencies[0] if len(currencies) == 1 else "",
        log=log, contents=contents, first_day=first, days=last - first + 1,
    )  # fmt: skip


def _days(log: BehaviourLog) -> tuple[int, int]:
    if not len(log.log):
        return 0, 0
    day = log.log["local_us"].to_numpy() // DAY_US
    return int(day.min()), int(day.max())


def _check(log: BehaviourLog, contents: Contents, first: int, last: int, where: str) -> None:
    """Refuse a log whose moments would be noise."""
    need = (
        f"At least {LEAST_CUSTOMERS} customers with {LEAST_ORDERS} purchases over {LEAST_DAYS} "
        "days are needed to calibrate on."
    )
    if not log.customers:
        raise _too_little(where, "the log names no customer", need)
    bought = log.log.filter(pc.equal(log.log["kind"], kinds.PURCHASE))
    if not len(bought):
        held = ", ".join((*contents.kinds, *contents.left_out)) or "nothing"
        raise _too_little(where, f"the log holds no purchase; it holds {held}", need)
    days = last - first + 1
    there = f"{log.customers:,} customers with {len(bought):,} purchases over {days:,} days"
    if days == 1 and len(np.unique(log.log["local_us"].to_numpy())) == 1:
        there = f"{log.customers:,} customers, all of whose events lie at one moment"
    if log.customers < LEAST_CUSTOMERS or len(bought) < LEAST_ORDERS or days < LEAST_DAYS:
        raise _too_little(where, f"the log holds {there}", need)


def _too_little(where: str, what: str, need: str) -> InputError:
    return InputError("too_little_data", what, where=where, hint=need)
