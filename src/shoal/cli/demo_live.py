"""`make demo-live`: a shop that is served while its customers come, change and are followed.

Simulated customers are sent in fast-forward through a tracking client that shops use. Whoever
changes segment is told of as it happens; drift comes and is answered; in the middle the server is
killed. At the end everything sent is in the log once, and what the server knows of its customers is
what a rebuild from the log gives.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.cli.console import Console
from shoal.cli.demo import fresh
from shoal.cli.demo_calls import calls
from shoal.cli.demo_listener import Listener
from shoal.domain.errors import EXIT_DONE, OperationError, ShoalError
from shoal.domain.time import stopwatch

_SOURCE: Final = "web"
#: Of the calls that are sent, after this share the server is killed.
_KILLED_AT: Final = 0.5
_DOWN_S: Final = 2.0
#: What the server may take to bring in the last calls, and to end.
_PATIENCE_S: Final = 300.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    options = _options(sys.argv[1:] if arguments is None else list(arguments))
    console = Console()
    try:
        fresh(options.out)
        elapsed = stopwatch()
        whole = Demo(console, options).run()
        console.say(f"\nThe shop: {(options.out / 'shop').resolve()}   ({elapsed():.0f} s in all)")
    except ShoalError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.say("interrupted; run it again to start afresh")
        return 1
    return EXIT_DONE if whole else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo-live", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-live"))
    parser.add_argument("--customers", type=int, default=1_500)
    parser.add_argument("--days", type=int, default=150)
    parser.add_argument("--live-days", type=int, default=45, help="of them sent to the server")
    parser.add_argument("--seconds", type=float, default=120.0, help="that sending shall take")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--client", type=Path, required=True, metavar="PYTHON",
        help="a Python in which segment-analytics-python is installed",
    )  # fmt: skip
    return parser.parse_args(arguments)


class Server:
    """`shoal serve` in a process of its own, at the same port from start to start."""

    def __init__(self, shop: Path, log: Path) -> None:
        self._shop, self._log = shop, log
        self._port = 0
        self.address = ""
        self.process = self._start()

    def kill(self) -> None:
        """As a machine that fails does."""
        self.process.kill()
        self.process.wait()
        self._let_go()

    def again(self) -> None:
        """Start it once more."""
        self.process = self._start()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(_PATIENCE_S)
        self._let_go()

    def _let_go(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "shoal.cli.main", "serve", str(self._shop), "--json",
                 "--port", str(self._port), "--every", "0.5", "--event-time", "--adjust",
                 "--ask-every", "5"],
                stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
            )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise OperationError(
                "not_served", "the server did not start", str(self._log), "Read there why."
            )
        self.address = json.loads(line)["address"]
        self._port = int(self.address.rpartition(":")[2])
        return process


class Demo:
    """The steps in the order of `run`."""

    def __init__(self, console: Console, options: argparse.Namespace) -> None:
        self.console, self.options = console, options
        self.shop: Path = options.out / "shop"

    def run(self) -> bool:
        """Everything; whether the end agrees with what was sent."""
        later = self._history()
        keys = self._keys()
        self.console.heading("2. The service")
        server = Server(self.shop, self.options.out / "server.log")
        self.console.say(f"   {server.address}, as `shoal serve` runs it")
        listener = Listener(self.console, server.address, keys["reader"])
        try:
            lost = self._send(server, listener, keys["writer"], later)
            self._settle(listener)
        finally:
            listener.stop()
            server.stop()
        self._looks()
        return self._proof(later, lost)

    def _history(self) -> pa.Table:
        """A shop with segments of what was known then; what comes later."""
        from shoal import shop as shops
        from shoal.cli.views import show_segments
        from shoal.workflows.simulate import simulate

        options, console = self.options, self.console
        console.heading("1. A shop with a past, whose customers change")
        source = options.out / "simulated"
        simulate(
            source, customers=options.customers, days=options.days, world="drift",
            seed=options.seed, progress=console.progress(),
        )  # fmt: skip
        events = pq.read_table(source / "events.parquet").sort_by("event_time")
        place = events.column_names.index("source")  # one that stops would be taken for a fault
        events = events.set_column(place, "source", pa.array([_SOURCE] * events.num_rows))
        last: datetime = pc.max(events["event_time"]).as_py()
        now = last - timedelta(days=options.live_days)
        past = pc.less(events["event_time"], pa.scalar(now, events["event_time"].type))
        pq.write_table(events.filter(past), options.out / "past.parquet")
        with shops.init(self.shop) as shop:
            shop.ingest([options.out / "past.parquet"], preset="shoal", progress=console.progress())
            shop.segment(aim="style", progress=console.progress())
            show_segments(console, shop.segments())
        return events.filter(pc.invert(past))

    def _keys(self) -> dict[str, str]:
        from shoal import shop as shops

        with shops.open(self.shop) as shop:
            return {
                "writer": shop.make_key(_SOURCE)["key"],
                "reader": shop.make_key("demo", role="analyst")["key"],
            }

    def _send(self, server: Server, listener: Listener, key: str, later: pa.Table) -> list[str]:
        """Send what comes later through the client, and kill the server on the way; what the client
        gave up."""
        console, options = self.console, self.options
        told = [json.dumps(one) for one in calls(later)]
        console.heading(
            f"3. {options.live_days} days in {options.seconds:.0f} s: {len(told):,} calls through "
            "segment-analytics-python"
        )
        client = subprocess.Popen(
            [str(options.client), str(Path(__file__).with_name("demo_client.py")),
             server.address, key],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        pause = options.seconds / max(1, len(told))
        began, half = time.monotonic(), int(_KILLED_AT * len(told))
        for number, line in enumerate(told):
            client.stdin.write(line + "\n")
            client.stdin.flush()
            if number == half:
                self._killed(server, listener)
            time.sleep(max(0.0, began + number * pause - time.monotonic()))
        client.stdin.close()
        with client.stdout as answer:
            found = json.loads(answer.readline())
        client.wait()
        console.say(f"   {found['sent']:,} calls sent, {len(found['lost'])} given up by the client")
        return list(found["lost"])

    def _killed(self, server: Server, listener: Listener) -> None:
        self.console.say("   --- kill -9: the server is gone; the client goes on ---")
        server.kill()
        time.sleep(_DOWN_S)
        server.again()
        told = listener.status()["service"].get("recovered") or {}
        self.console.say(
            f"   --- it is back: {told.get('calls_waiting', 0):,} calls waited in the inbox, "
            f"{told.get('calls_on_their_way', 0):,} were on their way into the log ---"
        )

    def _settle(self, listener: Listener) -> None:
        """Wait until everything that was collected is in the log and a look under way has ended."""
        by = time.monotonic() + _PATIENCE_S
        while time.monotonic() < by:
            told = listener.status()["service"]
            if told["waiting"] == 0 and told.get("adjusting", {}).get("state") == "idle":
                break
            time.sleep(0.5)
        asked = listener.get("/v1/adjustments?limit=1")["waiting"]
        if asked is not None:
            done = listener.post(f"/v1/adjustments/{asked}/approve")
            self.console.say(
                f"   {asked} waited for a person; the demo says yes through the API: "
                f"{done['published']} is in force"
            )

    def _looks(self) -> None:
        from shoal import shop as shops
        from shoal.cli.adjust import show_look
        from shoal.cli.versions import show_lineage

        self.console.heading("4. Drift, and what was done about it")
        with shops.open(self.shop) as shop:
            looks = shop.adjustments()["looks"]
            for one in looks:
                if one["alarms"] or one["published"]:
                    show_look(self.console, one)
            self.console.say(f"   {len(looks)} looks at the segments while they were served")
            show_lineage(self.console, shop.lineage())

    def _proof(self, later: pa.Table, lost: Sequence[str]) -> bool:
        """Everything once, and the states that the log gives."""
        from shoal import shop as shops
        from shoal.shop.keeping import verify

        console = self.console
        console.heading("5. Nothing lost, nothing twice; live is what a rebuild gives")
        sent = sorted({one["messageId"] for one in calls(later)})
        with shops.open(self.shop) as shop:
            missing, twice = _counted(shop.event_ids(_SOURCE), sent)
        console.say(
            f"   {len(sent):,} calls sent: {missing} are missing in the log, {twice} are in it "
            "more than once"
        )
        found = verify(self.shop, deep=True, customers=None, progress=console.progress())
        for one in found["findings"]:
            console.say(f"   {one['code']}: {one['message']}")
        console.say(
            "   The states of all customers are those of a rebuild from the log."
            if found["ok"] else "   The shop is not whole."
        )  # fmt: skip
        return bool(found["ok"]) and not (missing or twice or lost)


def _counted(ids: pa.ChunkedArray, sent: Sequence[str]) -> tuple[int, int]:
    """How many calls the log lacks, and how many of its events it has more than once."""
    twice = len(ids) - pc.count_distinct(ids).as_py()
    # An order's lines are events of their own: CALL#0, CALL#1, ...
    stored = {str(one).partition("#")[0] for one in ids.to_pylist()}
    return len(set(sent) - stored), int(twice)


if __name__ == "__main__":
    sys.exit(main())
