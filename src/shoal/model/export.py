"""The one step of a behaviour model as ONNX: one event of each customer on top of a state.

Inputs are those of `shoal.model.runtime.INPUTS`, with any number of customers B:

    us (B,), lengths (B,) 0 or 1, now_us (B,) int64; codes (B, c) int64; numbers (B, m) float32;
    texts (B, w) the row that the event's text stands for; floats (B, F) and ints (B, I): the state

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
from shoal.model.batch import EventBatch
from shoal.model.behaviour import BehaviourModel
from shoal.model.runtime import (
    ARRAYS_FILE,
    DOCUMENT_FILE,
    INPUTS,
    OUTPUTS,
    PLAIN_CODES,
    SCHEMA,
    STEP_FILE,
    EagerStepper,
    Layout,
    OnnxStepper,
)

_OPSET: Final = 17
#: More events than any backbone looks back on: rings of the example are full.
_MANY: Final = 1_000_000
_ROWS: Final = 3


def step_onnx(model: BehaviourModel) -> bytes:
    """The step of a model as an ONNX file.

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
                step.example(_ROWS),
                exported,  # type: ignore[arg-type]
                input_names=list(INPUTS),
                output_names=list(OUTPUTS),
                dynamic_axes={name: {0: "B"} for name in (*INPUTS, *OUTPUTS)},
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
    return OnnxStepper(step_onnx(eager.model), eager.about, eager.initial(1), whole=eager)


def write(directory: Path, eager: EagerStepper) -> None:
    """Write what `OnnxStepper.open` reads: the step, about whom, and the titles of items.

    Raises:
        OperationError: `missing_extra`.
        UsageError: `bad_setting`, as of `step_onnx`.
        OSError: of the disk.
    """
    exported, about, first = step_onnx(eager.model), eager.about, eager.initial(1)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / STEP_FILE).write_bytes(exported)
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

    def forward(
        self, us: Tensor, lengths: Tensor, now_us: Tensor, codes: Tensor, numbers: Tensor,
        texts: Tensor, floats: Tensor, ints: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        layout = self.layout
        carry = {
            name: values[:, place].reshape(-1, *shape)
            for kind, values in ((True, floats), (False, ints))
            for name, shape, place in layout.places(kind)
        }
        fields = {name: codes[:, n : n + 1] for n, name in enumerate(PLAIN_CODES)}
        fields |= {name: numbers[:, n : n + 1] for n, name in enumerate(NUMBERS)}
        fields["text"] = torch.arange(1, us.shape[0] + 1, device=us.device)[:, None]
        texts = torch.cat([torch.zeros_like(texts[:1]), texts])
        batch = EventBatch(us[:, None], lengths, now_us, fields, texts)
        output = self.model.step(batch, carry)
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
        known: Tensor = self.model.known_texts  # type: ignore[assignment]
        ints = torch.zeros(rows, self.layout.width(False), dtype=torch.int64)
        ints[:, self.layout.column("count")] = _MANY
        whole = torch.zeros(rows, dtype=torch.int64)
        return (
            whole, torch.ones_like(whole), whole.clone(),
            torch.ones(rows, len(PLAIN_CODES), dtype=torch.int64),
            torch.zeros(rows, len(NUMBERS)),
            known[:1].repeat(rows, 1),
            torch.zeros(rows, self.layout.width(True)), ints,
        )  # fmt: skip
