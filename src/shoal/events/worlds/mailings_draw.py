"""Who is sent which mail, and what they would do with and without it.

A block of customers is taken through the campaigns in order of time, each seeing what the earlier
ones left. All potential outcomes of a customer share one noise: one number decides whether a mail
brings an order, one a placed order whether it keeps them from it, one how long they wait.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.base import Dials
from shoal.events.worlds.columns import joined
from shoal.events.worlds.customers import DAY_S, Customers
from shoal.events.worlds.mailings import (
    ARMS,
    LOST_CAUSE,
    PERSUADABLE,
    SLEEPING_DOG,
    SURE_THING,
    Schedule,
)
from shoal.events.worlds.segments import CHANNELS
from shoal.events.worlds.sessions import Sessions, sale_on
from shoal.events.worlds.timeline import Timeline

if TYPE_CHECKING:
    from shoal.events.worlds.layers import Draft

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_SENDING_S: Final = 2 * 3600


@dataclass(frozen=True)
class Rows:
    """One entry a campaign and customer it could have been sent to; (rows, arms) where said.

    `who` is an index into the block's people, `piece` into its pieces (-1: gone); `arm` what was
    sent (-1: none); `chance` that each arm brings an order and `loss` that it takes a placed one
    away, both (rows, arms); `noise` decides the first; `reach` is the share of conversions that
    come in time.
    """

    campaign: Ints
    who: Ints
    number: Ints
    piece: Ints
    answer: Ints
    exposures: Ints
    propensity: Floats
    arm: Ints
    chance: Floats
    loss: Floats
    noise: Floats
    sent_s: Ints
    delay_s: Ints
    reach: Floats
    withdraws: Bools


@dataclass(frozen=True)
class Block:
    """What was drawn for one block. `of_session` (a mark) numbers the sessions that hang on a mail.

    `row` is the campaign row of each, `extra` whether the mail brings it (else may take it away),
    `noise` decides the latter.
    """

    sessions: Sessions
    rows: Rows
    row: Ints
    extra: Bools
    noise: Floats

    def happens(self, arm: Ints) -> Bools:
        """Whether each marked session happens when `arm` (one a row, -1: none) is sent."""
        sent = arm[self.row]
        mailed = sent >= 0
        column = np.maximum(sent, 0)
        brought = mailed & (self.rows.noise[self.row] < self.rows.chance[self.row, column])
        taken = mailed & (self.noise < self.rows.loss[self.row, column])
        return np.where(self.extra, brought, ~taken)


def draw_block(schedule: Schedule, draft: Draft, rng: np.random.Generator) -> Block:
    """Take a block's customers through all campaigns; its sessions hold all that may happen."""
    walk = _Walk(schedule, draft, rng)
    for campaign in range(len(schedule.sent_s)):
        walk.through(campaign)
    return walk.finish()


