"""Versions of a shop's covariate tables: read, merged, published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.ports import Registry, StateStore
from shoal.workflows.covariate_rows import DAY, KNOWN
from shoal.workflows.covariate_table import TableRead
from shoal.workflows.covariate_values import MAX_COLUMNS, bad

KIND: Final = "covariates"
SCHEMA: Final = "shoal.covariates/1"

_FILE: Final = "covariates.parquet"
_DOCUMENT: Final = "covariates.json"
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class Held:
    """A table as the shop has it; `sources` says of which text column a column of 0 and 1 is."""

    covariates_id: str
    name: str
    keys: tuple[str, ...]
    period: str
    depth: int
    sources: Mapping[str, str]
    table: pa.Table

    @property
    def columns(self) -> list[str]:
        return sorted(self.sources)

    @property
    def key_columns(self) -> list[str]:
        return [DAY if key == "date" else key for key in self.keys]

    def same(self, other: Held) -> bool:
        """Whether both say the same."""
        alike = (self.keys, self.period, self.depth, self.sources) == (
            other.keys, other.period, other.depth, other.sources,
        )  # fmt: skip
        return alike and bool(self.table.equals(other.table))

    @property
    def always(self) -> bool:
        """Whether every row is known from the beginning."""
        return bool(pc.max(self.table[KNOWN]).as_py() == 0)

    def as_document(self) -> dict[str, Any]:
        """Name, keys, columns and extent as JSON."""
        dated = DAY in self.table.column_names
        ends = [pc.min(self.table[DAY]), pc.max(self.table[DAY])] if dated else [None, None]
        first, last = (None if one is None else _day(one.as_py()) for one in ends)
        return {
            "name": self.name,
            "covariates_id": self.covariates_id,
            "keys": list(self.keys),
            "columns": self.columns,
            "rows": self.table.num_rows,
            "period": self.period or None,
            "from": first,
            "to": last,
            "known": "always" if self.always else "dated",
        }


def pointer(name: str) -> str:
    """The pointer to the version of a table that counts; an empty one: the table was removed."""
    return f"covariates.{name}"


def all_held(store: StateStore, registry: Registry) -> Iterator[Held]:
    """The tables that a shop has, by name."""
    names = sorted({one.rpartition("-")[0] for one in registry.list(KIND)})
    for name in names:
        held = current(store, registry, name)
        if held is not None:
            yield held


def current(store: StateStore, registry: Registry, name: str) -> Held | None:
    """A table of the shop, if it has one of that name."""
    chosen = store.get_pointer(pointer(name))
    if not chosen:
        return None
    directory = registry.path(KIND, chosen)
    document = json.loads((directory / _DOCUMENT).read_text(encoding="utf-8"))
    return Held(
        chosen,
        name,
        tuple(document["keys"]),
        document["period"],
        document["depth"],
        document["columns"],
        pq.read_table(directory / _FILE),
    )


def held_of(name: str, read: TableRead) -> Held:
    """A file that was read as a table that is not published yet."""
    sources = {column: value.source for column, value in read.values.items()}
    columns = [*read.key_columns, *sorted(sources), KNOWN]
    table = read.table.select(columns)
    return Held("", name, read.keys, read.period, read.depth, sources, table.combine_chunks())


def published(registry: Registry, held: Held) -> Held:
    """The table as a new version."""
    with registry.create(KIND, held.name) as directory:
        pq.write_table(held.table, directory / _FILE, compression="zstd")
        document = {
            "schema": SCHEMA,
            "name": held.name,
            "keys": list(held.keys),
            "period": held.period,
            "depth": held.depth,
            "columns": dict(held.sources),
            "rows": held.table.num_rows,
        }
        text = json.dumps(document, ensure_ascii=False) + "\n"
        (directory / _DOCUMENT).write_text(text, encoding="utf-8")
        name = directory.name
    return replace(held, covariates_id=name)


def check_alike(path: Path, before: Held, fresh: Held) -> None:
    """That a file can be merged into a table.

    Raises:
        InputError: `bad_covariates`: other keys, or dates or paths of another kind.
    """
    for what, old, new in (
        ("keys", ", ".join(before.keys), ", ".join(fresh.keys)),
        ("dates by", before.period, fresh.period),
        ("category paths of a length of", before.depth, fresh.depth),
    ):
        if old != new:
            raise bad(path, 0, f"it has {what} {new}; the table {before.name!r} has {what} {old}",
                      "Load it under another --name, or with --replace.")  # fmt: skip


def merged(path: Path, before: Held, fresh: Held) -> tuple[Held, int, int]:
    """The table with the file's rows over it; how many are new, and how many say something else."""
    sources = dict(before.sources) | dict(fresh.sources)
    if len(sources) > MAX_COLUMNS:
        raise bad(path, 0, f"the table would have {len(sources)} columns of values",
                  f"At most {MAX_COLUMNS}: leave some out, or load it with --replace.")  # fmt: skip
    keys = before.key_columns
    old, new = (_widened(one, sources) for one in (before, fresh))
    kept = old.join(new.select(keys), keys=keys, join_type="left anti").select(old.column_names)
    met = old.join(new.select(keys), keys=keys, join_type="left semi").select(old.column_names)
    order = [(key, "ascending") for key in keys]
    whole = pa.concat_tables([kept, new]).sort_by(order).combine_chunks()
    alike = _alike(met, new, keys)
    held = Held("", before.name, before.keys, before.period, before.depth, sources, whole)
    return held, new.num_rows - met.num_rows, met.num_rows - alike


def _alike(met: pa.Table, new: pa.Table, keys: list[str]) -> int:
    """How many rows are the same in both, column by column."""
    both = met.join(new, keys=keys, join_type="inner", right_suffix="_new")
    same = pa.chunked_array([pa.repeat(pa.scalar(True), both.num_rows)])
    for name in met.column_names:
        if name not in keys:
            one, other = both[name], both[f"{name}_new"]
            missing = pc.and_(one.is_null(), other.is_null())
            same = pc.and_(same, pc.or_(missing, pc.fill_null(pc.equal(one, other), False)))
    return int(pc.sum(same).as_py() or 0)


def _widened(held: Held, sources: Mapping[str, str]) -> pa.Table:
    """The table with all columns; a name that a text column did not have is 0 in all its rows."""
    texts = set(held.sources.values()) - {""}
    n = held.table.num_rows
    columns = {}
    for name in (*held.key_columns, *sorted(sources), KNOWN):
        if name in held.table.column_names:
            columns[name] = held.table[name]
        elif sources[name] in texts:
            columns[name] = pa.chunked_array([pa.repeat(pa.scalar(0, pa.int64()), n)])
        else:
            columns[name] = pa.chunked_array([pa.nulls(n, pa.int64())])
    return pa.table(columns)


def _day(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()
