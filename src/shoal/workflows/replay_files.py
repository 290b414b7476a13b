"""What a replay writes: memberships of every cut, in one file or in a folder that can go on.

In a folder every cut is a file of its own and `replay.json` tells of those that are finished. Run
again with the same steps, a replay makes only the others. A cut is kept as long as neither the
event table nor what decides about it has changed since, and every cut before it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import parse_moment
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.replay import TOO_LITTLE, Replay
from shoal.workflows.replay_cut import MEMBERSHIPS_SCHEMA, Cut
from shoal.workflows.replay_steps import Steps

SCHEMA: Final = "shoal.replay/1"
JOURNAL: Final = "replay.json"

#: Writes a file that lists customers, and lets the shop know of it: (path, what writes it).
Listing = Callable[[Path, Callable[[], Cut]], Cut]


@dataclass(frozen=True)
class Replayed:
    """A replay that was made: its steps, where it lies, and a row a cut."""

    steps: Steps
    rows: Sequence[dict[str, Any]]
    out: Path | None = None

    @property
    def kept(self) -> int:
        """Cuts that were finished before and not made again."""
        return sum(bool(row.get("kept")) for row in self.rows)

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.replay/1`."""
        return {
            "schema": SCHEMA,
            **self.steps.as_document(),
            "out": None if self.out is None else str(self.out),
            "kept": self.kept,
            "cuts": list(self.rows),
        }


def is_one_file(out: Path) -> bool:
    """Whether the memberships of all cuts go into one file, by the name; else into a folder.

    Raises:
        UsageError: `unknown_format`, a name that says neither.
    """
    if out.is_dir() or not out.suffix:
        return False
    if out.suffix.lower() != ".parquet":
        raise UsageError(
            "unknown_format",
            f"a replay is written as .parquet or into a folder, received {out.name!r}",
            where=str(out),
            hint="Give --out a name that ends in .parquet, or a folder's name without an ending.",
        )
    return True


def write_file(replay: Replay, out: Path, progress: Progress | None = None) -> Replayed:
    """Write the memberships of all cuts into one Parquet file.

    Raises:
        InputError: `too_little_data`, no cut could be made; there is no file then.
    """
    rows = []
    _make_folder(out.parent)
    try:
        with pq.ParquetWriter(out, MEMBERSHIPS_SCHEMA, compression="zstd") as writer:
            for cut in replay.cuts(progress):
                if not cut.skipped:
                    writer.write_table(cut.memberships)
                rows.append(cut.as_document())
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return Replayed(replay.steps, rows, out)


def write_folder(
    replay: Replay, out: Path, listing: Listing, progress: Progress | None = None
) -> Replayed:
    """Write a file a cut into a folder, but for those that are finished there.

    Raises:
        UsageError: `usage`, the folder holds a replay of other steps, or there can be none.
        InputError: `too_little_data`, no cut could be made.
    """
    progress = progress or NoProgress()
    folder = _Folder(out, replay.steps, _made_from(replay))
    rows = folder.kept()
    made = [row for row in rows if row["trained_until"]]
    if made and len(rows) < len(replay.moments) and replay.steps.adjust:
        replay.again(len(rows))
    elif made and len(rows) < len(replay.moments):
        last_file = folder.path(parse_moment(made[-1]["as_of"]))
        replay.go_on(parse_moment(made[-1]["trained_until"]), pq.read_table(last_file))
    last: InputError | None = None
    progress.start("replay", len(replay.moments), "cuts")
    progress.advance(len(rows))
    try:
        for place in range(len(rows), len(replay.moments)):
            cut, error = _one(replay, place, folder, listing)
            last = error or last
            rows.append(folder.finish(rows, cut, _made_from(replay)))
            progress.advance()
    finally:
        progress.done()
    if last is not None and all(row["skipped"] for row in rows):
        raise last
    return Replayed(replay.steps, rows, out)


def _made_from(replay: Replay) -> dict[str, Any]:
    return {"table_version": replay.table_version, "definitions": replay.definitions}


def _one(
    replay: Replay, place: int, folder: _Folder, listing: Listing
) -> tuple[Cut, InputError | None]:
    path = folder.path(replay.moments[place])

    def write() -> Cut:
        cut = replay.cut(place)
        pq.write_table(cut.memberships, path, compression="zstd")
        return cut

    try:
        return listing(path, write), None
    except InputError as error:
        if error.code != TOO_LITTLE:
            raise
        path.unlink(missing_ok=True)
        return replay.skipped(place, error), error


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            "usage", f"{path} is no folder", where=str(path),
            hint="Give --out a path whose folder exists or can be made.",
        ) from error  # fmt: skip


class _Folder:
    """A folder of cuts and its journal."""

    def __init__(self, path: Path, steps: Steps, made_from: dict[str, Any]) -> None:
        self._path = path
        self._steps = steps
        self._made_from = made_from
        _make_folder(path)

    def path(self, moment: datetime) -> Path:
        """The file of a cut: `memberships-20240305T000000Z.parquet`."""
        stamp = moment.strftime("%Y%m%dT%H%M%S") + (f".{moment:%f}" if moment.microsecond else "")
        return self._path / f"memberships-{stamp}Z.parquet"

    def kept(self) -> list[dict[str, Any]]:
        """The rows of the first cuts, as far as they are finished and still true.

        Raises:
            UsageError: `usage`, what lies there was made with other steps.
        """
        journal = self._path / JOURNAL
        if not journal.exists():
            return []
        rows = self._read(journal)
        kept = []
        for row, moment in zip(rows, self._steps.moments, strict=False):
            still = {name: row["made_from"][name] for name in self._made_from}
            file = self.path(moment)
            if still != self._made_from or not (row["skipped"] or file.is_file()):
                break
            kept.append({**row, "kept": True})
        return kept

    def _read(self, journal: Path) -> list[dict[str, Any]]:
        try:
            found = json.loads(journal.read_text(encoding="utf-8"))
            there, rows = {name: found[name] for name in self._steps.as_document()}, found["cuts"]
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                "usage", f"{journal.name} there cannot be read", where=str(journal),
                hint="Give another folder, or remove this one.",
            ) from error  # fmt: skip
        if there != self._steps.as_document():
            differ = [name for name, value in self._steps.as_document().items()
                      if value != there[name]]  # fmt: skip
            raise UsageError(
                "usage",
                "the folder holds a replay with other steps: "
                + ", ".join(f"{name} {there[name]}" for name in differ),
                where=str(self._path),
                hint="Give another folder, or the same steps to go on.",
            )
        return list(rows)

    def finish(
        self, rows: Sequence[dict[str, Any]], cut: Cut, made_from: dict[str, Any]
    ) -> dict[str, Any]:
        """Journal a cut after those before it; returns its row."""
        file = None if cut.skipped else self.path(cut.as_of).name
        made_from = {**made_from, "table_version": cut.table_version}
        row = {**cut.as_document(), "file": file, "made_from": made_from, "kept": False}
        journaled = [{**one, "kept": False} for one in (*rows, row)]
        document = {"schema": SCHEMA, **self._steps.as_document(), "cuts": journaled}
        aside = self._path / f".{JOURNAL}.part"
        aside.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
        aside.replace(self._path / JOURNAL)
        return row
