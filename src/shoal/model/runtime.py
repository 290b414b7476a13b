"""What steps customers' states, and how states lie in memory and on disk.

A state is what a backbone carries, as two flat rows: `floats` (F,) and `ints` (I,), so that states
of many customers are two arrays and a state on disk is a run of bytes. PyTorch steps here, ONNX
Runtime in `shoal.model.onnx_step`; both give the same answers. Dimensions: n customers,
e = embedding_dim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from shoal.domain.sequence import Array, EventSequences

if TYPE_CHECKING:
    from shoal.model.artefact import ModelArtefact
    from shoal.model.backbones import Carry
    from shoal.model.behaviour import BehaviourModel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


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
