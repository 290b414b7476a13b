"""Kills of a service: which are made, and what is told of them."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bench.faults import __main__ as faults
from bench.faults import page
from bench.faults.forking import Forked, Loaded
from bench.faults.plan import POINT, STARTING, SYNC, planned
from bench.faults.serving import POINTS
from bench.harness.merging import MergeError


def test_every_point_is_drawn_as_often_as_any_other_and_one_kill_of_ten_is_of_a_new_process() -> (
    None
):
    services = [planned(10, seed) for seed in range(16, 32)]
    kills = [kill for service in services for kill in service]
    assert Counter(kill.point for kill in kills if kill.how == POINT) == dict.fromkeys(POINTS, 3)
    assert all((kill.how == POINT) == bool(kill.point) for kill in kills)
    assert {sum(kill.afresh for kill in service) for service in services} == {1}
    assert sum(kill.afresh and kill.how == STARTING for kill in kills) == 8
    assert sum(kill.how == SYNC for kill in kills) == 48
    assert planned(4, 16) == services[0][:4] != services[1][:4]
    assert len(planned(23, 1)) == 23


def test_a_forked_service_is_as_dead_as_its_parent_says() -> None:
    own, parent = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with own, parent, Path(os.devnull).open("rb") as said:
        forked = Forked(os.getpid(), said, own)
        assert forked.poll() is None
        parent.send(b'{"code": -9}')
        assert (forked.poll(), forked.wait(0.0)) == (-signal.SIGKILL, -signal.SIGKILL)
        forked.kill()  # nobody: it is dead


def test_services_are_forked_one_after_the_other_with_stdout_and_stderr_of_their_own(
    tmp_path: Path,
) -> None:
    loaded, log = Loaded({}, ["bench.faults.serving"]), tmp_path / "errors"
    try:
        first = loaded.start(["--help"], env={"COLUMNS": "70"}, log=log)
        assert b"--point" in first.stdout.read()
        assert first.wait(30.0) == 0
        second = loaded.start(["--point", "nowhere"], env={}, log=log)
        assert second.wait(30.0) == 2
        assert "nowhere" in log.read_text()
    finally:
        loaded.close()


def document(customers: int = 9, **rows: int) -> dict[str, Any]:
    """What a run gave: so many rows of each fault."""
    made = [{"peer": fault, "label": f"{fault}-{place}", "of": sum(rows.values())}
            for fault, count in rows.items() for place in range(count)]  # fmt: skip
    return {"command": "c", "machine": {"load": 1.0}, "rows": made,
            "settings": {"customers": customers, "kills": 10 * rows.get("kills", 0)}}  # fmt: skip


def test_a_later_run_of_a_fault_replaces_all_that_was_there_of_it() -> None:
    old = document(kills=5, full=1, away=1)
    found = faults.merged(old, document(away=1, kills=2))
    assert [row["label"] for row in found["rows"]] == ["kills-0", "kills-1", "full-0", "away-0"]
    assert [row["of"] for row in found["rows"]] == [3, 3, 7, 3]
    assert found["settings"]["kills"] == 20
    assert found["added"][0]["peers"] == ["kills", "away"]
    assert faults.merged(old, document(full=1))["settings"]["kills"] == 50
    with pytest.raises(MergeError, match="customers"):
        faults.merged(old, document(customers=10, kills=1))


def test_the_page_tells_how_services_came_to_be_and_how_long_they_lived() -> None:
    lives = [0.0, *(place / 10 for place in range(1, 12))]
    told = page._lives([{"afresh": not life, "seconds": life} for life in lives])
    assert told.startswith("1 were processes started afresh, 11 forked from one")
    assert "1 died before their first answer" in told
    assert "within 0.2 s of it, half within 0.6 s, the last after 1.1 s" in told
