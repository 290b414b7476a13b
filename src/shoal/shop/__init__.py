"""The Python face: `shop = shoal.open(DIR)`. The verbs are those of the command line."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from shoal import bootstrap
from shoal.config import Config
from shoal.shop.data import DataVerbs
from shoal.shop.money import MoneyVerbs
from shoal.shop.outside import OutsideVerbs
from shoal.shop.people import PeopleVerbs
from shoal.shop.quality import QualityVerbs
from shoal.shop.segments import SegmentVerbs


def init(directory: str | Path, config: Config | None = None) -> Shop:
    """Make a shop directory and open it.

    Raises:
        UsageError: `shop_exists`.
        OperationError: `no_permission`, `disk_full`.
    """
    return Shop(bootstrap.create(Path(directory), config or Config()))


def open(directory: str | Path) -> Shop:
    """Open an existing shop.

    Raises:
        UsageError: `not_a_shop`, or a bad setting in its `shop.toml`.
    """
    return Shop(bootstrap.attach(Path(directory)))


class Shop(DataVerbs, PeopleVerbs, MoneyVerbs, QualityVerbs, OutsideVerbs, SegmentVerbs):
    """One shop. Usable as a context manager; `close` releases its connections."""

    def __enter__(self) -> Shop:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Shop({str(self.directory)!r})"

    def close(self) -> None:
        """Release the shop's connections."""
        self._parts.close()

    def status(self) -> dict[str, Any]:
        """What the shop holds and what is current."""
        from shoal.workflows.status import status

        return {"shop": str(self.directory), **status(store=self._parts.store)}
