"""`python -m bench.load.reads`: what one read of a profile costs a core, in this process.

    python -m bench.load.reads --cache DIR        the shop that `bench.load` prepared
    python -m bench.load.reads --profile          and where the time goes

The whole application is asked (key, audit log on disk, document, JSON) without a network, by
several readers at once, and time on the cores is counted, not time that passed: another process
beside it changes little. What HTTP costs comes on top, about what the bare server of `bench.load`
takes.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import tempfile
import time
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from bench.harness.data import CACHE
from bench.load.site import fresh, key_of, prepared


def measured(
    folder: Path, reads: int, several: list[int], rounds: int, profile: bool = False
) -> dict[str, Any]:
    """Milliseconds of a core for a read, once every customer was moved; the least of some rounds,
    for whoever else uses the machine only makes it more.

    Args:
        folder: of the prepared shop.
        reads: of a round, in all.
        several: how many readers ask at once.
        profile: print where the event loop's thread is.
    """
    import shoal
    from shoal.adapters.memory_inbox import MemoryInbox
    from shoal.domain.limits import ServiceLimits
    from shoal.service.access import Keyring
    from shoal.service.api import Served
    from shoal.service.app import application
    from shoal.service.driver import Driver
    from shoal.service.endpoints import endpoints_of
    from shoal.service.trail import Trail
    from shoal.workflows.auditing import Auditor
    from shoal.workflows.collecting import Collector

    who = (folder / "customers.txt").read_text().split()
    with tempfile.TemporaryDirectory(prefix="shoal-reads-") as name:
        place, _ = fresh(folder, Path(name))
        key = key_of(place, "reads", "marketer")
        with (
            shoal.open(place) as shop, shop.lease(), closing(shop.audit_log()) as log,
            closing(Auditor(log)) as auditor,
        ):  # fmt: skip
            inbox = MemoryInbox()
            collector, keyring = Collector(inbox), Keyring(shop.known_keys)
            driver = Driver(shop, inbox)
            served = Served.of(collector, driver, keyring, _counters())
            app = application(
                collector, keyring, driver, endpoints_of(shop, log, served=served),
                limits=ServiceLimits(key_per_second=0), trail=Trail(auditor),
            )  # fmt: skip
            shop.refresh()
            asyncio.run(_read(app, key, who, 500, 16))
            with cProfile.Profile(time.process_time) if profile else nullcontext() as watch:
                found = [
                    _round(app, key, who, reads, readers)
                    for _ in range(rounds)
                    for readers in several
                ]
            if watch is not None:
                pstats.Stats(watch).sort_stats("cumulative").print_stats(45)
            collector.close()
    return {
        "reads": reads,
        "rounds": rounds,
        "core_ms_a_read": {
            str(one): min(own["core_ms"] for own in found if own["readers"] == one)
            for one in several
        },
        "found": found,
    }


def _round(app: Any, key: str, who: list[str], reads: int, readers: int) -> dict[str, Any]:
    before, since = time.process_time(), time.monotonic()
    took = sorted(asyncio.run(_read(app, key, who, reads, readers)))
    used, passed = time.process_time() - before, time.monotonic() - since
    return {
        "readers": readers, "core_ms": round(1000 * used / reads, 3),
        "reads_a_second": round(reads / passed), "p50_ms": round(1000 * took[reads // 2], 2),
        "p99_ms": round(1000 * took[int(reads * 0.99)], 2),
    }  # fmt: skip


def _counters() -> Any:
    from shoal.service.counters import Counters

    return Counters()


async def _read(app: Any, key: str, who: list[str], reads: int, readers: int) -> list[float]:
    """Seconds that each read took."""
    took: list[float] = []
    places = iter(range(reads))

    async def one() -> None:
        for place in places:
            began = time.monotonic()
            await _asked(app, f"/v1/customers/{who[place * 7919 % len(who)]}", key)
            took.append(time.monotonic() - began)

    await asyncio.gather(*(one() for _ in range(readers)))
    return took


async def _asked(app: Any, path: str, key: str) -> None:
    """Ask as a server would.

    Raises:
        RuntimeError: the answer is not 200.
    """
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [(b"host", b"load"), (b"authorization", f"Bearer {key}".encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "server": ("load", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    if status != 200:
        raise RuntimeError(f"GET {path} answers {status}")


def main() -> None:
    """Print what was found as JSON."""
    parser = argparse.ArgumentParser(prog="bench.load.reads", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=90, help="of the shop's history")
    parser.add_argument("--reads", type=int, default=1_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--readers", type=int, nargs="+", default=[2, 16], help="who ask at once")
    parser.add_argument("--profile", action="store_true", help="and where the time goes")
    parser.add_argument("--cache", type=Path, default=CACHE / "load")
    options = parser.parse_args()
    folder = prepared(options.cache, options.customers, options.days)
    told = measured(folder, options.reads, options.readers, options.rounds, options.profile)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
