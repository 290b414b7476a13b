"""Services that are forked from a process which has loaded all that they need.

Loading takes most of a service's start. A process that has imported modules, and opened nothing,
forks for each service that is to be killed: the child is as dead afterwards as any other process.

    python -m bench.faults.forking FD MODULE...   forks for each message on a socket, in turn
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from bench.harness.run import ROOT, THREADS

#: What a service loads until it has taken in its first calls; what is missing costs it time only.
_LOADED = (
    "bench.faults.serving", "deltalake", "ibis.backends.duckdb", "lightgbm", "pyarrow.acero",
    "sqlalchemy", "sqlglot.dialects.duckdb", "uvicorn.lifespan.off", "uvicorn.loops.auto",
    "uvicorn.protocols.http.httptools_impl", "shoal.adapters.files", "shoal.adapters.live_table",
    "shoal.adapters.shop_files", "shoal.adapters.sql_audit", "shoal.adapters.sqlite_files",
    "shoal.adapters.webhook_http", "shoal.events.mapping_file", "shoal.events.presets",
    "shoal.segments.clustered", "shoal.segments.methods.registry", "shoal.service.adjusting",
    "shoal.service.app", "shoal.service.audit_retention", "shoal.service.driver",
    "shoal.service.endpoints", "shoal.service.following", "shoal.service.forwarding",
    "shoal.service.holding", "shoal.service.partitions", "shoal.service.running",
    "shoal.service.server",
    "shoal.service.table_retention", "shoal.service.webhooks_driver", "shoal.service.workers",
    "shoal.shop.streaming", "shoal.workflows.currencies", "shoal.workflows.draining",
    "shoal.workflows.hiding", "shoal.workflows.ingest", "shoal.workflows.live_flush",
    "shoal.workflows.live_step", "shoal.workflows.recovery", "shoal.workflows.refresh",
    "shoal.workflows.starting", "shoal.workflows.webhooks_delivery",
)  # fmt: skip
_MESSAGE = 65_536


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's with some more, without the limits on threads that benches run under."""
    return {**{k: v for k, v in os.environ.items() if k not in THREADS}, **more}


class Forked:
    """A service that was forked: what of `subprocess.Popen` its killer needs.

    Args:
        stdout: what it prints; ended when it is dead.
        parent: tells its exit code.
    """

    def __init__(self, pid: int, stdout: IO[bytes], parent: socket.socket) -> None:
        self.pid, self.stdout = pid, stdout
        self._parent = parent
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None: it lives."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it is dead; its exit code.

        Raises:
            subprocess.TimeoutExpired: it lives after so many seconds.
        """
        if self._code is None:
            if not select.select([self._parent], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked service", timeout or 0.0)
            self._code = int(_told(self._parent)["code"])
        return self._code

    def send_signal(self, how: int) -> None:
        """Send it a signal, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, how)

    def kill(self) -> None:
        """Kill it with -9, if it lives."""
        self.send_signal(signal.SIGKILL)


class Loaded:
    """A process that has loaded what services need; one of them lives at a time.

    Args:
        env: added to this process's, for it and for all services.
        modules: what it loads.
    """

    def __init__(self, env: Mapping[str, str], modules: Sequence[str] = _LOADED) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(other.fileno()), *modules],
                cwd=ROOT, env=environment(env), pass_fds=[other.fileno()],
            )  # fmt: skip
        self._last: Forked | None = None

    def start(self, arguments: list[str], *, env: Mapping[str, str], log: Path) -> Forked:
        """Start `bench.faults.serving`.

        Args:
            env: added to the environment of this service.
            log: its stderr is written to the end of this file.
        """
        if self._last is not None:
            if self._last.poll() is None:
                raise RuntimeError("the service before lives")
            self._last.stdout.close()
        message = json.dumps({"arguments": arguments, "env": dict(env)}).encode()
        out, into = os.pipe()
        with log.open("ab") as errors, os.fdopen(into, "wb") as said:
            socket.send_fds(self._socket, [message], [said.fileno(), errors.fileno()])
        pid = int(_told(self._socket)["pid"])
        self._last = Forked(pid, os.fdopen(out, "rb"), self._socket)
        return self._last

    def close(self) -> None:
        """End it, and the service that lives."""
        if self._last is not None:
            self._last.kill()
            self._last.wait()
            self._last.stdout.close()
        self._socket.close()
        self._process.wait()


def _told(parent: socket.socket) -> dict[str, Any]:
    message = parent.recv(_MESSAGE)
    if not message:
        raise RuntimeError("the process that forks services is dead")
    found: dict[str, Any] = json.loads(message)
    return found


def _serve(told: socket.socket, modules: Sequence[str]) -> int:
    """Fork for each message until there are no more; in a child: be the service."""
    for name in modules:
        import_module(name)
    gc.freeze()
    while True:
        message, places, _, _ = socket.recv_fds(told, _MESSAGE, 2)
        if not message:
            gc.unfreeze()  # extension modules complain of what is left at the end
            return 0
        child = os.fork()
        if not child:
            told.close()
            return _become(places, **json.loads(message))
        for place in places:
            os.close(place)
        told.send(json.dumps({"pid": child}).encode())
        _, status = os.waitpid(child, 0)
        told.send(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode())


def _become(places: list[int], arguments: list[str], env: dict[str, str]) -> int:
    """Be a service, with nothing on stdin."""
    from bench.faults import serving

    for number, place in enumerate([os.open(os.devnull, os.O_RDONLY), *places]):
        os.dup2(place, number)
        os.close(place)
    os.environ.update(env)
    try:
        return serving.main(arguments)
    finally:
        gc.unfreeze()


if __name__ == "__main__":
    raise SystemExit(_serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]))
