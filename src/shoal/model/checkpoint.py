"""A training on disk: all that it needs to go on as if it had never stopped.

checkpoint.safetensors    weights of model and objectives, AdamW's moments, the best weights so far,
                          and in its header a JSON document: step, seconds, figures, fingerprint

There is no state of random numbers: they follow from seed and step.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from shoal.domain.errors import OperationError
from shoal.domain.sequence import EventSequences
from shoal.model.config import ModelConfig, TrainConfig

FILE: Final = "checkpoint.safetensors"
_ASIDE: Final = "checkpoint.safetensors.part"
#: Raised whenever the content changes.
_SCHEMA: Final = "shoal.checkpoint/1"
_DOCUMENT: Final = "document"
_OS_CODE: Final = re.compile(r"os error (\d+)")
#: Moments of events that a fingerprint looks at, at most.
_LOOKED_AT: Final = 1_000_000


def write(directory: Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Replace the checkpoint; the one before stays until the new one is whole and on the disk.

    Raises:
        OperationError: `disk_full`, `no_permission`; the checkpoint before is then untouched.
    """
    aside = directory / _ASIDE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"schema": _SCHEMA, **document})
        plain = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
        save_file(plain, aside, metadata={_DOCUMENT: text})
        _synchronise(aside)
        aside.replace(directory / FILE)
        _synchronise(directory)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise _told(error, directory) from error


def exists(directory: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return (directory / FILE).exists()


def read(directory: Path, expected: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the document that were written.

    Args:
        expected: the fingerprint of the training that is to go on.

    Raises:
        OperationError: `checkpoint_unusable`: damaged, of another version of Shoal, or of other
            settings or data.
    """
    path = directory / FILE
    try:
        with safe_open(path, framework="pt") as file:
            document: dict[str, Any] = json.loads((file.metadata() or {})[_DOCUMENT])
            if document["schema"] != _SCHEMA:
                raise _unusable(path, f"has the schema {document['schema']}, not {_SCHEMA}")
            if document["fingerprint"] != expected:
                raise _unusable(
                    path,
                    "is of a training with other settings or other data (fingerprint "
                    f"{document['fingerprint']}, not {expected})",
                )
            return {name: file.get_tensor(name) for name in file.keys()}, document  # noqa: SIM118
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise _unusable(path, f"cannot be read: {error}") from error


def fingerprint(
    model: ModelConfig,
    train: TrainConfig,
    sizes: Mapping[str, int],
    sequences: EventSequences,
    *more: object,
) -> str:
    """16 hex digits of the settings and the data that decide a training's result.

    Moments of events are looked at in even steps, a million at most. How often checkpoints are
    written decides nothing and is left out.
    """
    settings = train.to_document()
    settings.pop("checkpoint_minutes")
    document = [asdict(model), settings, dict(sizes), sequences.events, *more]
    found = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    found.update(np.ascontiguousarray(sequences.offsets).tobytes())
    us = sequences.fields["us"]
    found.update(np.ascontiguousarray(us[:: max(1, len(us) // _LOOKED_AT)]).tobytes())
    return found.hexdigest()[:16]


# -- tensors by name ------------------------------------------------------------------------------


def named(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's state by name, under a prefix."""
    return {f"{prefix}.{name}": one for name, one in module.state_dict().items()}


def within(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under a prefix, by their names in it."""
    start = f"{prefix}."
    return {n.removeprefix(start): one for n, one in tensors.items() if n.startswith(start)}


# -- failures --------------------------------------------------------------------------------------


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _told(error: OSError | SafetensorError, directory: Path) -> OperationError:
    """What to tell of a failed write; the library's errors name the system's code in their text."""
    said = _OS_CODE.search(str(error))
    code = error.errno if isinstance(error, OSError) else int(said.group(1)) if said else 0
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OperationError(
            "no_permission",
            "the operating system refused to write a checkpoint",
            where=str(directory),
            hint="Give this user access to the directory, then go on with --resume.",
        )
    full = code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    what = (
        "no space is left for a checkpoint" if full else f"a checkpoint cannot be written: {error}"
    )
    return OperationError(
        "disk_full" if full else "internal",
        what,
        where=str(directory),
        hint="The checkpoint before is untouched. Free some space, then go on with --resume.",
    )


def of_other_parts(directory: Path, error: Exception) -> OperationError:
    """What is told where a checkpoint's tensors are not those of this version's model."""
    return _unusable(directory / FILE, f"holds other parts than this version's model: {error}")


def _unusable(path: Path, why: str) -> OperationError:
    return OperationError(
        "checkpoint_unusable",
        f"the checkpoint {why}",
        where=str(path),
        hint="Go on with the settings and data it was made with, or begin anew without --resume.",
    )
