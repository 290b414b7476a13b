"""Covariates of a shop: named tables, loaded as versions, and declared for use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.time import Clock, Zone, system_clock
from shoal.ports import Registry, StateStore
from shoal.workflows.covariate_rows import KNOWN
from shoal.workflows.covariate_table import Asked, read_table
from shoal.workflows.covariate_values import named, shares
from shoal.workflows.covariate_versions import (
    SCHEMA,
    Held,
    all_held,
    check_alike,
    current,
    held_of,
    merged,
    pointer,
    published,
)

if TYPE_CHECKING:
    from shoal.features.covariates import Covariates, CovariateTable


@dataclass(frozen=True)
class Loaded:
    """What a load did; `mode` is new, merged, replaced or unchanged."""

    held: Held
    changed: bool
    mode: str
    read: int
    same: int
    new: int
    other: int
    left_out: Mapping[str, str]

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.covariates/1` of a load."""
        rows = {"read": self.read, "same": self.same, "new": self.new, "changed": self.other}
        return {
            "schema": SCHEMA,
            **self.held.as_document(),
            "changed": self.changed,
            "mode": self.mode,
            "loaded": rows,
            "left_out": dict(self.left_out),
        }


def load(
    *,
    store: StateStore,
    registry: Registry,
    path: Path,
    name: str,
    asked: Asked,
    zone: Zone,
    replace: bool = False,
    clock: Clock = system_clock,
) -> Loaded:
    """Merge a file into a table of the shop (its rows count for keys in both), or replace it.

    Args:
        name: of the table; letters, digits and `_`.
        asked: keys, and when rows were known.
        zone: the shop's, for its local days.
        replace: forget what the table held.

    Raises:
        InputError: `bad_covariates`; nothing is changed. `input_missing`, `input_unreadable`.
        UsageError: `usage`: a bad name, options that exclude each other.
        OperationError: `shop_locked`, `disk_full`.
    """
    if not name.isascii() or named(name) != name or not name[:1].isalpha():
        raise UsageError(
            "usage",
            f"{name!r} cannot be the name of a table",
            hint="Lower-case letters, digits and _, a letter first: --name weather.",
        )
    read = read_table(path, asked, zone)
    with store.lease():
        before = current(store, registry, name)
        fresh = held_of(name, read)
        whole, new, other = (fresh, fresh.table.num_rows, 0)
        if before is not None and not replace:
            check_alike(path, before, fresh)
            whole, new, other = merged(path, before, fresh)
        if before is not None and whole.same(before):
            return Loaded(before, False, "unchanged", read.read, read.same, 0, 0, read.left_out)
        whole = published(registry, whole)
        store.set_pointer(pointer(name), whole.covariates_id, clock())
    mode = "new" if before is None else "replaced" if replace else "merged"
    return Loaded(whole, True, mode, read.read, read.same, new, other, read.left_out)


def overview(store: StateStore, registry: Registry, declared: Sequence[str]) -> dict[str, Any]:
    """The tables of a shop: the JSON document `shoal.covariates/1` of a listing."""
    tables = [held.as_document() for held in all_held(store, registry)]
    return {"schema": SCHEMA, "covariates": tables, "declared": list(declared)}


def remove(
    *, store: StateStore, registry: Registry, name: str, clock: Clock = system_clock
) -> dict[str, Any]:
    """Take a table out of use; its versions stay as artefacts.

    Raises:
        UsageError: `unknown_covariate`.
    """
    with store.lease():
        held = current(store, registry, name)
        if held is None:
            raise _unknown(f"the shop has no table {name!r}", all_held(store, registry))
        store.set_pointer(pointer(name), "", clock())
    return {"schema": SCHEMA, "name": name, "removed": held.covariates_id}


def declared(store: StateStore, registry: Registry, names: Sequence[str]) -> Covariates | None:
    """The covariates that a configuration names; None where it names none.

    Args:
        names: `table.column`, `table.*`, or `*` for all.

    Raises:
        UsageError: `unknown_covariate`, with those that are loaded; `bad_setting`, two covariates
            would make features of one name.
    """
    if not names:
        return None
    held = list(all_held(store, registry))
    wanted: dict[str, set[str]] = {}
    for asked in dict.fromkeys(names):
        table, _, column = asked.partition(".")
        found = [
            (one.name, own)
            for one in held
            for own in one.columns
            if asked == "*" or (one.name == table and column in ("", "*", own))
        ]
        if not found and not (asked == "*" and not held):
            raise _unknown(f"shop.toml declares the covariate {asked!r}", held)
        for name, own in found:
            wanted.setdefault(name, set()).add(own)
    if not wanted:
        return None
    return _bundle([one for one in held if one.name in wanted], wanted)


def _bundle(held: Sequence[Held], wanted: Mapping[str, set[str]]) -> Covariates:
    from shoal.features.covariates import COVARIATES_SCHEMA, Covariates, CovariateTable

    parts = [COVARIATES_SCHEMA.empty_table()]
    tables = []
    for one in held:
        columns = tuple(sorted(wanted[one.name]))
        tables.append(
            CovariateTable(
                one.name,
                tuple(one.key_columns),
                columns,
                tuple(name for name in columns if shares(one.table[name])),
                one.depth,
                one.period,
                one.always,
            )
        )
        for column in columns:
            rows = one.table.filter(pc.field(column).is_valid())
            n = rows.num_rows
            own = {
                "source": pa.repeat(pa.scalar(one.name), n),
                "covariate": pa.repeat(pa.scalar(f"{one.name}.{column}"), n),
                "micros": rows[column],
                KNOWN: rows[KNOWN],
                **{key: rows[key] for key in one.key_columns},
            }
            arrays = [own.get(f.name, pa.nulls(n, f.type)) for f in COVARIATES_SCHEMA]
            parts.append(pa.table(arrays, schema=COVARIATES_SCHEMA))
    _check_names(tables)
    ids = tuple(one.covariates_id for one in held)
    return Covariates(tuple(tables), pa.concat_tables(parts), ids)


def _check_names(tables: Sequence[CovariateTable]) -> None:
    from shoal.features.catalog import CATALOG
    from shoal.features.covariates import covariate_features

    known = dict.fromkeys(CATALOG.names, "the catalog")
    for table in tables:
        for feature in covariate_features(table):
            if feature.name in known:
                raise UsageError(
                    "bad_setting",
                    f"the table {table.name!r} would make a second feature {feature.name!r}, "
                    f"which {known[feature.name]} has",
                    where="features.covariates",
                    hint="Load the table under another name.",
                )
            known[feature.name] = f"the table {table.name!r}"


def _unknown(what: str, held: Sequence[Held] | Iterator[Held]) -> UsageError:
    loaded = [f"{one.name}.{column}" for one in held for column in one.columns]
    return UsageError(
        "unknown_covariate",
        f"{what}, which is not loaded" if what.startswith("shop.toml") else what,
        where="features.covariates" if what.startswith("shop.toml") else "",
        hint=f"Loaded: {', '.join(loaded)}."
        if loaded
        else "None is loaded yet: shoal covariates SHOP FILE --name NAME",
    )
