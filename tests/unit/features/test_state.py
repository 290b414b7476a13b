from __future__ import annotations

import struct
from collections.abc import Callable

import pyarrow as pa
import pytest

from shoal.domain.errors import OperationError
from shoal.features.queries import PARTIAL_SCHEMAS
from shoal.features.state import STATE_SCHEMA, STATE_VERSION, body_of, decode, encode


def partials(**rows: list[dict[str, object]]) -> dict[str, pa.Table]:
    return {
        name: pa.Table.from_pylist(
            [{**dict.fromkeys(schema.names), **row} for row in rows.get(name, [])], schema=schema
        )
        for name, schema in PARTIAL_SCHEMAS.items()
    }


SOME = partials(
    customer=[
        {"customer_id": "a", "events": 3, "first_us": 5},
        {"customer_id": "b", "events": -1, "first_us": None},
        {"customer_id": "çé", "events": 0, "first_us": 2**62},
    ],
    brand=[
        {"customer_id": "b", "brand": "béta", "n": 1},
        {"customer_id": "çé", "brand": "", "n": 2},
    ],
    touch=[{"customer_id": "a", "channel": None, "device": "x", "n": 1}],
    tail=[
        {"customer_id": "b", "event_id": "e", "rating": -0.0},
        {"customer_id": "b", "rating": 4.5},
    ],
)


def test_partials_come_back_as_they_were() -> None:
    states = encode(SOME)
    assert states.schema == STATE_SCHEMA
    assert encode(SOME).equals(states)  # equal partials give equal bytes
    assert {k: t.to_pylist() for k, t in decode(states).items()} == {
        k: t.to_pylist() for k, t in SOME.items()
    }


def test_states_of_some_customers_in_any_order_come_back_sorted() -> None:
    some = encode(SOME).take([2, 0])
    back = decode(some)
    assert back["customer"].column("customer_id").to_pylist() == ["a", "çé"]
    assert back["brand"].to_pylist() == SOME["brand"].slice(1).to_pylist()


def test_nobody_is_encoded_and_decoded() -> None:
    states = encode(partials())
    assert states.num_rows == 0
    assert all(table.num_rows == 0 for table in decode(states).values())


@pytest.mark.parametrize(
    ("version", "code"), [(STATE_VERSION + 1, "shop_newer"), (STATE_VERSION - 2, "shop_older")]
)
def test_states_of_another_version_are_refused(version: int, code: str) -> None:
    states = encode(SOME).set_column(1, "version", pa.array([version] * 3, pa.int32()))
    with pytest.raises(OperationError, match=f"customer states have version {version}") as caught:
        decode(states)
    assert caught.value.code == code


def test_long_histories_are_stored_in_a_third_of_their_bytes() -> None:
    rows: list[dict[str, object]] = [
        {"customer_id": "a", "item_id": f"item-{n}", "n": n % 5, "first_us": 10**15 + n}
        for n in range(2_000)
    ]
    some = partials(customer=[{"customer_id": "a", "events": 2_000}], item=rows)
    (body,) = encode(some).column("body").to_pylist()
    (size,) = struct.unpack_from("<i", body)
    assert len(body) * 3 < size
    assert decode(encode(some))["item"].equals(some["item"])


def test_states_that_were_stored_as_they_are_say_the_same() -> None:
    states = encode(SOME)
    rows = states.to_pylist()
    for row in rows[:2]:  # the third was written again since
        row["body"], row["version"] = body_of(row["version"], row["body"]), STATE_VERSION - 1
    before = pa.Table.from_pylist(rows, schema=STATE_SCHEMA)
    assert not before.equals(states)
    assert {name: table.to_pylist() for name, table in decode(before).items()} == {
        name: table.to_pylist() for name, table in SOME.items()
    }


def _stored(change: Callable[[bytes], bytes]) -> pa.Table:
    """States of which the second body is another one."""
    states = encode(SOME)
    bodies = states.column("body").to_pylist()
    bodies[1] = change(bodies[1])
    return states.set_column(2, "body", pa.array(bodies, pa.binary()))


def _as_long_as(size: int) -> Callable[[bytes], bytes]:
    return lambda body: struct.pack("<i", size) + body[4:]


@pytest.mark.parametrize(
    "change",
    [
        *(lambda body, cut=cut: body[:cut] for cut in (0, 3, 4, 8, 40, -8)),
        *map(_as_long_as, (-1, 0, 8, 2**31 - 1)),
        lambda body: body[:20] + bytes(len(body) - 20),
    ],
    ids=["nothing", "no length", "no body", "cut", "cut later", "cut at its end",
         "length -1", "length 0", "length too small", "length too large", "zeros"],
)  # fmt: skip
def test_a_damaged_body_is_told(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(OperationError, match="not as long as it says") as caught:
        decode(_stored(change))
    assert caught.value.code == "shop_damaged"


@pytest.mark.parametrize("cut", [8, 40, -8])
def test_a_body_that_was_stored_short_is_told(cut: int) -> None:
    def change(body: bytes) -> bytes:
        codec, (size,) = pa.Codec("lz4_raw"), struct.unpack_from("<i", body)
        short = codec.decompress(body[4:], size, asbytes=True)[:cut]
        return struct.pack("<i", len(short)) + codec.compress(short, asbytes=True)

    with pytest.raises(OperationError, match="not as long as it says"):
        decode(_stored(change))


@pytest.mark.parametrize("order", [[1, 0], [0]], ids=["unsorted", "customers missing"])
def test_partials_that_would_mix_customers_are_refused(order: list[int]) -> None:
    kept = {name: table for name, table in SOME.items() if name != "tail"}
    customers = SOME["customer"].take([0, 1])
    two = {**SOME, **kept, "customer": customers.take(order)}
    with pytest.raises(ValueError, match="not sorted by customer, or of others"):
        encode(two)
