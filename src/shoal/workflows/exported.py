"""What an export can be written as, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from shoal.domain.time import iso

#: Every form by name, and the endings that its file may have (a query's may be any).
FORMATS: Final[Mapping[str, tuple[str, ...]]] = {
    "csv": (".csv",),
    "parquet": (".parquet",),
    "sql": (),
    "klaviyo": (".csv",),
    "segment": (".jsonl",),
    "history": (".parquet", ".csv"),
}
#: Forms that are no list of whom to write to: nothing to send, nothing to hold out.
NO_LISTS: Final = ("sql", "history")


@dataclass(frozen=True)
class Exported:
    """A written export: `rows` members as of the shop's now.

    `members` is the segment's size; of them `without_consent`, then `without_address`, then
    `held_out` were left out. None: not asked of this form. `entered` and `exited` where changes
    were asked for: `rows` counts both.
    """

    path: Path
    rows: int
    format: str
    segmentation_id: str
    segment_id: str
    as_of: datetime
    warnings: tuple[str, ...] = ()
    channel: str = ""
    members: int | None = None
    without_consent: int | None = None
    without_address: int | None = None
    held_out: int | None = None
    entered: int | None = None
    exited: int | None = None
    exited_path: Path | None = None
    delivery: Mapping[str, Any] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.export/1`."""
        return {
            "schema": "shoal.export/1",
            "path": str(self.path),
            "format": self.format,
            "customers": self.rows,
            "segmentation_id": self.segmentation_id,
            "segment_id": self.segment_id,
            "as_of": iso(self.as_of),
            "channel": self.channel or None,
            "members": self.members,
            "without_consent": self.without_consent,
            "without_address": self.without_address,
            "held_out": self.held_out,
            "entered": self.entered,
            "exited": self.exited,
            "exited_path": None if self.exited_path is None else str(self.exited_path),
            "delivery": dict(self.delivery) or None,
            "warnings": list(self.warnings),
        }
