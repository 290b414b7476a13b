"""Forgetting again whom a restored shop knows, though the shop forgot them after its backup.

Tombstones tell nobody's id, so every id that the restored shop holds is compared with them. What
goes is what they would keep out if everything came in once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import InputError
from shoal.domain.time import iso, parse_moment
from shoal.events.tombstones import EVER, Tombstones
from shoal.ports import StateStore, Warehouse
from shoal.workflows import units
from shoal.workflows.forget_people import Belongings, belongings_of
from shoal.workflows.forgotten import tombstones_of
from shoal.workflows.quarantine_file import id_columns_of, read_batches

if TYPE_CHECKING:
    from shoal.events.privacy import Privacy

SCHEMA: Final = "shoal.tombstones/1"

_IDS: Final = """
SELECT DISTINCT customer_id AS id FROM events WHERE customer_id IS NOT NULL
UNION SELECT DISTINCT anonymous_id AS id FROM events WHERE anonymous_id IS NOT NULL
"""


def document_of(store: StateStore, now: datetime) -> dict[str, Any]:
    """Who was forgotten, as a restored backup of the shop needs it: `shoal.tombstones/1`.

    It names nobody, but whoever has it can tell of an id whether it was forgotten: it holds the
    key of the tombstones.
    """
    stones = [
        [name, first, last]
        for name, spans in sorted(store.erasures.tombstones().items())
        for first, last in sorted(spans)
    ]
    return {
        "schema": SCHEMA,
        "made_at": iso(now),
        "key": store.erasures.key().hex() if stones else None,
        "tombstones": stones,
        "receipts": store.erasures.receipts(),
    }


def checked(document: Any, where: str) -> dict[str, Any]:
    """A document of tombstones that can be used.

    Raises:
        InputError: `input_unreadable`.
    """
    try:
        if document["schema"] != SCHEMA:
            raise ValueError
        stones = [(str(name), int(first), int(last)) for name, first, last in
                  document["tombstones"]]  # fmt: skip
        for name, _, _ in stones:
            if len(bytes.fromhex(name)) != 32:
                raise ValueError
        key = document["key"]
        if stones and len(bytes.fromhex(key)) != 32:
            raise ValueError
        receipts = [dict(one) for one in document["receipts"]]
        for one in receipts:
            int(one["number"]), parse_moment(one["asked_at"]), parse_moment(one["finished_at"])
        made_at = iso(parse_moment(document["made_at"]))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            "input_unreadable",
            "the file does not tell who was forgotten",
            where=where,
            hint="Make it of the shop as it was last: shoal forget SHOP --tombstones > erased.json",
        ) from error
    return {"key": key, "tombstones": stones, "receipts": receipts, "made_at": made_at}


def adopt(store: StateStore, told: Mapping[str, Any], backup_made_at: str, where: str) -> int:
    """Let a restored store know who was forgotten; how many tombstones were new to it.

    Of a document that was made after the backup the tombstones count alone: one that is not there
    any more was lifted.

    Raises:
        InputError: `input_unreadable`, they are tombstones of another shop.
    """
    known = store.erasures.tombstones()
    if not told["tombstones"]:
        return 0
    key = bytes.fromhex(told["key"])
    if known and store.erasures.key() != key:
        raise InputError(
            "input_unreadable",
            "the tombstones are those of another shop: their key is another",
            where=where,
            hint="Make the file of the shop that was backed up: shoal forget SHOP --tombstones",
        )
    new = [stone for stone in told["tombstones"] if stone[1:] not in known.get(stone[0], ())]
    with store.transaction():
        store.erasures.adopt(key, told["receipts"])
        if parse_moment(told["made_at"]) >= parse_moment(backup_made_at):
            store.erasures.lift(sorted(set(known) - {name for name, _, _ in told["tombstones"]}))
        store.erasures.add_tombstones(new)
    return len(new)


def found(
    warehouse: Warehouse, store: StateStore, quarantine: Path, privacy: Privacy | None = None
) -> Belongings:
    """All that the shop holds of persons who have tombstones."""
    stones = tombstones_of(store, privacy)
    names = _ids_of_events(warehouse) if warehouse.version() >= 0 else []
    own = {name for name in names if EVER in stones.of(name)}
    own.update(_ids_of_quarantine(store, quarantine, stones))
    stretches = [
        (name, first, last)
        for name in names
        if name not in own
        for first, last in stones.of(name, shared=True)
    ]
    return belongings_of(store, sorted(own), stretches)


def _ids_of_events(warehouse: Warehouse) -> Sequence[str]:
    ids: list[str] = warehouse.engine.run(_IDS, {"events": warehouse.events()})["id"].to_pylist()
    return ids


def _ids_of_quarantine(store: StateStore, directory: Path, stones: Tombstones) -> Iterator[str]:
    """Forgotten ids in rows that were not stored."""
    for unit in units.all_units(store):
        path = directory / str(unit.quarantine)
        if unit.quarantine is None or not path.exists():
            continue
        columns = id_columns_of(path)
        for batch in read_batches(path):
            caught = batch.filter(stones.caught_raw(batch, columns))["raw"].to_pylist()
            for raw in caught:
                yield from (text for text in stones.raw_ids(raw, columns) if stones.wholly(text))
