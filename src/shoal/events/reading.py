"""From paths to raw rows: which files, which format, opened for reading in bounded chunks."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shoal.domain.errors import InputError
from shoal.events.chunks import ROWS_PER_CHUNK, RawChunk, Source
from shoal.events.file_order import by_name, in_order
from shoal.events.files import compression_of, expanded, head_of, io_errors
from shoal.events.mapping import SourceMapping
from shoal.events.reading_csv import CsvSource
from shoal.events.reading_jsonl import JsonlSource
from shoal.events.reading_parquet import ParquetSource
from shoal.events.shapes import open_shaped

__all__ = ["RawChunk", "Source", "discover", "open_source"]

#: Formats by suffix, after a compression suffix was taken off.
FORMATS: Final = {
    ".parquet": "parquet", ".pq": "parquet",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".data": "csv", ".item": "csv", ".user": "csv",
}  # fmt: skip
_COMPRESSED: Final = (".gz", ".zst", ".zstd")


def discover(paths: Sequence[str]) -> list[Path]:
    """The files that paths, folders and globs name, every file once.

    Within a folder or glob they are in order of name, numbers by their value. Of files whose names
    tell which of them says more, that one comes later (`shoal.events.file_order`).

    A folder gives its own files of a known format (not those of folders within); names that begin
    with `_` or `.` are left out of folders and globs. A file named itself is taken as it is.

    Raises:
        InputError: `input_missing`, a path leads to no file.
        OperationError: `no_permission`.
    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        with io_errors(path):
            if path.is_dir():
                files = [p for p in by_name(path.iterdir()) if p.is_file() and _format_of(p)]
                files = _visible(files)
            elif path.exists():
                files = [path]
            else:
                matches = glob.glob(text)  # noqa: PTH207  (the pattern may be absolute)
                files = _visible(by_name(Path(match) for match in matches if Path(match).is_file()))
        if not files:
            raise _nothing(text, path)
        found |= dict.fromkeys(files)
    return in_order(list(found))


def open_source(
    path: str | Path, mapping: SourceMapping | None = None, *, rows_per_chunk: int = ROWS_PER_CHUNK
) -> Source:
    """A file opened for reading; its format is told by its name, else by its first bytes.

    Args:
        mapping: gives the delimiter, encoding and column names of text tables, where it has them.
        rows_per_chunk: the most rows a chunk holds.

    Raises:
        InputError: `input_missing`, `input_unreadable`, `input_empty`, `duplicate_headers`.
        OperationError: `no_permission`.
    """
    path = Path(path)
    with io_errors(path):
        size = path.stat().st_size
        compression = compression_of(path) if size else None
        if not size:
            raise InputError(
                "input_empty",
                "the file is empty (0 bytes)",
                where=str(path),
                hint="Export it again, or leave it out.",
            )
        if mapping is not None and mapping.shape:
            return open_shaped(path, mapping, rows_per_chunk)
        form = _format_of(path) or _sniffed(path, compression)
        if form == "parquet":
            return ParquetSource(path, rows_per_chunk)
        if form == "jsonl":
            return JsonlSource(path, compression, rows_per_chunk)
        return CsvSource(path, compression, rows_per_chunk, mapping)


def _format_of(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def _sniffed(path: Path, compression: str | None) -> str:
    head = expanded(head_of(path, 1 << 16), compression)
    if head.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"{", b"[")) else "csv"


def _visible(paths: list[Path]) -> list[Path]:
    return [path for path in paths if not path.name.startswith(("_", "."))]


def _nothing(text: str, path: Path) -> InputError:
    if path.is_dir():
        return InputError(
            "input_missing",
            f"the folder {text!r} holds no event files",
            where=text,
            hint="Shoal takes .csv, .tsv, .txt, .jsonl, .ndjson, .json and .parquet files, also "
            "with .gz or .zst; folders within and names that begin with _ or . are left out.",
        )
    return InputError(
        "input_missing",
        f"there is no file, folder or match for {text!r}",
        where=text,
        hint="Check the path; a glob such as 'logs/*.csv' must match at least one file.",
    )
