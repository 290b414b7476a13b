"""The loss of telling an item, at a cost that does not grow with the vocabulary.

A softmax over all items needs the sum of exp(s_j) over them. It is estimated without bias from a
few candidates, each divided by how often it was expected among them (the logQ correction; Bengio
and Senécal, 2008, "Adaptive importance sampling to accelerate training of a neural probabilistic
language model"; for items of the batch: Yi et al., 2019, "Sampling-bias-corrected neural modeling
for large corpus item recommendations"). With s_t the score of the true item, itself never a
negative, and n_j the times that j was drawn from all sources together (the balance heuristic of
Veach and Guibas, 1995, joins them):

    loss = -s_t + log( exp(s_t) + sum over drawn j != t of  n_j exp(s_j) / E[n_j] )

Dimensions: M events, n known items, C candidates, O customers, d = d_model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shoal.domain.sequence import Array
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import ObjectiveConfig
from shoal.model.objectives.places import choose, generator


class ItemSoftmax(nn.Module):
    """Scores of items from hidden states, and their loss.

    Args:
        d_model: width of hidden states and of item vectors.
        counts: (n,) events with each known item: what items of a batch are expected to be.
        settings: how many items are drawn, and for how many events.
    """

    share: Tensor
    cumulative: Tensor

    def __init__(self, d_model: int, counts: Array, settings: ObjectiveConfig) -> None:
        super().__init__()
        self.samples, self.most = settings.item_samples, settings.item_places
        self.query = nn.Linear(d_model, d_model)
        share = torch.as_tensor(counts).double().clamp(min=1)
        share = share / share.sum().clamp(min=1)
        self.register_buffer("share", share, persistent=False)
        self.register_buffer("cumulative", share.cumsum(0), persistent=False)

    @property
    def known(self) -> int:
        """Items with a vector of their own; their codes are 1 to n."""
        return len(self.share)

    def forward(
        self, model: BehaviourModel, hidden: Tensor, codes: Tensor, customer: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss in nats, mean over the events whose item is known, and how many those were.

        Args:
            hidden: (M, d).
            codes: (M,) item codes; those that are not known items are left out.
            customer: (M,) whose events they are: a customer's own items come together more often
                than the correction expects, so they are negatives for each other only if drawn.
        """
        told = choose((codes > 0) & (codes <= self.known), self.most, training=self.training)
        if not len(told):
            return hidden[:0].sum().float(), codes.new_zeros(())
        query, codes, customer = self.query(hidden[told]), codes[told], customer[told]
        if self.known <= self.samples:
            logits = query @ model.item_vectors().T
            return nn.functional.cross_entropy(logits.float(), codes - 1), codes.new_tensor(
                len(codes)
            )
        return self._sampled(model, query, codes, customer), codes.new_tensor(len(codes))

    def _sampled(
        self, model: BehaviourModel, query: Tensor, codes: Tensor, customer: Tensor
    ) -> Tensor:
        candidates, places = torch.unique(
            torch.cat([codes, self.draw(codes.device)]), return_inverse=True
        )
        own, drawn = places[: len(codes)], places[len(codes) :]
        weights, owner = self.log_weights(candidates, own, drawn, customer)
        scores = (query @ model.item_vectors(candidates).T).float()
        true = scores.gather(1, own[:, None])
        logits = (scores + weights[owner]).scatter(1, own[:, None], true)
        return nn.functional.cross_entropy(logits, own)

    def draw(self, device: torch.device) -> Tensor:
        """(S,) item codes: half of them drawn evenly, half by how common they are."""
        seeded = generator(device, training=self.training)
        half = self.samples // 2
        chance = torch.rand(self.samples, generator=seeded, device=device, dtype=torch.float64)
        even = (chance[:half] * self.known).long()
        common = torch.searchsorted(self.cumulative, chance[half:])
        return torch.cat([even, common]).clamp(max=self.known - 1) + 1

    def log_weights(
        self, candidates: Tensor, own: Tensor, drawn: Tensor, customer: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What each candidate counts as a negative of each customer's events.

        Args:
            candidates: (C,) distinct item codes.
            own: (M,) which candidate each event is about.
            drawn: (S,) which candidates were drawn.
            customer: (M,) whose events they are.

        Returns:
            (O, C) log(n_j / E[n_j]) over the draws and the events of other customers, -inf where
            that is none, and (M,) the row of each event.
        """
        C = len(candidates)
        _, owner = torch.unique(customer, return_inverse=True)
        owners = int(owner.max()) + 1
        mine = torch.bincount(owner * C + own, minlength=owners * C).view(owners, C)
        others = mine.sum(dim=0) - mine
        times = (others + torch.bincount(drawn, minlength=C)).double()
        share = self.share[candidates - 1]
        half = len(drawn) // 2
        from_draws = half / self.known + (len(drawn) - half) * share
        expected = others.sum(dim=1, keepdim=True) * share + from_draws
        return (times / expected).log().float(), owner
