"""Where the load goes: a prepared shop, a copy of it for each run, and servers as processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.harness.run import ROOT, THREADS

#: Events from which on a customer is placed.
PLACED_FROM = 3
_SEGMENTS = 8
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024
_TICKS = os.sysconf("SC_CLK_TCK")


def prepared(home: Path, customers: int, days: int = 90, seed: int = 1) -> Path:
    """The folder of a simulated shop with segments; made once.

    `probes.txt` lists customers who lack one event to be placed, `customers.txt` all others.

    Raises:
        subprocess.CalledProcessError: a verb failed; its words went to stderr.
    """
    folder = home / f"load-{customers}-{days}-{seed}"
    if (folder / "made").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shop, data = folder / "shop", folder / "data"
    _shoal("simulate", "--out", data, "--customers", customers, "--days", days,
           "--world", "steady", "--seed", seed)  # fmt: skip
    _shoal("init", shop)
    _shoal("ingest", shop, data / "events.parquet", "--preset", "shoal")
    _shoal("segment", shop, "--method", "kmeans", "--k", _SEGMENTS)
    list_customers(shop, folder)
    shutil.rmtree(data)
    (folder / "made").touch()
    return folder


def list_customers(shop: Path, folder: Path) -> None:
    """Write who is in the shop, one a line."""
    from deltalake import DeltaTable

    table = DeltaTable(str(shop / "events")).to_pyarrow_dataset()
    found = Counter(table.to_table(columns=["customer_id"])["customer_id"].to_pylist())
    found.pop(None, None)
    parts = {"probes.txt": [], "customers.txt": []}  # type: dict[str, list[str]]
    for who, events in sorted(found.items()):
        parts["probes.txt" if events == PLACED_FROM - 1 else "customers.txt"].append(who)
    for name, lines in parts.items():
        (folder / name).write_text("\n".join(lines) + "\n")


def _shoal(*words: object) -> None:
    command = [sys.executable, "-m", "shoal.cli.main", *map(str, words)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def fresh(folder: Path, work: Path) -> tuple[Path, str]:
    """A copy of the prepared shop, and a new write key of it."""
    shop = work / "shop"
    shutil.rmtree(shop, ignore_errors=True)
    shutil.copytree(folder / "shop", shop)
    return shop, key_of(shop, "web", "write")


def key_of(shop: Path, source: str, role: str) -> str:
    """A new key."""
    import shoal

    with shoal.open(shop) as opened:
        return str(opened.make_key(source, role=role)["key"])


class Server:
    """A server as a process; its memory and its time on the cores are looked at every second, and
    those of its workers with them.

    Args:
        command: prints a line of JSON with its `address` once it answers.
        env: added to this process's.
    """

    def __init__(
        self, command: list[str], *, env: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self._log = (log or Path(os.devnull)).open("ab")
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=self._log,
            env={**_plain_environment(), **(env or {})},
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        told = json.loads(line) if line else {}
        if "address" not in told:
            raise RuntimeError(f"the server ended with {self.process.wait()}: {told}")
        address = told["address"]
        self.host, _, port = address.removeprefix("http://").rpartition(":")
        self.port = int(port)
        self.rss_mib: list[float] = []
        self._watched = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._watched.wait(1.0):
            with contextlib.suppress(OSError, IndexError):
                pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                         for pid in self._processes()]  # fmt: skip
                self.rss_mib.append(sum(pages) * _PAGE_KIB / 1024)

    def cpu_s(self) -> float:
        """Seconds on the cores so far."""
        return sum(self.cpu_by_process().values())

    def cpu_by_process(self) -> dict[int, float]:
        """The same of the process that was started, first, and of each worker."""
        found = {}
        for pid in self._processes():
            told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[pid] = (int(told[11]) + int(told[12])) / _TICKS
        return found

    def _processes(self) -> list[int]:
        """Its process and those that it started."""
        own = self.process.pid
        told = [one.read_text() for one in Path(f"/proc/{own}/task").glob("*/children")]
        return [own, *sorted(int(pid) for text in told for pid in text.split())]

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout_s: float = 300.0) -> int:
        """End it; its exit code."""
        self._watched.set()
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout_s)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()
        return code


def _plain_environment() -> dict[str, str]:
    """This process's, without the limits on threads that benches of quality are run under."""
    return {name: value for name, value in os.environ.items() if name not in THREADS}


def shoal_command(shop: Path, port: int = 0, *more: str) -> list[str]:
    """`shoal serve` of a shop."""
    return [sys.executable, "-m", "shoal.cli.main", "serve", str(shop), "--port", str(port),
            "--json", *more]  # fmt: skip


@contextmanager
def running(command: list[str], **named: Any) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = Server(command, **named)
    try:
        yield server
    finally:
        server.stop()


def generated(server: Server, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Run the generator against a server; what it told, and what the server used meanwhile."""
    before = server.cpu_by_process()
    told = json.dumps({"host": server.host, "port": server.port, **settings})
    done = subprocess.run(
        [sys.executable, "-m", "bench.load.generator", told],
        cwd=ROOT, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    used = [now - before.get(pid, 0.0) for pid, now in server.cpu_by_process().items()]
    found["server_cpu_s"] = sum(used)
    if used[1:]:
        found["writer_cpu_s"], found["workers_cpu_s"] = used[0], used[1:]
    return found


def until(found: Callable[[], bool], timeout_s: float, every_s: float = 0.05) -> float | None:
    """Seconds until something is so; None: it is not in time."""
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        if found():
            return time.monotonic() - started
        time.sleep(every_s)
    return None
