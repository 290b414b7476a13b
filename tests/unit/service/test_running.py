"""The server that answers: what is told when it begins, and how it comes to its end."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Any

import uvicorn

from shoal.service.answers import answer
from shoal.service.running import Server, told_to_stop


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
