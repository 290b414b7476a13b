"""What a model is trained on: vocabularies and sequences of a shop's events, kept on disk."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from safetensors.numpy import load_file, save_file

from shoal.domain.sequence import EventSequences, TextFeatures
from shoal.features.sequences import SequenceFile, read_sequences
from shoal.features.tokens import Tokenizer, TokenSettings
from shoal.ports import EventTable
from shoal.workflows.progress import NoProgress, Progress

if TYPE_CHECKING:
    from shoal.features.queries import Rules

_NAMES: Final = "tokenizer.json"
_ITEMS: Final = "tokenizer.safetensors"
_SEQUENCES: Final = "sequences"


@dataclass(frozen=True)
class TrainData:
    """Vocabularies, and events by them; events are mapped from disk, not read."""

    tokenizer: Tokenizer
    sequences: EventSequences

    @property
    def items(self) -> dict[str, Any]:
        """The arrays of known items that a `BehaviourModel` is made with."""
        items = self.tokenizer.items
        return {**items.codes, "price": items.price, "texts": items.texts}


def prepared(
    directory: Path,
    events: EventTable,
    rules: Rules,
    until: datetime,
    *,
    version: int | None,
    text: TextFeatures,
    settings: TokenSettings,
    base: Tokenizer | None = None,
    progress: Progress | None = None,
) -> TrainData:
    """The data in a directory, made where it is not there yet; whole or not at all.

    Args:
        events: as they count at `until` (`Admission.at`).
        until: T; nothing at or after it is read.
        version: of the event table.
        base: vocabularies to go on from.

    Raises:
        OSError: of the disk; the directory is then as it was.
    """
    if not directory.exists():
        aside = directory.with_name(f".{directory.name}")
        shutil.rmtree(aside, ignore_errors=True)
        _read(
            aside, events, rules, until, version, text, settings, base, progress or NoProgress()
        )  # fmt: skip
        aside.rename(directory)
    document = json.loads((directory / _NAMES).read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_artefact(document, load_file(directory / _ITEMS), text)
    return TrainData(tokenizer, SequenceFile.open(directory / _SEQUENCES).sequences)


def _read(
    directory: Path,
    events: EventTable,
    rules: Rules,
    until: datetime,
    version: int | None,
    text: TextFeatures,
    settings: TokenSettings,
    base: Tokenizer | None,
    progress: Progress,
) -> None:
    directory.mkdir(parents=True)
    progress.start("vocabularies", None)
    tokenizer = Tokenizer.learn(
        events.engine,
        events.events(version=version),
        until=until,
        rules=rules,
        text=text,
        settings=settings,
        base=base,
    )
    progress.done()
    arrays = {name: np.ascontiguousarray(one) for name, one in tokenizer.to_arrays().items()}
    save_file(arrays, directory / _ITEMS)
    (directory / _NAMES).write_text(json.dumps(tokenizer.to_document()), encoding="utf-8")
    progress.start("reading events", float(sum(events.bucket_counts().values())), "events")
    parts = read_sequences(events, tokenizer, rules, as_of=until, version=version)

    def counted() -> Any:
        for part in parts:
            yield part
            progress.advance(part.events)

    SequenceFile.write(directory / _SEQUENCES, counted())
    progress.done()
