"""Noise: events that are no customer's behaviour, and the code of the rule that caught them.

Two kinds of rules. Rules on one row mark the event when it is stored (column `noise`): robots by
their agent string, the shop's own people by their address, test and staff orders by the mapping.
Rules on a visitor's pace flag visitor-days afterwards. Marked events stay in the event table, are
counted, and are left out of features while their rule is switched on.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from shoal.domain.kinds import CART_ADD, CLICK, FAVOURITE, SEARCH, VIEW

#: code -> one line for a person.
RULES: Final = MappingProxyType(
    {
        "agent": "the agent string is that of a robot",
        "address": "the address is one of the shop's own",
        "test_order": "the source says that the order is a test",
        "staff_order": "the source says that the order is a member of staff's",
        "identity": "the event tells of identity, not of behaviour",
        "rate": "more events in a short time than a person makes",
        "no_think_time": "long runs of events with no time to look between them",
    }
)

#: What a rule of a mapping may mark.
ORDER_NOISE: Final = ("test_order", "staff_order")

#: What an un-merging is marked by.
IDENTITY: Final = "identity"

#: Rules on one row: what the column `noise` may hold.
ROW_RULES: Final = ("agent", "address", *ORDER_NOISE, IDENTITY)

#: Rules on a visitor's pace.
PACE_RULES: Final = ("rate", "no_think_time")

#: What the shop's own account of an export is marked by (`shoal.workflows.exposures`): who was sent
#: to and who was held out is told of customers, it is nothing that they did. No rule catches it and
#: no setting lets it count.
DELIVERY: Final = "delivery"

#: Kinds of event that are looking around: the pace rules count no other.
BROWSING: Final = (VIEW, SEARCH, CLICK, CART_ADD, FAVOURITE)
