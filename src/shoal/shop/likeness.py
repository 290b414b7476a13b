"""Simulate a shop whose log is like a real one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal import bootstrap
from shoal.config import FILE_NAME, Config
from shoal.domain.errors import UsageError

if TYPE_CHECKING:
    from shoal.events.mapping import SourceMapping
    from shoal.workflows.calibration_result import Calibration
    from shoal.workflows.likeness import Likeness
    from shoal.workflows.progress import Progress

#: Where the result of a calibration lies, beside the truth.
CALIBRATION_FILE: Final = "calibration.json"


def likeness(
    like: str | Path,
    *,
    preset: str | None = None,
    mapping: str | Path | SourceMapping | None = None,
    confirm: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
) -> Likeness:
    """The log of a file, a folder or a shop, read through the front door as `ingest` reads it.

    A file goes into a temporary shop, in the zone that its layout says; a shop is only read.

    Raises:
        UsageError: `unknown_preset`, `bad_mapping`, `mapping_unconfirmed`; a preset for a shop.
        InputError: nothing there that can be read; `too_little_data`.
    """
    from shoal.workflows.likeness import read_likeness

    with _opened(Path(like), preset, mapping, confirm, progress) as parts:
        counted = parts.admission.at()  # its files are there for as long as it is
        return read_likeness(
            parts.engine, counted.events(), parts.fold.rules, where=str(like),
            zone=parts.config.shop.time_zone,
        )  # fmt: skip


@contextmanager
def _opened(
    like: Path,
    preset: str | None,
    mapping: str | Path | SourceMapping | None,
    confirm: Callable[[str], bool] | None,
    progress: Progress | None,
) -> Iterator[bootstrap.Parts]:
    """The parts of the shop at that place, or of a temporary one that holds what lies there."""
    from shoal.events.mapping import SourceMapping
    from shoal.shop import init
    from shoal.workflows.layout import layout_of

    if (like / FILE_NAME).exists():
        if preset or mapping:
            raise UsageError(
                "usage", "a shop needs no preset or mapping", where=str(like),
                hint="Leave out --preset and --mapping: what the shop holds is known.",
            )  # fmt: skip
        parts = bootstrap.attach(like)
        try:
            yield parts
        finally:
            parts.close()
        return
    layout = layout_of(preset, mapping, confirm)
    zone = layout.time_zone if isinstance(layout, SourceMapping) else "UTC"
    config = Config()
    with tempfile.TemporaryDirectory(prefix="shoal-like-") as directory:
        settled = replace(config, shop=replace(config.shop, time_zone=zone))
        with init(Path(directory) / "shop", settled) as shop:
            shop.ingest([like], preset=preset, mapping=mapping, confirm=confirm, progress=progress)
            yield shop._parts


def simulate_like(
    like: str | Path,
    out: str | Path,
    *,
    world: str = "steady",
    customers: int | None = None,
    days: int | None = None,
    seed: int = 0,
    difficulty: float | None = None,
    dials: Mapping[str, Any] | None = None,
    preset: str | None = None,
    mapping: str | Path | SourceMapping | None = None,
    confirm: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Fit a world's dials to a log, and write a simulated shop with them into `out`.

    What `simulate` writes, and the calibration's document as `_truth/calibration.json`. The log is
    only read. Nothing is written before everything is fitted and measured.

    Args:
        like: a file, folder or shop.
        customers, days: of the simulated shop; None: as many as the log has.
        dials: dials that are set and not fitted.
        preset, mapping, confirm: how the file is read; see `Shop.ingest`.

    Raises:
        UsageError: `unknown_world`, `unknown_dial`, `bad_dial`, `unknown_preset`, ...
        InputError: the log cannot be read; `too_little_data`.
        OperationError: `disk_full`, `no_permission`.
    """
    from shoal.events import worlds
    from shoal.events.worlds.base import with_dials
    from shoal.workflows.calibrate import calibrate
    from shoal.workflows.simulate import MOST_DAYS, check, simulate

    chosen = with_dials(worlds.load(world), dict(dials or {}), difficulty)
    out = Path(out)
    least = len(chosen.segments)
    check(
        chosen, out, least if customers is None else customers,
        MOST_DAYS if days is None else days, seed,
    )  # fmt: skip
    log = likeness(like, preset=preset, mapping=mapping, confirm=confirm, progress=progress)
    customers = log.log.customers if customers is None else customers
    days = log.days if days is None else days
    check(chosen, out, customers, days, seed)
    found = calibrate(log, chosen, seed=seed, fixed=set(dials or {}), progress=progress)
    written = simulate(
        out, customers=customers, days=days, world=found.world, seed=seed, progress=progress
    )
    found = replace(found, written=written)
    text = json.dumps(found.as_document(), indent=1, ensure_ascii=False)
    (out / "_truth" / CALIBRATION_FILE).write_text(text + "\n", encoding="utf-8")
    return found
