"""A live service is killed over and over while clients send: at random, at points, at syncs."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.faults.account import account, numbers, right
from bench.faults.serving import POINTS
from bench.faults.syncs import KILL_AFTER, KILL_BEFORE, NoCompilerError, Syncs
from bench.harness.run import ROOT
from bench.load.site import Server, fresh, until
from bench.load.unit import waiting

_EVERY_S = 0.3
_RATE = 150.0
#: A point that is not passed in so many seconds is not waited for.
_PATIENCE_S = 20.0
_LONGEST_S = 3_600.0


def run(shop: str, kills: int, seed: int, rate: float = _RATE) -> dict[str, Any]:
    """Kill a service some times under one load, and look at what it holds in the end."""
    drawn, prefix = random.Random(seed), f"k{seed}"
    with tempfile.TemporaryDirectory(prefix="shoal-faults-") as name:
        work = Path(name)
        copy, key = fresh(Path(shop), work)
        port = free_port()
        settings = {"rate": rate, "again": 0.1, "poison": 0.01, "prefix": prefix}
        told: list[dict[str, Any]] = []
        with loaded(work, Path(shop), key, port, settings) as load:
            told += [_killed(drawn, number, copy, work, port) for number in range(kills)]
            server = Server(_command(copy, port), log=work / "errors")
            time.sleep(2.0)
            load.send_signal(signal.SIGTERM)
            tally = json.loads(load.communicate(timeout=120)[0])
            caught_up = until(lambda: waiting(copy) == 0, 180.0, 0.2)
            code = server.stop()
        found = account(copy, prefix, numbers(work / "acknowledged"))
        return {
            "kills": told, **found, "right": right(found) and caught_up is not None,
            "statuses": tally["statuses"], "cut": tally["cut"], "stopped_with": code,
            "errors": last(work / "errors"),
        }  # fmt: skip


def _killed(drawn: random.Random, number: int, shop: Path, work: Path, port: int) -> dict[str, Any]:
    """Start the service once and see it die; how it did."""
    points = list(POINTS)
    how = ("at random", "at a point", "at a sync")[number % 3]
    env: dict[str, str] = {}
    point, syncs = "", None
    command = _command(shop, port)
    if how == "at a point":
        point = points[(number // 3 + drawn.randrange(len(points))) % len(points)]
        command += ["--point", point, "--nth", str(drawn.randint(1, 4))]
    elif how == "at a sync":
        try:
            syncs = Syncs(shop, work)
            env = syncs.env
        except NoCompilerError:
            how = "at random"
    try:
        server = Server(command, env=env, log=work / "errors")
    except RuntimeError as error:  # it died before it answered
        if "error" in str(error):
            raise
        return {"how": how, "point": point, "seconds": 0.0}
    began = time.monotonic()
    if syncs is not None:
        time.sleep(drawn.uniform(0.0, 2.0))
        mode = drawn.choice((KILL_BEFORE, KILL_AFTER))
        syncs.order(mode, drawn.randint(1, 20), others=drawn.random() < 0.7)
    if how == "at random":
        time.sleep(drawn.uniform(0.05, 4.0))
    elif until(lambda: server.process.poll() is not None, _PATIENCE_S, 0.02) is None:
        how, point = "at random", ""
    server.stop(signal.SIGKILL)
    if syncs is not None:
        if how == "at a sync":
            point = f"{'before' if mode == KILL_BEFORE else 'after'} {syncs.last}"
        syncs.close()
    return {"how": how, "point": point, "seconds": round(time.monotonic() - began, 2)}


def _command(shop: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "bench.faults.serving", str(shop), str(port), str(_EVERY_S)]


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
