"""The receiver of a webhook is away for an hour of the service's clock, and comes back."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import shoal
from bench.faults.account import account, numbers, right
from bench.faults.kills import free_port, last, loaded
from bench.faults.odd import set_clock
from bench.load.site import fresh, running, until
from bench.load.unit import waiting
from shoal.workflows.changes import changes_after

_KEY = "SHOAL_WEBHOOK_KEY"
_HOUR_S = 3_600
#: Into how many jumps the hour is cut; with each of them what is due is tried.
_JUMPS = 12
#: Once the receiver is back, tries come with further jumps, so many at most.
_MORE = 40
_RATE = 60.0


class Receiver:
    """Takes messages where it is there at all: while it is away nobody listens on its port, or
    (`failing`) it answers 503."""

    def __init__(self) -> None:
        self.port, self.failing, self.tries = free_port(), False, 0
        self.bodies: list[tuple[str, bytes]] = []
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def listen(self, there: bool) -> None:
        """Come, or go."""
        if there and self._server is None:
            self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        elif not there and self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def changes(self) -> list[int]:
        """Positions of the changes it was told of: of each message once, as they first came."""
        told = {name: json.loads(body) for name, body in self.bodies}
        return [one["seq"] for document in told.values() for one in document["data"]["changes"]]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if receiver.failing:
                    receiver.tries += 1
                else:
                    receiver.bodies.append((self.headers["webhook-id"], body))
                self.send_response(503 if receiver.failing else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def away(shop: str, seconds: float) -> dict[str, Any]:
    """An hour without the receiver under load: first nobody listens there, then it answers 503.

    Args:
        seconds: that the hour takes; the clock of the service jumps.
    """
    key_is_there = mock.patch.dict(os.environ, {_KEY: "a key of the bench's, thirty-two long"})
    with tempfile.TemporaryDirectory(prefix="shoal-faults-") as name, key_is_there:
        work = Path(name)
        copy, key = fresh(Path(shop), work)
        _trusted(copy)
        clock, port = work / "clock", free_port()
        clock.write_text("0")
        command = [sys.executable, "-m", "bench.faults.serving", str(copy), str(port), "0.3",
                   "--clock", str(clock)]  # fmt: skip
        told = {"rate": _RATE, "prefix": "hook"}
        with receiving() as receiver, running(command, log=work / "errors") as server:
            since, hook = _added(copy, receiver.url)
            with loaded(work, Path(shop), key, port, told) as load:
                begun = until(lambda: bool(receiver.bodies), 120.0)
                before = len(receiver.changes())
                _hour(clock, receiver, seconds)
                load.send_signal(signal.SIGTERM)
                tally = json.loads(load.communicate(timeout=120)[0])
            caught_up = until(lambda: waiting(copy) == 0, 180.0, 0.2)
            wanted, off = _changes(copy, since), _HOUR_S
            for _ in range(_MORE):
                if len(receiver.changes()) >= len(wanted):
                    break
                off += _HOUR_S // _JUMPS
                set_clock(clock, off)
                until(lambda: len(receiver.changes()) >= len(wanted), 3.0)
            wanted = _changes(copy, since)
            until(lambda: len(receiver.changes()) >= len(wanted), 20.0)
            standing = _standing(copy, hook)
        del server
        found, heard = account(copy, "hook", numbers(work / "acknowledged")), receiver.changes()
        whole = begun is not None and caught_up is not None and heard == wanted and bool(before)
        return {
            "statuses": tally["statuses"], "changes": len(wanted), "told": len(set(heard)),
            "told_before": before, "in_order": heard == sorted(heard),
            "messages_again": sum(n > 1 for n in Counter(n for n, _ in receiver.bodies).values()),
            "tries_answered_503": receiver.tries, "clock_s_until_told": off - _HOUR_S,
            "given_up": standing, **found, "right": whole and not standing and right(found),
            "errors": last(work / "errors"),
        }  # fmt: skip


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that is there."""
    found = Receiver()
    found.listen(True)
    try:
        yield found
    finally:
        found.listen(False)


def _trusted(shop: Path) -> None:
    """Let webhooks of a shop go to this machine."""
    file = shop / "shop.toml"
    told, found = re.subn(
        r"(?m)^trusted_hosts *=.*$", 'trusted_hosts = ["127.0.0.1"]', file.read_text("utf-8")
    )
    if found != 1:
        raise RuntimeError(f"{file} does not say once which hosts of webhooks are trusted")
    file.write_text(told, encoding="utf-8")


def _hour(clock: Path, receiver: Receiver, seconds: float) -> None:
    """Let an hour pass without the receiver."""
    receiver.listen(False)
    for jump in range(1, _JUMPS + 1):
        if jump == _JUMPS // 2:
            receiver.failing = True
            receiver.listen(True)
        set_clock(clock, jump * _HOUR_S // _JUMPS)
        time.sleep(seconds / _JUMPS)
    receiver.failing = False


def _added(shop: Path, url: str) -> tuple[int, str]:
    """A webhook that is told from now on: the position of the log that is now, and its name."""
    with shoal.open(shop) as opened:
        since = opened._parts.store.last_membership()
        return since, opened.add_webhook(url, since_seq=since)["webhook_id"]


def _changes(shop: Path, since: int) -> list[int]:
    """Positions of all changes behind one."""
    found: list[int] = []
    with shoal.open(shop) as opened:
        while True:
            page = changes_after(opened._parts.store, since, 1_000)
            found += [one.sequence for one in page.changes]
            since = page.until
            if not page.more:
                return found


def _standing(shop: Path, webhook_id: str) -> int:
    """Messages to a webhook that were given up."""
    with shoal.open(shop) as opened:
        return len(opened.webhook(webhook_id)["dead_letters"])
