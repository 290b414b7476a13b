"""The doors of the core to the outside: what adapters must offer.

`Engine` runs queries, `Warehouse` keeps the event table, `StateStore` keeps what is online,
`Registry` keeps immutable artefacts, `Inbox` keeps calls that were accepted and are no events yet.
"""

from __future__ import annotations

from shoal.ports.engine import Engine, ParquetFiles, Relation
from shoal.ports.event_table import (
    RESTATED,
    SCOPES_TOLD,
    THIN_FROM,
    THINNED,
    CommittedUnit,
    ErasedRows,
    EventTable,
    LiveWarehouse,
    Trimmed,
    UnitWriter,
    Warehouse,
)
from shoal.ports.inbox import Arrived, Inbox
from shoal.ports.outgoing import AuditLog, Sender, WebhookStore
from shoal.ports.registry import Registry
from shoal.ports.state_store import LiveBatch, LiveStore, StateStore
from shoal.ports.store_parts import (
    CarryStore,
    ErasureStore,
    FlagStore,
    KeyStore,
    PeopleStore,
    Standing,
    StandingStore,
)

__all__ = [
    "RESTATED",
    "SCOPES_TOLD",
    "THINNED",
    "THIN_FROM",
    "Arrived",
    "AuditLog",
    "CarryStore",
    "CommittedUnit",
    "Engine",
    "ErasedRows",
    "ErasureStore",
    "EventTable",
    "FlagStore",
    "Inbox",
    "KeyStore",
    "LiveBatch",
    "LiveStore",
    "LiveWarehouse",
    "ParquetFiles",
    "PeopleStore",
    "Registry",
    "Relation",
    "Sender",
    "Standing",
    "StandingStore",
    "StateStore",
    "Trimmed",
    "UnitWriter",
    "Warehouse",
    "WebhookStore",
]
