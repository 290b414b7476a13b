"""Encoders of texts inside the model."""

from __future__ import annotations

import numpy as np
import torch

from shoal.features.ngrams import NGrams
from shoal.model.text import NGramEncoder, VectorEncoder, make_text_encoder


def unit_vectors(count: int, width: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, width), dim=1)


def test_the_document_of_text_features_chooses_the_encoder() -> None:
    features = NGrams(buckets=50, width=6)
    made = make_text_encoder(features.to_document(), 8)
    assert isinstance(made, NGramEncoder)
    assert made(torch.from_numpy(features.encode(["", "red lamp", "灯"]))).shape == (3, 8)
    made = make_text_encoder({"name": "sentences", "encoder": "x", "digest": "y", "width": 5}, 8)
    assert isinstance(made, VectorEncoder)
    assert made(torch.zeros(2, 5)).shape == (2, 8)


def test_no_text_is_zeros() -> None:
    torch.manual_seed(1)
    assert not NGramEncoder(50, 8)(torch.zeros(1, 6, dtype=torch.int32)).any()
    assert not VectorEncoder(5, 8)(torch.zeros(1, 5)).any()


def test_texts_of_either_kind_begin_at_one_scale_short_or_long() -> None:
    torch.manual_seed(2)
    grams = NGramEncoder(5_000, 32)
    many = torch.randint(1, 5_000, (200, 24))
    few = many * (torch.arange(24) < 3)
    vectors = VectorEncoder(384, 32)(unit_vectors(200, 384))
    spread = [
        float(one.std()) for one in (grams(many).detach(), grams(few).detach(), vectors.detach())
    ]
    assert np.ptp(spread) < 0.1 * np.mean(spread)


def test_order_and_padding_of_codes_change_nothing() -> None:
    torch.manual_seed(3)
    encoder = NGramEncoder(50, 8)
    short = torch.tensor([[4, 9, 2]])
    padded = torch.tensor([[0, 2, 4, 0, 9, 0]])
    assert torch.allclose(encoder(short), encoder(padded), atol=1e-6)
