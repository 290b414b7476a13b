"""The measured pieces of work; each is a call in a process of its own that may use one thread."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.speed.model import accelerator, made


def measure(what: str, **arguments: Any) -> dict[str, Any]:
    """One of `TASKS`, with the greatest resident memory of the process."""
    return {**TASKS[what](**arguments), "peak_mib": _peak_mib()}


# -- an event ------------------------------------------------------------------------------------


def update(
    *, backbone: str, runtime: str, customers: int, history: int, steps: int, seed: int
) -> dict[str, Any]:
    """Bytes of states in, events in order, embeddings and bytes of states out.

    `p50_ms` and `p99_ms` of a call, `events_per_s` of all of them together; folding full tails is
    in them. `cpu_...` count the time that the thread ran, not what it waited for on a busy machine.
    `carry_bytes` is the state that a step needs, `stored_bytes` all that is kept.
    """
    import torch

    from shoal.model import export
    from shoal.model.carry import CustomerCarry
    from shoal.model.runtime import EagerStepper
    from shoal.model.stream import advance, build

    torch.set_num_threads(1)
    stepper: Any = EagerStepper(made.model(backbone=backbone), "bench", "0" * 16)
    if runtime == "onnx":
        stepper = export.stepper(stepper)
    before = made.sequences(np.full(customers, history), seed)
    now = int(before.fields["us"].max())
    stored = [one.to_bytes() for one in build(stepper, before, now).carries]
    walls, busy, warm = [], [], 5
    for step in range(steps + warm):
        events = made.sequences(np.ones(customers, np.int64), seed + 1 + step)
        now += made.DAY_US // 7
        events.fields["us"][:] = now
        started, at_work = time.perf_counter(), time.thread_time()
        states = [CustomerCarry.from_bytes(one) for one in stored]
        found = advance(stepper, states, events, now)
        stored = [one.to_bytes() for one in found.carries]
        walls.append(time.perf_counter() - started)
        busy.append(time.thread_time() - at_work)
    told = np.array(walls[warm:])
    return {
        "cpu_p50_ms": float(np.median(busy[warm:])) * 1e3,
        "cpu_events_per_s": customers * len(told) / float(sum(busy[warm:])),
        "p50_ms": float(np.median(told)) * 1e3, "p99_ms": float(np.quantile(told, 0.99)) * 1e3,
        "events_per_s": customers * len(told) / float(told.sum()),
        "carry_bytes": stepper.about.layout.nbytes,
        "stored_bytes": int(np.mean([len(one) for one in stored])),
    }  # fmt: skip


# -- all customers -------------------------------------------------------------------------------


def embed(*, customers: int, mean: float, seed: int) -> dict[str, Any]:
    """Tokenised histories in memory, embeddings out."""
    import torch

    from shoal.model.embedding import embed as embed_all

    torch.set_num_threads(1)
    model = made.model()
    seconds, events, done, at_once = 0.0, 0, 0, 20_000
    while done < customers:
        n = min(at_once, customers - done)
        part = made.sequences(made.ragged(n, mean, seed + done), seed + done)
        now = int(part.fields["us"].max())
        started = time.perf_counter()
        found = embed_all(model, part, now)
        seconds += time.perf_counter() - started
        assert np.isfinite(found).all()
        events, done = events + part.events, done + n
    return {"seconds": seconds, "customers": customers, "events": events}


def embed_shop(*, shop: str) -> dict[str, Any]:
    """`shop.write_embeddings` of a simulated shop: reading, tokens, model, sorting, writing."""
    import torch

    from shoal import shop as face
    from shoal.features.snapshot import latest_moment

    torch.set_num_threads(1)
    with face.open(shop) as opened, tempfile.TemporaryDirectory() as folder:
        moment = latest_moment(opened._parts.warehouse)
        made.publish(opened, moment)
        events = sum(opened._parts.warehouse.bucket_counts().values())
        started = time.perf_counter()
        written = opened.write_embeddings(Path(folder) / "e.parquet", as_of=moment)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "customers": written.rows, "events": events}


# -- training ------------------------------------------------------------------------------------


def train(
    *, objectives: dict[str, float], length: int, least: int, groups: int, steps: int, seed: int
) -> dict[str, Any]:
    """Steps of Shoal's own training, batches with targets drawn from the log included."""
    from dataclasses import replace

    import torch

    from shoal.model.config import recipe
    from shoal.model.grouping import portion_cost, step_in_portions
    from shoal.model.objectives import make, total
    from shoal.model.sampler import Sampler

    torch.set_num_threads(1)
    config = replace(
        recipe("laptop").train, weights=objectives, augment={}, slice_min=least, slice_max=length,
        slices=4, batch_customers=_customers(length), length_groups=groups,
    )  # fmt: skip
    log = made.sequences(np.full(200, 3 * length), seed)
    until = int(log.fields["us"].max()) + 1
    sampler = Sampler(
        log, config, made.sizes(), until_us=until, value_kind=made.PURCHASED, seed=seed
    )
    model = made.model().train()
    heads = make(config.weights, model.config, made.sizes(), np.ones(made.ITEMS, np.int64))
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    costs = portion_cost(model.config.d_model, "cpu", model.backbone.recurrent)

    def step(number: int) -> int:
        batch = sampler.batch(number)
        output = step_in_portions(model, batch.events, config.length_groups, *costs)
        loss, _ = total(heads, config.weights, model, batch, output)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return int(batch.events.lengths.sum())

    return {**_rate(step, steps), "parameters": _layers(model.backbone)}


