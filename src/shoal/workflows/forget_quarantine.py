"""Rows of persons in the quarantine: counted, taken out, and the accounts of their files kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from shoal.domain.errors import OperationError
from shoal.events.tombstones import RawIds
from shoal.ports import StateStore
from shoal.workflows import units
from shoal.workflows.forget_files import held_quarantined, without_quarantined


def in_quarantine(
    store: StateStore, directory: Path, ids: frozenset[str], raw_ids: RawIds | None = None
) -> dict[str, Counter[str]]:
    """Rows of the persons in the quarantine, by unit and reason.

    Args:
        raw_ids: the ids that a row may name; None: those that stand in it.

    Raises:
        OperationError: `shop_damaged`, a file cannot be read.
    """
    found = {}
    for unit in units.all_units(store):
        path = directory / str(unit.quarantine)
        if unit.quarantine is not None and path.exists():
            codes = _held(path, ids, raw_ids)
            if codes:
                found[unit.name] = codes
    return found


def _held(path: Path, ids: frozenset[str], raw_ids: RawIds | None) -> Counter[str]:
    try:
        return held_quarantined(path, ids, raw_ids)
    except (ValueError, KeyError) as error:  # `pa.ArrowInvalid` is a `ValueError`
        raise OperationError(
            "shop_damaged",
            f"{path.name} of the quarantine cannot be read, so nobody can say whether it names the "
            "person",
            where=str(path),
            hint="Nothing was removed. Restore it from a backup, or delete it and ingest its "
            "source again to see what was refused; then forget again.",
        ) from error


def out_of_quarantine(
    store: StateStore,
    directory: Path,
    planned: Mapping[str, Mapping[str, int]],
    ids: frozenset[str],
    raw_ids: RawIds | None = None,
) -> list[units.Unit]:
    """Take the rows out of their files; the units as they are now, to be kept.

    Args:
        planned: what `in_quarantine` gave, once for each row: the files may be done already.
    """
    changed = []
    for name, codes in planned.items():
        unit = units.find(store, name)
        assert unit is not None
        path = directory / str(unit.quarantine)
        if path.exists():
            without_quarantined(path, ids, raw_ids)
        changed.append(
            replace(_skipped(unit, codes), quarantine=unit.quarantine if path.exists() else None)
        )
    return changed


def _skipped(unit: units.Unit, gone: Mapping[str, int]) -> units.Unit:
    """The unit with some of its quarantined rows counted as skipped.

    After a replay the file has other reasons than the account; then rows of any reason count.
    """
    left = Counter(unit.account.quarantine)
    for code, count in gone.items():
        taken = min(left[code], count)
        left[code] -= taken
        for other in sorted(left, key=lambda name: -left[name]):
            more = min(left[other], count - taken)
            left[other] -= more
            taken += more
    skipped = unit.account.quarantined - left.total()
    account = replace(
        unit.account,
        quarantined=left.total(),
        skipped=unit.account.skipped + skipped,
        quarantine=MappingProxyType({code: n for code, n in left.items() if n}),
    )
    return replace(unit, account=account)
