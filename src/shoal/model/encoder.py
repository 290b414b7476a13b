"""From events to encodings: what was done, with which item, at what price, when, after how long.

An item is told by its content (text, category path, brand, price) and by its id; in training the id
is dropped now and then, so that content alone works for items that came later.
Dimensions: B rows, L events, d = d_model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 (as torch names it)
from torch import Tensor, nn

from shoal.domain.sequence import NOW
from shoal.model.batch import EventBatch
from shoal.model.config import ModelConfig
from shoal.model.text import make_text_encoder

#: Time constants in seconds of how a gap is told: a minute to half a year.
GAP_SCALES_S: Final = (60.0, 3_600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0, 180 * 86_400.0)
_LOG_GAP: Final = 16.0
#: Codes of an item's content, and numbers that are told as they are.
ITEM_PARTS: Final = ("category1", "category2", "category3", "brand", "price_bucket")
AMOUNTS: Final = ("quantity", "discount", "rating", "price")
_ANGLES: Final = (
    ("hour", 2 * math.pi / 24), ("hour", 4 * math.pi / 24), ("weekday", 2 * math.pi / 7),
)  # fmt: skip
_TABLE_SCALE: Final = 0.3


class ItemEncoder(nn.Module):
    """Vectors of items from codes and content.

    Tables are narrow and joined by one projection, so that a large vocabulary costs little memory
    and an event few operations.
    """

    def __init__(self, config: ModelConfig, sizes: Mapping[str, int], text: Mapping[str, object]):
        super().__init__()
        width = config.table_dim
        self.id_dropout = config.id_dropout
        self.item = table(sizes["item"], 2 * width)
        self.parts = nn.ModuleDict({name: table(sizes[name], width) for name in ITEM_PARTS})
        self.text = make_text_encoder(text, config.text_dim)
        given = 2 * width + len(ITEM_PARTS) * width + config.text_dim + 1
        self.project = nn.Linear(given, config.d_model, bias=False)

    def forward(self, fields: Mapping[str, Tensor], texts: Tensor) -> Tensor:
        """(..., d) vectors; `fields` are codes of any shape, `texts` the rows they name.

        Zeros where all codes are 0 and the price is unknown.
        """
        own = self.item(fields["item"])
        if self.training and self.id_dropout:
            kept = torch.rand(own.shape[:-1], device=own.device) >= self.id_dropout
            own = own * kept[..., None]
        content = [one(fields[name]) for name, one in self.parts.items()]
        written = self.text(texts)[fields["text"]]
        price = _or_zero(fields["price"])[..., None]
        found: Tensor = self.project(torch.cat([own, *content, written, price], dim=-1))
        return found


class EventEncoder(nn.Module):
    """Encodings of events, with the token NOW after the last one."""

    scales: Tensor

    def __init__(self, config: ModelConfig, sizes: Mapping[str, int], text: Mapping[str, object]):
        super().__init__()
        d, width = config.d_model, config.table_dim
        self.items = ItemEncoder(config, sizes, text)
        self.kind = table(sizes["kind"], 2 * width)
        self.touch = nn.ModuleDict({name: table(sizes[name], width // 2) for name in config.touch})
        # values and flags of amounts; hour and weekday; the gap and whether there is none
        numbers = 2 * len(AMOUNTS) + 2 * len(_ANGLES) + len(GAP_SCALES_S) + 2
        self.project = nn.Linear(2 * width + len(self.touch) * (width // 2) + numbers, d)
        self.mix = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))
        self.norm = nn.LayerNorm(d)
        self.register_buffer("scales", torch.tensor(GAP_SCALES_S), persistent=False)

    def forward(self, batch: EventBatch, last_us: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Encodings and moments of events and NOW.

        Args:
            last_us: (B,) the moment of the event before the batch, where `count` > 0.
            count: (B,) events before the batch.

        Returns:
            (B, L + 1, d) encodings, and (B, L + 1) int64 moments: row b holds its events, NOW at
            place `lengths[b]`, then padding at NOW's moment.
        """
        us, gap_s, first = moments(batch, last_us, count)
        # NOW stands where padding begins: it has a kind and a gap, all else is 0 or unknown there
        fields = {
            name: F.pad(one, (0, 1), value=torch.nan if one.is_floating_point() else 0)
            for name, one in batch.fields.items()
        }
        fields["kind"] = fields["kind"].scatter(1, batch.lengths[:, None], NOW)
        return self.encodings(fields, batch.texts, gap_s, first), us

    def encodings(
        self, fields: Mapping[str, Tensor], texts: Tensor, gap_s: Tensor, first: Tensor
    ) -> Tensor:
        """(B, T, d) encodings of places that are told whole: NOW has its kind, all else unknown.

        Args:
            fields: (B, T) each, as of `EventBatch`.
            gap_s, first: (B, T) seconds since the place before; whether there is none.
        """
        told = [
            self.kind(fields["kind"]),
            *(one(fields[name]) for name, one in self.touch.items()),
            _amounts(fields),
            _clock(fields),
            self._gaps(gap_s, first),
        ]
        x = self.items(fields, texts) + self.project(torch.cat(told, dim=-1))
        return self.norm(x + self.mix(x))

    def _gaps(self, gap_s: Tensor, first: Tensor) -> Tensor:
        """(B, L + 1, scales + 2) how long after the event before; continuous in the gap."""
        decays = torch.exp(-gap_s[..., None] / self.scales)
        log = torch.log1p(gap_s)[..., None] / _LOG_GAP
        return torch.cat([decays, log, first[..., None].float()], dim=-1)


def table(rows: int, width: int) -> nn.Embedding:
    """A table of vectors in which code 0 is zeros and stays so."""
    made = nn.Embedding(rows, width, padding_idx=0)
    with torch.no_grad():
        made.weight[1:] *= _TABLE_SCALE
    return made


def _amounts(fields: Mapping[str, Tensor]) -> Tensor:
    """(B, L + 1, 2 x amounts) each number and whether it is known."""
    values = torch.stack([fields[name] for name in AMOUNTS], dim=-1)
    return torch.cat([_or_zero(values), (~values.isnan()).float()], dim=-1)


def _clock(fields: Mapping[str, Tensor]) -> Tensor:
    """(B, L + 1, 6) hour of the day in two harmonics, day of the week in one; zeros if unknown."""
    angles = torch.stack([fields[name] * factor for name, factor in _ANGLES], dim=-1)
    return _or_zero(torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1))


def _or_zero(values: Tensor) -> Tensor:
    """0 for what is unknown; in an exported step fewer operations than `nan_to_num`."""
    return torch.where(values.isnan(), 0.0, values)


def moments(batch: EventBatch, last_us: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Moments (B, L + 1) of events and NOW, gaps in seconds to the one before, and which is first.

    A customer's first event has a gap of 0. Only differences of moments are told.
    """
    places = torch.arange(batch.us.shape[1] + 1, device=batch.us.device)
    us = torch.cat([batch.us, batch.now_us[:, None]], dim=1)
    us = torch.where(places >= batch.lengths[:, None], batch.now_us[:, None], us)
    before = torch.cat([torch.where(count > 0, last_us, us[:, 0])[:, None], us[:, :-1]], dim=1)
    gap_s = (us - before).float().clamp(min=0) / 1e6
    first = (places == 0) & (count == 0)[:, None]
    return us, gap_s, first
