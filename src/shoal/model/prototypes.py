"""Prototypes in the code space of an autoencoder, learned together with it.

Rows are drawn towards the prototype they already lean to (DEC: Xie et al., 2016, "Unsupervised deep
embedding for clustering analysis") while the codes must still tell the row (IDEC: Guo et al., 2017,
"Improved deep embedded clustering with local structure preservation"). A row leans to a prototype
by Student's t with one degree of freedom, in units of how far rows lay from the nearest prototype
at the start.
Dimensions: n rows, d features, k = width of a code, p prototypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shoal.model.autoencoder import Autoencoder, AutoencoderNetwork, Matrix

_BATCH: Final = 256
_LEARNING_RATE: Final = 1e-3
#: How much leaning counts beside telling the row (IDEC's gamma).
_LEANING: Final = 0.1
_AUTOENCODER: Final = "autoencoder."


class Prototypes:
    """An autoencoder with prototypes in its codes.

    Args:
        autoencoder: whose codes they lie in.
        places: (p, k).
        unit: mean squared distance of rows to the nearest prototype before any training.
        loss: error of telling the rows plus `_LEANING` times the divergence from the target, at the
            end of training; NaN before any.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        places: npt.NDArray[np.float32],
        unit: float,
        loss: float = np.nan,
    ) -> None:
        self.autoencoder, self.unit, self.loss = autoencoder, max(unit, 1e-9), loss
        self.places = np.asarray(places, np.float32)

    def trained(self, X: Matrix, *, seed: int = 0, epochs: int = 20) -> Self:
        """Both after further epochs on (n, d) rows; this one stays as it was.

        The same rows, seed and start give the same result.

        Raises:
            ValueError: `X` has other columns than the autoencoder.
        """
        autoencoder = Autoencoder.from_arrays(self.autoencoder.to_arrays())
        X = autoencoder.checked(X)
        rows = torch.from_numpy(((X - autoencoder.mean) / autoencoder.scale).astype(np.float32))
        places = nn.Parameter(torch.from_numpy(self.places.copy()))
        loss = _train(
            autoencoder.network, places, rows, self.unit, epochs, np.random.default_rng(seed)
        )
        return type(self)(autoencoder, places.detach().numpy().copy(), self.unit, loss)

    def leaning(self, X: Matrix) -> npt.NDArray[np.float64]:
        """(n, p) how much each row leans to each prototype; rows sum to one."""
        codes = self.autoencoder.encode(X).astype(np.float64)
        gaps = np.square(codes[:, None] - self.places.astype(np.float64)).sum(axis=2)
        found = 1 / (1 + gaps / self.unit)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything, as named arrays."""
        own = {_AUTOENCODER + name: array for name, array in self.autoencoder.to_arrays().items()}
        return {**own, "places": self.places, "figures": np.array([self.unit, self.loss])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What `to_arrays` gave.

        Raises:
            ValueError: these are not its arrays.
        """
        if not {"places", "figures"} <= set(arrays):
            raise ValueError(f"no arrays of prototypes: {', '.join(sorted(arrays)) or 'none'}")
        own = {
            name.removeprefix(_AUTOENCODER): array
            for name, array in arrays.items()
            if name.startswith(_AUTOENCODER)
        }
        unit, loss = arrays["figures"].tolist()
        return cls(Autoencoder.from_arrays(own), arrays["places"], unit, loss)


def _leaning(codes: Tensor, places: Tensor, unit: float) -> Tensor:
    found = 1 / (1 + torch.square(codes[:, None] - places).sum(dim=2) / unit)
    return found / found.sum(dim=1, keepdim=True)


def _target(leaning: Tensor) -> Tensor:
    """What rows should lean to: more of what they lean to most, large groups not favoured."""
    sharp = torch.square(leaning) / leaning.sum(dim=0)
    return sharp / sharp.sum(dim=1, keepdim=True)


def _train(
    network: AutoencoderNetwork,
    places: nn.Parameter,
    rows: Tensor,
    unit: float,
    epochs: int,
    rng: np.random.Generator,
) -> float:
    """Train in place; the mean loss over all rows at the end."""
    optimizer = torch.optim.AdamW([*network.parameters(), places], _LEARNING_RATE, weight_decay=0)
    for _ in range(epochs):
        with torch.no_grad():
            target = _target(_leaning(network.encoder(rows), places, unit))
        for one in torch.from_numpy(rng.permutation(len(rows))).split(_BATCH):
            loss = _loss(network, places, rows[one], target[one], unit)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        target = _target(_leaning(network.encoder(rows), places, unit))
        return float(_loss(network, places, rows, target, unit))


def _loss(
    network: AutoencoderNetwork, places: Tensor, rows: Tensor, target: Tensor, unit: float
) -> Tensor:
    codes = network.encoder(rows)
    told = nn.functional.mse_loss(network.decoder(codes), rows)
    leaning = _leaning(codes, places, unit)
    apart = (target * (target.clamp_min(1e-9) / leaning.clamp_min(1e-9)).log()).sum(dim=1).mean()
    return told + _LEANING * apart
