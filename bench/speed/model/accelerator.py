"""Training, embedding and the scan on an accelerator, beside `nn.TransformerEncoder` there.

Every figure is taken after the device has finished; the first step, which loads and chooses
kernels, is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bench.speed.model import made

#: Slices of a customer in a step.
_SLICES = 4


def train_on(
    *, device: str, threads: int, recipe: str, backbone: str, length: int, events: int,
    steps: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Steps as the trainer does them, with a recipe's own objectives, on rows of one length.

    Drawing a batch, forward in mixed precision, losses, backward, clipping, AdamW; figures of the
    losses are waited for, as the trainer waits for them. `draw_ms` is drawing alone.

    Args:
        events: of a step, about.
    """
    import torch

    from shoal.model.adamw import AdamW
    from shoal.model.config import recipe as recipe_of
    from shoal.model.config import with_backbone
    from shoal.model.device import begin, mixed
    from shoal.model.grouping import step_in_portions
    from shoal.model.objectives import make, total
    from shoal.model.sampler import Sampler

    torch.set_num_threads(threads)
    chosen = with_backbone(recipe_of(recipe), backbone)
    config = replace(
        chosen.train, augment={}, slice_min=length, slice_max=length, slices=_SLICES,
        batch_customers=max(2, events // length // _SLICES), length_groups=1,
    )  # fmt: skip
    customers = max(200, config.batch_customers)
    log = made.sequences(np.full(customers, 3 * length), seed)
    sampler = Sampler(
        log, config, made.sizes(), until_us=int(log.fields["us"].max()) + 1,
        value_kind=made.PURCHASED, seed=seed,
    )  # fmt: skip
    model = made.model(recipe, backbone=backbone).train().to(device)
    heads = make(config.weights, model.config, made.sizes(), np.ones(made.ITEMS, np.int64))
    heads = heads.train().to(device)
    optimizer = AdamW({"model": model, "heads": heads}, config.weight_decay)
    where = torch.device(device)
    drawing = [0.0]

    def step(number: int) -> int:
        began = time.perf_counter()
        drawn = sampler.batch(number)
        drawing[0] += time.perf_counter() - began
        begin(number, device)
        batch = drawn.to(where)
        with mixed(where):
            output = step_in_portions(model, batch.events, config.length_groups)
            loss, figures = total(heads, config.weights, model, batch, output)
        optimizer.forget_gradients()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(optimizer.parameters, config.clip)
        assert np.isfinite([float(norm), *figures.values()]).all()
        optimizer.step(1e-4)
        return int(drawn.events.lengths.sum())

    step(0)
    drawing[0] = 0.0
    told = _rate(step, steps, where)
    return {
        **told, "draw_ms": drawing[0] / steps * 1e3,
        "parameters": sum(one.numel() for one in model.backbone.parameters()),
    }  # fmt: skip


def encoder_on(
    *, device: str, threads: int, recipe: str, length: int, events: int, steps: int, seed: int
) -> dict[str, Any]:
    """`nn.TransformerEncoder` of a recipe's width, layers and heads, in the same precision, on
    items alone, told by a softmax over all items; nothing is waited for but the last step."""
    import torch
    from torch import nn

    from shoal.model.config import recipe as recipe_of
    from shoal.model.device import mixed

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    shape, where = recipe_of(recipe).model, torch.device(device)
    d, rows = shape.d_model, _SLICES * max(2, events // length // _SLICES)
    layer = nn.TransformerEncoderLayer(
        d, shape.heads, 4 * d, dropout=0.0, batch_first=True, norm_first=True
    )
    body = nn.TransformerEncoder(layer, shape.layers, enable_nested_tensor=False).to(where)
    table, places = (nn.Embedding(n, d).to(where) for n in (made.ITEMS + 1, length))
    parameters = [*body.parameters(), *table.parameters(), *places.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    mask = nn.Transformer.generate_square_subsequent_mask(length, device=where)
    log = made.sequences(np.full(200, 3 * length), seed).fields["item"].reshape(200, -1)
    rng = np.random.default_rng(seed)

    def step(number: int) -> int:
        who, start = rng.integers(0, 200, rows), rng.integers(0, 2 * length - 1, rows)
        taken = log[who[:, None], start[:, None] + np.arange(length + 1)]
        items = torch.from_numpy(taken.astype(np.int64)).to(where)
        with mixed(where):
            hidden = body(table(items[:, :-1]) + places.weight, mask=mask, is_causal=True)
            scores = hidden @ table.weight.T
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), items[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return rows * length

    step(0)
    told = _rate(step, steps, where)
    return {**told, "parameters": sum(one.numel() for one in body.parameters())}


def embed_on(
    *, device: str, threads: int, recipe: str, customers: int, mean: float, seed: int
) -> dict[str, Any]:
    """Tokenised histories in memory, embeddings out, in float32."""
    import torch

    from shoal.model.embedding import embed

    torch.set_num_threads(threads)
    model = made.model(recipe).to(device)
    log = made.sequences(made.ragged(customers, mean, seed), seed)
    now = int(log.fields["us"].max())
    few = made.sequences(made.ragged(200, mean, seed + 1), seed + 1)
    embed(model, few, int(few.fields["us"].max()))
    _forget_peak(device)
    started = time.perf_counter()
    found = embed(model, log, now)
    seconds = time.perf_counter() - started
    assert np.isfinite(found).all()
    return {
        "customers_per_s": customers / seconds, "events": log.events, "memory_mib": _memory(device)
    }  # fmt: skip


def scan_on(
    *, device: str, rows: int, length: int, width: int, steps: int, seed: int
) -> dict[str, Any]:
    """The recurrence's scan both ways, forward and backward: place by place, and by doubling."""
    import torch

    from shoal.model.backbones import recurrence as module

    torch.manual_seed(seed)
    shape, where = (rows, length, width), torch.device(device)
    a, b = torch.rand(shape, device=where), torch.randn(shape, device=where)
    before, grad = torch.zeros(rows, width, device=where), torch.randn(shape, device=where)

    def both(there: Any, back: Any) -> Callable[[int], int]:
        def step(number: int) -> int:
            there(a, b, before)
            back(a, grad)
            return rows * length

        step(0)
        return step

    by_steps = both(module._by_steps, module._back_by_steps)
    by_doubling = both(module._by_doubling, module._back_by_doubling)
    return {
        "by_steps_ms": _rate(by_steps, steps, where)["step_ms"],
        "by_doubling_ms": _rate(by_doubling, steps, where)["step_ms"],
    }


def _rate(step: Callable[[int], int], steps: int, where: Any) -> dict[str, float]:
    """Events a second, milliseconds and events a step, and the greatest memory of the device."""
    _wait(where)
    _forget_peak(where.type)
    started = time.perf_counter()
    events = sum(step(1 + number) for number in range(steps))
    _wait(where)
    seconds = time.perf_counter() - started
    return {
        "events_per_s": events / seconds, "step_ms": seconds / steps * 1e3,
        "step_events": events / steps, "memory_mib": _memory(where.type),
    }  # fmt: skip


def _wait(where: Any) -> None:
    import torch

    if where.type == "cuda":
        torch.cuda.synchronize(where)


def _forget_peak(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _memory(device: str) -> float:
    """Greatest memory, in MiB, that tensors on the accelerator had; 0 without one."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0


def told_of() -> dict[str, Any]:
    """The accelerator's name and memory, and the CUDA that PyTorch was built for.

    Raises:
        UsageError: `no_device`.
    """
    import torch

    from shoal.model.device import device_of

    device_of("cuda")
    found = torch.cuda.get_device_properties(0)
    return {
        "name": found.name, "memory_gib": round(found.total_memory / 2**30),
        "cuda": str(torch.version.cuda),
    }  # fmt: skip


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task for task in (train_on, encoder_on, embed_on, scan_on)
}
