"""Segments adjust while the shop is served: collecting goes on, and everything is moved again."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
from tests.journeys.test_adjust import drifting_events
from tests.journeys.test_serve import serving

import shoal as package
from shoal.config import AdjustConfig, Config


def test_a_look_is_made_beside_the_service(tmp_path: Path) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=199)
    pq.write_table(drifting_events(start=start), tmp_path / "events.parquet")
    dials = AdjustConfig(relabel_price=0.0, relabel_budget=1.0, challenger_days=3650.0)
    with package.init(tmp_path / "shop", Config(adjust=dials)) as made:
        made.ingest([tmp_path / "events.parquet"], preset="shoal")
        made.segment(k=3, until=start + timedelta(days=140), aim="style")
        key = made.make_key("web")["key"]

    with serving(tmp_path / "shop", key, "--adjust") as service:
        sent = 0
        deadline = time.monotonic() + 120
        with package.open(tmp_path / "shop") as reader:
            while not reader.adjustments()["looks"]:
                assert time.monotonic() < deadline, service.process.poll()
                call = {"type": "track", "event": "Product Viewed", "userId": "c001",
                        "messageId": f"m{sent}", "properties": {"product_id": "i01"}}  # fmt: skip
                assert service.send({"batch": [call]})[0] == 200
                sent += 1
                time.sleep(0.2)
        assert service.send({"batch": [{**call, "messageId": "last"}]})[0] == 200
        assert service.stop(signal.SIGTERM) == 0

    with package.open(tmp_path / "shop") as shop:
        (look,) = shop.adjustments()["looks"]
        assert datetime.fromisoformat(look["as_of"]) >= today
        assert shop.current() == look["published"]
        assert shop.status()["events"] >= sent + 1
