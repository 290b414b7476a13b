"""Lines of a text that comes in pieces: however it is cut they are the same, and bounded."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.events.collected import BodyError
from shoal.events.lines import KEPT, Expanding, Line, Lines


def read(text: bytes, cuts: list[int], most: int = 16) -> list[Line]:
    lines = Lines(most)
    found = list[Line]()
    at = 0
    for cut in [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]:
        found += lines.feed(text[at:cut])
        at = cut
    rest = lines.rest()
    return found if rest is None else [*found, rest]


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 500), max_size=8))
def test_pieces_of_any_size_give_the_same_lines(parts: list[bytes], cuts: list[int]) -> None:
    text = b"\n".join(parts)
    whole = read(text, [])
    assert read(text, cuts) == whole
    assert [line.number for line in whole] == list(range(1, len(whole) + 1))
    assert all(a.end == b.start for a, b in itertools.pairwise(whole))
    for line in whole:
        raw = text[line.start : line.end].removesuffix(b"\n")
        assert line.too_long == (len(raw) > 16)
        assert raw.startswith(line.content)


def test_a_line_without_end_costs_what_is_kept_of_it() -> None:
    lines = Lines(1 << 20)
    tracemalloc.start()
    for _ in range(100):
        assert not list(lines.feed(b"x" * (1 << 20)))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    [line] = lines.feed(b"\n")
    assert (line.too_long, len(line.content), line.end) == (True, KEPT, (100 << 20) + 1)


def expanded(raw: bytes, size: int, most: int = 1 << 20) -> bytes:
    expanding = Expanding(most)
    parts = [
        part for at in range(0, len(raw), size) for part in expanding.feed(raw[at : at + size])
    ]
    return b"".join(parts) + expanding.finish()


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("length", [0, 1, 2, 5, (1 << 18) - 1, 1 << 18, (1 << 18) + 1])
def test_gzip_is_told_by_its_first_bytes(size: int, length: int) -> None:
    plain = b"a" * length
    if length < 1000 or size > 1:
        assert expanded(plain, size) == plain
    assert expanded(gzip.compress(plain), size) == plain
    # Files that were put one behind the other are one text.
    two = gzip.compress(plain) + gzip.compress(b"b\n")
    assert expanded(two, size) == plain + b"b\n"
    assert expanded(two + b"\0" * 9, size) == plain + b"b\n"


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b"\x1f\x8bxxxxxxxxxxxx", "bad_encoding"), (gzip.compress(b"abc")[:-3], "bad_encoding"),
     (gzip.compress(b"abc") + b"odd", "bad_encoding"), (b"x" * (2 << 20), "too_large"),
     (gzip.compress(b"\0" * (50 << 20)), "too_large")],
    ids=["no gzip", "cut off", "more behind it", "too large", "bomb"],
)  # fmt: skip
def test_what_cannot_be_expanded_says_why(raw: bytes, code: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BodyError) as caught:
            expanded(raw, 1 << 16)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.code == code
