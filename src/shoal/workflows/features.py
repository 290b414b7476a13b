"""Write the features of all customers at a moment to a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, iso
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment, write_snapshot
from shoal.ports import Warehouse
from shoal.workflows.admission import Admission


@dataclass(frozen=True)
class WrittenFeatures:
    """A written snapshot: `rows` customers, `columns` features, as of a moment."""

    path: Path
    rows: int
    columns: int
    as_of: datetime
    catalog: str

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.features/1`."""
        return {
            "schema": "shoal.features/1",
            "path": str(self.path),
            "customers": self.rows,
            "features": self.columns,
            "as_of": iso(self.as_of),
            "catalog": self.catalog,
        }


def write_features(
    *,
    warehouse: Warehouse,
    fold: Fold,
    admission: Admission,
    zone: Zone,
    out: Path,
    as_of: datetime | None = None,
    version: int | None = None,
) -> WrittenFeatures:
    """Write one Parquet row a customer with an event before the moment, sorted by customer.

    Args:
        as_of: T, aware; None for just after the latest event.
        version: of the event table; None for the latest.

    Raises:
        UsageError: `unknown_format`, the file's name does not end in `.parquet`.
        InputError: `too_little_data`, no event of a customer before the moment.
        OperationError: `no_permission` or `disk_full`.
    """
    if out.suffix != ".parquet":
        raise UsageError(
            "unknown_format",
            f"features are written as Parquet, not as {out.suffix or 'a file without ending'}",
            where=str(out),
            hint="Give --out a name that ends in .parquet.",
        )
    moment = as_of or latest_moment(warehouse, version=version)
    counted = admission.at(moment, version=version)
    rows = write_snapshot(out, counted, fold, zone=zone, as_of=moment, version=version)
    return WrittenFeatures(out, rows, len(fold.catalog.names), moment, fold.catalog.fingerprint)
