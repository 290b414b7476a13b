"""Ceilings: what is told by who knows the planted means of every epoch.

`look` takes the nearest true mean of one sighting. `memory` applies Bayes' rule over all sightings
of a user: the chance to have switched since the sighting before, whole segments' events included,
and a likelihood that knows of outliers. Nothing that sees sightings alone can be expected to pass
`memory`.
"""

from __future__ import annotations

import numpy as np

from bench.stream.planted import Floats, Places, Stream

NAMES = ("ceiling-look", "ceiling-memory")
TITLES = {
    "ceiling-look": "*ceiling: the true means, one sighting*",
    "ceiling-memory": "*ceiling: the true means and chances, all sightings of the user*",
}


def look(stream: Stream) -> Places:
    """(n,) the segment of the nearest true mean."""
    found = np.empty(len(stream), dtype=np.int64)
    for epoch, means in enumerate(stream.means, 1):
        rows = stream.of_epoch(epoch)
        names = np.array(sorted(means))
        found[rows] = names[_squared(stream.X[rows], means, names).argmin(axis=1)]
    return found


def memory(stream: Stream) -> Places:
    """(n,) the likeliest segment by all sightings of the user so far (forward filter)."""
    plan, count = stream.plan, max(max(means) for means in stream.means) + 1
    belief = np.zeros((plan.users, count))
    names = np.array(sorted(stream.means[0]))
    belief[:, names] = 1 / len(names)
    found = np.empty(len(stream), dtype=np.int64)
    for epoch, means in enumerate(stream.means, 1):
        names = np.array(sorted(means))
        if epoch > 1:
            belief = _moved(belief, stream, epoch, names)
        rows = stream.of_epoch(epoch)
        like = _likelihood(stream.X[rows], means, names, stream)
        for at, (user, row) in enumerate(zip(stream.users[rows].tolist(), like, strict=True)):
            posterior = belief[user, names] * row
            total = posterior.sum()
            posterior = posterior / total if total > 0 else belief[user, names]
            belief[user] = 0.0
            belief[user, names] = posterior
            found[rows.start + at] = names[posterior.argmax()]
    return found


def _moved(belief: Floats, stream: Stream, epoch: int, names: Places) -> Floats:
    """Where users may be after what happened at the start of an epoch."""
    found = belief.copy()
    what, parents, children = stream.events.get(epoch, ("", (), ()))
    if what == "split":
        stays, goes = children
        found[:, goes] = found[:, stays] / 2
        found[:, stays] /= 2
    elif what == "birth":
        found *= 1 - stream.plan.born
        found[:, children[0]] = stream.plan.born
    elif what == "merge":
        found[:, children[0]] = found[:, list(parents)].sum(axis=1)
        found[:, list(parents)] = 0.0
    stay, go = 1 - stream.plan.switch, stream.plan.switch / (len(names) - 1)
    total = found[:, names].sum(axis=1, keepdims=True)
    moved = np.zeros_like(found)
    moved[:, names] = stay * found[:, names] + go * (total - found[:, names])
    return moved


def _likelihood(X: Floats, means: dict[int, Floats], names: Places, stream: Stream) -> Floats:
    """(n, names) up to a factor a row: Gaussian noise, or the heavy-tailed one."""
    plan = stream.plan
    logs = np.empty((2, len(X), len(names)))
    for place, name in enumerate(names.tolist()):
        apart = X - means[name]
        logs[0, :, place] = np.log1p(-plan.outliers) - (
            np.square(apart).sum(axis=1) / 2 + plan.features * np.log(2 * np.pi) / 2
        )
        # Student's t with 3 degrees of freedom, density 2 / (pi sqrt(3) (1 + t^2 / 3)^2).
        t = apart / plan.tail
        density = np.log(2 / (np.pi * np.sqrt(3))) - 2 * np.log1p(np.square(t) / 3)
        logs[1, :, place] = np.log(plan.outliers) + (density - np.log(plan.tail)).sum(axis=1)
    both = np.logaddexp(logs[0], logs[1])
    return np.asarray(np.exp(both - both.max(axis=1, keepdims=True)))


def _squared(X: Floats, means: dict[int, Floats], names: Places) -> Floats:
    return np.stack([np.square(X - means[name]).sum(axis=1) for name in names.tolist()], axis=1)
