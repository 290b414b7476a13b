"""Listens to a served shop: changes of membership as they happen, in words."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Final

from shoal.cli.console import Console
from shoal.domain.segment import TIER_NEW

#: One change is told in so many seconds at most; the others are counted.
_TOLD_EVERY_S: Final = 2.5
_AGAIN_S: Final = 0.3
_TIMEOUT_S: Final = 20.0
_PATIENT_S: Final = 300.0
#: Every stream says that it lives more often than that.
_SILENT_S: Final = 60.0


class Listener:
    """Reads `/v1/changes` in a thread, and goes on where it was when the server comes back.

    Args:
        key: of a role that may read customers.
    """

    def __init__(self, console: Console, address: str, key: str) -> None:
        self._console, self._address, self._key = console, address, key
        self._stopped = threading.Event()
        self._last: str | None = None
        self._told_at = 0.0
        self._untold = 0
        self._names: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hear no more."""
        self._stopped.set()

    def status(self) -> dict[str, Any]:
        """`/v1/status`, once the server answers."""
        for _ in range(int(_TIMEOUT_S / _AGAIN_S)):
            try:
                return self.get("/v1/status")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(_AGAIN_S)
        return self.get("/v1/status")

    def get(self, path: str) -> dict[str, Any]:
        """What the server answers at a path."""
        with self._open(path, {}, _TIMEOUT_S) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def post(self, path: str) -> dict[str, Any]:
        """What the server answers to an order that needs no words."""
        with self._open(path, {}, _PATIENT_S, b"") as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                for change in self._changes():
                    self._tell(change)
            except (OSError, ValueError):
                # The server is gone; the stream goes on behind the last change that was heard.
                time.sleep(_AGAIN_S)

    def _changes(self) -> Iterator[dict[str, Any]]:
        headers = {"accept": "text/event-stream"}
        if self._last is not None:
            headers["last-event-id"] = self._last
        with self._open("/v1/changes", headers, _SILENT_S) as stream:
            number = None
            for line in stream:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    number = value
                elif name == "data":
                    change = json.loads(value)
                    if "customer_id" in change:
                        yield change
                    self._last = number or self._last
                if self._stopped.is_set():
                    return

    def _tell(self, change: Mapping[str, Any]) -> None:
        # Who was nobody, or is too little known yet, has no reason that would tell anything.
        placed = TIER_NEW not in (change["from"], change["to"]) and change["from"]
        if not placed or time.monotonic() < self._told_at + _TOLD_EVERY_S:
            self._untold += 1
            return
        self._told_at = time.monotonic()
        more = f"   ({self._untold} more since)" if self._untold else ""
        self._untold = 0
        names = [self._name(change[one]) for one in ("from", "to")]
        why = self._why(change["customer_id"])
        self._console.say(
            f"   {change['since'][:16]}  {change['customer_id']}: {names[0]} -> {names[1]}, by "
            f"{change['cause']}{': ' + why if why else ''}{more}"
        )

    def _name(self, segment: str) -> str:
        """The name of a segment; its id where it has none (yet)."""
        if segment not in self._names:
            try:
                found = self.get("/v1/segments")["segments"]
            except (OSError, ValueError):
                return segment
            self._names |= {one["segment_id"]: one["name"]["en"] for one in found if one["name"]}
        return self._names.get(segment, segment)

    def _why(self, customer: str) -> str:
        """What speaks most for where a customer is."""
        try:
            told = self.get(f"/v1/customers/{urllib.parse.quote(customer)}/segments")
        except (OSError, ValueError):
            return ""
        found = (told.get("why") or {}).get("why_here") or []
        return str(found[0]["sentence"]["en"]) if found else ""

    def _open(
        self, path: str, headers: Mapping[str, str], timeout_s: float, body: bytes | None = None
    ) -> Any:
        told = {"authorization": f"Bearer {self._key}", **headers}
        request = urllib.request.Request(self._address + path, body, told)
        return urllib.request.urlopen(request, timeout=timeout_s)
