"""JSON Lines in blocks: long lines are read whole, and the first object alone where it is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shoal.domain.errors import InputError
from shoal.events.shapes import json_blocks as module
from shoal.events.shapes.json_blocks import head_object, json_blocks


@pytest.mark.parametrize("size", [10, 5_000, 300_000])
@pytest.mark.parametrize("block", [1, 100, 1 << 19])
def test_lines_longer_than_a_block_are_read_whole(tmp_path: Path, size: int, block: int) -> None:
    told = [{"a": "x" * size}, {"b": 1}, {"c": "y" * (size // 2)}]
    file = tmp_path / "log.jsonl"
    file.write_text("\n".join(map(json.dumps, told)))
    found = list(json_blocks(file, block))
    assert [one for part in found for one in part.objects] == told
    assert [place for part in found for place in part.places] == [0, 1, 2]


@pytest.mark.parametrize("size", [10, 300_000])
def test_the_first_object_is_found_whatever_comes_after_it(tmp_path: Path, size: int) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps({"a": "x" * size}) + "\n" + "{broken\n" * 1_000)
    assert head_object(file) == {"a": "x" * size}


def test_no_more_is_parsed_than_the_first_object_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    monkeypatch.setattr(module, "_loads", lambda line: parsed.append(line) or json.loads(line))
    file = tmp_path / "log.jsonl"
    file.write_text('{"type": "track"}\n' * 100_000)
    assert head_object(file) == {"type": "track"}
    assert len(parsed) < 300


def test_a_line_without_an_end_is_told_and_not_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 1 << 16)
    file = tmp_path / "log.jsonl"
    file.write_text("x" * (1 << 20))
    with pytest.raises(InputError, match="a line is longer") as caught:
        head_object(file)
    assert caught.value.code == "input_unreadable"
