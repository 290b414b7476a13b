"""Autoencoder of features: what a plain network makes of aggregates, without any sequence.

A control for embeddings of events, and a starting point for clustering that learns its own space
(DEC: Xie et al., 2016, "Unsupervised deep embedding for clustering analysis").
Dimensions: n rows, d features, k = width of a code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shoal.model.device import forked, seeded

Matrix = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float32]

_BATCH: Final = 256
_ROWS_AT_ONCE: Final = 65_536
_LEARNING_RATE: Final = 2e-3
_WEIGHT_DECAY: Final = 1e-4
_NETWORK: Final = "network."


class AutoencoderNetwork(nn.Module):
    """Layers `d -> hidden... -> k` and back; GELU between them, none around the code."""

    def __init__(self, d: int, hidden: Sequence[int], width: int) -> None:
        super().__init__()
        sizes = (d, *hidden, width)
        self.encoder = _layers(sizes)
        self.decoder = _layers(sizes[::-1])

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) rows as they come back."""
        found: Tensor = self.decoder(self.encoder(x))
        return found


class Autoencoder:
    """A fitted autoencoder: rows of features to codes and back.

    Args:
        network: what was learned, on standardised rows.
        mean, scale: (d,) by which columns are standardised.
        losses: mean squared error of each epoch, on standardised rows: 1 is no better than means.
    """

    def __init__(
        self,
        network: AutoencoderNetwork,
        mean: npt.NDArray[np.float64],
        scale: npt.NDArray[np.float64],
        losses: Sequence[float],
    ) -> None:
        self.network = network.eval()
        self.mean, self.scale = mean, scale
        self.losses = tuple(losses)

    @classmethod
    def fit(
        cls,
        X: Matrix,
        *,
        width: int = 16,
        hidden: Sequence[int] = (128, 64),
        seed: int = 0,
        epochs: int = 40,
        standardised: bool = True,
    ) -> Self:
        """Learn from (n, d) rows of prepared features.

        The same rows, settings and seed give the same codes; torch's own random state stays as it
        was. Columns are standardised, so their units do not matter; one that never changes is told
        nothing of.

        Args:
            standardised: False gives all columns one common deviation: columns that vary more, as
                leading components do, count more.

        Raises:
            ValueError: `X` is no matrix of one row or more, or holds a value that is not finite.
        """
        X = _checked(X)
        mean, scale = X.mean(axis=0), X.std(axis=0)
        if not standardised:
            scale[:] = np.sqrt(np.mean(scale**2))
        scale[~(scale > 1e-9 * np.abs(mean))] = 1.0
        rows = torch.from_numpy(((X - mean) / scale).astype(np.float32))
        with seeded(seed):
            network = AutoencoderNetwork(X.shape[1], hidden, width)
        losses = _train(network, rows, epochs, np.random.default_rng(seed))
        return cls(network, mean, scale, losses)

    def encode(self, X: Matrix) -> Floats:
        """(n, k) codes of (n, d) rows.

        Raises:
            ValueError: as of `fit`, or other columns than were learned.
        """
        X = self.checked(X)
        return self._mapped(self.network.encoder, (X - self.mean) / self.scale)

    def reconstruct(self, X: Matrix) -> Matrix:
        """(n, d) rows as the codes tell them, in their own units.

        Raises:
            ValueError: as of `encode`.
        """
        X = self.checked(X)
        return self._mapped(self.network, (X - self.mean) / self.scale) * self.scale + self.mean

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything, as named arrays."""
        weights = self.network.state_dict()
        return {
            **{_NETWORK + name: values.numpy().copy() for name, values in weights.items()},
            "mean": self.mean,
            "scale": self.scale,
            "losses": np.array(self.losses, np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What `to_arrays` gave.

        Raises:
            ValueError: these are not an autoencoder's arrays.
        """
        weights = {
            name.removeprefix(_NETWORK): torch.from_numpy(np.array(values))
            for name, values in arrays.items()
            if name.startswith(_NETWORK)
        }
        layers = [
            (int(name.split(".")[1]), len(values))
            for name, values in weights.items()
            if name.startswith("encoder.") and name.endswith(".bias")
        ]
        sizes = [size for _, size in sorted(layers)]
        if not sizes or not {"mean", "scale", "losses"} <= set(arrays):
            raise ValueError(f"no arrays of an autoencoder: {', '.join(sorted(arrays)) or 'none'}")
        with forked():
            network = AutoencoderNetwork(len(arrays["mean"]), sizes[:-1], sizes[-1])
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"arrays of an autoencoder do not fit together: {error}") from error
        return cls(network, arrays["mean"], arrays["scale"], arrays["losses"].tolist())

    def checked(self, X: Matrix) -> npt.NDArray[np.float64]:
        """(n, d) rows as float64.

        Raises:
            ValueError: as of `encode`.
        """
        found = _checked(X)
        if found.shape[1] != len(self.mean):
            raise ValueError(f"{found.shape[1]} columns, learned from {len(self.mean)}")
        return found

    def _mapped(self, part: nn.Module, rows: npt.NDArray[np.float64]) -> Floats:
        given = torch.from_numpy(rows.astype(np.float32))
        with torch.inference_mode():
            found = [part(one) for one in given.split(_ROWS_AT_ONCE)]
        return np.asarray(torch.cat(found).numpy())


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    found: list[nn.Module] = []
    for given, wanted in pairwise(sizes):
        found += [nn.Linear(given, wanted), nn.GELU()]
    return nn.Sequential(*found[:-1])


def _checked(X: Matrix) -> npt.NDArray[np.float64]:
    found = np.asarray(X, np.float64)
    if found.ndim != 2 or not found.size:
        raise ValueError(f"rows of features are wanted, not an array of shape {found.shape}")
    if not np.isfinite(found).all():
        column = int(np.flatnonzero(~np.isfinite(found).all(axis=0))[0])
        raise ValueError(f"column {column} holds a value that is not finite")
    return found


def _train(
    network: AutoencoderNetwork, rows: Tensor, epochs: int, rng: np.random.Generator
) -> list[float]:
    """The mean squared error of each epoch; AdamW on shuffled batches, one-cycle cosine to zero."""
    batches = -(-len(rows) // _BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(epochs * batches, 1))
    losses = []
    for _ in range(epochs):
        total = 0.0
        for one in torch.from_numpy(rng.permutation(len(rows))).split(_BATCH):
            loss = nn.functional.mse_loss(network(rows[one]), rows[one])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(one)
        losses.append(total / len(rows))
    return losses
