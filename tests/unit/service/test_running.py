"""The server that answers: what is told when it begins, and how it comes to its end."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from typing import Any

import uvicorn

from shoal.service.answers import answer
from shoal.service.running import Server, rare_collections, told_to_stop


def config() -> uvicorn.Config:
    return uvicorn.Config(answer({}), log_config=None, lifespan="off")


def test_a_signal_that_comes_before_the_server_runs_ends_it_as_well() -> None:
    order: list[Any] = []
    server = Server(
        config(), lambda: order.append("stopping"), begun=lambda: order.append("begun"),
        before=lambda: order.append(threading.current_thread() is threading.main_thread()),
    )  # fmt: skip
    found = signal.getsignal(signal.SIGTERM)
    with socket.socket() as listener, told_to_stop(server):
        listener.bind(("127.0.0.1", 0))
        os.kill(os.getpid(), signal.SIGTERM)
        server.run(sockets=[listener])
    assert order == ["begun", "stopping", False]
    assert signal.getsignal(signal.SIGTERM) is found


def test_garbage_is_looked_for_seldom_in_a_process_of_its_own() -> None:
    before, seen = gc.get_threshold(), list[tuple[int, int, int]]()
    with rare_collections():
        assert gc.get_threshold() == (20_000, 20, 20)
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0

    def beside() -> None:
        with rare_collections():
            seen.append(gc.get_threshold())

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    assert seen == [before]  # whoever has the process may want it otherwise
