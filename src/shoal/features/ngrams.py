"""Texts as codes of words and character n-grams: needs no download, knows any language.

A text is folded (NFKC, case) and cut into words; each word and its character n-grams are hashed to
codes, so that "lamp" and "lamps" share most of theirs (Bojanowski et al., 2017, "Enriching word
vectors with subword information"). Chinese and Japanese are written without spaces: there, pairs of
characters stand for words and single characters for their parts. Numbers stand alone, so that
"500ml" and "500 ml" share both parts, and are never cut: 500 is not near 5000.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, zip_longest
from typing import Any, Final, Self

import numpy as np
import xxhash

from shoal.domain.sequence import Array

NAME: Final = "ngrams"
#: Raised whenever the codes of the same text change.
VERSION: Final = 2

#: Characters of a text that are read; what is told so late tells little.
LONGEST: Final = 512
#: Words whose codes are remembered; shops use the same words again and again.
_REMEMBERED: Final = 1 << 16

#: Scripts without spaces between words: Kana, Han, and the marks that repeat or lengthen.
_UNSPACED: Final = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # fmt: skip # noqa: E501
#: Marks that are part of a word though no letters: accents that stand alone, and vowel signs of
#: Hebrew, Arabic, the scripts of India and of South East Asia.
_MARKS: Final = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0970-\u0dff\u0e31-\u0e4e\u0eb1-\u0ece\u102b-\u109d\u17b4-\u17d3"  # fmt: skip # noqa: E501
_NUMBER: Final = r"\d+(?:[.,]\d+)*"
_PIECES: Final = re.compile(
    rf"(?P<unspaced>[{_UNSPACED}]+)|(?P<word>(?:{_NUMBER}|[^\W_{_UNSPACED}]|[{_MARKS}])+)"
)
_PARTS: Final = re.compile(rf"{_NUMBER}|[^\d]+")


@dataclass(frozen=True)
class NGrams:
    """Texts as at most `width` codes, 1 to `buckets`; 0 is padding.

    Where a text has more, those that tell most are kept: words and pairs of unspaced characters in
    order of the text, then the n-grams of every word in turn, then single unspaced characters.

    Args:
        buckets: codes that words and n-grams share by hash.
        width: codes kept of a text.
        sizes: lengths of n-grams of a word, beside the word itself.

    >>> NGrams(width=4).encode(["", "Lamp"]).shape
    (2, 4)
    """

    buckets: int = 20_000
    width: int = 24
    sizes: tuple[int, ...] = (3,)

    name = NAME
    dtype = "int32"

    def encode(self, texts: Sequence[str], *, titles: bool = False) -> Array:
        """(n, width) int32 codes; a text without letters and digits has none.

        Args:
            titles: nothing is kept of texts here, whatever they are.
        """
        del titles
        found = np.zeros((len(texts), self.width), np.int32)
        for row, text in enumerate(texts):
            codes = self._codes(text)
            found[row, : len(codes)] = codes
        return found

    def _codes(self, text: str) -> list[int]:
        whole: list[int] = []
        grams: list[tuple[int, ...]] = []
        single: list[int] = []
        for piece in _PIECES.finditer(unicodedata.normalize("NFKC", text[:LONGEST]).casefold()):
            if piece.lastgroup == "unspaced":
                pairs, characters = _unspaced_codes(piece[0], self.buckets)
                whole += pairs
                single += characters
                continue
            for word in _words(piece[0]):
                own, parts = _word_codes(word, self.sizes, self.buckets)
                whole.append(own)
                grams.append(parts)
        in_turn = (one for turn in zip_longest(*grams) for one in turn if one is not None)
        return list(islice(dict.fromkeys(chain(whole, in_turn, single)), self.width))

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": NAME,
            "version": VERSION,
            "buckets": self.buckets,
            "width": self.width,
            "sizes": list(self.sizes),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` wrote.

        Raises:
            ValueError: another version wrote it, which gave texts other codes.
        """
        if document.get("version") != VERSION:
            raise ValueError(f"n-grams of version {document.get('version')}, here is {VERSION}")
        return cls(document["buckets"], document["width"], tuple(document["sizes"]))


def _words(piece: str) -> list[str]:
    """A piece, and its parts where it joins numbers and letters.

    >>> _words("lamp"), _words("500ml")
    (['lamp'], ['500ml', '500', 'ml'])
    """
    parts = _PARTS.findall(piece)
    return [piece, *parts] if len(parts) > 1 else [piece]


@lru_cache(maxsize=_REMEMBERED)
def _word_codes(word: str, sizes: tuple[int, ...], buckets: int) -> tuple[int, tuple[int, ...]]:
    """The code of a word, and those of its n-grams; numbers have no n-grams."""
    marked = f"<{word}>"
    grams = []
    if not any(one.isdecimal() for one in word):
        for size in sizes:
            grams += [marked[i : i + size] for i in range(len(marked) - size + 1)]
    return _code(marked, buckets), tuple(_code(one, buckets) for one in grams if one != marked)


@lru_cache(maxsize=_REMEMBERED)
def _unspaced_codes(run: str, buckets: int) -> tuple[list[int], list[int]]:
    """The codes of pairs of characters, and of characters; a lone one counts as a word."""
    characters = [_code(one, buckets) for one in run]
    if len(run) == 1:
        return characters, []
    return [_code(run[i : i + 2], buckets) for i in range(len(run) - 1)], characters


def _code(gram: str, buckets: int) -> int:
    return 1 + xxhash.xxh3_64_intdigest(gram.encode("utf-8", "surrogatepass")) % buckets
