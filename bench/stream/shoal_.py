"""Shoal on the stream: the product's own online path, no shop.

    assign     weights of a sighting, the segment recorded of its user, the switching margin
    look       at the product's cadence (7 days, a quarter of an epoch) `workflows.adjuster`: drift,
               nudge, splits, merges, births, a challenger every 28 days, `decide`, gates, permanent
               ids, memberships moved on

A user is known by the last sighting, as an embedding would tell it (segments `on="embedding"`), and
a look knows the users seen in the last half of an epoch. There is no outcome to foretell and nobody
to be asked: segments are of the aim `style`, and what needs a person's word is taken as approved.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
import pyarrow as pa

from bench.stream.peers import K
from bench.stream.planted import EPOCH_DAYS, Floats, Places, Plan
from shoal.adjust.settings import AdjustSettings
from shoal.config import SegmentConfig
from shoal.segments.assign import MEMBERSHIPS_SCHEMA, NOWHERE, assign

_START = datetime(2024, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Switches:
    """What may be taken away to see what it brings.

    Args:
        margin: of the switching rule; None: the product's default.
        without: actions that are never taken.
        watch: whether drift is looked for; there is no log whose rhythm could be asked.
        identity: ids are kept; without it segments are named by their size at every change.
        temper: weights are softened to the chance of being placed there again.
        known_epochs: users who were seen within so many epochs are known.
        variance_share: what principal components keep: all, for who is born may lie elsewhere.
    """

    margin: float | None = None
    without: frozenset[str] = frozenset()
    watch: bool = False
    identity: bool = True
    temper: bool = True
    known_epochs: float = 0.5
    variance_share: float = 1.0
    settings: AdjustSettings = field(default_factory=AdjustSettings)


class ShoalFollower:
    """Shoal as a method of the bench (`bench.stream.peers.Follower`)."""

    knows_users = True

    def __init__(self, **switches: Any) -> None:
        self.switches = Switches(**switches)
        margin = self.switches.margin
        self.margin = SegmentConfig.switch_margin if margin is None else margin
        self.told: dict[str, Any] = {"looks": 0, "alarms": 0, "adjustments": []}

    # -- the method of the bench -------------------------------------------------------------------

    def fit(self, X: Floats, seed: int, users: Places, plan: Plan) -> Self:
        """Learn from the first epoch, and place its users."""
        from shoal.workflows.adjuster import ACTIONS, Adjuster

        self.plan, self.names = plan, dict[str, int]()
        self.seen = Seen(plan, self.switches.known_epochs)
        self.recorded = np.full(plan.users, NOWHERE, dtype=np.int64)
        self.seen.add(X, users)
        learner = _learner(self.seen, seed, self.switches.variance_share)
        known = self.seen.at(self.seen.moment)
        live = _live(learner, known, self.margin)
        self.adjuster = Adjuster(
            live, learner, self.switches.settings, approve=True,
            actions=ACTIONS - self.switches.without - {"retrain"}, watch=self.switches.watch,
        )  # fmt: skip
        if self.switches.temper:
            self._temper(X, users)
        self.predict(X, users)
        return self

    @property
    def segmenter(self) -> Any:
        """The one in force."""
        return self.adjuster.live.segmenter

    def predict(self, X: Floats, users: Places) -> Places:
        """(n,) labels after the switching rule, users in their order."""
        segmenter, labels = self.segmenter, self._labels()
        self.asked = segmenter.weights(segmenter.embed(_embedded(X)))
        places = np.full(max(len(self.names), 1), NOWHERE)
        places[labels] = np.arange(len(labels))
        found = np.empty(len(X), dtype=np.int64)
        for rows in _turns(users):
            own = self.recorded[users[rows]]
            before = np.where(own >= 0, places[own], NOWHERE)
            told = assign(self.asked[rows], before, margin=self.margin).places
            found[rows] = self.recorded[users[rows]] = labels[told]
        return found

    def weights(self, X: Floats) -> Floats | None:
        """Soft weights of the sightings that were asked about last, by label."""
        wide = np.zeros((len(self.asked), len(self.names)))
        wide[:, self._labels()] = self.asked
        return wide

    def learn(self, X: Floats, users: Places) -> None:
        """Keep the sightings; look where the cadence asks for it."""
        self.seen.add(X, users)
        if self.adjuster.due(self.seen.moment):
            self._look()

    def epoch(self) -> None:
        """Nothing of its own."""

    # -- the product's parts -----------------------------------------------------------------------

    def _labels(self) -> Places:
        """(k,) the label of each place: by its id."""
        return np.array([self.names.setdefault(one, len(self.names)) for one in self.segmenter.ids])

    def _temper(self, X: Floats, users: Places) -> None:
        """The temperature of weights, from users who were seen twice in the first epoch."""
        from shoal.segments.soften import fitted_temperature

        first, again = _pairs(users)
        weights = self.segmenter.clusterer.weights(self.segmenter.embed(_embedded(X)))
        told = fitted_temperature(weights[first], weights[again].argmax(axis=1))
        if told is not None:
            self.segmenter.temperature = told
        self.told["temperature"] = self.segmenter.temperature

    def _look(self) -> None:
        """One look of the adjuster, and memberships after it."""
        known = self.seen.at(self.seen.moment)
        users = np.array([int(one[1:]) for one in known.features["customer_id"].to_pylist()])
        adjusted = self.adjuster.look(known, self.seen.at, self._memberships(known, users))
        self.adjuster = self.adjuster.after(adjusted)
        self.told["looks"] += 1
        self.told["alarms"] += len(adjusted.alarms)
        if adjusted.changed:
            self._note(adjusted)
            if not self.switches.identity:
                self._by_size(adjusted)
            self._labels()
            ids = adjusted.memberships["segment_id"].to_pylist()
            self.recorded[users] = [self.names.get(one, NOWHERE) for one in ids]
        self.told["k"] = len(self.segmenter.ids)

    def _memberships(self, known: Any, users: Places) -> pa.Table:
        ids = list(self.names)
        rows = self.recorded[users]
        moment = pa.scalar(known.as_of, MEMBERSHIPS_SCHEMA.field("since").type)
        n = len(users)
        columns = [
            known.features["customer_id"], pa.repeat(pa.scalar(self.adjuster.live.name), n),
            pa.array([ids[one] for one in rows.tolist()]), pa.array(np.ones(n)),
            pa.repeat(moment, n), pa.repeat(pa.scalar("event"), n), pa.array(np.zeros(n)),
        ]  # fmt: skip
        return pa.table(columns, schema=MEMBERSHIPS_SCHEMA)

    def _note(self, adjusted: Any) -> None:
        epoch = (adjusted.moment - _START) / _DAY / EPOCH_DAYS + 1
        self.told["adjustments"] += [
            {"epoch": round(epoch, 2), "action": one.action,
             "segments": list(one.proposal.segments), "kind": one.proposal.evidence.get("kind"),
             "moved": round(float(adjusted.moved), 4)}
            for one in adjusted.adjustments
            if one.action not in ("keep", "nudge")
        ]  # fmt: skip

    def _by_size(self, adjusted: Any) -> None:
        """Names as a method without identity gives them: s01 is the largest."""
        live, ids = adjusted.live, adjusted.memberships["segment_id"].to_pylist()
        order = sorted(live.segmenter.ids, key=lambda one: (-ids.count(one), one))
        rank = {one: f"s{place + 1:02d}" for place, one in enumerate(order)}
        segmenter = live.segmenter.with_clusterer(
            live.segmenter.clusterer, ids=[rank[one] for one in live.segmenter.ids]
        )
        self.adjuster = replace(
            self.adjuster, live=replace(live, segmenter=segmenter),
            state=replace(self.adjuster.state, statistics=None),
        )  # fmt: skip


class Seen:
    """Sightings so far, and what is known of users at a moment.

    Args:
        epochs: users seen within so many epochs are known.
    """

    def __init__(self, plan: Plan, epochs: float) -> None:
        self.plan, self.epochs = plan, epochs
        self.X: list[Floats] = []
        self.users: list[Places] = []
        self.count = 0
        self.kept: dict[datetime, Any] = {}

    @property
    def moment(self) -> datetime:
        """Just after the last sighting."""
        return _START + self.count * EPOCH_DAYS / self.plan.events * _DAY

    def add(self, X: Floats, users: Places) -> None:
        """Keep sightings."""
        self.X.append(X)
        self.users.append(users)
        self.count += len(X)

    def at(self, moment: datetime) -> Any:
        """What is known at a moment: each user by the last sighting before it.

        Raises:
            InputError: `too_little_data`, nobody was there.
        """
        from shoal.domain.errors import InputError
        from shoal.features.tastes import COUNTS_SCHEMA
        from shoal.workflows.known import Known

        if moment not in self.kept:
            a_sighting = EPOCH_DAYS / self.plan.events
            until = min(self.count, round((moment - _START) / _DAY / a_sighting))
            since = max(0, until - round(self.epochs * self.plan.events))
            if until <= since:
                raise InputError("too_little_data", "nobody was seen before the first sighting")
            X, users = np.concatenate(self.X)[:until], np.concatenate(self.users)[:until]
            features, embeddings = _known(X, users, since, a_sighting)
            self.kept[moment] = Known(moment, features, COUNTS_SCHEMA.empty_table(), embeddings)
        return self.kept[moment]


def _known(X: Floats, users: Places, since: int, a_sighting: float) -> tuple[pa.Table, pa.Table]:
    """Features and embedding of the users with a sighting from `since` on, by their id."""
    names, first, count = np.unique(users, return_index=True, return_counts=True)
    last = np.full(int(names.max()) + 1, -1)
    last[users] = np.arange(len(users))
    there = last[names] >= since
    rows, n = last[names][there], int(there.sum())
    ids = pa.array([f"u{one:05d}" for one in names[there].tolist()])
    days = (len(users) - np.column_stack([first[there], rows])) * a_sighting
    features = pa.table(
        {"customer_id": ids, "events": count[there].astype(np.float64), "tenure_days": days[:, 0],
         "recency_days": days[:, 1], "orders": np.zeros(n), "spend": np.zeros(n)}
    )  # fmt: skip
    return features, _embedded(X[rows], ids)


def _embedded(X: Floats, ids: pa.Array | None = None) -> pa.Table:
    """Sightings as an embedding; each counts as one event."""
    names = pa.array(np.arange(len(X)).astype(str)) if ids is None else ids
    columns = {f"e{place}": column for place, column in enumerate(X.T)}
    return pa.table({"customer_id": names, "events": np.ones(len(X)), **columns})


def _learner(seen: Seen, seed: int, variance_share: float) -> Any:
    """The product's learner, asked about the stream instead of a shop."""
    from types import SimpleNamespace

    from shoal.domain.time import Zone
    from shoal.features.catalog import CATALOG
    from shoal.segments.inputs import EMBEDDING
    from shoal.workflows.segment_learn import EMBEDDED, Learner
    from shoal.workflows.segment_outlook import STYLE

    fold: Any = SimpleNamespace(catalog=CATALOG)
    past: Any = _Past(seen)
    return Learner(
        fold, Zone("UTC"), None, SegmentConfig(min_events=1), K, seed,  # type: ignore[arg-type]
        past=past, on=EMBEDDING, aim=STYLE,
        preparation=replace(EMBEDDED, variance_share=variance_share),
    )  # fmt: skip


