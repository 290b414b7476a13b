"""What fraud leaves in the log: devices, cards, parcels elsewhere, chargebacks; and its truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.domain import kinds
from shoal.events.worlds import encode
from shoal.events.worlds.customers import DAY_S, REGIONS
from shoal.events.worlds.fraud_cases import (
    FRAUDS,
    MARKS_FROM,
    OPENING,
    RING,
    SLOTS,
    TAKEOVER,
    Cases,
    shifted,
)
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.segments import PAYMENTS

if TYPE_CHECKING:
    from shoal.events.worlds.layer_fraud import Fraud
    from shoal.events.worlds.layers import Draft

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Records = npt.NDArray[np.void]

#: A prime below 10^10, and two multipliers: ids of devices and cards tell nothing of their slots.
_PRIME: Final = 9_999_999_967
_DEVICE_FACTOR, _CARD_FACTOR = 648_391_157, 287_465_933
_PAID_BY_CARD: Final = [PAYMENTS.index(name) for name in ("card", "wallet")]
#: Weights of having one, two, three devices of one's own, and one or two cards.
_DEVICES, _CARDS = np.array([0.6, 0.9]), np.array([0.8])


def leave_traces(layer: Fraud, cases: Cases, draft: Draft, rng: np.random.Generator) -> None:
    """Set `visitor`, `card` and the `region` of parcels in the block's events, in place."""
    rows, people = draft.events, draft.people
    n = len(people.number)
    devices = (rng.random(n)[:, None] >= _DEVICES).sum(axis=1) + 1
    cards = (rng.random(n)[:, None] >= _CARDS).sum(axis=1) + 1
    with_family = rng.random(n) < layer.family_card
    who = rows["customer"] - people.number[0]
    visit = rows["session"] >= 0
    session = np.where(visit, rows["session"] - rows["session"][visit].min(initial=1 << 60), 0)
    lots = rng.random((int(session.max(initial=0)) + 1, 5))[session]
    # Seven visits of ten are on the first device.
    second = (lots[:, 1] * devices[who]).astype(np.int64)
    device = rows["customer"] * SLOTS + np.where(lots[:, 0] < 0.6, 0, second)
    card = rows["customer"] * SLOTS + (lots[:, 2] * cards[who]).astype(np.int64)
    head = np.append(cases.head, -1)[who]
    shared = people.number[np.maximum(head, 0)] * SLOTS
    device = np.where((head >= 0) & (lots[:, 3] < layer.family_device), shared, device)
    card = np.where((head >= 0) & with_family[who], shared, card)
    ours = _ours(rows)
    mark = np.where(ours, rows["mark"] - MARKS_FROM, 0)
    if ours.any():
        device = np.where(ours, cases.device[mark], device)
        card = np.where(ours, cases.card[mark], card)
    bought = rows["kind"] == CODE[kinds.PURCHASE]
    rows["visitor"] = np.where(visit, _scrambled(device, _DEVICE_FACTOR), -1)
    by_card = bought & np.isin(rows["payment"], _PAID_BY_CARD)
    rows["card"] = np.where(by_card, _scrambled(card, _CARD_FACTOR), -1)
    moved = np.where(
        _fraud(cases, rows), shifted(layer.elsewhere, draft.setting.world.difficulty), layer.gifts
    )
    elsewhere = bought & (lots[:, 4] < moved)
    away = 1 + (lots[:, 4] / moved * (len(REGIONS) - 1)).astype(np.int64)
    rows["region"] = np.where(elsewhere, (rows["region"] + away) % len(REGIONS), rows["region"])


def _scrambled(slot: Ints, factor: int) -> Ints:
    """Numbers below 10^10, another for each slot."""
    return (slot + 1) * factor % _PRIME


def _ours(rows: Records) -> Bools:
    return np.asarray(rows["mark"] >= MARKS_FROM, bool)


def _fraud(cases: Cases, rows: Records) -> Bools:
    """Which events belong to fraudulent orders or the visits they are in."""
    ours = _ours(rows)
    mark = np.where(ours, rows["mark"] - MARKS_FROM, 0)
    return ours & np.isin(np.append(cases.kind, -1)[np.minimum(mark, len(cases.kind))],
                          range(len(FRAUDS)))  # fmt: skip


