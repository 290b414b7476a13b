"""Webhooks of a shop: registered, listed, removed, tried out, and given another try."""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.time import Clock, system_clock, to_us
from shoal.domain.webhook import (
    SHAPES,
    STANDARD,
    Webhook,
    check_of,
    message_id,
    secret_of,
    shown,
    signed,
)
from shoal.domain.webhook_address import target_of
from shoal.ports import Sender, StateStore, WebhookStore
from shoal.workflows.webhooks_payload import trial_body

SCHEMA: Final = "shoal.webhooks/1"
#: Where the master key is.
VARIABLE: Final = "SHOAL_WEBHOOK_KEY"
#: Each may take a thread of the service for as long as its receiver hangs.
MOST: Final = 20
_LEAST_KEY: Final = 32
_SALT: Final = 16
#: Segments that one webhook may name, and characters of a name.
_MOST_SEGMENTS: Final = 100
_LONGEST_NAME: Final = 80
_USER_AGENT: Final = "Shoal-Webhooks"


def master_of(told: str | None) -> bytes | None:
    """The master key that the environment tells; None where it tells none.

    Raises:
        UsageError: `no_secret`, it is too short to keep anything secret.
    """
    if not told:
        return None
    if len(told) < _LEAST_KEY:
        raise UsageError(
            "no_secret",
            f"{VARIABLE} has {len(told)} characters, which are too few",
            where=VARIABLE,
            hint=f"Give at least {_LEAST_KEY} random ones, for example of: openssl rand -base64 32",
        )
    return told.encode()


