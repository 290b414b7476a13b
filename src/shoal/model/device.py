"""Where a model is trained, and random numbers that leave the caller's alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

from shoal.domain.errors import UsageError

DEVICES: Final = ("auto", "cpu", "cuda")


def device_of(name: str) -> str:
    """`cpu` or `cuda`: what is asked for; of `auto` an accelerator where there is one.

    Raises:
        UsageError: `no_device`, an accelerator is asked for and there is none; `usage`, no device
            has that name.
    """
    if name not in DEVICES:
        raise UsageError(
            "usage", f"there is no device {name!r}", hint=f"Devices: {', '.join(DEVICES)}."
        )
    if name != "cpu" and torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise UsageError(
            "no_device",
            "an accelerator is asked for (--device cuda) and this machine shows none",
            hint="Train on the processor (--device cpu), or install the driver and a PyTorch that "
            "was built for it.",
        )
    return "cpu"


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A block whose random numbers are those of a seed; afterwards the caller's go on as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def torch_version() -> str:
    return str(torch.__version__)
