"""Deliveries: what was exported to which destination, so that the next one says what changed.

Each is an artefact of the kind `delivery` (`export-0001`, ...):

delivery.json         what was asked, by whom, when, and the counts
customers.parquet     customer_id, held_out: everybody of the list as it stood, and who was held out

Persons who are forgotten go from it like from every artefact.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.domain.errors import OperationError
from shoal.domain.time import parse_moment
from shoal.ports import Registry
from shoal.segments.base import CUSTOMER

KIND: Final = "delivery"
STEM: Final = "export"
SCHEMA: Final = "shoal.delivery/1"

HELD_OUT: Final = "held_out"
CUSTOMERS_SCHEMA: Final = pa.schema(
    [pa.field(CUSTOMER, pa.string()), pa.field(HELD_OUT, pa.bool_())]
)

_DOCUMENT: Final = "delivery.json"
_CUSTOMERS: Final = "customers.parquet"


@dataclass(frozen=True)
class Listed:
    """The customers of a list as it stands: on it, and held out of it. Both sorted, distinct."""

    customers: pa.Array
    held_out: pa.Array

    @classmethod
    def nobody(cls) -> Listed:
        """An empty list."""
        none = pa.array([], pa.string())
        return cls(none, none)


@dataclass(frozen=True)
class Delivery:
    """A recorded export."""

    delivery_id: str
    document: Mapping[str, Any]

    @property
    def as_of(self) -> datetime:
        return parse_moment(self.document["as_of"])

    def is_to(self, destination: str, segment_id: str) -> bool:
        """Whether it put a list of the segment at a destination."""
        told = (self.document["destination"], self.document["segment_id"])
        return told == (destination, segment_id)


def write(registry: Registry, document: Mapping[str, Any], listed: Listed) -> str:
    """Record a delivery; its id. The caller holds the shop's lease.

    Raises:
        OperationError: `disk_full`, `no_permission`.
    """
    with registry.create(KIND, STEM) as directory:
        head = {"schema": SCHEMA, "delivery_id": directory.name}
        text = json.dumps({**head, **document}, ensure_ascii=False, indent=1)
        (directory / _DOCUMENT).write_text(text + "\n", encoding="utf-8")
        held = pa.concat_arrays(
            [
                pa.repeat(pa.scalar(held), len(some))
                for held, some in ((False, listed.customers), (True, listed.held_out))
            ]
        )
        names = pa.concat_arrays([listed.customers, listed.held_out])
        pq.write_table(
            pa.table([names, held], schema=CUSTOMERS_SCHEMA), directory / _CUSTOMERS,
            compression="zstd",
        )  # fmt: skip
        return directory.name


def deliveries(registry: Registry) -> list[Delivery]:
    """Every recorded export, oldest first.

    Raises:
        OperationError: `artefact_damaged`.
    """
    return [_read(registry, name) for name in registry.list(KIND)]


def latest(registry: Registry, destination: str, segment_id: str) -> Delivery | None:
    """The last export of a segment to a destination; None before the first."""
    return next((one for one in _backwards(registry) if one.is_to(destination, segment_id)), None)


def listed(registry: Registry, delivery_id: str) -> Listed:
    """The customers of a recorded export, without who was forgotten since.

    Raises:
        OperationError: `artefact_damaged`.
    """
    table = pq.read_table(registry.path(KIND, delivery_id) / _CUSTOMERS)
    held = table[HELD_OUT]
    on, out = table.filter(pc.invert(held)), table.filter(held)
    return Listed(on[CUSTOMER].combine_chunks(), out[CUSTOMER].combine_chunks())


def _backwards(registry: Registry) -> Iterator[Delivery]:
    return (_read(registry, name) for name in reversed(registry.list(KIND)))


def _read(registry: Registry, name: str) -> Delivery:
    path = registry.directory(KIND, name) / _DOCUMENT
    try:
        return Delivery(name, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise OperationError(
            "artefact_damaged",
            f"the record of {name} cannot be read",
            where=str(path),
            hint=f"Restore it from a backup, or delete {path.parent}: the next export to that "
            "destination then lists everybody.",
        ) from error