class _Walk:
    """The state of a block between campaigns: sessions so far, and who was written to when."""

    def __init__(self, schedule: Schedule, draft: Draft, rng: np.random.Generator) -> None:
        self.schedule, self.rng, self.pieces = schedule, rng, draft.pieces
        self.people, self.sessions = draft.people, draft.sessions
        n = len(self.people.number)
        self.timeline = Timeline.of(draft.pieces)
        self.happened = np.ones(len(self.sessions.customer), bool)
        self.sent: list[tuple[int, Bools]] = []
        self.withdrawn = np.zeros(n, bool)
        self.quantile = rng.random(n)
        self.personal = np.exp(schedule.layer.personal_sigma * rng.standard_normal(n))
        self.rows: list[Rows] = []
        self.row: list[Ints] = []
        self.extra: list[Bools] = []
        self.noise: list[Floats] = []
        self.marked = 0

    def through(self, campaign: int) -> None:
        """One campaign: who could be written to, who is, and what they would do."""
        who, last, orders = self._known(campaign)
        rows = self._rows(campaign, who, last, orders)
        before = sum(len(one.who) for one in self.rows)
        self._mark_losable(rows, before, campaign)
        self._add_extra(rows, before, last)
        sent = np.zeros(len(self.people.number), bool)
        sent[who[rows.arm >= 0]] = True
        self.sent.append((int(self.schedule.sent_s[campaign]), sent))
        self.withdrawn[who[rows.withdraws]] = True
        self.rows.append(rows)

    def finish(self) -> Block:
        """Everything drawn, in one piece."""
        if not self.rows:
            none = np.zeros(0, np.int64)
            return Block(self.sessions, _no_rows(), none, none > 0, np.zeros(0))
        return Block(
            sessions=self.sessions, rows=joined(self.rows), row=np.concatenate(self.row),
            extra=np.concatenate(self.extra), noise=np.concatenate(self.noise),
        )  # fmt: skip

    def _known(self, campaign: int) -> tuple[Ints, Ints, Ints]:
        """Who may be written to: index, place of the last session, and orders of the last days."""
        sent = int(self.schedule.sent_s[campaign])
        since = sent - self.schedule.layer.known_days * DAY_S
        start = self.sessions.start_s
        recent = np.flatnonzero(self.happened & (start < sent) & (start >= since))
        owner = self._owner(recent)
        n = len(self.people.number)
        last = np.full(n, -1, np.int64)
        order = np.lexsort((start[recent], owner))
        last[owner[order]] = recent[order]
        orders = np.bincount(owner, weights=self.sessions.lines[recent] > 0, minlength=n)
        who = np.flatnonzero((last >= 0) & ~self.withdrawn)
        return who, last[who], orders[who].astype(np.int64)

    def _owner(self, place: Ints) -> Ints:
        owner: Ints = self.pieces.number[self.sessions.customer[place]] - self.people.number[0]
        return owner

    def _rows(self, campaign: int, who: Ints, last: Ints, orders: Ints) -> Rows:
        """The campaign's rows: the lottery, and what each mail would do."""
        plan, rng, n = self.schedule, self.rng, len(self.people.number)
        sent = plan.sent_s[campaign] + rng.integers(0, _SENDING_S, n)[who]
        lottery, noise, waits, leaves = (rng.random(n)[who] for _ in range(4))
        piece = self.timeline.at(self.people.number[who], plan.sent_s[campaign])
        segment = self.pieces.segment[self.sessions.customer[last]]
        quiet_days = (plan.sent_s[campaign] - self.sessions.start_s[last]) / DAY_S
        propensity = _propensity(plan, campaign, segment, orders, quiet_days)
        arm = _drawn(propensity, lottery)
        exposures = self._exposures(campaign)[who]
        answer = self._answers(who, piece)
        chance, loss = self._effects(campaign, who, piece, answer, exposures)
        delay = np.maximum(plan.delay_s(waits), 60.0).astype(np.int64)
        ends = np.minimum(self.timeline.end(self.people.number[who]), plan.until_s[campaign])
        away = np.where(answer == SLEEPING_DOG, plan.layer.withdraws_dog, plan.layer.withdraws)
        return Rows(
            campaign=np.full(len(who), campaign), who=who, number=self.people.number[who],
            piece=piece, answer=answer, exposures=exposures, propensity=propensity, arm=arm,
            chance=chance, loss=loss, noise=noise, sent_s=sent, delay_s=delay,
            reach=plan.delayed_share(ends - sent),
            withdraws=(arm >= 0) & (leaves < away) & (piece >= 0),
        )  # fmt: skip

    def _exposures(self, campaign: int) -> Ints:
        """Mails of the last days, by customer."""
        now = int(self.schedule.sent_s[campaign])
        since = now - self.schedule.layer.fatigue_days * DAY_S
        count = np.zeros(len(self.people.number), np.int64)
        for moment, sent in self.sent:
            if moment >= since:
                count += sent
        return count

    def _answers(self, who: Ints, piece: Ints) -> Ints:
        """How each would answer: by segment and by a number of their own; the gone never do."""
        weights = self.schedule.answers[self.pieces.segment[np.maximum(piece, 0)]]
        edges = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
        answer = (self.quantile[who][:, None] >= edges[:, :-1]).sum(axis=1)
        once = self.people.one_off[who] | self.people.one_order[who]
        return np.where((piece < 0) | once, LOST_CAUSE, answer)

    def _effects(
        self, campaign: int, who: Ints, piece: Ints, answer: Ints, exposures: Ints
    ) -> tuple[Floats, Floats]:
        """Chance of an order more and of an order lost, (customers, arms), after fatigue."""
        plan = self.schedule
        fresh = 1 - plan.layer.fatigue * exposures
        base = plan.chance[self.pieces.segment[np.maximum(piece, 0)]] * plan.effect
        chance = base * self.personal[who][:, None] * np.maximum(fresh, 0)[:, None]
        chance = np.where((answer == PERSUADABLE)[:, None], np.minimum(chance, 0.95), 0.0)
        # Who has had too many mails is annoyed like a sleeping dog, the more the further.
        annoyed = np.clip(-fresh, 0, 1) * np.isin(answer, (PERSUADABLE, SURE_THING))
        loss = plan.loss * np.where(answer == SLEEPING_DOG, 1.0, annoyed)[:, None]
        used = plan.used[campaign]
        return chance * used, loss * used

    def _mark_losable(self, rows: Rows, before: int, campaign: int) -> None:
        """Mark the visits with an order that a mail of this campaign can take away."""
        plan, start = self.schedule, self.sessions.start_s
        row_of = np.full(len(self.people.number), -1, np.int64)
        shy = np.flatnonzero(rows.loss.max(axis=1, initial=0.0) > 0)
        row_of[rows.who[shy]] = shy
        place = np.flatnonzero(
            self.happened & (self.sessions.lines > 0) & (self.sessions.mark < 0)
            & (start >= plan.sent_s[campaign]) & (start < plan.until_s[campaign])
        )  # fmt: skip
        row = row_of[self._owner(place)]
        place, row = place[row >= 0], row[row >= 0]
        # After the mail itself, not only after the first one was sent.
        late = start[place] > rows.sent_s[row]
        place, row = place[late], row[late]
        noise = self.rng.random(len(place))
        sent = rows.arm[row]
        taken = (sent >= 0) & (noise < rows.loss[row, np.maximum(sent, 0)])
        self.happened[place[taken]] = False
        mark = self.sessions.mark.copy()
        mark[place] = self.marked + np.arange(len(place))
        self.sessions = replace(self.sessions, mark=mark)
        self._remember(row + before, np.zeros(len(place), bool), noise)

    def _add_extra(self, rows: Rows, before: int, last: Ints) -> None:
        """Add the visits that a mail of this campaign would bring."""
        start = rows.sent_s + rows.delay_s
        would = rows.noise < rows.chance.max(axis=1, initial=0.0)
        piece = self.timeline.at(rows.number, start)
        row = np.flatnonzero(would & (piece >= 0))
        drawn = self.rng.random((len(self.people.number), 2))[rows.who[row]]
        dials, like = self.schedule.setting.world.dials, self.sessions.take(last[row])
        visits = _visits(dials, like, self.pieces, piece[row], start[row], drawn)
        visits = replace(visits, mark=self.marked + np.arange(len(row)))
        self.sessions = joined([self.sessions, visits])
        sent = rows.arm[row]
        happens = (sent >= 0) & (rows.noise[row] < rows.chance[row, np.maximum(sent, 0)])
        self.happened = np.append(self.happened, happens)
        self._remember(row + before, np.ones(len(row), bool), np.zeros(len(row)))

    def _remember(self, row: Ints, extra: Bools, noise: Floats) -> None:
        self.row.append(row)
        self.extra.append(extra)
        self.noise.append(noise)
        self.marked += len(row)


