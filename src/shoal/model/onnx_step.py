"""Steps by ONNX Runtime on an exported step: faster for one event, and without PyTorch.

`shoal.model.export` makes what is read here; the rest is that of `shoal.model.runtime`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from shoal.domain.errors import OperationError
from shoal.domain.sequence import CODES, NOW, NUMBERS, TIME, Array, EventSequences
from shoal.model.runtime import About, Floats, Ints, Layout, States, Stepper

#: Files of an export.
SCHEMA: Final = "shoal.step/1"
DOCUMENT_FILE: Final = "step.json"
STEP_FILE: Final = "step.onnx"
ONE_FILE: Final = "step-one.onnx"
ARRAYS_FILE: Final = "step.safetensors"
#: Codes of an event that are given as they are; its text is given as the row it stands for.
PLAIN_CODES: Final = tuple(name for name in CODES if name != "text")
#: Inputs and outputs of an exported step, in their order (`shoal.model.export`).
INPUTS: Final = ("us", "lengths", *PLAIN_CODES, *NUMBERS, "texts", "floats", "ints")
OUTPUTS: Final = ("embedding", "floats_after", "ints_after")
_KIND: Final = PLAIN_CODES.index("kind")


class OnnxStepper:
    """Steps by ONNX Runtime on one thread.

    Several events of a customer are read one after the other, or by `whole` where it is given.

    Args:
        many, one: what `shoal.model.export.step_onnx` made, for any number of customers and for
            one.
        about: whose steps these are.
        first: the state of one customer without an event.
        whole: reads what is more than one event a customer.

    Raises:
        OperationError: `missing_extra`; `artefact_damaged`, these are no such bytes.
    """

    def __init__(
        self,
        many: bytes,
        one: bytes,
        about: About,
        first: States,
        *,
        whole: Stepper | None = None,
    ) -> None:
        self._many, self._one = _session(many), _session(one)
        # a graph has no input that its model does not read
        self._read_of = tuple(one.name for one in self._many.get_inputs())
        self.about = about
        self._first = first
        self._whole = whole

    @classmethod
    def open(cls, directory: Path) -> OnnxStepper:
        """Of what `shoal.model.export.write` wrote; PyTorch is not needed.

        Raises:
            OperationError: `missing_extra`; `artefact_damaged`, it cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            document = json.loads((directory / DOCUMENT_FILE).read_text(encoding="utf-8"))
            if document["schema"] != SCHEMA:
                raise ValueError(f"its schema is {document['schema']}, not {SCHEMA}")
            arrays = load_file(directory / ARRAYS_FILE)
            about = About(
                document["model_id"], document["fingerprint"],
                Layout.from_document(document["layout"]), None,
                arrays["item_texts"], arrays["texts"],
            )  # fmt: skip
            first = States(arrays["floats"], arrays["ints"])
            many, one = ((directory / name).read_bytes() for name in (STEP_FILE, ONE_FILE))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise _no_export(error, str(directory)) from error
        return cls(many, one, about, first)

    def initial(self, n: int) -> States:
        return States(np.tile(self._first.floats, (n, 1)), np.tile(self._first.ints, (n, 1)))

    def read(self, events: EventSequences, states: States, now_us: Ints) -> tuple[Floats, States]:
        lengths = events.lengths
        most = int(lengths.max(initial=0))
        if most > 1 and self._whole is not None:
            return self._whole.read(events, states, now_us)
        session = self._one if len(events) == 1 else self._many
        for place in range(max(most, 1)):
            told = (lengths > place).astype(np.int64)
            inputs = self._inputs(events, place, told, states, now_us)
            asked = {name: inputs[name] for name in self._read_of}
            embeddings, floats, ints = session.run(OUTPUTS, asked)
            states = States(floats, ints)
        return embeddings, states

    def _inputs(
        self, events: EventSequences, place: int, told: Ints, states: States, now_us: Ints
    ) -> dict[str, Array]:
        """Of every customer the event at a place and NOW; NOW alone where there is no event."""
        n, fields = len(told), events.fields
        us = np.empty((n, 2), np.int64)
        codes = np.zeros((len(PLAIN_CODES), n, 2), np.int64)
        numbers = np.full((len(NUMBERS), n, 2), np.nan, np.float32)
        texts = np.zeros((n, self.about.texts.shape[1]), self.about.texts.dtype)
        us[:] = now_us[:, None]
        codes[_KIND, :, 1] = NOW
        if events.events:
            every = place == 0 and n == events.events == told.sum()
            who: Any = slice(None) if every else np.flatnonzero(told)
            rows: Any = slice(None) if every else events.offsets[who] + place
            us[who, 0] = fields[TIME][rows]
            for column, name in enumerate(PLAIN_CODES):
                codes[column, who, 0] = fields[name][rows]
            for column, name in enumerate(NUMBERS):
                numbers[column, who, 0] = fields[name][rows]
            texts[who] = events.texts[fields["text"][rows]]
        codes[_KIND, told == 0, 0] = NOW
        return {
            "us": us, "lengths": told, "texts": texts, "floats": states.floats,
            "ints": states.ints, **dict(zip(PLAIN_CODES, codes, strict=True)),
            **dict(zip(NUMBERS, numbers, strict=True)),
        }  # fmt: skip


def _session(exported: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise OperationError(
            "missing_extra",
            "stepping by ONNX Runtime needs onnxruntime, which is not installed",
            hint='Run: pip install "shoal[onnx]" (PyTorch steps without it).',
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each kind of damage
        raise _no_export(error) from error


def _no_export(error: Exception, where: str = "") -> OperationError:
    return OperationError(
        "artefact_damaged",
        f"this is no exported step of a behaviour model: {error}",
        where=where,
        hint="Export it anew with shoal.model.export.",
    )
