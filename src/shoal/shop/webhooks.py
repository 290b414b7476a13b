"""Verbs of what is told to other systems as it happens: changes of membership, and webhooks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from shoal.domain.time import iso, system_clock
from shoal.shop.audited import audited
from shoal.shop.delivery import DeliveryVerbs

if TYPE_CHECKING:
    from shoal.ports import StateStore, WebhookStore
    from shoal.workflows.webhooks import Webhooks
    from shoal.workflows.webhooks_delivery import Sending

T = TypeVar("T")

_LOG: Final = logging.getLogger("shoal")

#: Characters of what was typed that stand in the audit log.
_SHOWN: Final = 40


class WebhookVerbs(DeliveryVerbs):
    """Changes of membership, for whoever asks and for receivers that are told."""

    def changes(
        self, *, since_seq: int = 0, limit: int = 100, segments: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Changes of membership in the order in which they were written, `shoal.changes/1`.

        Args:
            since_seq: only what comes behind this position of the log; `next_seq` of the answer is
                the one to go on from.
            segments: only into or out of one of these; none: all.
        """
        from shoal.workflows.changes import listed

        return listed(self._parts.store, since_seq, limit, segments)

    @property
    def membership_log(self) -> StateStore:
        """Where changes are read from, page by page (`shoal.workflows.changes`)."""
        return self._parts.store

    def webhooks(self) -> dict[str, Any]:
        """Every webhook, how far it is told, and what was given up, `shoal.webhooks/1`."""
        return self._asked(lambda known: known.listed())

    def webhooks_standing(self) -> list[dict[str, Any]]:
        """How each receiver stands, without addresses; see `shoal.workflows.webhooks`.

        Raises:
            OperationError: the store of webhooks cannot be read.
        """
        return self._asked(lambda known: known.standing())

    def webhook(self, webhook_id: str) -> dict[str, Any]:
        """One webhook with its dead letters.

        Raises:
            UsageError: `unknown_webhook`.
        """
        return self._asked(lambda known: known.one(webhook_id))

    def add_webhook(
        self,
        url: str,
        *,
        shape: str = "standard",
        segments: Sequence[str] = (),
        channel: str = "",
        since_seq: int | None = None,
        audit: bool = True,
    ) -> dict[str, Any]:
        """A new webhook; `secret` in the answer is told this once.

        Args:
            shape: `standard` (Standard Webhooks, `membership.changed`), or `segment`
                (`Audience Entered` and `Audience Exited`).
            segments: only changes into or out of one of these; none: all.
            channel: only customers who granted it; empty: all but who refused all marketing.
            since_seq: what comes behind this position of the log; None: what happens from now on.
            audit: False: the caller has it in the audit log already.

        Raises:
            UsageError: `bad_webhook`, `no_secret`.
        """

        def add(known: Webhooks) -> dict[str, Any]:
            secret, made = known.add(
                url, shape=shape, segments=segments, channel=channel, since_seq=since_seq
            )
            return {"schema": "shoal.webhook/1", "secret": secret, **made.as_document()}

        with self._written("webhooks.add", audit, shape=shape[:_SHOWN]) as facts:
            made = self._asked(add)
            # An address may hold what opens a door in its path: its host is enough to know it by.
            facts |= {"webhook_id": made["webhook_id"], "host": urlsplit(url).hostname}
            return made

    def remove_webhook(self, webhook_id: str, *, audit: bool = True) -> dict[str, Any]:
        """Tell a receiver nothing more.

        Raises:
            UsageError: `unknown_webhook`.
        """
        with self._written("webhooks.remove", audit, webhook_id=webhook_id[:_SHOWN]):
            document = self._asked(lambda known: known.remove(webhook_id).as_document())
        return {"schema": "shoal.webhook/1", **document, "removed": iso(system_clock())}

    def retry_webhook(self, webhook_id: str, *, audit: bool = True) -> dict[str, Any]:
        """Let the service send at once what failed: the webhook is on, its dead letters are due.

        Raises:
            UsageError: `unknown_webhook`.
        """
        with self._written("webhooks.retry", audit, webhook_id=webhook_id[:_SHOWN]):
            return self._asked(lambda known: known.retry(webhook_id))

    def test_webhook(self, webhook_id: str) -> dict[str, Any]:
        """Send a message that tells of nobody, from here; what came of it.

        Raises:
            UsageError: `unknown_webhook`, `no_secret`.
        """
        from shoal.adapters.webhook_http import HttpSender

        sender = HttpSender(self._trusted)
        return self._asked(lambda known: known.test(webhook_id, sender))

    @contextmanager
    def sending(self) -> Iterator[Sending | None]:
        """What sends to webhooks for as long as the block lasts; None: there is no key to sign.

        Raises:
            UsageError: `no_secret`, the key is too short.
        """
        from shoal.adapters.webhook_http import HttpSender
        from shoal.workflows.webhooks_consents import Consents
        from shoal.workflows.webhooks_delivery import Sending

        master = self._master()
        if master is None:
            if self._parts.begun("webhooks") and self.webhooks()["webhooks"]:
                _LOG.warning("webhooks are told nothing: SHOAL_WEBHOOK_KEY is not set")
            yield None
            return
        store = self._webhook_store()
        try:
            yield Sending(
                store, self._parts.store, HttpSender(self._trusted), master,
                Consents(self._sources()).refusing,
            )  # fmt: skip
        finally:
            store.close()

    def _written(
        self, action: str, audit: bool, **facts: Any
    ) -> AbstractContextManager[dict[str, Any]]:
        """A change that is written into the audit log, unless the caller did so."""
        return audited(self.directory, action, **facts) if audit else nullcontext({})

    @property
    def _trusted(self) -> frozenset[str]:
        return frozenset(self.config.webhooks.trusted_hosts)

    def _master(self) -> bytes | None:
        from shoal.workflows.webhooks import VARIABLE, master_of

        return master_of(os.environ.get(VARIABLE))

    def _webhook_store(self) -> WebhookStore:
        return self._parts.webhook_store()

    def _asked(self, ask: Callable[[Webhooks], T]) -> T:
        from shoal.workflows.webhooks import Webhooks

        store = self._webhook_store()
        try:
            return ask(Webhooks(store, self._parts.store, self._master(), self._trusted))
        finally:
            store.close()
