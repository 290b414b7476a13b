"""What rules may ask about in a shop, and rules of a file held to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from shoal.domain.errors import ShoalError
from shoal.domain.segment import TIER_NEW
from shoal.features.algebra import ValueType
from shoal.features.catalog import Catalog
from shoal.ports import Registry, StateStore
from shoal.segments import artefact
from shoal.segments.base import CUSTOMER
from shoal.segments.ruled.batch import segmentations
from shoal.segments.ruled.document import checked, of_document, read
from shoal.segments.ruled.known import NEXT_PERIOD, Known
from shoal.segments.ruled.language import Rule, RuleSet
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.segments.ruled.written import as_document
from shoal.segments.rules import NAMES, Rfm
from shoal.workflows.hiding import personal_of
from shoal.workflows.rule_columns import CURRENT, main_head

#: A file of rules, or rules made in Python.
Rules = str | Path | RuleSet | Rule | Mapping[str, Any]


def known_of(
    store: StateStore, registry: Registry, catalog: Catalog, more: pa.Table | None = None
) -> Known:
    """Names that rules may use: the catalog's, what the main segmentation's head expects, columns
    of a table beside them, segments."""
    segments = {name: _segments(registry, name) for name in registry.list(artefact.KIND)}
    for name, pointer in CURRENT.items():
        target = store.get_pointer(pointer)
        if target in segments:
            segments[name] = segments[target]
    told: dict[str, ValueType] = {} if more is None else _types(more)
    head = main_head(store, registry)
    foretold = () if head is None else head[0].foretold
    expected = {name: NEXT_PERIOD[name] for name in foretold}
    return Known.of(catalog, segments, expected | told, personal_of(store))


def rules_of(rules: Rules, known: Known) -> RuleSet:
    """The rules of a file, a document or Python, checked against what may be asked.

    Raises:
        InputError: `input_missing`, `input_unreadable`.
        UsageError: `bad_rule`.
    """
    if isinstance(rules, RuleSet | Rule):
        return checked(rules, known)
    if isinstance(rules, Mapping):
        return of_document(rules, known)
    return read(Path(rules), known)


def lasting(rules: RuleSet, store: StateStore) -> RuleSet:
    """Rules that ask for segments of this version of a segmentation, whatever comes after it."""
    names = {
        name: store.get_pointer(CURRENT[name])
        for name in segmentations(*rules.rules.values())
        if name in CURRENT
    }
    if not names:
        return rules
    return of_document(_renamed(as_document(rules), names))


def _renamed(node: Any, names: Mapping[str, str | None]) -> Any:
    if isinstance(node, list):
        return [_renamed(one, names) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: _renamed(value, names) for key, value in node.items()}
    if "segment" in found:
        of = found.get("of", "main")
        found["of"] = names.get(of) or of
    return found


def _segments(registry: Registry, segmentation_id: str) -> tuple[str, ...]:
    """Ids of a published segmentation, empty ones among them; none where it cannot be read."""
    path = registry.directory(artefact.KIND, segmentation_id) / "segmentation.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        told = tuple(one["segment_id"] for one in document["segments"])
        if document["method"] == RuleSegmenter.method:
            told = RuleSegmenter.from_artefact(document["learned"], {}).segment_ids
        elif document["method"] == Rfm.method:
            told = tuple(NAMES)
        else:  # nobody may be too little known at the moment
            told = tuple(dict.fromkeys((*told, TIER_NEW)))
    except (OSError, ValueError, KeyError, ShoalError):
        return ()
    return told


def _types(table: pa.Table) -> dict[str, ValueType]:
    """What the columns of a table hold."""
    found: dict[str, ValueType] = {}
    for field in table.schema:
        if field.name == CUSTOMER:
            continue
        if pa.types.is_integer(field.type):
            found[field.name] = "count"
        elif pa.types.is_floating(field.type):
            found[field.name] = "number"
        elif pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            found[field.name] = "text"
    return found
