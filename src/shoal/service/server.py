"""Run the service of a shop until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.time import system_clock
from shoal.service.listening import BACKLOG, address_of, is_loopback, listening

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from shoal.shop import Shop

#: What the first batch needs, loaded before anybody is answered: loading takes seconds in which no
#: other thread gets on.
_LOADED: Final = ("shoal.workflows.ingest", "shoal.workflows.refresh")


def serve(
    shop: Shop,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    every_s: float = 1.0,
    flush_s: float = 60.0,
    follow: Sequence[tuple[str, Path]] = (),
    adjust_every_s: float | None = None,
    event_time: bool = False,
    workers: int = 1,
    partitions: int = 1,
    told: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Collect events and move customers until SIGINT or SIGTERM; what was done.

    Args:
        host, port: where it listens; port 0 takes a free one.
        every_s: how long events may wait for others to come with them.
        flush_s: how long events of customers who have moved may wait to be in the event table.
        follow: sources, each with a file or a directory whose lines are its calls.
        adjust_every_s: how often it is asked whether the segments are to be looked at; None: they
            stay as they are.
        event_time: see `Driver`.
        workers: processes that take connections; with less than two this one does.
        partitions: processes among which customers are divided when they move; with less than two
            this one moves them all.
        told: is given the address once requests are answered.

    Raises:
        UsageError: `usage`, it would listen beyond this machine and nobody has a key, or two things
            are followed as one source.
        OperationError: `port_taken`, `not_served`, `shop_locked`, `shop_damaged`,
            `audit_broken`, ...
    """
    import uvicorn

    from shoal.service.access import Keyring
    from shoal.service.adjusting import Adjusting, look_command
    from shoal.service.api import Served
    from shoal.service.app import application
    from shoal.service.audit_retention import AuditRetention
    from shoal.service.changes import ChangeFeed
    from shoal.service.counters import Counters
    from shoal.service.driver import Driver
    from shoal.service.endpoints import endpoints_of
    from shoal.service.following import Following, feeds_of, told_apart
    from shoal.service.forwarding import Believed, OnSocket
    from shoal.service.holding import Holding
    from shoal.service.partitions import Partitions, partition_command
    from shoal.service.protocol import BoundedHeads
    from shoal.service.running import Server, rare_collections, short_turns, told_to_stop
    from shoal.service.table_retention import TableRetention
    from shoal.service.trail import Trail
    from shoal.service.webhooks_driver import WebhooksDriver
    from shoal.service.workers import DRAIN_S, AllCounters, Workers
    from shoal.workflows.auditing import Auditor
    from shoal.workflows.collecting import Collector

    _hold_private(shop, host)
    private = shop.private_calls()
    told_apart(follow)
    listener = listening(host, port)
    for module in _LOADED:
        import_module(module)
    with (
        listener,
        Holding(shop.lease) as holding,
        closing(shop.audit_log()) as log,
        shop.sending() as sending,
        ExitStack() as stack,
    ):
        log.hold()
        recovered = shop.recover()
        shop.load_methods()
        auditor = Auditor(log)
        inbox = shop.inbox()
        keyring = Keyring(shop.known_keys)
        feed = ChangeFeed(shop.membership_log, keyring.still_valid)
        webhooks = WebhooksDriver(sending)
        retention = AuditRetention(shop)
        collector = Collector(inbox, private=private)
        bounds = shop.config.collection
        following = Following(
            feeds_of(follow, inbox, longest=bounds.line_bytes, private=private), collector,
            every_s=every_s, waiting_calls=bounds.waiting_calls,
        )  # fmt: skip
        adjusting = None
        if adjust_every_s is not None:
            command = look_command(shop.directory)
            adjusting = Adjusting(
                command, lambda: driver.aside(holding.aside), every_s=adjust_every_s
            )
        parted = None
        if partitions > 1:
            parted = stack.enter_context(
                Partitions(partition_command(shop.directory, partitions), partitions)
            )
        driver = Driver(
            shop, inbox, every_s=every_s, flush_s=flush_s, adjusting=adjusting,
            event_time=event_time, divided=None if parted is None else parted.beside,
        )  # fmt: skip
        driver.recovered = recovered
        table_retention = TableRetention(shop, driver.turn)
        driver.trimmed = table_retention.told
        counters = Counters()
        served = Served.of(collector, driver, keyring, counters)
        if parted is not None:
            served = replace(served, partitions=parted.told)
        crew = None
        if workers > 1:
            crew = stack.enter_context(Workers(shop.directory, listener, workers))
            served = replace(
                served, counters=AllCounters(counters, crew), workers=crew.told,
                counts=lambda: crew.with_own("calls", collector.counts),
                refused=lambda: crew.with_own("refused", collector.refused),
            )  # fmt: skip
        try:
            app: ASGIApp = application(
                collector, keyring, driver,
                endpoints_of(shop, log, feed, served), limits=shop.config.service,
                trail=Trail(auditor), bounds=bounds, following=following.told, counters=counters,
                webhooks=shop.webhooks_standing, workers=served.workers,
                partitions=served.partitions,
            )  # fmt: skip
            named: dict[str, Any] = {
                "log_config": None, "access_log": False, "server_header": False, "ws": "none",
                "lifespan": "off", "backlog": BACKLOG, "timeout_graceful_shutdown": DRAIN_S,
            }  # fmt: skip
            if crew is None:
                answers, config = listener, uvicorn.Config(app, http=BoundedHeads, **named)
            else:
                answers, config = crew.socket, uvicorn.Config(
                    Believed(app), http=OnSocket, proxy_headers=False, timeout_keep_alive=3600,
                    **named,
                )  # fmt: skip
            server = Server(config, feed.stop, before=None if crew is None else crew.stop)
            if parted is not None:
                parted.start()
            driver.start()
            following.start()
            webhooks.start()
            retention.start()
            table_retention.start()
            with told_to_stop(server), rare_collections(), short_turns():
                if crew is not None:
                    crew.start()
                if told is not None:
                    told(address_of(listener))
                server.run(sockets=[answers])
        finally:
            if crew is not None:
                crew.stop()
            following.stop()
            collector.close()
            driver.stop()
            table_retention.stop()
            webhooks.stop()
            retention.stop()
            auditor.close()
            done = {**driver.told(), **dict(served.counts())}
            inbox.close()
    return done


def _hold_private(shop: Shop, host: str) -> None:
    """Refuse to listen beyond this machine where no key is valid.

    Raises:
        UsageError: `usage`.
    """
    now = system_clock()
    if is_loopback(host) or any(key.valid(now) for key in shop.known_keys()):
        return
    raise UsageError(
        "usage",
        f"the service would listen on {host}, which other machines reach, and the shop has no "
        "valid key",
        where=host,
        hint="Make one first: shoal keys SHOP --make web; or leave out --host.",
    )
