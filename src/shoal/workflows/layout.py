"""Which mapping reads a source: a preset, a mapping file, a mapping, or a confirmed guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from shoal.domain.errors import UsageError
from shoal.domain.time import iso
from shoal.events import presets
from shoal.events.guess import describe, guess
from shoal.events.mapping import SourceMapping, read_mapping
from shoal.events.reading import Source

Confirm = Callable[[str], bool]
Layout = SourceMapping | Callable[[Source], SourceMapping]

_SAMPLE_ROWS = 1_000


def layout_of(
    preset: str | None,
    mapping: str | Path | SourceMapping | None,
    confirm: Confirm | None = None,
) -> Layout:
    """The named layout, or what guesses one for each source and has it confirmed.

    Args:
        preset: name of a known layout.
        mapping: a mapping, or the file that holds one.
        confirm: is shown a description of the guess and says whether to take it; None: never.

    Raises:
        UsageError: `unknown_preset`, `bad_mapping`; when guessing, `mapping_unconfirmed`.
        InputError: the mapping file is missing or unreadable; nothing can be guessed.
    """
    if preset is not None:
        return presets.load(preset)
    if isinstance(mapping, str | Path):
        return read_mapping(Path(mapping))
    if mapping is not None:
        return mapping
    return lambda source: _guessed(source, confirm)


def dated(layout: Layout, valid_from: datetime | None) -> Layout:
    """The layout with a time for files without a column of times: from when what they say holds."""
    if valid_from is None:
        return layout
    if callable(layout):
        return lambda source: _dated(layout(source), valid_from)
    return _dated(layout, valid_from)


def _dated(mapping: SourceMapping, valid_from: datetime) -> SourceMapping:
    constants = {**mapping.constants, "event_time": iso(valid_from)}
    layouts = tuple(_dated(one, valid_from) for one in mapping.layouts)
    return replace(mapping, constants=constants, layouts=layouts)


def _guessed(source: Source, confirm: Confirm | None) -> SourceMapping:
    candidate = guess(source.sample(_SAMPLE_ROWS))
    description = describe(candidate)
    if confirm is None or not confirm(description):
        raise UsageError(
            "mapping_unconfirmed",
            "the layout was guessed and not confirmed:\n" + description,
            where=str(source.path),
            hint="Take it with --yes, name a layout with --preset, "
            "or write your own with --mapping.",
        )
    return candidate
