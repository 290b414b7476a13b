"""The stores of a shop in PostgreSQL as files: copies of them are SQLite databases."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Final

from shoal.adapters import postgres, sqlite_files
from shoal.adapters.high_water import mark_of
from shoal.adapters.postgres import Namespace
from shoal.adapters.shop_files import ShopFiles
from shoal.adapters.sql_copying import PARTS, from_file, to_file
from shoal.domain.faults import Fault


class PostgresFiles(ShopFiles):
    """`ShopFiles` of a shop whose online state lies in a PostgreSQL database.

    Args:
        files: what each store's copy is called, by the store's name.
    """

    def __init__(
        self, namespace: Namespace, files: dict[str, str], events: str, buckets: int
    ) -> None:
        super().__init__(namespace.directory, files["store"], events, buckets)
        self._namespace = namespace
        self._files: Final = MappingProxyType(files)

    def databases(self) -> list[str]:
        return [self._files[part] for part in PARTS]

    def not_copied(self) -> frozenset[str]:
        marks = {self._namespace.mark(part).name for part in PARTS}
        return super().not_copied() | marks

    def copy_database(self, name: str, target: Path) -> None:
        to_file(self._namespace, self._part(name), target / name)

    def database_faults(self, name: str, copied: Path) -> list[Fault]:
        shown = self._namespace.mark(self._part(name))
        return sqlite_files.faults(copied / name, shown.with_suffix(""))

    def _part(self, name: str) -> str:
        return next(part for part, file in self._files.items() if file == name)


def load(namespace: Namespace, files: dict[str, str]) -> None:
    """Bring the SQLite files of a directory into a new schema, and remove them.

    Raises:
        UsageError: `shop_exists`, the schema has tables.
        OperationError: what the database raises; the schema is then as it was.
    """
    postgres.claim(namespace)
    brought: list[Path] = []
    try:
        for part in PARTS:
            file = namespace.directory / files[part]
            if file.exists():
                from_file(file, part, namespace)
                brought.append(file)
    except BaseException:
        postgres.give_up(namespace)
        raise
    for file in brought:
        for one in _of(file):
            one.unlink(missing_ok=True)


def _of(file: Path) -> Iterable[Path]:
    return mark_of(file), *(file.with_name(f"{file.name}{end}") for end in ("", "-wal", "-shm"))
