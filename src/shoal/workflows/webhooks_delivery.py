"""Telling receivers of changes: in order, at least once, and each for itself.

Which stretch of the log a message tells of is kept before it is sent, and that it arrived after. So
a process that is killed in between sends the same message again, with the same id, by which a
receiver knows it. What it says is read from the log at every try: nothing waits in memory or on
disk, and of who was forgotten meanwhile nothing is said.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shoal.domain.change import Change
from shoal.domain.time import Clock, system_clock
from shoal.domain.webhook import GONE, DeadLetter, Progress, Reply, Webhook, message_id, wait_s
from shoal.ports import Sender, StateStore, WebhookStore
from shoal.workflows.changes import changes_after
from shoal.workflows.webhooks import headers, signing
from shoal.workflows.webhooks_payload import Refusing, body_of, told

#: Changes of one message.
MOST: Final = 100


@dataclass(frozen=True)
class Sending:
    """Sends to webhooks what the log has for them.

    Args:
        master: what their secrets are made with.
        refusing: who may not be told of, asked at every try.
        chance: 0 to 1, anew at each call.
    """

    store: WebhookStore
    state: StateStore
    sender: Sender
    master: bytes
    refusing: Refusing
    clock: Clock = system_clock
    chance: Callable[[], float] = random.random

    def due(self) -> list[Webhook]:
        """Webhooks that may have something to be sent now.

        Raises:
            OperationError: a store cannot be read.
        """
        known = [one for one in self.store.all() if one.disabled is None]
        if not known:
            return []
        last, now = self.state.last_membership(), self.clock()
        letters = {one.webhook_id for one in self.store.letters() if one.due is not None}
        found = []
        for one in known:
            progress = self.store.progress(one.webhook_id)
            if progress is None:
                continue
            waits = progress.until is None and progress.position == last
            later = progress.due is not None and progress.due > now
            if one.webhook_id in letters or not (waits or later):
                found.append(one)
        return found

    def step(self, webhook: Webhook) -> bool:
        """Send the next message, if one is due; whether there may be another one at once.

        Raises:
            UsageError: `no_secret`, the master key is another one than its secret was made with.
            OperationError: a store cannot be read or written.
        """
        signing(self.master, webhook)
        for letter in self.store.letters(webhook.webhook_id):
            if letter.due is not None:
                self._again(webhook, letter)
                return True
        progress = self.store.progress(webhook.webhook_id)
        if progress is None:
            return False
        last = self.state.last_membership()
        if max(progress.position, progress.until or 0) > last:
            # A log that ends before that was put back from a backup: what it says next is new.
            progress = _past(progress, min(progress.position, last))
            self.store.put_progress(webhook.webhook_id, progress)
        if progress.until is None:
            return self._formed(webhook, progress)
        if progress.due is not None and progress.due > self.clock():
            return False
        return self._tried(webhook, progress, progress.until)

    # -- one message -------------------------------------------------------------------------------

    def _formed(self, webhook: Webhook, progress: Progress) -> bool:
        """Settle which stretch the next message tells of; what does not concern it is passed by."""
        page = changes_after(self.state, progress.position, MOST, webhook.segments)
        if not page.changes:
            if page.until > progress.position:
                passed = replace(progress, position=page.until)
                self.store.put_progress(webhook.webhook_id, passed)
            return page.more
        begins, ends = page.changes[0].sequence - 1, page.changes[-1].sequence
        formed = replace(
            progress, position=begins, until=ends, formed=self.clock(), tries=0, due=None
        )
        self.store.put_progress(webhook.webhook_id, formed)
        return True

    def _tried(self, webhook: Webhook, progress: Progress, until: int) -> bool:
        formed = progress.formed or self.clock()
        kept, left_out, reply = self._sent(webhook, progress.position, until, formed)
        now = self.clock()
        if reply is None or reply.delivered:
            self.store.put_progress(
                webhook.webhook_id,
                replace(
                    _past(progress, until),
                    messages=progress.messages + (reply is not None),
                    changes=progress.changes + len(kept),
                    left_out=progress.left_out + left_out,
                    succeeded=progress.succeeded if reply is None else now,
                    failure="" if reply is not None else progress.failure,
                ),
            )
            return True
        self._failed(webhook, progress, until, reply, now)
        return False

    def _failed(
        self, webhook: Webhook, progress: Progress, until: int, reply: Reply, now: datetime
    ) -> None:
        """Wait, give the message up, or (410) the receiver; the message then stays as it is."""
        tries = progress.tries + 1
        wait = wait_s(tries, reply, self.chance())
        again = replace(progress, tries=tries, failure=reply.told)
        if reply.status == GONE:
            self.store.put_progress(webhook.webhook_id, replace(again, due=None))
            self.store.disable(webhook.webhook_id, now, "the receiver says that it is gone (410)")
        elif wait is None:
            past = replace(_past(progress, until), failure=reply.told)
            self.store.put_progress(webhook.webhook_id, past, died=(now, reply.told))
        else:
            due = now + timedelta(seconds=wait)
            self.store.put_progress(webhook.webhook_id, replace(again, due=due))

    def _again(self, webhook: Webhook, letter: DeadLetter) -> None:
        """One more try of a dead letter; one of which nobody is left goes."""
        _, _, reply = self._sent(webhook, letter.after, letter.until, letter.formed)
        if reply is None or reply.delivered:
            self.store.drop_letter(letter.number)
            return
        tried = replace(letter, tries=letter.tries + 1, reason=reply.told, due=None)
        self.store.put_letter(tried)

    def _sent(
        self, webhook: Webhook, after: int, until: int, formed: datetime
    ) -> tuple[Sequence[Change], int, Reply | None]:
        """What a stretch tells, how much was left out, and the answer; None: nothing was left."""
        found = self._stretch(webhook, after, until)
        if not found:
            return (), 0, None
        refused = self.refusing([one.customer_id for one in found], webhook.channel)
        kept, left_out = told(found, refused)
        if not kept:
            return (), left_out, None
        body = body_of(webhook, formed, kept, refused)
        name = message_id(webhook, after, until)
        secret = signing(self.master, webhook)
        told_to = headers(webhook, secret, name, self.clock(), body)
        return kept, left_out, self.sender.send(webhook.url, told_to, body)

    def _stretch(self, webhook: Webhook, after: int, until: int) -> list[Change]:
        """The changes of a stretch that concern a webhook, without who was forgotten."""
        found: list[Change] = []
        while after < until:
            page = changes_after(self.state, after, MOST, webhook.segments, until=until)
            found += page.changes
            if not page.more:
                break
            after = page.until
        return found


def _past(progress: Progress, until: int) -> Progress:
    return replace(progress, position=until, until=None, formed=None, tries=0, due=None)