def _propensity(
    plan: Schedule, campaign: int, segment: Ints, orders: Ints, quiet_days: Floats
) -> Floats:
    """(customers, arms) chance of being sent each arm, from what the sender sees and the segment.

    Customers who buy and who came lately are written to more, so that those written to buy more
    with or without it.
    """
    fondness = plan.target[segment] + 0.9 * np.minimum(orders, 3) - 0.03 * quiet_days
    share = 1 / (1 + np.exp(-fondness))
    arms = plan.used[campaign]
    if arms.sum() == 1:
        return np.outer(0.1 + 0.8 * share, arms)
    # Two arms: those who have bought are sent the discount more often.
    total = 0.7 * share
    first = np.where(orders > 0, 0.35, 0.65)
    return np.stack([0.1 + total * first, 0.1 + total * (1 - first)], axis=1)


def _drawn(propensity: Floats, quantile: Floats) -> Ints:
    """The arm that a lottery number draws; -1 for none."""
    edges = np.cumsum(propensity, axis=1)
    arm = (quantile[:, None] >= edges).sum(axis=1)
    return np.where(arm < len(ARMS), arm, -1)


def _no_rows() -> Rows:
    none, flat = np.zeros(0, np.int64), np.zeros((0, len(ARMS)))
    return Rows(
        campaign=none, who=none, number=none, piece=none, answer=none, exposures=none,
        propensity=flat, arm=none, chance=flat, loss=flat, noise=np.zeros(0), sent_s=none,
        delay_s=none, reach=np.zeros(0), withdraws=none > 0,
    )  # fmt: skip


def _visits(
    dials: Dials, like: Sessions, pieces: Customers, piece: Ints, start: Ints, drawn: Floats
) -> Sessions:
    """Visits from a mail that end in an order, otherwise like an earlier one of the customer."""
    n = len(start)
    no = np.zeros(n, bool)
    mean = np.maximum(pieces.lines[piece] - 1, 0.02)
    more = np.floor(np.log1p(-drawn[:, 0]) / np.log(mean / (1 + mean)))
    lines = 1 + np.minimum(more, 20).astype(np.int64)
    looks = np.floor(np.log1p(-drawn[:, 1]) * -pieces.views[piece])
    return replace(
        like, customer=piece, start_s=start, first=no, one_off=no,
        views=1 + np.minimum(looks, 20).astype(np.int64), lines=lines, added=lines,
        removed=np.zeros(n, np.int64), sign_up=no, profile=no, login=no, checkout=no,
        sale=sale_on(dials, start // DAY_S), channel=np.full(n, CHANNELS.index("email")),
    )  # fmt: skip