@dataclass(frozen=True)
class Webhooks:
    """The webhooks of a shop.

    Args:
        store: where they are kept.
        state: whose membership log they are told of.
        master: what their secrets are made with; None: the environment tells none.
        trusted: hosts of the shop's configuration that may be anywhere.
    """

    store: WebhookStore
    state: StateStore
    master: bytes | None
    trusted: frozenset[str] = frozenset()
    clock: Clock = system_clock

    def listed(self) -> dict[str, Any]:
        """The JSON document `shoal.webhooks/1`."""
        last = self.state.last_membership()
        letters = self.store.letters()
        return {
            "schema": SCHEMA,
            "last_seq": last,
            "webhooks": [
                {**self._document(one, last),
                 "dead_letters": sum(two.webhook_id == one.webhook_id for two in letters)}
                for one in self.store.all()
            ],
        }  # fmt: skip

    def standing(self) -> list[dict[str, Any]]:
        """How each receiver stands, for whoever watches: `ok`, `failing` (the message under way was
        tried in vain) or `disabled`; rows of the log that it is not told of, for how long the
        message under way was tried, what was given up, and why the last try failed. Addresses and
        whom it is about are left out."""
        last, now = self.state.last_membership(), self.clock()
        dead = Counter(one.webhook_id for one in self.store.letters())
        told = []
        for one in self.store.all():
            progress = self.store.progress(one.webhook_id)
            if progress is None:  # removed just now
                continue
            failing = "failing" if progress.tries else "ok"
            told.append(
                {
                    "webhook_id": one.webhook_id,
                    "state": failing if one.disabled is None else "disabled",
                    "pending": max(0, last - progress.position),
                    "undelivered_s": progress.waited_s(now),
                    "dead_letters": dead[one.webhook_id],
                    "failure": progress.failure if progress.tries else one.reason,
                }
            )
        return told

    def one(self, webhook_id: str) -> dict[str, Any]:
        """One webhook with its dead letters.

        Raises:
            UsageError: `unknown_webhook`.
        """
        found = self.known(webhook_id)
        letters = [one.as_document() for one in self.store.letters(webhook_id)]
        return {**self._document(found, self.state.last_membership()), "dead_letters": letters}

    def add(
        self,
        url: str,
        *,
        shape: str = STANDARD,
        segments: Sequence[str] = (),
        channel: str = "",
        since_seq: int | None = None,
    ) -> tuple[str, Webhook]:
        """A new webhook and its secret, which is shown this once.

        Args:
            segments: it is told of changes into or out of these; none: of all.
            channel: only of customers who granted it.
            since_seq: it is told of what comes behind this position of the membership log; None:
                of what happens from now on.

        Raises:
            UsageError: `bad_webhook`: nothing may be sent there, no such shape, too many of them;
                `no_secret`: the environment has no master key.
        """
        master = self._master()
        target_of(url, self.trusted)
        self._check(url, shape, segments, channel, since_seq)
        last = self.state.last_membership()
        position = last if since_seq is None else min(since_seq, last)
        salt = secrets.token_hex(_SALT)
        named = tuple(dict.fromkeys(segments))
        found = self.store.add(
            url, shape, named, channel, salt, check_of(master, salt), self.clock(), position
        )
        return shown(secret_of(master, found.webhook_id, salt)), found

    def _check(
        self, url: str, shape: str, segments: Sequence[str], channel: str, since_seq: int | None
    ) -> None:
        if shape not in SHAPES:
            raise _bad(f"there is no shape {shape!r}", f"Shapes: {', '.join(SHAPES)}.")
        names = [*segments, channel]
        wrong = [one for one in names if len(one) > _LONGEST_NAME or not one.isprintable()]
        if wrong or len(segments) > _MOST_SEGMENTS or "" in segments:
            raise _bad(
                "its segments or its channel are no names",
                f"Allowed: up to {_MOST_SEGMENTS} segments, names of 1 to {_LONGEST_NAME} "
                "printable characters.",
            )
        if since_seq is not None and since_seq < 0:
            raise _bad(f"the log has no position {since_seq}", "Allowed: 0 or more.")
        known = self.store.all()
        if len(known) >= MOST:
            raise _bad(f"the shop has {len(known)} webhooks already", "Remove one first.")

    def remove(self, webhook_id: str) -> Webhook:
        """Tell a receiver nothing more, and forget what was given up of it.

        Raises:
            UsageError: `unknown_webhook`.
        """
        found = self.known(webhook_id)
        self.store.remove(webhook_id)
        return found

    def retry(self, webhook_id: str) -> dict[str, Any]:
        """Send to a webhook again what failed, at once: it is on, and its dead letters are due.

        Raises:
            UsageError: `unknown_webhook`.
        """
        self.known(webhook_id)
        self.store.retry(webhook_id, self.clock())
        return self.one(webhook_id)

    def test(self, webhook_id: str, sender: Sender) -> dict[str, Any]:
        """Send a message that tells of nobody, and what came of it.

        Raises:
            UsageError: `unknown_webhook`, `no_secret`.
        """
        found, now = self.known(webhook_id), self.clock()
        seconds = to_us(now) // 1_000_000
        name = message_id(found, -1, seconds)
        body = trial_body(found, now)
        reply = sender.send(found.url, headers(found, self._secret(found), name, now, body), body)
        return {
            "webhook_id": found.webhook_id, "url": found.url, "message_id": name,
            "delivered": reply.delivered, "status": reply.status, "failure": reply.told,
            "answer": reply.text[:1000],
        }  # fmt: skip

    def known(self, webhook_id: str) -> Webhook:
        """A webhook by its id.

        Raises:
            UsageError: `unknown_webhook`.
        """
        known = {one.webhook_id: one for one in self.store.all()}
        if webhook_id not in known:
            raise UsageError(
                "unknown_webhook",
                f"the shop has no webhook {webhook_id!r}",
                where=webhook_id,
                hint=f"Webhooks: {', '.join(known) or 'none'}.",
            )
        return known[webhook_id]

    def _secret(self, webhook: Webhook) -> bytes:
        return signing(self._master(), webhook)

    def _master(self) -> bytes:
        if self.master is None:
            raise UsageError(
                "no_secret",
                "webhooks are signed, and the environment has no key for that",
                where=VARIABLE,
                hint=f"Set {VARIABLE} to at least {_LEAST_KEY} random characters (openssl rand "
                "-base64 32), the same for the service and for this command, and keep it: with "
                "another one receivers take no message for ours.",
            )
        return self.master

    def _document(self, webhook: Webhook, last: int) -> dict[str, Any]:
        progress = self.store.progress(webhook.webhook_id)
        told = {} if progress is None else progress.as_document(last)
        return {**webhook.as_document(), **told}


def signing(master: bytes, webhook: Webhook) -> bytes:
    """What signs messages to a webhook.

    Raises:
        UsageError: `no_secret`, the master key is not the one that its secret was made with.
    """
    if not hmac.compare_digest(check_of(master, webhook.salt), webhook.check):
        raise UsageError(
            "no_secret",
            f"{VARIABLE} is not the key with which the secret of {webhook.webhook_id} was made",
            where=VARIABLE,
            hint="Set it to what it was, or remove the webhook and add it again: its receiver then "
            "needs the new secret.",
        )
    return secret_of(master, webhook.webhook_id, webhook.salt)


def headers(
    webhook: Webhook, secret: bytes, message: str, now: datetime, body: bytes
) -> dict[str, str]:
    """The headers of one try of a message."""
    return {
        "content-type": "application/json",
        "user-agent": _USER_AGENT,
        **signed(secret, message, to_us(now) // 1_000_000, body),
    }


def _bad(message: str, hint: str) -> UsageError:
    return UsageError("bad_webhook", message, hint=hint)
