"""Cells of a WooCommerce order export that hold several things: line items, fees, refunds.

Source: WooCommerce documentation, "Customer/Order/Coupon Export" (CSV formats): entries are joined
by `;`, the fields of one by `|`, each `name:value`, with `\\` before a reserved sign; or, in
formats that say so, a cell holds JSON.
"""

from __future__ import annotations

import html
import json
import re
from typing import Final

from shoal.events.texts import raw_text

Entry = dict[str, str]

_ENTRIES: Final = re.compile(r"(?<!\\);")
_FIELDS: Final = re.compile(r"(?<!\\)\|")
_NAME: Final = re.compile(r"(?<!\\):")
_ESCAPED: Final = re.compile(r"\\([:|;])")
#: Exports put a quote before cells that a spreadsheet would take for a formula.
_FORMULA: Final = ("'=", "'+", "'-", "'@")


def entries(cell: str | None) -> list[Entry] | None:
    """The entries of a cell; empty for an empty cell, None where it cannot be read.

    >>> entries("id:1|name:Cup\\\\: blue|quantity:2;id:2|name:Pot|quantity:1")
    [{'id': '1', 'name': 'Cup: blue', 'quantity': '2'}, {'id': '2', 'name': 'Pot', 'quantity': '1'}]
    """
    if not cell:
        return []
    if cell.lstrip().startswith(("[", "{")):
        return _of_json(cell)
    found = []
    for entry in _ENTRIES.split(cell):
        if not entry.strip():
            continue
        fields = [_NAME.split(field, maxsplit=1) for field in _FIELDS.split(entry)]
        if any(len(field) != 2 for field in fields):
            return None
        found.append({name.strip(): _ESCAPED.sub(r"\1", value) for name, value in fields})
    return found


def _of_json(cell: str) -> list[Entry] | None:
    try:
        read = json.loads(cell)
    except ValueError:
        return None
    if isinstance(read, dict):
        read = list(read.values()) if all(isinstance(v, dict) for v in read.values()) else [read]
    if not isinstance(read, list) or not all(isinstance(entry, dict) for entry in read):
        return None
    return [
        {str(name): html.unescape(raw_text(value) or "") for name, value in entry.items()}
        for entry in read
    ]


def plain_cell(value: str | None) -> str:
    """A cell trimmed, without the quote that guards spreadsheets against formulas."""
    text = (value or "").strip()
    return text[1:] if text.startswith(_FORMULA) else text
