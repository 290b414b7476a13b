"""Who defrauds the shop and who only looks like it: accounts, visits, devices and cards."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.columns import joined
from shoal.events.worlds.customers import DAY_S, Customers
from shoal.events.worlds.segments import PAYMENTS, TOPS
from shoal.events.worlds.sessions import sale_on
from shoal.events.worlds.timeline import Timeline

if TYPE_CHECKING:
    from shoal.events.worlds.layer_fraud import Fraud
    from shoal.events.worlds.layers import Draft

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: What a visit of ours is, by code; the first three are fraud.
RING, LONE, TAKEOVER, OPENING, NIGHT_SPENDER = range(5)
FRAUDS: Final = ("ring", "lone", "takeover")
#: Marks of our visits begin here.
MARKS_FROM: Final = 1 << 40

_ELECTRONICS: Final = TOPS.index("electronics")
_CARD: Final = PAYMENTS.index("card")
#: Slots of a customer's own devices and cards; those of a ring are its first account's later ones.
SLOTS: Final = 32
OWN: Final = 8
_NIGHT_S: Final = 5 * 3600


@dataclass(frozen=True)
class Cases:
    """What was drawn for one block.

    One entry a visit of ours, numbered by marks: `kind`, `ring` (-1: none), and `device`, `card`
    as slots of the shop. `head` has an entry a customer: the place of the head of their family (-1:
    none). `spender` flags the honest who order at night.
    """

    kind: Ints
    ring: Ints
    device: Ints
    card: Ints
    ring_number: Ints
    head: Ints
    spender: Bools


@dataclass(frozen=True)
class _Visits:
    """Visits to be added, one entry each; `who` is a place in the block."""

    kind: Ints
    who: Ints
    start_s: Ints
    ring: Ints
    device: Ints
    card: Ints


def shifted(probability: float, difficulty: float) -> float:
    """A telling trait's probability: four times the odds at difficulty 0, a quarter at 1."""
    odds: float = probability / (1 - probability) * 4.0 ** (1 - 2 * difficulty)
    return odds / (1 + odds)


def draw_cases(layer: Fraud, draft: Draft, rng: np.random.Generator) -> Cases:
    """Draw a block's frauds and look-alikes, and put their visits among the block's sessions."""
    people = draft.people
    span_s = draft.setting.days * DAY_S
    orders = np.sum((draft.sessions.lines > 0) & (draft.sessions.start_s < span_s))
    target = layer.share * float(orders)
    accounts, ring, numbers = _accounts(layer, draft, target, rng)
    parts = [_by_accounts(layer, draft, accounts, ring, numbers, rng)]
    parts.append(_takeovers(layer, draft, target, numbers, rng))
    parts.append(_night_spenders(layer, draft, rng))
    visits = joined(parts)
    visits = _taken(visits, np.flatnonzero(visits.start_s < span_s - 3600))
    _wake(draft, accounts, visits)
    _add(layer, draft, accounts, visits, rng)
    fraudulent = np.zeros(len(people.number), bool)
    fraudulent[accounts] = True
    return Cases(
        kind=visits.kind, ring=visits.ring, device=visits.device, card=visits.card,
        ring_number=numbers, head=_families(layer, draft, fraudulent, rng),
        spender=np.bincount(
            visits.who[visits.kind == NIGHT_SPENDER], minlength=len(people.number)
        ) > 0,
    )  # fmt: skip


