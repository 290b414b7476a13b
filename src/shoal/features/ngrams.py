"""Texts as codes of character n-grams: needs no download, knows any language.

Words of scripts that separate words by spaces give the n-grams of `<word>`; text without spaces
(Chinese, Japanese) gives its characters and pairs of them. Each n-gram is hashed to a code, as in
fastText (Bojanowski et al., 2017, "Enriching word vectors with subword information").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import xxhash

from shoal.domain.sequence import Array

NAME: Final = "ngrams"
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class NGrams:
    """Texts as at most `width` codes of n-grams, 1 to `buckets`; 0 is padding.

    Args:
        buckets: codes that n-grams share by hash.
        width: n-grams kept of a text, in order of the text.
        sizes: lengths of n-grams of a word, beside the word itself.
    """

    buckets: int = 20_000
    width: int = 24
    sizes: tuple[int, ...] = (3,)

    name = NAME
    dtype = "int32"

    def encode(self, texts: Sequence[str]) -> Array:
        """(n, width) int32 codes."""
        found = np.zeros((len(texts), self.width), np.int32)
        for row, text in enumerate(texts):
            codes = list(dict.fromkeys(self._codes(text)))[: self.width]
            found[row, : len(codes)] = codes
        return found

    def _codes(self, text: str) -> list[int]:
        grams: list[str] = []
        for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
            marked = f"<{word}>"
            grams.append(marked)
            for size in self.sizes:
                grams += [marked[i : i + size] for i in range(len(marked) - size + 1)]
        return [1 + xxhash.xxh3_64_intdigest(one.encode()) % self.buckets for one in grams]

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": NAME,
            "buckets": self.buckets,
            "width": self.width,
            "sizes": list(self.sizes),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` wrote."""
        return cls(document["buckets"], document["width"], tuple(document["sizes"]))
