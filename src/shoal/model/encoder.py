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
from torch import Tensor, nn

from shoal.domain.sequence import NOW
from shoal.model.batch import EventBatch
from shoal.model.config import ModelConfig
from shoal.model.text import make_text_encoder

#: Time constants in seconds of how a gap is told: a minute to half a year.
GAP_SCALES_S: Final = (60.0, 3_600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0, 180 * 86_400.0)
_HOURS: Final = 24.0
_WEEK: Final = 7.0
_LOG_GAP: Final = 16.0


class ItemEncoder(nn.Module):
    """Vectors of items from codes and content."""

    def __init__(self, config: ModelConfig, sizes: Mapping[str, int], text: Mapping[str, object]):
        super().__init__()
        d = config.d_model
        self.id_dropout = config.id_dropout
        self.item = nn.Embedding(sizes["item"], d, padding_idx=0)
        self.parts = nn.ModuleDict(
            {
                name: nn.Embedding(sizes[name], d, padding_idx=0)
                for name in ("category1", "category2", "category3", "brand", "price_bucket")
            }
        )
        self.price = nn.Linear(1, d, bias=False)
        self.text = make_text_encoder(text, config.text_dim)
        self.text_out = nn.Linear(config.text_dim, d, bias=False)
        for table in (self.item, *self.parts.values()):
            nn.init.normal_(table.weight, std=0.1)
            with torch.no_grad():
                table.weight[0] = 0

    def forward(self, fields: Mapping[str, Tensor], texts: Tensor) -> Tensor:
        """(..., d) vectors; `fields` are codes of any shape, `texts` the rows they name."""
        content = self.text_out(self.text(texts))[fields["text"]]
        for name, table in self.parts.items():
            content = content + table(fields[name])
        price = torch.nan_to_num(fields["price"])[..., None]
        content = content + self.price(price)
        own = self.item(fields["item"])
        if self.training and self.id_dropout:
            kept = torch.rand(own.shape[:-1], device=own.device) >= self.id_dropout
            own = own * kept[..., None]
        return content + own


class EventEncoder(nn.Module):
    """Encodings of events, with the token NOW after the last one."""

    def __init__(self, config: ModelConfig, sizes: Mapping[str, int], text: Mapping[str, object]):
        super().__init__()
        d = config.d_model
        self.items = ItemEncoder(config, sizes, text)
        self.kind = nn.Embedding(sizes["kind"], d, padding_idx=0)
        self.touch = nn.ModuleDict(
            {name: nn.Embedding(sizes[name], d, padding_idx=0) for name in ("channel", "device")}
        )
        #: values and flags of quantity, discount, rating, price; hour and weekday; the gap
        self.numbers = nn.Linear(4 * 2 + 4 + 2 + len(GAP_SCALES_S) + 2, d)
        self.mix = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))
        self.norm = nn.LayerNorm(d)
        scales = torch.tensor(GAP_SCALES_S)
        self.register_buffer("scales", scales, persistent=False)
        for table in (self.kind, *self.touch.values()):
            nn.init.normal_(table.weight, std=0.3)
            with torch.no_grad():
                table.weight[0] = 0

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
        events = self._events(batch)
        now = (self.kind.weight[NOW]).expand(batch.us.shape[0], 1, -1)
        at_now = torch.arange(us.shape[1], device=us.device) == batch.lengths[:, None]
        padded = torch.cat([events, torch.zeros_like(now)], dim=1)
        told = torch.where(at_now[..., None], now, padded)
        times = torch.cat(
            [self._clock(batch), torch.zeros_like(us[:, :1, None]).repeat(1, 1, 6)], 1
        )
        times = torch.where(at_now[..., None], torch.zeros_like(times), times)
        numbers = torch.cat([self._amounts(batch, at_now), times, self._gaps(gap_s, first)], dim=-1)
        x = told + self.numbers(numbers)
        return self.norm(x + self.mix(x)), us

    def _events(self, batch: EventBatch) -> Tensor:
        """(B, L, d) what was done with what and where."""
        found = self.kind(batch.fields["kind"]) + self.items(batch.fields, batch.texts)
        for name, table in self.touch.items():
            found = found + table(batch.fields[name])
        return found

    def _amounts(self, batch: EventBatch, at_now: Tensor) -> Tensor:
        """(B, L + 1, 8) each number and whether it is known; zeros at NOW."""
        values = torch.stack(
            [batch.fields[name] for name in ("quantity", "discount", "rating", "price")], dim=-1
        )
        known = (~values.isnan()).float()
        told = torch.cat([torch.nan_to_num(values), known], dim=-1)
        told = nn.functional.pad(told, (0, 0, 0, 1))
        return torch.where(at_now[..., None], torch.zeros_like(told), told)

    def _clock(self, batch: EventBatch) -> Tensor:
        """(B, L, 6) hour of the day in two harmonics, day of the week in one."""
        hour = torch.nan_to_num(batch.fields["hour"]) * (2 * math.pi / _HOURS)
        week = torch.nan_to_num(batch.fields["weekday"]) * (2 * math.pi / _WEEK)
        angles = (hour, 2 * hour, week)
        return torch.stack([f(one) for one in angles for f in (torch.sin, torch.cos)], dim=-1)

    def _gaps(self, gap_s: Tensor, first: Tensor) -> Tensor:
        """(B, L + 1, scales + 2) how long after the event before; continuous in the gap."""
        decays = torch.exp(-gap_s[..., None] / self.scales)
        log = torch.log1p(gap_s)[..., None] / _LOG_GAP
        return torch.cat([decays, log, first[..., None].float()], dim=-1)


def moments(batch: EventBatch, last_us: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Moments (B, L + 1) of events and NOW, gaps in seconds to the one before, and which is first.

    A customer's first event has a gap of 0. Only differences of moments are told.
    """
    places = torch.arange(batch.us.shape[1] + 1, device=batch.us.device)
    us = torch.cat([batch.us, batch.now_us[:, None]], dim=1)
    us = torch.where(places >= batch.lengths[:, None], batch.now_us[:, None], us)
    before = torch.cat([torch.where(count > 0, last_us, us[:, 0])[:, None], us[:, :-1]], dim=1)
    gap_s = (us - before).clamp(min=0).float() / 1e6
    first = (places == 0) & (count == 0)[:, None]
    return us, gap_s, first