def _accounts(
    layer: Fraud, draft: Draft, target: float, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Accounts of rings and of lone fraudsters: place in the block, ring (-1: lone), ring numbers.

    They are newcomers who would have come once. A ring opens its accounts within days, and has
    the number of its first one.
    """
    people, difficulty = draft.people, draft.setting.world.difficulty
    pool = np.flatnonzero(people.one_off)
    pool = pool[np.argsort(people.birth_s[pool], kind="stable")]
    births = people.birth_s[pool]
    an_account = 1 + 2 * layer.orders_more
    a_ring = (layer.accounts + layer.accounts_more * layer.accounts_more_share) * an_account
    burst_s = layer.burst_days * DAY_S * 3.0 ** (2 * difficulty - 1)
    used = np.zeros(len(pool), bool)
    chosen: list[Ints] = []
    # Rounded by chance and not of a Poisson law: few rings make up most of the fraud.
    for _ in range(int(layer.rings * target / a_ring + rng.random())):
        size = layer.accounts + rng.binomial(layer.accounts_more, layer.accounts_more_share)
        moments = rng.random() * draft.setting.days * DAY_S + rng.random(size) * burst_s
        place = _next_free(used, np.searchsorted(births, np.sort(moments)))
        if len(place) >= layer.accounts:
            used[place] = True
            chosen.append(pool[place])
    free = np.flatnonzero(~used)
    lone = min(rng.poisson(layer.lone * target / an_account), len(free))
    alone = pool[np.sort(rng.choice(free, lone, replace=False))] if lone else free[:0]
    ring = np.repeat(np.arange(len(chosen)), [len(one) for one in chosen])
    accounts = np.concatenate([*chosen, alone]).astype(np.int64)
    numbers = np.array([people.number[one[0]] for one in chosen], np.int64)
    return accounts, np.concatenate((ring, np.full(len(alone), -1))).astype(np.int64), numbers


def _next_free(used: Bools, wanted: Ints) -> Ints:
    """The next free places from those wanted on, each once; fewer where the end is reached."""
    found: list[int] = []
    for place in wanted.tolist():
        place = max(place, found[-1] + 1) if found else place
        while place < len(used) and used[place]:
            place += 1
        if place < len(used):
            found.append(place)
    return np.array(found, np.int64)


def _by_accounts(
    layer: Fraud, draft: Draft, accounts: Ints, ring: Ints, numbers: Ints, rng: np.random.Generator
) -> _Visits:
    """Each account is opened in a visit at its birth and orders in later ones."""
    difficulty = draft.setting.world.difficulty
    people, n = draft.people, len(accounts)
    count = 1 + rng.binomial(2, layer.orders_more, n)
    place = np.concatenate((np.arange(n), np.repeat(np.arange(n), count)))
    opening = np.arange(len(place)) < n
    slow = 3.0 ** (2 * difficulty - 1)
    wait = 900 + rng.exponential(layer.order_days * DAY_S * slow, len(place))
    waited = people.birth_s[accounts[place]] + np.where(opening, 0, wait)
    at_night = ~opening & (rng.random(len(place)) < shifted(layer.night, difficulty))
    start = _to_night(waited.astype(np.int64), at_night, rng)
    own = people.number[accounts[place]] * SLOTS
    first = np.append(numbers, 0)[ring] * SLOTS
    size = np.bincount(ring[ring >= 0], minlength=len(numbers))
    seats = []
    for share in (layer.devices, layer.cards):
        # Harder rings use more devices and cards: up to one for two accounts.
        share = min(0.5, share * 2.0 ** (2 * difficulty - 1))
        many = np.maximum(np.rint(share * size), 1)
        mine = (rng.random(n) * np.append(many, 1)[ring]).astype(np.int64)
        seats.append(np.where(ring[place] >= 0, first[place] + OWN + mine[place], own))
    kind = np.where(opening, OPENING, np.where(ring[place] >= 0, RING, LONE))
    return _Visits(kind, accounts[place], start, ring[place], seats[0], seats[1])


def _takeovers(
    layer: Fraud, draft: Draft, target: float, numbers: Ints, rng: np.random.Generator
) -> _Visits:
    """One order each in the name of a regular customer, on a ring's device, with their own card.

    Where the block has no ring the device is one nobody has used.
    """
    people, sessions = draft.people, draft.sessions
    regular = np.flatnonzero(~sessions.one_off)
    count = min(rng.poisson(layer.takeovers * target), len(regular))
    like = np.sort(rng.choice(regular, count, replace=False)) if count else regular[:0]
    number = draft.pieces.number[sessions.customer[like]]
    start = sessions.start_s[like] + rng.integers(3600, 4 * DAY_S, count)
    night = rng.random(count) < shifted(layer.night, draft.setting.world.difficulty)
    start = _to_night(start, night, rng)
    ring = (rng.random(count) * len(numbers)).astype(np.int64)
    ring = ring if len(numbers) else np.full(count, -1)
    device = np.where(ring >= 0, np.append(numbers, 0)[ring] * SLOTS, number * SLOTS + 1) + OWN
    alive = start < people.end_s[number - people.number[0]]
    kind = np.full(count, TAKEOVER)
    found = _Visits(kind, number - people.number[0], start, ring, device, number * SLOTS)
    return _taken(found, np.flatnonzero(alive))


def _night_spenders(layer: Fraud, draft: Draft, rng: np.random.Generator) -> _Visits:
    """Honest orders that look like fraud: dear, at night, by regular customers on their own."""
    people, sessions = draft.people, draft.sessions
    chosen = (rng.random(len(people.number)) < layer.night_spenders) & ~people.one_off
    owner = draft.pieces.number[sessions.customer] - people.number[0]
    like = np.flatnonzero(chosen[owner] & (rng.random(len(owner)) < 0.25))
    start = _to_night(sessions.start_s[like], np.ones(len(like), bool), rng)
    alive = np.flatnonzero(start < people.end_s[owner[like]])
    own = people.number[owner[like]] * SLOTS
    none = np.full(len(like), -1)
    kind = np.full(len(like), NIGHT_SPENDER)
    return _taken(_Visits(kind, owner[like], start, none, own, own), alive)


def _to_night(start: Ints, at_night: Bools, rng: np.random.Generator) -> Ints:
    """The moments, those at night put off to the small hours of the next day."""
    night = (start // DAY_S + 1) * DAY_S + rng.integers(0, _NIGHT_S, len(start))
    return np.where(at_night, night, start)


def _wake(draft: Draft, accounts: Ints, visits: _Visits) -> None:
    """Accounts of fraudsters are no customers seen once: they live until their last visit."""
    people = draft.people
    one_off, end_s = people.one_off.copy(), people.end_s.copy()
    one_off[accounts] = False
    last = np.zeros(len(people.number))
    np.maximum.at(last, visits.who, visits.start_s + DAY_S)
    end_s[accounts] = np.maximum(end_s[accounts], last[accounts])
    draft.people = replace(people, one_off=one_off, end_s=end_s)


def _add(
    layer: Fraud, draft: Draft, accounts: Ints, visits: _Visits, rng: np.random.Generator
) -> None:
    """Add the visits, with habits of their own; what the accounts would have done is gone."""
    pieces, sessions, difficulty = draft.pieces, draft.sessions, draft.setting.world.difficulty
    base = draft.people.number[0]
    owner = pieces.number[sessions.customer] - base
    latest = np.zeros(len(draft.people.number), np.int64)
    latest[owner] = np.arange(len(owner))
    timeline = Timeline.of(pieces)
    number = draft.people.number[visits.who]
    then = timeline.at(number, visits.start_s)
    # Accounts outlive the newcomers they were: what these are like is that of their first day.
    then = np.where(then >= 0, then, timeline.at(number, draft.people.birth_s[visits.who]))
    n, honest = len(visits.who), visits.kind == NIGHT_SPENDER
    habits = _habits(layer, pieces.take(then), honest, difficulty)
    browse = np.where(honest, 2.5, layer.browse * 2.5 ** (2 * difficulty - 1))
    opening = visits.kind == OPENING
    lines = np.where(opening, 0, 1 + rng.binomial(2, 0.3, n))
    electronics = rng.random(n) < np.where(honest, 0.9, shifted(layer.electronics, difficulty))
    like, no = sessions.take(latest[visits.who]), np.zeros(n, bool)
    added = replace(
        like, customer=len(pieces.number) + np.arange(n), start_s=visits.start_s, first=opening,
        one_off=no, views=np.maximum(np.minimum(rng.poisson(browse), 30), opening), lines=lines,
        added=lines, removed=np.zeros(n, np.int64), search=rng.random(n) < 0.4, sign_up=opening,
        profile=no, login=no, checkout=no, sale=sale_on(draft.setting.world.dials,
        visits.start_s // DAY_S), focus=np.where(electronics, _ELECTRONICS, like.focus),
        mark=MARKS_FROM + np.arange(n),
    )  # fmt: skip
    kept = ~np.isin(owner, accounts)
    draft.sessions = joined([sessions.take(kept), added])
    draft.pieces = joined([pieces, habits])


def _habits(layer: Fraud, like: Customers, honest: Bools, difficulty: float) -> Customers:
    """Pieces for the visits: what is bought is dear, wanted at once, and kept."""
    n = len(like.number)
    level = np.where(honest, 0.85, shifted(layer.price_level, difficulty))
    tastes = 0.3 * like.tastes
    tastes[:, _ELECTRONICS] += 0.7
    rare, no = np.full(n, 0.02), np.zeros(n, bool)
    return replace(
        like, opening=no, one_off=no, one_order=no, price_level=level, tastes=tastes,
        discount=np.full(n, 0.1), coupon=np.full(n, 0.1), brand_loyalty=np.full(n, 0.1),
        favourite=rare, units=np.full(n, 1.25),
        # What fraudsters have is not sent back; it is charged back.
        refund=np.where(honest, like.refund, 0.0), review=np.where(honest, like.review, 0.0),
        payment=np.full(n, _CARD),
    )  # fmt: skip


def _families(layer: Fraud, draft: Draft, fraudulent: Bools, rng: np.random.Generator) -> Ints:
    """Families of honest customers of one region: the head's place for each member, else -1."""
    people, n = draft.people, len(draft.people.number)
    order = rng.permutation(n)
    order = order[~fraudulent[order]][: round(layer.family * n)]
    # A family lives in one region: neighbours in this order do.
    order = order[np.argsort(people.region[order], kind="stable")]
    size = 2 + rng.binomial(2, 0.4, len(order) + 1)
    edges = np.cumsum(size)
    family = np.searchsorted(edges, np.arange(len(order)), side="right")
    first = np.searchsorted(family, family)
    alike = people.region[order] == people.region[order[first]] if len(order) else first > 0
    head = np.full(n, -1, np.int64)
    head[order[alike]] = order[first[alike]]
    alone = np.bincount(head[head >= 0], minlength=n) == 1
    head[alone] = -1
    return head


def _taken(visits: _Visits, index: Ints) -> _Visits:
    return _Visits(*(getattr(visits, one.name)[index] for one in fields(_Visits)))
