"""Nested layouts: what unpacks their rows into flat ones, one fact a row, for a mapping to read.

A shape turns the rows of a file (an order with its lines, a visit's hit with its items) into flat
rows that a mapping's columns name. The account counts the flat rows: a nested row that holds three
facts is three rows read, one that holds none is one row skipped (the flat column `_skip` says why).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.events.chunks import Source
    from shoal.events.mapping import SourceMapping

#: A flat row with a text here is counted as skipped.
SKIP: Final = "_skip"

#: Shape -> the module that opens files of it, with a function `open_shaped`.
_MODULES: Final = {
    "ga4": "shoal.events.shapes.ga4",
    "segment-spec": "shoal.events.shapes.segment_spec",
    "shopify-orders": "shoal.events.shapes.shopify_orders",
    "shopify-bulk": "shoal.events.shapes.shopify_bulk",
    "woocommerce-orders": "shoal.events.shapes.woocommerce_orders",
}
SHAPES: Final = tuple(_MODULES)


class Opener(Protocol):
    """A module of a shape."""

    def open_shaped(self, path: Path, mapping: SourceMapping, rows_per_chunk: int) -> Source:
        """The file as a source of flat rows (`shoal.events.chunks.Source`).

        Raises:
            InputError: `input_unreadable`, `input_empty`, `unknown_columns`.
        """


def open_shaped(path: Path, mapping: SourceMapping, rows_per_chunk: int) -> Source:
    """The file, read by the mapping's shape."""
    module = cast(Opener, import_module(_MODULES[mapping.shape]))
    return module.open_shaped(path, mapping, rows_per_chunk)
