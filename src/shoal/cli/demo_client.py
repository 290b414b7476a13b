"""Sends calls through a shop's tracking client: runs alone, where that client is installed.

    python demo_client.py ADDRESS KEY < calls.jsonl

A line is a call of Segment's spec. Its answer is a line of JSON: calls that were handed over, and
what the client gave up. The client batches, compresses and sends again by itself; nothing here
helps it.
"""

import json
import sys
from datetime import datetime


def main() -> int:
    # Of this program's own environment; the package is importable without it.
    from segment.analytics import Client  # type: ignore[import-untyped, import-not-found, unused-ignore]

    address, key = sys.argv[1:3]
    lost = []
    client = Client(
        key,
        host=address,
        gzip=True,
        max_retries=60,
        upload_size=100,
        upload_interval=0.2,
        max_queue_size=1_000_000,
        on_error=lambda error, batch: lost.append(str(error)),
    )
    sent = 0
    for line in sys.stdin:
        call = json.loads(line)
        told = {
            "user_id": call["userId"],
            "timestamp": datetime.fromisoformat(call["timestamp"]),
            "message_id": call["messageId"],
            "context": call["context"],
        }
        if call["type"] == "identify":
            client.identify(traits=call["traits"], **told)
        else:
            client.track(event=call["event"], properties=call["properties"], **told)
        sent += 1
    client.shutdown()
    print(json.dumps({"sent": sent, "lost": lost}))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
