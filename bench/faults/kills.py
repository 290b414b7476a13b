"""A live service is killed over and over while clients send: at random, at points, at syncs."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.faults.account import account, numbers, right
from bench.faults.killer import Killer
from bench.faults.plan import Kill, planned
from bench.harness.run import ROOT
from bench.load.site import fresh, until
from bench.load.unit import waiting

_RATE = 150.0
#: The load goes on for so long after the last start.
_CALM_S = 1.0
_LONGEST_S = 3_600.0


def run(shop: str, kills: int, seed: int, rate: float = _RATE) -> dict[str, Any]:
    """Kill a service some times under one load, and look at what it holds in the end.

    A shop that does not hold what it should is kept in `wrong`, beside the prepared one.
    """
    folder, prefix = Path(shop), f"k{seed}"
    with tempfile.TemporaryDirectory(prefix="shoal-faults-") as name:
        work = Path(name)
        try:
            found = _killed(folder, work, planned(kills, seed), prefix, rate)
        except BaseException:
            _keep(work, folder.parent / "wrong" / prefix)
            raise
        if not found["right"]:
            _keep(work, folder.parent / "wrong" / prefix)
        return found


def _killed(
    folder: Path, work: Path, kills: Sequence[Kill], prefix: str, rate: float
) -> dict[str, Any]:
    shop, key = fresh(folder, work)
    port = free_port()
    settings = {"rate": rate, "again": 0.1, "poison": 0.01, "prefix": prefix}
    with (
        Killer(shop, work, port, prefix) as killer,
        loaded(work, folder, key, port, settings) as load,
    ):
        told = [killer.kill(kill) for kill in kills]
        service = killer.spared()
        time.sleep(_CALM_S)
        load.send_signal(signal.SIGTERM)
        tally = json.loads(load.communicate(timeout=120)[0])
        caught_up = until(lambda: waiting(shop) == 0, 180.0, 0.2)
        service.send_signal(signal.SIGTERM)
        code = service.wait(300.0)
    found = account(shop, prefix, numbers(work / "acknowledged"))
    return {
        "kills": told, **found, "right": right(found) and caught_up is not None and code == 0,
        "statuses": tally["statuses"], "cut": tally["cut"], "stopped_with": code,
        "errors": last(work / "errors"),
    }  # fmt: skip


def _keep(work: Path, place: Path) -> None:
    """Keep a shop, what was acknowledged and what the services said, to be looked at."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(work, place)


@contextmanager
def loaded(
    work: Path, shop: Path, key: str, port: int, settings: dict[str, Any]
) -> Iterator[subprocess.Popen[bytes]]:
    """A generator that goes on while its server comes and goes, until it is told to stop."""
    told = {
        "host": "127.0.0.1", "port": port, "customers": str(shop / "customers.txt"), "key": key,
        "batch": 1, "connections": 16, "seconds": _LONGEST_S,
        "acknowledged": str(work / "acknowledged"), **settings,
    }  # fmt: skip
    load = subprocess.Popen(
        [sys.executable, "-m", "bench.load.generator", json.dumps(told)],
        cwd=ROOT, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield load
    finally:
        if load.poll() is None:
            load.kill()
            load.communicate()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def last(errors: Path) -> str:
    """The end of what a server said."""
    return errors.read_text(errors="replace")[-600:] if errors.exists() else ""
