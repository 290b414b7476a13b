"""The `properties` column: one JSON object a row, its keys sorted, everything not canonical."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.events.texts import Column, as_text

Mask = NDArray[np.bool_]
Notes = Sequence[tuple[Mapping[str, str], Mask]]


def pack_properties(
    given: Column | None,
    columns: Mapping[str, Column],
    notes: Notes,
    text_of: Callable[[str], pa.Array],
    rows: int,
) -> tuple[pa.Array | None, Mask]:
    """(JSON texts or None where there are no properties at all, mask of unreadable rows).

    Args:
        given: a raw column that holds JSON objects already.
        columns: raw columns to be kept as texts, by their names.
        notes: what rules add: property -> text with {column} places, and on which rows.
        text_of: the text of a (canonical or source) column, for the places.
    """
    bad = np.zeros(rows, dtype=bool)
    packed = _members(columns)
    noted = [note for note in notes if note[1].any()]
    if given is None and not noted:
        return packed, bad
    base: list[dict[str, Any]] = [{} for _ in range(rows)] if noted or packed is not None else []
    if given is not None:
        objects, bad = _objects(as_text(given))
        if not base:
            return objects, bad
        base = [json.loads(text) if text else {} for text in objects.to_pylist()]
    if packed is not None:
        for row, text in zip(base, packed.to_pylist(), strict=True):
            row.update(json.loads(text) if text else {})
    for note, mask in noted:
        _add_note(base, note, mask, text_of)
    return pa.array([_dumps(row) if row else None for row in base], pa.string()), bad


def _members(columns: Mapping[str, Column]) -> pa.Array | None:
    """JSON objects of text members, put together by joins; null where every member is null."""
    if not columns:
        return None
    members = []
    for name in sorted(columns):
        text = as_text(columns[name], integral=True)
        coded = text.dictionary_encode()
        quoted = [
            f",{json.dumps(name, ensure_ascii=False)}:{json.dumps(value, ensure_ascii=False)}"
            for value in coded.dictionary.to_pylist()
        ]
        members.append(pa.array(quoted, pa.string()).take(coded.indices))
    # Not null_handling="skip": it drops the rows of which every member is null.
    joined = pc.binary_join_element_wise(*members, "", null_handling="replace", null_replacement="")
    empty = pc.equal(joined, "")
    joined = pc.utf8_ltrim(joined, characters=",")
    braced = pc.binary_join_element_wise("{", joined, "}", "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), braced)


def _objects(text: pa.Array) -> tuple[pa.Array, Mask]:
    """JSON objects written in one way (keys sorted, no spaces); a mask of what is none."""
    coded = text.dictionary_encode()
    written: list[str | None] = []
    wrong: list[bool] = []
    for value in coded.dictionary.to_pylist():
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = None
        ok = isinstance(found, dict)
        written.append(_dumps(found) if ok and found else None)
        wrong.append(not ok)
    place = coded.indices.fill_null(len(written)).to_numpy(zero_copy_only=False)
    bad = np.array([*wrong, False], dtype=bool)[place]
    return pa.array([*written, None], pa.string()).take(pa.array(place)), bad


def _add_note(
    base: list[dict[str, Any]],
    note: Mapping[str, str],
    mask: Mask,
    text_of: Callable[[str], pa.Array],
) -> None:
    rows = np.flatnonzero(mask)
    for key, template in note.items():
        parts = template.replace("}", "{").split("{")
        places = {name: text_of(name).take(pa.array(rows)).to_pylist() for name in parts[1::2]}
        for i, row in enumerate(rows):
            pieces = [
                (places[part][i] or "") if odd % 2 else part for odd, part in enumerate(parts)
            ]
            base[row][key] = "".join(pieces)


def _dumps(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
