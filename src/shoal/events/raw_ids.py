"""Ids in rows of the quarantine, which were never read as events: what a cell or a line names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from shoal.events.chunks import RAW_LINE
from shoal.events.texts import id_text

#: Where words end in a line that could not be cut into fields. A colon after a digit does not end
#: one: it stands in times.
_ENDS: Final = r"\s,;|\"'{}\[\]<>="
_WORD: Final = re.compile(rf"(?:[^{_ENDS}:]|(?<=[0-9]):)+")
_BEFORE: Final = rf"(?:^|(?<=[{_ENDS}])|(?<=[^0-9]:))"
_AFTER: Final = rf"(?=$|[{_ENDS}]|(?<![0-9]):)"

#: Ids that hold such characters themselves are looked for in runs of so many words ("auth0|5f7c8").
_WORDS: Final = 4
#: Base64 ends with them.
_PADDING: Final = "="


def texts_of(raw: str, columns: Sequence[str] | None = None) -> Iterator[str]:
    """Every text of a quarantined row that may be an id, written as stored ids are.

    The cells of some columns (None: of all); of a line that could not be cut, its words and runs of
    a few words.
    """
    for text, whole in _parts(raw, columns):
        yield from (id_text(text),) if whole else _cuttings(text)


def names_any(raw: str, ids: frozenset[str], columns: Sequence[str] | None = None) -> bool:
    """Whether a quarantined row holds one of some ids: as `texts_of`, in a line anywhere.

    In a line an id may hold any characters; before and after it no word goes on.
    """
    for text, whole in _parts(raw, columns):
        if whole:
            found = id_text(text) in ids
        else:
            odd = _odd(ids)
            found = not ids.isdisjoint(_cuttings(text)) or bool(odd and odd.search(text))
        if found:
            return True
    return False


def _parts(raw: str, columns: Sequence[str] | None) -> Iterator[tuple[str, bool]]:
    """The texts of a row in which ids are looked for, and whether it is a cell."""
    try:
        row: Any = json.loads(raw)
    except ValueError:
        row = {RAW_LINE: raw}
    for name, value in row.items() if isinstance(row, dict) else ():
        if name == RAW_LINE:
            yield str(value), False
        elif columns is None or name in columns:
            yield str(value), True


def _cuttings(line: str) -> Iterator[str]:
    words = [found.span() for found in _WORD.finditer(line)]
    for n, (start, _) in enumerate(words):
        for _, end in words[n : n + _WORDS]:
            text = line[start:end]
            yield from _readings(text)
            for padded in (line[start : end + 1], line[start : end + 2]):
                if padded.endswith(_PADDING) and padded.rstrip(_PADDING) == text:
                    yield from _readings(padded)


def _readings(text: str) -> Iterator[str]:
    """A text as it stands, and as JSON writes it."""
    yield id_text(text)
    if "\\" in text:
        try:
            read = json.loads(f'"{text}"')
        except ValueError:
            return
        yield id_text(read)


@lru_cache(maxsize=2)
def _odd(ids: frozenset[str]) -> re.Pattern[str] | None:
    """Those of some ids that no cutting gives, plain or as JSON or CSV write them."""
    forms: set[str] = set()
    for name in ids:
        if '"' in name or name not in set(_cuttings(name)):
            forms |= {name, json.dumps(name)[1:-1], json.dumps(name, ensure_ascii=False)[1:-1],
                      name.replace('"', '""')}  # fmt: skip
    if not forms:
        return None
    return re.compile(_BEFORE + "(?:" + "|".join(map(re.escape, sorted(forms))) + ")" + _AFTER)
