"""The one step of a behaviour model as ONNX: one event of each customer on top of a state.

Inputs are those of `shoal.model.onnx_step.INPUTS`, with any number of customers B:

    us and codes (B, 2) int64, numbers (B, 2) float32: of the event and NOW, or of NOW and padding
    where there is no event; lengths (B,) int64, 1 or 0 events; texts (B, w), the row that the
    event's text stands for; floats (B, F) and ints (B, I), the state

Outputs are the embedding (B, e) and the state after the event. Moments are subtracted as whole
numbers before anything is told as a float.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.sequence import NUMBERS
from shoal.model.backbones.base import gaps_s
from shoal.model.behaviour import BehaviourModel
from shoal.model.onnx_step import (
    ARRAYS_FILE,
    DOCUMENT_FILE,
    INPUTS,
    ONE_FILE,
    OUTPUTS,
    PLAIN_CODES,
    SCHEMA,
    STEP_FILE,
    OnnxStepper,
)
from shoal.model.runtime import EagerStepper, Layout

_OPSET: Final = 17
#: More events than any backbone looks back on: rings of the example are full.
_MANY: Final = 1_000_000
_ROWS: Final = 3


def step_onnx(model: BehaviourModel, *, one: bool = False) -> bytes:
    """The step of a model as an ONNX file.

    Args:
        one: for one customer alone: as the number is known, a third of the operations go.

    Raises:
        UsageError: `bad_setting`, the backbone has no state to step.
        OperationError: `missing_extra`.
    """
    if not model.backbone.streams:
        raise UsageError(
            "bad_setting",
            f"the backbone {model.config.backbone!r} has no state, so there is no step to export",
            hint="Export a model whose backbone streams, such as recurrence.",
        )
    was = model.training
    step = _Step(model).eval()
    exported = io.BytesIO()
    try:
        with warnings.catch_warnings():
            # tracing warns of each shape that it takes for a constant: here they are constants,
            # and that the rest is not is tested with other numbers of customers
            warnings.simplefilter("ignore")
            torch.onnx.export(
                step,
                step.example(1 if one else _ROWS),
                exported,  # type: ignore[arg-type]
                input_names=list(INPUTS),
                output_names=list(OUTPUTS),
                dynamic_axes=None if one else {name: {0: "B"} for name in (*INPUTS, *OUTPUTS)},
                opset_version=_OPSET,
                dynamo=False,
            )
    except ImportError as error:
        raise OperationError(
            "missing_extra",
            f"exporting needs {error.name or 'onnx'}, which is not installed",
            hint='Run: pip install "shoal[onnx]"',
        ) from error
    finally:
        model.train(was)
    return exported.getvalue()


def stepper(eager: EagerStepper) -> OnnxStepper:
    """The same steps by ONNX Runtime; what is more than one event a customer stays with PyTorch.

    Raises:
        OperationError: `missing_extra`.
        UsageError: `bad_setting`, as of `step_onnx`.
    """
    many, one = (step_onnx(eager.model, one=one) for one in (False, True))
    return OnnxStepper(many, one, eager.about, eager.initial(1), whole=eager)


def write(directory: Path, eager: EagerStepper) -> None:
    """Write what `OnnxStepper.open` reads: the step, about whom, and the titles of items.

    Raises:
        OperationError: `missing_extra`.
        UsageError: `bad_setting`, as of `step_onnx`.
        OSError: of the disk.
    """
    about, first = eager.about, eager.initial(1)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / STEP_FILE).write_bytes(step_onnx(eager.model))
    (directory / ONE_FILE).write_bytes(step_onnx(eager.model, one=True))
    arrays = {
        "item_texts": about.item_texts, "texts": about.texts,
        "floats": first.floats, "ints": first.ints,
    }  # fmt: skip
    save_file({name: np.ascontiguousarray(one) for name, one in arrays.items()},
              directory / ARRAYS_FILE)  # fmt: skip
    document = {
        "schema": SCHEMA,
        "model_id": about.model_id,
        "fingerprint": about.fingerprint,
        "layout": about.layout.to_document(),
    }
    text = json.dumps(document, indent=1) + "\n"
    (directory / DOCUMENT_FILE).write_text(text, encoding="utf-8")


class _Step(nn.Module):
    """A model's step with flat inputs and outputs."""

    def __init__(self, model: BehaviourModel) -> None:
        super().__init__()
        self.model = model
        self.layout = Layout.of(model.initial(1))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fields = dict(zip(INPUTS, inputs, strict=True))
        us, lengths, texts, floats, ints = (
            fields.pop(name) for name in ("us", "lengths", "texts", "floats", "ints")
        )
        layout = self.layout
        carry = {
            name: values[:, place].reshape(-1, *shape)
            for kind, values in ((True, floats), (False, ints))
            for name, shape, place in layout.places(kind)
        }
        # row 0 of the texts is none; the event's text, where there is an event, is its own row
        own = torch.arange(1, us.shape[0] + 1, device=us.device) * lengths
        fields["text"] = torch.stack([own, torch.zeros_like(own)], dim=1)
        texts = torch.cat([torch.zeros_like(texts[:1]), texts])
        first = torch.stack([carry["count"] == 0, carry["count"] < 0], dim=1)
        x = self.model.encoder.encodings(fields, texts, gaps_s(us, carry), first)
        output = self.model.step_encoded(x, us, lengths, carry)
        floats_after, ints_after = (
            torch.cat(
                [
                    output.carry[name].reshape(-1, place.stop - place.start)
                    for name, _, place in layout.places(kind)
                ],
                dim=1,
            )
            for kind in (True, False)
        )
        return output.embedding, floats_after, ints_after

    def example(self, rows: int) -> tuple[Tensor, ...]:
        """Inputs of customers with long histories."""
        known: Tensor = self.model.known_texts
        ints = torch.zeros(rows, self.layout.width(False), dtype=torch.int64)
        ints[:, self.layout.column("count")] = _MANY
        whole = torch.zeros(rows, dtype=torch.int64)
        places = whole[:, None].repeat(1, 2)
        return (
            places, torch.ones_like(whole),
            *(torch.ones_like(places) for _ in PLAIN_CODES),
            *(torch.zeros(rows, 2) for _ in NUMBERS),
            known[:1].repeat(rows, 1), torch.zeros(rows, self.layout.width(True)), ints,
        )  # fmt: skip
