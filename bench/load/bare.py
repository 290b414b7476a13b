"""The peer: a server that does nothing but sync. `python -m bench.load.bare FILE`

The same server and HTTP parser as Shoal's. It reads a body, appends it to a file, answers 200 once
the file is synced, and lets all requests that came meanwhile share the next sync. No key, no JSON,
no deduplication, no events: what is left is what HTTP and a durable log cost in this language.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import socket
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import uvicorn

_BODY = b'{"success":true}'
_HEAD = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]
Waiting = queue.SimpleQueue[tuple[bytes, "Future[None]"]]


def bare(waiting: Waiting) -> Any:
    """The application."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        done: Future[None] = Future()
        waiting.put((body, done))
        await asyncio.wrap_future(done)
        await send({"type": "http.response.start", "status": 200, "headers": _HEAD})
        await send({"type": "http.response.body", "body": _BODY})

    return app


def synced(file: Path, waiting: Waiting) -> None:
    """Append and sync what waits, for ever."""
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while True:
        batch = [waiting.get()]
        while not waiting.empty():
            batch.append(waiting.get_nowait())
        os.write(log, b"\n".join(body for body, _ in batch) + b"\n")
        os.fdatasync(log)
        for _, done in batch:
            done.set_result(None)


def main(file: Path) -> None:
    """Serve on a free port until SIGTERM; the address is the first line of the output."""
    # With its protocol named, answers are not held back until the client has said that it got more.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    waiting: Waiting = queue.SimpleQueue()
    threading.Thread(target=synced, args=(file, waiting), daemon=True).start()
    print(json.dumps({"address": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    config = uvicorn.Config(
        bare(waiting), log_config=None, access_log=False, server_header=False, lifespan="off"
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
