"""Embed customers: what the current model makes of each one's events before a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from shoal.domain.errors import InputError, OperationError, UsageError
from shoal.domain.time import iso, to_us
from shoal.features.algebra import CUSTOMER
from shoal.features.queries import Rules
from shoal.features.sequences import EVENTS_AT_ONCE, read_sequences
from shoal.features.snapshot import bucket_groups
from shoal.features.text import text_of
from shoal.features.tokens import TOKENS_VERSION, Tokenizer
from shoal.ports import Engine, EventTable, ParquetFiles, Registry, StateStore
from shoal.workflows.models import check
from shoal.workflows.progress import NoProgress, Progress

if TYPE_CHECKING:
    from shoal.domain.sequence import EventSequences
    from shoal.model.artefact import ModelArtefact

#: Keys of the metadata of a table of embeddings.
AS_OF_KEY: Final = b"shoal.as_of"
MODEL_KEY: Final = b"shoal.model"
TOKENIZER_KEY: Final = b"shoal.tokenizer"
TRAINED_KEY: Final = b"shoal.trained_until"


def current(store: StateStore, registry: Registry, model: str | None = None) -> ModelArtefact:
    """The model of that id, or the current one.

    Raises:
        UsageError: `unknown_model`, there is none (of that id).
        OperationError: `artefact_damaged`, `shop_newer`.
    """
    from shoal.model import artefact

    chosen = model or store.get_pointer(artefact.MAIN)
    if chosen is None:
        raise UsageError(
            "unknown_model",
            "the shop has no behaviour model yet",
            hint="Train one with: shoal train SHOP",
        )
    return artefact.read(registry, chosen)


def tokenizer_of(found: ModelArtefact, *, text_cache: Path | None = None) -> Tokenizer:
    """The vocabularies that a model was trained with.

    Args:
        text_cache: where a sentence encoder keeps vectors of titles (`features.text.CACHE` in a
            shop's directory); None keeps none.

    Raises:
        OperationError: `model_mismatch`, they give other codes than when the model was trained;
            `missing_extra`, its texts are read by an encoder that is not installed.
        UsageError: `model_mismatch`, `unknown_text_encoder`, as of `features.text.text_of`.
    """
    document = found.document["tokenizer"]
    if document["version"] != TOKENS_VERSION:
        raise OperationError(
            "model_mismatch",
            f"{found.model_id} reads events as version {document['version']} of the vocabularies "
            f"tells them; this version of Shoal tells them as {TOKENS_VERSION}",
            where=found.model_id,
            hint="Train a model anew with: shoal train SHOP",
        )
    text = text_of(document["text"], cache=text_cache)
    return Tokenizer.from_artefact(document, found.arrays, text)


def embeddings(
    counted: EventTable,
    found: ModelArtefact,
    rules: Rules,
    moment: datetime,
    *,
    version: int | None = None,
    customers: Sequence[str] | None = None,
    text_cache: Path | None = None,
    progress: Progress | None = None,
) -> pa.Table:
    """`customer_id`, `e0` to `eD` (float32) of customers with an event before a moment, sorted.

    Args:
        counted: the events as they count at the moment (`Admission.at`).
        rules: which events are customers' own (`Fold.rules`).
        version: of the event table; None for the latest.
        customers: those alone; None takes all.
        text_cache: as of `tokenizer_of`.

    The schema's metadata tell moment, model, when it was trained, and its vocabularies.

    Raises:
        UsageError: `model_mismatch`, the shop reads events by other rules than the model.
        InputError: `too_little_data`, no customer has an event before the moment.
        OperationError: `model_mismatch`, `missing_extra`, as of `tokenizer_of`.
    """
    tokenizer = tokenizer_of(found, text_cache=text_cache)
    embedder = Embedder(found, tokenizer, rules, moment, progress or NoProgress())
    groups = bucket_groups(counted.bucket_counts(), EVENTS_AT_ONCE) if known(counted) else []
    tables: list[pa.Table] = []
    embedder.start(counted, groups)
    try:
        for group in groups:
            tables += embedder.tables(counted, group, version=version, customers=customers)
    finally:
        embedder.progress.done()
    whole = pa.concat_tables([embedder.schema.empty_table(), *tables])
    if not whole.num_rows and customers is None:
        raise nothing_before(moment)
    return whole.sort_by(CUSTOMER).combine_chunks()


def known(counted: EventTable) -> bool:
    """Whether there is an event table."""
    return counted.version() >= 0


def nothing_before(moment: datetime) -> InputError:
    """What is told where nobody is to be embedded."""
    return InputError(
        "too_little_data",
        f"no customer has an event before {iso(moment)}",
        hint="Ingest events of customers, or give a later --as-of.",
    )


def late_warning(found: ModelArtefact, moment: datetime) -> tuple[str, ...]:
    """A warning where the model saw events that were in the future at the moment."""
    if found.trained_until <= moment:
        return ()
    warning = (
        f"{found.model_id} was trained until {iso(found.trained_until)}, which is later than "
        f"{iso(moment)}: it knows what was still to come."
    )
    return (warning,)


class Embedder:
    """A model and a moment, ready to embed the customers of one group of buckets after another."""

    def __init__(
        self,
        found: ModelArtefact,
        tokenizer: Tokenizer,
        rules: Rules,
        moment: datetime,
        progress: Progress,
    ) -> None:
        check(found, rules)
        self.found = found
        self.tokenizer = tokenizer
        self.rules = rules
        self.moment = moment
        self.progress = progress
        dimensions = range(found.model.config.embedding_dim)
        told = {
            AS_OF_KEY: iso(moment),
            MODEL_KEY: found.model_id,
            TOKENIZER_KEY: self.tokenizer.fingerprint,
            TRAINED_KEY: iso(found.trained_until),
        }
        numbers = [pa.field(f"e{n}", pa.float32()) for n in dimensions]
        metadata = {key: value.encode() for key, value in told.items()}
        self.schema = pa.schema([pa.field(CUSTOMER, pa.string()), *numbers], metadata)

    def start(self, counted: EventTable, groups: Sequence[Sequence[int]]) -> None:
        """Begin to show how far it is, in events."""
        counts = counted.bucket_counts() if groups else {}
        total = sum(counts[bucket] for group in groups for bucket in group)
        self.progress.start("embedding", total, "events")

    def tables(
        self,
        counted: EventTable,
        group: Sequence[int],
        *,
        version: int | None = None,
        customers: Sequence[str] | None = None,
    ) -> Iterator[pa.Table]:
        """Embeddings of the customers of some buckets, in `schema`, each table sorted."""
        from shoal.model.embedding import context_of

        done = 0

        def told(events: int) -> None:
            nonlocal done
            done += events
            self.progress.advance(events)

        for sequences in read_sequences(
            _Group(counted, group),
            self.tokenizer,
            self.rules,
            as_of=self.moment,
            last=context_of(self.found.model),
            customers=customers,
            version=version,
            facts_of=counted,  # they lie in no customer's bucket
        ):
            yield self._table(sequences, told)
        self.progress.advance(_Group(counted, group).total - done)  # what did not count is done too

    def _table(self, sequences: EventSequences, told: Callable[[int], None]) -> pa.Table:
        from shoal.model.embedding import embed

        found = embed(self.found.model, sequences, to_us(self.moment), told=told)
        ids = pa.array(sequences.customers.tolist(), pa.string())
        return pa.table([ids, *(pa.array(column) for column in found.T)], schema=self.schema)


class _Group:
    """An `EventTable` of some buckets of another one."""

    def __init__(self, whole: EventTable, buckets: Sequence[int]) -> None:
        self.engine: Engine = whole.engine
        self._whole = whole
        self._buckets = tuple(buckets)

    @property
    def total(self) -> int:
        return sum(self.bucket_counts().values())

    def version(self) -> int:
        return self._whole.version()

    def events(
        self, *, version: int | None = None, buckets: Sequence[int] | None = None
    ) -> ParquetFiles:
        wanted = self._buckets if buckets is None else buckets
        return self._whole.events(version=version, buckets=wanted)

    def bucket_counts(self) -> Mapping[int, int]:
        counts = self._whole.bucket_counts()
        return {bucket: counts[bucket] for bucket in self._buckets}
