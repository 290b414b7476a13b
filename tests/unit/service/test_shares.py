"""Shares of a step reach another process as they are, and come back as they became."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from shoal.features.admit import ADMITTED_SCHEMA
from shoal.features.state import STATE_SCHEMA
from shoal.features.tastes import COUNTS_SCHEMA
from shoal.service.shares import Message, folded_of, of_folded, of_share, share_of
from shoal.workflows.live_fold import Folded, Share, joined

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=UTC)
Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = socket.socketpair()
    with one, other:
        other.settimeout(20.0)
        yield one, other


def passed(ends: Ends, message: Message) -> Message:
    """A message as the other end has it."""
    sender = threading.Thread(target=message.send, args=(ends[0],))
    sender.start()
    found = Message.receive(ends[1])
    sender.join()
    return found


def rows(*customers: str | None) -> pa.Table:
    nulls = {field.name: pa.nulls(len(customers), field.type) for field in ADMITTED_SCHEMA}
    return pa.table({**nulls, "customer_id": pa.array(customers, pa.string())}, ADMITTED_SCHEMA)


def share(told: pa.Table, anew: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> Share:
    names = (pa.array(one, pa.string()) for one in (anew, silent))
    return Share(told, *names, MOMENT, ("ref-1", "ref-2"))


def folded(*customers: str) -> Folded:
    names = pa.array(customers, pa.string())
    states = pa.table(
        [names, pa.repeat(pa.scalar(3, pa.int32()), len(names)),
         pa.array([one.encode() for one in customers], pa.binary())], schema=STATE_SCHEMA,
    )  # fmt: skip
    counts = pa.table(
        [names, pa.repeat("category", len(names)), names,
         pa.array(range(len(names)), COUNTS_SCHEMA.field("n").type)], schema=COUNTS_SCHEMA,
    )  # fmt: skip
    features = pa.table({"customer_id": names, "x": [float(len(one)) for one in customers]})
    features = features.replace_schema_metadata({"as_of": "then"})
    return Folded(names, states, counts, {"ref-1": features})


def test_a_share_and_what_became_of_it_pass_unchanged(ends: Ends) -> None:
    asked = share(rows(*(f"c{n % 5_000}" for n in range(40_000))), ("c1",), ("s1", "ü"))
    message = passed(ends, of_share(asked, "fold-1"))
    assert message.told["fold"] == "fold-1"
    found = share_of(message)
    assert found.rows.equals(asked.rows, check_metadata=True)
    assert (found.anew.to_pylist(), found.silent.to_pylist()) == (["c1"], ["s1", "ü"])
    assert (found.moment, found.references) == (MOMENT, ("ref-1", "ref-2"))
    done = folded("a", "bb")
    back = folded_of(passed(ends, of_folded(done)))
    assert back.customers.equals(done.customers)
    assert back.states.equals(done.states) and back.counts.equals(done.counts)
    assert back.features["ref-1"].equals(done.features["ref-1"], check_metadata=True)


@pytest.mark.parametrize("cut", [0, 5, 20, 200])
def test_a_message_that_breaks_off_is_none(ends: Ends, cut: int) -> None:
    whole = bytearray()

    class Kept:
        def sendall(self, part: bytes) -> None:
            whole.extend(part)

    of_share(share(rows("a", "b")), "f").send(Kept())  # type: ignore[arg-type]
    assert len(whole) > 200
    ends[0].sendall(whole[:cut])
    ends[0].close()
    with pytest.raises(OSError, match="nobody"):
        Message.receive(ends[1])


@pytest.mark.parametrize("count", [0, -1, 1 << 40])
def test_what_cannot_be_a_message_is_refused_before_anything_is_kept_for_it(
    ends: Ends, count: int
) -> None:
    ends[0].sendall(count.to_bytes(8, "little", signed=True) * 3)
    with pytest.raises(OSError, match="parts"):
        Message.receive(ends[1])


def test_every_customer_is_in_one_share_and_joined_they_are_as_before() -> None:
    names = [f"c{n}" for n in range(300)]
    whole = share(rows(*names, *names, None), ("c7",), tuple(f"s{n}" for n in range(30)))
    parts = whole.divided(4)
    assert whole.customers == 330
    assert sum(one.customers for one in parts) == 330
    found = [one.rows["customer_id"].unique().to_pylist() for one in parts]
    assert sorted(name for one in found for name in one) == sorted(names)
    assert min(map(len, found)) > 40
    assert [("c7" in one, one_of.anew.to_pylist()) for one, one_of in zip(found, parts, strict=True)
            ].count((True, ["c7"])) == 1  # fmt: skip
    assert [one.customers for one in whole.divided(1)] == [330]
    done = joined([folded("b", "d"), Folded.nobody(), folded("a", "c")])
    assert done.customers.to_pylist() == ["a", "b", "c", "d"]
    assert done.states["customer_id"].to_pylist() == ["a", "b", "c", "d"]
    assert done.features["ref-1"]["customer_id"].to_pylist() == ["a", "b", "c", "d"]
    assert done.features["ref-1"].schema.metadata == {b"as_of": b"then"}
    assert done.counts.num_rows == 4
    assert len(joined([]).customers) == 0
