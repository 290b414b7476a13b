"""JSON Lines in blocks: many lines read, decoded and parsed at a time, bad ones kept apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shoal.domain.errors import InputError
from shoal.events.files import compression_of, io_errors
from shoal.events.shapes.flat_table import Rejected

#: Bytes read at a time, and the longest line. Blocks are small because objects that stay cost more
#: than to parse them: the collector of Python's garbage looks at all of them again and again.
BLOCK: Final = 1 << 19
LONGEST_LINE: Final = 64 << 20
#: Bytes in which the first object is looked for at first: all objects in them are parsed.
_HEAD: Final = 1 << 12
_DECODE: Final = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class JsonBlock:
    """Objects of some lines, with each line's place in the file (from 0, blank lines left out)."""

    objects: list[dict[str, Any]]
    lines: list[str]
    places: list[int]
    rejected: list[Rejected]
    bytes_read: int


def json_blocks(path: Path, block: int = BLOCK) -> Iterator[JsonBlock]:
    """The file's objects in blocks of whole lines.

    Raises:
        InputError: `input_unreadable`, a damaged or cut off compressed file, a line too long.
    """
    with io_errors(path), path.open("rb") as raw:
        compression = compression_of(path)
        stream: Any = raw
        if compression is not None:
            stream = pa.CompressedInputStream(pa.PythonFile(raw, "r"), compression)
        rest, place = b"", 0
        while True:
            read = stream.read(max(block, len(rest)))  # twice as much of a line that is longer
            data = rest + read
            end = data.rfind(b"\n") + 1 if read else len(data)
            rest = data[end:]
            if len(rest) > LONGEST_LINE:
                raise _too_long(path)
            if end:
                found = _parsed(data[:end], place, raw.tell())
                place += len(found.places) + len(found.rejected)
                yield found
            if not read:
                return


def _parsed(data: bytes, place: int, bytes_read: int) -> JsonBlock:
    """The block's objects; line by line with care where anything about it is odd."""
    if place == 0:
        data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        lines = [line for line in data.decode("utf-8").split("\n") if line and not line.isspace()]
        objects = list(map(_loads, lines))
        if all(type(found) is dict for found in objects):
            places = list(range(place, place + len(lines)))
            return JsonBlock(objects, lines, places, [], bytes_read)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        pass
    return _one_by_one(data, place, bytes_read)


def _loads(line: str) -> Any:
    """`json.loads`, without what it does around a value that is all of its text."""
    try:
        found, end = _DECODE(line)
    except ValueError:  # also where it begins with a space
        return json.loads(line)
    return found if end == len(line) else json.loads(line)


def _one_by_one(data: bytes, place: int, bytes_read: int) -> JsonBlock:
    objects: list[dict[str, Any]] = []
    lines: list[str] = []
    places: list[int] = []
    rejected: list[Rejected] = []
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        text = line.decode("utf-8", "backslashreplace").rstrip("\r")
        try:
            found = json.loads(line.decode("utf-8"))
            if isinstance(found, dict):
                objects.append(found)
                lines.append(text)
                places.append(place)
            else:
                what = f"a JSON object is wanted, this is a {type(found).__name__}"
                rejected.append((place, "bad_json", what, text))
        except UnicodeDecodeError as error:
            rejected.append((place, "bad_encoding", f"not UTF-8: {error}", text))
        except (ValueError, RecursionError) as error:
            rejected.append((place, "bad_json", f"not JSON: {error}", text))
        place += 1
    return JsonBlock(objects, lines, places, rejected, bytes_read)


def head_object(path: Path) -> dict[str, Any]:
    """The first object of the file.

    Raises:
        InputError: `input_empty`, no lines; `input_unreadable`, the first lines are no objects.
    """
    for block in json_blocks(path, _HEAD):
        if block.objects:
            return block.objects[0]
        if block.rejected:
            raise InputError(
                "input_unreadable",
                f"the file is not JSON Lines: its first line is {block.rejected[0][3][:60]!r}",
                where=str(path),
                hint="JSON Lines is wanted: one object {...} a line, no surrounding list. "
                "`jq -c '.[]' file.json > file.jsonl` turns a list into lines.",
            )
    raise InputError(
        "input_empty", "the file holds no lines", where=str(path),
        hint="Export it again, or leave it out.",
    )  # fmt: skip


def _too_long(path: Path) -> InputError:
    return InputError(
        "input_unreadable",
        f"a line is longer than {LONGEST_LINE >> 20} MiB",
        where=str(path),
        hint="JSON Lines is wanted: one object {...} a line, no surrounding list.",
    )
