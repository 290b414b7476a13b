"""Starts a service over and over, and sees it die each time."""

from __future__ import annotations

import json
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from bench.faults.forking import Forked, Loaded, environment
from bench.faults.plan import POINT, RANDOM, STARTING, SYNC, Kill
from bench.faults.syncs import KILL_AFTER, KILL_BEFORE, NOTHING, NoCompilerError, Syncs
from bench.harness.run import ROOT
from bench.load.site import until

Service: TypeAlias = "subprocess.Popen[bytes] | Forked"

#: How long calls wait for others to come with them, in seconds.
_EVERY = "0.3"
#: The same of events on their way into the event table: about a batch, and more of them.
_FLUSHES = ("0.5", "2")
#: A service that is killed at random lives so long after its first answer at most.
_LONGEST_S = 4.0
#: The point that kills is the first from a moment on that is at most so long after the start.
_LATEST_S = 3.0
#: Share of the orders to die at a sync that are given when the service starts; the others come up
#: to so many seconds after its first answer.
_AT_ONCE, _ORDERED_S = 0.25, 2.0
#: Such an order is for one of so many syncs that come next.
_SYNCS = 20
#: A point that is not passed in so many seconds is not waited for.
_PATIENCE_S = 20.0


class Killer:
    """The one who kills.

    Args:
        shop: what is served.
        work: a folder for what services say on stderr, and for orders to them.
        seed: of the moments.
    """

    def __init__(self, shop: Path, work: Path, port: int, seed: str) -> None:
        self._shop = str(shop.resolve())
        self._arguments = [self._shop, str(port), _EVERY]
        self._errors = work / "errors"
        self._drawn = random.Random(seed)
        self._syncs: Syncs | None = None
        with suppress(NoCompilerError):
            self._syncs = Syncs(shop, work)
        self._loaded = Loaded({} if self._syncs is None else self._syncs.library)
        #: Of the last start that was measured.
        self._start_s = 0.7
        self._ways: dict[str, Callable[[_Life, Kill], tuple[str, str]]] = {
            STARTING: self._while_it_starts, RANDOM: self._at_random, POINT: self._at_a_point,
            SYNC: self._at_a_sync,
        }  # fmt: skip

    def __enter__(self) -> Killer:
        return self

    def __exit__(self, *_: object) -> None:
        self._loaded.close()
        if self._syncs is not None:
            self._syncs.close()

    def kill(self, kill: Kill) -> dict[str, Any]:
        """Start the service and see it die; how it did.

        `start_s`: seconds until it answered, or died without. `seconds`: how long it lived then.

        Raises:
            RuntimeError: it ended in another way.
        """
        if self._syncs is not None:
            self._syncs.order(NOTHING)
        more = ["--flush", self._drawn.choice(_FLUSHES)]
        if kill.how == POINT:
            more += ["--point", kill.point, "--after", str(self._drawn.uniform(0.0, _LATEST_S))]
        life = _Life(self._start(more, afresh=kill.afresh))
        try:
            how, point = self._ways[kill.how](life, kill)
        finally:
            code = life.end()
        if code != -signal.SIGKILL:
            raise RuntimeError(f"the service ended with {code}")
        if not kill.afresh and life.answered_s is not None:
            self._start_s = life.answered_s - life.began_s
        return {"how": how, "point": point, "afresh": kill.afresh, **life.told()}

    def spared(self) -> Forked:
        """A service that is not killed, and answers."""
        life = _Life(service := self._loaded.start(self._arguments, env={}, log=self._errors))
        if not life.answers():
            raise RuntimeError(f"the service ended with {life.end()}")
        return service

    def _start(self, more: list[str], *, afresh: bool) -> Service:
        arguments = [*self._arguments, *more]
        if not afresh:
            orders = {} if self._syncs is None else self._syncs.orders
            return self._loaded.start(arguments, env=orders, log=self._errors)
        command = [sys.executable, "-m", "bench.faults.serving", *arguments]
        with self._errors.open("ab") as errors:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment({}), stdout=subprocess.PIPE, stderr=errors
            )

    def _while_it_starts(self, life: _Life, kill: Kill) -> tuple[str, str]:
        until(lambda: life.has_open(self._shop), _PATIENCE_S, 0.01)
        time.sleep(self._drawn.uniform(0.0, self._start_s))
        return RANDOM if life.has_answered() else STARTING, ""

    def _at_random(self, life: _Life, kill: Kill) -> tuple[str, str]:
        if not life.answers():
            raise RuntimeError(f"the service ended with {life.end()}")
        time.sleep(self._drawn.uniform(0.05, _LONGEST_S))
        return RANDOM, ""

    def _at_a_point(self, life: _Life, kill: Kill) -> tuple[str, str]:
        life.answers()
        return (POINT, kill.point) if life.dies() else (RANDOM, "")

    def _at_a_sync(self, life: _Life, kill: Kill) -> tuple[str, str]:
        if self._syncs is None:
            return self._at_random(life, kill)
        at_once = self._drawn.random() < _AT_ONCE
        if not at_once:
            life.answers()
            time.sleep(self._drawn.uniform(0.0, _ORDERED_S))
        mode = self._drawn.choice((KILL_BEFORE, KILL_AFTER))
        self._syncs.order(mode, self._drawn.randint(1, _SYNCS), others=self._drawn.random() < 0.7)
        if at_once:
            life.answers()
        if not life.dies():
            return RANDOM, ""
        return SYNC, f"{'before' if mode == KILL_BEFORE else 'after'} {self._syncs.last}"


class _Life:
    """A service from its start to its death."""

    def __init__(self, service: Service) -> None:
        self.began_s = time.monotonic()
        self.answered_s: float | None = None
        self._ended_s = 0.0
        self._service = service

    def answers(self) -> bool:
        """Wait until it answers; not: it died before.

        Raises:
            RuntimeError: it says that it cannot.
        """
        assert self._service.stdout is not None
        line = self._service.stdout.readline()
        if not line:
            return False
        if "address" not in json.loads(line):
            raise RuntimeError(f"the service does not start: {line.decode()}")
        self.answered_s = time.monotonic()
        return True

    def has_answered(self) -> bool:
        """Whether it answers by now."""
        assert self._service.stdout is not None
        return bool(select.select([self._service.stdout], [], [], 0.0)[0]) and self.answers()

    def has_open(self, folder: str) -> bool:
        """Whether it has a file of a folder open."""
        with suppress(OSError):
            places = Path(f"/proc/{self._service.pid}/fd").iterdir()
            return any(str(place.readlink()).startswith(f"{folder}/") for place in places)
        return False

    def dies(self) -> bool:
        """Wait until it is dead, and not for ever."""
        return until(lambda: self._service.poll() is not None, _PATIENCE_S, 0.02) is not None

    def end(self) -> int:
        """Kill it, if it lives; its exit code."""
        self._service.kill()
        code = self._service.wait(60.0)
        self._ended_s = time.monotonic()
        assert self._service.stdout is not None
        self._service.stdout.close()
        return code

    def told(self) -> dict[str, float]:
        """How long it lived."""
        answered_s = self._ended_s if self.answered_s is None else self.answered_s
        return {
            "start_s": round(answered_s - self.began_s, 2),
            "seconds": round(self._ended_s - answered_s, 2),
        }
