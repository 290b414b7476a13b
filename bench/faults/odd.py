"""Events that come twice, late and out of order; clocks that jump; more than can be taken."""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import shoal
from bench.faults.account import account, numbers, right
from bench.faults.client import Client, post_lines
from bench.faults.kills import free_port, last, loaded
from bench.load.calls import Calls
from bench.load.site import Server, fresh, generated, running, shoal_command, until
from bench.load.unit import waiting
from shoal.ports import Arrived

_EVERY = ("--every", "0.3")
_BATCH = 50
_ALRIGHT_S = 0.15


def disordered(shop: str, events: int, seed: int) -> dict[str, Any]:
    """30 % duplicates, shuffled, a tenth of them after all others: as if they had come in order."""
    drawn = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="shoal-faults-") as name:
        work = Path(name)
        copy, key = fresh(Path(shop), work)
        twin, _ = fresh(Path(shop), work / "twin")
        calls = Calls((Path(shop) / "customers.txt").read_text().split(), key, prefix="odd")
        begin = datetime.now(UTC) - timedelta(days=20)
        step = timedelta(days=20) / (events + 1)
        ordered = [
            json.loads(calls.call(number, (begin + step * number).isoformat()))
            for number in range(events)
        ]
        sent = ordered + drawn.sample(ordered, int(0.3 * events))
        drawn.shuffle(sent)
        late = len(sent) // 10
        sent = sent[late:] + sorted(sent[:late], key=lambda one: one["timestamp"])
        with running(shoal_command(copy, 0, *_EVERY), log=work / "errors") as server:
            statuses = Counter(
                post_lines(server, key, sent[at : at + _BATCH])
                for at in range(0, len(sent), _BATCH)
            )
            caught_up = until(lambda: waiting(copy) == 0, 180.0, 0.2)
        _bring_in(twin, ordered)
        moment = datetime.now(UTC)
        with shoal.open(copy) as one, shoal.open(twin) as other:
            same = one.features(as_of=moment).equals(other.features(as_of=moment))
        found = account(copy, "odd", range(events))
        return {
            "sent": len(sent), "statuses": {str(k): n for k, n in statuses.items()},
            "features_as_in_order": same, **found,
            "right": same and caught_up is not None and right(found),
            "errors": last(work / "errors"),
        }  # fmt: skip


def _bring_in(shop: Path, calls: list[dict[str, Any]]) -> None:
    """Bring calls into a shop in their order, without a service."""
    arrived = [
        Arrived("web", call["messageId"], 1, json.dumps(call).encode(), None) for call in calls
    ]
    with shoal.open(shop) as opened:
        with closing(opened.inbox()) as inbox:
            inbox.append(arrived)
        opened.empty_inbox()


def jumping(shop: str, seconds: float) -> dict[str, Any]:
    """The server's clock goes two hours ahead, then two hours back, and right again, under load."""
    with tempfile.TemporaryDirectory(prefix="shoal-faults-") as name:
        work = Path(name)
        copy, key = fresh(Path(shop), work)
        clock, port = work / "clock", free_port()
        clock.write_text("0")
        command = [sys.executable, "-m", "bench.faults.serving", str(copy), str(port), "0.3",
                   "--clock", str(clock)]  # fmt: skip
        settings = {"rate": 60.0, "prefix": "jump", "again": 0.1}
        with running(command, log=work / "errors") as server:
            with loaded(work, Path(shop), key, port, settings) as load:
                for off in (0, 7_200, -7_200, 0):
                    set_clock(clock, off)
                    time.sleep(seconds / 4)
                load.send_signal(signal.SIGTERM)
                tally = json.loads(load.communicate(timeout=120)[0])
            caught_up = until(lambda: waiting(copy) == 0, 180.0, 0.2)
            ready = Client(server, Calls(["c"], key)).ready()
        found = account(copy, "jump", numbers(work / "acknowledged"))
        return {
            "statuses": tally["statuses"], "ready_after_s": ready, **found,
            "right": ready is not None and caught_up is not None and right(found),
            "errors": last(work / "errors"),
        }  # fmt: skip


def set_clock(clock: Path, off: int) -> None:
    """Let the clock that a service reads be off by so many seconds."""
    part = clock.with_suffix(".part")
    part.write_text(str(off))
    part.replace(clock)


def overloaded(shop: str, seconds: float) -> dict[str, Any]:
    """Three times as many requests as it answers at most, and how long until answers are quick."""
    with tempfile.TemporaryDirectory(prefix="shoal-faults-") as name:
        work = Path(name)
        copy, key = fresh(Path(shop), work)
        common = {"customers": str(Path(shop) / "customers.txt"), "key": key, "batch": 1}
        with running(shoal_command(copy, 0, "--every", "1"), log=work / "errors") as server:
            most = generated(
                server, {**common, "connections": 64, "seconds": seconds / 2, "prefix": "most"}
            )["requests_s"]
            heavy = {**common, "connections": 512, "seconds": seconds, "rate": 3 * most,
                     "prefix": "heavy", "impatient": True,
                     "acknowledged": str(work / "acknowledged")}  # fmt: skip
            told: dict[str, Any] = {}
            thread = threading.Thread(target=lambda: told.update(generated(server, heavy)))
            thread.start()
            time.sleep(seconds)
            recovered = _quick(server, key)
            thread.join()
            caught_up = until(lambda: waiting(copy) == 0, 240.0, 0.2)
        found = account(copy, "heavy", numbers(work / "acknowledged"))
        return {
            "answered_at_most_s": most, "asked_s": 3 * most, "statuses": told["statuses"],
            "took_ms": told["took_ms"], "recovered_after_s": recovered,
            "caught_up_after_s": caught_up, **found,
            "right": recovered is not None and recovered <= 10 and right(found),
            "errors": last(work / "errors"),
        }  # fmt: skip


def _quick(server: Server, key: str) -> float | None:
    """Seconds until five answers in a row take less than 150 ms."""
    client = Client(server, Calls(["c00000001"], key, prefix="quick"))
    in_a_row = 0

    def quick() -> bool:
        nonlocal in_a_row
        status, _, took = client.send()
        in_a_row = in_a_row + 1 if status == 200 and took < _ALRIGHT_S else 0
        return in_a_row >= 5

    return until(quick, 60.0, 0.02)
