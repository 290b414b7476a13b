"""A service whose disk fails, and one that is killed at a sync: nothing acknowledged is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.faults.account import account, right
from bench.faults.client import Client
from bench.faults.syncs import (
    FAIL_ON,
    FAIL_ONCE,
    KILL_AFTER,
    NOTHING,
    NoCompilerError,
    Syncs,
)
from bench.load.calls import Calls
from bench.load.site import Server, running, shoal_command, until
from bench.load.unit import waiting
from tests.journeys.conftest import Shoal

CUSTOMERS = ["u1", "u2", "u3"]


@pytest.fixture
def key(shoal: Shoal, shop: Path) -> str:
    found: str = shoal("keys", shop, "--make", "web", "--json").document["key"]
    return found


@pytest.fixture
def syncs(shop: Path, tmp_path: Path) -> Iterator[Syncs]:
    try:
        found = Syncs(shop, tmp_path)
    except NoCompilerError as error:
        pytest.skip(str(error))
    yield found
    found.close()


def test_killed_at_a_sync_and_with_a_disk_that_fails_what_was_acknowledged_is_stored_once(
    shop: Path, key: str, syncs: Syncs
) -> None:
    calls = Calls(CUSTOMERS, key, prefix="a", poison=0.1)
    server = Server(shoal_command(shop, 0, "--every", "0.05"), env=syncs.env)
    killed = Client(server, calls)
    assert killed.send()[0] == 200
    syncs.order(KILL_AFTER, 3, others=True)
    while killed.send()[0] == 200:
        pass
    assert server.stop() == -signal.SIGKILL
    syncs.order(NOTHING)
    with running(shoal_command(shop, 0, "--every", "0.5"), env=syncs.env) as server:
        client = Client(server, calls)
        for place, file in ((1, "inbox.sqlite-wal"), (2, "inbox.sqlite.mark")):
            assert until(lambda: waiting(shop) == 0, 30) is not None
            assert client.send()[0] == 200
            _fails_at(client, syncs, place, file)
        syncs.order(FAIL_ON)
        assert {client.send()[0] for _ in range(5)} == {503}
        assert client.ask("GET", "/health")[0] == 200
        syncs.order(NOTHING)
        assert all(client.send()[0] == 200 for _ in range(20))
        assert until(lambda: waiting(shop) == 0, 30) is not None
        assert client.ready() is not None
    found = account(shop, "a", killed.acknowledged | client.acknowledged)
    assert right(found)
    assert found["quarantine"]


def _fails_at(client: Client, syncs: Syncs, place: int, file: str) -> None:
    """See that a call is not acknowledged whose write was not synced, and that the next one is.

    The driver writes to the inbox as well: the sync that fails may be one of its own, and the call
    is then acknowledged rightly.
    """
    for _ in range(20):
        syncs.order(FAIL_ONCE, place)
        status = client.send()[0]
        syncs.order(NOTHING)
        if status != 200 and syncs.last == file:
            break
    assert (status, syncs.last) == (503, file)
    assert client.send()[0] == 200
