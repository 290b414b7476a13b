"""Steps of a stream without a service: what dividing customers among processes brings."""

from __future__ import annotations

import json
import os
import statistics
import time
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shoal
from bench.load.calls import Calls
from bench.load.site import fresh
from shoal.domain.time import to_us
from shoal.ports import Arrived, Inbox
from shoal.service.partitions import Partitions, partition_command

SIZES = (500, 1_000, 2_500, 5_000)
_FIRST, _MEASURED = 2, 8
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


def measured(folder: Path, work: Path, partitions: int) -> dict[str, Any]:
    """Steps of several sizes over a fresh copy of a prepared shop.

    Args:
        partitions: processes among which customers are divided; 1: this one moves them all.
    """
    shop, key = fresh(folder, work)
    made = Calls((folder / "customers.txt").read_text().split(), key, prefix="steps")
    found, first = [], 0
    parts = Partitions(partition_command(shop, partitions), partitions)
    with (
        shoal.open(shop) as opened,
        opened.lease(),
        closing(opened.inbox()) as inbox,
        parts if partitions > 1 else nullcontext(),
    ):
        divided = None
        if partitions > 1:
            parts.start()
            divided = parts.beside
        stream = opened.streaming(inbox, flush_s=3600.0, divided=divided)
        for calls in SIZES:
            took, core, who = [], [], 0
            for number in range(_FIRST + _MEASURED):
                who = _arrive(inbox, made, first, calls)
                first += calls
                before, begun = _core_s(parts), time.monotonic()
                stepped = stream.step(datetime.now(UTC))
                if stepped is None or stepped.calls != calls:
                    raise RuntimeError(f"{calls} calls were no step of the stream: {stepped}")
                if number >= _FIRST:
                    took.append(time.monotonic() - begun)
                    core.append(_core_s(parts) - before)
            # a partition's time counts in hundredths of a second: the mean says more than one
            found.append({"calls": calls, "customers": who, "took_s": statistics.median(took),
                          "core_s": statistics.fmean(core)})  # fmt: skip
        memory = sum(_pages(pid) for pid in _pids(parts)) * _PAGE_MIB
        told = parts.told() if partitions > 1 else []
    return {"partitions": partitions, "steps": found, "mib": memory, "told": told}


def _arrive(inbox: Inbox, made: Calls, first: int, count: int) -> int:
    """Put calls into the inbox; how many customers they are of."""
    now = datetime.now(UTC)
    moment = now.isoformat(timespec="milliseconds")
    lines = [made.call(number, moment) for number in range(first, first + count)]
    told = [json.loads(line) for line in lines]
    inbox.append([
        Arrived("web", call["messageId"], to_us(now), line.encode())
        for call, line in zip(told, lines, strict=True)
    ])  # fmt: skip
    return len({call["userId"] for call in told})


def _pids(parts: Partitions) -> list[int]:
    return [os.getpid(), *(one["pid"] for one in parts.told() if one["pid"])]


def _core_s(parts: Partitions) -> float:
    """Seconds on the cores so far, of this process and the partitions."""
    ticks = 0
    for pid in _pids(parts)[1:]:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(told[11]) + int(told[12])
    return time.process_time() + ticks / _TICKS


def _pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
