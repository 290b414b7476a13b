"""Segments that adjust while the shop is served: looks in a process of their own.

A look takes a minute and a training longer, and both would hold up whoever is served. So they run
beside the service, which goes on collecting. Trained is without the shop; for the look itself the
process asks for the shop, and the driver stands aside between two batches: customers do not move
meanwhile, what comes waits in the inbox. Killed at any point, the last good version stays in force.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final

from shoal.domain.time import Clock, iso, system_clock

_LOG: Final = logging.getLogger("shoal.service")
_READY: Final = "ready"
#: A process that is told to end is waited for so long.
_GRACE_S: Final = 10.0
_POLL_S: Final = 0.1

IDLE: Final = "idle"
WORKING: Final = "working"
LOOKING: Final = "looking"


def look_command(shop_dir: Path) -> list[str]:
    """The process that looks, and trains where that is due."""
    shoal = [sys.executable, "-m", "shoal.cli.main"]
    return [*shoal, "adjust", str(shop_dir), "--if-due", "--ask", "--json"]


class Adjusting:
    """Starts looks when it is time, and lets the driver stand aside for them.

    Args:
        command: of a look, see `look_command`.
        aside: a block in which this process does not hold the shop.
        every_s: between two questions whether a look is due; whether it is, the shop's cadence
            says.
    """

    def __init__(
        self,
        command: Sequence[str],
        aside: Callable[[], AbstractContextManager[None]],
        *,
        every_s: float = 3600.0,
        clock: Clock = system_clock,
    ) -> None:
        self._command, self._aside = list(command), aside
        self._every_s, self._clock = every_s, clock
        self._due = time.monotonic()
        self._run: _Run | None = None
        self._told: dict[str, Any] = {
            "state": IDLE, "looks": 0, "last": None, "ended_at": None, "failure": None,
        }  # fmt: skip

    def told(self) -> dict[str, Any]:
        """What was looked at last and what came of it, and what is going on."""
        return dict(self._told)

    def step(self, stopped: threading.Event) -> None:
        """Between two batches: start a look that is due, stand aside for one that asks.

        Args:
            stopped: the service ends; nobody waits for a look then.
        """
        if self._run is None:
            if time.monotonic() < self._due:
                return
            self._run = _Run(self._command)
            self._told["state"] = WORKING
        if self._run.asks.is_set():
            self._look(self._run, stopped)
        if self._run.process.poll() is not None:
            self._end(self._run)

    def stop(self) -> None:
        """End a look under way; it begins anew with the next start."""
        if self._run is not None:
            self._run.kill()
            self._run = None
            self._told["state"] = IDLE

    def _look(self, run: _Run, stopped: threading.Event) -> None:
        self._told["state"] = LOOKING
        with self._aside():
            run.grant()
            while run.process.poll() is None:
                if stopped.wait(_POLL_S):
                    run.kill()  # before the shop is taken back

    def _end(self, run: _Run) -> None:
        self._run, self._due = None, time.monotonic() + self._every_s
        self._told |= {"state": IDLE, "ended_at": iso(self._clock())}
        code, document, said = run.result()
        if code != 0 or document is None:
            self._told["failure"] = {"exit": code, "message": said}
            _LOG.error("a look failed (exit %s): %s", code, said)
            return
        self._told["failure"] = None
        if document["looked"]:
            self._told["looks"] += 1
            self._told["last"] = brief(document)
            _LOG.info("looked: %s", json.dumps(self._told["last"], ensure_ascii=False))


def brief(document: dict[str, Any]) -> dict[str, Any]:
    """What a person wants to know of a look at once."""
    return {
        "adjust_id": document["adjust_id"], "as_of": document["as_of"],
        "actions": [one["action"] for one in document["adjustments"]],
        "alarms": len(document["alarms"]), "blocked": document["blocked"],
        "published": document["published"],
        "waiting": (document["waiting"] or {}).get("adjust_id"),
        "canary": _tried(document.get("canary")),
    }  # fmt: skip


def _tried(told: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is tried on some customers, and what became of it at this look."""
    if told is None:
        return None
    shown = ("segmentation_id", "adjust_id", "share", "since", "until", "outcome")
    return {name: told[name] for name in shown}


class _Run:
    """A process that looks: what it prints, and whether it asks for the shop."""

    def __init__(self, command: Sequence[str]) -> None:
        self.asks = threading.Event()
        self._out: list[str] = []
        self._errors: list[str] = []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8",
        )  # fmt: skip
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def grant(self) -> None:
        """The shop is free."""
        self.asks.clear()
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.close()
        except BrokenPipeError:
            return  # it ended meanwhile: its exit tells why

    def kill(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close()

    def _close(self) -> None:
        for reader in self._readers:
            reader.join(_GRACE_S)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def result(self) -> tuple[int, dict[str, Any] | None, str]:
        """Exit code, the document it printed, and the last of what it said."""
        self._close()
        try:
            document = json.loads("".join(self._out))
        except ValueError:
            document = None
        said = "".join(self._errors[-5:]).strip()
        return self.process.returncode, document, said

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                if line.strip() == _READY:
                    self.asks.set()
                else:
                    self._out.append(line)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self._errors = [*self._errors[-20:], line]
