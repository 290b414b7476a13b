"""Where a model is trained, in what precision, and random numbers that leave the caller's alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import torch
from torch import Tensor

from shoal.domain.errors import OperationError, UsageError

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
def enough_memory() -> Iterator[None]:
    """A block that may ask an accelerator for more memory than is free.

    Raises:
        OperationError: `out_of_memory`.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        first = str(error).partition(". ")[0]
        raise OperationError(
            "out_of_memory",
            f"the accelerator has too little free memory: {first}",
            hint="Train with a smaller recipe, or on the processor (--device cpu). What was "
            "trained up to the last checkpoint goes on there with --resume.",
        ) from error


@contextmanager
def forked(device: str = "cpu") -> Iterator[None]:
    """A block after which the caller's random numbers go on as before, those of the device too."""
    with torch.random.fork_rng([torch.cuda.current_device()] if device == "cuda" else []):
        yield


def begin(seed: int, device: str = "cpu") -> None:
    """Let random numbers of the processor, and of the device, be those of a seed.

    `torch.manual_seed` sets every accelerator's, which nobody puts back.
    """
    torch.default_generator.manual_seed(seed)
    if device == "cuda":
        torch.cuda.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A block whose random numbers, on the processor, are those of a seed."""
    with forked():
        begin(seed)
        yield


def mixed(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 for what may be, on an accelerator; on a processor it was slower (measured)."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def exact(device: torch.device) -> AbstractContextManager[Any]:
    """No bfloat16 within `mixed`; what is computed of must be `single`."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def single(values: Tensor) -> Tensor:
    """What `mixed` made bfloat16 as float32; all else as it is, and then an exported step holds
    nothing of it."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def torch_version() -> str:
    return str(torch.__version__)
