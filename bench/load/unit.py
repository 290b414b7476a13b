"""One phase of load against one server: started on a fresh copy of the shop, loaded, looked at."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import sqlite3
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from bench.load import replay, steps
from bench.load.site import Server, fresh, generated, key_of, running, shoal_command, until
from bench.load.visible import Probe

SHOAL, BARE = "shoal", "bare"
PROFILE = "/v1/customers/{}"
CONNECTIONS = 64
_BATCH_CONNECTIONS = 8
_CATCH_UP_S = 300.0


def run(
    server: str,
    phase: str,
    shop: str,
    seconds: float,
    rate: float | None = None,
    batch: int = 1,
    every_s: float = 1.0,
    workers: int = 1,
    partitions: int = 1,
    calls: int = 0,
) -> dict[str, Any]:
    """Run a phase.

    Args:
        phase: `single` and `batch`: as fast as answers come; `paced`: at a rate; `visible`: probes
            beside a rate; `reads`: profiles at a rate; `replay`: a log in one import; `steps`:
            steps of the stream alone, without a service.
        shop: folder of the prepared shop.
        rate: requests a second; None: as many as are answered.
        every_s: how long events of Shoal's service wait for others.
        workers: processes of Shoal's service that take connections.
        partitions: processes among which it divides customers.
        calls: of `replay`.
    """
    settings = {
        "customers": str(Path(shop) / "customers.txt"), "batch": batch, "prefix": phase,
        "connections": CONNECTIONS if batch == 1 else _BATCH_CONNECTIONS, "seconds": seconds,
        "rate": rate, "key": "none", "calls": calls,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="shoal-load-") as name, _Load() as load:
        work = Path(name)
        if phase == "steps":
            found = steps.measured(Path(shop), work, partitions)
        elif server == BARE:
            found = _bare(work, settings)
        else:
            more = ("--every", str(every_s), "--workers", str(workers),
                    "--partitions", str(partitions))  # fmt: skip
            found = _shoal(phase, Path(shop), work, settings, more)
    return {**found, "load": load.mean()}


def _bare(work: Path, settings: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.load.bare", str(work / "log")]
    with running(command) as server:
        found = generated(server, settings)
    return {**found, "rss_mib": memory(server)}


def _shoal(
    phase: str, folder: Path, work: Path, settings: dict[str, Any], more: Sequence[str]
) -> dict[str, Any]:
    shop, settings["key"] = fresh(folder, work)
    errors = work / "errors"
    who = (folder / "probes.txt").read_text().split()
    reads = phase == "reads"
    reader = key_of(shop, "reads", "analyst") if reads else ""
    if reads:
        _unlimited(shop)
    with running(shoal_command(shop, 0, *more), log=errors) as server:
        with closing(Probe(server, shop, settings["key"], who[-1:])) as first:
            if first.once() is None:  # a start loads what steps need
                raise RuntimeError(f"nobody was moved: {_last(errors)}")
        if reads:
            settings.update(path=PROFILE, key=reader)
            status = _status(server, PROFILE.format(who[0]), reader)
            if status != 200:
                return {"not_there": f"GET {PROFILE} answers {status}"}
            until(lambda: _swept(server, reader), _CATCH_UP_S, 0.25)
        if phase == "replay":
            return {**replay.imported(server, shop, settings, who[:-1]), "rss_mib": memory(server)}
        probe = Probe(server, shop, settings["key"], who[:-1]) if phase == "visible" else None
        with probe or nullcontext():
            found = generated(server, settings)
        if probe is not None:
            found["visible"] = probe.told()
        found["waiting"] = waiting(shop)
        found["caught_up_s"] = until(lambda: waiting(shop) == 0, _CATCH_UP_S, 0.25)
    found["stopped_with"] = server.process.returncode
    return {**found, "stored": stored(shop, phase), "rss_mib": memory(server),
            "errors": _last(errors)}  # fmt: skip


def stored(shop: Path, prefix: str) -> dict[str, int]:
    """How many calls of a generator are in the event table, and how many of them more than once."""
    from deltalake import DeltaTable

    table = DeltaTable(str(shop / "events")).to_pyarrow_dataset()
    ids = table.to_table(columns=["event_id"])["event_id"].to_pylist()
    counts = Counter(one for one in ids if one is not None and one.startswith(f"{prefix}-"))
    return {"calls": len(counts), "twice": sum(n > 1 for n in counts.values())}


def waiting(shop: Path) -> int:
    """Calls in the inbox."""
    with closing(sqlite3.connect(f"file:{shop / 'inbox.sqlite'}?mode=ro", uri=True)) as inbox:
        return int(inbox.execute("SELECT count(*) FROM inbox").fetchone()[0])


def memory(server: Server) -> dict[str, Any]:
    """Resident memory in MiB: the highest, and the median of each quarter."""
    told = server.rss_mib
    if not told:
        return {}
    cuts = [round(len(told) * number / 4) for number in range(5)]
    quarters = [
        statistics.median(told[start:stop] or told) for start, stop in itertools.pairwise(cuts)
    ]
    return {"most": max(told), "first": quarters[0], "last": quarters[-1], "quarters": quarters}


def _unlimited(shop: Path) -> None:
    """Let one key ask as often as it likes: here one reader stands for many."""
    file = shop / "shop.toml"
    told, found = re.subn(
        r"(?m)^key_per_second *=.*$", "key_per_second = 0", file.read_text(encoding="utf-8")
    )
    file.write_text(told if found else f"{told}\n[service]\nkey_per_second = 0\n", encoding="utf-8")


def _status(server: Server, path: str, key: str) -> int:
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        return connection.getresponse().status


def _swept(server: Server, key: str) -> bool:
    """Whether the sweep over all customers is over with which every start begins."""
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
        connection.request("GET", "/v1/status", headers={"authorization": f"Bearer {key}"})
        told = json.loads(connection.getresponse().read())
    return told["service"]["swept_at"] is not None


def _last(errors: Path) -> str:
    return errors.read_text(errors="replace")[-500:] if errors.exists() else ""


class _Load:
    """The mean number of runnable processes of the machine over a block."""

    def __init__(self) -> None:
        self._seen = [os.getloadavg()[0]]
        self._stopped = threading.Event()

    def __enter__(self) -> _Load:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(5.0):
            self._seen.append(os.getloadavg()[0])

    def mean(self) -> float:
        return round(statistics.fmean(self._seen), 1)
