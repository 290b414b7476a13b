"""What a look reads of the log, on a shop whose visitors sign in on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from tests.shops import Shop, write_csv

from shoal.workflows.adjuster_notice import daily
from shoal.workflows.segment_learn import Learner

COLUMNS = ("event_id", "customer_id", "anonymous_id", "kind", "event_time", "item_id")
LATER = datetime(2025, 3, 9, tzinfo=UTC)


def row(number: int, customer: str, visitor: str, kind: str) -> dict[str, object]:
    return {
        "event_id": f"e{number}", "customer_id": customer, "anonymous_id": visitor, "kind": kind,
        "event_time": f"2025-03-03T10:{number:02d}:00Z", "item_id": "i1" if kind == "view" else "",
    }  # fmt: skip


def test_days_are_counted_in_the_log_as_it_is_stored(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    rows = [
        row(1, "", "v1", "view"), row(2, "", "v1", "view"), row(3, "c1", "v1", "login"),
        row(4, "c1", "", "view"), row(5, "", "v2", "view"), row(6, "c2", "", "view"),
    ]  # fmt: skip
    shop.ingest(write_csv(tmp_path / "log.csv", rows, COLUMNS))
    # What happened before the sign-in belongs to the customer by now, in a table of its own ...
    assert shop.admission.at(LATER) is not shop.warehouse
    learner = cast(Learner, SimpleNamespace(admission=shop.admission, table_version=None))
    views = [one for one in daily(learner, LATER).to_pylist() if one["kind"] == "view"]
    # ... and a fault that loses sign-ins is seen in the log alone.
    assert [(one["events"], one["with_customer_id"], one["visitors"]) for one in views] == [
        (5, 2, 4)
    ]
    shop.close()
