"""Keys for shops that hide, and a scan of everything that such a shop has on the disk."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from shoal.config import Config, PrivacyConfig
from shoal.domain.secret_keys import FIELD_KEYS, PSEUDONYM_KEY


def key(letter: str) -> str:
    """A key that is the same in every test."""
    return base64.urlsafe_b64encode(letter.encode() * 32).rstrip(b"=").decode()


#: What the environment tells.
KEYS = {PSEUDONYM_KEY: key("p"), FIELD_KEYS: f"k1:{key('f')}"}
PERSONAL = ("email", "phone", "first_name", "address")


def hiding(
    *, pseudonymise: bool = True, personal: Sequence[str] = PERSONAL, ids: Sequence[str] = ()
) -> Config:
    """The configuration of a shop with few buckets that hides."""
    config = Config(privacy=PrivacyConfig(pseudonymise, tuple(ids), tuple(personal)))
    return replace(config, shop=replace(config.shop, buckets=3, currency="EUR"))


def found_in(directory: Path, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Which of some texts stand in which files, in whatever form: plain in either case, UTF-16,
    base64 and hex; in cells of Parquet and of SQLite too, which may be compressed or cut."""
    forms = {text: set(_forms(text)) for text in texts}
    told = []
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            held = b"\n".join([path.read_bytes(), *_cells(path)])
            low = held.lower()
            told += [
                (text, str(path.relative_to(directory)))
                for text, wanted in forms.items()
                if text.lower().encode() in low or any(form in held for form in wanted)
            ]
    return told


def _forms(text: str) -> Iterator[bytes]:
    plain = text.encode()
    yield plain
    yield text.encode("utf-16-le")
    yield text.encode("utf-16-be")
    yield plain.hex().encode()
    for shift in range(3):
        # What stands before may shift it, what comes after it shares its last letter.
        first = (0, 2, 3)[shift]
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"\0" * shift + plain).rstrip(b"=")
            yield whole[first : len(whole) - 1]


def _cells(path: Path) -> Iterator[bytes]:
    head = path.read_bytes()[:16]
    if head.startswith(b"PAR1"):
        table = pq.read_table(path, partitioning=None)
        yield repr(table.schema.metadata).encode()
        yield from (repr(column.to_pylist()).encode() for column in table.columns)
    elif head.startswith(b"SQLite format 3"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as opened:
            names = [row[0] for row in opened.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'")]  # fmt: skip
            for name in names:
                yield repr(opened.execute(f'SELECT * FROM "{name}"').fetchall()).encode()
