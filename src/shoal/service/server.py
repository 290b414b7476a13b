"""Run the service of a shop until it is told to stop."""

from __future__ import annotations

import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import system_clock

if TYPE_CHECKING:
    from shoal.shop import Shop

#: Connections that wait to be taken.
_BACKLOG: Final = 2048
#: What the first batch needs, loaded before anybody is answered: loading takes seconds in which no
#: other thread gets on.
_LOADED: Final = ("shoal.workflows.ingest", "shoal.workflows.refresh")
#: Seconds in which requests under way may end once the service is told to stop.
_DRAIN_S: Final = 20


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
        told: is given the address once requests are answered.

    Raises:
        UsageError: `usage`, it would listen beyond this machine and nobody has a key, or two things
            are followed as one source.
        OperationError: `port_taken`, `shop_locked`, `shop_damaged`, `audit_broken`, ...
    """
    import uvicorn

    from shoal.service.access import Keyring
    from shoal.service.adjusting import Adjusting, look_command
    from shoal.service.api import Served
    from shoal.service.api.metrics import Counters
    from shoal.service.app import application
    from shoal.service.audit_retention import AuditRetention
    from shoal.service.changes import ChangeFeed
    from shoal.service.driver import Driver
    from shoal.service.endpoints import endpoints_of
    from shoal.service.following import Following, feeds_of, told_apart
    from shoal.service.holding import Holding
    from shoal.service.protocol import BoundedHeads
    from shoal.service.running import Server, short_turns
    from shoal.service.trail import Trail
    from shoal.service.webhooks_driver import WebhooksDriver
    from shoal.workflows.auditing import Auditor
    from shoal.workflows.collecting import Collector

    _hold_private(shop, host)
    private = shop.private_calls()
    told_apart(follow)
    listener = _listening(host, port)
    for module in _LOADED:
        import_module(module)
    with (
        listener,
        Holding(shop.lease) as holding,
        closing(shop.audit_log()) as log,
        shop.sending() as sending,
    ):
        log.hold()
        recovered = shop.recover()
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
        driver = Driver(
            shop, inbox, every_s=every_s, flush_s=flush_s, adjusting=adjusting,
            event_time=event_time,
        )  # fmt: skip
        driver.recovered = recovered
        counters = Counters()
        served = Served.of(collector, driver, keyring, counters)
        try:
            app = application(
                collector, keyring, driver,
                endpoints_of(shop, log, feed, served), limits=shop.config.service,
                trail=Trail(auditor), bounds=bounds, following=following.told, counters=counters,
                webhooks=shop.webhooks_standing,
            )  # fmt: skip
            server = Server(
                uvicorn.Config(
                    app, log_config=None, access_log=False, server_header=False, lifespan="off",
                    http=BoundedHeads, ws="none", backlog=_BACKLOG,
                    timeout_graceful_shutdown=_DRAIN_S,
                ),
                feed.stop,
            )  # fmt: skip
            driver.start()
            following.start()
            webhooks.start()
            retention.start()
            if told is not None:
                told(_address(listener))
            with _told_to_stop(), short_turns():
                server.run(sockets=[listener])
        finally:
            following.stop()
            collector.close()
            driver.stop()
            webhooks.stop()
            retention.stop()
            auditor.close()
            done = {**driver.told(), **dict(collector.counts)}
            inbox.close()
    return done


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the server alone.

    Uvicorn stops at them, and then raises them once more for whoever was there before: that would
    end the process before what waits is written.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.signal(one, lambda *_: None) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _hold_private(shop: Shop, host: str) -> None:
    """Refuse to listen beyond this machine where no key is valid.

    Raises:
        UsageError: `usage`.
    """
    now = system_clock()
    if _is_loopback(host) or any(key.valid(now) for key in shop.known_keys()):
        return
    raise UsageError(
        "usage",
        f"the service would listen on {host}, which other machines reach, and the shop has no "
        "valid key",
        where=host,
        hint="Make one first: shoal keys SHOP --make web; or leave out --host.",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listening(host: str, port: int) -> socket.socket:
    """A socket that nobody else has.

    Raises:
        OperationError: `port_taken`.
        UsageError: `usage`, there is no such address on this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise UsageError(
            "usage", f"{host}:{port} is no address: {error}", where=host,
            hint="Give an address of this machine, such as 127.0.0.1 or 0.0.0.0.",
        ) from error  # fmt: skip
    # Of a socket whose protocol is not named, asyncio lets small pieces wait for each other: an
    # answer on a connection that is used again took 40 ms more.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
        found.listen(_BACKLOG)  # who connects from now on is answered as soon as the service is up
    except OSError as error:
        found.close()
        raise OperationError(
            "port_taken",
            f"the service cannot listen on {host}:{port}: {error.strerror}",
            where=f"{host}:{port}",
            hint="Give another --port (0 takes a free one), or end what listens there.",
        ) from error
    return found


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
