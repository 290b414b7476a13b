"""One inbox that several processes write to: each call is new once, nothing acknowledged goes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import postgres
from tests.contracts import appending

from shoal.adapters import sql_inbox
from shoal.adapters.high_water import told as marked
from shoal.adapters.postgres import Namespace
from shoal.adapters.sql_inbox import SqlInbox
from shoal.domain.errors import OperationError
from shoal.ports import Arrived


@dataclass(frozen=True)
class Site:
    """Where an inbox is."""

    home: Path
    namespace: Namespace | None

    def open(self) -> SqlInbox:
        return SqlInbox(self.namespace or self.home / "inbox.sqlite")

    @property
    def mark(self) -> int:
        named = self.namespace
        return marked(self.home / "inbox.sqlite.mark" if named is None else named.mark("inbox"))

    def process(self, ids: list[str], some: int = 10) -> subprocess.Popen[str]:
        """A process that appends ids, some at a time, once it is told to begin."""
        named = self.namespace
        told = {"home": str(self.home), "url": None if named is None else named.url,
                "name": None if named is None else named.name,
                "ids": ids, "some": some}  # fmt: skip
        found = subprocess.Popen(
            [sys.executable, "-m", appending.__name__, json.dumps(told)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert found.stdout is not None
        assert found.stdout.readline() == "{}\n"
        return found


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        named = None
        if request.param == "postgres":
            named = stack.enter_context(postgres.namespace(tmp_path))
        made = Site(tmp_path, named)
        made.open().close()
        yield made


def begin(*processes: subprocess.Popen[str]) -> None:
    for one in processes:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()


def told(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, _ = process.communicate(timeout=60)
    return [json.loads(line) for line in out.splitlines() if line.endswith("}")]


def place_of(inbox: SqlInbox) -> dict[str, int]:
    return {str(call.message_id): place for place, call in inbox.after(0, 10_000)}


def test_ids_that_several_processes_send_are_new_once(site: Site) -> None:
    ids = [f"m{number}" for number in range(200)]
    orders = [random.Random(seed).sample(ids, len(ids)) for seed in range(3)]
    processes = [site.process(order, some) for order, some in zip(orders, (3, 7, 20), strict=True)]
    begin(*processes)
    appended = [told(one) for one in processes]
    assert [one.returncode for one in processes] == [0, 0, 0]
    inbox = site.open()
    places = place_of(inbox)
    assert sorted(places.values()) == list(range(1, 201))
    assert inbox.last() == inbox.written == site.mark == 200
    inbox.close()
    new = Counter(one for process in appended for answer in process for one in answer["new"])
    assert new == Counter(ids)
    for process in appended:
        written = [answer["written"] for answer in process]
        assert written == sorted(written)
        for answer in process:
            # Also of calls that another process was given: they are on disk, and before this.
            last = max(places[one] for one in answer["asked"])
            assert last <= answer["written"] <= answer["mark"]


def test_one_that_is_killed_while_it_appends_holds_up_nobody_and_loses_nothing(site: Site) -> None:
    ids = [f"k{number}" for number in range(5_000)]
    killed, other = site.process(ids, 1), site.process([f"o{n}" for n in range(60)], 1)
    begin(killed, other)
    assert killed.stdout is not None
    acknowledged = [json.loads(killed.stdout.readline()) for _ in range(40)]
    killed.send_signal(signal.SIGKILL)
    rest, _ = killed.communicate(timeout=60)
    acknowledged += [json.loads(line) for line in rest.splitlines() if line.endswith("}")]
    told(other)
    assert (killed.returncode, other.returncode) == (-signal.SIGKILL, 0)
    inbox = site.open()
    kept = place_of(inbox)
    assert {one for answer in acknowledged for one in answer["new"]} <= kept.keys()
    assert sum(one.startswith("o") for one in kept) == 60
    assert site.mark >= max(answer["written"] for answer in acknowledged)
    # The one call that may be there without its client having heard of it.
    assert sum(one.startswith("k") for one in kept) - len(acknowledged) in (0, 1)
    assert inbox.append([Arrived("web", one, 10, b"{}") for one in ids[: len(acknowledged)]]) == (
        [False] * len(acknowledged)
    )
    inbox.close()


def test_a_mark_is_never_written_back(site: Site) -> None:
    first, second = site.open(), site.open()
    first.append([Arrived("web", "a", 1, b"{}")])
    second.append([Arrived("web", "b", 1, b"{}"), Arrived("web", "c", 1, b"{}")])
    assert (first.written, second.written, site.mark) == (1, 3, 3)
    first._write_mark(1)  # the one that committed first comes second
    assert site.mark == 3
    assert first.append([Arrived("web", "c", 1, b"{}")]) == [False]
    assert first.written == 3
    first.close()
    second.close()


def test_a_mark_that_could_not_be_synced_is_synced_before_the_next_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [Arrived("web", "a", 1, b"{}", None)]
    synced: list[int] = []

    def failing(file: int) -> None:
        synced.append(file)
        if len(synced) == 1:
            raise OSError(5, "a disk that fails once")

    with closing(site.open()) as inbox:
        monkeypatch.setattr(sql_inbox.os, "fdatasync", failing)
        with pytest.raises(OperationError):
            inbox.append(calls)
        # Sent again they are none, and are acknowledged for what is on disk.
        assert inbox.append(calls) == [False]
        assert len(synced) == 2
        assert inbox.append(calls) == [False]
        assert len(synced) == 2
    assert site.mark == 1
