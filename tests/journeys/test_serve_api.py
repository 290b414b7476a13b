"""Questions to a service that runs: what was just collected is there, answers are counted."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.shops import purchase, write_csv

import shoal as package

ORDER = {
    "type": "track", "event": "Order Completed", "messageId": "o1", "userId": "somebody-new",
    "properties": {"order_id": "o1", "currency": "GBP",
                   "products": [{"product_id": "p1", "price": 30, "quantity": 2}]},
}  # fmt: skip


class Client:
    """Asks a service with one key."""

    def __init__(self, address: str, keys: dict[str, str]) -> None:
        self.address, self.keys = address, keys

    def send(self, call: Any) -> int:
        """Collect a call; the place in the inbox up to which it is written."""
        basic = base64.b64encode(f"{self.keys['write']}:".encode()).decode()
        request = urllib.request.Request(
            f"{self.address}/v1/track", json.dumps(call).encode(),
            {"authorization": f"Basic {basic}"}, method="POST",
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.headers["x-shoal-seq"])

    def get(self, path: str, role: str = "admin") -> tuple[int, Any]:
        request = urllib.request.Request(
            f"{self.address}{path}", headers={"authorization": f"Bearer {self.keys.get(role, '')}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text, status = answer.read(), answer.status
                kind = answer.headers["content-type"]
        except urllib.error.HTTPError as error:
            text, status, kind = error.read(), error.code, error.headers["content-type"]
        return status, json.loads(text) if "json" in kind else text.decode()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home: Path = tmp_path_factory.mktemp("serve-api")
    rows = [purchase(number, f"c{number % 20}") for number in range(60)]
    with package.init(home / "shop") as shop:
        shop.ingest(write_csv(home / "orders.csv", rows), preset="shoal")
        shop.segment(method="rfm")
        keys = {
            role: shop.make_key(role, role=role)["key"] for role in ("write", "admin", "viewer")
        }
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal.cli.main", "serve", str(home / "shop"), "--port", "0",
         "--json", "--every", "0.1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield Client(json.loads(process.stdout.readline())["address"], keys)
        process.terminate()
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in said
    finally:
        process.kill()


def test_who_has_just_bought_is_found_where_the_order_puts_them(client: Client) -> None:
    seq = client.send(ORDER)
    status, told = client.get(f"/v1/customers/somebody-new?min_seq={seq}&max_wait=30")
    assert status == 200
    assert told["segment"]["cause"] == "event"
    assert told["features"]["orders"] == 1
    assert told["features"]["spend"] == 60
    members = client.get(f"/v1/segments/{told['segment']['segment_id']}/members?limit=1000")[1]
    assert "somebody-new" in [one["customer_id"] for one in members["members"]]
    events = client.get("/v1/customers/somebody-new/timeline")[1]["events"]
    assert [one["event_id"].partition("#")[0] for one in events][:1]
    assert {one["kind"] for one in events} == {"purchase"}


def test_routes_are_described_guarded_and_counted(client: Client) -> None:
    status, told = client.get("/v1/openapi.json", role="nobody")
    assert (status, told["openapi"]) == (200, "3.1.1")
    assert client.get("/v1/status", role="nobody")[0] == 401
    assert client.get("/v1/status", role="viewer")[1]["code"] == "forbidden"
    assert client.get("/v1/customers/nobody")[1]["code"] == "unknown_customer"
    status, text = client.get("/metrics")
    assert status == 200
    assert 'shoal_http_requests_total{route="/v1/status",method="GET",status="401"} 1' in text
    assert "shoal_move_lag_seconds" in text