def chargebacks(
    layer: Fraud, cases: Cases, draft: Draft, rng: np.random.Generator
) -> tuple[Records, dict[int, int]]:
    """Refunds of orders that were charged back, and the second of it by order number.

    Most frauds are, weeks later, some never; and a few honest orders are disputed.
    """
    rows = draft.events
    bought = rows["kind"] == CODE[kinds.PURCHASE]
    returned = np.unique(rows["order"][rows["kind"] == CODE[kinds.REFUND]])
    lines = rows[bought]
    order, first, line = np.unique(lines["order"], return_index=True, return_inverse=True)
    fraud = _fraud(cases, lines[first])
    clean = ~np.isin(order, returned)
    chance = np.where(fraud, layer.charged_back, layer.disputed * clean)
    back = rng.random(len(order)) < chance
    days = layer.charged_back_days * np.exp(0.5 * rng.standard_normal(len(order)))
    second = lines["time_s"][first] + (days * DAY_S).astype(np.int64)
    refunds = lines[back[line]].copy()
    refunds["time_s"] = second[line][back[line]]
    refunds["kind"], refunds["code"], refunds["shipping"] = CODE[kinds.REFUND], 0, -1
    for name in ("session", "visitor", "card"):
        refunds[name] = -1
    when = dict(zip(order[back].tolist(), second[back].tolist(), strict=True))
    return refunds, when


def truth_tables(cases: Cases, draft: Draft, when: dict[int, int]) -> dict[str, pa.Table]:
    """`fraud` (one row a fraudulent order), `rings` and `lookalikes`, by file name."""
    rows, setting = draft.events, draft.setting
    fraud = rows[_fraud(cases, rows) & (rows["kind"] == CODE[kinds.PURCHASE])]
    fraud = fraud[np.unique(fraud["order"], return_index=True)[1]]
    mark = fraud["mark"] - MARKS_FROM
    back = np.array([when.get(order, -1) for order in fraud["order"].tolist()], np.int64)
    moment = encode.moments(setting.world, np.maximum(back, 0)).to_numpy(zero_copy_only=False)
    names = tuple(f"r{number:08d}" for number in cases.ring_number.tolist()) or ("",)
    orders = pa.table(
        {
            "order_id": encode.numbered(f"{setting.prefix}o", fraud["order"], 9),
            "customer_id": encode.numbered("c", fraud["customer"], 8),
            "ring_id": encode.texts(names, cases.ring[mark]).cast(pa.string()),
            "kind": encode.texts(FRAUDS, cases.kind[mark]).cast(pa.string()),
            "at": encode.moments(setting.world, fraud["time_s"]),
            "chargeback_at": pa.array(moment, pa.timestamp("us", tz="UTC"), mask=back < 0),
        }
    )
    return {
        "fraud": orders,
        "rings": _rings(cases, draft, names),
        "lookalikes": _alike(cases, draft),
    }


def _rings(cases: Cases, draft: Draft, names: tuple[str, ...]) -> pa.Table:
    """One row a ring, customer and device, with the card (null: none yet), as the log shows it."""
    rows, setting = draft.events, draft.setting
    mine = rows[_ours(rows) & (rows["session"] >= 0)]
    mark = mine["mark"] - MARKS_FROM
    ring, kind = cases.ring[mark], cases.kind[mark]
    keys = np.stack([ring, mine["customer"], kind == TAKEOVER, mine["visitor"]])
    known = (ring >= 0) & np.isin(kind, (RING, TAKEOVER, OPENING))
    keys, place = np.unique(keys[:, known], axis=1, return_inverse=True)
    # An account that has not ordered yet has shown no card.
    card = np.full(keys.shape[1], -1, np.int64)
    np.maximum.at(card, place.ravel(), mine["card"][known])
    return pa.table(
        {
            "ring_id": encode.texts(names, keys[0]).cast(pa.string()),
            "customer_id": encode.numbered("c", keys[1], 8),
            "role": encode.texts(("account", "victim"), keys[2]).cast(pa.string()),
            "anonymous_id": encode.numbered(f"{setting.prefix}v", keys[3], 10),
            "card": encode.numbered("k", card, 10),
        }
    )


def _alike(cases: Cases, draft: Draft) -> pa.Table:
    """Honest customers who look like fraudsters: families (by their head), night spenders."""
    number = draft.people.number
    family = np.flatnonzero(cases.head >= 0)
    spender = np.flatnonzero(cases.spender)
    who = np.concatenate((family, spender))
    head = np.concatenate((number[cases.head[family]], np.full(len(spender), -1)))
    kind = np.concatenate((np.zeros(len(family), int), np.ones(len(spender), int)))
    return pa.table(
        {
            "customer_id": encode.numbered("c", number[who], 8),
            "kind": encode.texts(("family", "night_spender"), kind).cast(pa.string()),
            "family_id": encode.numbered("f", head, 8),
        }
    )
