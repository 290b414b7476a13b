"""The load generator and the pages of load and faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bench.faults import page as faults_page
from bench.harness.merging import MergeError
from bench.load import __main__ as load_bench
from bench.load import page as load_page
from bench.load.calls import Calls
from bench.load.generator import Load, quantiles_ms
from bench.load.unit import memory


def answers(statuses: list[int], seen: list[bytes]) -> Any:
    """A server that reads requests and answers with each status in turn, the last for ever."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            seen.append(await reader.readexactly(length))
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\n{}" % status)
        writer.close()

    return handle


def load(
    tmp_path: Path, statuses: list[int], rate: float | None
) -> tuple[Mapping[str, Any], list[bytes], list[int]]:
    seen: list[bytes] = []
    log = tmp_path / "acknowledged"

    async def run() -> Mapping[str, Any]:
        server = await asyncio.start_server(answers(statuses, seen), "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        calls = Calls(["u1"], "key", prefix="m")
        told = await Load(
            address, calls, connections=2, seconds=0.3, rate=rate, acknowledged=log
        ).run()
        server.close()
        await asyncio.sleep(0.05)  # connections that were given up are noticed
        return told

    return asyncio.run(run()), seen, [int(line) for line in log.read_text().split()]


@pytest.mark.parametrize("rate", [None, 100.0], ids=["closed", "open"])
def test_every_answer_is_counted_and_what_is_refused_is_sent_again(
    tmp_path: Path, rate: float | None
) -> None:
    told, seen, acknowledged = load(tmp_path, [200, 503, 200], rate)
    sent = [json.loads(body)["messageId"] for body in seen]
    assert told["statuses"]["503"] == 1
    assert told["requests"] == told["statuses"]["200"] == len(acknowledged)
    # The refused one came twice, all others once; each was acknowledged once.
    assert sorted(sent.count(one) for one in set(sent))[-2:] == [1, 2]
    assert sorted(acknowledged) == list(range(told["made"]))
    assert told["took_ms"]["p50"] > 0
    if rate is not None:
        assert 15 <= told["requests"] <= 31


def test_the_same_number_is_the_same_call_and_some_are_of_nobody() -> None:
    calls = Calls(["u1", "u2", "u3"], "key", prefix="m", poison=0.1, batch=5)
    one, again = json.loads(calls.call(7, "t")), json.loads(calls.call(7, "t"))
    assert one == again
    assert one["messageId"] == "m-7"
    owners = [json.loads(calls.call(number, "t"))["userId"] for number in range(1_000)]
    assert owners.count("null") == 100
    first, request = calls.request()
    assert (first, calls.made) == (0, 5)
    assert len(json.loads(request.partition(b"\r\n\r\n")[2])["batch"]) == 5


def test_quantiles_are_in_milliseconds() -> None:
    found = quantiles_ms([number / 1_000 for number in range(1, 101)])
    assert (round(found["p50"]), round(found["p99"]), found["max"]) == (51, 99, 100)
    assert quantiles_ms([]) == {}


def test_a_million_calls_are_held_to_what_is_asked() -> None:
    row = {"peer": "shoal", "label": "replay-1000000", "calls": 1_000_000, "taken_s": 31.0,
           "replayed_s": 119.0, "server_cpu_s": 150.0, "rss_mib": {"most": 1500.0},
           "load": 1.0}  # fmt: skip
    told = "\n".join(load_page._replay([row]))
    assert "| 1,000,000 | 31 | 119 | 150 | 1,500 | 1.0 |" in told
    assert "| 119 | 120 | 30 | must met |" in load_page._asked([row])[0]
    assert "| 119 |" not in load_page._asked([{**row, "calls": 100_000}])[0]


def test_memory_is_told_by_quarters_and_steps_by_how_they_are_divided() -> None:
    server = SimpleNamespace(rss_mib=[float(n) for n in range(1, 9)])
    found = memory(server)  # type: ignore[arg-type]
    assert found == {"most": 8.0, "first": 1.5, "last": 7.5, "quarters": [1.5, 3.5, 5.5, 7.5]}
    assert memory(SimpleNamespace(rss_mib=[4.0]))["quarters"] == [4.0] * 4  # type: ignore[arg-type]
    row = {"peer": "shoal", "label": "paced-9", "seconds": 9.0, "rss_mib": found}
    assert "| shoal | paced-9 | 9 | 1.5 | 3.5 | 5.5 | 7.5 | 8.0 |" in load_page._memory([row])[-1]
    step = {"calls": 1_000, "customers": 976, "took_s": 0.4, "core_s": 0.5}
    steps = {"peer": "shoal", "label": "steps-2", "partitions": 2, "steps": [step], "mib": 999.0,
             "load": 1.0}  # fmt: skip
    assert "| 2 | 1,000 | 976 | 0.40 | 0.50 | 999 | 1.0 |" in load_page._steps([steps])[-1]


def test_phases_of_a_later_run_take_their_place_beside_the_others() -> None:
    def run(*rows: tuple[str, str, float], workers: int = 2) -> dict[str, Any]:
        settings = {"customers": 9, "days": 9, "rate": 1.0, "every_s": 1.0, "workers": workers}
        told = [dict(zip(("peer", "label", "seconds"), row, strict=True)) for row in rows]
        return {"command": " ".join(row[1] for row in rows), "settings": settings, "rows": told,
                "machine": {"load": 1.0}}  # fmt: skip

    old = run(("shoal", "single", 60.0), ("bare", "single", 60.0), ("shoal", "reads", 15.0))
    found = load_bench.merged(old, run(("shoal", "single", 600.0)))
    assert [row["seconds"] for row in found["rows"]] == [600.0, 60.0, 15.0]
    assert (found["command"], found["added"][0]["peers"]) == (old["command"], ["single"])
    with pytest.raises(MergeError, match="workers"):
        load_bench.merged(old, run(("shoal", "single", 600.0), workers=1))


def test_pages_can_be_made_of_what_is_published() -> None:
    results = Path(__file__).parents[3] / "docs" / "results"
    for name, page in (("load", load_page), ("faults", faults_page)):
        document = json.loads((results / f"{name}.json").read_text())
        assert page.markdown(document).strip() == (results / f"{name}.md").read_text().strip()
