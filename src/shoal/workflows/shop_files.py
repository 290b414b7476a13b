"""What backup, restore and verify need of the stores that lie in a shop's directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from shoal.domain.faults import Fault
from shoal.ports import StateStore


class OpenedStore(StateStore, Protocol):
    """A state store that whoever opened it closes."""

    def close(self) -> None: ...


class ShopFiles(Protocol):
    """The stores of one directory as files: copied while others write, and looked at."""

    directory: Path

    def databases(self) -> Sequence[str]:
        """Names of the databases, the state store last: what is copied later knows no less."""

    def not_copied(self) -> frozenset[str]:
        """Names at the top of the directory that belong to databases and the event table."""

    def copy_database(self, name: str, target: Path) -> None:
        """Copy a database and its mark into a directory, as of one moment, held by nobody.

        Raises:
            OperationError: `shop_damaged`, `disk_full`, `no_permission`.
        """

    def database_faults(self, name: str, copied: Path) -> Sequence[Fault]:
        """What is wrong with the copy of a database in a directory, told of the original."""

    def numbers(self, copied: Path) -> Mapping[str, int]:
        """The high-water marks of the databases in a directory."""

    def membership_gaps(self, copied: Path) -> Sequence[tuple[int, int]]:
        """The first gaps among positions of the membership log, (first, last) that is missing."""

    def open_store(self, copied: Path) -> OpenedStore:
        """The copy of the state store in a directory; whoever opens it closes it."""

    def copy_table(
        self,
        target: Path,
        applied: int,
        first: int,
        knows: Callable[[dict[str, Any]], bool],
        *,
        link: bool,
    ) -> tuple[int, int]:
        """Copy the event table's latest version of which every commit is known.

        Returns the version (-1: no table yet) and how many events it holds.

        Args:
            applied: the version that the states hold.
            first: units that came after this version stay told apart.
            knows: whether a commit is known, by what it says of itself.
            link: files that never change may be linked.

        Raises:
            FileNotFoundError: an erasure removed files meanwhile: begin again.
            OperationError: `shop_damaged`, `disk_full`, `no_permission`.
        """

    def place(self, source: Path, target: Path, *, link: bool) -> None:
        """Let a file stand in a second place: copied, or linked if it may and can be."""

    def table_faults(self, read: str) -> Iterable[Fault]:
        """What is wrong with the event table.

        Args:
            read: of its files the `sizes`, the `ends` (what they say of themselves) or all `rows`.
        """

    def table_behind(self, applied: int, latest: int) -> Fault:
        """The event table lacks versions that the states hold."""
