"""A segmentation on disk: an immutable, versioned directory that any process can read.

segmentation.json     method, parameters, versions, choice of k, segments, warnings
profiles.json         a profile a segment
lineage.json          what became of the segments of the version before (where there was one)
explanation.json      the tree, rules and effects that explain the segments
members.parquet       customer_id, segment_id, weight at the moment it was made
arrays.safetensors    what the method learned, as plain arrays (nothing is unpickled)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.segment import Segment, Segmentation
from shoal.domain.text import Text
from shoal.domain.time import parse_moment
from shoal.features.tastes import Vocabulary
from shoal.ports import Registry
from shoal.segments.base import CUSTOMER, Segmenter
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.segments.rules import Rfm

KIND: Final = "segmentation"
SCHEMA: Final = "shoal.segmentation/1"
PROFILES_SCHEMA: Final = "shoal.profiles/1"

#: Further documents that an artefact may hold, and their schemas.
EXTRAS: Final[Mapping[str, str]] = {
    "lineage": "shoal.lineage/1",
    "explanation": "shoal.explanation/1",
}

#: Pointers to the current segmentations.
MAIN: Final = "segmentation.main"
RFM: Final = "segmentation.rfm"
RULES: Final = "segmentation.rules"
#: Methods that stand beside a learned main segmentation, and their pointers.
BESIDE: Final[Mapping[str, str]] = {Rfm.method: RFM, RuleSegmenter.method: RULES}

MEMBERS_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        pa.field("segment_id", pa.string()),
        pa.field("weight", pa.float64()),
    ]
)


@dataclass(frozen=True)
class SegmentationArtefact:
    """A segmentation read back: its documents, its members, and the segmenter itself."""

    document: Mapping[str, Any]
    profiles: Mapping[str, Any]
    members: pa.Table
    segmenter: Segmenter
    vocabulary: Vocabulary
    extras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def extra(self, name: str) -> Mapping[str, Any] | None:
        """The further document of that name, such as `lineage`; None if it has none."""
        return self.extras.get(name)

    @property
    def segmentation_id(self) -> str:
        return str(self.document["segmentation_id"])

    @property
    def trained_until(self) -> datetime:
        """Nothing at or after this moment was used."""
        return parse_moment(self.document["trained_until"])

    def segmentation(self) -> Segmentation:
        """The noun: id, method, moments and segments."""
        return Segmentation(
            self.segmentation_id,
            self.document["method"],
            parse_moment(self.document["as_of"]),
            self.trained_until,
            tuple(
                Segment(one["segment_id"], Text(**one["name"]), one["size"], one["share"])
                for one in self.document["segments"]
            ),
        )

    def profile_name(self, segment_id: str) -> str:
        """The English name of a segment; its id where nobody was in it when it was made."""
        known = {one["segment_id"]: one["name"]["en"] for one in self.document["segments"]}
        return str(known.get(segment_id, segment_id))

    def profile(self, segment_id: str) -> Mapping[str, Any]:
        """The profile of a segment.

        Raises:
            UsageError: `unknown_segment`, with the ids there are.
        """
        known = {one["segment_id"]: one for one in self.profiles["segments"]}
        if segment_id not in known:
            raise UsageError(
                "unknown_segment",
                f"{self.segmentation_id} has no segment {segment_id!r}",
                where=self.segmentation_id,
                hint=f"Its segments are: {', '.join(known)}.",
            )
        return known[segment_id]


def write(
    registry: Registry,
    segmenter: Segmenter,
    vocabulary: Vocabulary,
    document: Mapping[str, Any],
    profiles: Mapping[str, Any],
    members: pa.Table,
    extra: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Publish a segmentation; its id (`kmeans-0001`).

    `document` and `profiles` get schema and id; `members` has `MEMBERS_SCHEMA`. Each document of
    `extra` is written as NAME.json; names are those of `EXTRAS`.
    """
    with registry.create(KIND, segmenter.method) as directory:
        segmentation_id = directory.name
        learned, arrays = segmenter.to_artefact()
        head = {"schema": SCHEMA, "segmentation_id": segmentation_id, "method": segmenter.method}
        tail = {"learned": learned, "vocabulary": vocabulary.to_document()}
        _write_json(directory / "segmentation.json", {**head, **document, **tail})
        head = {"schema": PROFILES_SCHEMA, "segmentation_id": segmentation_id}
        _write_json(directory / "profiles.json", {**head, **profiles})
        for name, more in (extra or {}).items():
            head = {"schema": EXTRAS[name], "segmentation_id": segmentation_id}
            _write_json(directory / f"{name}.json", {**head, **more})
        pq.write_table(
            members.cast(MEMBERS_SCHEMA), directory / "members.parquet", compression="zstd"
        )
        if arrays:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in arrays.items()},
                directory / "arrays.safetensors",
            )
    return segmentation_id


