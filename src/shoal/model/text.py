"""Encoders of texts: rows of n-gram codes or of sentence vectors to vectors of a model's width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

#: Standard deviation of the entries of a text's vector at the start, as of other tables.
_SCALE: Final = 0.3


class NGramEncoder(nn.Module):
    """The sum of the vectors of a text's words and n-grams over the root of their number.

    So texts of few and of many n-grams have vectors of like length. Trained with the model.
    """

    def __init__(self, buckets: int, width: int) -> None:
        super().__init__()
        self.grams = nn.Embedding(buckets + 1, width, padding_idx=0)
        nn.init.normal_(self.grams.weight, std=_SCALE)
        with torch.no_grad():
            self.grams.weight[0] = 0

    def forward(self, codes: Tensor) -> Tensor:
        """(U, width) of (U, w) codes; zeros for a text without n-grams."""
        codes = codes.long()
        count = (codes > 0).sum(dim=1, keepdim=True).clamp(min=1)
        return self.grams(codes).sum(dim=1) / count.sqrt()


class VectorEncoder(nn.Module):
    """A projection of unit vectors that a sentence encoder gave."""

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        #: unit vectors have entries of about 1 / sqrt(given)
        self.scale = given**0.5
        self.project = nn.Linear(given, width, bias=False)
        nn.init.normal_(self.project.weight, std=_SCALE / self.scale)

    def forward(self, vectors: Tensor) -> Tensor:
        """(U, width) of (U, given) vectors; zeros for zeros."""
        found: Tensor = self.project(vectors.float() * self.scale)
        return found


def make_text_encoder(document: Mapping[str, object], width: int) -> nn.Module:
    """The encoder of what `TextFeatures.to_document` describes: codes of n-grams, or vectors."""
    if document["name"] == "ngrams":
        return NGramEncoder(int(str(document["buckets"])), width)
    return VectorEncoder(int(str(document["width"])), width)
