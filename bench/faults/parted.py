"""Processes among which customers are divided are killed under load, and the service with them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.faults.account import account, numbers, right
from bench.faults.kills import free_port, last, loaded
from bench.load.site import Server, fresh, running, shoal_command, until
from bench.load.unit import waiting

#: Requests a second and calls of each: so many that every step is divided.
_RATE, _BATCH = 40.0, 75
#: Seconds between two kills; a partition starts in about one.
_PAUSES_S = (0.2, 8.0)
_PARTITIONS = 2


def parted(shop: str, kills: int, seed: int) -> dict[str, Any]:
    """Kill partitions at drawn moments, and half way the service."""
    drawn = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="shoal-faults-") as name:
        work = Path(name)
        copy, key = fresh(Path(shop), work)
        port = free_port()
        command = shoal_command(copy, port, "--partitions", str(_PARTITIONS))
        settings = {"rate": _RATE, "batch": _BATCH, "prefix": "parted", "again": 0.1}
        done: Counter[str] = Counter()
        with loaded(work, Path(shop), key, port, settings) as load:
            for ends, part in ((False, kills // 2), (True, kills - kills // 2)):
                with running(command, log=work / "errors") as server:
                    told = _killed(server, part, drawn)
                    done.update(told)
                    if not ends:
                        server.stop(signal.SIGKILL)
                    else:
                        load.send_signal(signal.SIGTERM)
                        tally = json.loads(load.communicate(timeout=120)[0])
                        caught_up = until(lambda: waiting(copy) == 0, 180.0, 0.2)
        found = account(copy, "parted", numbers(work / "acknowledged", _BATCH))
        return {
            "statuses": tally["statuses"], "killed": kills, **done, **found,
            "right": caught_up is not None and bool(done["shares"]) and right(found),
            "errors": last(work / "errors"),
        }  # fmt: skip


def _killed(server: Server, kills: int, drawn: random.Random) -> dict[str, int]:
    """Kill one partition after the other; what all of them did meanwhile."""
    for _ in range(kills):
        time.sleep(drawn.uniform(*_PAUSES_S))
        there = [one["pid"] for one in _partitions(server) if one["pid"]]
        if there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(drawn.choice(there), signal.SIGKILL)
    time.sleep(_PAUSES_S[1])
    told = _partitions(server)
    return {name: sum(one[name] for one in told) for name in ("shares", "restarts")}


def _partitions(server: Server) -> list[dict[str, Any]]:
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        connection.request("GET", "/ready")
        found: list[dict[str, Any]] = json.loads(connection.getresponse().read())["partitions"]
        return found