class _Past(dict[datetime, Any]):
    """What was known earlier, made when it is asked for."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def __contains__(self, moment: object) -> bool:
        return True

    def __getitem__(self, moment: datetime) -> Any:
        return self._seen.at(moment)


def _live(learner: Any, known: Any, margin: float) -> Any:
    from shoal.workflows.adjuster import Live
    from shoal.workflows.segment_settled import Settled

    vocabulary = learner.vocabulary(known)
    [(segmenter, _)] = learner.learn(known, vocabulary, ("kmeans",))
    return Live(
        "stream", segmenter, vocabulary, margin, known.as_of, len(segmenter.ids),
        Settled(len(segmenter.ids), None),
    )  # fmt: skip


def _turns(users: Places) -> list[Places]:
    """Rows so that each user is in one at most, in their order."""
    order = np.argsort(users, kind="stable")
    starts = np.flatnonzero(np.append(True, users[order][1:] != users[order][:-1]))
    sizes = np.diff(np.append(starts, len(users)))
    turn = np.empty(len(users), dtype=np.int64)
    turn[order] = np.arange(len(users)) - np.repeat(starts, sizes)
    return [np.flatnonzero(turn == one) for one in range(int(turn.max(initial=-1)) + 1)]


def _pairs(users: Places) -> tuple[Places, Places]:
    """Rows of a sighting and of the next one of the same user."""
    order = np.argsort(users, kind="stable")
    same = users[order][1:] == users[order][:-1]
    return order[:-1][same], order[1:][same]
