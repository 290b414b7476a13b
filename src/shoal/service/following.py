"""Followed files: what is written to them comes into the inbox, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import ShoalError, UsageError
from shoal.domain.time import Clock, iso, system_clock
from shoal.workflows.collecting import BusyError, Collector
from shoal.workflows.followed import Feed
from shoal.workflows.followed_file import Place
from shoal.workflows.importing import Imported

if TYPE_CHECKING:
    from shoal.events.private_calls import PrivateCalls
    from shoal.ports import Inbox
    from shoal.workflows.followed_file import FollowedFile
    from shoal.workflows.importing import Group

_LOG: Final = logging.getLogger("shoal.service")
#: After a failure the next attempt waits, twice as long each time up to this.
_LONGEST_WAIT_S: Final = 30.0


def told_apart(follow: Sequence[tuple[str, Path]]) -> None:
    """Refuse two things to follow of one source.

    Raises:
        UsageError: `usage`.
    """
    sources = [source for source, _ in follow]
    for source in sources:
        if sources.count(source) > 1:
            raise UsageError(
                "usage", f"two things are to be followed as {source!r}", where=source,
                hint="Give each a name of its own: --follow NAME=PATH; of one directory all files "
                "are followed together.",
            )  # fmt: skip


def feeds_of(
    follow: Sequence[tuple[str, Path]],
    inbox: Inbox,
    *,
    longest: int,
    clock: Clock = system_clock,
    private: PrivateCalls | None = None,
) -> list[Feed]:
    """Feeds that go on where they were left.

    Args:
        follow: source and path of each; no two of one source.
        longest: bytes that a line may have.
        private: hides ids and what is personal; None: nothing is hidden.
    """
    feeds = []
    for source, path in follow:
        places = map(Place.from_text, inbox.bookmarks(f"{source}/").values())
        known = {place.key: place for place in places}
        feeds.append(Feed(source, path, known, longest=longest, clock=clock, private=private))
    return feeds


class Following:
    """Follows feeds until it is stopped.

    Args:
        feeds: what is followed; no two of one source.
        collector: where calls go, beside those of requests.
        every_s: how long lines may wait.
        waiting_calls: beyond so many in the inbox files wait.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        collector: Collector,
        *,
        every_s: float = 1.0,
        waiting_calls: int = 1_000_000,
        clock: Clock = system_clock,
    ) -> None:
        self._feeds, self._collector = feeds, collector
        self._every_s, self._waiting_calls, self._clock = every_s, waiting_calls, clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="following", daemon=True)
        self._counts = {feed.source: Imported() for feed in feeds}
        #: As of the last look: feeds are of their thread alone.
        self._standing = {feed.source: feed.told() for feed in feeds}
        self._failures: dict[str, dict[str, str]] = {}

    def start(self) -> None:
        if self._feeds:
            self._thread.start()

    def stop(self) -> None:
        """End after the group in hand."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        for feed in self._feeds:
            feed.close()

    def told(self) -> list[dict[str, Any]]:
        """Of each feed how it stands, and what became of its calls since the start."""
        return [
            {**self._standing[feed.source], **self._failures.get(feed.source, {}),
             **self._counts[feed.source].as_document()}
            for feed in self._feeds
        ]  # fmt: skip

    def _run(self) -> None:
        wait = self._every_s
        while True:
            for feed in self._feeds:
                self.step(feed)
            wait = min(2 * wait, _LONGEST_WAIT_S) if self._failures else self._every_s
            if self._stopped.wait(wait):
                return

    def step(self, feed: Feed) -> None:
        """Bring in what came to a feed since; never fails, but tells."""
        try:
            for file, group in feed.poll():
                if not self._taken(feed, file, group):
                    file.again()
                    break
        except BusyError:
            self._failed(feed, "busy", "too many calls wait to be written")
        except ShoalError as error:
            self._failed(feed, error.code, error.message)
        except Exception as error:  # the service goes on whatever happens here
            self._failed(feed, "internal", f"{type(error).__name__}: {error}")
        else:
            self._failures.pop(feed.source, None)
        self._standing[feed.source] = feed.told()

    def _taken(self, feed: Feed, file: FollowedFile, group: Group) -> bool:
        """Whether a group is in the inbox; else the service ends, or the log is too far behind."""
        inbox = self._collector.inbox
        if self._stopped.is_set() or inbox.last() - inbox.drained() > self._waiting_calls:
            return False
        try:
            if group.judged:
                written = self._collector.submit(feed.source, group.judged, group.received_at)
                new = written.result()
                self._collector.taken(group.judged, new)
                self._counts[feed.source].count(group, new)
            place = feed.taken(file, group)
            inbox.keep_bookmark(f"{feed.source}/{place.key}", place.as_text())
        except BaseException:
            file.again()
            raise
        return True

    def _failed(self, feed: Feed, code: str, message: str) -> None:
        self._failures[feed.source] = {
            "state": "failed", "code": code, "message": message, "since": iso(self._clock()),
        }  # fmt: skip
        _LOG.error("%s is not followed: %s", feed.path, message)