def train_transformer(*, length: int, steps: int, seed: int) -> dict[str, Any]:
    """`nn.TransformerEncoder` with a causal mask on items alone, a softmax over all items."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    d, rows = 128, 4 * _customers(length)
    layer = nn.TransformerEncoderLayer(d, 4, 4 * d, dropout=0.0, batch_first=True, norm_first=True)
    body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    table, places = nn.Embedding(made.ITEMS + 1, d), nn.Embedding(length, d)
    parameters = [*body.parameters(), *table.parameters(), *places.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    mask = nn.Transformer.generate_square_subsequent_mask(length)
    log = made.sequences(np.full(200, 3 * length), seed).fields["item"].reshape(200, -1)
    rng = np.random.default_rng(seed)

    def step(number: int) -> int:
        who, start = rng.integers(0, 200, rows), rng.integers(0, 2 * length - 1, rows)
        taken = log[who[:, None], start[:, None] + np.arange(length + 1)]
        items = torch.from_numpy(taken.astype(np.int64))
        x = table(items[:, :-1]) + places.weight
        hidden = body(x, mask=mask, is_causal=True)
        scores = hidden @ table.weight.T
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), items[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return rows * length

    return {**_rate(step, steps), "parameters": _layers(body)}


def train_sasrec(*, length: int, customers: int, seed: int) -> dict[str, Any]:
    """RecTools' SASRec, one epoch of whole histories of `length` + 1 events, in its environment."""
    from bench.harness.environment import python_of

    python = python_of("sasrec", timeout_s=900.0)
    log = made.sequences(np.full(customers, length + 1), seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.npz"
        item = np.where(log.fields["item"] > 0, log.fields["item"], 1)
        np.savez(file, customer=np.repeat(np.arange(customers), length + 1), item=item,
                 us=log.fields["us"])  # fmt: skip
        worker = Path(__file__).with_name("sasrec_worker.py")
        command = [str(python), str(worker), str(file), str(length), str(_customers(length) * 4)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"SASRec failed: {done.stderr.strip()[-400:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"tokens_per_s": customers * length / told["seconds"], **told}


def _customers(length: int) -> int:
    """Customers a step (each gives four slices), about 8,192 events at full length."""
    return max(1, 2_048 // length)


def _rate(step: Callable[[int], int], steps: int) -> dict[str, float]:
    step(0)
    started = time.perf_counter()
    tokens = sum(step(1 + number) for number in range(steps))
    return {"tokens_per_s": tokens / (time.perf_counter() - started)}


def _layers(module: Any) -> int:
    return sum(one.numel() for one in module.parameters())


def _peak_mib() -> float:
    """Greatest resident memory of this process so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task
    for task in (update, embed, embed_shop, train, train_transformer, train_sasrec)
} | accelerator.TASKS
