"""What steps customers' states: PyTorch, or ONNX Runtime on an exported step.

A state is what a backbone carries, as two flat rows: `floats` (F,) and `ints` (I,), so that states
of many customers are two arrays and a state on disk is a run of bytes. Both steppers give the same
answers; ONNX Runtime is faster for one event and needs no PyTorch where the export was saved.
Dimensions: n customers, e = embedding_dim.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from shoal.domain.errors import OperationError
from shoal.domain.sequence import CODES, NOW, NUMBERS, TIME, Array, EventSequences

if TYPE_CHECKING:
    from shoal.model.artefact import ModelArtefact
    from shoal.model.backbones import Carry
    from shoal.model.behaviour import BehaviourModel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

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


@dataclass(frozen=True)
class States:
    """States of n customers: (n, F) float32 and (n, I) int64."""

    floats: Floats
    ints: Ints

    def __len__(self) -> int:
        return len(self.floats)

    def take(self, rows: Ints) -> States:
        """Some of them."""
        return States(self.floats[rows], self.ints[rows])


@dataclass(frozen=True)
class Layout:
    """What stands where in a state: names, shapes and types of what a backbone carries."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    floating: tuple[bool, ...]

    @classmethod
    def of(cls, carry: Carry) -> Layout:
        """Of the carry of a backbone."""
        names = tuple(carry)
        shapes = tuple(tuple(carry[name].shape[1:]) for name in names)
        return cls(names, shapes, tuple(carry[name].is_floating_point() for name in names))

    def places(self, floating: bool) -> list[tuple[str, tuple[int, ...], slice]]:
        """Name, shape and columns of what lies in `floats`, or in `ints`."""
        found, start = [], 0
        for name, shape, kind in zip(self.names, self.shapes, self.floating, strict=True):
            if kind == floating:
                stop = start + math.prod(shape)
                found.append((name, shape, slice(start, stop)))
                start = stop
        return found

    def width(self, floating: bool) -> int:
        """F, or I."""
        return self._widths[floating]

    @cached_property
    def _widths(self) -> tuple[int, int]:
        """I and F."""
        sizes = [math.prod(shape) for shape in self.shapes]
        floats = sum(size for size, kind in zip(sizes, self.floating, strict=True) if kind)
        return sum(sizes) - floats, floats

    @cached_property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return 4 * self.width(True) + 8 * self.width(False)

    def column(self, name: str) -> int:
        """Where a single whole number lies in `ints`."""
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {name: place.start for name, _, place in self.places(False)}

    def rows(self, states: States) -> list[bytes]:
        """Each state as bytes."""
        size = self.nbytes
        both = np.concatenate([states.floats.view(np.uint8), states.ints.view(np.uint8)], axis=1)
        whole = both.tobytes()
        return [whole[start : start + size] for start in range(0, len(whole), size)]

    def states(self, rows: Sequence[bytes]) -> States:
        """What `rows` gave."""
        whole = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), self.nbytes)
        middle = 4 * self.width(True)
        floats = np.ascontiguousarray(whole[:, :middle]).view(np.float32)
        return States(floats, np.ascontiguousarray(whole[:, middle:]).view(np.int64))

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        shapes = [list(shape) for shape in self.shapes]
        return {"names": list(self.names), "shapes": shapes, "floating": list(self.floating)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Layout:
        """What `to_document` wrote."""
        shapes = tuple(tuple(shape) for shape in document["shapes"])
        return cls(tuple(document["names"]), shapes, tuple(document["floating"]))


@dataclass(frozen=True)
class About:
    """Whose steps these are.

    Args:
        model_id, fingerprint: of the model and of its vocabularies.
        layout: of states.
        context: events that a backbone without a state looks back on; None where it has a state.
        item_texts: (items + 1,) row of `texts` of each item's own title; entry 0 is 0.
        texts: (t + 1, w) titles of the items known by id; row 0 zeros.
    """

    model_id: str
    fingerprint: str
    layout: Layout
    context: int | None
    item_texts: Ints
    texts: Array

    @classmethod
    def of(cls, model: BehaviourModel, model_id: str, fingerprint: str) -> About:
        """Of a model in memory."""
        from shoal.model.embedding import context_of

        own = model.known_text.cpu().numpy()  # type: ignore[operator]
        return cls(
            model_id, fingerprint, Layout.of(model.initial(1)), context_of(model),
            np.concatenate([[0], own]).astype(np.int64),
            model.known_texts.cpu().numpy(),
        )  # fmt: skip


class Stepper(Protocol):
    """Reads events on top of states."""

    about: About

    def initial(self, n: int) -> States:
        """States of n customers without an event."""
        ...

    def read(self, events: EventSequences, states: States, now_us: Ints) -> tuple[Floats, States]:
        """Embeddings (n, e) at `now_us` (n,) after each customer's events, and the states then.

        A customer may have no event: the state stays, the embedding ages.
        """
        ...


class EagerStepper:
    """Steps by PyTorch.

    Args:
        model: in evaluation mode.
        model_id, fingerprint: of the model and of its vocabularies.
    """

    def __init__(self, model: BehaviourModel, model_id: str, fingerprint: str) -> None:
        self.model = model.eval()
        self.about = About.of(model, model_id, fingerprint)

    @classmethod
    def of(cls, found: ModelArtefact, fingerprint: str) -> EagerStepper:
        """Of a model that was read."""
        return cls(found.model, found.model_id, fingerprint)

    def initial(self, n: int) -> States:
        return self._states(self.model.initial(n))

    def read(self, events: EventSequences, states: States, now_us: Ints) -> tuple[Floats, States]:
        import torch

        from shoal.model.embedding import batches, read

        layout = self.about.layout
        embeddings = np.zeros((len(events), self.model.config.embedding_dim), np.float32)
        after = States(np.empty_like(states.floats), np.empty_like(states.ints))
        device = self.model.readout.project.weight.device
        for rows in batches(events.lengths, self.about.context):
            part = states.take(rows)
            carry = {
                name: torch.from_numpy(values[:, place].reshape(len(rows), *shape)).to(device)
                for floating, values in ((True, part.floats), (False, part.ints))
                for name, shape, place in layout.places(floating)
            }
            before = carry if self.about.context is None else None
            embeddings[rows], carry = read(self.model, events, rows, now_us[rows], before)
            found = self._states(carry)
            after.floats[rows], after.ints[rows] = found.floats, found.ints
        return embeddings, after

    def _states(self, carry: Carry) -> States:
        n = len(carry["count"])
        layout = self.about.layout
        floats = np.zeros((n, layout.width(True)), np.float32)
        ints = np.zeros((n, layout.width(False)), np.int64)
        for kind, values in ((True, floats), (False, ints)):
            for name, _, place in layout.places(kind):
                values[:, place] = carry[name].cpu().numpy().reshape(n, -1)
        return States(floats, ints)


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
