"""Shares of a step between processes: JSON and tables, over a socket that both ends have open.

A message is the number of its parts, their lengths (8 bytes each, as the number is, little-endian),
and the parts: a JSON object, then Arrow streams. Nothing in it is ever run.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from shoal.domain.time import from_us, to_us
from shoal.segments.base import CUSTOMER
from shoal.workflows.live_fold import Folded, Share

_NUMBER: Final = struct.Struct("<q")
#: A message has a part for each reference and a handful more.
_MOST_PARTS: Final = 1_000


@dataclass(frozen=True)
class Message:
    """One message: what it says, and tables in an order that both ends know."""

    told: Mapping[str, Any]
    tables: Sequence[pa.Table] = ()

    def numbered(self, number: int) -> Message:
        """The same as a question, or the answer to the question of that number."""
        return Message({**self.told, "number": number}, self.tables)

    def send(self, to: socket.socket) -> None:
        """Raises OSError: nobody is there any more."""
        parts = [json.dumps(self.told).encode(), *map(_stream, self.tables)]
        head = b"".join(_NUMBER.pack(one) for one in (len(parts), *map(len, parts)))
        to.sendall(head)
        for part in parts:
            to.sendall(memoryview(part))

    @classmethod
    def receive(cls, source: socket.socket) -> Message:
        """The next message.

        Raises:
            OSError: nobody is there any more, or said something else.
        """
        (count,) = _NUMBER.unpack(_exactly(source, _NUMBER.size))
        if not 0 < count <= _MOST_PARTS:
            raise OSError(f"a message cannot have {count} parts")
        head = _exactly(source, count * _NUMBER.size)
        told, *streams = (_exactly(source, size) for (size,) in _NUMBER.iter_unpack(head))
        return cls(json.loads(told), [pa.ipc.open_stream(one).read_all() for one in streams])


def of_share(share: Share, fingerprint: str) -> Message:
    """What is asked of a process whose fold has to have that fingerprint."""
    told = {"fold": fingerprint, "moment": to_us(share.moment), "references": share.references}
    return Message(told, (share.rows, _named(share.anew), _named(share.silent)))


def share_of(message: Message) -> Share:
    """What `of_share` was given."""
    rows, anew, silent = message.tables
    told = message.told
    return Share(
        rows, _names(anew), _names(silent), from_us(told["moment"]), tuple(told["references"])
    )


def of_folded(folded: Folded) -> Message:
    """What became of a share."""
    tables = (_named(folded.customers), folded.states, folded.counts, *folded.features.values())
    return Message({"references": list(folded.features)}, tables)


def folded_of(message: Message) -> Folded:
    """What `of_folded` was given."""
    customers, states, counts, *features = message.tables
    references = message.told["references"]
    return Folded(_names(customers), states, counts, dict(zip(references, features, strict=True)))


def _named(names: pa.Array) -> pa.Table:
    return pa.table({CUSTOMER: names})


def _names(table: pa.Table) -> pa.Array:
    return table[CUSTOMER].combine_chunks()


def _stream(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _exactly(source: socket.socket, size: int) -> bytearray:
    found = bytearray(size)
    view, there = memoryview(found), 0
    while there < size:
        more = source.recv_into(view[there:])
        if not more:
            raise OSError("nobody is at the other end")
        there += more
    return found
