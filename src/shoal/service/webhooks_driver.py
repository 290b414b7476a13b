"""Webhooks are told in threads of their own: a receiver that hangs holds up nobody else."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import ShoalError

if TYPE_CHECKING:
    from shoal.domain.webhook import Webhook
    from shoal.workflows.webhooks_delivery import Sending

_LOG: Final = logging.getLogger("shoal.service")
#: Messages of one receiver in a row, before it is looked whether it is still there.
_IN_A_ROW: Final = 50
#: How long the end waits for messages under way; what is not heard of is sent again.
_END_S: Final = 5.0


class WebhooksDriver:
    """Sends what is due, a thread for each receiver that has something to be sent.

    Args:
        sending: what sends; None: the environment has no key, and nothing is sent.
        every_s: how often it is looked for what is due.
    """

    def __init__(self, sending: Sending | None, *, every_s: float = 1.0) -> None:
        self._sending, self._every_s = sending, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._guard = threading.Lock()
        self._busy: dict[str, threading.Thread] = {}
        self._failures: dict[str, str] = {}

    def start(self) -> None:
        if self._sending is not None:
            self._thread.start()

    def stop(self) -> None:
        """Begin no other message; those under way have a few seconds."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        by = time.monotonic() + _END_S
        with self._guard:
            busy = list(self._busy.values())
        for one in busy:
            one.join(max(0.0, by - time.monotonic()))

    def told(self) -> dict[str, Any]:
        """Whether it sends, how many receivers are being told, and what is wrong on this side."""
        with self._guard:
            return {
                "on": self._sending is not None, "busy": len(self._busy),
                "failures": dict(self._failures),
            }  # fmt: skip

    def _run(self) -> None:
        assert self._sending is not None
        while not self._stopped.wait(self._every_s):
            try:
                for webhook in self._sending.due():
                    self._begin(webhook)
                self._settled("")
            except ShoalError as error:
                self._failed("", error.message)
            except Exception as error:  # the service goes on, whatever happens here
                self._failed("", f"{type(error).__name__}: {error}")

    def _begin(self, webhook: Webhook) -> None:
        name = webhook.webhook_id
        with self._guard:
            if name in self._busy:
                return
            telling = threading.Thread(target=self._tell, args=(webhook,), name=name, daemon=True)
            self._busy[name] = telling
        telling.start()

    def _tell(self, webhook: Webhook) -> None:
        """Send what is due, one message after the other."""
        assert self._sending is not None
        name = webhook.webhook_id
        try:
            for _ in range(_IN_A_ROW):
                if self._stopped.is_set() or not self._sending.step(webhook):
                    break
            self._settled(name)
        except ShoalError as error:
            self._failed(name, error.message)
        except Exception as error:  # as above
            self._failed(name, f"{type(error).__name__}: {error}")
        finally:
            with self._guard:
                self._busy.pop(name, None)

    def _failed(self, name: str, words: str) -> None:
        with self._guard:
            known = self._failures.get(name)
            self._failures[name] = words
        if known != words:  # once, not every second
            _LOG.error("%s cannot be told: %s", name or "webhooks", words)

    def _settled(self, name: str) -> None:
        with self._guard:
            self._failures.pop(name, None)
