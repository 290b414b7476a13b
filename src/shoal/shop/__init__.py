"""The Python face: `shop = shoal.open(DIR)`. The verbs are those of the command line."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.config import Config, StoreConfig
from shoal.shop.adjust import AdjustVerbs
from shoal.shop.asking import AskingVerbs
from shoal.shop.audited import note
from shoal.shop.backtest import BacktestVerbs
from shoal.shop.embed import EmbedVerbs
from shoal.shop.explain import ExplainVerbs
from shoal.shop.hiding import HidingVerbs
from shoal.shop.keeping import KeepingVerbs, verify
from shoal.shop.membership import MembershipVerbs
from shoal.shop.model import ModelVerbs
from shoal.shop.money import MoneyVerbs
from shoal.shop.outside import OutsideVerbs
from shoal.shop.people import PeopleVerbs
from shoal.shop.probe import ProbeVerbs
from shoal.shop.quality import QualityVerbs
from shoal.shop.replay import ReplayVerbs
from shoal.shop.rules import RuleVerbs
from shoal.shop.segments import SegmentVerbs
from shoal.shop.sync import SyncVerbs
from shoal.shop.versions import VersionVerbs
from shoal.shop.webhooks import WebhookVerbs

if TYPE_CHECKING:
    from shoal.workflows.progress import Progress


def init(directory: str | Path, config: Config | None = None) -> Shop:
    """Make a shop directory and open it.

    Raises:
        UsageError: `shop_exists`.
        OperationError: `no_permission`, `disk_full`.
    """
    return Shop(bootstrap.create(Path(directory), config or Config()))


def open(directory: str | Path, *, one_of: int = 1) -> Shop:
    """Open an existing shop.

    Args:
        one_of: processes that query the shop at once: each takes its part of cores and memory.

    Raises:
        UsageError: `not_a_shop`, or a bad setting in its `shop.toml`.
    """
    return Shop(bootstrap.attach(Path(directory), one_of=one_of))


def migrate(
    directory: str | Path, *, to: int | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Bring a shop that an older Shoal made to the form that this one needs, where it is.

    Makes a copy of nothing: copy the directory before. Nothing happens to a shop that has the form
    already. Killed at any moment and run again, it finishes.

    Args:
        to: a schema version of the state store, older than this program's: for going back to an
            older Shoal, and nothing else is done. What that version has no place for is lost.

    Returns:
        The JSON document `shoal.migrate/1`: versions of state store and event table before and
        after, events, those of anonymous visitors that found another bucket, customers.

    Raises:
        UsageError: `not_a_shop`.
        OperationError: `shop_newer`, `shop_locked`, `shop_damaged`, `disk_full`, `no_permission`.
    """
    if to is not None:
        back = bootstrap.go_back(Path(directory), to)
        return {"schema": "shoal.migrate/1", "shop": str(directory), **back}
    found = bootstrap.migrate(Path(directory))
    with open(directory) as shop:
        shop.catch_up(progress)
        customers = shop.status()["customers"]
    return {
        "schema": "shoal.migrate/1",
        "shop": str(directory),
        **found,
        "customers": customers,
    }


def restore(
    backup: str | Path,
    directory: str | Path,
    *,
    erased: str | Path | None = None,
    store: StoreConfig | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make a shop of a backup, in a directory that is new or empty.

    Every checksum is compared first; the shop is there whole or not at all.

    Args:
        erased: who was forgotten after the backup, and must not come back with it: a file of
            `tombstones`, the shop as it was last, or a later backup.
        store: where its state goes; None: where the backed up shop had it.

    Returns:
        The JSON document `shoal.restore/1`; `erased` is None where nobody said who was forgotten
        since, `keys` how many keys are valid again, `older` whether it must be migrated.

    Raises:
        UsageError: `not_a_backup`; `shop_exists`, of the directory or of its schema.
        InputError: `input_missing`, `input_unreadable`: of `erased`.
        OperationError: `backup_damaged`, `shop_newer`, `disk_full`, `no_permission`.
    """
    from shoal.shop.keeping import erased as read_erased
    from shoal.workflows.restore import restore as work

    told = None if erased is None else read_erased(erased)

    def finish(home: Path, manifest: dict[str, Any]) -> dict[str, Any]:
        bootstrap.settle(home, store)
        try:
            return settled(home, manifest)
        except BaseException:
            bootstrap.unsettle(home)
            raise

    def settled(home: Path, manifest: dict[str, Any]) -> dict[str, Any]:
        older = bootstrap.is_older(manifest["marks"].get("store_version", 0))
        if told is None and older:
            return {"erased": None, "keys": 0, "older": True}
        if older:
            migrate(home)
        with open(home) as shop:
            keys = sum(one["state"] == "valid" for one in shop.keys()["keys"])
            again = None
            if told is not None:
                again = shop.forget_again(told, manifest["made_at"], str(erased), progress)
        note(home, "restore", backup=str(backup), made_at=manifest["made_at"],
             erased=None if again is None else again["new"])  # fmt: skip
        return {"erased": again, "keys": keys, "older": False}

    return work(Path(backup), Path(directory), finish, progress=progress)


__all__ = ["Shop", "init", "migrate", "open", "restore", "verify"]


class Shop(
    KeepingVerbs, PeopleVerbs, MoneyVerbs, QualityVerbs, OutsideVerbs, ModelVerbs,
    EmbedVerbs, ProbeVerbs, SegmentVerbs, WebhookVerbs, MembershipVerbs, ReplayVerbs,
    BacktestVerbs, VersionVerbs, AdjustVerbs, ExplainVerbs, RuleVerbs, SyncVerbs,
    AskingVerbs, HidingVerbs,
):  # fmt: skip
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

    def _repr_html_(self) -> str:
        """What the shop holds, for a notebook."""
        from shoal.report.notebook import facts

        return facts(f"Shop {self.directory.resolve().name}", self.status())

    def close(self) -> None:
        """Release the shop's connections."""
        self._parts.close()

    def status(self) -> dict[str, Any]:
        """What the shop holds and what is current."""
        from shoal.workflows.status import status

        return {"shop": str(self.directory), **status(store=self._parts.store)}