def read(registry: Registry, segmentation_id: str) -> SegmentationArtefact:
    """A published segmentation, after its checksums were verified.

    Raises:
        UsageError: `unknown_segmentation`, with the ids there are.
        OperationError: `artefact_damaged`; `shop_newer` if a newer Shoal wrote it.
    """
    known = registry.list(KIND)
    if segmentation_id not in known:
        raise UsageError(
            "unknown_segmentation",
            f"the shop has no segmentation {segmentation_id!r}",
            where=segmentation_id,
            hint=f"Known: {', '.join(known)}." if known else "Make one with: shoal segment SHOP",
        )
    directory = registry.path(KIND, segmentation_id)
    document = _read_json(directory / "segmentation.json", SCHEMA)
    arrays_file = directory / "arrays.safetensors"
    arrays = load_file(arrays_file) if arrays_file.exists() else {}
    return SegmentationArtefact(
        document,
        _read_json(directory / "profiles.json", PROFILES_SCHEMA),
        pq.read_table(directory / "members.parquet"),
        class_of(document["method"]).from_artefact(document["learned"], arrays),
        Vocabulary.from_document(document["vocabulary"]),
        {
            name: _read_json(directory / f"{name}.json", schema)
            for name, schema in EXTRAS.items()
            if (directory / f"{name}.json").exists()
        },
    )


def document_of(registry: Registry, segmentation_id: str) -> dict[str, Any] | None:
    """`segmentation.json` as it lies there, its checksum not verified; None if unreadable."""
    path = registry.directory(KIND, segmentation_id) / "segmentation.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "method" in found else None


def lineage_of(registry: Registry, segmentation_id: str) -> dict[str, Any] | None:
    """`lineage.json` as it lies there; None where there is none that can be read."""
    path = registry.directory(KIND, segmentation_id) / "lineage.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "changes" in found else None


def class_of(method: str) -> type[Segmenter]:
    """The class whose `from_artefact` reads a method's artefacts.

    What clusters is loaded when it is asked for: scikit-learn takes longer to load than all else
    that a shop of rules needs.

    Raises:
        KeyError: no such method.
    """
    for ruled in (Rfm, RuleSegmenter):
        if method == ruled.method:
            return ruled
    from shoal.segments.clustered import ClusterSegmenter
    from shoal.segments.methods.registry import CLUSTERERS

    return dict.fromkeys(CLUSTERERS, ClusterSegmenter)[method]


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    """One line a member, and of lists of objects one line an object: profiles and explanations are
    long, and indenting every number takes as long as finding some of them."""
    members = (f"{_json(key)}: {_lines(value)}" for key, value in document.items())
    path.write_text("{\n" + ",\n".join(members) + "\n}\n", encoding="utf-8")


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not any(isinstance(one, Mapping) for one in value):
        return _json(value)
    return "[\n " + ",\n ".join(map(_json, value)) + "\n]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _read_json(path: Path, schema: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if document["schema"] != schema:
        raise OperationError(
            "shop_newer",
            f"{path.name} has the schema {document['schema']}, this version reads {schema}",
            where=str(path),
            hint="Upgrade Shoal.",
        )
    return document
