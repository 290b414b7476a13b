"""AdamW (Loshchilov and Hutter, 2019, "Decoupled weight decay regularization").

PyTorch's own kernel, called directly: its `Optimizer` class loads the compiler, which takes seconds
that a small training does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-8
_MEAN, _SQUARE, _STEPS = "mean", "square", "steps"


@dataclass(frozen=True)
class _Group:
    """Parameters of one decay, and for each one mean and mean square of gradients, and steps."""

    decay: float
    parameters: dict[str, nn.Parameter]
    state: dict[str, dict[str, Tensor]]


class AdamW:
    """Moves the parameters of some modules by their gradients.

    Norms, biases and embedding tables are not drawn to zero.

    Args:
        modules: by name; parameters are called `<module>.<name>`.
        decay: of the others.
    """

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        decayed: dict[str, nn.Parameter] = {}
        kept: dict[str, nn.Parameter] = {}
        for root, whole in modules.items():
            for path, module in whole.named_modules():
                for name, one in module.named_parameters(recurse=False):
                    plain = isinstance(module, nn.Embedding) or one.dim() < 2
                    (kept if plain else decayed)[".".join(filter(None, (root, path, name)))] = one
        self._groups = [_grouped(decay, decayed), _grouped(0.0, kept)]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that is trained."""
        return [one for group in self._groups for one in group.parameters.values()]

    def forget_gradients(self) -> None:
        """Begin a step."""
        for one in self.parameters:
            one.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every parameter that has a gradient, at a learning rate."""
        for group in self._groups:
            moved = {n: one for n, one in group.parameters.items() if one.grad is not None}
            if not moved:
                continue
            state = [group.state[name] for name in moved]
            adamw(
                list(moved.values()),
                [one.grad for one in moved.values() if one.grad is not None],
                [one[_MEAN] for one in state],
                [one[_SQUARE] for one in state],
                [],
                [one[_STEPS] for one in state],
                fused=True,
                amsgrad=False,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                lr=rate,
                weight_decay=group.decay,
                eps=_EPSILON,
                maximize=False,
            )

    def state_dict(self) -> dict[str, Tensor]:
        """`<parameter>.mean`, `.square` and `.steps` of every parameter."""
        return {
            f"{name}.{what}": value
            for group in self._groups
            for name, values in group.state.items()
            for what, value in values.items()
        }

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `state_dict` gave."""
        for name, value in self.state_dict().items():
            value.copy_(tensors[name])


def _grouped(decay: float, parameters: dict[str, nn.Parameter]) -> _Group:
    state = {
        name: {
            _MEAN: torch.zeros_like(one),
            _SQUARE: torch.zeros_like(one),
            _STEPS: torch.zeros((), dtype=torch.float32, device=one.device),
        }
        for name, one in parameters.items()
    }
    return _Group(decay, parameters, state)
