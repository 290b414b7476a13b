"""From the inbox to the front door: what stands in the files, and which calls go again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shoal.adapters.memory_inbox import MemoryInbox
from shoal.domain.account import RowAccount
from shoal.domain.errors import OperationError
from shoal.events.mapping import SourceMapping
from shoal.events.presets import load
from shoal.ports import Arrived
from shoal.workflows import draining
from shoal.workflows.collected_rows import Collected
from shoal.workflows.draining import drain
from shoal.workflows.ingest_result import IngestResult


class FrontDoor:
    """Keeps what it is given; fails for sources that are named."""

    def __init__(self) -> None:
        self.given: list[tuple[str, list[dict[str, Any]], list[int]]] = []
        self.closed: set[str] = set()

    def __call__(self, file: Path, mapping: SourceMapping, calls: Collected) -> IngestResult:
        if mapping.source in self.closed:
            raise OperationError("disk_full", "no space is left")
        lines = [json.loads(line) for line in file.read_bytes().splitlines()]
        self.given.append((mapping.source, lines, list(calls.positions)))
        assert calls.name == f"inbox:{mapping.source}"
        return IngestResult((), 0, 0, 0, None, None)


def arrived(source: str, message_id: str, line: bytes, fault: str | None = None) -> Arrived:
    return Arrived(source, message_id, 1, line, fault)


def test_each_source_has_a_file_and_each_line_its_place(tmp_path: Path) -> None:
    inbox, door = MemoryInbox(), FrontDoor()
    inbox.append(
        [
            arrived("web", "m1", b'{"messageId":"m1"}'),
            arrived("app", "m1", b'{"messageId":"m1"}'),
            arrived("web", "shoal-1", b'{"event":"x"}'),
            arrived("web", "shoal-2", b'{"event":"y","messageId":null}'),
            arrived("web", "shoal-3", b"[1", "bad_json: no JSON: at 1"),
        ]
    )
    found = drain(inbox, door, load("segment-spec"), tmp_path)
    assert (found.calls, found.rows, inbox.waiting()) == (5, RowAccount(), 0)
    (web, lines, places), (app, others, at) = door.given
    assert (web, places, app, at) == ("web", [1, 3, 4, 5], "app", [2])
    assert [line.get("messageId") for line in lines] == ["m1", "shoal-1", "shoal-2", None]
    assert lines[3] == {"$refused": ["bad_json", "no JSON: at 1"], "raw": "[1", "position": 5}
    assert others == [{"messageId": "m1"}]
    assert list(tmp_path.iterdir()) == []


def test_what_was_cut_off_goes_again_as_it_was(tmp_path: Path) -> None:
    inbox, door = MemoryInbox(), FrontDoor()
    inbox.append([arrived("web", "m1", b"{}"), arrived("app", "m2", b"{}")])
    door.closed = {"app"}
    with pytest.raises(OperationError):
        drain(inbox, door, load("segment-spec"), tmp_path)
    inbox.append([arrived("web", "m3", b"{}"), arrived("app", "m4", b"{}")])
    door.closed = set()
    assert drain(inbox, door, load("segment-spec"), tmp_path).calls == 2
    assert drain(inbox, door, load("segment-spec"), tmp_path).calls == 2
    assert [(source, places) for source, _, places in door.given] == [
        ("web", [1]), ("web", [1]), ("app", [2]), ("web", [3]), ("app", [4]),
    ]  # fmt: skip


def test_a_plan_of_which_nothing_is_left_holds_up_nobody(tmp_path: Path) -> None:
    class Erased(MemoryInbox):
        def planned(self) -> int:
            return 2

        def after(self, position: int, limit: int) -> list[tuple[int, Arrived]]:
            return [one for one in super().after(position, limit + 2) if one[0] > 2][:limit]

    inbox, door = Erased(), FrontDoor()
    inbox.append([arrived("web", f"m{n}", b"{}") for n in range(1, 5)])
    assert drain(inbox, door, load("segment-spec"), tmp_path).calls == 2
    assert [places for _, _, places in door.given] == [[3, 4]]


def test_calls_are_read_in_parts_up_to_a_number_and_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "_READ", 2)
    inbox, door = MemoryInbox(), FrontDoor()
    inbox.append([arrived("web", f"m{n}", b'{"n":%d}' % n) for n in range(12)])
    assert drain(inbox, door, load("segment-spec"), tmp_path, most=5).calls == 5
    monkeypatch.setattr(draining, "_MOST_BYTES", 3 * len(b'{"n":0}'))
    assert drain(inbox, door, load("segment-spec"), tmp_path, most=5).calls == 4
    assert drain(inbox, door, load("segment-spec"), tmp_path, most=5).calls == 3
    assert [places for _, _, places in door.given] == [
        [1, 2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12],
    ]  # fmt: skip
    assert (inbox.drained(), inbox.planned()) == (12, 12)
